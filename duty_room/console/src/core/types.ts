/** Nouns of the wire contract as the console reads them, and the only place where foreign JSON is let in. */

export type IncidentState =
  | "unacknowledged"
  | "acknowledged"
  | "dispatched"
  | "en_route"
  | "on_scene"
  | "resolved"
  | "closed";
export type Condition = "on" | "off" | "unknown";
export type Priority = 1 | 2 | 3 | 4;

export const STATES: readonly IncidentState[] = [
  "unacknowledged",
  "acknowledged",
  "dispatched",
  "en_route",
  "on_scene",
  "resolved",
  "closed",
];

export interface Place {
  community: string | null;
  building: string | null;
  unit: string | null;
  floor: number | null;
  household: string | null;
  room: string | null;
  text: string | null;
}

export interface AlarmLine {
  id: string;
  state: string;
  device: string;
  condition: Condition;
  value: number | string | boolean | null;
  unit: string | null;
}

export interface TimelineLine {
  at: number | null;
  by: string | null;
  via: string | null;
  step: string;
  reason: string | null;
  /** What the device measured then. */
  value: number | null;
  unit: string | null;
}

export interface Helper {
  id: string;
  name: string;
  step: string;
  at: number | null;
}

/** One incident; all times in milliseconds since 1970. */
export interface Incident {
  id: string;
  version: number;
  state: IncidentState;
  class: string;
  priority: Priority;
  condition: Condition;
  place: Place;
  gateway: string;
  alarms: AlarmLine[];
  openedAt: number;
  acknowledgedBy: string | null;
  acknowledgedAt: number | null;
  assignee: { id: string; name: string } | null;
  helpers: Helper[];
  deadlineAt: number | null;
  shelvedUntil: number | null;
  repeats: number;
  flags: string[];
  cause: string | null;
  timeline: TimelineLine[];
}

export interface PersonRow {
  id: string;
  name: string;
  role: string;
  grid: string | null;
}

export interface FloorCount {
  unit: string | null;
  floor: number | null;
  kind: string;
  lifeSafety: boolean;
  total: number;
  online: number;
}

export interface Site {
  community: string;
  building: string;
  grid: string | null;
  microGrid: string | null;
  units: string[];
  floors: [number, number];
  householdsPerFloor: number;
  counts: FloorCount[];
}

export interface GatewayRow {
  id: string;
  state: "heard" | "lost" | "unknown";
  lastHeardAt: number | null;
  links: Record<string, "up" | "down" | "unknown">;
  site: Site | null;
}

export interface Snapshot {
  epoch: string;
  seq: number;
  serverTime: number;
  incidents: Incident[];
  gateways: GatewayRow[];
  people: PersonRow[];
}

export interface Me {
  name: string;
  role: string;
  csrf: string;
  dutyRoom: string;
  site: string;
  /** IANA name of the site's time zone; empty: that of this computer. */
  timeZone: string;
  /** Who is on duty at this console, as the duty room has it; the first name goes with each step. */
  shift: string[];
}

type Json = Record<string, unknown>;

const isJson = (raw: unknown): raw is Json => typeof raw === "object" && raw !== null && !Array.isArray(raw);
const text = (raw: unknown): string | null =>
  typeof raw === "string" && raw !== "" ? raw : typeof raw === "number" ? String(raw) : null;
const number = (raw: unknown): number | null => (typeof raw === "number" && Number.isFinite(raw) ? raw : null);
const list = (raw: unknown): unknown[] => (Array.isArray(raw) ? raw : []);

export function time(raw: unknown): number | null {
  const at = typeof raw === "string" ? Date.parse(raw) : NaN;
  return Number.isNaN(at) ? null : at;
}

/** A person as the contract writes it ({id,name,via}), or just a name. */
function personName(raw: unknown): string | null {
  return isJson(raw) ? (text(raw.name) ?? text(raw.id)) : text(raw);
}

function readCondition(raw: unknown): Condition {
  return raw === "on" || raw === "off" ? raw : "unknown";
}

function readPlace(raw: unknown): Place {
  const place = isJson(raw) ? raw : {};
  return {
    community: text(place.community),
    building: text(place.building),
    unit: text(place.unit),
    floor: number(place.floor),
    household: text(place.household),
    room: text(place.room),
    text: text(place.text),
  };
}

function readAlarm(raw: unknown): AlarmLine {
  const alarm = isJson(raw) ? raw : {};
  const value = alarm.value;
  return {
    id: text(alarm.id) ?? "?",
    state: text(alarm.state) ?? "UNACK",
    device: text(alarm.device) ?? "?",
    condition: readCondition(alarm.condition),
    value: typeof value === "number" || typeof value === "string" || typeof value === "boolean" ? value : null,
    unit: text(alarm.unit),
  };
}

function readLine(raw: unknown): TimelineLine {
  const line = isJson(raw) ? raw : {};
  return {
    at: time(line.at),
    by: personName(line.by),
    via: isJson(line.by) ? text(line.by.via) : null,
    step: text(line.step) ?? "?",
    reason: text(line.reason),
    value: number(line.value),
    unit: text(line.unit),
  };
}

function readHelper(raw: unknown): Helper | null {
  if (!isJson(raw)) return null;
  const id = text(raw.id);
  return id === null ? null : { id, name: text(raw.name) ?? id, step: text(raw.step) ?? "dispatched", at: time(raw.at) };
}

/**
 * Incident of the contract, or null when it cannot be told which incident it is. Everything else that is not
 * understood fails towards noise: an unknown state is unacknowledged, an unknown priority is 1.
 */
export function readIncident(raw: unknown): Incident | null {
  if (!isJson(raw)) return null;
  const id = text(raw.id);
  const version = number(raw.version);
  if (id === null || version === null) return null;
  const acknowledged = isJson(raw.acknowledged) ? raw.acknowledged : null;
  const assignee = isJson(raw.assignee) ? text(raw.assignee.id) : text(raw.assignee);
  return {
    id,
    version,
    state: STATES.find((state) => state === raw.state) ?? "unacknowledged",
    class: text(raw.class) ?? "?",
    priority: raw.priority === 2 || raw.priority === 3 || raw.priority === 4 ? raw.priority : 1,
    condition: readCondition(raw.condition),
    place: readPlace(raw.place),
    gateway: text(raw.gateway) ?? "?",
    alarms: list(raw.alarms).map(readAlarm),
    openedAt: time(raw.opened_at) ?? 0,
    acknowledgedBy: acknowledged ? personName(acknowledged.by) : null,
    acknowledgedAt: acknowledged ? time(acknowledged.at) : null,
    assignee: assignee === null ? null : { id: assignee, name: personName(raw.assignee) ?? assignee },
    helpers: list(raw.helpers)
      .map(readHelper)
      .filter((helper) => helper !== null),
    deadlineAt: time(raw.deadline_at),
    shelvedUntil: time(raw.shelved_until),
    repeats: number(raw.repeats) ?? 0,
    flags: list(raw.flags).filter((flag): flag is string => typeof flag === "string"),
    cause: text(raw.cause),
    timeline: list(raw.timeline).map(readLine),
  };
}

function readCount(raw: unknown): FloorCount {
  const count = isJson(raw) ? raw : {};
  return {
    unit: text(count.unit),
    floor: number(count.floor),
    kind: text(count.kind) ?? "?",
    lifeSafety: count.life_safety === true,
    total: number(count.total) ?? 0,
    online: number(count.online) ?? 0,
  };
}

function readSite(raw: unknown): Site | null {
  if (!isJson(raw)) return null;
  const floors = list(raw.floors).map(number);
  const low = floors[0] ?? null;
  const high = floors[1] ?? null;
  if (low === null || high === null || high < low) return null;
  return {
    community: text(raw.community) ?? "",
    building: text(raw.building) ?? "",
    grid: text(raw.grid),
    microGrid: text(raw.micro_grid),
    units: list(raw.units)
      .map(text)
      .filter((unit) => unit !== null),
    floors: [low, high],
    householdsPerFloor: number(raw.households_per_floor) ?? 0,
    counts: list(raw.counts).map(readCount),
  };
}

export function readGateways(raw: unknown): GatewayRow[] {
  const rows: GatewayRow[] = [];
  for (const item of list(raw)) {
    if (!isJson(item)) continue;
    const id = text(item.id);
    if (id === null) continue;
    const links: GatewayRow["links"] = {};
    for (const [link, state] of Object.entries(isJson(item.links) ? item.links : {}))
      links[link] = state === "up" || state === "down" ? state : "unknown";
    rows.push({
      id,
      state: item.state === "heard" || item.state === "lost" ? item.state : "unknown",
      lastHeardAt: time(item.last_heard_at),
      links,
      site: readSite(item.site),
    });
  }
  return rows;
}

export function readPeople(raw: unknown): PersonRow[] {
  const rows: PersonRow[] = [];
  for (const item of list(raw)) {
    const id = isJson(item) ? text(item.id) : null;
    if (!isJson(item) || id === null) continue;
    rows.push({ id, name: text(item.name) ?? id, role: text(item.role) ?? "", grid: text(item.grid) });
  }
  return rows;
}

/** The snapshot, or null when it is not one. */
export function readSnapshot(raw: unknown): Snapshot | null {
  if (!isJson(raw)) return null;
  const epoch = text(raw.epoch);
  const seq = number(raw.seq);
  if (epoch === null || seq === null) return null;
  return {
    epoch,
    seq,
    serverTime: time(raw.server_time) ?? 0,
    incidents: list(raw.incidents)
      .map(readIncident)
      .filter((incident) => incident !== null),
    gateways: readGateways(raw.gateways),
    people: readPeople(raw.people),
  };
}

export function readMe(raw: unknown): Me | null {
  if (!isJson(raw)) return null;
  const dutyRoom = isJson(raw.duty_room) ? text(raw.duty_room.id) : text(raw.duty_room);
  const site = isJson(raw.site) ? text(raw.site.community) : text(raw.site);
  return {
    name: text(raw.name) ?? "?",
    role: text(raw.role) ?? "viewer",
    csrf: text(raw.csrf) ?? "",
    dutyRoom: dutyRoom ?? "",
    site: site ?? "",
    timeZone: text(raw.timezone) ?? "",
    shift: list(raw.shift)
      .map(text)
      .filter((name) => name !== null),
  };
}

/** The building as floors × stairs × households (pure): grey unless abnormal, unknown never drawn as normal. */

import { isUnacknowledged } from "@/core/sort";
import type { FloorCount, GatewayRow, Incident, Priority } from "@/core/types";

export interface Cell {
  /** Stable name for focus and tests: unit/floor/household; household is empty for the shared part of a stair. */
  id: string;
  unit: string;
  floor: number;
  household: string | null;
  /** Unknown or offline: the gateway is silent, no device of one kind answers on this floor, or one here is offline. */
  unknown: boolean;
  priority: Priority | null;
  acknowledged: boolean;
  incidents: Incident[];
}

export interface Protection {
  kind: string;
  online: number;
  total: number;
}

export interface Stair {
  unit: string;
  cells: Cell[];
  /** Life-safety devices of this stair on this floor. */
  protection: Protection[];
  unknown: boolean;
}

export interface Floor {
  floor: number;
  stairs: Stair[];
}

export interface Elevation {
  floors: Floor[];
  /** Alarms that belong to no floor: the gateway, a link. */
  whole: Incident[];
  /** The gateway is heard: what it says is of now. */
  known: boolean;
  protection: { online: number; total: number };
}

/** Households are numbered the way doorplates are: floor, then two digits. */
export function householdsOf(floor: number, perFloor: number): string[] {
  if (floor < 1) return [];
  return Array.from({ length: perFloor }, (_, i) => `${floor}${String(i + 1).padStart(2, "0")}`);
}

function floorsOf(lowest: number, highest: number): number[] {
  const floors: number[] = [];
  // There is no storey 0: below the first is the first basement.
  for (let floor = highest; floor >= lowest; floor -= 1) if (floor !== 0) floors.push(floor);
  return floors;
}

const KINDS = ["smoke", "heat", "gas", "co", "call_button"];
const kindRank = (kind: string): number => (KINDS.includes(kind) ? KINDS.indexOf(kind) : KINDS.length);

function sumByKind(counts: FloorCount[]): Protection[] {
  const kinds = new Map<string, Protection>();
  for (const count of counts) {
    const sum = kinds.get(count.kind) ?? { kind: count.kind, online: 0, total: 0 };
    sum.online += count.online;
    sum.total += count.total;
    kinds.set(count.kind, sum);
  }
  return [...kinds.values()].sort((a, b) => kindRank(a.kind) - kindRank(b.kind) || a.kind.localeCompare(b.kind));
}

/** They only send: that nothing came from them says nothing, so they never make a floor known. */
const ONE_WAY = new Set(["call_button"]);

/** Of one kind of life-safety device none answers here: whether it burns, or gas flows, is not known. */
function isDark(protection: readonly Protection[]): boolean {
  const spoken = protection.filter(({ kind, total }) => total > 0 && !ONE_WAY.has(kind));
  if (spoken.length > 0) return spoken.some(({ online }) => online === 0);
  return protection.length > 0 && protection.every(({ online, total }) => total > 0 && online === 0);
}

const GONE = new Set(["device.offline", "link.down", "gateway.lost"]);

function cellOf(unit: string, floor: number, household: string | null, here: Incident[], dark: boolean): Cell {
  const waiting = here.filter(isUnacknowledged);
  const most = (list: Incident[]): Priority | null =>
    list.reduce<Priority | null>((best, i) => (best === null || i.priority < best ? i.priority : best), null);
  const open = here.filter((incident) => incident.state !== "resolved" || incident.flags.includes("still_in_alarm"));
  const silent = open.some((incident) => GONE.has(incident.class) && incident.condition !== "off");
  return {
    id: `${unit}/${floor}/${household ?? ""}`,
    unit,
    floor,
    household,
    unknown: dark || silent,
    priority: most(waiting) ?? most(open),
    acknowledged: waiting.length === 0,
    incidents: here,
  };
}

/** The elevation of one gateway's building with the incidents of that gateway; null when its shape is not known. */
export function elevationOf(gateway: GatewayRow, all: readonly Incident[]): Elevation | null {
  const site = gateway.site;
  if (!site) return null;
  const incidents = all.filter((incident) => incident.gateway === gateway.id);
  const known = gateway.state === "heard";
  const floors = floorsOf(site.floors[0], site.floors[1]);
  const units = site.units.length > 0 ? site.units : [""];
  const shown = new Set<Incident>();
  // Sorted into stairs once: a storm of ten thousand must not be searched for each of them.
  const byStair = new Map<string, Incident[]>();
  for (const incident of incidents) {
    const unit = incident.place.unit ?? (units.length === 1 ? units[0]! : "");
    const key = `${unit}/${incident.place.floor ?? ""}`;
    const list = byStair.get(key);
    if (list) list.push(incident);
    else byStair.set(key, [incident]);
  }
  const rows = floors.map((floor) => ({
    floor,
    stairs: units.map((unit) => stairOf(unit, floor)),
  }));
  const safety = site.counts.filter((count) => count.lifeSafety);
  return {
    floors: rows,
    whole: incidents.filter((incident) => !shown.has(incident)),
    known,
    protection: {
      online: safety.reduce((sum, count) => sum + count.online, 0),
      total: safety.reduce((sum, count) => sum + count.total, 0),
    },
  };

  function stairOf(unit: string, floor: number): Stair {
    const here = byStair.get(`${unit}/${floor}`) ?? [];
    const counts = site!.counts.filter((count) => count.floor === floor && (count.unit ?? units[0]) === unit && count.lifeSafety);
    const protection = sumByKind(counts);
    const dark = !known || isDark(protection);
    const households = householdsOf(floor, site!.householdsPerFloor);
    const cells = households.map((household) =>
      cellOf(unit, floor, household, here.filter((incident) => incident.place.household === household), dark),
    );
    const shared = here.filter((incident) => !households.includes(incident.place.household ?? ""));
    here.forEach((incident) => shown.add(incident));
    return { unit, cells: [cellOf(unit, floor, null, shared, dark), ...cells], protection, unknown: dark };
  }
}

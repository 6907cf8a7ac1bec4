/** Nouns of the contract in the words of the person who reads them. */

import { language, t, tOr } from "@/core/i18n";
import { shallowRef } from "vue";
import type { Incident, Place, TimelineLine } from "@/core/types";

export const classWord = (name: string): string => tOr(`console.class.${name}`, name);
export const stateWord = (state: string): string => tOr(`console.state.${state}`, state);
/** For the narrow columns of the queue. */
export const shortState = (state: string): string => tOr(`console.short.${state}`, stateWord(state));
export const kindWord = (kind: string): string => tOr(`console.kind.${kind}`, kind);
export const roleWord = (role: string): string => tOr(`console.role.${role}`, role);
export const codeWord = (code: string): string => tOr(`console.code.${code}`, code);
export const causeWord = (cause: string): string => tOr(`console.cause.${cause}`, cause);
export const priorityWord = (priority: number): string => tOr(`console.priority.${priority}`, String(priority));

export function floorWord(floor: number): string {
  return floor < 0 ? t("console.place.basement", { n: -floor }) : t("console.place.floor", { n: floor });
}

export function buildingWord(building: string): string {
  return /^\d+$/.test(building) ? t("console.place.building", { b: building }) : building;
}

/** 楼›单元›层›户›房间, without the community: one duty room mostly has one, and the space is needed. */
export function placeParts(place: Place): string[] {
  if (place.text) return [place.text];
  const parts: string[] = [];
  if (place.building) parts.push(buildingWord(place.building));
  if (place.unit) parts.push(/^\d+$/.test(place.unit) ? t("console.place.unit", { u: place.unit }) : place.unit);
  if (place.floor !== null) parts.push(floorWord(place.floor));
  if (place.household) parts.push(t("console.place.household", { h: place.household }));
  if (place.room) parts.push(place.room);
  return parts;
}

export function placeWord(incident: Pick<Incident, "place" | "gateway">): string {
  const parts = placeParts(incident.place);
  return parts.length > 0 ? parts.join(" › ") : t("console.place.gateway", { id: incident.gateway });
}

/** mm:ss in the first hour, then coarser: nobody reads seconds after that. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (minutes < 60) return `${two(minutes)}:${two(seconds % 60)}`;
  return duration(ms);
}

/** The same in words. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return t("console.time.s", { s: seconds });
  if (hours < 1) return t("console.time.m", { m: minutes, s: seconds % 60 });
  if (hours < 24) return t("console.time.h", { h: hours, m: minutes % 60 });
  return t("console.time.d", { d: Math.floor(hours / 24), h: hours % 24 });
}

/** The site's time zone: a wall clock on the site is what people compare with, not the browser's. */
const zone = shallowRef<string | undefined>(undefined);
const formats = new Map<string, Intl.DateTimeFormat>();

/** Take the zone of the site; a name that this browser does not know leaves its own. */
export function useTimeZone(name: string): void {
  try {
    zone.value = name ? new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone : undefined;
  } catch {
    zone.value = undefined;
  }
}

function format(at: number, options: Intl.DateTimeFormatOptions): string {
  const key = `${language.value} ${zone.value ?? ""} ${Object.keys(options).join()}`;
  let made = formats.get(key);
  if (!made) formats.set(key, (made = new Intl.DateTimeFormat(language.value, { ...options, timeZone: zone.value })));
  return made.format(at);
}

export function clockTime(at: number, seconds = true): string {
  const minutes = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  return format(at, seconds ? { ...minutes, second: "2-digit" } : minutes);
}

const dayOf = (at: number): string => format(at, { year: "numeric", month: "2-digit", day: "2-digit" });

/** Time of day today, with the date before. */
export function moment(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return clockTime(at);
  return `${format(at, { month: "2-digit", day: "2-digit" })} ${clockTime(at, false)}`;
}

/** Date and time to the second, for paper: it is read on another day. */
export function stamp(at: number): string {
  return `${format(at, { month: "2-digit", day: "2-digit" })} ${clockTime(at)}`;
}

const MOMENTARY = new Set(["sos.call"]);

export function conditionWord(incident: Incident): string {
  if (incident.condition === "on") return t("console.condition.on");
  if (incident.condition === "unknown") return t("console.condition.unknown");
  if (MOMENTARY.has(incident.class)) return t("console.condition.pressed");
  const cleared = [...incident.timeline].reverse().find((line) => line.step === "cleared");
  return cleared?.at ? t("console.condition.off_at", { time: clockTime(cleared.at, false) }) : t("console.condition.off");
}

/** One line of the timeline. `who` is the person a step is about; the actor is shown beside it. */
export function stepWord(line: TimelineLine): string {
  const who = line.reason ?? line.by ?? "";
  return tOr(`console.step.${line.step}`, line.step, { who });
}

/** Newest first; people told one after the other become one line that names each of them once. */
export function foldTold(lines: readonly TimelineLine[]): TimelineLine[] {
  const folded: TimelineLine[] = [];
  for (const line of [...lines].reverse()) {
    const last = folded[folded.length - 1];
    if (line.step !== "told" || last?.step !== "told" || line.reason === null || last.reason === null) {
      folded.push({ ...line });
      continue;
    }
    const names = last.reason.split(t("console.list.comma"));
    if (!names.includes(line.reason)) last.reason = [...names, line.reason].join(t("console.list.comma"));
  }
  return folded;
}

const SAYS_WHO = new Set(["dispatched", "en_route", "on_scene", "told", "not_told"]);
/** Lines of the device itself. Their reason is the id of a rule unless it is a sentence. */
const OF_DEVICE = new Set(["raised", "repeated", "priority_raised", "cleared", "re_alarmed"]);
const IS_ID = /^[a-z0-9][a-z0-9_.-]*$/;
const ORDERS = new Set(["unheard", "order_refused", "order_expired"]);

/** The reason of a line as far as its step does not say it already. */
export function reasonWord(line: TimelineLine): string {
  if (line.value !== null) return valueWord(line.value, line.unit);
  if (!line.reason || SAYS_WHO.has(line.step)) return "";
  if (line.step === "overdue") return stateWord(line.reason);
  if (ORDERS.has(line.step)) return orderWord(line.reason);
  const known = tOr(`console.reason.${line.reason}`, "");
  if (known || (OF_DEVICE.has(line.step) && IS_ID.test(line.reason))) return known;
  const [cause = "", ...note] = line.reason.split(": ");
  return [causeWord(cause), ...note].join(t("console.list.colon"));
}

/** "reset: condition_on the gateway's text": the order and the code are what we have words for. */
function orderWord(reason: string): string {
  const [order = "", code = ""] = reason.split(/:? /);
  const word = tOr(`console.order.${order}`, order);
  return code ? [word, codeWord(code)].join(t("console.list.colon")) : word;
}

export function actorWord(line: TimelineLine): string {
  if (line.by === null) return "";
  const via = line.via ? tOr(`console.via.${line.via}`, line.via) : "";
  // "王芳 在途" by 王芳: the name stands there already.
  if (via && SAYS_WHO.has(line.step) && line.reason === line.by) return via;
  return via ? `${line.by} · ${via}` : line.by;
}

/** Which procedure and which causes an alarm class has. */
export function family(name: string): "fire" | "gas" | "sos" | "door" | "water" | "bin" | "overheat" | "link" | "device" | "other" {
  if (name === "bin.overheat") return "overheat";
  if (name === "link.down" || name === "gateway.lost" || name === "duty_room.unheard") return "link";
  const head = name.split(".")[0];
  if (head === "gateway") return "device";
  return head === "fire" || head === "gas" || head === "sos" || head === "door" || head === "water" || head === "bin" || head === "device"
    ? head
    : "other";
}

/** The steps of the procedure, first one first. */
export function procedure(name: string): string[] {
  const steps: string[] = [];
  for (let n = 1; ; n += 1) {
    const step = tOr(`console.sop.${family(name)}.${n}`, "");
    if (step === "") return steps;
    steps.push(step);
  }
}

/** Words of the duty room's own list first; the codes are stable, the ledger counts them. */
const CAUSES: Record<ReturnType<typeof family>, readonly string[]> = {
  fire: ["real", "false_cooking", "false_steam", "false_dust", "false_smoking", "device_fault", "test", "recovered", "other"],
  gas: ["real", "false_cooking", "false_steam", "device_fault", "test", "recovered", "other"],
  sos: ["helped", "hospital", "misuse", "device_fault", "test", "other"],
  door: ["real", "resident", "misuse", "device_fault", "test", "recovered", "other"],
  water: ["real", "misuse", "device_fault", "test", "recovered", "other"],
  bin: ["collected", "device_fault", "test", "recovered", "other"],
  overheat: ["real", "false_smoking", "device_fault", "test", "recovered", "other"],
  link: ["repaired", "power_failure", "device_fault", "test", "recovered", "other"],
  device: ["repaired", "battery_changed", "power_failure", "device_fault", "test", "recovered", "other"],
  other: ["real", "device_fault", "test", "recovered", "other"],
};

/** At most nine causes, chosen by their digit. */
export const causesOf = (name: string): readonly string[] => CAUSES[family(name)];

const HIDDEN_FLAGS = new Set(["overdue", "pending"]);

/** Flags a row shows, in words; how many devices are unprotected where that is known. */
export function flagWords(incident: Incident): { flag: string; word: string }[] {
  return incident.flags
    .filter((flag) => !HIDDEN_FLAGS.has(flag))
    .map((flag) => {
      const count = incident.alarms[0]?.value;
      if (flag === "unprotected" && typeof count === "number")
        return { flag, word: t("console.flag.unprotected_n", { n: count }) };
      return { flag, word: tOr(`console.flag.${flag}`, flag) };
    });
}

export function valueWord(value: number | string | boolean | null, unit: string | null): string {
  if (value === null || typeof value === "boolean") return "";
  return unit ? `${value} ${unit}` : String(value);
}

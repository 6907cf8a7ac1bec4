/** Order of the queue (pure): what a person must look at next comes first. */

import type { Incident, Priority } from "@/core/types";

/** 0 waits for an acknowledgement, 1 is being handled, 2 is shelved, 3 is resolved and back to normal. */
export type Band = 0 | 1 | 2 | 3;

/** Precomputed order of one incident at one moment; compared by `compare`. */
export interface Rank {
  id: string;
  band: Band;
  priority: Priority;
  /** 0 when the deadline of the next step has passed, else 1. */
  onTime: 0 | 1;
  openedAt: number;
}

const QUIET_ALARMS = new Set(["SHLVD", "DSUPR", "OOSRV"]);

export const isShelved = (incident: Incident): boolean => incident.shelvedUntil !== null;

/** A named person, or a rule, decided that it does not ring: shelved, suppressed or out of service. */
export function isQuiet(incident: Incident): boolean {
  const { alarms } = incident;
  return isShelved(incident) || (alarms.length > 0 && alarms.every((alarm) => QUIET_ALARMS.has(alarm.state)));
}

/** Nobody has answered, and nobody has decided that it may wait. */
export function isUnacknowledged(incident: Incident): boolean {
  return incident.state === "unacknowledged" && !isQuiet(incident);
}

/** The deadline of the next step has passed, or somebody on site has asked for more people. Resolved incidents have no next step. */
export function isOverdue(incident: Incident, now: number): boolean {
  if (incident.state === "resolved" || incident.state === "closed" || isShelved(incident)) return false;
  if (incident.flags.includes("support")) return true;
  return incident.flags.includes("overdue") || (incident.deadlineAt !== null && incident.deadlineAt <= now);
}

function bandOf(incident: Incident): Band {
  if (isUnacknowledged(incident)) return 0;
  if (incident.state === "resolved") return incident.flags.includes("still_in_alarm") ? 1 : 3;
  return isQuiet(incident) ? 2 : 1;
}

export function rankOf(incident: Incident, now: number): Rank {
  return {
    id: incident.id,
    band: bandOf(incident),
    priority: incident.priority,
    onTime: isOverdue(incident, now) ? 0 : 1,
    openedAt: incident.openedAt,
  };
}

/**
 * Unacknowledged first, then priority, then missed deadlines, then oldest first inside priority 1 (nobody starves)
 * and newest first below. Total: two different incidents never compare as 0.
 */
export function compare(a: Rank, b: Rank): number {
  if (a.band !== b.band) return a.band - b.band;
  if (a.priority !== b.priority) return a.priority - b.priority;
  if (a.onTime !== b.onTime) return a.onTime - b.onTime;
  if (a.openedAt !== b.openedAt) return a.priority === 1 ? a.openedAt - b.openedAt : b.openedAt - a.openedAt;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Where `rank` is, or belongs, in a sorted list. */
export function positionOf(sorted: readonly Rank[], rank: Rank): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(sorted[middle]!, rank) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Folding of a storm (pure): the same kind in the same building within a minute is one row with its first-up named. */

import type { Band } from "@/core/sort";
import type { Incident } from "@/core/types";

const GROUP_GAP_MS = 60_000;
/** Two rows say more than one folded row; folding pays from three. */
const GROUP_MIN = 3;

export interface Group {
  key: string;
  /** In the order of the queue. */
  members: Incident[];
  /** The one that was first, which is where to look. */
  first: Incident;
  /** When its newest member was opened. */
  newest: number;
}

export type Row =
  | { kind: "incident"; id: string; incident: Incident; group: Group | null }
  | { kind: "group"; id: string; group: Group; open: boolean };

export interface Placed {
  incident: Incident;
  band: Band;
}

/** A call for help is a person of its own: never folded. */
const folds = (incident: Incident): boolean => !incident.class.startsWith("sos.");

function isNear(group: Group, openedAt: number): boolean {
  return openedAt >= group.first.openedAt - GROUP_GAP_MS && openedAt <= group.newest + GROUP_GAP_MS;
}

function gather(sorted: readonly Placed[]): Map<Incident, Group> {
  const open = new Map<string, Group>();
  const groups: Group[] = [];
  for (const { incident, band } of sorted) {
    if (!folds(incident)) continue;
    const kind = `${band}|${incident.gateway}|${incident.place.building ?? ""}|${incident.class}|${incident.priority}`;
    const group = open.get(kind);
    if (group && isNear(group, incident.openedAt)) {
      group.members.push(incident);
      group.newest = Math.max(group.newest, incident.openedAt);
      if (incident.openedAt < group.first.openedAt) group.first = incident;
      continue;
    }
    const fresh: Group = { key: "", members: [incident], first: incident, newest: incident.openedAt };
    open.set(kind, fresh);
    groups.push(fresh);
  }
  const folded = new Map<Incident, Group>();
  for (const group of groups) {
    if (group.members.length < GROUP_MIN) continue;
    // Named after its first-up: the key stays the same while the group grows.
    group.key = `group:${group.first.id}`;
    for (const member of group.members) folded.set(member, group);
  }
  return folded;
}

/** Rows of the queue. A group stands where its first row would; open groups list their members below it. */
export function fold(sorted: readonly Placed[], isOpen: (key: string) => boolean): Row[] {
  const folded = gather(sorted);
  const seen = new Set<Group>();
  const rows: Row[] = [];
  for (const { incident } of sorted) {
    const group = folded.get(incident);
    if (!group) {
      rows.push({ kind: "incident", id: incident.id, incident, group: null });
      continue;
    }
    if (seen.has(group)) continue;
    seen.add(group);
    const open = isOpen(group.key);
    rows.push({ kind: "group", id: group.key, group, open });
    if (open)
      for (const member of group.members) rows.push({ kind: "incident", id: member.id, incident: member, group });
  }
  return rows;
}

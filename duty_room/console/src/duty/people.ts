/** Grid workers as units (pure): what each is doing, read from the incidents they help with. */

import type { Incident, PersonRow } from "@/core/types";

export type Duty = "free" | "dispatched" | "en_route" | "on_scene";

export interface Unit {
  person: PersonRow;
  duty: Duty;
  /** Since when; null for those who are free. */
  since: number | null;
  incident: Incident | null;
}

const WEIGHT: Record<Duty, number> = { free: 0, dispatched: 1, en_route: 2, on_scene: 3 };
const asDuty = (step: string): Duty => (step === "en_route" || step === "on_scene" ? step : "dispatched");

/** Helpers of open incidents; a server that names only the assignee is understood too. */
function helpersOf(incident: Incident): { id: string; step: string; at: number | null }[] {
  if (incident.state === "resolved" || incident.state === "closed") return [];
  if (incident.helpers.length > 0) return incident.helpers;
  return incident.assignee ? [{ id: incident.assignee.id, step: incident.state, at: null }] : [];
}

export function unitsOf(people: readonly PersonRow[], incidents: readonly Incident[]): Unit[] {
  const units = new Map<string, Unit>();
  for (const person of people) units.set(person.id, { person, duty: "free", since: null, incident: null });
  for (const incident of incidents) {
    for (const helper of helpersOf(incident)) {
      const unit = units.get(helper.id);
      const duty = asDuty(helper.step);
      if (unit && WEIGHT[duty] > WEIGHT[unit.duty]) Object.assign(unit, { duty, since: helper.at, incident });
    }
  }
  return [...units.values()];
}

/** Whom to send: the grid of the place first, free before busy; the order of the list breaks ties. */
export function proposed(units: readonly Unit[], grids: readonly (string | null)[]): Unit[] {
  const near = (unit: Unit): number => (unit.person.grid !== null && grids.includes(unit.person.grid) ? 0 : 1);
  return [...units].sort((a, b) => near(a) - near(b) || WEIGHT[a.duty] - WEIGHT[b.duty]);
}

/** Fake time and ready-made incidents for the tests. */

import { readIncident, type Incident } from "@/core/types";

/** Time that moves only when told; timers fire in order. */
export class FakeTime {
  private at = 0;
  private queue: { due: number; run: () => void }[] = [];

  now = (): number => this.at;
  after = (delayMs: number, run: () => void): void => {
    this.queue.push({ due: this.at + delayMs, run });
  };

  /** Let time pass; promises settle after every timer. */
  async pass(ms: number): Promise<void> {
    const end = this.at + ms;
    for (;;) {
      await settle();
      this.queue.sort((a, b) => a.due - b.due);
      const next = this.queue[0];
      if (!next || next.due > end) break;
      this.queue.shift();
      this.at = next.due;
      next.run();
    }
    this.at = end;
    await settle();
  }
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

export const BASE = Date.parse("2026-11-22T08:00:00.000Z");

/** JSON of an incident as the duty room sends it. */
export function wire(id: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id,
    version: 1,
    state: "unacknowledged",
    class: "fire.smoke",
    priority: 1,
    condition: "on",
    place: { community: "新盛", building: "12", unit: "1", floor: 3, household: "301" },
    gateway: "b12",
    alarms: [{ id: `a-${id}`, state: "UNACK", device: "s301", condition: "on" }],
    opened_at: new Date(BASE).toISOString(),
    acknowledged: null,
    assignee: null,
    deadline_at: null,
    repeats: 0,
    flags: [],
    timeline: [],
    ...more,
  };
}

export function incident(id: string, more: Record<string, unknown> = {}): Incident {
  const read = readIncident(wire(id, more));
  if (!read) throw new Error(`not an incident: ${id}`);
  return read;
}

export const at = (seconds: number): string => new Date(BASE + seconds * 1000).toISOString();

/** Small seeded generator (mulberry32), so that a failing case can be seen again. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

/** The incidents as the duty room told them, kept sorted. No Vue here: the screen is told through `onPaint`. */

import { compare, isOverdue, isShelved, isUnacknowledged, positionOf, rankOf, type Rank } from "@/core/sort";
import type { Incident, Priority } from "@/core/types";

/** Eyes and slow duty PCs gain nothing from more than four repaints a second. */
const PAINT_GAP_MS = 250;

export interface Counter {
  unacknowledged: number;
  all: number;
}

/** What the store needs of time, so that tests own it. */
export interface Timers {
  now(): number;
  after(delayMs: number, run: () => void): void;
}

/** What must be heard: the most urgent level, and a stamp that changes whenever it must start anew. */
export interface Ring {
  priority: Priority;
  stamp: number;
  incident: Incident;
}

export class Store {
  private readonly byId = new Map<string, { incident: Incident; rank: Rank }>();
  private readonly order: Rank[] = [];
  private lastPaint = Number.NEGATIVE_INFINITY;
  private waiting = false;
  private readonly stamps: Record<Priority, number> = { 1: 0, 2: 0, 3: 0, 4: 0 };

  constructor(
    private readonly timers: Timers,
    private readonly onPaint: () => void,
    private readonly onNew: (incident: Incident) => void = () => undefined,
  ) {}

  get size(): number {
    return this.order.length;
  }

  get(id: string): Incident | undefined {
    return this.byId.get(id)?.incident;
  }

  /** All open incidents in the order of the queue, each with its band. */
  sorted(): { incident: Incident; band: Rank["band"] }[] {
    return this.order.map((rank) => ({ incident: this.byId.get(rank.id)!.incident, band: rank.band }));
  }

  /** The top unacknowledged incident, or null. */
  top(): Incident | null {
    const first = this.order[0];
    return first && first.band === 0 ? this.byId.get(first.id)!.incident : null;
  }

  /** Everything anew after a snapshot: what it does not name is gone. */
  replaceAll(incidents: readonly Incident[]): void {
    const kept = new Set(incidents.map((incident) => incident.id));
    for (const id of [...this.byId.keys()]) if (!kept.has(id)) this.remove(id);
    // A snapshot after a restore may hold older versions than ours: it is the truth all the same.
    const urgent = this.takeIn(incidents, () => true);
    this.paint(urgent);
  }

  /** Upserts from the stream. A version we already have, or an older one, changes nothing. */
  apply(incidents: readonly Incident[]): void {
    this.paint(this.takeIn(incidents, (old, fresh) => fresh.version > old.version));
  }

  /** Time alone moves incidents whose deadline has passed. */
  tick(): void {
    const now = this.timers.now();
    let moved = false;
    for (const { incident, rank } of [...this.byId.values()]) {
      if (rank.onTime === 0 || !isOverdue(incident, now)) continue;
      this.place(incident, now);
      moved = true;
      if (incident.state !== "unacknowledged") this.stamps[overdueLevel(incident)] += 1;
    }
    if (moved) this.paint(false);
  }

  counters(): Record<Priority, Counter> {
    const counters: Record<Priority, Counter> = {
      1: { unacknowledged: 0, all: 0 },
      2: { unacknowledged: 0, all: 0 },
      3: { unacknowledged: 0, all: 0 },
      4: { unacknowledged: 0, all: 0 },
    };
    for (const rank of this.order) {
      const counter = counters[rank.priority];
      counter.all += 1;
      if (rank.band === 0) counter.unacknowledged += 1;
    }
    return counters;
  }

  shelved(): number {
    let count = 0;
    for (const { incident } of this.byId.values()) if (isShelved(incident)) count += 1;
    return count;
  }

  /** The most urgent thing that must be heard, or null. A missed next step rings one level softer. */
  ring(): Ring | null {
    const now = this.timers.now();
    let best: Ring | null = null;
    for (const rank of this.order) {
      const incident = this.byId.get(rank.id)!.incident;
      let level: Priority;
      if (rank.band === 0) level = rank.priority;
      else if (rank.band === 1 && isOverdue(incident, now)) level = overdueLevel(incident);
      else continue;
      if (level !== 4 && (best === null || level < best.priority))
        best = { priority: level, stamp: this.stamps[level], incident };
      if (best?.priority === 1) break;
    }
    return best;
  }

  private takeIn(incidents: readonly Incident[], wins: (old: Incident, fresh: Incident) => boolean): boolean {
    const now = this.timers.now();
    let urgent = false;
    for (const incident of incidents) {
      const old = this.byId.get(incident.id)?.incident;
      if (old && !wins(old, incident)) continue;
      if (incident.state === "closed") {
        this.remove(incident.id);
        continue;
      }
      const rings = isUnacknowledged(incident) && !(old && isUnacknowledged(old) && sameRing(old, incident));
      this.place(incident, now);
      if (!rings) continue;
      this.stamps[incident.priority] += 1;
      if (incident.priority === 1) urgent = true;
      this.onNew(incident);
    }
    return urgent;
  }

  private place(incident: Incident, now: number): void {
    const rank = rankOf(incident, now);
    const old = this.byId.get(incident.id);
    this.byId.set(incident.id, { incident, rank });
    if (old && compare(old.rank, rank) === 0) {
      this.order[positionOf(this.order, old.rank)] = rank;
      return;
    }
    if (old) this.order.splice(positionOf(this.order, old.rank), 1);
    this.order.splice(positionOf(this.order, rank), 0, rank);
  }

  private remove(id: string): void {
    const old = this.byId.get(id);
    if (!old) return;
    this.order.splice(positionOf(this.order, old.rank), 1);
    this.byId.delete(id);
  }

  private paint(urgent: boolean): void {
    const wait = this.lastPaint + PAINT_GAP_MS - this.timers.now();
    if (urgent || wait <= 0) {
      this.lastPaint = this.timers.now();
      this.onPaint();
      return;
    }
    if (this.waiting) return;
    this.waiting = true;
    this.timers.after(wait, () => {
      this.waiting = false;
      this.lastPaint = this.timers.now();
      this.onPaint();
    });
  }
}

function sameRing(old: Incident, fresh: Incident): boolean {
  return old.repeats === fresh.repeats && old.priority === fresh.priority;
}

function overdueLevel(incident: Incident): Priority {
  return Math.min(4, incident.priority + 1) as Priority;
}

/**
 * The live feed: one snapshot, then a stream that resumes at `<epoch>-<seq>`.
 *
 * One connection per tab, read with fetch: it can send Last-Event-ID itself, sees a 401, and can be cut when it is
 * half open. Nothing here trusts the connection: only a heartbeat or a batch counts as being heard.
 */

import { readGateways, readIncident, readSnapshot, time, type GatewayRow, type Incident, type Snapshot } from "@/core/types";
import { SseParser, type ServerEvent } from "@/core/sse";

/** Two heartbeats of 5 s may be lost. */
export const STALE_S = 12;
/** Four heartbeats are missing: the room must be watched by other means. */
export const LOST_S = 20;
const RETRY_S = 1;
const POLL_AFTER_FAILURES = 5;
const POLL_S = 5;
/** A head that stays ahead of us for this many heartbeats means that something did not reach us. */
const HEADS_AHEAD = 2;

export type Freshness = "live" | "stale" | "lost";

export interface StreamSink {
  snapshot(snapshot: Snapshot): void;
  incidents(incidents: Incident[]): void;
  gateways(gateways: GatewayRow[], serverTime: number): void;
  /** The session ended: alarms stay on screen, the person must sign in again. */
  signedOut(): void;
}

export interface StreamIo {
  /** JSON of the snapshot. Rejects with Unauthorised on 401. */
  snapshot(): Promise<unknown>;
  /** Opens the stream and feeds its text until it ends; rejects on failure. Rejects with Unauthorised on 401. */
  listen(lastEventId: string, onText: (chunk: string) => void, signal: AbortSignal): Promise<void>;
  now(): number;
  after(delayMs: number, run: () => void): void;
  jitter(): number;
}

export class Unauthorised extends Error {}

export class Stream {
  epoch = "";
  seq = 0;
  /** When the last heartbeat, batch or snapshot came; null before the first. */
  heardAt: number | null = null;
  failures = 0;
  /** How long the last loss lasted and how many incidents changed meanwhile, told once on return. */
  private lostSince: number | null = null;
  private readonly startedAt: number;
  private generation = 0;
  private abort: AbortController | null = null;
  private headsAhead = 0;
  private fetching = false;
  private polling = false;
  private stopped = true;

  constructor(
    private readonly io: StreamIo,
    private readonly sink: StreamSink,
    private readonly onReturn: (lostMs: number) => void = () => undefined,
  ) {
    this.startedAt = io.now();
  }

  /** Seconds since anything was heard. */
  ageS(): number {
    return (this.io.now() - (this.heardAt ?? this.startedAt)) / 1000;
  }

  freshness(): Freshness {
    const age = this.ageS();
    return age >= LOST_S ? "lost" : age >= STALE_S ? "stale" : "live";
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    void this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.cut();
  }

  /** Called about once a second: notes the loss, and cuts a connection that is open but silent. */
  watch(): void {
    if (this.freshness() !== "lost") return;
    this.lostSince ??= this.heardAt ?? this.startedAt;
    if (this.abort && this.heardAt !== null) {
      this.cut();
      this.retry();
    }
  }

  private cut(): void {
    this.generation += 1;
    this.abort?.abort();
    this.abort = null;
  }

  private async connect(): Promise<void> {
    const generation = (this.generation += 1);
    const current = (): boolean => generation === this.generation && !this.stopped;
    try {
      if (this.epoch === "") await this.refetch();
      if (!current()) return;
      const parser = new SseParser();
      const abort = new AbortController();
      this.abort = abort;
      const onText = (chunk: string): void => {
        for (const event of parser.push(chunk)) if (current()) this.take(event);
      };
      await this.io.listen(`${this.epoch}-${this.seq}`, onText, abort.signal);
    } catch (error) {
      if (error instanceof Unauthorised) this.sink.signedOut();
    }
    if (!current()) return;
    this.abort = null;
    this.retry();
  }

  private retry(): void {
    this.failures += 1;
    if (this.failures >= POLL_AFTER_FAILURES) this.poll();
    const generation = this.generation;
    this.io.after(RETRY_S * 1000 * (1 + this.io.jitter()), () => {
      if (generation === this.generation && !this.stopped) void this.connect();
    });
  }

  /** The stream does not come through (a proxy, say): read the whole state every 5 s beside the attempts. */
  private poll(): void {
    if (this.polling) return;
    this.polling = true;
    const again = (): void => {
      if (this.stopped || this.failures < POLL_AFTER_FAILURES) {
        this.polling = false;
        return;
      }
      void this.refetch().catch(() => undefined);
      this.io.after(POLL_S * 1000, again);
    };
    again();
  }

  /** Take the whole state. Rejects when it cannot be had. */
  private async refetch(): Promise<void> {
    if (this.fetching) return;
    this.fetching = true;
    try {
      const snapshot = readSnapshot(await this.io.snapshot());
      if (!snapshot) throw new Error("not a snapshot");
      // A batch may have overtaken the snapshot while it was under way: the newer one stays.
      if (snapshot.epoch === this.epoch && snapshot.seq < this.seq) return this.heard();
      this.epoch = snapshot.epoch;
      this.seq = snapshot.seq;
      this.headsAhead = 0;
      this.heard();
      this.sink.snapshot(snapshot);
    } finally {
      this.fetching = false;
    }
  }

  private heard(): void {
    const lostSince = this.lostSince;
    this.heardAt = this.io.now();
    this.lostSince = null;
    if (lostSince !== null) this.onReturn(this.heardAt - lostSince);
  }

  private take(event: ServerEvent): void {
    const body = parse(event.data);
    if (event.event === "batch" && body) this.takeBatch(event, body);
    else if (event.event === "hb" && body) this.takeHeartbeat(body);
    else if (event.event === "reset") this.startOver();
    else if (event.event === "auth") this.sink.signedOut();
  }

  private takeBatch(event: ServerEvent, body: Record<string, unknown>): void {
    const { from, to } = body;
    const epoch = event.id?.slice(0, event.id.lastIndexOf("-"));
    if (typeof from !== "number" || typeof to !== "number" || !Array.isArray(body.items)) return this.startOver();
    if (from > this.seq + 1 || (epoch !== undefined && epoch !== this.epoch)) return this.startOver();
    const incidents = body.items.map(readIncident);
    if (incidents.includes(null)) return this.startOver();
    this.failures = 0;
    this.seq = Math.max(this.seq, to);
    this.heard();
    this.sink.incidents(incidents.filter((incident) => incident !== null));
  }

  private takeHeartbeat(body: Record<string, unknown>): void {
    this.failures = 0;
    this.heard();
    this.sink.gateways(readGateways(body.gateways), time(body.server_time) ?? this.io.now());
    const head = body.seq;
    this.headsAhead = typeof head === "number" && head > this.seq ? this.headsAhead + 1 : 0;
    if (this.headsAhead >= HEADS_AHEAD) this.startOver();
  }

  /** A gap, another epoch or nonsense: the stream is worth nothing until the whole state was read again. */
  private startOver(): void {
    this.cut();
    this.epoch = "";
    const generation = this.generation;
    // Not at once in a loop: a server that always resets must not be asked a thousand times a second.
    this.io.after(this.failures === 0 ? 50 : RETRY_S * 1000, () => {
      if (generation === this.generation && !this.stopped) void this.connect();
    });
    this.failures += 1;
  }
}

function parse(data: string): Record<string, unknown> | null {
  try {
    const body: unknown = JSON.parse(data);
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

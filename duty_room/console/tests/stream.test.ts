import { describe, expect, it } from "vitest";
import { SseParser } from "@/core/sse";
import { LOST_S, Stream, Unauthorised, type StreamSink } from "@/core/stream";
import type { Incident } from "@/core/types";
import { FakeTime, random, settle, wire } from "./fakes";

/** A duty room that keeps a log, serves snapshots and streams, and can be cut. */
class FakeRoom {
  epoch = "e1";
  log: Record<string, unknown>[] = [];
  down = false;
  signedOut = false;
  listens: string[] = [];
  snapshots = 0;
  private text: ((chunk: string) => void) | null = null;
  private end: ((error?: Error) => void) | null = null;

  io(time: FakeTime) {
    return { snapshot: this.snapshot, listen: this.listen, now: time.now, after: time.after, jitter: () => 0 };
  }
  private state(): Record<string, unknown>[] {
    const byId = new Map(this.log.map((item) => [item.id, item]));
    return [...byId.values()];
  }
  snapshot = async (): Promise<unknown> => {
    this.snapshots += 1;
    if (this.signedOut) throw new Unauthorised();
    if (this.down) throw new Error("down");
    return { epoch: this.epoch, seq: this.log.length, server_time: "2026-11-22T08:00:00.000Z", incidents: this.state(), gateways: [], people: [] };
  };
  listen = (last: string, onText: (chunk: string) => void, signal: AbortSignal): Promise<void> => {
    this.listens.push(last);
    if (this.signedOut) return Promise.reject(new Unauthorised());
    if (this.down) return Promise.reject(new Error("down"));
    this.text = onText;
    const from = Number(last.split("-")[1]);
    if (this.log.length > from) this.batch(from + 1, this.log.length);
    return new Promise((resolve, reject) => {
      this.end = (error) => (error ? reject(error) : resolve());
      signal.addEventListener("abort", () => resolve());
    });
  };
  add(id: string, more: Record<string, unknown> = {}, send = true): void {
    this.log.push(wire(id, { version: this.log.length + 1, ...more }));
    if (send) this.batch(this.log.length, this.log.length);
  }
  batch(from: number, to: number): void {
    const items = this.log.slice(from - 1, to);
    this.send("batch", { from, to, items }, `${this.epoch}-${to}`);
  }
  hb(seq = this.log.length): void {
    this.send("hb", { server_time: "2026-11-22T08:00:00.000Z", seq, gateways: [] });
  }
  send(event: string, body: unknown, id?: string): void {
    this.text?.(`${id ? `id: ${id}\n` : ""}event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
  }
  cut(): void {
    this.text = null;
    this.end?.(new Error("cut"));
  }
}

function make(): { room: FakeRoom; time: FakeTime; stream: Stream; seen: Map<string, Incident>; told: { out: number; back: number[] } } {
  const room = new FakeRoom();
  const time = new FakeTime();
  const seen = new Map<string, Incident>();
  const told = { out: 0, back: [] as number[] };
  const sink: StreamSink = {
    snapshot: (snapshot) => {
      seen.clear();
      for (const one of snapshot.incidents) seen.set(one.id, one);
    },
    incidents: (items) => items.forEach((one) => one.version >= (seen.get(one.id)?.version ?? 0) && seen.set(one.id, one)),
    gateways: () => undefined,
    signedOut: () => (told.out += 1),
  };
  const stream = new Stream(room.io(time), sink, (ms) => told.back.push(ms));
  return { room, time, stream, seen, told };
}

describe("resume", () => {
  it("reads the snapshot, then continues after its seq", async () => {
    const { room, time, stream, seen } = make();
    room.add("a", {}, false);
    stream.start();
    await time.pass(10);
    expect(room.listens).toEqual(["e1-1"]);
    room.add("b");
    expect([...seen.keys()]).toEqual(["a", "b"]);
  });

  it("loses and repeats nothing over 100 random cuts", async () => {
    const { room, time, stream, seen } = make();
    const draw = random(11);
    stream.start();
    await time.pass(10);
    for (let n = 0; n < 1_000; n += 1) {
      room.add(`i${n}`);
      if (draw() < 0.1) {
        room.cut();
        await time.pass(draw() * 3_000);
      }
    }
    await time.pass(5_000);
    expect(seen.size).toBe(1_000);
    expect(room.snapshots).toBe(1);
    expect(stream.seq).toBe(1_000);
  });

  it("reads everything again after a gap, another epoch, a reset, and nonsense", async () => {
    const { room, time, stream, seen } = make();
    stream.start();
    await time.pass(10);
    const faults: (() => void)[] = [
      () => room.batch(room.log.length + 3, room.log.length + 3),
      () => room.send("batch", { from: 1, to: 1, items: [] }, "other-1"),
      () => room.send("reset", { reason: "too old" }),
      () => room.send("batch", { from: "x" }),
      () => room.send("batch", { from: room.log.length + 1, to: room.log.length + 1, items: [{ nonsense: true }] }, "e1-9"),
    ];
    for (const [n, fault] of faults.entries()) {
      room.add(`missed${n}`, {}, false);
      fault();
      await time.pass(3_000);
      room.hb();
      expect(seen.has(`missed${n}`)).toBe(true);
      expect(room.snapshots).toBe(n + 2);
    }
  });

  it("finds by the heartbeat's seq that something did not arrive", async () => {
    const { room, time, stream, seen } = make();
    stream.start();
    await time.pass(10);
    room.add("lost on the way", {}, false);
    room.hb();
    await time.pass(100);
    expect(seen.size).toBe(0);
    room.hb();
    await time.pass(100);
    expect(seen.size).toBe(1);
  });
});

describe("age of the data", () => {
  it("is amber at 12 s and lost at 20 s, and a comment of the server is no sign of life", async () => {
    const { room, time, stream } = make();
    stream.start();
    await time.pass(10);
    room.hb();
    await time.pass(11_900);
    room.send("", "", undefined);
    expect(stream.freshness()).toBe("live");
    await time.pass(200);
    expect(stream.freshness()).toBe("stale");
    await time.pass(8_000);
    expect(stream.freshness()).toBe("lost");
  });

  it("cuts a half-open connection, comes back, and says how long it was gone", async () => {
    const { room, time, stream, told, seen } = make();
    stream.start();
    await time.pass(10);
    room.add("missed", {}, false);
    for (let s = 0; s < LOST_S + 1; s += 1) {
      await time.pass(1_000);
      stream.watch();
    }
    await time.pass(1_500);
    expect(room.listens.length).toBe(2);
    expect(seen.has("missed")).toBe(true);
    expect(told.back).toHaveLength(1);
    expect(told.back[0]).toBeGreaterThan(LOST_S * 1000);
    expect(stream.freshness()).toBe("live");
  });

  it("polls the snapshot after five failures while the stream stays shut", async () => {
    const { room, time, stream, seen } = make();
    stream.start();
    await time.pass(10);
    const good = room.listen;
    room.listen = () => Promise.reject(new Error("a proxy in between"));
    Object.assign(stream, { io: { ...room.io(time), listen: room.listen } });
    room.cut();
    await time.pass(6_000);
    room.add("while polling", {}, false);
    await time.pass(6_000);
    expect(seen.has("while polling")).toBe(true);
    expect(stream.freshness()).toBe("live");
    Object.assign(stream, { io: { ...room.io(time), listen: good } });
    await time.pass(3_000);
    room.hb();
    const before = room.snapshots;
    await time.pass(20_000);
    expect(room.snapshots - before).toBeLessThanOrEqual(1);
  });

  it("says that the session is over, and goes on trying", async () => {
    const { room, time, stream, told } = make();
    room.signedOut = true;
    stream.start();
    await time.pass(1_500);
    expect(told.out).toBeGreaterThanOrEqual(1);
    room.signedOut = false;
    await time.pass(2_500);
    expect(stream.freshness()).toBe("live");
    room.send("auth", {});
    await settle();
    expect(told.out).toBeGreaterThanOrEqual(2);
  });
});

describe("SSE text", () => {
  it("comes out the same however the bytes are torn", () => {
    const text = "retry: 1000\n\nid: e1-1\nevent: batch\ndata: {\"a\":1}\n\n: comment\n\nevent: hb\r\ndata: x\r\ndata: y\r\n\r\n";
    const whole = new SseParser().push(text);
    for (let cut = 1; cut < text.length; cut += 1) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(whole);
    }
    expect(whole).toEqual([
      { event: "batch", data: '{"a":1}', id: "e1-1" },
      { event: "hb", data: "x\ny", id: "e1-1" },
    ]);
  });
});

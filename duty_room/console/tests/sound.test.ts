import { describe, expect, it } from "vitest";
import { gapOf, MUTE_MS, PATTERNS, SoundDesk, type Pulse, type Speaker } from "@/core/sound";
import type { Ring } from "@/core/store";
import type { Priority } from "@/core/types";
import { FakeTime, incident } from "./fakes";

class FakeSpeaker implements Speaker {
  awake = true;
  played: { at: number; pulses: readonly Pulse[] }[] = [];
  said: string[] = [];
  hushes = 0;
  constructor(private readonly time: FakeTime) {}
  running = (): boolean => this.awake;
  now = (): number => this.time.now() / 1000;
  play(pulses: readonly Pulse[], at: number): void {
    this.played.push({ at, pulses });
  }
  hush(): void {
    this.hushes += 1;
  }
  say(text: string): void {
    this.said.push(text);
  }
}

function make(): { time: FakeTime; speaker: FakeSpeaker; desk: SoundDesk; run: (seconds: number, ring: Ring | null, lost?: boolean) => Promise<void> } {
  const time = new FakeTime();
  const speaker = new FakeSpeaker(time);
  const desk = new SoundDesk(speaker, time.now);
  const run = async (seconds: number, ring: Ring | null, lost = false): Promise<void> => {
    for (let n = 0; n < seconds * 4; n += 1) {
      desk.update(ring, lost, () => "烟感火警");
      await time.pass(250);
    }
  };
  return { time, speaker, desk, run };
}
const ring = (priority: Priority, stamp = 1): Ring => ({ priority, stamp, incident: incident("x", { priority }) });

describe("patterns", () => {
  it("have the timing of the medical standard and are never the evacuation signal", () => {
    expect(PATTERNS[1]).toHaveLength(10);
    for (const pulse of PATTERNS[1]) expect(pulse.length).toBeGreaterThanOrEqual(0.08);
    for (const pulse of PATTERNS[1]) expect(pulse.length).toBeLessThanOrEqual(0.15);
    expect(PATTERNS[2]).toHaveLength(3);
    for (const pulse of PATTERNS[2]) expect(pulse.length).toBeLessThanOrEqual(0.25);
    // ISO 8201 is three pulses of 0.5 s each.
    for (const pattern of Object.values(PATTERNS)) for (const pulse of pattern) expect(pulse.length).toBeLessThan(0.5);
  });

  it("are told apart by their gaps", () => {
    expect(gapOf(1, 1000)).toBe(3);
    expect([gapOf(2, 10), gapOf(2, 40)]).toEqual([4, 15]);
    expect(gapOf(3, 0)).toBe(300);
  });
});

describe("until acknowledged", () => {
  it("repeats an urgent alarm every 3 s and never stops by itself", async () => {
    const { speaker, run } = make();
    await run(600, ring(1));
    expect(speaker.played.length).toBe(200);
  });

  it("falls silent at once when nothing is unanswered", async () => {
    const { speaker, run, desk } = make();
    await run(4, ring(1));
    const before = speaker.played.length;
    const hushes = speaker.hushes;
    await run(10, null);
    expect(speaker.played.length).toBe(before);
    expect(speaker.hushes).toBe(hushes + 1);
    expect(desk.sounding).toBeNull();
  });

  it("plays priority 2 every 4 s, after half a minute every 15 s, and priority 3 every 5 min", async () => {
    const two = make();
    await two.run(60, ring(2));
    expect(two.speaker.played.map((burst) => burst.at)).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 47]);
    const three = make();
    await three.run(601, ring(3));
    expect(three.speaker.played.map((burst) => burst.at)).toEqual([0, 300, 600]);
    const four = make();
    await four.run(10, ring(4));
    expect(four.speaker.played).toEqual([]);
  });

  it("starts anew for a more urgent alarm and for every new one", async () => {
    const { speaker, run } = make();
    await run(1, ring(3));
    await run(1, ring(1, 1));
    await run(1, ring(1, 2));
    expect(speaker.played.map((burst) => burst.at)).toEqual([0, 1, 2]);
    expect(speaker.said.length).toBe(2);
  });

  it("sounds once the browser allows it, however late", async () => {
    const { speaker, run, desk } = make();
    speaker.awake = false;
    await run(5, ring(1));
    expect(speaker.played).toEqual([]);
    expect(desk.state()).toBe("off");
    speaker.awake = true;
    await run(1, ring(1));
    expect(speaker.played.length).toBe(1);
  });
});

describe("mute", () => {
  it("lasts 60 s and never longer", async () => {
    const { speaker, desk, run } = make();
    await run(1, ring(1));
    desk.mute();
    expect(desk.state()).toBe("muted");
    const before = speaker.played.length;
    await run(MUTE_MS / 1000 - 1, ring(1));
    expect(speaker.played.length).toBe(before);
    await run(5, ring(1));
    expect(speaker.played.length).toBeGreaterThan(before);
  });

  it("is broken by a new urgent alarm, not by a lesser one", async () => {
    const { desk, run } = make();
    await run(1, ring(1, 1));
    desk.mute();
    await run(1, ring(2, 5));
    expect(desk.state()).toBe("muted");
    await run(1, ring(1, 2));
    expect(desk.state()).toBe("on");
  });
});

describe("lost connection", () => {
  it("has a tone of its own, and an alarm we know of goes before it", async () => {
    const { speaker, desk, run } = make();
    await run(21, null, true);
    expect(speaker.played.map((burst) => burst.at)).toEqual([0, 10, 20]);
    expect(speaker.played[0]?.pulses).toBe(PATTERNS.lost);
    await run(1, ring(1), true);
    expect(desk.sounding).toBe(1);
  });
});

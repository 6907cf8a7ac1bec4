/** Sound until acknowledged, synthesised with Web Audio. Only the most urgent unanswered priority sounds. */

import type { Ring } from "@/core/store";
import type { Priority } from "@/core/types";

export const MUTE_MS = 60_000;

/** One pulse: when it starts within its burst, how long it sounds, its pitch and loudness. */
export interface Pulse {
  at: number;
  length: number;
  hz: number;
  gain: number;
}

const rising = (start: number): Pulse[] =>
  [0, 1, 2, 3, 4].map((i) => ({ at: start + i * 0.16, length: 0.1, hz: i % 2 === 0 ? 660 : 990, gain: 0.9 }));

/**
 * Timing within the ranges of IEC 60601-1-8 (console reference §1.6). Never the three-pulse pattern of ISO 8201:
 * that one means "evacuate".
 */
export const PATTERNS: Record<1 | 2 | 3 | "test" | "lost", readonly Pulse[]> = {
  1: [...rising(0), ...rising(1.0)],
  2: [0, 0.38, 0.76].map((at, i) => ({ at, length: 0.18, hz: [587, 587, 494][i]!, gain: 0.7 })),
  3: [0, 0.4].map((at) => ({ at, length: 0.22, hz: 440, gain: 0.35 })),
  test: [0, 0.25, 0.5].map((at, i) => ({ at, length: 0.2, hz: [523, 659, 784][i]!, gain: 0.7 })),
  lost: [0, 0.5].map((at, i) => ({ at, length: 0.4, hz: i === 0 ? 392 : 262, gain: 0.7 })),
};

/** Seconds from one burst to the next, after `elapsed` seconds of ringing. */
export function gapOf(priority: 1 | 2 | 3, elapsed: number): number {
  if (priority === 1) return 3;
  if (priority === 2) return elapsed < 30 ? 4 : 15;
  return 300;
}
const LOST_GAP_S = 10;

/** What can make a sound; the browser's or a test's. */
export interface Speaker {
  /** True while the browser lets us sound. */
  running(): boolean;
  /** Seconds on the audio clock. */
  now(): number;
  play(pulses: readonly Pulse[], at: number): void;
  /** Stop everything that sounds or waits to sound. */
  hush(): void;
  /** Say a sentence in Chinese if a voice of this machine can. */
  say(text: string): void;
}

export type SoundState = "on" | "muted" | "off";

type Level = 1 | 2 | 3 | "lost";

export class SoundDesk {
  private level: Level | null = null;
  private stamp = -1;
  private since = 0;
  private next = 0;
  private bursts = 0;
  private mutedUntil = 0;
  private urgentStamp = 0;

  constructor(
    private readonly speaker: Speaker,
    private readonly now: () => number,
  ) {}

  /** What is sounding now: a priority, the tone of a lost connection, or null. */
  get sounding(): Priority | "lost" | null {
    return this.state() === "on" ? this.level : null;
  }

  state(): SoundState {
    if (!this.speaker.running()) return "off";
    return this.muteLeftMs() > 0 ? "muted" : "on";
  }

  muteLeftMs(): number {
    return Math.max(0, this.mutedUntil - this.now());
  }

  /** Quiet for a minute, never longer. */
  mute(): void {
    this.mutedUntil = this.now() + MUTE_MS;
    this.speaker.hush();
  }

  unmute(): void {
    this.mutedUntil = 0;
    this.next = 0;
  }

  test(): void {
    if (this.speaker.running()) this.speaker.play(PATTERNS.test, this.speaker.now());
  }

  /**
   * Called at every change and about four times a second. ring: what must be heard, sentence: how it is said;
   * lost: the connection is gone. An alarm we know of is more urgent than the tone of the loss.
   */
  update(ring: Ring | null, lost: boolean, sentence: () => string): void {
    if (ring?.priority === 1 && ring.stamp > this.urgentStamp) {
      this.urgentStamp = ring.stamp;
      this.mutedUntil = 0;
    }
    const level: Level | null = ring && ring.priority !== 4 ? ring.priority : lost ? "lost" : null;
    const stamp = level === "lost" ? 0 : (ring?.stamp ?? 0);
    if (level === null) {
      if (this.level !== null) this.speaker.hush();
      this.level = null;
      this.stamp = -1;
      return;
    }
    if (level !== this.level || stamp !== this.stamp) {
      this.level = level;
      this.stamp = stamp;
      this.since = this.speaker.now();
      this.next = this.since;
      this.bursts = 0;
      this.speaker.hush();
    }
    this.burst(level, sentence);
  }

  private burst(level: Level, sentence: () => string): void {
    const now = this.speaker.now();
    if (this.state() !== "on" || now < this.next) return;
    this.speaker.play(PATTERNS[level], now);
    // Every third burst is spoken: the tone must stay in front, and a sentence takes longer than one gap.
    if (level === 1 && this.bursts % 3 === 0) this.speaker.say(sentence());
    this.bursts += 1;
    this.next = now + (level === "lost" ? LOST_GAP_S : gapOf(level, now - this.since));
  }
}

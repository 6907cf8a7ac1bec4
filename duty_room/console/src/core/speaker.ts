/** The browser's loudspeaker: Web Audio oscillators and, where the machine has one, a Chinese voice. */

import type { Pulse, Speaker } from "@/core/sound";

/** Safari 14 knows the context only under its old name. */
const AudioClass: typeof AudioContext | undefined =
  window.AudioContext ?? (window as unknown as { webkitAudioContext?: typeof AudioContext }).webkitAudioContext;

export class BrowserSpeaker implements Speaker {
  private context: AudioContext | null = null;
  private readonly waiting = new Set<OscillatorNode>();

  /** Only inside a click or a key press: browsers keep a page silent before that. Resolves to whether it worked. */
  async unlock(): Promise<boolean> {
    if (!AudioClass) return false;
    this.context ??= new AudioClass({ latencyHint: "interactive" });
    await this.context.resume().catch(() => undefined);
    return this.running();
  }

  running(): boolean {
    return this.context?.state === "running";
  }

  now(): number {
    return this.context?.currentTime ?? 0;
  }

  play(pulses: readonly Pulse[], at: number): void {
    const context = this.context;
    if (!context) return;
    for (const pulse of pulses) {
      // Two harmonics beside the ground tone: small loudspeakers hardly carry a pure one.
      for (const [times, share] of [
        [1, 0.6],
        [2, 0.25],
        [3, 0.15],
      ] as const) {
        const oscillator = context.createOscillator();
        const gain = context.createGain();
        const start = at + pulse.at;
        const end = start + pulse.length;
        oscillator.frequency.value = pulse.hz * times;
        gain.gain.setValueAtTime(0, start);
        gain.gain.linearRampToValueAtTime(pulse.gain * share, start + 0.012);
        gain.gain.setValueAtTime(pulse.gain * share, Math.max(start + 0.012, end - 0.02));
        gain.gain.linearRampToValueAtTime(0, end);
        oscillator.connect(gain).connect(context.destination);
        oscillator.start(start);
        oscillator.stop(end + 0.01);
        this.waiting.add(oscillator);
        oscillator.onended = () => this.waiting.delete(oscillator);
      }
    }
  }

  hush(): void {
    for (const oscillator of this.waiting) oscillator.disconnect();
    this.waiting.clear();
    window.speechSynthesis?.cancel();
  }

  say(text: string): void {
    const synthesis = window.speechSynthesis as SpeechSynthesis | undefined;
    // A voice that is not local would send the place of an alarm to somebody else's server.
    const voice = synthesis?.getVoices().find((candidate) => candidate.localService && candidate.lang.startsWith("zh"));
    if (!synthesis || !voice) return;
    const sentence = new SpeechSynthesisUtterance(text);
    sentence.voice = voice;
    sentence.lang = voice.lang;
    synthesis.speak(sentence);
  }
}

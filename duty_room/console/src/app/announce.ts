/** The one live region: urgent alarms one by one, all others as a count, at most one sentence every 5 s. */

const GAP_MS = 5_000;

export class Announcer {
  private readonly urgent: string[] = [];
  private others = 0;
  private next = 0;

  constructor(
    private readonly now: () => number,
    private readonly countWord: (n: number) => string,
    private readonly say: (sentence: string) => void,
  ) {}

  urgentAlarm(sentence: string): void {
    // A storm of a thousand must not talk for an hour: after twenty the rest is a count.
    if (this.urgent.length < 20) this.urgent.push(sentence);
    else this.others += 1;
  }

  otherAlarm(): void {
    this.others += 1;
  }

  tick(): void {
    if (this.now() < this.next) return;
    const sentence = this.urgent.shift() ?? this.count();
    if (sentence === null) return;
    this.next = this.now() + GAP_MS;
    this.say(sentence);
  }

  private count(): string | null {
    if (this.others === 0) return null;
    const count = this.others;
    this.others = 0;
    return this.countWord(count);
  }
}

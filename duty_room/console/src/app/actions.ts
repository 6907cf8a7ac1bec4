/** What a person does about an incident. Shown as pending until the stream brings it back; the building has 10 s. */

import { shallowReactive } from "vue";
import { codeWord, duration, roleWord } from "@/app/words";
import type { ActionResult, Api, Verb } from "@/core/api";
import { t, tOr } from "@/core/i18n";
import type { Incident } from "@/core/types";

/** Nothing came back within this: say so, instead of leaving a tick that nobody earned. */
export const ANSWER_MS = 10_000;

export interface Notice {
  text: string;
  bad: boolean;
}

interface Pending {
  verb: Verb;
  /** The version the person acted on; a newer one through the stream ends the wait. */
  version: number;
  token: number;
}

interface Io {
  api: Pick<Api, "act">;
  get(id: string): Incident | undefined;
  /** Take an incident that a conflict brought along. */
  adopt(incident: Incident): void;
  after(delayMs: number, run: () => void): void;
  serverNow(): number;
  role(): string;
  notify(notice: Notice | null): void;
}

export class Actions {
  /** By incident id. */
  readonly pending = shallowReactive(new Map<string, Pending>());
  private token = 0;

  constructor(private readonly io: Io) {}

  /** The wish goes out once; a second press while it is pending does nothing. Resolves when answered. */
  async act(incident: Incident, verb: Verb, body: Record<string, unknown> = {}): Promise<void> {
    if (this.pending.has(incident.id)) return;
    const token = (this.token += 1);
    this.pending.set(incident.id, { verb, version: incident.version, token });
    this.io.notify(null);
    this.io.after(ANSWER_MS, () => {
      if (this.end(incident.id, token)) this.io.notify({ text: t("console.action.no_answer"), bad: true });
    });
    const result = await this.io.api.act(incident, verb, body);
    if (result.kind === "done") return this.returned();
    this.end(incident.id, token);
    this.io.notify({ text: this.why(result), bad: true });
    if (result.kind === "conflict" && result.incident) this.io.adopt(result.incident);
  }

  /** The stream brought something: actions it confirms are no longer pending. */
  returned(): void {
    for (const [id, pending] of [...this.pending]) {
      const incident = this.io.get(id);
      if (!incident || incident.version > pending.version) this.pending.delete(id);
    }
  }

  private end(id: string, token: number): boolean {
    return this.pending.get(id)?.token === token && this.pending.delete(id);
  }

  private why(result: Exclude<ActionResult, { kind: "done" }>): string {
    if (result.kind === "unreachable") return t("console.action.unreachable");
    if (result.kind === "refused")
      return result.status === 403
        ? t("console.action.forbidden", { role: roleWord(this.io.role()) })
        : t("console.action.refused", { why: codeWord(result.code) });
    if (result.by === null || result.at === null) return t("console.action.refused", { why: codeWord(result.code) });
    const verb = tOr(`console.verb.${result.state}`, codeWord(result.code));
    const s = `${duration(this.io.serverNow() - result.at)}`;
    return t("console.action.won", { name: result.by, s, verb });
  }
}

/** Calls to the duty room: every wish carries an idempotency key and the version that the person saw. */

import { readIncident, readMe, readGateways, time, type GatewayRow, type Incident, type Me } from "@/core/types";
import { Unauthorised, type StreamIo } from "@/core/stream";

const ROOT = "/api/v1";
/** Longer than any answer on a healthy LAN; a hanging server must not hold a button for ever. */
const ANSWER_WAIT_MS = 10_000;

export type Verb = "acknowledge" | "dispatch" | "en-route" | "arrive" | "resolve" | "close" | "shelve" | "escalate";

export type ActionResult =
  | { kind: "done"; incident: Incident | null }
  /** Somebody was first, or the step is not possible now. */
  | { kind: "conflict"; code: string; by: string | null; at: number | null; state: string; incident: Incident | null }
  | { kind: "refused"; status: number; code: string }
  | { kind: "unreachable" };

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

export class Api {
  csrf = "";

  constructor(
    private readonly fetch: Fetch,
    private readonly newKey: () => string,
  ) {}

  async me(): Promise<Me | null> {
    const response = await this.get("/me");
    const me = readMe(await response.json());
    if (me) this.csrf = me.csrf;
    return me;
  }

  async gateways(): Promise<GatewayRow[]> {
    const body: unknown = await (await this.get("/gateways")).json();
    const rows = typeof body === "object" && body !== null && "gateways" in body ? body.gateways : body;
    return readGateways(rows);
  }

  async snapshot(): Promise<unknown> {
    return (await this.get("/snapshot")).json();
  }

  /** One wish of a person about one incident. Never rejects: what went wrong is the answer. */
  async act(incident: Incident, verb: Verb, body: Record<string, unknown>): Promise<ActionResult> {
    const headers = { "If-Match": `"${incident.version}"`, "Idempotency-Key": this.newKey() };
    let response: Response;
    try {
      response = await this.post(`/incidents/${encodeURIComponent(incident.id)}/${verb}`, body, headers);
    } catch (error) {
      return error instanceof Unauthorised ? { kind: "refused", status: 401, code: "signed_out" } : { kind: "unreachable" };
    }
    const answer: unknown = await response.json().catch(() => null);
    if (response.ok) return { kind: "done", incident: readIncident(answer) };
    const problem = typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
    const code = typeof problem.code === "string" ? problem.code : `http_${response.status}`;
    if (response.status !== 409) return { kind: "refused", status: response.status, code };
    const winner = (problem.winner ?? {}) as { by?: unknown; at?: unknown; state?: unknown };
    const by = winner.by as { name?: unknown } | string | null | undefined;
    const name = typeof by === "string" ? by : by?.name;
    return {
      kind: "conflict",
      code,
      by: typeof name === "string" ? name : null,
      at: time(winner.at),
      state: typeof winner.state === "string" ? winner.state : "",
      incident: readIncident(problem.incident),
    };
  }

  /** Tell the duty room whether a person at this console can hear it. */
  async health(report: { sound: boolean; stream: boolean; seq: number; on_duty: string[] }): Promise<void> {
    await this.post("/consoles/health", report, {});
  }

  /** Who is on duty here from now on; the steps carry the first name. False: the duty room does not have it yet. */
  async shift(names: string[]): Promise<boolean> {
    return (await this.post("/me/shift", { names }, {})).ok;
  }

  async signOut(): Promise<void> {
    await this.post("/sessions/end", {}, {});
  }

  /** The stream's text, chunk by chunk, until it ends. */
  listen: StreamIo["listen"] = async (lastEventId, onText, signal) => {
    const headers = { Accept: "text/event-stream", "Last-Event-ID": lastEventId };
    const response = check(
      await this.fetch(`${ROOT}/stream`, { headers, signal, cache: "no-store", credentials: "same-origin" }),
    );
    const reader = response.body?.getReader();
    if (!reader) throw new Error("no body");
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onText(decoder.decode(value, { stream: true }));
    }
  };

  private async get(path: string): Promise<Response> {
    return check(await this.timed(path, { cache: "no-store" }));
  }

  private async post(path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
    const response = await this.timed(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": this.csrf, ...headers },
      body: JSON.stringify(body),
    });
    if (response.status === 401) throw new Unauthorised(path);
    return response;
  }

  private async timed(path: string, init: RequestInit): Promise<Response> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), ANSWER_WAIT_MS);
    try {
      return await this.fetch(`${ROOT}${path}`, { ...init, credentials: "same-origin", signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }
}

function check(response: Response): Response {
  if (response.status === 401) throw new Unauthorised(response.url);
  if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
  return response;
}

/** A random key; crypto.randomUUID is missing on plain HTTP, which a LAN often is. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

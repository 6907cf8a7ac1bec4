import { describe, expect, it } from "vitest";
import { Actions, ANSWER_MS, type Notice } from "@/app/actions";
import { Api, type ActionResult } from "@/core/api";
import { language } from "@/core/i18n";
import type { Incident } from "@/core/types";
import { BASE, FakeTime, incident, wire } from "./fakes";

interface Sent {
  url: string;
  headers: Record<string, string>;
  body: unknown;
}

function makeApi(status: number, answer: unknown): { api: Api; sent: Sent[] } {
  const sent: Sent[] = [];
  let keys = 0;
  const fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    sent.push({ url, headers: init.headers as Record<string, string>, body: JSON.parse(String(init.body)) });
    if (status === 0) throw new TypeError("no network");
    return new Response(JSON.stringify(answer), { status });
  };
  const api = new Api(fetch, () => `key-${(keys += 1)}`);
  api.csrf = "token";
  return { api, sent };
}

describe("a wish on the wire", () => {
  it("carries the version that was seen, a key of its own and the CSRF token", async () => {
    const { api, sent } = makeApi(200, wire("i/1", { version: 8, state: "acknowledged" }));
    const result = await api.act(incident("i/1", { version: 7 }), "acknowledge", {});
    expect(result).toMatchObject({ kind: "done", incident: { version: 8 } });
    expect(sent[0]?.url).toBe("/api/v1/incidents/i%2F1/acknowledge");
    expect(sent[0]?.headers).toMatchObject({ "If-Match": '"7"', "Idempotency-Key": "key-1", "X-CSRF-Token": "token" });
    await api.act(incident("i/1"), "dispatch", { person_id: "li" });
    expect(sent[1]?.headers["Idempotency-Key"]).toBe("key-2");
    expect(sent[1]?.body).toEqual({ person_id: "li" });
  });

  it("brings the winner back from a conflict", async () => {
    const winner = { by: { id: "z", name: "张三", via: "console" }, at: "2026-11-22T08:00:00.000Z", state: "acknowledged" };
    const { api } = makeApi(409, { code: "stale_version", winner, incident: wire("a", { version: 9 }) });
    expect(await api.act(incident("a"), "acknowledge", {})).toMatchObject({
      kind: "conflict",
      by: "张三",
      at: BASE,
      state: "acknowledged",
      incident: { version: 9 },
    });
  });

  it("never throws: refusals and a dead network are answers", async () => {
    for (const [status, kind] of [[403, "refused"], [422, "refused"], [401, "refused"], [500, "refused"], [0, "unreachable"]] as const)
      expect((await makeApi(status, { code: "x" }).api.act(incident("a"), "close", {})).kind).toBe(kind);
  });
});

function makeActions(result: ActionResult | Promise<ActionResult>): {
  actions: Actions;
  time: FakeTime;
  notices: (Notice | null)[];
  known: Map<string, Incident>;
  sent: () => number;
} {
  const time = new FakeTime();
  const notices: (Notice | null)[] = [];
  const known = new Map([["a", incident("a", { version: 1 })]]);
  let sent = 0;
  const actions = new Actions({
    api: {
      act: async () => {
        sent += 1;
        return result;
      },
    },
    get: (id) => known.get(id),
    adopt: (fresh) => known.set(fresh.id, fresh),
    after: time.after,
    serverNow: () => BASE + 3_000,
    role: () => "viewer",
    notify: (notice) => notices.push(notice),
  });
  language.value = "zh-CN";
  return { actions, time, notices, known, sent: () => sent };
}

describe("pending", () => {
  it("lasts until the stream brings a newer version, not until the answer", async () => {
    const { actions, known } = makeActions({ kind: "done", incident: incident("a", { version: 2 }) });
    await actions.act(known.get("a")!, "acknowledge");
    expect(actions.pending.has("a")).toBe(true);
    known.set("a", incident("a", { version: 2, state: "acknowledged" }));
    actions.returned();
    expect(actions.pending.has("a")).toBe(false);
  });

  it("sends a wish once, however often the key is pressed", async () => {
    const { actions, known, sent } = makeActions({ kind: "done", incident: null });
    await Promise.all([1, 2, 3].map(() => actions.act(known.get("a")!, "acknowledge")));
    expect(sent()).toBe(1);
  });

  it("ends after 10 s with words, not with a tick", async () => {
    const { actions, known, time, notices } = makeActions(new Promise<ActionResult>(() => undefined));
    void actions.act(known.get("a")!, "acknowledge");
    await time.pass(ANSWER_MS - 1);
    expect(notices).toEqual([null]);
    await time.pass(2);
    expect(notices.at(-1)).toMatchObject({ bad: true });
    expect(actions.pending.size).toBe(0);
  });

  it("names the one who was first, and takes over what is true now", async () => {
    const { actions, known, notices } = makeActions({
      kind: "conflict",
      code: "stale_version",
      by: "张三",
      at: BASE,
      state: "acknowledged",
      incident: incident("a", { version: 5, state: "acknowledged" }),
    });
    await actions.act(known.get("a")!, "acknowledge");
    expect(notices.at(-1)?.text).toBe("张三 已于 3 秒前确认");
    expect(known.get("a")?.version).toBe(5);
    expect(actions.pending.size).toBe(0);
  });

  it("says why not", async () => {
    const refused = makeActions({ kind: "refused", status: 403, code: "role" });
    await refused.actions.act(refused.known.get("a")!, "acknowledge");
    expect(refused.notices.at(-1)?.text).toContain("没有权限");
    const cut = makeActions({ kind: "unreachable" });
    await cut.actions.act(cut.known.get("a")!, "acknowledge");
    expect(cut.notices.at(-1)?.text).toContain("没有送出");
  });
});

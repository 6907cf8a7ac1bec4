import { describe, expect, it } from "vitest";
import { compare, rankOf } from "@/core/sort";
import { Store } from "@/core/store";
import type { Incident } from "@/core/types";
import { at, BASE, FakeTime, incident, random } from "./fakes";

function make(): { store: Store; time: FakeTime; paints: () => number; rang: Incident[] } {
  const time = new FakeTime();
  let paints = 0;
  const rang: Incident[] = [];
  const timers = { now: () => BASE + time.now(), after: time.after };
  const store = new Store(timers, () => (paints += 1), (fresh) => rang.push(fresh));
  return { store, time, paints: () => paints, rang };
}
const ids = (store: Store): string[] => store.sorted().map((placed) => placed.incident.id);

describe("order of the queue", () => {
  it("puts unacknowledged before acknowledged, then priority, then missed deadlines", () => {
    const { store } = make();
    store.apply([
      incident("acked", { state: "acknowledged" }),
      incident("bin", { priority: 3, class: "bin.full" }),
      incident("door", { priority: 2 }),
      incident("door-late", { priority: 2, opened_at: at(-500), deadline_at: at(-1) }),
      incident("done", { state: "resolved" }),
      incident("fire"),
    ]);
    expect(ids(store)).toEqual(["fire", "door-late", "door", "bin", "acked", "done"]);
  });

  it("shows the oldest urgent alarm first, so that nobody starves, and the newest first below", () => {
    const { store } = make();
    store.apply([
      incident("new", { opened_at: at(10) }),
      incident("old", { opened_at: at(0) }),
      incident("bin-old", { priority: 3, opened_at: at(0) }),
      incident("bin-new", { priority: 3, opened_at: at(10) }),
    ]);
    expect(ids(store)).toEqual(["old", "new", "bin-new", "bin-old"]);
  });

  it("keeps resolved but still in alarm among those being handled", () => {
    const { store } = make();
    store.apply([
      incident("over", { state: "resolved" }),
      incident("burning", { state: "resolved", flags: ["still_in_alarm"] }),
      incident("bin", { priority: 3, state: "acknowledged" }),
    ]);
    expect(ids(store)).toEqual(["burning", "bin", "over"]);
  });

  it("stays sorted over 5,000 random changes, as a full sort would have it", () => {
    const { store, time } = make();
    const draw = random(7);
    const states = ["unacknowledged", "acknowledged", "on_scene", "resolved", "closed"];
    const truth = new Map<string, Incident>();
    for (let n = 1; n <= 5_000; n += 1) {
      const fresh = incident(`i${Math.floor(draw() * 400)}`, {
        version: n,
        state: states[Math.floor(draw() * states.length)],
        priority: 1 + Math.floor(draw() * 4),
        opened_at: at(Math.floor(draw() * 50)),
        deadline_at: draw() < 0.5 ? at(-10) : null,
      });
      store.apply([fresh]);
      if (fresh.state === "closed") truth.delete(fresh.id);
      else truth.set(fresh.id, fresh);
    }
    const now = BASE + time.now();
    const expected = [...truth.values()].map((one) => rankOf(one, now)).sort(compare);
    expect(ids(store)).toEqual(expected.map((rank) => rank.id));
    expect(store.size).toBe(truth.size);
  });
});

describe("what the stream may do", () => {
  it("ignores an older or equal version: an acknowledgement never undoes a resolve", () => {
    const { store } = make();
    store.apply([incident("a", { version: 5, state: "resolved" })]);
    store.apply([incident("a", { version: 4, state: "acknowledged" }), incident("a", { version: 5 })]);
    expect(store.get("a")?.state).toBe("resolved");
  });

  it("drops what a snapshot no longer names, and takes its version as the truth", () => {
    const { store } = make();
    store.apply([incident("gone", { version: 9 }), incident("kept", { version: 9 })]);
    store.replaceAll([incident("kept", { version: 3, state: "acknowledged" })]);
    expect(ids(store)).toEqual(["kept"]);
    expect(store.get("kept")?.version).toBe(3);
  });

  it("moves an incident when its deadline passes", async () => {
    const { store, time } = make();
    store.apply([incident("b", { priority: 2, opened_at: at(5) }), incident("a", { priority: 2, deadline_at: at(60) })]);
    expect(ids(store)).toEqual(["b", "a"]);
    await time.pass(61_000);
    store.tick();
    expect(ids(store)).toEqual(["a", "b"]);
  });
});

describe("painting", () => {
  it("paints at most four times a second, but an urgent alarm at once", async () => {
    const { store, time, paints } = make();
    store.apply([incident("a", { priority: 3 })]);
    expect(paints()).toBe(1);
    for (let n = 0; n < 20; n += 1) {
      store.apply([incident(`b${n}`, { priority: 3 })]);
      await time.pass(10);
    }
    expect(paints()).toBe(1);
    store.apply([incident("fire")]);
    expect(paints()).toBe(2);
    await time.pass(1_000);
    expect(paints()).toBe(3);
  });

  it("takes 10,000 incidents and one more quickly", () => {
    const { store } = make();
    const draw = random(3);
    const many = Array.from({ length: 10_000 }, (_, n) =>
      incident(`i${n}`, { priority: 1 + Math.floor(draw() * 4), opened_at: at(Math.floor(draw() * 9_000)) }),
    );
    store.replaceAll(many);
    expect(store.size).toBe(10_000);
    const begin = performance.now();
    for (let n = 0; n < 1_000; n += 1) store.apply([incident(`x${n}`, { priority: 2 })]);
    // Generous: a full sort of each of the 1,000 would take many seconds.
    expect(performance.now() - begin).toBeLessThan(1_500);
  });
});

describe("what must be heard", () => {
  it("is the most urgent unacknowledged priority, and nothing of priority 4", () => {
    const { store } = make();
    store.apply([incident("hint", { priority: 4 })]);
    expect(store.ring()).toBeNull();
    store.apply([incident("bin", { priority: 3 })]);
    expect(store.ring()?.priority).toBe(3);
    store.apply([incident("fire")]);
    expect(store.ring()?.priority).toBe(1);
    store.apply([incident("fire", { version: 2, state: "acknowledged" })]);
    expect(store.ring()?.priority).toBe(3);
  });

  it("rings anew for every repeat, return and new unit", () => {
    const { store, rang } = make();
    const stamp = (): number | undefined => store.ring()?.stamp;
    store.apply([incident("call", { class: "sos.call" })]);
    const first = stamp();
    store.apply([incident("call", { class: "sos.call", version: 2, repeats: 1 })]);
    expect(stamp()).not.toBe(first);
    store.apply([incident("call", { class: "sos.call", version: 3, repeats: 1, state: "acknowledged" })]);
    expect(store.ring()).toBeNull();
    store.apply([incident("call", { class: "sos.call", version: 4, repeats: 2 })]);
    expect(store.ring()?.priority).toBe(1);
    expect(rang).toHaveLength(3);
  });

  it("does not ring anew for a change that is no ring, nor for a snapshot read again", () => {
    const { store, rang } = make();
    store.apply([incident("fire")]);
    store.apply([incident("fire", { version: 2, condition: "off" })]);
    store.replaceAll([incident("fire", { version: 2, condition: "off" })]);
    expect(rang).toHaveLength(1);
  });

  it("comes back one level softer when the next step is overdue", async () => {
    const { store, time } = make();
    store.apply([incident("fire", { state: "acknowledged", deadline_at: at(120) })]);
    expect(store.ring()).toBeNull();
    await time.pass(121_000);
    store.tick();
    expect(store.ring()?.priority).toBe(2);
  });

  it("is silent for what a person shelved", () => {
    const { store } = make();
    store.apply([incident("door", { priority: 2, flags: ["shelved"], shelved_until: at(3600) })]);
    expect(store.ring()).toBeNull();
    expect(store.shelved()).toBe(1);
    expect(store.counters()[2]).toEqual({ unacknowledged: 0, all: 1 });
  });
});

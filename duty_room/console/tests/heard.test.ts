import { describe, expect, it } from "vitest";
import { countWord, heardOf } from "@/core/heard";
import { readGateways } from "@/core/types";

const rows = (...states: string[]) => readGateways(states.map((state, n) => ({ id: `b${n}`, state })));

describe("what nobody has said is not calm", () => {
  it("knows all, some and none", () => {
    expect(heardOf(rows("heard", "heard"))).toEqual({ word: "all", silent: [] });
    expect(heardOf(rows("heard", "lost")).word).toBe("some");
    expect(heardOf(rows("heard", "unknown")).silent.map((row) => row.id)).toEqual(["b1"]);
    for (const silent of [["unknown"], ["lost"], ["lost", "unknown"], ["?"], []]) expect(heardOf(rows(...silent)).word).toBe("none");
  });

  it("shows no plain number while a building is silent", () => {
    expect([0, 3].map((n) => countWord(n, "all"))).toEqual(["0", "3"]);
    expect([0, 3].map((n) => countWord(n, "some"))).toEqual(["0+", "3+"]);
    expect([0, 3].map((n) => countWord(n, "none"))).toEqual(["?", "3+"]);
  });
});

import { beforeEach, describe, expect, it } from "vitest";
import { closeCut, cuts, openCut, readCuts } from "@/app/cuts";

beforeEach(() => {
  closeCut(0, 0, 0);
  cuts.value = [];
});

describe("the ledger of disconnections", () => {
  it("has a line from the first moment, completed when the connection is back", () => {
    openCut(1000.4);
    openCut(1000.4);
    expect(cuts.value).toEqual([{ from: 1000, to: null, missed: 0 }]);
    closeCut(1000.4, 61_000, 4);
    expect(cuts.value).toEqual([{ from: 1000, to: 61_000, missed: 4 }]);
    openCut(90_000);
    expect(cuts.value.map((cut) => cut.to)).toEqual([null, 61_000]);
  });

  it("leaves a line open that this page did not open", () => {
    cuts.value = readCuts(JSON.stringify([{ from: 1, to: null, missed: 0 }]));
    closeCut(500, 600, 1);
    expect(cuts.value).toEqual([{ from: 500, to: 600, missed: 1 }, { from: 1, to: null, missed: 0 }]);
  });

  it("reads nothing from what is damaged", () => {
    for (const damaged of [null, "", "{", "7", '[{"from":"x"}]', "[null]"]) expect(readCuts(damaged)).toEqual([]);
    expect(readCuts(JSON.stringify(Array(500).fill({ from: 1, to: 2, missed: 0 })))).toHaveLength(100);
  });
});

import { describe, expect, it } from "vitest";
import { Announcer } from "@/app/announce";
import { fold, type Row } from "@/core/group";
import { initials, matches } from "@/core/pinyin";
import { readIncident, readMe, readSnapshot, type Incident } from "@/core/types";
import { proposed, unitsOf } from "@/duty/people";
import { at, FakeTime, incident, wire } from "./fakes";

const placed = (...list: Incident[]) => list.map((one) => ({ incident: one, band: 0 as const }));
const names = (rows: Row[]): string[] => rows.map((row) => row.id);
const closed = (): boolean => false;

describe("folding a storm", () => {
  const smoke = (id: string, s: number): Incident => incident(id, { opened_at: at(s) });

  it("folds the same kind in the same building within a minute, and names the first-up", () => {
    const rows = fold(placed(smoke("b", 20), smoke("a", 5), smoke("c", 70), smoke("far", 500)), closed);
    expect(names(rows)).toEqual(["group:a", "far"]);
    expect(rows[0]?.kind === "group" && rows[0].group.members.length).toBe(3);
  });

  it("lists each unit when open, and keeps its name while it grows", () => {
    const open = (key: string): boolean => key === "group:a";
    const rows = fold(placed(smoke("a", 0), smoke("b", 10), smoke("c", 20), smoke("d", 30)), open);
    expect(names(rows)).toEqual(["group:a", "a", "b", "c", "d"]);
  });

  it("leaves two alone, other buildings apart, and never folds calls for help", () => {
    expect(names(fold(placed(smoke("a", 0), smoke("b", 1)), closed))).toEqual(["a", "b"]);
    const other = incident("x", { gateway: "b13" });
    expect(fold(placed(smoke("a", 0), smoke("b", 1), other), closed)).toHaveLength(3);
    const calls = ["1", "2", "3", "4"].map((id) => incident(id, { class: "sos.call" }));
    expect(fold(placed(...calls), closed)).toHaveLength(4);
  });
});

describe("people", () => {
  const people = [
    { id: "far", name: "远", role: "grid_worker", grid: "XS-09" },
    { id: "busy", name: "忙", role: "grid_worker", grid: "XS-03" },
    { id: "near", name: "近", role: "grid_worker", grid: "XS-03" },
  ];

  it("are what the open incidents say they are doing", () => {
    const helpers = [{ id: "busy", name: "忙", step: "en_route", at: at(5) }];
    const units = unitsOf(people, [incident("a", { state: "en_route", helpers }), incident("b", { state: "resolved", helpers })]);
    expect(units.map((unit) => unit.duty)).toEqual(["free", "en_route", "free"]);
    expect(units[1]?.incident?.id).toBe("a");
  });

  it("of the place's grid come first, free before busy", () => {
    const helpers = [{ id: "busy", name: "忙", step: "on_scene", at: at(5) }];
    const units = unitsOf(people, [incident("a", { state: "on_scene", helpers })]);
    expect(proposed(units, ["XS-03"]).map((unit) => unit.person.id)).toEqual(["near", "busy", "far"]);
  });
});

describe("search", () => {
  it("finds by words and by pinyin initials", () => {
    expect(initials("新盛12号楼")).toBe("xs12hl");
    expect(matches("12 号楼 › 1 单元 烟感火警", "yghj")).toBe(true);
    expect(matches("12 号楼 › 3 层 › 301", "301")).toBe(true);
    expect(matches("12 号楼", "zz")).toBe(false);
    expect(matches("anything", "  ")).toBe(true);
  });
});

describe("live region", () => {
  it("says urgent alarms one by one and counts the others, at most every 5 s", async () => {
    const time = new FakeTime();
    const said: string[] = [];
    const announcer = new Announcer(time.now, (n) => `${n} more`, (sentence) => said.push(sentence));
    announcer.otherAlarm();
    announcer.otherAlarm();
    announcer.urgentAlarm("fire 301");
    announcer.urgentAlarm("call 502");
    for (let s = 0; s < 16; s += 1) {
      announcer.tick();
      await time.pass(1_000);
    }
    expect(said).toEqual(["fire 301", "call 502", "2 more"]);
  });
});

describe("foreign JSON", () => {
  it("fails towards noise where it is not understood", () => {
    const strange = readIncident(wire("a", { state: "?", priority: "high", condition: 7, place: null, alarms: "x" }));
    expect(strange).toMatchObject({ state: "unacknowledged", priority: 1, condition: "unknown", alarms: [] });
    expect(strange?.place.building).toBeNull();
  });

  it("is refused where nothing can be made of it", () => {
    for (const raw of [null, 5, "x", [], {}, { id: "a" }, { version: 1 }, { id: "a", version: NaN }])
      expect(readIncident(raw)).toBeNull();
    for (const raw of [null, {}, { epoch: "e" }, { epoch: "e", seq: "1" }]) expect(readSnapshot(raw)).toBeNull();
    expect(readMe(null)).toBeNull();
  });
});

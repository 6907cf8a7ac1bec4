import { describe, expect, it } from "vitest";
import { elevationOf, householdsOf, type Cell, type Elevation } from "@/building/elevation";
import { readGateways, type GatewayRow } from "@/core/types";
import { incident } from "./fakes";

function gateway(more: Record<string, unknown> = {}): GatewayRow {
  const count = (floor: number, online: number): unknown => ({ unit: "1", floor, kind: "smoke", life_safety: true, total: 4, online });
  const site = {
    community: "新盛",
    building: "12",
    units: ["1", "2"],
    floors: [-1, 3],
    households_per_floor: 2,
    counts: [count(1, 4), count(2, 3), count(3, 0)],
  };
  return readGateways([{ id: "b12", state: "heard", links: { bus1: "up" }, site, ...more }])[0]!;
}
function cell(elevation: Elevation, id: string): Cell {
  const found = elevation.floors.flatMap((floor) => floor.stairs.flatMap((stair) => stair.cells)).find((one) => one.id === id);
  if (!found) throw new Error(id);
  return found;
}

describe("elevation", () => {
  it("has the top floor first, no storey 0, and the basement last without flats", () => {
    const elevation = elevationOf(gateway(), [])!;
    expect(elevation.floors.map((floor) => floor.floor)).toEqual([3, 2, 1, -1]);
    expect(elevation.floors.at(-1)?.stairs[0]?.cells).toHaveLength(1);
    expect(householdsOf(12, 2)).toEqual(["1201", "1202"]);
  });

  it("puts an alarm into its flat, of the common parts into the hall, of the building beside it", () => {
    const flat = incident("flat");
    const hall = incident("hall", { class: "door.forced", priority: 2, place: { building: "12", unit: "2", floor: 1 } });
    const link = incident("link", { class: "link.down", priority: 2, place: { building: "12" } });
    const other = incident("other", { gateway: "b13" });
    const elevation = elevationOf(gateway(), [flat, hall, link, other])!;
    expect(cell(elevation, "1/3/301")).toMatchObject({ priority: 1, acknowledged: false });
    expect(cell(elevation, "2/1/").incidents).toEqual([hall]);
    expect(elevation.whole).toEqual([link]);
  });

  it("shows the worst unacknowledged before anything acknowledged", () => {
    const acked = incident("a", { state: "acknowledged" });
    const fresh = incident("b", { priority: 3 });
    expect(cell(elevationOf(gateway(), [acked, fresh])!, "1/3/301")).toMatchObject({ priority: 3, acknowledged: false });
    expect(cell(elevationOf(gateway(), [acked])!, "1/3/301")).toMatchObject({ priority: 1, acknowledged: true });
  });
});

describe("unknown is never normal", () => {
  it("covers all of a building whose gateway is not heard", () => {
    for (const state of ["lost", "unknown", "?"]) {
      const elevation = elevationOf(gateway({ state }), [])!;
      expect(elevation.known).toBe(false);
      for (const floor of elevation.floors) for (const stair of floor.stairs) for (const one of stair.cells) expect(one.unknown).toBe(true);
    }
  });

  it("covers a floor where no life-safety device answers, and a flat whose device is offline", () => {
    const offline = incident("off", { class: "device.offline", priority: 2, condition: "unknown", place: { unit: "1", floor: 2, household: "202" } });
    const elevation = elevationOf(gateway(), [offline])!;
    expect(cell(elevation, "1/3/302").unknown).toBe(true);
    expect(cell(elevation, "1/2/201").unknown).toBe(false);
    expect(cell(elevation, "1/2/202").unknown).toBe(true);
    expect(elevation.protection).toEqual({ online: 7, total: 12 });
  });

  it("does not take a call button, which only sends, for a floor that answers", () => {
    const count = (floor: number, kind: string, online: number, total = 2): unknown => ({ unit: "1", floor, kind, life_safety: true, total, online });
    const site = { community: "新盛", building: "12", units: ["1"], floors: [1, 4], households_per_floor: 2 };
    const counts = [
      ...[count(1, "smoke", 0), count(1, "gas", 0), count(1, "call_button", 2)],
      ...[count(2, "smoke", 0), count(2, "gas", 0)],
      ...[count(3, "smoke", 0), count(3, "gas", 2), count(3, "call_button", 2)],
      ...[count(4, "smoke", 1), count(4, "gas", 2), count(4, "call_button", 0)],
    ];
    const elevation = elevationOf(gateway({ site: { ...site, counts } }), [])!;
    const dark = [1, 2, 3, 4].map((floor) => cell(elevation, `1/${floor}/${floor}01`).unknown);
    expect(dark).toEqual([true, true, true, false]);
  });

  it("draws nothing of a building whose shape is not known", () => {
    expect(elevationOf(gateway({ site: null }), [])).toBeNull();
    expect(elevationOf(gateway({ site: { floors: [3, 1] } }), [])).toBeNull();
  });
});

import { describe, expect, it } from "vitest";
import { ACTIONS, actionOf, DEFAULT_KEYS, filterOf, readKeySettings, remap, type KeySettings, type Pressed } from "@/core/keys";

const settings: KeySettings = { on: true, keys: { ...DEFAULT_KEYS } };
const press = (key: string, more: Partial<Pressed> = {}): Pressed => ({
  key,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  repeat: false,
  focus: "nothing",
  ...more,
});

describe("single keys", () => {
  it("need no modifier on the daily path, and leave the browser's own combinations alone", () => {
    expect(actionOf(press("Enter"), settings)).toBe("acknowledge");
    expect(actionOf(press("D"), settings)).toBe("dispatch");
    expect(actionOf(press("r", { ctrlKey: true }), settings)).toBeNull();
    expect(actionOf(press("r", { metaKey: true }), settings)).toBeNull();
  });

  it("have one key per action", () => {
    expect(new Set(Object.values(DEFAULT_KEYS)).size).toBe(ACTIONS.length);
  });

  it("do nothing while a person types, and leave Enter and Space to a focused button", () => {
    expect(actionOf(press("m", { focus: "text" }), settings)).toBeNull();
    expect(actionOf(press("Enter", { focus: "button" }), settings)).toBeNull();
    expect(actionOf(press("m", { focus: "button" }), settings)).toBe("mute");
  });

  it("act once while held down, but moving goes on", () => {
    expect(actionOf(press("Enter", { repeat: true }), settings)).toBeNull();
    expect(actionOf(press("j", { repeat: true }), settings)).toBe("next");
  });

  it("can be turned off; arrows and Esc stay", () => {
    const off = { ...settings, on: false };
    expect(actionOf(press("m"), off)).toBeNull();
    expect(actionOf(press("ArrowDown"), off)).toBe("next");
    expect(actionOf(press("Escape"), off)).toBe("top");
  });

  it("filter with Alt and a digit", () => {
    expect(filterOf(press("2", { altKey: true }))).toBe(2);
    expect(filterOf(press("5", { altKey: true }))).toBeNull();
    expect(filterOf(press("2"))).toBeNull();
  });
});

describe("changed keys", () => {
  it("swap, so that no action is left without one", () => {
    const changed = remap(settings, "mute", "D");
    expect(changed.keys.mute).toBe("d");
    expect(changed.keys.dispatch).toBe("m");
    expect(new Set(Object.values(changed.keys)).size).toBe(ACTIONS.length);
  });

  it("survive a reload, and damaged ones fall back", () => {
    const changed = remap(settings, "mute", "x");
    expect(readKeySettings(JSON.stringify(changed))).toEqual(changed);
    expect(readKeySettings("{nonsense")).toEqual(settings);
    expect(readKeySettings(JSON.stringify({ on: false, keys: { mute: "d" } }))).toEqual({ ...settings, on: false });
    expect(readKeySettings(null)).toEqual(settings);
  });
});

/** The catalogues: complete in both languages, nothing unused, no words for people outside of them. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { actorWord, causesOf, causeWord, classWord, clockTime, conditionWord, elapsed, floorWord, foldTold, moment, placeWord, procedure, reasonWord, stepWord, useTimeZone } from "@/app/words";
import { language, t, tOr } from "@/core/i18n";
import en from "@messages/console.en.json";
import zh from "@messages/console.zh-CN.json";
import type { TimelineLine } from "@/core/types";
import { at, incident } from "./fakes";

const ROOT = join(__dirname, "../src");
const sources = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(ts|vue)$/.test(name))
  .map((name) => ({ name, text: readFileSync(join(ROOT, name), "utf8") }));
const CLASSES = [
  ..."fire.smoke fire.heat gas.combustible gas.co sos.call sos.inactivity door.forced door.held water.leak".split(" "),
  ..."bin.overheat bin.full air.poor device.offline device.fault device.tamper device.battery_low link.down".split(" "),
  ..."gateway.lost gateway.storage gateway.clock duty_room.unheard test".split(" "),
];

const line = (step: string, reason: string | null): TimelineLine => ({ at: 0, by: null, via: null, step, reason, value: null, unit: null });

beforeEach(() => {
  language.value = "zh-CN";
});

describe("catalogues", () => {
  it("have the same keys and the same blanks", () => {
    expect(Object.keys(en)).toEqual(Object.keys(zh));
    const blanks = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
    for (const [key, text] of Object.entries(zh)) expect(blanks((en as Record<string, string>)[key]!), key).toEqual(blanks(text));
  });

  it("hold no key that nobody uses", () => {
    const all = sources.map((source) => source.text).join("\n");
    const literal = new Set(all.match(/console\.[\w.-]+/g) ?? []);
    // Keys built from a prefix and a word of the contract: `console.state.${…}`.
    const prefixes = [...all.matchAll(/`(console\.[\w.]*)\$\{/g)].map((match) => match[1]!);
    const unused = Object.keys(zh).filter((key) => !literal.has(key) && !prefixes.some((prefix) => key.startsWith(prefix)));
    expect(unused).toEqual([]);
  });

  it("hold every key that is named", () => {
    const named = sources.flatMap((source) => [...source.text.matchAll(/"(console\.[\w.]+[\w])"/g)].map((match) => match[1]!));
    expect(named.filter((key) => !(key in zh))).toEqual([]);
  });

  it("are the only place with Chinese words, but for the language's own name and the pinyin table", () => {
    const allowed = new Set(["core/pinyin.ts", "settings/SettingsScreen.vue"]);
    for (const { name, text } of sources) {
      if (allowed.has(name)) continue;
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|<!--[\s\S]*?-->/g, "");
      expect(code.match(/[\u4e00-\u9fff]+/g)?.filter((word) => word !== "、") ?? [], name).toEqual([]);
    }
  });

  it("have words for every alarm class, and a procedure and at most nine causes for each", () => {
    for (const lang of ["zh-CN", "en"] as const) {
      language.value = lang;
      for (const name of CLASSES) {
        expect(classWord(name), name).not.toBe(name);
        expect(procedure(name).length).toBeGreaterThan(1);
        expect(causesOf(name).length).toBeLessThanOrEqual(9);
        for (const cause of causesOf(name)) expect(causeWord(cause), cause).not.toBe(cause);
      }
    }
  });
});

describe("words", () => {
  it("follow the language, fill blanks and let strangers through", () => {
    expect(t("console.bar.age", { s: 2 })).toBe("数据 2 秒前");
    language.value = "en";
    expect(t("console.bar.age", { s: 2 })).toBe("Data 2 s old");
    expect(tOr("console.class.new.kind", "new.kind")).toBe("new.kind");
  });

  it("name a place by what is known of it, a device id never", () => {
    expect(placeWord(incident("a"))).toBe("12 号楼 › 1 单元 › 3 层 › 301");
    expect(placeWord(incident("a", { place: { building: "12", floor: -1 } }))).toBe("12 号楼 › 地下 1 层");
    expect(placeWord(incident("a", { place: { building: "12", text: "北侧桶站" } }))).toBe("北侧桶站");
    expect(placeWord(incident("a", { place: {} }))).toBe("网关 b12");
    expect(floorWord(18)).toBe("18 层");
  });

  it("count time the way a person reads it", () => {
    expect([0, 61_000, 3_599_000, 3_600_000, 90_000_000].map(elapsed)).toEqual(["00:00", "01:01", "59:59", "1 小时 0 分", "1 天 1 小时"]);
  });

  it("say what the device does now, and never that a press has recovered", () => {
    expect(conditionWord(incident("a"))).toBe("报警中");
    expect(conditionWord(incident("a", { condition: "unknown" }))).toBe("未知");
    const cleared = [{ at: at(180), by: null, step: "cleared", reason: null }];
    expect(conditionWord(incident("a", { condition: "off", timeline: cleared }))).toMatch(/^已恢复 \d\d:\d\d$/);
    expect(conditionWord(incident("a", { condition: "off", class: "sos.call" }))).toBe("已按下");
  });

  it("read causes back out of the timeline", () => {
    expect(reasonWord(line("resolved", "false_cooking: 油烟"))).toBe("误报：做饭：油烟");
    expect(reasonWord(line("reset", "real"))).toBe("属实");
    expect(reasonWord(line("escalated", "一个人不够"))).toBe("一个人不够");
  });

  it("name the person once", () => {
    const going = { ...line("en_route", "王芳"), by: "王芳", via: "phone" };
    expect([stepWord(going), actorWord(going)]).toEqual(["王芳 在途", "手机"]);
    expect(actorWord({ ...going, by: "周敏", via: "console" })).toBe("周敏 · 值班台");
  });

  it("never show a rule's id, but what was measured, in both languages", () => {
    for (const lang of ["zh-CN", "en"] as const) {
      language.value = lang;
      for (const [step, rule] of [["raised", "call"], ["raised", "smoke"], ["repeated", "gas-low"], ["cleared", "gas-high"]] as const)
        expect(reasonWord(line(step, rule))).toBe("");
      expect(reasonWord({ ...line("priority_raised", "gas-high"), value: 26.5, unit: "%LEL" })).toBe("26.5 %LEL");
      for (const [step, reason] of [["reset", "real"], ["order_refused", "reset: condition_on smoke is still there"], ["unheard", "acknowledge"]] as const)
        expect(reasonWord(line(step, reason)), step).not.toContain(reason.split(/:? /).at(-1)!);
      for (const step of ["not_told", "cannot_go", "support"]) expect(stepWord(line(step, "x"))).not.toBe(step);
    }
    expect(reasonWord(line("unheard", "acknowledge"))).toBe("Acknowledge");
    language.value = "zh-CN";
    expect(reasonWord(line("order_refused", "reset: condition_on smoke is still there"))).toBe("复位：设备仍在报警");
    expect(reasonWord(line("raised", "the port is gone"))).toBe("the port is gone");
  });

  it("tell the time of the site, wherever the browser believes it is", () => {
    const noon = Date.parse("2026-11-22T16:30:00Z");
    useTimeZone("Asia/Shanghai");
    expect(clockTime(noon)).toBe("00:30:00");
    expect(moment(noon, Date.parse("2026-11-22T15:30:00Z"))).toMatch(/11.23 00:30$/);
    expect(moment(noon, Date.parse("2026-11-23T10:00:00Z"))).toBe("00:30:00");
    useTimeZone("America/New_York");
    expect(clockTime(noon)).toBe("11:30:00");
    useTimeZone("Nowhere/Atall");
    expect(clockTime(noon, false)).toMatch(/^\d\d:\d\d$/);
    useTimeZone("");
  });
});

describe("timeline", () => {
  it("names everyone who was told in a row once, newest step first", () => {
    const told = ["李四", "王芳", "李四"].map((name) => line("told", name));
    const folded = foldTold([line("raised", "smoke"), ...told, line("overdue", "unacknowledged"), line("told", "赵敏")]);
    expect(folded.map(({ step, reason }) => [step, reason])).toEqual([
      ["told", "赵敏"],
      ["overdue", "unacknowledged"],
      ["told", "李四、王芳"],
      ["raised", "smoke"],
    ]);
  });
});

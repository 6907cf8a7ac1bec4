/** The catalogues: complete in both languages, nothing unused, no words for people outside of them. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { causesOf, causeWord, classWord, conditionWord, elapsed, floorWord, foldTold, placeWord, procedure, reasonWord } from "@/app/words";
import { language, t, tOr } from "@/core/i18n";
import en from "@messages/console.en.json";
import zh from "@messages/console.zh-CN.json";
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
    const line = { at: null, by: "张三", via: "console", step: "resolved", reason: "false_cooking: 油烟" };
    expect(reasonWord(line)).toBe("误报：做饭：油烟");
  });
});

describe("timeline", () => {
  it("names everyone who was told in a row once, newest step first", () => {
    const line = (step: string, reason: string | null) => ({ at: 0, by: null, via: null, step, reason });
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

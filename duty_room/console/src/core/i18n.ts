/** Words for people: one flat JSON catalogue per language, shared with nobody else's keys (`console.…`). */

import en from "@messages/console.en.json";
import zh from "@messages/console.zh-CN.json";
import { shallowRef } from "vue";

export type Language = "zh-CN" | "en";
export type MessageKey = keyof typeof zh;
type Words = Record<string, string | number>;

const catalogues: Record<Language, Record<string, string>> = { "zh-CN": zh, en };

/** The language in force; reading it inside a component makes that component follow a switch. */
export const language = shallowRef<Language>("zh-CN");

/** The words of a key with `{name}` filled in. */
export function t(key: MessageKey, words: Words = {}): string {
  return fill(catalogues[language.value][key] ?? key, words);
}

/** Words of a key that comes from outside (a class, a step, a code); the fallback stands in for an unknown one. */
export function tOr(key: string, fallback: string, words: Words = {}): string {
  const text = catalogues[language.value][key];
  return text === undefined ? fallback : fill(text, words);
}

function fill(text: string, words: Words): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(words[name] ?? whole));
}

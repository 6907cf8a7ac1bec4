/** What this computer remembers: language, theme, keys, and who is on shift. Never what an alarm said. */

import { shallowRef, watch } from "vue";
import { language, type Language } from "@/core/i18n";
import { readKeySettings, type KeySettings } from "@/core/keys";

export type Theme = "day" | "night";

const read = (storage: () => Storage, key: string): string | null => {
  try {
    return storage().getItem(key);
  } catch {
    // A browser that forbids storage still shows alarms.
    return null;
  }
};
const write = (storage: () => Storage, key: string, value: string): void => {
  try {
    storage().setItem(key, value);
  } catch {
    return;
  }
};
const local = (): Storage => window.localStorage;
const session = (): Storage => window.sessionStorage;

/** What other files keep on this computer. */
export const readKept = (name: string): string | null => read(local, name);
export const keep = (name: string, value: string): void => write(local, name, value);

export const theme = shallowRef<Theme>(read(local, "linli.theme") === "night" ? "night" : "day");
export const keySettings = shallowRef<KeySettings>(readKeySettings(read(local, "linli.keys")));
/** Names of the people on shift at this console; a reload keeps them, closing the browser ends the shift. */
export const onDuty = shallowRef<string[]>((read(session, "linli.on_duty") ?? "").split("\n").filter(Boolean));

const stored = read(local, "linli.language");
language.value = stored === "en" ? "en" : "zh-CN";

export function setLanguage(value: Language): void {
  language.value = value;
}

export function followSettings(title: () => string): void {
  watch(theme, (value) => write(local, "linli.theme", value));
  watch(theme, (value) => document.documentElement.setAttribute("data-theme", value), { immediate: true });
  watch(keySettings, (value) => write(local, "linli.keys", JSON.stringify(value)));
  watch(onDuty, (value) => write(session, "linli.on_duty", value.join("\n")));
  watch(language, (value) => write(local, "linli.language", value));
  watch(
    language,
    (value) => {
      document.documentElement.lang = value;
      document.title = title();
    },
    { immediate: true },
  );
}

/** Ticks of the procedure of one incident. */
export function readTicks(incident: string): number[] {
  return (read(session, `linli.ticks.${incident}`) ?? "").split(",").filter(Boolean).map(Number);
}

export function writeTicks(incident: string, ticks: number[]): void {
  write(session, `linli.ticks.${incident}`, ticks.join(","));
}

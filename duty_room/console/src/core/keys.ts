/** Single keys for the daily path. They can be changed or turned off (WCAG 2.1.4). */

export type Action =
  | "next"
  | "previous"
  | "acknowledge"
  | "dispatch"
  | "escalate"
  | "resolve"
  | "shelve"
  | "en_route"
  | "arrive"
  | "close"
  | "mute"
  | "test_sound"
  | "toggle_group"
  | "building"
  | "search"
  | "top"
  | "print"
  | "help";

/** Keys as KeyboardEvent.key in lower case. The arrows always move as well. */
export const DEFAULT_KEYS: Record<Action, string> = {
  next: "j",
  previous: "k",
  acknowledge: "enter",
  dispatch: "d",
  escalate: "e",
  resolve: "r",
  shelve: "s",
  en_route: "g",
  arrive: "a",
  close: "c",
  mute: "m",
  test_sound: "t",
  toggle_group: " ",
  building: "b",
  search: "/",
  top: "escape",
  print: "p",
  help: "?",
};

export const ACTIONS = Object.keys(DEFAULT_KEYS) as Action[];

export interface KeySettings {
  on: boolean;
  keys: Record<Action, string>;
}

export interface Pressed {
  key: string;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
  repeat: boolean;
  /** What has the focus, as far as it matters. */
  focus: "nothing" | "text" | "button";
}

/** Keys that a focused button uses itself. */
const BUTTON_KEYS = new Set(["enter", " "]);
/** Holding these down must not act again and again. */
const ONCE: ReadonlySet<Action> = new Set(["acknowledge", "dispatch", "escalate", "resolve", "close", "en_route", "arrive"]);

/** What a key press asks for, or null. */
export function actionOf(pressed: Pressed, settings: KeySettings): Action | null {
  if (pressed.ctrlKey || pressed.altKey || pressed.metaKey) return null;
  const key = pressed.key.toLowerCase();
  if (pressed.focus === "text") return null;
  if (pressed.focus === "button" && BUTTON_KEYS.has(key)) return null;
  if (key === "arrowdown") return "next";
  if (key === "arrowup") return "previous";
  if (!settings.on && key !== "escape") return null;
  const action = ACTIONS.find((name) => settings.keys[name] === key) ?? null;
  return action && pressed.repeat && ONCE.has(action) ? null : action;
}

/** Alt+1…4 filters by priority, in any state of the single keys; null when the press is something else. */
export function filterOf(pressed: Pressed): 1 | 2 | 3 | 4 | null {
  const digit = Number(pressed.key);
  const fits = pressed.altKey && !pressed.ctrlKey && !pressed.metaKey && digit >= 1 && digit <= 4;
  return fits ? (digit as 1 | 2 | 3 | 4) : null;
}

/** Give an action another key. The action that had that key gets the old one, so that none is lost. */
export function remap(settings: KeySettings, action: Action, key: string): KeySettings {
  const wanted = key.toLowerCase();
  const keys = { ...settings.keys };
  const holder = ACTIONS.find((name) => keys[name] === wanted);
  if (holder) keys[holder] = keys[action];
  keys[action] = wanted;
  return { ...settings, keys };
}

/** Settings as kept in the browser; whatever is damaged falls back to the default. */
export function readKeySettings(stored: string | null): KeySettings {
  const settings: KeySettings = { on: true, keys: { ...DEFAULT_KEYS } };
  if (stored === null) return settings;
  try {
    const raw = JSON.parse(stored) as { on?: unknown; keys?: Record<string, unknown> };
    settings.on = raw.on !== false;
    for (const action of ACTIONS) {
      const key = raw.keys?.[action];
      if (typeof key === "string" && key !== "") settings.keys[action] = key;
    }
  } catch {
    return settings;
  }
  return new Set(Object.values(settings.keys)).size === ACTIONS.length ? settings : { on: settings.on, keys: { ...DEFAULT_KEYS } };
}

/** The key as printed on a keyboard. */
export function keyLabel(key: string): string {
  const names: Record<string, string> = { enter: "Enter", escape: "Esc", " ": "Space", arrowup: "↑", arrowdown: "↓" };
  return names[key] ?? key.toUpperCase();
}

/** How the focus matters to the single keys. Rows of the queue are not buttons: Enter acknowledges there. */
export function focusOf(element: Element | null): Pressed["focus"] {
  if (!element) return "nothing";
  if (element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]")) return "text";
  if (element.matches("button, a[href], input, summary, [role=button], [role=tab], [role=switch], [role=radio]")) return "button";
  return "nothing";
}

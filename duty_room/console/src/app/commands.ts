/** From a key or a button to what happens: the one table of what a person can ask for. */

import { shallowRef } from "vue";
import type { Router } from "vue-router";
import { actions, choose, desk, mute, queue, rows, selected, selectedIncident, sound, tooSoon, top, unlockSound } from "@/app/desk";
import { printSheet } from "@/app/print";
import { keySettings } from "@/app/settings";
import type { Verb } from "@/core/api";
import type { Row } from "@/core/group";
import { t } from "@/core/i18n";
import { actionOf, filterOf, focusOf, keyLabel, type Action, type Pressed } from "@/core/keys";
import type { Incident } from "@/core/types";

export type DialogKind = "dispatch" | "en-route" | "arrive" | "resolve" | "escalate" | "shelve" | "keys" | "shift";

/** The open dialog and the incident it is about. */
export const dialog = shallowRef<{ kind: DialogKind; incident: Incident | null } | null>(null);

/** Steps in the order of a working day, with the states they are offered in. */
const OFFERED: Record<Verb, (incident: Incident) => boolean> = {
  acknowledge: (i) => i.state === "unacknowledged" || (i.state === "acknowledged" && unheard(i)),
  dispatch: (i) => between(i),
  "en-route": (i) => between(i) && i.state !== "en_route" && i.state !== "on_scene",
  arrive: (i) => between(i) && i.state !== "on_scene",
  resolve: (i) => between(i),
  close: (i) => i.state === "resolved" && !i.flags.includes("still_in_alarm"),
  escalate: (i) => i.state !== "resolved" && i.state !== "closed",
  shelve: (i) => i.priority !== 1 && i.state !== "resolved" && i.state !== "closed" && i.shelvedUntil === null,
};
const VERBS = Object.keys(OFFERED) as Verb[];

const unheard = (incident: Incident): boolean => incident.flags.includes("unheard") || incident.flags.includes("refused");

function between(incident: Incident): boolean {
  return incident.state !== "unacknowledged" && incident.state !== "resolved" && incident.state !== "closed";
}

export const offered = (incident: Incident): Verb[] => VERBS.filter((verb) => OFFERED[verb](incident));

const ACTION_OF: Record<Verb, Action> = {
  acknowledge: "acknowledge",
  dispatch: "dispatch",
  "en-route": "en_route",
  arrive: "arrive",
  resolve: "resolve",
  close: "close",
  escalate: "escalate",
  shelve: "shelve",
};

/** The key of a step as printed on its button; empty when single keys are off. */
export function keyOf(verb: Verb): string {
  return keySettings.value.on ? keyLabel(keySettings.value.keys[ACTION_OF[verb]]) : "";
}

export const verbWord = (verb: Verb): string => t(`console.action.${ACTION_OF[verb] as "acknowledge"}`);

/** The next step of the daily path: the one button a row shows. */
export function primaryVerb(incident: Incident): Verb | null {
  const path: Verb[] = ["acknowledge", "dispatch", "arrive", "resolve", "close"];
  if (incident.state === "dispatched" || incident.state === "en_route") return "arrive";
  if (incident.state === "on_scene") return "resolve";
  return path.find((verb) => OFFERED[verb](incident)) ?? null;
}

/** Why nothing can be done now, or an empty text. */
export function blocked(): string {
  return desk.freshness === "lost" ? t("console.action.disabled_lost") : "";
}

/** Do one step, by its dialog where it needs words. */
export function perform(verb: Verb, incident: Incident): void {
  if (blocked() || !OFFERED[verb](incident)) return;
  choose(incident.id);
  if (verb === "acknowledge" || verb === "close") void actions.act(incident, verb);
  else dialog.value = { kind: verb, incident };
}

/** Groups of priority 2–4 can be acknowledged together; urgent ones each on its own. */
export function acknowledgeGroup(members: Incident[]): void {
  for (const member of members) if (member.priority !== 1 && OFFERED.acknowledge(member)) void actions.act(member, "acknowledge");
}

export function toggleGroup(key: string): void {
  if (!queue.open.delete(key)) queue.open.add(key);
}

function acknowledgeSelected(): void {
  const row = selected.value;
  const incident = selectedIncident.value;
  if (!row || !incident) return;
  if (row.kind === "group") {
    if (incident.priority !== 1) return acknowledgeGroup(row.group.members);
    // No "acknowledge all" for urgent alarms: open the group and stand on its first-up.
    queue.open.add(row.group.key);
    return choose(row.group.first.id);
  }
  // Already answered: the same key goes on to the next one, without answering what nobody has read yet.
  if (!OFFERED.acknowledge(incident)) return choose(null);
  if (tooSoon()) {
    desk.notice = { text: t("console.action.look"), bad: false };
    return;
  }
  perform("acknowledge", incident);
}

function move(by: 1 | -1): void {
  const list = rows.value;
  const at = list.findIndex((row) => row.id === selected.value?.id);
  const next: Row | undefined = list[Math.min(list.length - 1, Math.max(0, at + by))];
  if (next) choose(next.id);
}

export function run(action: Action, router: Router): void {
  const incident = selectedIncident.value;
  const verb = VERBS.find((name) => ACTION_OF[name] === action);
  if (action === "acknowledge") acknowledgeSelected();
  else if (verb) incident && perform(verb, incident);
  else if (action === "next") move(1);
  else if (action === "previous") move(-1);
  else if (action === "mute") mute();
  else if (action === "test_sound") void unlockSound().then(() => sound.test());
  else if (action === "help") dialog.value = { kind: "keys", incident: null };
  else if (action === "print") void printSheet();
  else if (action === "toggle_group") toggleSelected();
  else if (action === "building") void router.push(incident ? `/buildings/${encodeURIComponent(incident.gateway)}` : "/buildings");
  else if (action === "search") document.getElementById("queue-search")?.focus();
  else backToTop(router);
}

function toggleSelected(): void {
  const row = selected.value;
  if (row?.kind === "group") toggleGroup(row.group.key);
  else if (row?.group) {
    toggleGroup(row.group.key);
    choose(row.group.key);
  }
}

function backToTop(router: Router): void {
  queue.search = "";
  queue.filter = null;
  choose(null);
  if (top.value || router.currentRoute.value.name !== "duty") void router.push("/");
  document.getElementById("queue")?.focus();
}

/** One listener for the whole page. A dialog has its own keys. */
export function listenKeys(router: Router): void {
  window.addEventListener("keydown", (event) => {
    if (dialog.value !== null || event.defaultPrevented || event.isComposing) return;
    const { key, ctrlKey, altKey, metaKey, repeat } = event;
    const pressed: Pressed = { key, ctrlKey, altKey, metaKey, repeat, focus: focusOf(document.activeElement) };
    const filter = filterOf(pressed);
    const inSearch = document.activeElement?.id === "queue-search";
    const action = inSearch && key === "Escape" ? "top" : actionOf(pressed, keySettings.value);
    if (filter !== null) queue.filter = queue.filter === filter ? null : filter;
    else if (action === null || !fits(action, router)) return;
    else run(action, router);
    event.preventDefault();
  });
  // A button clicked with the mouse gives the keys back to the queue, so that Enter acknowledges again.
  window.addEventListener("click", (event) => {
    if (event.detail === 0 || dialog.value !== null) return;
    const button = (event.target as Element | null)?.closest("button");
    if (button && !button.closest("[data-keeps-focus]")) document.getElementById("queue")?.focus({ preventScroll: true });
  });
}

const EVERYWHERE: ReadonlySet<Action> = new Set(["mute", "test_sound", "help", "top"]);

/** Outside the duty screen the queue is out of sight: nothing may happen to an alarm that nobody sees. */
function fits(action: Action, router: Router): boolean {
  return EVERYWHERE.has(action) || router.currentRoute.value.name === "duty";
}

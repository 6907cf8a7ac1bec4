/** The composition root: builds store, stream, sound and keys, and holds what the screens show. */

import { computed, markRaw, reactive, shallowReactive, watch } from "vue";
import { Announcer } from "@/app/announce";
import { Actions, type Notice } from "@/app/actions";
import { onDuty } from "@/app/settings";
import { closeCut, openCut } from "@/app/cuts";
import { classWord, duration, placeWord, useTimeZone } from "@/app/words";
import { Api, randomKey } from "@/core/api";
import { fold, type Row } from "@/core/group";
import { t } from "@/core/i18n";
import { matches } from "@/core/pinyin";
import { SoundDesk, type SoundState } from "@/core/sound";
import { BrowserSpeaker } from "@/core/speaker";
import { Store, type Counter } from "@/core/store";
import { Stream, type Freshness, type StreamSink } from "@/core/stream";
import { heardOf, type Heard } from "@/core/heard";
import type { GatewayRow, Incident, Me, PersonRow, Priority, Snapshot } from "@/core/types";

const HEALTH_GAP_MS = 10_000;
const SITES_GAP_MS = 30_000;
/** A person cannot have read an alarm that has been on top for less than this. */
const LOOK_MS = 600;

const wall = (): number => Date.now();
/** Never jumps when somebody sets the PC's clock. */
const steady = (): number => performance.now();

export const api = new Api((input, init) => fetch(input, init), randomKey);
export const speaker = new BrowserSpeaker();
export const sound = new SoundDesk(speaker, steady);

/** Server time minus the steady clock; the PC's own clock may be wrong. */
let offset = wall() - steady();
export const serverNow = (): number => steady() + offset;

export const desk = shallowReactive({
  /** Counts repaints; everything derived from the store reads it. */
  revision: 0,
  now: serverNow(),
  ageS: 0,
  freshness: "live" as Freshness,
  loaded: false,
  me: null as Me | null,
  signedOut: false,
  gateways: [] as GatewayRow[],
  people: [] as PersonRow[],
  soundState: "off" as SoundState,
  sounding: null as Priority | "lost" | null,
  muteLeftS: 0,
  /** The sentence in the live region. */
  announcement: "",
  notice: null as Notice | null,
  /** Shown once after a loss, until dismissed. */
  returned: "",
  wasHidden: false,
  tabs: 1,
});

export const queue = reactive({
  /** The incident a person chose; null follows the top unacknowledged one. */
  chosen: null as string | null,
  filter: null as Priority | null,
  search: "",
  open: new Set<string>(),
});

const announcer = new Announcer(steady, (n) => t("console.live.more", { n }), (sentence) => (desk.announcement = sentence));
let arrived = 0;

export const store = markRaw(
  new Store(
    { now: serverNow, after: (delay, run) => void setTimeout(run, delay) },
    () => {
      desk.revision += 1;
      makeSound();
    },
    (incident) => {
      arrived += 1;
      if (!desk.loaded) return;
      if (incident.priority === 1) announcer.urgentAlarm(t("console.live.urgent", urgentWords(incident)));
      else announcer.otherAlarm();
    },
  ),
);

const urgentWords = (incident: Incident): { kind: string; place: string } => ({
  kind: classWord(incident.class),
  place: placeWord(incident),
});

function makeSound(): void {
  const ring = store.ring();
  sound.update(ring, desk.freshness === "lost", () => (ring ? t("console.speech.urgent", urgentWords(ring.incident)) : ""));
  desk.soundState = sound.state();
  desk.sounding = sound.sounding;
  desk.muteLeftS = Math.ceil(sound.muteLeftMs() / 1000);
}

const sink: StreamSink = {
  snapshot(snapshot: Snapshot) {
    setClock(snapshot.serverTime);
    desk.people = snapshot.people;
    takeGateways(snapshot.gateways);
    desk.signedOut = false;
    store.replaceAll(snapshot.incidents);
    desk.loaded = true;
    actions.returned();
  },
  incidents(incidents: Incident[]) {
    store.apply(incidents);
    actions.returned();
  },
  gateways(rows: GatewayRow[], serverTime: number) {
    setClock(serverTime);
    takeGateways(rows);
  },
  signedOut() {
    desk.signedOut = true;
  },
};

function setClock(serverTime: number): void {
  if (serverTime > 0) offset = serverTime - steady();
}

/** Heartbeats carry no building shapes: those known stay. */
function takeGateways(rows: GatewayRow[]): void {
  if (rows.length === 0) return;
  const sites = new Map(desk.gateways.map((row) => [row.id, row.site]));
  desk.gateways = rows.map((row) => ({ ...row, site: row.site ?? sites.get(row.id) ?? null }));
}

export const stream = markRaw(
  new Stream(
    {
      snapshot: () => api.snapshot(),
      listen: api.listen,
      now: steady,
      after: (delay, run) => void setTimeout(run, delay),
      jitter: Math.random,
    },
    sink,
    (lostMs) => {
      const since = serverNow() - lostMs;
      desk.returned = t("console.banner.back", { s: duration(lostMs), n: 0 });
      const before = arrived;
      // The missed alarms come right behind the first sign of life.
      setTimeout(() => {
        desk.returned = t("console.banner.back", { s: duration(lostMs), n: arrived - before });
        closeCut(since, serverNow(), arrived - before);
      }, 1_500);
      void loadPerson();
    },
  ),
);

export const actions = new Actions({
  api,
  get: (id) => store.get(id),
  adopt: (incident) => store.apply([incident]),
  after: (delay, run) => void setTimeout(run, delay),
  serverNow,
  role: () => desk.me?.role ?? "viewer",
  notify: (notice) => (desk.notice = notice),
});

/** Everything open, in order; also what a repaint costs. */
const sorted = computed(() => (desk.revision >= 0 ? store.sorted() : []));
export const counters = computed<Record<Priority, Counter>>(() => (desk.revision >= 0 ? store.counters() : store.counters()));
export const shelved = computed(() => (desk.revision >= 0 ? store.shelved() : 0));
export const incidents = computed<Incident[]>(() => sorted.value.map((placed) => placed.incident));
export const top = computed<Incident | null>(() => (desk.revision >= 0 ? store.top() : null));

export const rows = computed<Row[]>(() => {
  const { filter, search } = queue;
  let placed = sorted.value;
  if (filter !== null) placed = placed.filter(({ incident }) => incident.priority === filter);
  if (search !== "")
    placed = placed.filter(({ incident }) => matches(`${placeWord(incident)} ${classWord(incident.class)}`, search));
  return fold(placed, (key) => queue.open.has(key));
});

/** The row the keys act on: the chosen one, else the top one. */
export const selected = computed<Row | null>(() => {
  const chosen = queue.chosen;
  const row = chosen === null ? undefined : rows.value.find((candidate) => candidate.id === chosen);
  if (row) return row;
  // It may be inside a folded group, filtered out, or closed meanwhile.
  const hidden = chosen !== null && desk.revision >= 0 ? store.get(chosen) : undefined;
  if (hidden) return { kind: "incident", id: hidden.id, incident: hidden, group: null };
  const first = top.value;
  return first ? { kind: "incident", id: first.id, incident: first, group: null } : (rows.value[0] ?? null);
});

export const selectedIncident = computed<Incident | null>(() => {
  const row = selected.value;
  return row === null ? null : row.kind === "group" ? row.group.first : row.incident;
});

let lookedAt = 0;
watch(
  () => selectedIncident.value?.id,
  () => (lookedAt = queue.chosen === null ? steady() : 0),
);

/** True when the followed alarm has changed too recently for a person to have read it. */
export const tooSoon = (): boolean => queue.chosen === null && steady() - lookedAt < LOOK_MS;

export function choose(id: string | null): void {
  queue.chosen = id;
}

/** Start of a shift, or any first gesture: the browser lets us sound from here on. */
export async function unlockSound(): Promise<boolean> {
  const works = await speaker.unlock();
  // The duty room should not count this console as deaf any longer than it is.
  if (works && !reportedSound) lastHealth = Number.NEGATIVE_INFINITY;
  makeSound();
  return works;
}

export function mute(): void {
  if (sound.muteLeftMs() > 0) sound.unmute();
  else sound.mute();
  makeSound();
}

async function loadPerson(): Promise<void> {
  try {
    desk.me = await api.me();
    desk.signedOut = false;
    useTimeZone(desk.me?.timeZone ?? "");
    // Another tab, or this one before a reload, has begun the shift: its names are those the steps carry.
    if (desk.me && desk.me.shift.length > 0 && onDuty.value.length === 0) onDuty.value = desk.me.shift;
  } catch {
    // The stream says whether we are signed out or cut off; the name only comes later.
    return;
  }
  await loadSites();
}

async function loadSites(): Promise<void> {
  try {
    takeGateways(await api.gateways());
  } catch {
    // A missing elevation must not disturb the queue.
    return;
  }
}

/** Begin or end the shift at this console. False: the duty room does not have the names yet; it is tried again. */
export async function takeShift(names: string[]): Promise<boolean> {
  onDuty.value = names;
  lastHealth = Number.NEGATIVE_INFINITY;
  return sendShift();
}

const shiftIsSent = (): boolean => desk.me?.shift.join("\n") === onDuty.value.join("\n");

async function sendShift(): Promise<boolean> {
  const names = onDuty.value;
  try {
    if (!desk.me || !(await api.shift(names))) return false;
    desk.me = { ...desk.me, name: names[0] ?? desk.me.name, shift: names };
    return true;
  } catch {
    // Said to the person by the caller; the next health report tries again.
    return false;
  }
}

let lastHealth = Number.NEGATIVE_INFINITY;
let reportedSound = false;
let lastSites = 0;
let lastSecond = 0;

function tick(): void {
  const at = steady();
  makeSound();
  if (at - lastSecond < 950) return;
  lastSecond = at;
  stream.watch();
  store.tick();
  announcer.tick();
  desk.now = serverNow();
  desk.ageS = Math.floor(stream.ageS());
  desk.freshness = stream.freshness();
  if (desk.freshness === "lost" && desk.loaded) openCut(desk.now - stream.ageS() * 1000);
  if (at - lastHealth >= HEALTH_GAP_MS && desk.me) {
    lastHealth = at;
    reportedSound = speaker.running();
    const report = { sound: reportedSound, stream: desk.freshness === "live", seq: stream.seq, on_duty: onDuty.value };
    if (!shiftIsSent() && desk.me.role !== "viewer") void sendShift();
    // Its absence is the message: the duty room counts a console as deaf after 30 s.
    void api.health(report).catch(() => undefined);
  }
  if (at - lastSites >= SITES_GAP_MS) {
    lastSites = at;
    if (desk.me) void loadSites();
    else void loadPerson();
  }
}

/** Count the duty pages of this browser: each holds one of its six connections to the server. */
function countTabs(): void {
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel("linli-tabs");
  const mine = randomKey();
  const seen = new Map<string, number>();
  channel.onmessage = (message: MessageEvent<unknown>) => {
    if (typeof message.data === "string") seen.set(message.data, steady());
  };
  setInterval(() => {
    channel.postMessage(mine);
    for (const [tab, at] of seen) if (steady() - at > 10_000) seen.delete(tab);
    desk.tabs = seen.size + 1;
  }, 3_000);
}

export function startDesk(): void {
  void loadPerson().finally(() => stream.start());
  lastSites = steady();
  const ticker = new Worker(new URL("../core/ticker.worker.ts", import.meta.url), { type: "module" });
  ticker.onmessage = tick;
  // Should the worker be refused, the page's own timer still beats, if more slowly when hidden.
  ticker.onerror = () => void setInterval(tick, 250);
  // Kiosks allow sound without a gesture; elsewhere the first gesture unlocks it.
  void unlockSound();
  for (const gesture of ["pointerdown", "keydown"] as const)
    window.addEventListener(gesture, () => void (speaker.running() || unlockSound()), { capture: true });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") desk.wasHidden = true;
  });
  countTabs();
}

export const people = computed(() => desk.people.filter((person) => person.role.includes("grid")));
/** What a gateway said is of now only while the duty room itself is heard. */
export const gateways = computed<GatewayRow[]>(() =>
  desk.freshness === "lost" ? desk.gateways.map((row) => ({ ...row, state: "unknown" as const })) : desk.gateways,
);
/** Whether the buildings speak to us at all: what nobody has said is not calm. */
export const heard = computed<Heard>(() => heardOf(gateways.value));
export const shiftNames = computed(() => (onDuty.value.length > 0 ? onDuty.value.join("、") : ""));

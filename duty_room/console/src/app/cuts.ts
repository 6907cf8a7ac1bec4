/** The ledger of disconnections of this console: when nobody could see alarms here. Kept on this computer. */

import { shallowRef } from "vue";
import { readKept, keep } from "@/app/settings";

const NAME = "linli.cuts";
/** The newest ones; a year of a healthy site is far fewer. */
const KEPT = 100;

export interface Cut {
  /** Server time, in milliseconds since 1970. */
  from: number;
  /** null: not over yet, or the console was closed meanwhile. */
  to: number | null;
  /** Alarms that came in afterwards. */
  missed: number;
}

export function readCuts(stored: string | null): Cut[] {
  try {
    const raw: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(raw) ? raw.filter(isCut).slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

function isCut(raw: unknown): raw is Cut {
  if (typeof raw !== "object" || raw === null) return false;
  const { from, to, missed } = raw as Record<string, unknown>;
  return typeof from === "number" && (to === null || typeof to === "number") && typeof missed === "number";
}

/** Newest first. */
export const cuts = shallowRef<Cut[]>(readCuts(readKept(NAME)));
let isOpen = false;

/** The connection is lost since then. Says so once, and at once: a console that is switched off must leave it there. */
export function openCut(from: number): void {
  if (isOpen) return;
  isOpen = true;
  write([{ from: Math.round(from), to: null, missed: 0 }, ...cuts.value]);
}

/** It is back. */
export function closeCut(from: number, to: number, missed: number): void {
  const rest = isOpen ? cuts.value.slice(1) : cuts.value;
  isOpen = false;
  write([{ from: Math.round(from), to: Math.round(to), missed }, ...rest]);
}

function write(list: Cut[]): void {
  cuts.value = list.slice(0, KEPT);
  keep(NAME, JSON.stringify(cuts.value));
}

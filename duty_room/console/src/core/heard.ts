/** Whether the buildings are heard (pure). No alarms known and no alarms are two different things. */

import type { GatewayRow } from "@/core/types";

export interface Heard {
  /** all: every gateway speaks; some: not every one; none: no gateway is heard, or none is known. */
  word: "all" | "some" | "none";
  /** Gateways of which nothing is known now: not heard yet since the duty room started, or lost. */
  silent: GatewayRow[];
}

export function heardOf(gateways: readonly GatewayRow[]): Heard {
  const silent = gateways.filter((row) => row.state !== "heard");
  if (silent.length === 0 && gateways.length > 0) return { word: "all", silent };
  return { word: silent.length === gateways.length ? "none" : "some", silent };
}

/** A number of alarms as it may be shown: at least so many while a building is silent, and none is then unknown. */
export function countWord(count: number, heard: Heard["word"]): string {
  if (heard === "all") return String(count);
  if (heard === "none" && count === 0) return "?";
  return `${count}+`;
}

/** Printing: the sheet is built only when it is wanted, and before the browser looks at the page. */

import { nextTick, shallowRef } from "vue";

export const printing = shallowRef(false);

export async function printSheet(): Promise<void> {
  printing.value = true;
  await nextTick();
  window.print();
}

/** The browser's own print command goes the same way. */
export function listenPrint(): void {
  window.addEventListener("beforeprint", () => (printing.value = true));
  window.addEventListener("afterprint", () => (printing.value = false));
}

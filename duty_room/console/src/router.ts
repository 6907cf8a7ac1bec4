/** Only routes that exist. Behind the hash: the duty room serves one file. */

import { createRouter, createWebHashHistory } from "vue-router";
import DutyScreen from "@/duty/DutyScreen.vue";

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: "/", name: "duty", component: DutyScreen },
    { path: "/buildings/:gateway?", name: "buildings", component: () => import("@/building/BuildingScreen.vue") },
    { path: "/settings", name: "settings", component: () => import("@/settings/SettingsScreen.vue") },
    { path: "/:rest(.*)*", redirect: "/" },
  ],
});

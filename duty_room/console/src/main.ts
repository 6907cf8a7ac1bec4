import { createApp } from "vue";
import App from "@/App.vue";
import { listenKeys } from "@/app/commands";
import { startDesk } from "@/app/desk";
import { listenPrint } from "@/app/print";
import { followSettings } from "@/app/settings";
import { t } from "@/core/i18n";
import { router } from "@/router";
import "@/styles/tokens.css";
import "@/styles/base.css";

followSettings(() => t("console.title"));
startDesk();
listenKeys(router);
listenPrint();
createApp(App).use(router).mount("#app");

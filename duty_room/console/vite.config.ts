import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [vue()],
  // Relative addresses: the duty room may serve the console below any path.
  base: "./",
  resolve: { alias: { "@": here("./src"), "@messages": here("../messages") } },
  build: {
    outDir: here("../web/dist"),
    emptyOutDir: true,
    // Duty PCs run UOS, Kylin and 360 browsers, which follow Chromium by years.
    target: ["chrome87", "safari14"],
    // An inlined data: script or font would need a wider content policy than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { fs: { allow: [here("..")] } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});

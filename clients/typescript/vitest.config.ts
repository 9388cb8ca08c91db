import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/*.test.{ts,tsx}"], fakeTimers: { toFake: ["setTimeout", "clearTimeout", "Date", "performance"] } },
});

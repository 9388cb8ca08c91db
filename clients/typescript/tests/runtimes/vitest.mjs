// As much of vitest as the vectors' test uses, for runtimes that do not have it. Counts, and says so in its last line.

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert";

const counts = { passed: 0, failed: 0 };

export const describe = (_name, tests) => tests();

/** Runs a test at once: those of the vectors do not wait for anything. */
export const test = (name, f) => {
  try {
    f();
    counts.passed++;
  } catch (error) {
    counts.failed++;
    console.log(`failed: ${name}: ${error.stack}`);
  }
};

export const expect = (seen, what) => ({
  toBe: (wanted) => strictEqual(seen, wanted, what && `${what}: ${seen} instead of ${wanted}`),
  toEqual: (wanted) => deepStrictEqual(seen, wanted),
  toBeUndefined: () => strictEqual(seen, undefined, what),
  toBeGreaterThan: (least) => ok(seen > least, `${seen} are not more than ${least}`),
  /** As in vitest: a text is a part of the error's message. */
  toThrow: (part = "") => throws(seen, ({ message }) => message.includes(part), what),
});

process.on("exit", () => {
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  if (counts.failed) process.exitCode = 1;
});

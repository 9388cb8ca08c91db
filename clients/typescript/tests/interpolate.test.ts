// The value between two samples (SPEC 7).

import { expect, test } from "vitest";

import { angle, interpolator, linear } from "../src/interpolate.js";

test("between two samples, before the first, beyond the last", () => {
  const x = interpolator<number>({ delay: 100 });
  expect(x.at(0)).toBeUndefined();
  x.push(1000, 0);
  x.push(1050, 10);
  x.push(1100, 30);
  expect([1000, 1100, 1125, 1150, 1175, 1200, 9999].map((time) => x.at(time))).toEqual([0, 0, 5, 10, 20, 30, 30]);
  x.clear();
  expect(x.at(1125)).toBeUndefined();
});

test("late samples do not count, one of the same time replaces, and the oldest go", () => {
  const x = interpolator<number>({ delay: 0 });
  x.push(10, 1);
  x.push(5, 99);
  x.push(10, 2);
  expect(x.at(10)).toBe(2);
  for (let time = 20; time < 1000; time += 10) x.push(time, time);
  expect(x.at(0)).toBe(990 - 63 * 10);
});

test("objects, lists, angles, and what cannot be mixed", () => {
  expect(linear({ x: 0, name: "a", at: [0, 4] }, { x: 10, name: "b", at: [2, 8] }, 0.5)).toEqual({ x: 5, name: "a", at: [1, 6] });
  expect(linear<unknown>({ x: 1 }, null, 0.5)).toEqual({ x: 1 });
  expect(angle(3, -3, 0.5)).toBeCloseTo(Math.PI, 5);
});

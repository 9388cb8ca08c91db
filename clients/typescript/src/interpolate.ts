/**
 * The value between two samples, some time ago: what a screen shows of something that is told once a tick (SPEC 7).
 *
 * ```text
 *  samples   o────────o────────o────────o        time
 *                          ^            ^
 *                     at(now)   delay   now
 * ```
 */

/** How to go from `a` to `b`; `t` runs from 0 to 1. */
export type Mix<T> = (a: T, b: T, t: number) => T;

export interface InterpolatorOptions<T> {
  /** Milliseconds that what is shown lies behind. Two periods of the room are enough for one late batch. */
  delay: number;
  /** How to go from one value to the next; for numbers, and for lists and objects of numbers, it is known. */
  mix?: Mix<T>;
}

/** Samples that are kept. At 60 a second that is one second, which no sensible delay exceeds. */
const SAMPLES = 64;

/** From `a` to `b` in a straight line: numbers, and lists and objects of what can be mixed; of anything else `a`. */
export const linear = <T>(a: T, b: T, t: number): T => {
  if (typeof a === "number" && typeof b === "number") return (a + (b - a) * t) as T;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return a;
  const mixed: any = Array.isArray(a) ? [] : {};
  for (const name of Object.keys(a)) mixed[name] = linear((a as any)[name], (b as any)[name], t);
  return mixed;
};

/** Angles in radians, the short way around. */
export const angle: Mix<number> = (a, b, t) => a + Math.atan2(Math.sin(b - a), Math.cos(b - a)) * t;

/** Timed samples of one thing. */
export interface Interpolator<T> {
  /** Takes a sample at a server time in milliseconds. One that is older than the last is ignored. */
  push(time: number, value: T): void;
  /** The value at a server time, `delay` earlier. Before the first sample it is that; beyond the last it holds. Nothing without samples. */
  at(time: number): T | undefined;
  /** Forgets everything: for a jump that is none, such as a new life. */
  clear(): void;
}

/** Makes one. `interpolator({ delay: 2 * room.period })` */
export const interpolator = <T>({ delay, mix = linear }: InterpolatorOptions<T>): Interpolator<T> => {
  let samples: [time: number, value: T][] = [];
  return {
    push(time, value) {
      const last = samples[samples.length - 1];
      if (last && time < last[0]) return;
      if (last && time === last[0]) samples.pop();
      samples.push([time, value]);
      if (samples.length > SAMPLES) samples.shift();
    },
    at(time) {
      time -= delay;
      // What is shown lies near the end: two hundred of these are asked in each frame.
      let next = samples.length;
      while (next && samples[next - 1]![0] > time) next--;
      if (next === samples.length) return samples[next - 1]?.[1];
      if (!next) return samples[0]![1];
      const [from, a] = samples[next - 1]!;
      const [to, b] = samples[next]!;
      return mix(a, b, (time - from) / (to - from));
    },
    clear() {
      samples = [];
    },
  };
};

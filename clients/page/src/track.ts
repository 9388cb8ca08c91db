/**
 * Where something was at its last ticks, and where that puts it between two of them: what `tickwire/interpolate` does, for
 * two hundred of them at once. The last ticks are numbers in a ring, so that a batch leaves nothing behind to be collected.
 *
 * ```text
 *  samples   o────────o────────o────────o        ticks
 *                          ^            ^
 *                     at(tick)  DELAY  tick
 * ```
 */

import type { Place } from "./message.js";

/** How many ticks others are shown late: two, so that one that is late or left out is not seen. */
export const DELAY = 2;

/** Samples that are kept: those of the delay, and as many again of what came in a bunch before its time. A power of two. */
const KEPT = 16;

/** The numbers of a sample: tick, x, y, heading. */
const SAMPLE = 4;

export class Track {
  #samples = new Float64Array(KEPT * SAMPLE);
  /** Samples that came; the last ones are kept. */
  #count = 0;

  /** It was there at this tick. One that is older than the last is ignored. */
  add(tick: number, { x, y, heading }: Place): void {
    if (this.#count) {
      const last = this.#at(this.#count - 1);
      const told = this.#samples[last]!;
      if (tick < told) return;
      if (tick === told) this.#count--;
      // It said nothing, so it stood still: it left from there a tick ago, and did not creep here since then.
      else if (tick > told + 1) {
        const next = this.#at(this.#count++);
        this.#samples.copyWithin(next, last, last + SAMPLE);
        this.#samples[next] = tick - 1;
      }
    }
    const next = this.#at(this.#count++);
    this.#samples[next] = tick;
    this.#samples[next + 1] = x;
    this.#samples[next + 2] = y;
    this.#samples[next + 3] = heading;
  }

  /** Moves something to where it is shown when it is this tick; it stays where it is while it was nowhere yet. */
  move(what: Omit<Place, "bot">, tick: number): void {
    const samples = this.#samples;
    const at = tick - DELAY;
    const first = Math.max(0, this.#count - KEPT);
    // What is shown lies near the end.
    let next = this.#count;
    while (next > first && samples[this.#at(next - 1)]! > at) next--;
    if (!this.#count) return;
    const a = this.#at(Math.max(first, next - 1));
    const b = this.#at(Math.min(this.#count - 1, next));
    const part = a === b ? 0 : (at - samples[a]!) / (samples[b]! - samples[a]!);
    // Before the first, and beyond the last, it is there; between two, in a straight line, and turned the short way round.
    const turn = samples[b + 3]! - samples[a + 3]!;
    what.x = samples[a + 1]! + (samples[b + 1]! - samples[a + 1]!) * part;
    what.y = samples[a + 2]! + (samples[b + 2]! - samples[a + 2]!) * part;
    what.heading = samples[a + 3]! + (turn - Math.round(turn)) * part;
  }

  /** Ticks may be counted anew. */
  clear(): void {
    this.#count = 0;
  }

  /** Where a sample is. */
  #at(index: number): number {
    return (index % KEPT) * SAMPLE;
  }
}

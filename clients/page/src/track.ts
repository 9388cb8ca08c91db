/** Where something was at its last ticks, and where that puts it between two of them. */

import { interpolator, type Interpolator } from "tickwire/interpolate";

import type { Place } from "./message.js";

/** How many ticks others are shown late: two, so that one that is late or left out is not seen. */
export const DELAY = 2;

/** What {@link mix} returns, each time anew: nobody keeps it, and there are two hundred in each frame. */
const mixed: Place = { x: 0, y: 0, heading: 0, bot: false };

const mix = (a: Place, b: Place, part: number): Place => {
  // The short way round.
  const turn = b.heading - a.heading;
  mixed.x = a.x + (b.x - a.x) * part;
  mixed.y = a.y + (b.y - a.y) * part;
  mixed.heading = a.heading + (turn - Math.round(turn)) * part;
  mixed.bot = b.bot;
  return mixed;
};

/** Time is ticks here, as real numbers. */
export class Track {
  #samples: Interpolator<Place> = interpolator({ delay: DELAY, mix });
  #last?: [tick: number, place: Place];

  /** It was there at this tick. */
  add(tick: number, place: Place): void {
    const last = this.#last;
    // It said nothing, so it stood still: it left from there a tick ago, and did not creep here since then.
    if (last && tick > last[0] + 1) this.#samples.push(tick - 1, last[1]);
    this.#samples.push(tick, place);
    this.#last = [tick, place];
  }

  /** Where it is shown when it is this tick; nothing where it was nowhere yet. It is valid until the next call of any. */
  at(tick: number): Place | undefined {
    return this.#samples.at(tick);
  }

  /** Ticks may be counted anew. */
  clear(): void {
    this.#samples.clear();
    this.#last = undefined;
  }
}

/** Where something was at its last ticks, and where that puts it between two of them. */

/** Samples that are kept. 4: two ticks of delay, one before them, one to come. */
const KEPT = 4;

/** What is set to where it is. */
export interface Placed {
  x: number;
  y: number;
  heading: number;
}

export class Track {
  /** Tick, x, y and heading of each sample, oldest first. */
  #of: Float64Array = new Float64Array(KEPT * 4);
  #count = 0;

  /** It was there at this tick. */
  add(tick: number, x: number, y: number, heading: number): void {
    const of = this.#of;
    let last = (this.#count - 1) * 4;
    if (this.#count && tick <= of[last]!) {
      // Told again: the later word counts. One from before would bend time.
      if (tick < of[last]! - KEPT) this.#count = 0;
      else if (tick < of[last]!) return;
      else this.#count--;
    } else if (this.#count && tick > of[last]! + 1) {
      // It said nothing, so it stood still: it leaves from there a tick ago, and did not creep here since then.
      this.#put(tick - 1, of[last + 1]!, of[last + 2]!, of[last + 3]!);
    }
    this.#put(tick, x, y, heading);
  }

  #put(tick: number, x: number, y: number, heading: number): void {
    const of = this.#of;
    if (this.#count === KEPT) {
      of.copyWithin(0, 4);
      this.#count--;
    }
    const at = this.#count++ * 4;
    of[at] = tick;
    of[at + 1] = x;
    of[at + 2] = y;
    of[at + 3] = heading;
  }

  /** Sets where it is at this tick: between two samples, or at the last one. */
  at(tick: number, placed: Placed): void {
    const of = this.#of;
    let at = (this.#count - 1) * 4;
    if (at < 0) return;
    while (at > 0 && of[at]! > tick) at -= 4;
    const next = at + 4;
    const part = next < this.#count * 4 && tick > of[at]! ? (tick - of[at]!) / (of[next]! - of[at]!) : 0;
    if (part <= 0) {
      placed.x = of[at + 1]!;
      placed.y = of[at + 2]!;
      placed.heading = of[at + 3]!;
      return;
    }
    placed.x = of[at + 1]! + (of[next + 1]! - of[at + 1]!) * part;
    placed.y = of[at + 2]! + (of[next + 2]! - of[at + 2]!) * part;
    // The short way round.
    const turn = of[next + 3]! - of[at + 3]!;
    placed.heading = of[at + 3]! + (turn - Math.round(turn)) * part;
  }
}

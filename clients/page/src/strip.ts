/**
 * What arrived in the last ten seconds, a bar for each tenth of a second: one sees the beat of
 * the tick, the silence of a pause, and what comes at once after it.
 */

/** Bars, and the milliseconds of each. */
const BARS = 100;
const MS = 100;

/** What is told apart: values, events, the rest; and again where they are held. */
const KINDS = 3;

/** Pixels that something is high at least. */
const LOW = 3;

/** Bytes of a full bar at least: a lone dot fills no bar. */
const LEAST = 400;

export type Kind = 0 | 1 | 2;

/** What it looks like until that changes: its size in pixels, how many of them a pixel of the page has, a colour for each kind. */
export interface StripLook {
  width: number;
  height: number;
  pixels: number;
  inks: string[];
}

export class Strip {
  #bytes = new Float32Array(BARS * KINDS);
  #held = new Uint8Array(BARS);
  #last = 0;
  #context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
  #look: StripLook = { width: 0, height: 0, pixels: 1, inks: [] };

  constructor(canvas: HTMLCanvasElement | OffscreenCanvas) {
    this.#context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  look(look: StripLook): void {
    this.#look = look;
    Object.assign(this.#context.canvas, { width: look.width, height: look.height });
  }

  /** So many bytes arrived now. */
  add(kind: Kind, bytes: number, held: boolean): void {
    const bar = this.#turn() % BARS;
    this.#bytes[bar * KINDS + kind]! += bytes;
    if (held) this.#held[bar] = 1;
  }

  /** Clears what the time has passed over; returns the number of the bar that is now. */
  #turn(): number {
    const now = Math.floor(performance.now() / MS);
    for (let bar = Math.max(this.#last + 1, now - BARS + 1); bar <= now; bar++) {
      this.#bytes.fill(0, (bar % BARS) * KINDS, (bar % BARS) * KINDS + KINDS);
      this.#held[bar % BARS] = 0;
    }
    return (this.#last = now);
  }

  draw(): void {
    const now = this.#turn();
    const context = this.#context;
    const { width, height, pixels, inks } = this.#look;
    context.clearRect(0, 0, width, height);
    let most = LEAST;
    for (let bar = 0; bar < BARS; bar++) most = Math.max(most, this.#sum(bar));
    const step = width / BARS;
    for (let age = 0; age < BARS; age++) {
      const bar = (now - age + BARS) % BARS;
      const left = Math.round(width - (age + 1) * step);
      const wide = Math.max(1, Math.round(width - age * step) - left - pixels);
      context.globalAlpha = this.#held[bar] ? 0.35 : 1;
      for (let kind = 0, foot = 0; kind < KINDS; kind++) {
        if (!this.#bytes[bar * KINDS + kind]) continue;
        const head = Math.round(Math.max(foot + LOW * pixels, Math.sqrt(this.#sum(bar, kind) / most) * height));
        context.fillStyle = inks[kind] ?? "";
        context.fillRect(left, height - head, wide, head - foot);
        foot = head;
      }
    }
    context.globalAlpha = 1;
  }

  /** Bytes of a bar, up to a kind. */
  #sum(bar: number, upTo = KINDS - 1): number {
    let sum = 0;
    for (let kind = 0; kind <= upTo; kind++) sum += this.#bytes[bar * KINDS + kind]!;
    return sum;
  }
}

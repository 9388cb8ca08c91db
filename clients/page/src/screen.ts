/**
 * What is seen of the arena: gathered here in a few numbers for each dot, and painted on a thread of its own, so that
 * the page's own thread has time for what comes and for whoever plays.
 *
 * ```text
 * Arena ──numbers──> Frame ──> thread.ts: Painter ──> canvas
 *                      └─ where canvases do not leave their page ─> Painter, here
 * ```
 */

import { RIPPLE_MS, type Arena, type Dot } from "./arena.js";
import { colours, nameOf } from "./names.js";
import { DOT, Painter, RIPPLE, SHOT, type Frame, type Label, type Look } from "./painter.js";
import type { Order } from "./thread.js";

/** Names and texts that are painted at once. Text is what costs most. */
const LABELS = 24;

/** Pixels of a side at most: beyond, a frame costs more than it shows. */
const MOST = 1_400;

/** Frames that the painter has not painted yet. Beyond, this page is faster than it, and leaves some out. */
const AHEAD = 2;

export class Screen {
  #canvas: HTMLCanvasElement;
  #order: (order: Order, given?: Transferable[]) => void;
  #ahead = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    if (typeof canvas.transferControlToOffscreen === "function") {
      const thread = new Worker("/assets/thread.js", { type: "module" });
      thread.onmessage = () => this.#ahead--;
      this.#order = (order, given = []) => thread.postMessage(order, given);
      const own = canvas.transferControlToOffscreen();
      this.#order({ canvas: own }, [own]);
    } else {
      const painter = new Painter(canvas);
      this.#order = (order) => {
        if ("look" in order) painter.look(order.look);
        else if ("frame" in order) painter.paint(order.frame);
        this.#ahead = 0;
      };
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const look = () => this.#order({ look: lookOf(canvas, dark.matches) });
    dark.addEventListener("change", look);
    new ResizeObserver(look).observe(canvas);
    // Frames may come before that is told.
    look();
  }

  /** Shows everything as it is. `own`: this tab has a dot of its own. */
  show(arena: Arena, own: boolean, now: number): void {
    if (this.#ahead >= AHEAD || !this.#canvas.clientWidth) return;
    this.#ahead++;
    const frame = frameOf(arena, own, now);
    this.#order({ frame }, [frame.numbers.buffer]);
  }
}

function frameOf(arena: Arena, own: boolean, now: number): Frame {
  const { dots, ripples } = arena;
  const shots = arena.shots.filter(({ at }) => at <= now);
  const labels: Label[] = [];
  const numbers = new Float32Array((dots.size + (own ? 1 : 0)) * DOT + shots.length * SHOT + ripples.length * RIPPLE);
  let at = 0;
  const add = (dot: Dot) => {
    numbers[at] = dot.x;
    numbers[at + 1] = dot.y;
    numbers[at + 2] = dot.heading;
    numbers[at + 3] = dot.colour * 2 + (dot.bot ? 1 : 0);
    at += DOT;
  };
  const label = (dot: Dot, name: string) => {
    const { x, y, colour, said, bot } = dot;
    if (said && said.until < now) delete dot.said;
    const text = dot.said?.text;
    if (text || !bot) labels.push({ x, y, colour, ...(bot ? {} : { name }), ...(text ? { said: text } : {}) });
  };
  for (const dot of dots.values()) {
    add(dot);
    if (labels.length < LABELS && (!dot.bot || dot.said)) label(dot, nameOf(dot.member));
  }
  if (own) {
    add(arena.own);
    label(arena.own, "you");
  }
  for (const { x, y, from } of shots) {
    numbers.set([x, y, from.heading], at);
    at += SHOT;
  }
  for (const ripple of ripples) {
    numbers.set([ripple.x, ripple.y, (now - ripple.at) / RIPPLE_MS, ripple.colour], at);
    at += RIPPLE;
  }
  return {
    numbers,
    dots: dots.size + (own ? 1 : 0),
    shots: shots.length,
    labels,
    ...(own ? { own: [arena.own.x, arena.own.y] as [number, number] } : {}),
  };
}

function lookOf(canvas: HTMLCanvasElement, dark: boolean): Look {
  const style = getComputedStyle(canvas);
  const of = (name: string) => style.getPropertyValue(name).trim();
  const width = canvas.clientWidth;
  const pixels = Math.min(devicePixelRatio, 2, MOST / Math.max(1, width));
  return {
    side: Math.max(1, Math.round(width * pixels)),
    pixels,
    ink: of("--ink"),
    quiet: of("--quiet"),
    panel: of("--panel"),
    accent: of("--accent"),
    colours: colours(dark),
  };
}

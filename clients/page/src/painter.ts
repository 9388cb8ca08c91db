/**
 * Paints the arena as it is. It asks nothing of the page, so that it works on a thread of its own.
 *
 * ```text
 * dots ──> drops, a colour after the other     shots ──> one path
 * labels: names, what was said ──> text
 * ```
 */

import { RIPPLE_MS, type Arena, type Dot } from "./arena.js";
import { drop, radiusOf } from "./drop.js";
import { SIDE } from "./message.js";
import { nameOf } from "./names.js";

/** Names and texts that are painted at once. Text is what costs most. */
const LABELS = 24;

/** What a canvas looks like until that changes. */
export interface Look {
  /** Its side in pixels, and how many of them a pixel of the page has. */
  side: number;
  pixels: number;
  ink: string;
  quiet: string;
  panel: string;
  accent: string;
  colours: string[];
}

export class Painter {
  #canvas: HTMLCanvasElement | OffscreenCanvas;
  #context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
  #look?: Look;
  #radius = 1;
  /** The dots of each colour: one that is set for each dot would cost as much as to paint it. */
  #dots: Dot[][] = [];

  constructor(canvas: HTMLCanvasElement | OffscreenCanvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  look(look: Look): void {
    this.#look = look;
    this.#canvas.width = this.#canvas.height = look.side;
    this.#radius = Math.max(4 * look.pixels, look.side * 0.0115);
    this.#dots = look.colours.map(() => []);
  }

  /** Paints everything. `own`: this tab has a dot of its own. */
  paint(arena: Arena, own: boolean, now: number): void {
    // Until it is known how.
    if (!this.#look) return;
    const context = this.#context;
    const { side, accent, pixels } = this.#look;
    const scale = side / SIDE;
    context.clearRect(0, 0, side, side);
    this.#drops(arena, own, scale, this.#look);
    if (arena.shots.length) this.#shots(arena, scale, now);
    if (arena.ripples.length) this.#ripples(arena, scale, now);
    if (own) {
      context.beginPath();
      context.arc(arena.own.x * scale, arena.own.y * scale, this.#radius * 2.1, 0, 7);
      context.strokeStyle = accent;
      context.lineWidth = this.#radius * 0.22;
      context.stroke();
    }
    context.font = `600 ${Math.round(11.5 * pixels)}px system-ui, sans-serif`;
    context.textAlign = "center";
    let left = LABELS;
    for (const dot of arena.dots.values()) {
      if (dot.said && dot.said.until < now) delete dot.said;
      if (left && (!dot.bot || dot.said)) {
        this.#label(dot, dot.bot ? "" : nameOf(dot.member), scale, this.#look);
        left--;
      }
    }
    if (arena.own.said && arena.own.said.until < now) delete arena.own.said;
    if (own) this.#label(arena.own, "you", scale, this.#look);
  }

  #drops(arena: Arena, own: boolean, scale: number, { colours }: Look): void {
    const context = this.#context;
    const fill = ({ x, y, heading, bot }: Dot) => drop(context, x * scale, y * scale, heading, radiusOf(this.#radius, bot));
    for (const dot of arena.dots.values()) this.#dots[dot.colour]!.push(dot);
    for (const [colour, dots] of this.#dots.entries()) {
      context.fillStyle = colours[colour]!;
      for (const dot of dots) fill(dot);
      dots.length = 0;
    }
    if (own) {
      context.fillStyle = colours[arena.own.colour]!;
      fill(arena.own);
    }
    context.resetTransform();
  }

  #shots({ shots }: Arena, scale: number, now: number): void {
    const context = this.#context;
    const long = this.#radius * 1.6;
    context.beginPath();
    for (const shot of shots) {
      if (shot.at > now) continue;
      const [x, y] = [shot.x * scale, shot.y * scale];
      const angle = shot.from.heading * 2 * Math.PI;
      context.moveTo(x, y);
      context.lineTo(x - Math.cos(angle) * long, y - Math.sin(angle) * long);
    }
    context.strokeStyle = this.#look!.ink;
    context.lineWidth = Math.max(1.5, this.#radius * 0.3);
    context.lineCap = "round";
    context.stroke();
  }

  #ripples({ ripples }: Arena, scale: number, now: number): void {
    const context = this.#context;
    context.lineWidth = this.#radius * 0.35;
    for (const { x, y, at, colour } of ripples) {
      const age = (now - at) / RIPPLE_MS;
      context.beginPath();
      context.arc(x * scale, y * scale, this.#radius * (1 + age * 2.2), 0, 7);
      context.globalAlpha = Math.max(0, 1 - age);
      context.strokeStyle = this.#look!.colours[colour]!;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** A name, where there is one, and what was said. */
  #label(dot: Dot, name: string, scale: number, { side, pixels, quiet, panel, ink, colours }: Look): void {
    const context = this.#context;
    const [x, y] = [dot.x * scale, dot.y * scale];
    const { said, colour } = dot;
    if (name) {
      const half = context.measureText(name).width / 2 + 3 * pixels;
      context.fillStyle = quiet;
      context.fillText(name, Math.max(half, Math.min(side - half, x)), y + this.#radius * 2.2 + 11 * pixels);
    }
    if (!said) return;
    const text = said.text.length > 34 ? `${said.text.slice(0, 33)}…` : said.text;
    const wide = context.measureText(text).width + 14 * pixels;
    const tall = 20 * pixels;
    const left = Math.max(2, Math.min(side - wide - 2, x - wide / 2));
    const top = Math.max(2, y - this.#radius * 2 - tall - 2 * pixels);
    context.beginPath();
    context.roundRect(left, top, wide, tall, 6 * pixels);
    context.fillStyle = panel;
    context.fill();
    context.strokeStyle = colours[colour]!;
    context.lineWidth = pixels;
    context.stroke();
    context.fillStyle = ink;
    context.fillText(text, left + wide / 2, top + tall * 0.69);
  }
}

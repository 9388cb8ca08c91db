/**
 * The arena on a canvas: one path for each colour, whatever the number of dots, and text for a few.
 *
 * ```text
 * dots of a colour ──> one path ──> one fill          12 fills, 1 stroke for where they look
 * names, what was said ──> at most LABELS of them
 * ```
 */

import { RIPPLE_MS, type Arena, type Dot } from "./arena.js";
import { SIDE } from "./message.js";
import { COLOURS, colours, nameOf } from "./names.js";

/** Names and texts that are drawn at once. Text is what costs most. */
const LABELS = 24;

/** Pixels of a side at most: beyond, a frame costs more than it shows. */
const MOST = 1_600;

interface Look {
  ground: string;
  ink: string;
  quiet: string;
  panel: string;
  accent: string;
  colours: string[];
}

export class Screen {
  #context: CanvasRenderingContext2D;
  #canvas: HTMLCanvasElement;
  #side = 0;
  #pixels = 1;
  #look: Look;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: true, desynchronized: true })!;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.#look = look(dark.matches);
    dark.addEventListener("change", () => (this.#look = look(dark.matches)));
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.#fit();
  }

  #fit(): void {
    const width = this.#canvas.clientWidth;
    this.#pixels = Math.min(devicePixelRatio, 2, MOST / Math.max(1, width));
    this.#side = Math.round(width * this.#pixels);
    this.#canvas.width = this.#canvas.height = this.#side;
  }

  /** Draws everything as it is. */
  draw(arena: Arena, shown: boolean, now: number): void {
    const context = this.#context;
    const side = this.#side;
    const scale = side / SIDE;
    const radius = Math.max(4 * this.#pixels, side * 0.0105);
    context.clearRect(0, 0, side, side);
    this.#dots(arena, scale, radius);
    this.#shots(arena, scale, now, radius);
    if (shown) this.#own(arena.own, scale, radius);
    this.#labels(arena, shown, scale, radius, now);
  }

  #dots(arena: Arena, scale: number, radius: number): void {
    const context = this.#context;
    const paths: (Path2D | undefined)[] = new Array(COLOURS);
    const looks = new Path2D();
    for (const dot of arena.dots.values()) {
      const x = dot.x * scale;
      const y = dot.y * scale;
      const path = (paths[dot.colour] ??= new Path2D());
      const size = dot.bot ? radius * 0.72 : radius;
      path.moveTo(x + size, y);
      path.arc(x, y, size, 0, 7);
      const angle = dot.heading * 2 * Math.PI;
      looks.moveTo(x, y);
      looks.lineTo(x + Math.cos(angle) * size, y + Math.sin(angle) * size);
    }
    for (let colour = 0; colour < COLOURS; colour++) {
      if (!paths[colour]) continue;
      context.fillStyle = this.#look.colours[colour]!;
      context.fill(paths[colour]!);
    }
    context.strokeStyle = this.#look.ground;
    context.lineWidth = radius * 0.28;
    context.stroke(looks);
  }

  #shots(arena: Arena, scale: number, now: number, radius: number): void {
    const context = this.#context;
    if (arena.shots.length) {
      context.beginPath();
      for (const { x, y, from, at } of arena.shots) {
        if (at > now) continue;
        const angle = from.heading * 2 * Math.PI;
        context.moveTo(x * scale, y * scale);
        context.lineTo(x * scale - Math.cos(angle) * radius * 1.6, y * scale - Math.sin(angle) * radius * 1.6);
      }
      context.strokeStyle = this.#look.ink;
      context.lineWidth = Math.max(1.5, radius * 0.3);
      context.lineCap = "round";
      context.stroke();
    }
    for (const ripple of arena.ripples) {
      const age = (now - ripple.at) / RIPPLE_MS;
      context.beginPath();
      context.arc(ripple.x * scale, ripple.y * scale, radius * (1 + age * 2.2), 0, 7);
      context.globalAlpha = Math.max(0, 1 - age);
      context.strokeStyle = this.#look.colours[ripple.colour]!;
      context.lineWidth = radius * 0.35;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  #own(own: Dot, scale: number, radius: number): void {
    const context = this.#context;
    const x = own.x * scale;
    const y = own.y * scale;
    const angle = own.heading * 2 * Math.PI;
    context.beginPath();
    context.arc(x, y, radius * 1.15, 0, 7);
    context.fillStyle = this.#look.colours[own.colour]!;
    context.fill();
    context.beginPath();
    context.arc(x, y, radius * 1.75, 0, 7);
    context.strokeStyle = this.#look.accent;
    context.lineWidth = radius * 0.22;
    context.stroke();
    context.beginPath();
    context.moveTo(x + Math.cos(angle) * radius * 1.75, y + Math.sin(angle) * radius * 1.75);
    context.lineTo(x + Math.cos(angle) * radius * 2.5, y + Math.sin(angle) * radius * 2.5);
    context.lineWidth = radius * 0.45;
    context.stroke();
  }

  #labels(arena: Arena, shown: boolean, scale: number, radius: number, now: number): void {
    const context = this.#context;
    context.font = `600 ${Math.round(11.5 * this.#pixels)}px system-ui, sans-serif`;
    context.textAlign = "center";
    let left = LABELS;
    for (const dot of arena.dots.values()) {
      const said = dot.said && dot.said.until > now ? dot.said.text : undefined;
      if (!said && (dot.bot || left < 1)) continue;
      left--;
      this.#label(dot, said, nameOf(dot.member), scale, radius);
      if (left < -LABELS) break;
    }
    const { own } = arena;
    if (shown) this.#label(own, own.said && own.said.until > now ? own.said.text : undefined, "you", scale, radius * 1.7);
  }

  #label(dot: Dot, said: string | undefined, name: string, scale: number, radius: number): void {
    const context = this.#context;
    const x = dot.x * scale;
    const y = dot.y * scale;
    if (!dot.bot) {
      context.fillStyle = this.#look.quiet;
      context.fillText(name, x, y + radius + 13 * this.#pixels);
    }
    if (!said) return;
    const text = said.length > 34 ? `${said.slice(0, 33)}…` : said;
    const wide = context.measureText(text).width + 14 * this.#pixels;
    const tall = 20 * this.#pixels;
    const left = Math.max(2, Math.min(this.#side - wide - 2, x - wide / 2));
    const top = Math.max(2, y - radius - tall - 5 * this.#pixels);
    context.beginPath();
    context.roundRect(left, top, wide, tall, 6 * this.#pixels);
    context.fillStyle = this.#look.panel;
    context.fill();
    context.strokeStyle = this.#look.colours[dot.colour]!;
    context.lineWidth = this.#pixels;
    context.stroke();
    context.fillStyle = this.#look.ink;
    context.fillText(text, left + wide / 2, top + tall * 0.69);
  }
}

function look(dark: boolean): Look {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const [ground, ink, quiet, panel, accent] = ["field", "ink", "quiet", "panel", "accent"].map(of) as [
    string, string, string, string, string,
  ];
  return { ground, ink, quiet, panel, accent, colours: colours(dark) };
}

/**
 * Paints frames. It knows no arena and no page, so that it works on a thread of its own as well as without one.
 *
 * ```text
 * Sprites: 12 colours * 32 directions * 2 sizes ──copy──> dots
 * shots ──> one path     labels: names, what was said ──> text
 * ```
 */

import { SIDE } from "./message.js";
import { Sprites } from "./sprites.js";

/** The numbers of a dot: x, y, heading, and twice its colour, and one where it is small. */
export const DOT = 4;

/** The numbers of a shot: x, y, heading. */
export const SHOT = 3;

/** The numbers of a ripple: x, y, its age from 0 to 1, its colour. */
export const RIPPLE = 4;

/** What is written at a dot. */
export interface Label {
  x: number;
  y: number;
  colour: number;
  name?: string;
  said?: string;
}

/** All that is seen at a moment. Places are in units of the arena. */
export interface Frame {
  /** Dots, then shots, then ripples: one list, since each that changes threads has its price. */
  numbers: Float32Array;
  dots: number;
  shots: number;
  labels: Label[];
  /** Where this tab's own dot is. */
  own?: [x: number, y: number];
}

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
  #look!: Look;
  #sprites!: Sprites;
  #radius = 1;

  constructor(canvas: HTMLCanvasElement | OffscreenCanvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  look(look: Look): void {
    this.#look = look;
    this.#canvas.width = this.#canvas.height = look.side;
    this.#radius = Math.max(4 * look.pixels, look.side * 0.0115);
    this.#sprites = new Sprites(this.#canvas, look.colours, this.#radius);
  }

  paint({ numbers, dots: many, shots: flying, labels, own }: Frame): void {
    const dots = numbers.subarray(0, many * DOT);
    const shots = numbers.subarray(dots.length, dots.length + flying * SHOT);
    const ripples = numbers.subarray(dots.length + shots.length);
    const context = this.#context;
    const { side } = this.#look;
    const scale = side / SIDE;
    context.clearRect(0, 0, side, side);
    for (let at = 0; at < dots.length; at += DOT) {
      this.#sprites.draw(context, dots[at]! * scale, dots[at + 1]! * scale, dots[at + 2]!, dots[at + 3]!);
    }
    if (shots.length) this.#shots(shots, scale);
    this.#ripples(ripples, scale);
    if (own) {
      context.beginPath();
      context.arc(own[0] * scale, own[1] * scale, this.#radius * 2.1, 0, 7);
      context.strokeStyle = this.#look.accent;
      context.lineWidth = this.#radius * 0.22;
      context.stroke();
    }
    context.font = `600 ${Math.round(11.5 * this.#look.pixels)}px system-ui, sans-serif`;
    context.textAlign = "center";
    for (const label of labels) this.#label(label, label.x * scale, label.y * scale);
  }

  #shots(shots: Float32Array, scale: number): void {
    const context = this.#context;
    const long = this.#radius * 1.6;
    context.beginPath();
    for (let at = 0; at < shots.length; at += SHOT) {
      const [x, y] = [shots[at]! * scale, shots[at + 1]! * scale];
      const angle = shots[at + 2]! * 2 * Math.PI;
      context.moveTo(x, y);
      context.lineTo(x - Math.cos(angle) * long, y - Math.sin(angle) * long);
    }
    context.strokeStyle = this.#look.ink;
    context.lineWidth = Math.max(1.5, this.#radius * 0.3);
    context.lineCap = "round";
    context.stroke();
  }

  #ripples(ripples: Float32Array, scale: number): void {
    const context = this.#context;
    context.lineWidth = this.#radius * 0.35;
    for (let at = 0; at < ripples.length; at += RIPPLE) {
      const age = ripples[at + 2]!;
      context.beginPath();
      context.arc(ripples[at]! * scale, ripples[at + 1]! * scale, this.#radius * (1 + age * 2.2), 0, 7);
      context.globalAlpha = Math.max(0, 1 - age);
      context.strokeStyle = this.#look.colours[ripples[at + 3]!]!;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  #label({ name, said, colour }: Label, x: number, y: number): void {
    const context = this.#context;
    const { side, pixels, quiet, panel, ink, colours } = this.#look;
    if (name) {
      const half = context.measureText(name).width / 2 + 3 * pixels;
      context.fillStyle = quiet;
      context.fillText(name, Math.max(half, Math.min(side - half, x)), y + this.#radius * 2.2 + 11 * pixels);
    }
    if (!said) return;
    const text = said.length > 34 ? `${said.slice(0, 33)}…` : said;
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

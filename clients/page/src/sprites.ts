/** Drops of each colour, direction and size, drawn once. */

/** Directions. 32: a step of eleven degrees is not seen on a dot of this size. */
const TURNS = 32;

/** How large a dot is that a machine moves. */
const SMALL = 0.78;

/** How far the tip of a drop is from the middle of its round, in radii. */
const TIP = 1.75;

/** Where the tip leaves the round: half of that angle. */
const LEAVES = Math.acos(1 / TIP);

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

export class Sprites {
  #sheet: HTMLCanvasElement | OffscreenCanvas;
  /** The side of a sprite, in pixels. */
  #size: number;

  /** `canvas` is for the kind of canvas to make. */
  constructor(canvas: HTMLCanvasElement | OffscreenCanvas, colours: string[], radius: number) {
    // A drop in the middle of its box: the smaller the box, the less is copied. One pixel around is nobody's.
    const size = (this.#size = Math.ceil(radius * (TIP + 1)) + 2);
    const [width, height] = [size * TURNS, size * colours.length * 2];
    const is = typeof OffscreenCanvas !== "undefined" && canvas instanceof OffscreenCanvas;
    this.#sheet = is ? new OffscreenCanvas(width, height) : Object.assign(document.createElement("canvas"), { width, height });
    const context = this.#sheet.getContext("2d") as Context;
    for (let row = 0; row < colours.length * 2; row++) {
      context.fillStyle = colours[row >> 1]!;
      for (let turn = 0; turn < TURNS; turn++) {
        drop(context, (turn + 0.5) * size, (row + 0.5) * size, (turn / TURNS) * 2 * Math.PI, radius * (row & 1 ? SMALL : 1));
      }
    }
  }

  /** Draws one around this place. `row`: twice its colour, and one where it is small. */
  draw(context: Context, x: number, y: number, heading: number, row: number): void {
    const size = this.#size;
    const turn = Math.round((heading - Math.floor(heading)) * TURNS) % TURNS;
    context.drawImage(this.#sheet, turn * size, row * size, size, size, x - size / 2, y - size / 2, size, size);
  }
}

/** Fills a round with a tip, with this place in the middle of both. */
function drop(context: Context, x: number, y: number, angle: number, radius: number): void {
  const back = ((TIP - 1) / 2) * radius;
  const [left, top] = [x - Math.cos(angle) * back, y - Math.sin(angle) * back];
  context.beginPath();
  context.moveTo(left + Math.cos(angle) * radius * TIP, top + Math.sin(angle) * radius * TIP);
  context.arc(left, top, radius, angle + LEAVES, angle - LEAVES);
  context.closePath();
  context.fill();
}

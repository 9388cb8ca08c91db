/** How the canvases look: their sizes, and the colours of the page. Told when that changes, since to ask for it costs a layout. */

import { colours } from "./names.js";
import type { Look } from "./painter.js";
import type { StripLook } from "./strip.js";

/** Pixels of a side at most: beyond, a frame costs more than it shows. */
const MOST = 1_400;

/** Calls `told` with how a canvas looks, now and whenever that is something else. `look` finds it out. */
export function watch<T>(canvas: HTMLCanvasElement, look: (canvas: HTMLCanvasElement, dark: boolean) => T, told: (look: T) => void): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tell = () => told(look(canvas, dark.matches));
  dark.addEventListener("change", tell);
  new ResizeObserver(tell).observe(canvas);
  // Frames may come before that is told.
  tell();
}

export function lookOf(canvas: HTMLCanvasElement, dark: boolean): Look {
  const of = styleOf(canvas);
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

export function stripLookOf(canvas: HTMLCanvasElement): StripLook {
  const pixels = Math.min(devicePixelRatio, 2);
  return {
    width: Math.round(canvas.clientWidth * pixels),
    height: Math.round(canvas.clientHeight * pixels),
    pixels,
    inks: ["--accent", "--event", "--line"].map(styleOf(canvas)),
  };
}

function styleOf(canvas: HTMLCanvasElement): (name: string) => string {
  const style = getComputedStyle(canvas);
  return (name) => style.getPropertyValue(name).trim();
}

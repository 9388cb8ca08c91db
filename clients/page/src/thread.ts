/** The painter on a thread of its own: the canvas, then looks and frames. It says when a frame is painted. */

import { Painter, type Frame, type Look } from "./painter.js";

export type Order = { canvas: OffscreenCanvas } | { look: Look } | { frame: Frame };

let painter: Painter | undefined;

addEventListener("message", ({ data }: MessageEvent<Order>) => {
  if ("canvas" in data) painter = new Painter(data.canvas);
  else if ("look" in data) painter?.look(data.look);
  else {
    painter?.paint(data.frame);
    postMessage(0);
  }
});

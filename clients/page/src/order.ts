/**
 * What the page and its thread say to each other.
 *
 * ```text
 * page: keys, buttons, words, looks ──Order──> thread: client, arena, canvases
 *                                  <──News───
 * ```
 */

import type { Tone } from "./log.js";
import type { Look } from "./painter.js";
import type { StripLook } from "./strip.js";
import type { Rung, Trial } from "./trials.js";

export type Canvas = HTMLCanvasElement | OffscreenCanvas;

/** What the thread begins with. */
export interface Begin {
  /** The address of the server's WebSocket. */
  url: string;
  /** The name of the room. */
  room: string;
  /** A token, or nothing. */
  token: string;
  arena: Canvas;
  strip: Canvas;
}

/** What the page wants. */
export type Order =
  | { begin: Begin }
  /** How the canvases look from now on. */
  | { look: Look }
  | { strip: StripLook }
  /** Where to, at most 1 long. */
  | { steer: [dx: number, dy: number] }
  | { shoot: true }
  | { say: string }
  | { trial: Trial }
  /** The page is hidden, or seen. */
  | { hidden: boolean }
  /** Connects anew, with this token. */
  | { token: string };

/** What the thread tells. */
export type News =
  /** A line of the log. */
  | { line: string; tone: Tone }
  /** The state of the client; where it is connected, of the room. */
  | { state: string }
  /** What this tab is called. */
  | { me: string }
  /** Texts of figures by the ids of their elements, those that have changed. */
  | { figures: Record<string, string> }
  /** What is shown while a trial runs; nothing where none does. */
  | { banner: string }
  /** Nobody else is in the room. */
  | { alone: boolean }
  | { trial: Trial | undefined; rung: Rung | undefined }
  /** The server does not want this client, for good: the reason. */
  | { refused: number }
  /** This could not be said. */
  | { unsaid: string };

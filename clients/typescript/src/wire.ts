/**
 * Bytes to frames and back (PROTOCOL 3 to 9), as functions over a cursor.
 *
 * ```text
 *  message ──header──> type, flags, cursor ──fields──> [arguments], extensions
 *                                          └─record──> member, key, payload      (views, no copies)
 * ```
 */

import { TickwireError } from "./error.js";

/** A place in some bytes: what is read next, and where it must end. */
export interface Cursor {
  b: Uint8Array;
  at: number;
  end: number;
}

/** Extensions by their type (PROTOCOL 3.3); `odd` where one of them must be understood and is not. */
export interface Extensions {
  [type: number]: Uint8Array;
  odd?: boolean;
}

/** Bytes that cannot be read. */
export const malformed = (): never => {
  throw new TickwireError("protocol", 201);
};

export const cursor = (b: Uint8Array): Cursor => ({ b, at: 0, end: b.length });

/** Bytes of a data frame beside the message, at most. */
export const HEAD = 32;

/** The next `n` bytes, a view on what was received. */
export const take = (c: Cursor, n: number): Uint8Array => (n > c.end - c.at ? malformed() : c.b.subarray(c.at, (c.at += n)));

/** An integer of `n` bytes, big-endian. */
export const uint = (c: Cursor, n: number): number => take(c, n).reduce((value, byte) => value * 256 + byte, 0);

/** A variable-length integer below 2^53, in as few bytes as there can be (PROTOCOL 3.1). */
export const varint = (c: Cursor): number => {
  for (let value = 0, scale = 1; scale < 2 ** 50; scale *= 128) {
    if (c.at >= c.end) break;
    const byte = c.b[c.at++]!;
    value += (byte & 127) * scale;
    if (byte < 128) return (!byte && scale > 1) || value >= 2 ** 53 ? malformed() : value;
  }
  return malformed();
};

/** What is left, to the end. */
export const rest = (c: Cursor): Uint8Array => take(c, c.end - c.at);

export const string = (c: Cursor): Uint8Array => take(c, varint(c));

/** Arguments of the commands that a server sends, request first (PROTOCOL 6): v integer, s string, a digit for so many bytes. */
const SHAPES = ",,vv14vvvvvvv,,vvvv118vvvv,,vvv,vvv,vv,vvv,vv8vv,,v,,,,vvvvs,vv".split(",");

/** One argument of a command. The caller knows by the command what it is. */
export type Field = any;

/** The arguments of a command and its extensions, or nothing where the command is unknown and to be ignored. */
export const fields = (c: Cursor, command: number): [Field[], Extensions] | undefined => {
  const shape = SHAPES[command];
  if (!shape) {
    varint(c);
    return;
  }
  const values = [...shape].map((kind): Field =>
    kind === "v" ? varint(c) : kind === "s" ? string(c) : kind === "8" ? take(c, 8) : uint(c, +kind),
  );
  return [values, extensions(c)];
};

/** The extensions up to the end of the frame; their types ascend. */
export const extensions = (c: Cursor): Extensions => {
  const list: Extensions = {};
  for (let last = -1; c.at < c.end;) {
    const type = varint(c);
    if (type <= last) malformed();
    last = type;
    list[type] = string(c);
    if (type % 2) list.odd = true;
  }
  return list;
};

/** What a record of a direct holds. */
export type Direct = [member: number, answers: number, payload: Uint8Array];

/** The next record of a data frame of this kind: its member, key (0 where the kind has none) and payload (PROTOCOL 8.2). */
export const record = (c: Cursor, kind: number): [member: number, key: number, payload: Uint8Array] => {
  const length = varint(c);
  const member = varint(c);
  const key = (KEYED >> kind) & 1 ? varint(c) : 0;
  return [member, key, take(c, length)];
};

/** The kinds whose records have a key: value, direct, snapshot. */
const KEYED = 0b11010;

/**
 * Reads the payload of a presence record (PROTOCOL 8.5): 1 here, its subject and data; 2 away; 3 left, the reason;
 * 4 how many there are. Other states are of a later version.
 */
export const presence = (payload: Uint8Array): [state: number, what?: Field, data?: Uint8Array] => {
  const c = cursor(payload);
  const state = uint(c, 1);
  return state === 1 ? [1, string(c), rest(c)] : state === 3 || state === 4 ? [state, varint(c)] : [state];
};

/**
 * The cursor of the frame at the front of a message, its type and flags (PROTOCOL 5); `c` goes behind it.
 * A frame that announces more than there are is malformed.
 */
export const frameIn = (c: Cursor): [type: number, flags: number, body: Cursor] => {
  const [type, high, low, flags] = take(c, 4) as unknown as [number, number, number, number];
  return [type, flags, cursor(take(c, high * 256 + low))];
};

/** A frame of these parts: numbers as integers of variable length, bytes as they are. The payload is at most 65,535 bytes. */
export const frame = (type: number, flags: number, ...parts: (number | Uint8Array)[]): Uint8Array => {
  const out: number[] = [];
  for (let part of parts) {
    if (typeof part === "number") {
      for (; part > 127; part = Math.floor(part / 128)) out.push((part % 128) | 128);
      out.push(part);
    } else for (const byte of part) out.push(byte);
  }
  return Uint8Array.from([type, out.length >> 8, out.length, flags, ...out]);
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text to UTF-8. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text);

/** UTF-8 to text, with replacement characters for what is not, and control characters escaped: a terminal might obey them. */
export const text = (bytes?: Uint8Array): string =>
  decoder.decode(bytes).replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);

/** These parts without the header of a frame: what an extension holds. */
export const pack = (...parts: (number | Uint8Array)[]): Uint8Array => frame(0, 0, ...parts).subarray(4);

/** An extension, where there is something to be said in it (PROTOCOL 3.3). */
export const extension = (type: number, bytes?: Uint8Array): (number | Uint8Array)[] =>
  bytes?.length ? [type, ...counted(bytes)] : [];

/** A string: its length, and its bytes. */
export const counted = (bytes: Uint8Array): [number, Uint8Array] => [bytes.length, bytes];

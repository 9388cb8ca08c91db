/**
 * What dots tell each other, as `src/server/page/message.rs` lays it out.
 *
 * ```text
 * value, key 0   x: u16 | y: u16 | heading: u16 | flags: u8
 * event          0x01 | x: u16 | y: u16 | heading: u16            a shot
 * event          0x02 | UTF-8, 1 to 200 bytes                     a text
 * ```
 */

/** The side of the arena, in units. */
export const SIDE = 65_536;

/** The key of a member's place. */
export const PLACE = 0;

/** Bytes of a text. */
export const MAX_TEXT = 200;

/** Where a dot is, and where it looks: a heading is a part of a turn, from 0 and below 1. */
export interface Place {
  x: number;
  y: number;
  heading: number;
  bot: boolean;
}

export type Event = { is: "shot"; from: Place } | { is: "text"; text: string };

const put = (bytes: Uint8Array, at: number, place: Place) => {
  const view = new DataView(bytes.buffer);
  const unit = (of: number) => Math.max(0, Math.min(SIDE - 1, Math.floor(of)));
  view.setUint16(at, unit(place.x));
  view.setUint16(at + 2, unit(place.y));
  view.setUint16(at + 4, Math.floor((place.heading - Math.floor(place.heading)) * SIDE) % SIDE);
};

const take = (bytes: Uint8Array, at: number, bot: boolean): Place => {
  const u16 = (at: number) => bytes[at]! * 256 + bytes[at + 1]!;
  return { x: u16(at), y: u16(at + 2), heading: u16(at + 4) / SIDE, bot };
};

export const encodePlace = (place: Place): Uint8Array => {
  const bytes = new Uint8Array(7);
  put(bytes, 0, place);
  bytes[6] = place.bot ? 1 : 0;
  return bytes;
};

/** Nothing where it is no place: the room relays whatever its members send. */
export const decodePlace = (bytes: Uint8Array): Place | undefined =>
  bytes.length === 7 ? take(bytes, 0, (bytes[6]! & 1) === 1) : undefined;

export const encodeShot = (from: Place): Uint8Array => {
  const bytes = new Uint8Array(7);
  bytes[0] = 1;
  put(bytes, 1, from);
  return bytes;
};

/** Cut to what may be said; nothing where nothing is left. */
export const encodeText = (said: string): Uint8Array | undefined => {
  const bytes = new Uint8Array(1 + MAX_TEXT);
  bytes[0] = 2;
  const { written } = new TextEncoder().encodeInto(said.trim(), bytes.subarray(1));
  return written ? bytes.slice(0, 1 + written) : undefined;
};

export const decodeEvent = (bytes: Uint8Array): Event | undefined => {
  if (bytes[0] === 1 && bytes.length === 7) return { is: "shot", from: take(bytes, 1, false) };
  if (bytes[0] !== 2 || bytes.length < 2 || bytes.length > 1 + MAX_TEXT) return undefined;
  try {
    return { is: "text", text: new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(1)) };
  } catch {
    return undefined;
  }
};

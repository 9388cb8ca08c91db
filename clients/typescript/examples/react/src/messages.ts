// What travels in the room: four bytes for a place on the board, JSON for what is said.

import { json, type Codec } from "tickwire";

/** A place on the board, 0 to 1 each way. */
export interface Place {
  x: number;
  y: number;
}

/** What happens once. */
export type Note = { is: "said"; text: string } | { is: "ring"; at: Place };

/** The key under which every member has its place. */
export const PLACE = 0;

/** A place as two numbers of sixteen bits. */
export const place: Codec<Place> = {
  encode: ({ x, y }) => {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setUint16(0, x * 65535);
    bytes.setUint16(2, y * 65535);
    return new Uint8Array(bytes.buffer);
  },
  decode: (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { x: view.getUint16(0) / 65535, y: view.getUint16(2) / 65535 };
  },
};

const anything = json<unknown>();

/** Strangers write here too: what is not a note is nothing. */
export const note: Codec<Note | undefined> = {
  encode: anything.encode,
  decode: (bytes) => {
    const read = anything.decode(bytes) as Note | null;
    if (read?.is === "said" && typeof read.text === "string") return { is: "said", text: read.text.slice(0, 200) };
    if (read?.is === "ring" && typeof read.at?.x === "number" && typeof read.at.y === "number") return read;
    return undefined;
  },
};

/** A colour for each member, far from its neighbours'. */
export const colour = (member: number): string => `hsl(${(member * 137.5) % 360} 80% 65%)`;

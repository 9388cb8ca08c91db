/** The latest values of a room, by key and owner (PROTOCOL 11.2). */

import type { Codec } from "./codec.js";

export interface Entry<V> {
  _bytes: Uint8Array;
  /** Who wrote it. */
  _member: number;
  /** Whether the codec was asked, and what it made of the bytes. */
  _read?: boolean;
  _value?: V;
}

export class Values<V> {
  /** By the key on the wire (key * 2 + scope), then by owner: the member, or 0 for the room. */
  _of = new Map<number, Map<number, Entry<V>>>();
  /** Bytes held, 64 counted for each value beside its payload, as servers do (PROTOCOL 13). */
  #size = 0;

  /** Writes, or deletes where there are no bytes. Returns how many bytes are held now. */
  _set(key: number, member: number, bytes: Uint8Array): number {
    const owner = key % 2 ? 0 : member;
    let of = this._of.get(key);
    const old = of?.get(owner);
    if (old) this.#size -= old._bytes.length + 64;
    // Deleted first, so that the one written last stands last.
    of?.delete(owner);
    if (bytes.length) {
      if (!of) this._of.set(key, (of = new Map()));
      // Copied: a value may outlive its batch by hours, and must not hold it.
      of.set(owner, { _bytes: bytes.slice(), _member: member });
      this.#size += bytes.length + 64;
    } else if (!of?.size) this._of.delete(key);
    return this.#size;
  }

  _latest(key: number, codec: Codec<V>, owner?: number): V | undefined {
    const own = this._of.get(key * 2);
    let entry = owner ? own?.get(owner) : this._of.get(key * 2 + 1)?.get(0);
    if (owner === undefined && !entry && own) for (entry of own.values());
    return entry && read(entry, codec);
  }
}

/** The value itself; always the same one, as long as it is not written again. One that the codec cannot read throws once, and is nothing then. */
export const read = <V>(entry: Entry<V>, codec: Codec<V>): V | undefined => {
  if (!entry._read) {
    entry._read = true;
    entry._value = codec.decode(entry._bytes);
  }
  return entry._value;
};

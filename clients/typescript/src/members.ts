/** Who is in a room (PROTOCOL 8.4, 8.5). */

import { presence, text } from "./wire.js";

/** One who is in a room. */
export interface Member {
  /** Its number in this room. */
  readonly member: number;
  /** Whom the server knows it by, from its token; may be empty. */
  readonly subject: string;
  /** What it shows of itself: bytes of its own choice. */
  readonly data: Uint8Array;
  /** Its connection is gone, its place is kept. */
  readonly away: boolean;
}

/** What a member counts for, in bytes. */
const weight = (member: Member): number => member.subject.length + member.data.length + 64;

export class Members {
  _of = new Map<number, Member>();
  /** How many there are, also where the room tells only that. */
  _count = 0;
  #size = 0;

  /** Takes a presence record. Returns how many bytes are held now. */
  _take(member: number, payload: Uint8Array): number {
    const [state, what, data] = presence(payload);
    const old = this._of.get(member);
    if (state === 2) {
      if (old) this._of.set(member, { ...old, away: true });
    } else if (state === 1 || state === 3) {
      if (old) this.#size -= weight(old);
      this._of.delete(member);
      if (data) {
        const next = { member, subject: text(what), data: data.slice(), away: false };
        this._of.set(member, next);
        this.#size += weight(next);
      }
      this._count = this._of.size;
    } else if (state === 4) this._count = what;
    return this.#size;
  }
}

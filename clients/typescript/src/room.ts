/**
 * A room that remembers: its latest values, who is in it, and whether it is paused (SPEC 6).
 *
 * ```text
 *  records ──> values, members         what is known now
 *     └──────> snapshots under way ──> replace it when they are whole
 * ```
 */

import { BaseRoom } from "./base-room.js";
import type { Client } from "./client.js";
import { Members, type Member } from "./members.js";
import { read, Values } from "./values.js";
import { malformed, type Extensions } from "./wire.js";

/** A snapshot or list of members under way, and the values of a room, hold at most so many bytes (SPEC 8). */
const HELD = 16 << 20;

const DELETED = new Uint8Array();

/** A room. It is made by {@link Client.room}, one for each name; its handlers stay while it is left and joined again. */
export class Room<E = Uint8Array, V = Uint8Array> extends BaseRoom<E, V> {
  /** @internal */ declare readonly _client: Client;

  #paused = false;
  #values = new Values<V>();
  #members = new Members();
  /** The snapshots under way. */
  #nextValues?: Values<V>;
  #nextMembers?: Members;
  /** The members have changed in the batch that has not ended. */
  #moved = false;

  /** @internal */
  constructor(client: Client, name: string) {
    super(client, name);
    this._listed = 4;
  }

  /** Who is here, by number, where the server shows that. It is changed in place. */
  get members(): ReadonlyMap<number, Member> {
    return this.#members._of;
  }

  /** How many are here, also where the server tells only that. */
  get count(): number {
    return this.#members._count;
  }

  /** The value of a key: of `owner`, or the room's own (0); without it the room's, else the member's that was written last. */
  latest(key: number, owner?: number): V | undefined {
    return this._try(() => this.#values._latest(key, this._options.value, owner));
  }

  /** All values. */
  *values(): Generator<{ key: number; value: V; owner: number }> {
    for (const [key, of] of this.#values._of) {
      for (const [owner, entry] of of) {
        const value = this._try(() => read(entry, this._options.value));
        if (value !== undefined) yield { key: Math.floor(key / 2), value, owner };
      }
    }
  }

  /** Receives nothing until `unpause`. Resolves when the server has done it, or when the connection ends: then it is done at the next join. */
  pause(): Promise<void> {
    this.#paused = true;
    return this._sync();
  }

  /** Receives again: a `gap` or `snapshot` is told, and the values are replaced. Resolves as `pause` does. */
  unpause(): Promise<void> {
    this.#paused = false;
    return this._sync();
  }

  /** @internal Tells the server what is wanted, where it was told something else. */
  override async _sync(): Promise<void> {
    this._client._named();
    const what = this.#paused || (this._client._hidden && !this._options.background) ? 2 : 0;
    if (what === this._told || this.state !== "joined" || !(this._mode & 2)) return;
    this._told = what;
    return new Promise((done) => this._client._request(0x0b, [this._handle, what, 1, 0], () => done()));
  }

  /** @internal */
  override _refused(reason: number, told: Extensions): void {
    if (reason !== 223 || !this._listed) return super._refused(reason, told);
    // The list of members is too long (PROTOCOL 6.3).
    this._listed = 0;
    this._ask();
  }

  /** @internal */
  override _record(kind: number, member: number, key: number, payload: Uint8Array): void {
    let size: number;
    if (kind === 1 || kind === 4) {
      size = (kind === 4 ? (this.#nextValues ??= new Values()) : this.#values)._set(key, member, payload);
    } else {
      size = (kind === 5 ? (this.#nextMembers ??= new Members()) : this.#members)._take(member, payload);
      this.#moved = true;
    }
    if (size > HELD) malformed();
    if (kind === 1) this._value(key, member, payload);
  }

  /** @internal */
  override _whole(kind: number): void {
    if (kind === 4) {
      this.#replace(this.#nextValues ?? new Values());
      this.#nextValues = undefined;
    }
    if (kind === 5) {
      this.#members = this.#nextMembers ?? new Members();
      this.#nextMembers = undefined;
      this.#moved = true;
    }
  }

  /** @internal */
  override _begin(): void {
    this.#nextValues = this.#nextMembers = undefined;
  }

  /** @internal */
  override _void(): void {
    this.#members = new Members();
    this.#moved = true;
  }

  /** @internal */
  override _forget(): void {
    this.#values = new Values();
    this._void();
  }

  /** @internal */
  override _end(): void {
    if (this.#moved) this._emit("members", this.members);
    this.#moved = false;
  }

  /** The snapshot is whole: it replaces the values. What is gone is told, and then what is there. */
  #replace(next: Values<V>): void {
    const old = this.#values;
    this.#values = next;
    for (const [key, of] of old._of) {
      for (const [owner, { _member }] of of) if (!next._of.get(key)?.has(owner)) this._value(key, _member, DELETED);
    }
    for (const [key, of] of next._of) for (const { _member, _bytes } of of.values()) this._value(key, _member, _bytes);
  }
}

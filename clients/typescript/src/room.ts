/**
 * A room as its application sees it: what comes, what is known, and what is sent (SPEC 1, 4, 5, 6).
 *
 * ```text
 *          join()            JOINED
 *  left ──────────> joining ────────> joined
 *    ^                 ^                 │
 *    │   refused       └── broken ───────┤
 *    └── leave(), LEFT ──────────────────┘
 * ```
 */

import { wait } from "./backoff.js";
import { raw, type Codec } from "./codec.js";
import type { Client } from "./client.js";
import { Emitter, type Change } from "./emitter.js";
import { TickwireError } from "./error.js";
import { Members, type Member } from "./members.js";
import type { Message, Policy } from "./message.js";
import { read, Values } from "./values.js";
import { after } from "./session.js";
import { counted, extension, frame, malformed, pack, record, text, utf8, type Cursor, type Extensions, type Field } from "./wire.js";

/** `left`: not wanted, or refused for good. `joining`: wanted, not yet answered. `joined`: JOINED came on this connection. */
export type RoomState = "left" | "joining" | "joined";

/** What is known of a room after a join, or after the server left something out (SPEC 4). */
export type Outcome =
  /** Everything: what was missed follows, in order. */
  | { is: "recovered" }
  /** The batches `from..to` are lost; what is behind them follows. */
  | { is: "gap"; from: number; to: number }
  /** Nothing: what was known is void. */
  | { is: "snapshot" };

export interface RoomOptions<E, V> {
  /** How events and directs become bytes. Without it they are bytes. */
  event?: Codec<E>;
  /** How values become bytes. Without it they are bytes. */
  value?: Codec<V>;
  /** Show this client's own messages, in their place in the order. */
  echo?: boolean;
  /** Only publish, or only receive. Without it both. */
  as?: "publisher" | "receiver";
  /** What other members are shown of this one, at most 256 bytes. */
  presence?: Uint8Array;
  /** For the room's logic, at most 1024 bytes. */
  data?: Uint8Array;
  /** Go on receiving while the page is hidden. Without it a hidden page pauses the room, and gets a snapshot when it is back. */
  background?: boolean;
}

export interface SendOptions {
  /** What becomes of it while it cannot leave: `reliable` for events and directs, `latest` for values. */
  policy?: Policy;
  /** Do not wait for the tick. The server allows a few of these in each tick. */
  urgent?: boolean;
}

/** As for every message, and whose value it is. */
export interface SetOptions extends SendOptions {
  /** The room's own value, not this member's. */
  room?: boolean;
}

/** What a room tells, and with which arguments. */
export type RoomEvents<E, V> = {
  state: [change: Change<RoomState>];
  outcome: [outcome: Outcome];
  /** An event of a member; of the room itself for member 0. */
  event: [event: E, member: number];
  /** A value was written, or deleted (`undefined`). `owner` is whose it is, 0 for the room's own; `member` wrote it. */
  value: [key: number, value: V | undefined, owner: number, member: number];
  /** A message to this client alone. `answers` is the {@link Message.number} of the message that it answers, or 0. */
  direct: [message: E, member: number, answers: number];
  /** Everything of a batch was told. One call for each, whatever came in it. */
  tick: [tick: number, position: number];
  /** Somebody came, went, or changed. At most once for each batch, before its `tick`. */
  members: [members: ReadonlyMap<number, Member>];
};

/** A snapshot or list of members under way, and the values of a room, hold at most so many bytes (SPEC 8). */
const HELD = 16 << 20;

/** A room. It is made by {@link Client.room}, one for each name; its handlers stay while it is left and joined again. */
export class Room<E = Uint8Array, V = Uint8Array> extends Emitter<RoomState, RoomEvents<E, V>> {
  /** This client's number here; 0 before the first answer. */
  member = 0;
  /** Milliseconds between two ticks; 0 where the room does not wait for ticks, and counts milliseconds. */
  period = 0;
  /** The last position that came whole. */
  position = 0;

  /** @internal This client's number for the room; a new one for each life from join to leave. */ _handle = 0;

  #client: Client;
  #options!: RoomOptions<E, V> & { event: Codec<E>; value: Codec<V> };
  /** The epoch of this life, once there was an answer. */
  #epoch?: Uint8Array;
  /** The mode as granted. */
  #mode = 0;
  #tries = 0;
  #timer?: ReturnType<typeof setTimeout>;
  #paused = false;
  /** What the server was told to send: 0 all, 2 nothing. */
  #told = 0;
  /** The bit of JOIN that asks for a list of members; 0 where it is too long for one. */
  #listed = 4;
  /** Own numbers in this epoch: what is replayed may be of an earlier session. */
  #own = new Set<number>();
  #values = new Values<V>();
  #members = new Members();
  /** The snapshots under way. */
  #nextValues?: Values<V>;
  #nextMembers?: Members;
  #moved = false;
  /** Records of the next position that have been shown, and that have come on this connection. */
  #shown = 0;
  #come = 0;
  #tick = 0;
  #tickTime = 0;
  /** The batch whose end has not been told: low 16 bits of its tick, and its position. */
  #batch?: [tick: number, position: number];

  /** @internal */
  constructor(client: Client, readonly name: string) {
    super("left");
    this.#client = client;
    this._configure();
  }

  /** @internal */
  _configure(options?: RoomOptions<E, V>): void {
    this.#options = { event: raw as unknown as Codec<E>, value: raw as unknown as Codec<V>, ...options };
  }

  /** Who is here, by number, where the server shows that. It is changed in place. */
  get members(): ReadonlyMap<number, Member> {
    return this.#members._of;
  }

  /** How many are here, also where the server tells only that. */
  get count(): number {
    return this.#members._count;
  }

  /** Wants to be in the room, now and after every reconnect, until `leave`. */
  join(): this {
    if (this.state === "left") {
      this._handle = this.#client._enter(this);
      this.#epoch = undefined;
      this.#values = new Values();
      this.position = this.#tries = 0;
      this.#void();
      this._to("joining");
      this._ask();
    }
    return this;
  }

  /** Leaves, also where the answer to the join has not come. Messages that wait are dropped; the client's `dropped` tells which. */
  leave(): void {
    if (this.state !== "left") this._left(200, "", true);
  }

  /** Publishes an event. Returns the message, or nothing where it was dropped. Throws `queue-full`, `too-large`, `closed`. */
  publish(event: E, options?: SendOptions): Message | undefined {
    return this.#post(0, this.#options.event.encode(event), options);
  }

  /** Sends to one member; to the room's logic for member 0. Otherwise as `publish`. */
  send(member: number, message: E, options?: SendOptions): Message | undefined {
    return this.#post(6, this.#options.event.encode(message), options, member);
  }

  /** Sets a value: this member's, or the room's own. Otherwise as `publish`. Keys are integers from 0 to 2^52 - 1. */
  set(key: number, value: V, options?: SetOptions): Message | undefined {
    return this.#post(2, this.#options.value.encode(value), options, key);
  }

  /** Deletes a value. To delete what does not exist is not an error. */
  delete(key: number, options?: SetOptions): Message | undefined {
    return this.#post(2, new Uint8Array(), options, key);
  }

  /** The value of a key: of `owner`, or the room's own (0); without it the room's, else the member's that was written last. */
  latest(key: number, owner?: number): V | undefined {
    return this._try(() => this.#values._latest(key, this.#options.value, owner));
  }

  /** All values. */
  *values(): Generator<{ key: number; value: V; owner: number }> {
    for (const [key, of] of this.#values._of) {
      for (const [owner, entry] of of) {
        const value = this._try(() => read(entry, this.#options.value));
        if (value !== undefined) yield { key: Math.floor(key / 2), value, owner };
      }
    }
  }

  /** The tick that it is now on the server, as a real number; NaN before the first answer. */
  tick(): number {
    return this.#tick + (this.#client.serverTime() - this.#tickTime) / (this.period || 1);
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
  async _sync(): Promise<void> {
    const what = this.#paused || (this.#client._hidden && !this.#options.background) ? 2 : 0;
    if (what === this.#told || this.state !== "joined" || !(this.#mode & 2)) return;
    this.#told = what;
    return new Promise((done) => this.#client._request(0x0b, [this._handle, what, 1, 0], () => done()));
  }

  #post(flags: number, payload: Uint8Array, options: SetOptions = {}, arg?: number): Message | undefined {
    if (this.state === "left") throw new TickwireError("closed", this.reason, this.name);
    if (payload.length > this.#client._max) throw new TickwireError("too-large", 236, this.name);
    const value = flags === 2;
    const key = value ? arg! * 2 + (options.room ? 1 : 0) : arg;
    return this.#client._post({
      room: this,
      key: value ? key : undefined,
      policy: options.policy ?? (value ? "latest" : "reliable"),
      number: 0,
      frame: frame(1, flags | (options.urgent ? 16 : 0), this._handle, ...(key === undefined ? [] : [key]), payload),
    });
  }

  // Joining.

  /** @internal Asks to be in the room (PROTOCOL 6.3). */
  _ask(): void {
    if (this.state === "left") return;
    const { as, data, presence } = this.#options;
    const handle = this._handle;
    this.#come = this.#told = 0;
    this.#nextValues = this.#nextMembers = undefined;
    this.#client._request(
      3,
      [
        handle,
        as === "publisher" ? 1 : (as ? 2 : 3) | this.#listed,
        ...counted(utf8(this.name)),
        ...extension(2, data),
        ...extension(4, this.#epoch && pack(this.#epoch, this.position)),
        ...extension(6, presence),
      ],
      (reason, told, values) => {
        // It may have been left meanwhile, or the connection may have ended.
        if (handle !== this._handle || this.state !== "joining") return;
        if (values) this.#joined(values);
        else if (reason >= 0) this._refused(reason, told);
      },
    );
  }

  /** @internal The join was refused, or the server ended it: it is tried again, or over (SPEC 2). */
  _refused(reason: number, told: Extensions): void {
    // The list of members is too long (PROTOCOL 6.3).
    const ms = reason === 223 && this.#listed ? 0 : wait(reason, this.#tries++, told);
    if (reason === 223) this.#listed = 0;
    const why = text(told[2]);
    if (ms === undefined) return this._left(reason, why);
    this._to("joining", reason, why);
    this.#timer = after(ms, () => this._ask());
  }

  #joined([, , , member, mode, outcome, epoch, position, period, tick, time]: Field[]): void {
    const same = this.#same(epoch);
    if (!same) this.#own.clear();
    this.#own.add((this.member = member));
    this.#mode = mode;
    this.#epoch = epoch.slice();
    this.#tries = 0;
    this.period = period / 1000;
    this.#tick = tick;
    this.#tickTime = time / 1000;
    const from = this.position + 1;
    const recovered = same && outcome === 1;
    if (recovered && position !== this.position) malformed();
    if (!recovered) this.#shown = 0;
    if (!same || !outcome) this.#void();
    this.position = position;
    this._to("joined");
    this._emit("outcome", recovered ? { is: "recovered" } : same && outcome ? { is: "gap", from, to: position } : { is: "snapshot" });
    void this._sync();
  }

  #same(epoch: Uint8Array): boolean {
    return String(epoch) === String(this.#epoch);
  }

  /** What was known is void; the values stay until the snapshot replaces them. */
  #void(): void {
    this.#members = new Members();
    this.#moved = true;
    this.#shown = 0;
  }

  /** @internal No longer wanted. `tell`: the server does not know yet. */
  _left(reason: number, text = "", tell = false): void {
    clearTimeout(this.#timer);
    this._to("left", reason, text);
    this.#client._exit(this, tell);
  }

  /** @internal The connection ended. */
  _lost(): void {
    clearTimeout(this.#timer);
    if (this.state === "joined") this._to("joining");
  }

  // What comes.

  /** @internal GAP came (PROTOCOL 6.10). */
  _gap(epoch: Uint8Array, from: number, to: number): void {
    if (!this.#same(epoch) || to < from - 1 || to < this.position) malformed();
    this.#nextValues = undefined;
    if (to >= from) this.#shown = this.#come = 0;
    this.position = to;
    this._emit("outcome", to < from ? { is: "snapshot" } : { is: "gap", from, to });
  }

  /** @internal The records of a data frame (PROTOCOL 8). */
  _data(kind: number, more: number, position: number, tick: number, c: Cursor): void {
    if (this.#batch?.[0] !== tick || this.#batch[1] !== position) this._flush();
    this.#batch = [tick, position];
    const numbered = !kind || kind === 2;
    if (numbered && position !== this.position + 1) malformed();
    const values = kind === 4 ? (this.#nextValues ??= new Values()) : this.#values;
    const members = kind === 5 ? (this.#nextMembers ??= new Members()) : this.#members;
    while (c.at < c.end) {
      const [member, key, payload] = record(c, kind);
      if (numbered) {
        if (this.#come++ < this.#shown) continue;
        this.#shown = this.#come;
      }
      if (!kind) {
        if (this.#shows(member)) this.#tell("event", payload, member);
      } else if (kind === 1 || kind === 4) {
        if (values._set(key, member, payload) > HELD) malformed();
        if (kind === 1) this.#changed(key, member);
      } else {
        if (members._take(member, payload) > HELD) malformed();
        this.#moved = true;
      }
    }
    if (more) return;
    if (numbered) {
      this.position = position;
      this.#shown = this.#come = 0;
    } else if (kind === 5) {
      this.#members = members;
      this.#nextMembers = undefined;
    } else if (kind === 4) this.#replace(values);
  }

  /** @internal A direct. */
  _direct(member: number, answers: number, payload: Uint8Array): void {
    this.#tell("direct", payload, member, answers);
  }

  /** @internal Tells the end of a batch. */
  _flush(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    if (this.#moved) this._emit("members", this.members);
    this.#moved = false;
    // Sixteen bits are told: the tick is the one nearest to now.
    const about = Math.floor(this.tick());
    this._emit("tick", about + (((batch[0] - about) << 16) >> 16), batch[1]);
  }

  #shows(member: number): boolean {
    return !!this.#options.echo || !this.#own.has(member);
  }

  #tell(name: "event" | "direct", payload: Uint8Array, member: number, answers = 0): void {
    if (!this._handlers[name]?.size) return;
    this._try(() => this._emit(name as "direct", this.#options.event.decode(payload), member, answers));
  }

  /** A value was written, or is gone. */
  #changed(key: number, member: number): void {
    const owner = key % 2 ? 0 : member;
    if (!this.#shows(member) || !this._handlers.value?.size) return;
    key = Math.floor(key / 2);
    this._emit("value", key, this.latest(key, owner), owner, member);
  }

  /** The snapshot is whole: it replaces the values. What is gone is told, and then what is there. */
  #replace(next: Values<V>): void {
    const old = this.#values;
    this.#values = next;
    this.#nextValues = undefined;
    this.#own = new Set([this.member]);
    for (const values of [old, next]) {
      for (const [key, of] of values._of) {
        for (const [owner, { _member }] of of) if (values === next || !next._of.get(key)?.has(owner)) this.#changed(key, _member);
      }
    }
  }

  /** @internal */
  override _threw(error: unknown): void {
    this.#client._fail(new TickwireError("handler", 0, this.name, error));
  }
}

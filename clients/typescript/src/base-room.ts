/**
 * A room without a memory: joining, what comes in which order, and what is sent (SPEC 1, 4, 5).
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
import type { BaseClient } from "./base-client.js";
import { raw, type Codec } from "./codec.js";
import { Emitter, type Change } from "./emitter.js";
import { TickwireError } from "./error.js";
import type { Member } from "./members.js";
import type { Message, Policy } from "./message.js";
import { after } from "./session.js";
import {
  counted,
  extension,
  frame,
  malformed,
  pack,
  record,
  text,
  utf8,
  type Cursor,
  type Extensions,
  type Field,
} from "./wire.js";

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

/** The outcome where these positions are lost, if there are any. */
const lost = (from: number, to: number): Outcome => (to < from ? { is: "snapshot" } : { is: "gap", from, to });

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
  /** Somebody came, went, or changed. At most once for each batch, before its `tick`. Not told by rooms of `tickwire/core`. */
  members: [members: ReadonlyMap<number, Member>];
};

/** A room that remembers nothing. One for each name and client; its handlers stay while it is left and joined again. */
export class BaseRoom<E = Uint8Array, V = Uint8Array> extends Emitter<RoomState, RoomEvents<E, V>> {
  declare readonly name: string;
  /** This client's number here; 0 before the first answer. */
  member = 0;
  /** Milliseconds between two ticks; 0 where the room does not wait for ticks, and counts milliseconds. */
  period = 0;
  /** The last position that came whole. */
  position = 0;

  /** @internal This client's number for the room; a new one for each life from join to leave. */ declare _handle: number;

  /** @internal */ declare readonly _client: BaseClient;
  /** @internal */ declare _options: RoomOptions<E, V> & { event: Codec<E>; value: Codec<V> };
  /** The epoch of this life, once there was an answer. */
  #epoch?: Uint8Array;
  /** @internal The mode as granted. */ declare _mode: number;
  #tries!: number;
  #timer?: ReturnType<typeof setTimeout>;
  /** @internal What the server was told to send: 0 all, 2 nothing. */ declare _told: number;
  /** @internal The bit of JOIN that asks for a list of members: 4, or 0 where none is wanted. */ _listed = 0;
  /** Own numbers in this epoch: what is replayed may be of an earlier session. */
  #own = new Set<number>();
  /** Records of the next position that have been shown, and that have come on this connection. */
  #shown!: number;
  #come!: number;
  #tick!: number;
  #tickTime!: number;
  /** The batch whose end has not been told: low 16 bits of its tick, and its position. */
  #batch?: [tick: number, position: number];
  /** More frames of it follow, be it in another message. */
  #more?: number;

  /** @internal */
  constructor(client: BaseClient, name: string) {
    super("left");
    this.name = name;
    this._client = client;
    this._configure();
  }

  /** @internal */
  _configure(options?: RoomOptions<E, V>): void {
    this._options = { event: raw as unknown as Codec<E>, value: raw as unknown as Codec<V>, ...options };
  }

  /** Wants to be in the room, now and after every reconnect, until `leave`. */
  join(): this {
    if (this.state === "left") {
      this._handle = this._client._enter(this);
      this.#epoch = undefined;
      this.position = this.#tries = this.#shown = 0;
      this._forget();
      this._to("joining");
      this._ask();
    }
    return this;
  }

  /** Leaves, also where the answer to the join has not come. Messages that wait are dropped; the client's `dropped` tells which. */
  leave(): void {
    if (this.state !== "left") this._left(200, undefined, true);
  }

  /** Publishes an event. Returns the message, or nothing where it was dropped. Throws `queue-full`, `too-large`, `closed`. */
  publish(event: E, options?: SendOptions): Message | undefined {
    return this.#post(0, this._options.event.encode(event), options);
  }

  /** Sends to one member; to the room's logic for member 0. Otherwise as `publish`; a `RangeError` is thrown for what is no member's number. */
  send(member: number, message: E, options?: SendOptions): Message | undefined {
    return this.#post(6, this._options.event.encode(message), options, member);
  }

  /** Sets a value: this member's, or the room's own. Otherwise as `publish`. Keys are integers from 0 to 2^52 - 1; a `RangeError` is thrown for others. */
  set(key: number, value: V, options?: SetOptions): Message | undefined {
    return this.#post(2, this._options.value.encode(value), options, key);
  }

  /** Deletes a value. To delete what does not exist is not an error. */
  delete(key: number, options?: SetOptions): Message | undefined {
    return this.#post(2, new Uint8Array(), options, key);
  }

  /** The tick that it is now on the server, as a real number; NaN before the first answer. */
  tick(): number {
    return this.#tick + (this._client.serverTime() - this.#tickTime) / (this.period || 1);
  }

  #post(flags: number, payload: Uint8Array, options: SetOptions = {}, arg = 0): Message | undefined {
    if (this.state === "left") throw new TickwireError("closed", this.reason, this.name);
    if (payload.length > this._client._max) throw new TickwireError("too-large", 236, this.name);
    const value = flags === 2;
    const key = value ? arg * 2 + (options.room ? 1 : 0) : arg;
    if (arg < 0 || arg % 1 || !(key < 2 ** 53)) throw new RangeError(`${arg}`);
    return this._client._post({
      room: this,
      key: value ? key : undefined,
      policy: options.policy ?? (value ? "latest" : "reliable"),
      number: 0,
      _slot: `${flags} ${this._handle} ${key}`,
      frame: frame(1, flags | (options.urgent ? 16 : 0), this._handle, ...(flags ? [key] : []), payload),
    });
  }

  // Joining.

  /** @internal Asks to be in the room (PROTOCOL 6.3). */
  _ask(): void {
    if (this.state !== "joining") return;
    const { as, data, presence } = this._options;
    const handle = this._handle;
    this.#come = this._told = this.#more = 0;
    this.#batch = undefined;
    this._begin();
    this._client._request(
      3,
      [
        handle,
        as === "publisher" ? 1 : (as ? 2 : 3) | this._listed,
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
    const ms = wait(reason, this.#tries++, told);
    const why = text(told[2]);
    if (ms === undefined) return this._left(reason, why);
    this.#timer = after(ms, () => this._ask());
    this._to("joining", reason, why);
  }

  #joined([, , , member, mode, outcome, epoch, position, period, tick, time]: Field[]): void {
    const same = this.#same(epoch);
    if (!same) this.#own.clear();
    this.#own.add((this.member = member));
    this._mode = mode;
    this.#epoch = epoch.slice();
    this.#tries = 0;
    this.period = period / 1000;
    this.#tick = tick;
    this.#tickTime = time / 1000;
    const recovered = same && outcome === 1;
    if (recovered && position !== this.position) malformed();
    // Where the room is behind what is known of it, it has begun another life (PROTOCOL 12.1).
    const from = (same && outcome === 2 ? this.position : position) + 1;
    if (!recovered) {
      this.#shown = 0;
      if (position < from) this._void();
    }
    this.position = position;
    this._to("joined");
    this._emit("outcome", recovered ? { is: "recovered" } : lost(from, position));
    this._sync();
  }

  #same(epoch: Uint8Array): boolean {
    return String(epoch) === String(this.#epoch);
  }

  /** @internal No longer wanted. `tell`: the server does not know yet. */
  _left(reason: number, text?: string, tell?: boolean): void {
    clearTimeout(this.#timer);
    this._client._exit(this, reason, text, tell);
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
    this._flush();
    this._begin();
    if (to >= from) this.#shown = this.#come = 0;
    this.position = to;
    this._emit("outcome", lost(from, to));
  }

  /** @internal The records of a data frame (PROTOCOL 8). */
  _data(kind: number, more: number, position: number, tick: number, c: Cursor): void {
    // Batches may come between the frames of a snapshot, which counts when it is whole.
    if (kind < 4 || !more) {
      if (this.#batch?.[0] !== tick || this.#batch[1] !== position) this._flush();
      this.#batch = [tick, position];
      this.#more = more;
    }
    const numbered = !kind || kind === 2;
    if (numbered && position !== this.position + 1) malformed();
    while (c.at < c.end) {
      // A handler may have left the room, or ended the connection.
      if (this.state !== "joined") return;
      const [member, key, payload] = record(c, kind);
      if (numbered) {
        if (this.#come++ < this.#shown) continue;
        this.#shown = this.#come;
      }
      if (kind) this._record(kind, member, key, payload);
      else if (this.#shows(member)) this.#tell("event", payload, member);
    }
    if (more) return;
    if (numbered) {
      this.position = position;
      this.#shown = this.#come = 0;
    }
    // Behind it nothing is of an earlier session any more.
    if (kind === 4) this.#own = new Set([this.member]);
    this._whole(kind);
  }

  /** @internal A direct. */
  _direct(member: number, answers: number, payload: Uint8Array): void {
    this.#tell("direct", payload, member, answers);
  }

  /** @internal Tells the end of a batch; not at the end of a `message`, if that is not yet the end of the batch. */
  _flush(message?: boolean): void {
    const batch = this.#batch;
    if (!batch || this.state !== "joined" || (message && this.#more)) return;
    this.#batch = undefined;
    this._end();
    // Sixteen bits are told: the tick is the one nearest to now.
    const about = Math.floor(this.tick());
    this._emit("tick", about + (((batch[0] - about) << 16) >> 16), batch[1]);
  }

  #shows(member: number): boolean {
    return !!this._options.echo || !this.#own.has(member);
  }

  #tell(name: "event" | "direct", payload: Uint8Array, member: number, answers = 0): void {
    if (!this._handlers[name]) return;
    this._try(() => this._emit(name as "direct", this._options.event.decode(payload), member, answers));
  }

  /** @internal Calls the handlers of `value`: one was written, or is gone. */
  _value(key: number, member: number, payload: Uint8Array): void {
    if (!this.#shows(member) || !this._handlers.value) return;
    const value = payload.length ? this._try(() => this._options.value.decode(payload)) : undefined;
    this._emit("value", Math.floor(key / 2), value, key % 2 ? 0 : member, member);
  }

  // What a room with a memory does more.

  /** @internal A record came that is no event. Presence is not told by a room that does not remember it. */
  _record(kind: number, member: number, key: number, payload: Uint8Array): void {
    if (kind === 1 || kind === 4) this._value(key, member, payload);
  }

  /** @internal A part of a batch, or a snapshot, is whole. */
  _whole(_kind: number): void {}
  /** @internal Snapshots that had begun are void. */
  _begin(): void {}
  /** @internal What was known is void; the values stay until the snapshot replaces them. */
  _void(): void {}
  /** @internal Nothing is known. */
  _forget(): void {}
  /** @internal A batch has ended. */
  _end(): void {}
  /** @internal The room is joined, or the page was hidden or shown. */
  _sync(): void {}

  /** @internal */
  override _threw(error: unknown): void {
    this._client._fail(new TickwireError("handler", 0, this.name, error));
  }
}

/**
 * The client without what its rooms remember: states, attempts, tokens, and what a connection means for its rooms (SPEC 1 to 5).
 *
 * ```text
 *  application ──> Room ──message──> Client ──frame──> Session ──> socket
 *       ^            ^                 │ queue, resume     │
 *       └── events ──┴─────────────────┴───────────────────┘
 * ```
 */

import { address, backoff, wait } from "./backoff.js";
import { BaseRoom, type RoomOptions } from "./base-room.js";
import { clock, now, serverTime, type Clock } from "./clock.js";
import { Emitter, type Change } from "./emitter.js";
import { TickwireError, type ErrorKind } from "./error.js";
import type { Message, Queue } from "./message.js";
import { after, Session, type Done, type Socket } from "./session.js";
import type { Token } from "./token.js";
import { counted, extension, HEAD, malformed, pack, text, utf8, type Direct, type Extensions, type Field } from "./wire.js";

/** `disconnected`: nothing is tried. `connecting`: an attempt is under way or waited for. `connected`: WELCOME came. `closed`: for good. */
export type ClientState = "disconnected" | "connecting" | "connected" | "closed";

export interface Options {
  /** Who this is: a token, or a function that is asked for one before each attempt and each renewal. */
  token?: Token;
  /** Renews the token of a callback before it expires, without a new connection: `renew` of `tickwire/renew`. */
  renew?: (client: BaseClient) => void;
  /** Lets messages wait, and sends again what a broken connection swallowed: `queue()` of `tickwire/queue`. */
  queue?: Queue;
  /** Lets the server compress: `inflate` of `tickwire/inflate`. Gets a raw deflate stream and a bound in bytes. */
  inflate?: (stream: Uint8Array, bound: number) => Uint8Array;
  /** The constructor to use where there is no global one, as in Node before 22: `WebSocket` of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => Socket;
}

/** What a client tells, and with which arguments. */
export type ClientEvents = {
  state: [change: Change<ClientState>];
  error: [error: TickwireError];
  /** The server refused a message. The message itself is there where a queue still holds it. */
  refused: [error: TickwireError, message?: Message];
  /** The session is a new one, or the client is closed: of these messages nobody knows whether they arrived. Without a queue only their number is known. */
  unconfirmed: [count: number, messages: Message[]];
  /** These waited, and now never leave. */
  dropped: [messages: Message[]];
};

/** Capabilities (PROTOCOL 10.3): resume, history, receive, accepted; and where the application brings them, deflate and token. */
const CAPABILITIES = 0b101011;
const DEFLATE = 4;
const TOKEN = 16;

/** The message bound of servers, in bytes, until WELCOME tells it (PROTOCOL 13). */
const MESSAGE = 15360;

/** Milliseconds after which a connection counts as one that stands (SPEC 2). */
const STANDS = 5_000;

/** A client of one server. It connects when it is told to, comes back by itself, and keeps its rooms meanwhile. */
export class BaseClient extends Emitter<ClientState, ClientEvents> {
  declare readonly url: string;
  /** The last round trip in milliseconds; NaN before the first. */
  rtt = NaN;

  /** @internal */ declare _session?: Session;
  /** @internal */ declare _clock?: Clock;
  /** @internal The largest message that the server takes. */ _max = MESSAGE;
  /** @internal The highest direct that was taken. */ _directs = 0;
  /** @internal The handles of rooms by their ids in this session, also of such that were left and not yet answered. */
  _ids = new Map<number, number>();
  /** @internal */ declare readonly _options: Options;

  #rooms = new Map<string, BaseRoom<any, any>>();
  /** @internal The rooms that are wanted, by handle. */
  _handles = new Map<number, BaseRoom<any, any>>();
  /** Handles of rooms that were left, and whose answer has not come. */
  #leaving = new Set<number>();
  #handle = 0;
  /** @internal */ declare _token: string;
  #resume?: Uint8Array;
  /** Data frames of this session: written, and known to be accepted. */
  #sent = 0;
  #confirmed = 0;
  #turn = 0;
  #tries!: number;
  /** The token callback was asked again, since the token that it gave was refused. */
  #asked?: boolean;
  /** Where the server said to go. */
  #address?: string;
  #timer?: ReturnType<typeof setTimeout>;

  /** A client of the server at `url`, such as `wss://example.org/ws`. Nothing happens before `connect`. */
  constructor(url: string, options: Options = {}) {
    super("disconnected");
    this.url = url;
    this._options = options;
  }

  /** The room of this name, one object for each name. `options` count from the next join on. It is not joined before `join`. */
  room<E = Uint8Array, V = Uint8Array>(name: string, options?: RoomOptions<E, V>): BaseRoom<E, V> {
    let room = this.#rooms.get(name);
    if (!room) this.#rooms.set(name, (room = this._make(name)));
    if (options) room._configure(options);
    return room;
  }

  /** @internal A new room. */
  _make(name: string): BaseRoom<any, any> {
    return new BaseRoom(this, name);
  }

  /** Connects, and comes back whenever the connection breaks. Does nothing while it is not `disconnected`; throws `closed`. */
  connect(): this {
    this.#check();
    if (this.state === "disconnected") {
      this.#tries = 0;
      this.#asked = false;
      this._to("connecting");
      // A handler may have ended it already, here and wherever something is told.
      if ((this.state as ClientState) === "connecting") void this.#attempt();
    }
    return this;
  }

  /** Ends the connection and the session. Rooms stay wanted, for the next `connect`. */
  disconnect(): void {
    this.#resume = undefined;
    if (this.state !== "closed" && this.#drop(200) === this.#turn) this._to("disconnected");
  }

  /** Ends everything, for good. Returns how many messages waited and will never leave. */
  close(): number {
    const waiting = this._options.queue?.waiting ?? 0;
    this._stop(0, undefined, 200);
    return waiting;
  }

  /** The server's time in milliseconds of its own clock, as far as it is known; NaN before the first connection. */
  serverTime(): number {
    return this._clock ? serverTime(this._clock) : NaN;
  }

  // States and attempts (SPEC 1, 2).

  #check(): void {
    if (this.state === "closed") throw new TickwireError("closed", this.reason);
  }

  async #attempt(): Promise<void> {
    const { token, WebSocket = globalThis.WebSocket } = this._options;
    const turn = this.#drop();
    const address = this.#address;
    let kind: ErrorKind = "token";
    try {
      const told = typeof token === "function" ? await token() : token;
      if (turn !== this.#turn) return;
      if (token && !told) return this._stop(241);
      this._token = told ?? "";
      kind = "connect";
      this._session = new Session(this, new WebSocket(address || this.url, ["tickwire.v1"]));
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.#address = undefined;
      this.#again(backoff(this.#tries++));
      this._fail(new TickwireError(kind, 0, undefined, cause));
      // An address that a server told may be wrong; with its own the client cannot do otherwise.
      if (kind === "connect" && !address) this._stop(0);
    }
  }

  #again(ms: number): void {
    this.#timer = after(ms, () => void this.#attempt());
  }

  /** Ends the connection that is, and whatever waits for a time; returns the number of the next turn. */
  #drop(reason?: number): number {
    const session = this._session;
    const turn = ++this.#turn;
    this._session = undefined;
    clearTimeout(this.#timer);
    session?._end(reason);
    this.#lost();
    return turn;
  }

  #lost(): void {
    for (const room of this._handles.values()) room._lost();
  }

  /** @internal For good. `say`: the server is told. */
  _stop(reason: number, why?: string, say?: number): void {
    if (this.state === "closed") return;
    this.#drop(say);
    this._to("closed", reason, why);
    this.#dropped(this._options.queue?._drop());
    for (const room of this._handles.values()) room._left(reason, why);
    this.#unconfirmed(this.#sent - this.#confirmed, this._options.queue?._resume());
  }

  /** @internal The connection ended, with a reason or without. `say`: the server is told why. */
  _ended(session: Session, reason: number, told: Extensions = {}, say?: number): void {
    if (session !== this._session || session._away) return;
    const { _open } = session;
    if (_open === undefined) this.#address = undefined;
    else if (now() - _open >= STANDS) this.#tries = 0;
    let ms = wait(reason, this.#tries++, told);
    if ((reason === 241 || reason === 242) && typeof this._options.token === "function" && !this.#asked) {
      this.#asked = true;
      ms = 0;
    }
    if (reason === 207) this._fail(new TickwireError("version", reason));
    const why = text(told[2]);
    if (ms === undefined) return this._stop(reason, why);
    this.#address = address(told, this.url) || this.#address;
    if (this.#drop(say) !== this.#turn) return;
    this.#again(ms);
    this._to("connecting", reason, why);
  }

  /** @internal The server sent what cannot be read, or must not come. */
  _broken(session: Session, cause: unknown): void {
    // Behind its notice nothing of a server counts any more.
    if (session !== this._session || session._away) return;
    this._fail(cause instanceof TickwireError ? cause : new TickwireError("protocol", 201, undefined, cause));
    this._ended(session, 0, {}, 201);
  }

  /** @internal GOING_AWAY: what is under way is still heard, until it is time to come back. */
  _leave(session: Session, reconnect: number, told: Extensions): void {
    if (session._away) return;
    // Before anything else: where it cannot be read, the connection is broken, and not half left.
    this.#address = address(told, this.url);
    // The answer says what was accepted.
    session._ping();
    session._request(8, [200]);
    session._away = true;
    this.#resume = undefined;
    this.#tries = 0;
    this.#again(reconnect);
    this.#lost();
    if (session === this._session) this._to("connecting", 100);
  }

  // What a connection begins with (SPEC 4).

  /** @internal The socket is open. */
  _hello(session: Session): void {
    const { inflate, renew } = this._options;
    session._request(1, [
      CAPABILITIES | (inflate ? DEFLATE : 0) | (renew ? TOKEN : 0),
      0,
      0,
      ...extension(1, utf8(this._token)),
      ...extension(4, this.#resume && pack(...counted(this.#resume), this._directs)),
    ]);
    if (this.#resume) for (const handle of this.#leaving) this.#tellLeft(handle);
    for (const room of this._handles.values()) room._ask();
  }

  /** @internal */
  _welcome(
    session: Session,
    [, capabilities, flags, id, time, , message, frame, , ping, accepted]: Field[],
    told: Extensions,
  ): void {
    const { queue, renew } = this._options;
    session._capabilities = capabilities;
    session._welcome(ping);
    this._clock = clock(id, time / 1000, this._clock);
    this._max = Math.min(message, frame - HEAD, 65535 - HEAD);
    this.#resume = told[2]?.slice();
    this.#asked = false;
    const resumed = flags & 1;
    if (resumed) this._accepted(accepted);
    // In a session that goes on what was not accepted did not arrive; in a new one nobody knows.
    const messages = queue?._resume(resumed ? session : undefined);
    const count = queue && resumed ? 0 : this.#sent - this.#confirmed;
    if (!resumed) {
      this._ids.clear();
      this.#leaving.clear();
      this._directs = this.#confirmed = 0;
    }
    if (!resumed || !queue) this.#sent = this.#confirmed;
    renew?.(this);
    this._to("connected");
    this.#unconfirmed(count, messages);
  }

  /** @internal */
  _request(command: number, parts: (number | Uint8Array)[], done?: Done): void {
    // Before the socket is open there is nothing to ask: hello says it all.
    this._session?._request(command, parts, done);
  }

  // Rooms.

  /** @internal A room is wanted. Returns the handle of this life of it. */
  _enter(room: BaseRoom<any, any>): number {
    this.#check();
    this._handles.set(++this.#handle, room);
    return this.#handle;
  }

  /** @internal A room is no longer wanted. */
  _exit(room: BaseRoom<any, any>, reason: number, why?: string, tell?: boolean): void {
    this._handles.delete(room._handle);
    if (tell) this.#tellLeft(room._handle);
    const dropped = this._options.queue?._drop(room);
    // A handler may join it again: what is told from here on is of the life that has ended.
    room._to("left", reason, why);
    this.#dropped(dropped);
  }

  #tellLeft(handle: number): void {
    this.#leaving.add(handle);
    this._request(5, [handle], (reason) => {
      if (reason >= 0) this.#leaving.delete(handle);
    });
  }

  #unconfirmed(count: number, messages: Message[] = []): void {
    if (count > 0) this._emit("unconfirmed", count, messages);
  }

  #dropped(messages: Message[] = []): void {
    if (messages.length) this._emit("dropped", messages);
  }

  /** @internal LEFT. */
  _gone(handle: number, reason: number, told: Extensions): void {
    for (const [id, of] of this._ids) if (of === handle) this._ids.delete(id);
    this._handles.get(handle)?._refused(reason, told);
  }

  /** @internal The room of this id, unless it was left and the server does not know yet. */
  _room(id: number): BaseRoom<any, any> | undefined {
    return this._handles.get(this._ids.get(id) ?? malformed());
  }

  /** @internal A direct. After a resume it may come before the answer that names its room (PROTOCOL 8.6); here it is lost then. */
  _direct(id: number, direct: Direct): void {
    this._handles.get(this._ids.get(id)!)?._direct(...direct);
  }

  /** @internal A message from the server was read to its end. */
  _flush(): void {
    for (const room of this._handles.values()) room._flush(true);
  }

  // Messages out (SPEC 5).

  /** @internal */
  _post(message: Message): Message | undefined {
    const { queue } = this._options;
    const { policy, room } = message;
    if (queue && policy !== "drop") queue._post(message, this);
    else if (this._leaves(room)) this._write(message);
    else if (policy === "reliable") throw new TickwireError("queue-full", 0, room.name);
    else return;
    return message;
  }

  /** @internal Whether a message for this room can leave now. */
  _leaves(room: BaseRoom<any, any>): boolean {
    return room.state === "joined" && this._session!._free && !this._options.queue?._full(room);
  }

  /** @internal */
  _write(message: Message): void {
    message.number = ++this.#sent;
    this._options.queue?._wrote(message, this._session!);
    this._session!._write(message.frame);
  }

  /** @internal */
  _accepted(number: number): void {
    this.#confirmed = Math.min(number, this.#sent);
    this._options.queue?._accepted(number, this);
  }

  /** @internal A message was refused. */
  _refused(number: number, reason: number, told: Extensions): void {
    const message = this._options.queue?._refused(number, reason);
    // Heard before, or it leaves again.
    if (message === null) return;
    this._emit("refused", new TickwireError("refused", reason, message?.room.name, text(told[2]), number), message);
  }

  // Errors (SPEC 8).

  /** @internal */
  _fail(error: TickwireError): void {
    // An error of the application that nobody hears would be lost without a word.
    if (error.kind === "handler" && !this._handlers.error?.size) console.error(error.cause);
    this._emit("error", error);
  }

  /** @internal A handler of the client's own events threw. */
  override _threw(error: unknown): void {
    console.error(error);
  }
}

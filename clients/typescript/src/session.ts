/**
 * One connection: its socket, hello, pings, requests, and what comes in (PROTOCOL 4.2, 9, 10.2).
 *
 * ```text
 *  socket ──message──> frames ──ping──────> answered here
 *                         ├────control───> client: welcome, joined, left ..
 *                         └────data──────> room
 * ```
 */

import type { BaseClient } from "./base-client.js";
import { now, sample } from "./clock.js";
import {
  cursor,
  extensions,
  fields,
  frame,
  frameIn,
  malformed,
  record,
  rest,
  uint,
  varint,
  type Cursor,
  type Extensions,
  type Field,
} from "./wire.js";

/** What is used of a WebSocket; browsers, Deno, Bun, Node 22 and the package `ws` have it. */
export interface Socket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

/** Milliseconds until an attempt without WELCOME has failed (SPEC 2). */
const GREETING = 10_000;

/** Milliseconds that a server gets beyond twice its ping interval, or when our own timer was late (SPEC 2). */
const PATIENCE = 5_000;

/** Milliseconds between two pings: the first four, and the others (SPEC 7). */
const PING_FIRST = 500;
const PING = 10_000;

/** Bytes that wait in the socket while pings are answered: twice what is written again after a break. Who asks on does not read. */
const ANSWERS = 2 << 20;

/** A timer that is late by more milliseconds than this stood still. */
const LATE = 2_000;

/** The longest that a timer can be set to, in milliseconds; beyond it they fire at once. */
const LONGEST = 2 ** 31 - 1;

/** Calls `f` after so many milliseconds. */
export const after = (ms: number, f: () => void): ReturnType<typeof setTimeout> => setTimeout(f, Math.min(ms, LONGEST));

/** What became of a request: 0, the reason of its refusal, or -1 where the connection ended before; and what came with that. */
export type Done = (reason: number, told: Extensions, values?: Field[]) => void;

export class Session {
  /** WELCOME came, at this time of `now()`. */
  declare _open?: number;
  /** The capabilities of both sides. */
  declare _capabilities: number;
  /** The server said that it goes away; the client has left. */
  declare _away?: boolean;

  #client: BaseClient;
  #socket: Socket;
  #requests = new Map<number, Done | undefined>();
  #request = 0;
  /** Bytes of frames that handlers have returned from (PROTOCOL 9). */
  #consumed = 0;
  #heard!: number;
  /** Milliseconds of silence after which it is dead; nothing before WELCOME. */
  #silence?: number;
  #due!: number;
  /** It was silent for too long, and got more time: once. */
  #patient?: boolean;
  #pings = 0;
  #nextPing = 0;
  #timer: ReturnType<typeof setTimeout>;
  /** Ends with the connection. */
  declare _renewal?: ReturnType<typeof setTimeout>;

  constructor(client: BaseClient, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => client._hello(this);
    socket.onmessage = (event) => this.#message(event.data);
    socket.onclose = ({ code }) => client._ended(this, code >= 4000 && code < 5000 ? code - 4000 : 0);
    // What matters of an error is the close that follows.
    socket.onerror = () => {};
    this.#timer = after(GREETING, () => client._ended(this, 0));
  }

  /** Whether the socket takes more: less than 64 KiB wait in it. */
  get _free(): boolean {
    return this.#socket.bufferedAmount < 65536;
  }

  _write(bytes: Uint8Array): void {
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  /** Sends a command, while there is somebody to hear it. `done` is called once. */
  _request(command: number, parts: (number | Uint8Array)[], done?: Done): void {
    if (this.#socket.readyState !== 1 || this._away) return;
    this.#requests.set(++this.#request, done);
    this._write(frame(2, 0, command, this.#request, ...parts));
  }

  /** Says CLOSE, where a reason is given. What still comes is not for this client any more. */
  _end(reason?: number): void {
    clearTimeout(this.#timer);
    clearTimeout(this._renewal);
    if (reason) this._request(8, [reason]);
    this.#socket.close();
    for (const done of this.#requests.values()) done?.(-1, {});
  }

  /** WELCOME came: what is silent for longer than `ping` allows is dead, and the clocks are compared. */
  _welcome(ping: number): void {
    this._open = this.#due = now();
    this.#silence = 2 * ping + PATIENCE;
    clearTimeout(this.#timer);
    this.#beat();
  }

  _ping(): void {
    this._write(frame(3, 0, Math.floor(now() * 1000), this.#consumed, this.#client._directs));
  }

  #beat(): void {
    const time = now();
    const silent = time - this.#heard > this.#silence!;
    if (silent && (this.#patient || time - this.#due <= LATE)) return this.#client._ended(this, 0);
    if (silent) {
      this.#patient = true;
      this.#heard = time - this.#silence! + PATIENCE;
    }
    if (silent || time >= this.#nextPing) {
      this._ping();
      this.#nextPing = time + (++this.#pings < 4 ? PING_FIRST : PING);
    }
    this.#due = Math.min(this.#nextPing, this.#heard + this.#silence! + 1);
    this.#timer = after(this.#due - time, () => this.#beat());
  }

  #message(data: unknown): void {
    this.#heard = now();
    this.#patient = false;
    let broken: unknown;
    try {
      if (typeof data === "string") malformed();
      const c = cursor(new Uint8Array(data as ArrayBuffer));
      while (c.at < c.end && this.#client._session === this) {
        const from = c.at;
        this.#frame(...frameIn(c));
        this.#consumed += c.at - from;
      }
    } catch (error) {
      broken = error;
    }
    this.#client._flush();
    if (broken) this.#client._broken(this, broken);
  }

  #frame(type: number, flags: number, c: Cursor): void {
    const kind = (flags >> 1) & 7;
    if (type === 2) return this.#control(c);
    // What a later version may send (PROTOCOL 5), and what nobody waits for any more.
    if (type !== 3 && (type !== 1 || kind > 5 || this._away)) return;
    if (!this.#silence) malformed();
    if (type === 1) return this.#data(kind, flags, c);
    const client = this.#client;
    const time = varint(c);
    if (flags & 1) client.rtt = sample(client._clock!, uint(c, 4), time / 1000, varint(c) / 1000, varint(c) / 1000);
    else if (this.#socket.bufferedAmount > ANSWERS) malformed();
    else this._write(frame(3, 1, time, this.#consumed, client._directs));
    client._accepted(varint(c));
    extensions(c);
  }

  #data(kind: number, flags: number, c: Cursor): void {
    const client = this.#client;
    const id = varint(c);
    const position = varint(c);
    const tick = uint(c, 2);
    if (flags & 1) c = cursor((client._options.inflate ?? malformed)(rest(c), 65535));
    if (kind !== 3) return client._room(id)?._data(kind, flags & 64, position, tick, c);
    for (let number = position; c.at < c.end; number++) {
      const direct = record(c, kind);
      // After a resume some come again.
      if (number <= client._directs) continue;
      client._directs = number;
      client._direct(id, direct);
    }
  }

  #control(c: Cursor): void {
    const command = uint(c, 1);
    const read = fields(c, command);
    // An extension that must be understood makes a frame one to ignore, but for CLOSE (PROTOCOL 3.3).
    if (!read || (read[1].odd && command !== 8)) return;
    const [values, told] = read;
    const [request, second, third] = values;
    const client = this.#client;
    if (command === 8) return client._ended(this, second, told);
    if ((command === 2) !== !this.#silence) malformed();
    const done = this.#requests.get(request);
    this.#requests.delete(request);
    if (command === 2) client._welcome(this, values, told);
    else if (command === 4) {
      // An answer that nobody asked for would make us remember a room.
      if (!done) malformed();
      client._ids.set(third, second);
      done!(0, told, values);
      client._options.queue?._pump(client);
    } else if (command === 6) {
      client._gone(second, third, told);
      done?.(0, told);
    } else if (command === 7) {
      if (request) done?.(third, told);
      else client._refused(second, third, told);
    } else if (command === 9) client._leave(this, second, told);
    else if (command === 10 && !this._away) client._room(second)?._gap(values[2], values[3], values[4]);
    else if (command === 12) done?.(0, told);
    else if (command === 17) client._accepted(second);
  }
}

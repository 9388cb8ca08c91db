// A socket that does nothing by itself, and the frames that a server would send through it.

import { vi } from "vitest";

import type { Socket } from "../src/index.js";
import { counted, cursor, frame, frameIn, rest, uint, utf8, varint } from "../src/wire.js";

/** What a client said: a command, a message or a ping. */
export interface Said {
  is: string;
  /** The number of the request of a command. */
  request: number;
  /** What follows, as text. */
  rest: Uint8Array;
  flags: number;
}

const COMMANDS: Record<number, string> = { 1: "hello", 3: "join", 5: "leave", 8: "close", 11: "receive", 14: "token" };

/** Bytes of fixed length. */
const u8 = (value: number) => Uint8Array.of(value);
const u32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

export const EPOCH = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

export class FakeSocket implements Socket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }

  binaryType = "";
  readyState = 0;
  bufferedAmount = 0;
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  /** What was written and not yet looked at. */
  written: Uint8Array[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.all.push(this);
  }

  send(data: Uint8Array): void {
    this.written.push(data.slice());
  }

  close(): void {
    this.readyState = 3;
  }

  /** The connection is made. */
  open(): this {
    this.readyState = 1;
    this.onopen?.({});
    return this;
  }

  /** The connection broke. */
  break(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code, reason: "" });
  }

  /** One message of these frames comes. */
  receive(...frames: Uint8Array[]): void {
    const message = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of frames) {
      message.set(part, at);
      at += part.length;
    }
    this.onmessage?.({ data: message.buffer });
  }

  /** What was said since it was last asked. */
  said(): Said[] {
    return this.written.splice(0).map((bytes) => {
      const [type, flags, c] = frameIn(cursor(bytes));
      if (type === 2) return { is: COMMANDS[uint(c, 1)]!, request: varint(c), rest: rest(c), flags };
      return { is: type === 1 ? "data" : flags ? "answer" : "ping", request: 0, rest: rest(c), flags };
    });
  }

  /** The payloads of events that were said, of rooms with handles below 128. */
  events(): string[] {
    return this.said()
      .filter(({ is, flags }) => is === "data" && !(flags & 14))
      .map((said) => Buffer.from(said.rest.subarray(1)).toString());
  }

  /** The hello is answered. */
  welcome({ resumed = false, accepted = 0, capabilities = 59, ping = 15000, clock = 1, time = 0, message = 15360 } = {}): this {
    const token = utf8(`resume-${FakeSocket.all.length}`);
    this.receive(
      frame(
        2,
        0,
        2,
        1,
        capabilities,
        u8(resumed ? 1 : 0),
        u32(clock),
        time,
        0,
        message,
        16384,
        128,
        ping,
        accepted,
        2,
        ...counted(token),
      ),
    );
    return this;
  }

  /** All joins that were said are answered. Room ids are handles plus 100. */
  joined(options: Joined = {}): this {
    for (const { is, request, rest: args } of this.said()) if (is === "join") this.receive(joined(request, args[0]!, options));
    return this;
  }
}

interface Joined {
  member?: number;
  outcome?: number;
  epoch?: Uint8Array;
  position?: number;
  mode?: number;
}

export const joined = (
  request: number,
  handle: number,
  { member = 1, outcome = 0, epoch = EPOCH, position = 0, mode = 7 }: Joined = {},
) => frame(2, 0, 4, request, handle, handle + 100, member, u8(mode), u8(outcome), epoch, position, 50_000, 10, 0);

/** A data frame; `kind` as in PROTOCOL 5. Records are [member, payload] or [member, key, payload]. */
export const data = (
  kind: number,
  position: number,
  records: [number, string | Uint8Array][] | [number, number, string | Uint8Array][],
  { room = 101, tick = 20, more = false } = {},
): Uint8Array =>
  frame(
    1,
    (kind << 1) | (more ? 64 : 0),
    room,
    position,
    Uint8Array.of(tick >> 8, tick),
    ...records.flatMap((record) => {
      const payload = record.at(-1)!;
      const bytes = typeof payload === "string" ? utf8(payload) : (payload as Uint8Array);
      return [bytes.length, ...(record.slice(0, -1) as number[]), bytes];
    }),
  );

export const events = (position: number, ...texts: string[]) =>
  data(
    0,
    position,
    texts.map((text) => [2, text]),
  );
export const snapshot = (...values: [number, number, string][]) => data(4, 0, values);
export const here = (subject: string, shown = "") => frame(0, 0, 1, ...counted(utf8(subject)), utf8(shown)).subarray(4);
export const away = Uint8Array.of(2);
export const left = (reason: number) => frame(0, 0, 3, reason).subarray(4);

export const refused = (request: number, reason: number, number = 0, after?: number) =>
  frame(2, 0, 7, request, number, reason, ...(after === undefined ? [] : [4, 2, Uint8Array.of((after & 127) | 128, after >> 7)]));
export const close = (reason: number, ...extensions: (number | Uint8Array)[]) => frame(2, 0, 8, 0, reason, ...extensions);
export const goingAway = (reconnect: number) => frame(2, 0, 9, 0, reconnect, 10_000);
export const gap = (from: number, to: number, epoch = EPOCH) => frame(2, 0, 10, 0, 101, epoch, from, to);
export const done = (request: number) => frame(2, 0, 12, request);
export const leftBy = (request: number, handle: number, reason: number) => frame(2, 0, 6, request, handle, reason);
export const ping = (accepted = 0) => frame(3, 0, 5, accepted);
export const answer = (time: number, { clock = 1, received = 0, accepted = 0 } = {}) =>
  frame(3, 1, time, u32(clock), received, received, accepted);

/** Lets promises that are settled go on. */
export const settle = () => vi.advanceTimersByTimeAsync(0);

// The codec against the test vectors of the protocol (tests/vectors): what a client writes, and what it reads.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { inflate } from "../src/inflate.js";
import {
  cursor,
  extensions,
  fields,
  frame,
  frameIn,
  pack,
  presence,
  record,
  rest,
  uint,
  varint,
  type Cursor,
} from "../src/wire.js";

const vectors = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (array?: Uint8Array) => Buffer.from(array ?? []).toString("hex");

/** The names of arguments, in order. */
const COMMANDS: Record<string, [code: number, names: string[]]> = {
  hello: [1, ["capabilities", "max_record", "max_frame"]],
  welcome: [2, ["capabilities", "flags", "clock", "time", "wall", "max_message", "max_frame", "max_rooms", "ping", "accepted"]],
  join: [3, ["handle", "mode", "name"]],
  joined: [4, ["handle", "room", "member", "mode", "outcome", "epoch", "position", "period", "tick", "tick_time"]],
  leave: [5, ["handle"]],
  left: [6, ["handle", "reason"]],
  refused: [7, ["number", "reason"]],
  close: [8, ["reason"]],
  going_away: [9, ["reconnect", "closes"]],
  gap: [10, ["room", "epoch", "from", "to"]],
  receive: [11, ["handle", "what", "divisor", "area"]],
  done: [12, []],
  presence: [13, ["handle", "data"]],
  token: [14, ["token"]],
  members: [15, ["handle", "after"]],
  page: [16, ["handle", "position", "next", "records"]],
  accepted: [17, ["number"]],
};
const NAMES = Object.fromEntries(Object.entries(COMMANDS).map(([name, [code, names]]) => [code, [name, names]] as const));
const KINDS = ["event", "value", "presence", "direct", "snapshot", "members"];

/** Strings among the arguments, and what takes one byte. */
const STRINGS = new Set(["name", "data", "token", "records"]);
const BYTES = new Set(["mode", "what"]);

type Json = Record<string, any>;

const listed = (list: [number, string][]) => list.flatMap(([type, content]) => [type, bytes(content).length, bytes(content)]);

/** What a client sends, written as the client writes it. */
function encode(f: Json): Uint8Array {
  if (f.type === "ping") return frame(3, f.answer ? 1 : 0, f.time, f.consumed, f.directs, ...listed(f.extensions));
  if (f.type === "data") {
    const kind = KINDS.indexOf(f.kind);
    const flags = (f.compressed ? 1 : 0) | (kind << 1) | (f.urgent ? 16 : 0) | (f.acknowledge ? 32 : 0);
    return frame(1, flags, f.handle, ...[f.key, f.member].filter((n) => n !== undefined), bytes(f.payload));
  }
  if (f.command === "application") return frame(2, 0, Uint8Array.of(f.code), f.request, bytes(f.body));
  const [code, names] = COMMANDS[f.command]!;
  const args = names.flatMap((name) =>
    STRINGS.has(name) ? [bytes(f[name]).length, bytes(f[name])] : BYTES.has(name) ? [Uint8Array.of(f[name])] : [f[name]],
  );
  return frame(2, 0, code, f.request, ...args, ...listed(f.extensions));
}

/** Known extensions come as they are; odd ones only say that they were there. */
const list = ({ odd, ...known }: Json): [number, string][] =>
  Object.entries(known).map(([type, content]) => [Number(type), hex(content as Uint8Array)]);

function decodeData(flags: number, c: Cursor): Json {
  const kind = (flags >> 1) & 7;
  const head = {
    type: "data",
    kind: KINDS[kind],
    compressed: !!(flags & 1),
    urgent: !!(flags & 16),
    more: !!(flags & 64),
    room: varint(c),
    position: varint(c),
    tick: uint(c, 2),
  };
  if (flags & 1) return { ...head, body: hex(rest(c)) };
  const records: Json[] = [];
  while (c.at < c.end) {
    const [member, key, payload] = record(c, kind);
    records.push({ member, ...([1, 3, 4].includes(kind) && { key }), payload: hex(payload) });
  }
  return { ...head, records };
}

/** What a server sends, read as the client reads it; the limit is that of the vectors. */
function decode(message: Uint8Array): Json | undefined {
  const all = cursor(message);
  if (message[1]! * 256 + message[2]! > 16384) throw new Error("the frame is longer than the limit");
  const [type, flags, c] = frameIn(all);
  if (all.at !== all.end) throw new Error("there is more than one frame");
  if (type === 1) return decodeData(flags, c);
  if (type === 3) {
    const time = varint(c);
    const answer = !!(flags & 1);
    const told = answer
      ? { clock: uint(c, 4), received: varint(c), sent: varint(c), accepted: varint(c) }
      : { accepted: varint(c) };
    return { type: "ping", answer, time, ...told, extensions: list(extensions(c)) };
  }
  const command = uint(c, 1);
  const read = fields(c, command);
  if (!read) return;
  const [name, names] = NAMES[command]!;
  const [request, ...values] = read[0].map((value) => (value instanceof Uint8Array ? hex(value) : value));
  const args = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  return { type: "control", command: name, request, ...args, extensions: list(read[1]) };
}

test("integers", () => {
  const { valid, invalid } = vectors("varint");
  for (const { value, hex: written } of valid) {
    const c = cursor(bytes(written));
    expect(varint(c)).toBe(value);
    expect(c.at).toBe(c.end);
    expect(hex(pack(value))).toBe(written);
  }
  for (const { hex: written } of invalid) expect(() => varint(cursor(bytes(written)))).toThrow("protocol");
});

describe("frames", () => {
  const all: { name: string; from: string; hex: string; frame: Json }[] = vectors("frames");
  const application = (f: Json) => f.command === "application";

  test("that a client writes", () => {
    const mine = all.filter(({ from }) => from === "client");
    expect(mine.length).toBeGreaterThan(400);
    for (const { name, hex: written, frame: f } of mine) expect(hex(encode(f)), name).toBe(written);
  });

  test("that a client reads", () => {
    const theirs = all.filter(({ from, frame: f }) => from === "server" && !application(f));
    expect(theirs.length).toBeGreaterThan(600);
    for (const { name, hex: written, frame: f } of theirs) expect(decode(bytes(written)), name).toEqual(f);
  });

  test("of applications are ignored", () => {
    const theirs = all.filter(({ from, frame: f }) => from === "server" && application(f));
    expect(theirs.length).toBeGreaterThan(20);
    for (const { name, hex: written } of theirs) expect(decode(bytes(written)), name).toBeUndefined();
  });
});

test("what is malformed", () => {
  const theirs = vectors("malformed").filter(({ from }: Json) => from === "server");
  expect(theirs.length).toBeGreaterThan(800);
  for (const { name, hex: written } of theirs) expect(() => decode(bytes(written)), name).toThrow("protocol");
});

test("presence", () => {
  const { valid, invalid } = vectors("presence");
  for (const { name, hex: written, presence: wanted } of valid) {
    const [state, what, data] = presence(bytes(written));
    const read = [
      () => ({ state: "unknown", code: state }),
      () => ({ state: "here", subject: hex(what), data: hex(data) }),
      () => ({ state: "away" }),
      () => ({ state: "left", reason: what }),
      () => ({ state: "count", members: what }),
    ][state < 5 ? state : 0]!;
    expect(read(), name).toEqual(wanted);
  }
  for (const { name, hex: written } of invalid) expect(() => presence(bytes(written)), name).toThrow("protocol");
});

describe("compressed frames", () => {
  const { valid, invalid } = vectors("compressed");
  const stream = (written: string, from: string): [Cursor, number] => {
    const [, flags, c] = frameIn(cursor(bytes(written)));
    varint(c);
    if (from === "server") {
      varint(c);
      uint(c, 2);
    } else if ((flags >> 1) & 7) varint(c);
    return [c, from === "server" ? 16384 : 15360];
  };

  test("that inflate", () => {
    expect(valid.length).toBeGreaterThan(10);
    for (const { name, from, hex: written, plain } of valid) {
      const [c, bound] = stream(written, from);
      const [expected] = stream(plain, from);
      expect(hex(inflate(rest(c), bound)), name).toBe(hex(rest(expected)));
    }
  });

  test("that do not", () => {
    expect(invalid.length).toBeGreaterThan(10);
    for (const { name, from, hex: written } of invalid) {
      const [c, bound] = stream(written, from);
      expect(() => inflate(rest(c), bound), name).toThrow();
    }
  });
});

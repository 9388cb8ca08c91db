// The page's codec against the test vectors of the protocol (tests/vectors).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { asset } from "./assets.mjs";

const { Malformed, Reader, Writer, encode, frames, presence } = await asset("wire.js");
const { Room } = await asset("room.js");
const units = await asset("units.js");

const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (array) => Buffer.from(array).toString("hex");

/** As the vectors write it: bytes as hexadecimal digits. */
function written(value) {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, written(part)]));
}

/** The names of a frame's fields that are bytes. */
const BYTES = new Set(["payload", "name", "data", "token", "body"]);

function read(frame) {
  const fields = Object.entries(frame).map(([key, value]) => [key, BYTES.has(key) ? bytes(value) : value]);
  const extensions = frame.extensions?.map(([type, content]) => [type, bytes(content)]);
  return { ...Object.fromEntries(fields), ...(extensions && { extensions }) };
}

test("integers", () => {
  const { valid, invalid } = vectors("varint");
  for (const { value, hex: expected } of valid) {
    const writer = new Writer();
    writer.varint(value);
    assert.equal(hex(writer.bytes), expected);
    const reader = new Reader(bytes(expected));
    assert.equal(reader.varint(), value);
    assert.equal(reader.left, 0);
  }
  for (const { hex: malformed, why } of invalid) {
    assert.throws(() => new Reader(bytes(malformed)).varint(), Malformed, why);
  }
  assert.ok(valid.length > 10 && invalid.length > 3);
});

test("frames of the server are read", () => {
  const server = vectors("frames").filter(({ from }) => from === "server");
  for (const { name, hex: message, frame } of server) {
    const [found, ...more] = frames(bytes(message));
    assert.deepEqual(written(found), frame, name);
    assert.equal(found.size * 2, message.length, name);
    assert.equal(more.length, 0, name);
  }
  assert.ok(server.length > 500);
});

test("frames of a client are written", () => {
  const client = vectors("frames").filter(({ from }) => from === "client");
  for (const { name, hex: message, frame } of client) assert.equal(hex(encode(read(frame))), message, name);
  assert.ok(client.length > 400);
});

test("several frames in a message are all read", () => {
  const server = vectors("frames").filter(({ from }) => from === "server").slice(0, 20);
  const found = [...frames(bytes(server.map(({ hex: message }) => message).join("")))];
  assert.deepEqual(found.map(written), server.map(({ frame }) => frame));
});

test("what the server must not send is malformed", () => {
  const malformed = vectors("malformed").filter(({ from, reason }) => from === "server" && reason === 201);
  for (const { name, hex: message } of malformed) assert.throws(() => [...frames(bytes(message))], Malformed, name);
  assert.ok(malformed.length > 20);
});

test("unknown types, kinds and commands are skipped", () => {
  assert.deepEqual([...frames(bytes("09000100ff" + "0100010eff" + "020002001200"))].map(({ type }) => type), ["unknown", "unknown", "unknown"]);
});

test("presence", () => {
  const { valid, invalid } = vectors("presence");
  for (const { name, hex: payload, presence: expected } of valid) assert.deepEqual(written(presence(bytes(payload))), expected, name);
  for (const { name, hex: payload } of invalid) assert.throws(() => presence(bytes(payload)), Malformed, name);
});

test("a room's snapshot replaces, and batches change", () => {
  const told = [];
  const room = new Room((_, what) => told.push(what));
  const data = (kind, records, more = false) => room.data({ kind, records, more, compressed: false, position: 1, tick: 7 });
  const value = (key, text, member = 3) => ({ key, member, payload: new TextEncoder().encode(text) });
  room.joined({ position: 0, tick: 65_530 });
  data("snapshot", [value(2, "a")], true);
  assert.equal(room.values.size, 0, "not before the last frame");
  data("snapshot", [value(3, "b", 0)]);
  assert.deepEqual([...room.values.keys()], ["2/3", "3"]);
  data("value", [value(2, ""), value(2, "c", 4)]);
  assert.deepEqual([...room.values.keys()], ["3", "2/4"], "a member's value is its own");
  assert.equal(room.tick, 65_543, "16 bits travel");
  data("snapshot", [value(2, "x")], true);
  room.gap({ to: 9 });
  data("snapshot", []);
  assert.equal(room.values.size, 0, "what had begun before a gap is void");
  data("presence", [{ member: 5, payload: bytes("010161") }, { member: 6, payload: bytes("0100") }, { member: 5, payload: bytes("02") }, { member: 6, payload: bytes("03c801") }]);
  assert.deepEqual([...room.members].map(([number, { away }]) => [number, away]), [[5, true]]);
  assert.deepEqual(told, ["joined", "snapshot", "snapshot", "value", "snapshot", "gap", "snapshot", "presence"]);
});

test("numbers for people", () => {
  assert.deepEqual([0, 7, 999, 1000, 1234, 12_345, 999_999, 5e6].map(units.count), ["0", "7", "999", "1k", "1.23k", "12.3k", "1M", "5M"]);
  assert.deepEqual([null, 0.25, 1500].map(units.rate), ["–", "0.3/s", "1.5k/s"]);
  assert.deepEqual([5, 1250, 2_500_000].map(units.micros), ["5\u202fµs", "1.25\u202fms", "2.5\u202fs"]);
  assert.deepEqual([59, 61, 3_660, 90_000].map(units.span), ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
});

test("payloads are shown as what they are", () => {
  const shown = (array, length) => units.payload(Uint8Array.from(array), length).text;
  assert.equal(shown([104, 105]), "hi");
  assert.equal(shown([0, 255]), "00 ff");
  assert.equal(shown([0xe2, 0x80, 0xae, 97]), "e2 80 ae 61", "nothing that turns a line around");
  assert.equal(shown([104, 0xc3], 3), "h …", "a letter may be cut in two");
});

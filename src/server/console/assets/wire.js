// Bytes to frames and back, as PROTOCOL.md says: what a client writes, and what it reads.
//
//   client:  object ──encode──> frame        server:  message ──frames──> object
//
// Frames are plain objects: {type, kind | command, ...arguments}. Texts and payloads are Uint8Array.

/** What cannot be read (PROTOCOL 6: a broken server). */
export class Malformed extends Error {}

/** Integers are below 2^53, so that a number holds them (PROTOCOL 3.1). */
const LIMIT = 2 ** 53;

/** Bytes of a frame's header (PROTOCOL 5). */
const HEADER = 4;

/** Reads the front of some bytes. Whatever is not there is malformed. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  take(length) {
    if (length > this.left) throw new Malformed("it ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    this.take(2);
    return this.view.getUint16(this.at - 2);
  }

  u32() {
    this.take(4);
    return this.view.getUint32(this.at - 4);
  }

  /** Seven bits a byte, lowest first, in as few bytes as there can be. */
  varint() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw new Malformed("an integer is not minimal");
        if (value >= LIMIT) throw new Malformed("an integer is too large");
        return value;
      }
      if (scale >= 2 ** 49) throw new Malformed("an integer is too long");
    }
  }

  string() {
    return this.take(this.varint());
  }

  epoch() {
    return this.take(8);
  }

  rest() {
    return this.take(this.left);
  }

  /** Pairs of type and content, their types ascending (PROTOCOL 3.3). */
  extensions() {
    const list = [];
    while (this.left > 0) {
      const type = this.varint();
      if (list.length > 0 && type <= list.at(-1)[0]) throw new Malformed("extensions do not ascend");
      list.push([type, this.string()]);
    }
    return list;
  }
}

/** Writes bytes one behind the other. */
export class Writer {
  constructor() {
    this.bytes = [];
  }

  u8(value) {
    this.bytes.push(value);
  }

  varint(value) {
    while (value >= 0x80) {
      this.bytes.push((value % 128) | 0x80);
      value = Math.floor(value / 128);
    }
    this.bytes.push(value);
  }

  rest(bytes) {
    for (const byte of bytes) this.bytes.push(byte);
  }

  string(bytes) {
    this.varint(bytes.length);
    this.rest(bytes);
  }

  extensions(list) {
    for (const [type, content] of list ?? []) {
      this.varint(type);
      this.string(content);
    }
  }
}

/** Arguments behind the request number, in order, and how each is written (PROTOCOL 6). */
const COMMANDS = {
  hello: [0x01, { capabilities: "varint", max_record: "varint", max_frame: "varint" }],
  welcome: [
    0x02,
    {
      capabilities: "varint", flags: "u8", clock: "u32", time: "varint", wall: "varint", max_message: "varint",
      max_frame: "varint", max_rooms: "varint", ping: "varint", accepted: "varint",
    },
  ],
  join: [0x03, { handle: "varint", mode: "u8", name: "string" }],
  joined: [
    0x04,
    {
      handle: "varint", room: "varint", member: "varint", mode: "u8", outcome: "u8", epoch: "epoch",
      position: "varint", period: "varint", tick: "varint", tick_time: "varint",
    },
  ],
  leave: [0x05, { handle: "varint" }],
  left: [0x06, { handle: "varint", reason: "varint" }],
  refused: [0x07, { number: "varint", reason: "varint" }],
  close: [0x08, { reason: "varint" }],
  going_away: [0x09, { reconnect: "varint", closes: "varint" }],
  gap: [0x0a, { room: "varint", epoch: "epoch", from: "varint", to: "varint" }],
  receive: [0x0b, { handle: "varint", what: "u8", divisor: "varint", area: "varint" }],
  done: [0x0c, {}],
  presence: [0x0d, { handle: "varint", data: "string" }],
  token: [0x0e, { token: "string" }],
  members: [0x0f, { handle: "varint", after: "varint" }],
  page: [0x10, { handle: "varint", position: "varint", next: "varint", records: "string" }],
  accepted: [0x11, { number: "varint" }],
};

const NAMES = new Map(Object.entries(COMMANDS).map(([name, [code]]) => [code, name]));

/** Kinds of data by their number (PROTOCOL 5). */
const KINDS = ["event", "value", "presence", "direct", "snapshot", "members"];

/** Those whose records have a key (PROTOCOL 8.2). */
const KEYED = new Set(["value", "direct", "snapshot"]);

/** A frame of a client as bytes. */
export function encode(frame) {
  const payload = new Writer();
  let flags = 0;
  if (frame.type === "control") {
    if (frame.command === "application") {
      payload.u8(frame.code);
      payload.varint(frame.request);
      payload.rest(frame.body);
    } else {
      const [code, fields] = COMMANDS[frame.command];
      payload.u8(code);
      payload.varint(frame.request);
      for (const [name, how] of Object.entries(fields)) payload[how](frame[name]);
      payload.extensions(frame.extensions);
    }
  } else if (frame.type === "ping") {
    flags = frame.answer ? 1 : 0;
    for (const value of [frame.time, frame.consumed, frame.directs]) payload.varint(value);
    payload.extensions(frame.extensions);
  } else {
    const kind = KINDS.indexOf(frame.kind);
    flags = (frame.compressed ? 0x01 : 0) | (kind << 1) | (frame.urgent ? 0x10 : 0) | (frame.acknowledge ? 0x20 : 0);
    payload.varint(frame.handle);
    if (frame.kind === "value") payload.varint(frame.key);
    if (frame.kind === "direct") payload.varint(frame.member);
    payload.rest(frame.payload);
  }
  const type = { data: 1, control: 2, ping: 3 }[frame.type];
  const { length } = payload.bytes;
  return Uint8Array.from([type, length >> 8, length & 0xff, flags, ...payload.bytes]);
}

/**
 * The frames of a message from the server, each with its `size` in bytes. Those of a type or a kind that
 * this version does not know are `{type: "unknown"}` (PROTOCOL 5).
 */
export function* frames(message) {
  const reader = new Reader(message);
  while (reader.left > 0) {
    const type = reader.u8();
    const length = reader.u16();
    const flags = reader.u8();
    const payload = new Reader(reader.take(length));
    const frame = decode(type, flags, payload);
    // Not part of what a frame says.
    Object.defineProperty(frame, "size", { value: HEADER + length });
    yield frame;
  }
}

function decode(type, flags, payload) {
  if (type === 1) return data(flags, payload);
  if (type === 2) return control(payload);
  if (type === 3) return ping(flags, payload);
  return { type: "unknown" };
}

function control(payload) {
  const code = payload.u8();
  const request = payload.varint();
  if (code >= 0xf0) return { type: "control", command: "application", code, request, body: payload.rest() };
  const command = NAMES.get(code);
  if (command === undefined) return { type: "unknown" };
  const frame = { type: "control", command, request };
  for (const [name, how] of Object.entries(COMMANDS[command][1])) frame[name] = payload[how]();
  frame.extensions = payload.extensions();
  return frame;
}

function ping(flags, payload) {
  const answer = (flags & 1) === 1;
  const frame = { type: "ping", answer, time: payload.varint() };
  if (answer) {
    frame.clock = payload.u32();
    frame.received = payload.varint();
    frame.sent = payload.varint();
  }
  frame.accepted = payload.varint();
  frame.extensions = payload.extensions();
  return frame;
}

function data(flags, payload) {
  const kind = KINDS[(flags >> 1) & 7];
  if (kind === undefined) return { type: "unknown" };
  const compressed = (flags & 0x01) !== 0;
  const frame = { type: "data", kind, compressed, urgent: (flags & 0x10) !== 0, more: (flags & 0x40) !== 0 };
  frame.room = payload.varint();
  frame.position = payload.varint();
  frame.tick = payload.u16();
  if (compressed) frame.body = payload.rest();
  else frame.records = records(kind, payload);
  return frame;
}

/** The records of a segment (PROTOCOL 8.2). */
export function records(kind, reader) {
  const list = [];
  while (reader.left > 0) {
    const length = reader.varint();
    const record = { member: reader.varint() };
    if (KEYED.has(kind)) record.key = reader.varint();
    record.payload = reader.take(length);
    list.push(record);
  }
  return list;
}

/** What a presence record says (PROTOCOL 8.5). */
export function presence(payload) {
  const reader = new Reader(payload);
  const code = reader.u8();
  if (code === 1) return { state: "here", subject: reader.string(), data: reader.rest() };
  if (code === 2) return { state: "away" };
  if (code === 3) return { state: "left", reason: reader.varint() };
  if (code === 4) return { state: "count", members: reader.varint() };
  return { state: "unknown", code };
}

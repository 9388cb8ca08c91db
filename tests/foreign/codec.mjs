// Bytes of the Tickwire protocol, both ways, without any input or output. PROTOCOL.md, sections 3 and 5 to 9.
// `encode` makes the bytes of a frame by its name, `decode` turns a frame from the server into an object.

import { deflateRawSync, inflateRawSync } from 'node:zlib';

export const DATA = 1;
const CONTROL = 2, PING = 3;
const COMPRESSED = 0x01, URGENT = 0x10, EARLY = 0x10, ACKNOWLEDGE = 0x20, MORE = 0x40;
const MOST_RECORDS = 65_535; // what the records of a compressed frame may inflate to, section 12.4
export const DEFLATE = 4, ACCEPTED = 32; // capabilities, section 10.3
export const KINDS = ['event', 'value', 'presence', 'direct', 'snapshot', 'members'];
const KEYED = ['value', 'direct', 'snapshot'];

/** Bytes that are not what section 3 or 5 allows. */
export class Malformed extends Error {}

// ---------------------------------------------------------------- writing

/** An unsigned LEB128 below 2^53. Bit operators would cut it to 32 bits. */
export function varint(number) {
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`${number} is no varint`);
  const out = [];
  while (number > 0x7f) {
    out.push((number % 128) + 128);
    number = Math.floor(number / 128);
  }
  out.push(number);
  return Buffer.from(out);
}

function string(data) {
  const bytes = Buffer.from(data);
  return Buffer.concat([varint(bytes.length), bytes]);
}

function extensionList(extensions) {
  const sorted = [...extensions].sort((a, b) => a[0] - b[0]);
  return Buffer.concat(sorted.flatMap(([type, content]) => [varint(type), string(content)]));
}

function frame(type, flags, ...parts) {
  const payload = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([type, payload.length >> 8, payload.length & 255, flags]), payload]);
}

function command(number, request, extensions, ...parts) {
  return frame(CONTROL, 0, Buffer.from([number]), varint(request), ...parts, extensionList(extensions));
}

const EMPTY = Buffer.alloc(0);

/** `compress` makes a deflate stream of the payload, `compressed` says that it is one already. */
function message(kind, { payload = EMPTY, urgent, acknowledge, compress, compressed }, ...parts) {
  const flags = (kind << 1) | (urgent ? URGENT : 0) | (acknowledge ? ACKNOWLEDGE : 0) |
    (compress || compressed ? COMPRESSED : 0);
  return frame(DATA, flags, ...parts, compress ? deflateRawSync(payload) : payload);
}

/** HELLO's extension 4: a token, and the highest direct that was seen. */
function resuming([token, directs]) {
  return [4, Buffer.concat([string(token), varint(directs)])];
}

/** JOIN's extension 4: an epoch, and the last complete position. */
function knowing([epoch, position]) {
  return [4, Buffer.concat([Buffer.from(epoch, 'hex'), varint(position)])];
}

const ENCODERS = {
  hello: ({ request = 1, capabilities = 0, max_record = 0, max_frame = 0, resume, extensions = [] }) =>
    command(0x01, request, resume ? [...extensions, resuming(resume)] : extensions, varint(capabilities), varint(max_record), varint(max_frame)),
  join: ({ name, request = 2, handle = 1, mode = 3, since, extensions = [] }) =>
    command(0x03, request, since ? [...extensions, knowing(since)] : extensions, varint(handle), Buffer.from([mode]), string(name)),
  leave: ({ request = 3, handle = 1, extensions = [] }) => command(0x05, request, extensions, varint(handle)),
  close: ({ request = 4, reason = 200, extensions = [] }) => command(0x08, request, extensions, varint(reason)),
  presence: ({ data, request = 5, handle = 1, extensions = [] }) =>
    command(0x0d, request, extensions, varint(handle), string(data)),
  list_members: ({ request = 6, handle = 1, after = 0, extensions = [] }) =>
    command(0x0f, request, extensions, varint(handle), varint(after)),
  receive: ({ what, request = 7, handle = 1, divisor = 1, area = 0, extensions = [] }) =>
    command(0x0b, request, extensions, varint(handle), Buffer.from([what]), varint(divisor), varint(area)),
  event: ({ handle = 1, ...rest }) => message(0, rest, varint(handle)),
  value: ({ key, handle = 1, room = false, ...rest }) =>
    message(1, rest, varint(handle), varint(key * 2 + (room ? 1 : 0))),
  direct: ({ member, handle = 1, ...rest }) => message(3, rest, varint(handle), varint(member)),
  ping: ({ time, consumed = 0, directs = 0, answer = false, extensions = [] }) =>
    frame(PING, answer ? 1 : 0, varint(time), varint(consumed), varint(directs), extensionList(extensions)),
  raw: ({ data }) => data, // bytes that a well-behaved client would never send
};

export function encode(name, args = {}) {
  return ENCODERS[name](args);
}

// ---------------------------------------------------------------- reading

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  take(count) {
    if (count > this.left) throw new Malformed('cut off by the end of the frame');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    return this.take(2).readUInt16BE();
  }

  u32() {
    return this.take(4).readUInt32BE();
  }

  varint() {
    let number = 0;
    for (let place = 0; place < 8; place++) {
      const byte = this.u8();
      number += (byte & 0x7f) * 128 ** place;
      if (byte < 0x80) {
        if (byte === 0 && place > 0) throw new Malformed('a varint is not minimal');
        if (!Number.isSafeInteger(number)) throw new Malformed('a varint is 2^53 or more');
        return number;
      }
    }
    throw new Malformed('a varint is longer than 8 bytes');
  }

  string() {
    return this.take(this.varint());
  }

  epoch() {
    return this.take(8).toString('hex');
  }

  range() {
    return [this.varint(), this.varint()];
  }

  pairs() {
    const pairs = [];
    while (this.left > 0) pairs.push(this.range());
    return pairs;
  }

  /** Contents by their types. */
  extensions() {
    const found = new Map();
    let last = -1;
    while (this.left > 0) {
      const type = this.varint();
      if (type <= last) throw new Malformed('extensions do not ascend');
      found.set(type, this.string());
      last = type;
    }
    return found;
  }
}

// Arguments of the commands a server sends, in order: field and how it is read.
const COMMANDS = {
  0x02: ['welcome', 'capabilities:varint flags:u8 clock:u32 time:varint wall:varint max_message:varint ' +
    'max_frame:varint max_rooms:varint ping:varint accepted:varint'],
  0x04: ['joined', 'handle:varint room:varint member:varint mode:u8 outcome:u8 epoch:epoch position:varint ' +
    'period:varint tick:varint tick_time:varint'],
  0x06: ['left', 'handle:varint reason:varint'],
  0x07: ['refused', 'number:varint reason:varint'],
  0x08: ['closed', 'reason:varint'],
  0x09: ['going_away', 'reconnect:varint closes:varint'],
  0x0a: ['gap', 'room:varint epoch:epoch from:varint to:varint'],
  0x0c: ['done', ''],
  0x10: ['page', 'handle:varint position:varint next:varint records:string'],
  0x11: ['accepted', 'number:varint'],
};

// Extensions of commands from the server whose content is read: field and how.
const CONTENTS = {
  welcome: { 2: ['token', 'bytes'], 4: ['grace', 'varint'], 6: ['lost', 'range'], 8: ['subject', 'bytes'] },
  joined: { 2: ['answer', 'bytes'], 4: ['lost', 'range'] },
  going_away: { 8: ['positions', 'pairs'] },
};

/** The frames of a WebSocket message. */
export function split(bytes) {
  const reader = new Reader(bytes);
  const frames = [];
  while (reader.left > 0) {
    const type = reader.u8(), length = reader.u16(), flags = reader.u8();
    frames.push({ type, flags, payload: reader.take(length) });
  }
  return frames;
}

/** A frame from the server; null for one that a client has to ignore. */
export function decode({ type, flags, payload }) {
  const reader = new Reader(payload);
  if (type === DATA) return decodeData(flags, reader);
  if (type === CONTROL) return decodeCommand(reader);
  if (type === PING) return decodePing(flags, reader);
  throw new Malformed(`frame type ${type}`);
}

function decodeData(flags, reader) {
  const is = KINDS[(flags >> 1) & 7];
  if (is === undefined) return null;
  const found = { is, room: reader.varint(), position: reader.varint(), tick: reader.u16() };
  found.early = (flags & EARLY) !== 0;
  found.more = (flags & MORE) !== 0;
  found.compressed = (flags & COMPRESSED) !== 0;
  found.records = decodeRecords(is, found.compressed ? new Reader(inflate(reader.take(reader.left))) : reader);
  return found;
}

/** One whole deflate stream, with a bound on what comes out. Section 12.4. */
function inflate(stream) {
  try {
    const { buffer, engine } = inflateRawSync(stream, { info: true, maxOutputLength: MOST_RECORDS });
    if (engine.bytesWritten === stream.length) return buffer;
  } catch (error) {
    throw new Malformed(`no deflate stream: ${error.message}`);
  }
  throw new Malformed('bytes behind a deflate stream');
}

function decodeRecords(is, reader) {
  const records = [];
  while (reader.left > 0) records.push(decodeRecord(is, reader));
  return records;
}

function decodeRecord(is, reader) {
  const length = reader.varint();
  const record = { member: reader.varint() };
  const key = KEYED.includes(is) ? reader.varint() : 0;
  const payload = reader.take(length);
  if (is === 'presence' || is === 'members') return Object.assign(record, decodePresence(new Reader(payload)));
  if (is === 'direct') record.answers = key;
  if (is === 'value' || is === 'snapshot') {
    record.key = Math.floor(key / 2);
    record.scope = key % 2 === 1 ? 'room' : 'member';
  }
  record.payload = payload;
  return record;
}

function decodePresence(reader) {
  const state = reader.u8();
  if (state === 1) return { state: 'here', subject: reader.string(), data: reader.take(reader.left) };
  if (state === 2) return { state: 'away' };
  if (state === 3) return { state: 'left', reason: reader.varint() };
  if (state === 4) return { state: 'count', members: reader.varint() };
  return { state: 'unknown' };
}

function decodeCommand(reader) {
  const known = COMMANDS[reader.u8()];
  if (known === undefined) return null;
  const [is, fields] = known;
  const found = { is, request: reader.varint() };
  for (const field of fields.split(' ').filter(Boolean)) {
    const [key, how] = field.split(':');
    found[key] = reader[how]();
  }
  const extensions = reader.extensions();
  if ([...extensions.keys()].some((type) => type % 2 === 1)) return null;
  for (const [type, [key, how]] of Object.entries(CONTENTS[is] ?? {})) {
    const content = extensions.get(Number(type));
    if (content !== undefined) found[key] = how === 'bytes' ? content : new Reader(content)[how]();
  }
  if (is === 'page') found.records = decodeRecords('members', new Reader(found.records));
  return found;
}

function decodePing(flags, reader) {
  const found = { is: flags & 1 ? 'pong' : 'ping', time: reader.varint() };
  if (flags & 1) {
    Object.assign(found, { clock: reader.u32(), received: reader.varint(), sent: reader.varint() });
  }
  found.accepted = reader.varint();
  found.extensions = reader.extensions().size;
  return found;
}

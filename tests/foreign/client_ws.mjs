// A Tickwire client on the `ws` package, written from PROTOCOL.md.
//
// `Session` keeps what a client knows and checks what the server promises; the rest connects it to a WebSocket.
// Whatever happens is reported as a line of JSON on stdout whose "ev" names it; a broken promise is a "violation".
// Bytes are written as {"hex": "..."} both ways. Commands are lines of JSON on stdin:
//
//   {"send": [["hello", {}], ["join", {"name": "arena"}]]}   frames, in one message
//   {"ping": {}}     {"text": "a text message"}     {"state": 1}     and the end of stdin closes
//
//   node client_ws.mjs ws://127.0.0.1:7070/ws [subprotocol, or "" for none]

import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

import { KINDS, Malformed, decode, encode, split } from './codec.mjs';
import { readBytes, writeBytes } from './json_bytes.mjs';

const RECEIVE = 2;
const LARGEST_MESSAGE = 16384;

/** This client's own clock in microseconds. */
const now = () => Math.floor(performance.now() * 1000);

class Room {
  constructor(joined) {
    this.id = joined.room;
    this.receives = (joined.mode & RECEIVE) !== 0;
    this.position = joined.position; // the last complete one
    this.ready = !this.receives; // the first snapshot has come
    this.values = new Map();
    this.members = new Map();
    this.collecting = new Map(); // snapshots of which more frames follow
    this.segment = new Set(); // keys of the value segment that is being read
  }

  static slot(record) {
    return `${record.scope === 'room' ? 'room' : record.member}/${record.key}`;
  }

  setValue(record) {
    if (record.payload.length > 0) this.values.set(Room.slot(record), record.payload);
    else this.values.delete(Room.slot(record));
  }

  setMember(record) {
    if (record.state === 'here') this.members.set(record.member, record.data);
    if (record.state === 'left') this.members.delete(record.member);
  }
}

/** What one client knows. `send` takes bytes that are to be sent, `report` takes objects. */
export class Session {
  constructor(send, report) {
    this.send = send;
    this.report = report;
    this.rooms = new Map(); // by the server's number
    this.handles = new Map();
    this.welcomed = this.closed = false;
    this.consumed = this.directs = 0;
  }

  violation(text) {
    this.report({ ev: 'violation', text });
  }

  message(bytes, isBinary) {
    if (!isBinary) return this.violation('a text message');
    try {
      const frames = split(bytes);
      if (bytes.length > LARGEST_MESSAGE && frames.length > 1) {
        this.violation(`${frames.length} frames in a message of ${bytes.length} bytes`);
      }
      for (const frame of frames) {
        this.frame(decode(frame));
        this.consumed += 4 + frame.payload.length;
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.violation(`malformed: ${error.message}`);
    }
  }

  frame(found) {
    if (found === null) return;
    const { is } = found;
    if (this.closed) this.violation(`${is} after CLOSE`);
    else if (!this.welcomed && is !== 'welcome' && is !== 'closed') this.violation(`${is} before WELCOME`);
    else if (is === 'ping') this.answer(found);
    else if (is === 'pong') this.pong(found);
    else if (KINDS.includes(is)) this.data(found);
    else this.command(found);
  }

  ping(extensions = []) {
    this.send(encode('ping', { time: now(), consumed: this.consumed, directs: this.directs, extensions }));
  }

  answer({ time }) {
    this.send(encode('ping', { time, consumed: this.consumed, directs: this.directs, answer: true }));
    this.report({ ev: 'ping', time });
  }

  pong(found) {
    const { time: asked, received, sent } = found;
    const heard = now();
    this.report({
      ev: 'pong', ...found, heard,
      round_trip: heard - asked - (sent - received),
      offset: (received - asked + (sent - heard)) / 2,
    });
  }

  command(found) {
    if (found.is === 'welcome') {
      this.welcomed = true;
      found.heard = now();
    } else if (found.is === 'joined') {
      const room = new Room(found);
      this.rooms.set(room.id, room);
      this.handles.set(found.handle, room);
    } else if (found.is === 'left') {
      this.rooms.delete(this.handles.get(found.handle)?.id);
      this.handles.delete(found.handle);
    } else if (found.is === 'gap') {
      const room = this.rooms.get(found.room);
      room.position = Math.max(room.position, found.to);
      room.ready = false;
    } else if (found.is === 'closed') {
      this.closed = true;
    }
    this.report({ ev: found.is, ...found });
  }

  data(found) {
    const { is } = found;
    const room = this.rooms.get(found.room);
    if (room === undefined) return this.violation(`${is} of room ${found.room}, which this client is not in`);
    if (is === 'direct') return this.direct(found);
    if (is !== 'members' && !room.receives) this.violation(`${is} for a member that does not receive`);
    if (is === 'event' || is === 'presence') this.numbered(room, found);
    else if (is === 'value') this.value(room, found);
    else this.snapshot(room, found);
  }

  /** Reports each record together with the head of its frame. */
  records({ is, room, position, tick, early, records }) {
    for (const record of records) this.report({ ev: is, room, position, tick, early, ...record });
  }

  direct(found) {
    if (found.position !== this.directs + 1) this.violation(`direct ${found.position} after ${this.directs}`);
    this.records(found);
    this.directs = found.position + found.records.length - 1;
  }

  numbered(room, found) {
    const { is, position } = found;
    if (!room.ready) this.violation(`${is} before the snapshot`);
    if (position !== room.position + 1) {
      this.violation(`${is} of position ${position}, ${room.position} was the last complete one`);
    }
    if (is === 'presence') found.records.forEach((record) => room.setMember(record));
    this.records(found);
    if (!found.more) {
      room.position = position;
      this.report({ ev: 'position', room: room.id, position });
    }
  }

  value(room, found) {
    if (!room.ready || room.collecting.has('snapshot')) this.violation('values before the end of the snapshot');
    if (found.position !== room.position && found.position !== room.position + 1) {
      this.violation(`values that follow ${found.position}, ${room.position} was the last complete one`);
    }
    for (const record of found.records) {
      const slot = Room.slot(record);
      if (room.segment.has(slot)) this.violation(`value ${slot} twice in a batch`);
      room.segment.add(slot);
      room.setValue(record);
    }
    this.records(found);
    if (!found.more) room.segment.clear();
  }

  snapshot(room, found) {
    const { is, position } = found;
    const records = [...(room.collecting.get(is) ?? []), ...found.records];
    room.collecting.set(is, records);
    if (position !== room.position) {
      this.violation(`${is} of position ${position}, ${room.position} was the last complete one`);
    }
    if (found.more) return;
    room.collecting.delete(is);
    if (is === 'snapshot') {
      room.ready = true;
      room.values.clear();
      if (records.some((record) => record.payload.length === 0)) this.violation('a deletion in a snapshot');
      records.forEach((record) => room.setValue(record));
    } else {
      room.members.clear();
      records.forEach((record) => room.setMember(record));
    }
    this.report({ ev: is, room: room.id, position, count: records.length });
  }

  state(handle) {
    const { values, members } = this.handles.get(handle);
    return { values: Object.fromEntries(values), members: Object.fromEntries(members) };
  }
}

// ---------------------------------------------------------------- JSON lines

function report(event) {
  process.stdout.write(JSON.stringify(event, writeBytes) + '\n');
}

function obey(order, session, socket) {
  if (order.send) session.send(Buffer.concat(order.send.map(([name, args]) => encode(name, args))));
  if (order.ping) session.ping(order.ping.extensions);
  if (order.text) socket.send(order.text);
  if (order.state !== undefined) report({ ev: 'state', ...session.state(order.state) });
}

async function main(url, subprotocol = 'tickwire.v1') {
  const { default: WebSocket } = await import('ws');
  const wanted = subprotocol ? [subprotocol] : [];
  const socket = new WebSocket(url, wanted, { perMessageDeflate: false, handshakeTimeout: 5000 });
  const session = new Session((bytes) => socket.send(bytes), report);
  const orders = createInterface({ input: process.stdin });
  orders.pause();
  let ended = false;
  const end = (what) => {
    if (ended) return;
    ended = true;
    report({ ev: 'end', ...what });
    orders.close();
    process.stdin.destroy();
  };

  socket.on('open', () => {
    if (socket.protocol !== subprotocol) session.violation(`the server picked subprotocol ${socket.protocol}`);
    orders.resume();
  });
  socket.on('message', (bytes, isBinary) => session.message(bytes, isBinary));
  socket.on('unexpected-response', (request, response) => {
    end({ status: response.statusCode });
    request.destroy();
  });
  socket.on('error', (error) => process.stderr.write(`${error.message}\n`));
  socket.on('close', (code, reason) => end({ code, text: reason.toString() }));
  orders.on('line', (line) => obey(JSON.parse(line, readBytes), session, socket));
  orders.on('close', () => ended || socket.close());
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(...process.argv.slice(2));

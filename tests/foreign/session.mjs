// What a fuller Tickwire client knows, written from PROTOCOL.md, without any input or output.
//
// A `Session` outlives its connections: it answers pings, keeps rooms, values and members, checks what the server
// promises, and knows what to send again after a resume (section 12.2). Whatever happens is reported as an object whose
// "ev" names it; a broken promise is a "violation".

import { ACCEPTED, DATA, DEFLATE, KINDS, Malformed, decode, encode, split } from './codec.mjs';

const RECEIVE = 2;
const LARGEST_MESSAGE = 16384;
const ALL = 0, EVENTS = 1, PAUSED = 2;

/** This client's own clock in microseconds. */
const now = () => Math.floor(performance.now() * 1000);

class Room {
  constructor(joined) {
    this.id = joined.room;
    this.receives = (joined.mode & RECEIVE) !== 0;
    this.epoch = joined.epoch;
    this.position = joined.position; // the last complete one
    this.ready = !this.receives; // the snapshot has come
    this.away = false; // resumed, and not joined again
    this.what = ALL;
    this.values = new Map();
    this.members = new Map();
    this.absent = new Set(); // members that are away
    this.collecting = new Map(); // snapshots of which more frames follow: position and records
    this.segment = new Set(); // keys of the value segment that is being read
  }

  static slot(record) {
    return `${record.scope === 'room' ? 'room' : record.member}/${record.key}`;
  }

  setValue(record) {
    if (record.payload.length > 0) this.values.set(Room.slot(record), record.payload);
    else this.values.delete(Room.slot(record));
  }

  setMember({ member, state, data }) {
    if (state === 'away') this.absent.add(member);
    if (state === 'here' || state === 'left') this.absent.delete(member);
    if (state === 'here') this.members.set(member, data);
    if (state === 'left') this.members.delete(member);
  }

  /** What was begun is not finished any more. */
  abandon() {
    this.collecting.clear();
    this.segment.clear();
  }
}

/** What one client knows. `send` takes bytes that are to be sent, `report` takes objects. */
export class Session {
  constructor(send, report) {
    this.send = send;
    this.report = report;
    this.rooms = new Map(); // by the server's number
    this.handles = new Map();
    this.joins = new Map(); // what was asked for, by handle
    this.asked = new Map(); // RECEIVE by its request
    this.welcomed = this.closed = false;
    this.capabilities = this.consumed = this.directs = this.accepted = 0;
    this.number = 0; // of the last data frame
    this.unaccepted = new Map(); // data frames by their number
    this.token = null;
  }

  violation(text) {
    this.report({ ev: 'violation', text });
  }

  // ---------------------------------------------------------------- out

  /** A frame by its name in codec.mjs; remembers what it asks for. */
  say(name, args = {}) {
    if (name === 'join') this.joins.set(args.handle ?? 1, args);
    if (name === 'receive') this.asked.set(args.request ?? 7, [args.handle ?? 1, args.what]);
    const frame = encode(name, args);
    if (frame[0] === DATA) this.unaccepted.set(++this.number, frame);
    return frame;
  }

  /** HELLO on another connection, which asks for this session. */
  helloAgain(args) {
    this.welcomed = this.closed = false;
    this.consumed = 0;
    return encode('hello', { ...args, resume: [this.token, this.directs] });
  }

  /** JOIN with what is known of the room, section 12.1. */
  joinAgain(handle) {
    const { epoch, position } = this.handles.get(handle);
    return encode('join', { ...this.joins.get(handle), since: [epoch, position] });
  }

  ping(extensions = []) {
    this.send(encode('ping', { time: now(), consumed: this.consumed, directs: this.directs, extensions }));
  }

  // ---------------------------------------------------------------- in

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

  answer({ time, accepted }) {
    this.send(encode('ping', { time, consumed: this.consumed, directs: this.directs, answer: true }));
    this.accept(accepted);
    this.report({ ev: 'ping', time, accepted });
  }

  pong(found) {
    const { time: asked, received, sent } = found;
    const heard = now();
    this.accept(found.accepted);
    this.report({
      ev: 'pong', ...found, heard,
      round_trip: heard - asked - (sent - received),
      offset: (received - asked + (sent - heard)) / 2,
    });
  }

  /** Section 12.3: this only grows, and counts what was sent. */
  accept(number) {
    if (!(this.capabilities & ACCEPTED)) {
      if (number > 0) this.violation(`accepted ${number}, which was not negotiated`);
      return;
    }
    if (number < this.accepted || number > this.number) {
      this.violation(`accepted ${number} after ${this.accepted}, ${this.number} were sent`);
    }
    this.forget(number);
  }

  forget(number) {
    this.accepted = Math.max(this.accepted, number);
    for (const key of this.unaccepted.keys()) if (key <= this.accepted) this.unaccepted.delete(key);
  }

  // ---------------------------------------------------------------- commands

  command(found) {
    if (found.is === 'welcome') this.welcome(found);
    else if (found.is === 'joined') this.joined(found);
    else if (found.is === 'left') {
      this.rooms.delete(this.handles.get(found.handle)?.id);
      this.handles.delete(found.handle);
    } else if (found.is === 'gap') this.gap(found);
    else if (found.is === 'done') this.done(found.request);
    else if (found.is === 'accepted') this.accept(found.number);
    else if (found.is === 'closed') this.closed = true;
    this.report({ ev: found.is, ...found });
  }

  welcome(found) {
    this.welcomed = true;
    found.heard = now();
    this.capabilities = found.capabilities;
    const resumed = (found.flags & 1) !== 0;
    if (this.token !== null && !resumed) {
      this.rooms.clear();
      this.handles.clear();
      this.unaccepted.clear();
      this.number = this.accepted = this.directs = 0;
    }
    this.token = found.token ?? null;
    if (!resumed) return;
    if (found.lost) {
      const [first, last] = found.lost;
      if (first !== this.directs + 1) this.violation(`directs from ${first} are lost, ${this.directs} was the last one`);
      this.directs = last;
    }
    for (const room of this.handles.values()) {
      room.away = true;
      room.abandon();
    }
    this.forget(found.accepted);
    this.number = Math.max(this.number, found.accepted);
    for (const frame of this.unaccepted.values()) this.send(frame);
    this.report({ ev: 'sent_again', count: this.unaccepted.size });
  }

  joined(found) {
    const before = this.handles.get(found.handle);
    const room = new Room(found);
    if (before !== undefined) {
      this.rooms.delete(before.id);
      this.checkReturn(before, found);
      if (before.epoch === room.epoch) {
        Object.assign(room, { values: before.values, members: before.members, absent: before.absent });
      }
    }
    this.rooms.set(room.id, room);
    this.handles.set(found.handle, room);
  }

  /** Section 12.1: nothing is missing that is not told. */
  checkReturn(before, { outcome, position, epoch, lost }) {
    if (outcome === 0) {
      this.violation('a join with since was answered with outcome 0');
    } else if (before.epoch !== epoch) {
      if (outcome !== 2 || lost) this.violation(`another life of the room: outcome ${outcome}, lost ${lost}`);
    } else if (outcome === 1 && (position !== before.position || lost)) {
      this.violation(`recovered at ${position} with ${lost} lost, ${before.position} was known`);
    } else if (outcome === 2 && (lost?.[0] !== before.position + 1 || lost[1] !== position)) {
      this.violation(`a gap of ${lost} before ${position + 1}, ${before.position} was known`);
    }
  }

  gap({ room: id, epoch, from, to }) {
    const room = this.rooms.get(id);
    if (from !== room.position + 1 || to < room.position) {
      this.violation(`GAP of ${from} to ${to}, ${room.position} was the last complete one`);
    }
    if (epoch !== room.epoch) this.violation('GAP of another epoch');
    room.position = Math.max(room.position, to);
    room.ready = false;
    room.abandon();
  }

  done(request) {
    const [handle, what] = this.asked.get(request) ?? [];
    this.asked.delete(request);
    const room = this.handles.get(handle);
    if (room === undefined) return;
    room.what = what;
    if (what !== ALL) room.abandon();
  }

  // ---------------------------------------------------------------- data

  data(found) {
    const { is } = found;
    const room = this.rooms.get(found.room);
    if (found.compressed) {
      this.report({ ev: 'compressed', kind: is });
      if (!(this.capabilities & DEFLATE)) this.violation(`${is} is compressed, which was not negotiated`);
    }
    if (room === undefined) return this.violation(`${is} of room ${found.room}, which this client is not in`);
    if (is === 'direct') return this.direct(found);
    if (room.away) this.violation(`${is} before the room was joined again`);
    if (is !== 'members' && !room.receives) this.violation(`${is} for a member that does not receive`);
    if (room.what === PAUSED || (room.what === EVENTS && is === 'value')) {
      this.violation(`${is} for a member that wants none`);
    }
    if (is === 'event' || is === 'presence') this.numbered(room, found);
    else if (is === 'value') this.value(room, found);
    else this.snapshot(room, found);
  }

  /** Reports each record together with the head of its frame. */
  records({ is, room, position, tick, early, records }) {
    for (const record of records) this.report({ ev: is, room, position, tick, early, ...record });
  }

  direct(found) {
    const last = found.position + found.records.length - 1;
    if (last <= this.directs) return this.report({ ev: 'direct_again', position: found.position });
    if (found.position !== this.directs + 1) this.violation(`direct ${found.position} after ${this.directs}`);
    this.records(found);
    this.directs = last;
  }

  numbered(room, found) {
    const { is, position } = found;
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
    const begun = room.collecting.get(is) ?? { described: room.position, records: [] };
    room.collecting.set(is, begun);
    begun.records.push(...found.records);
    if (position !== begun.described) {
      this.violation(`${is} of position ${position}, ${begun.described} was the last complete one`);
    }
    if (found.more) return;
    room.collecting.delete(is);
    if (is === 'snapshot') {
      room.ready = true;
      room.values.clear();
      if (begun.records.some((record) => record.payload.length === 0)) this.violation('a deletion in a snapshot');
      begun.records.forEach((record) => room.setValue(record));
    } else {
      room.members.clear();
      room.absent.clear();
      begun.records.forEach((record) => room.setMember(record));
    }
    this.report({ ev: is, room: room.id, position, count: begun.records.length });
  }

  state(handle) {
    const { values, members, absent, position } = this.handles.get(handle);
    return {
      values: Object.fromEntries(values), members: Object.fromEntries(members),
      absent: [...absent].sort((a, b) => a - b), position,
    };
  }
}

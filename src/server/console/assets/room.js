// What is known of a room: its members, its values, and what passes.
//
//   JOINED ──> snapshots replace ──> batches change ──> told after each frame

import { presence } from "./wire.js";

/** A room as a member of it sees it. `changed(room, what)` is told after every frame. */
export class Room {
  constructor(changed) {
    this.changed = changed;
    this.reset();
  }

  reset() {
    /** JOINED, or null. */
    this.membership = null;
    /** Why the room cannot be seen, or null. */
    this.reason = null;
    /** By key as on the wire and, where it is a member's, its number. */
    this.values = new Map();
    /** By number. */
    this.members = new Map();
    /** How many they are, where the room tells only that. */
    this.count = null;
    this.position = 0;
    this.tick = 0;
    this.gaps = 0;
    this.events = { count: 0, bytes: 0, latest: [] };
    this.writes = 0;
    this.collecting = [];
    this.gathering = [];
  }

  joined(membership) {
    this.reset();
    this.membership = membership;
    this.position = membership.position;
    this.tick = membership.tick;
    this.changed(this, "joined");
  }

  lost() {
    this.membership = null;
    this.changed(this, "lost");
  }

  refused(reason) {
    this.membership = null;
    this.reason = reason;
    this.changed(this, "refused");
  }

  gap({ to }) {
    this.gaps += 1;
    this.position = Math.max(this.position, to);
    // PROTOCOL 6.10: what had begun is void.
    this.collecting = [];
    this.gathering = [];
    this.changed(this, "gap");
  }

  data(frame) {
    if (frame.compressed) return;
    const { kind, records, more } = frame;
    this.#advance(frame.tick);
    if (kind === "presence" || kind === "event") this.position = Math.max(this.position, frame.position);
    if (kind === "event") this.#events(records);
    else if (kind === "value") this.#values(records);
    else if (kind === "presence") records.forEach((record) => this.#presence(record, this.members));
    else if (kind === "snapshot") {
      this.collecting.push(...records);
      if (!more) {
        this.values.clear();
        this.collecting.splice(0).forEach((record) => this.#set(record));
      }
    } else if (kind === "members") {
      this.gathering.push(...records);
      if (!more) {
        this.members.clear();
        this.gathering.splice(0).forEach((record) => this.#presence(record, this.members));
      }
    }
    this.changed(this, kind);
  }

  /** The whole number of a tick of which 16 bits travel (PROTOCOL 8.1). */
  #advance(low) {
    const ahead = (low - (this.tick % 65_536) + 65_536) % 65_536;
    this.tick = ahead < 32_768 ? this.tick + ahead : Math.max(0, this.tick - (65_536 - ahead));
  }

  #events(records) {
    const { latest } = this.events;
    for (const { member, payload } of records) {
      this.events.count += 1;
      this.events.bytes += payload.length;
      // What is shown; a copy, so that the whole message need not stay.
      latest.unshift({ member, payload: payload.slice(0, 256), length: payload.length, tick: this.tick });
    }
    latest.splice(50);
  }

  #values(records) {
    this.writes += records.length;
    records.forEach((record) => this.#set(record));
  }

  #set({ member, key, payload }) {
    const ofRoom = key % 2 === 1;
    const id = ofRoom ? `${key}` : `${key}/${member}`;
    // An empty value is a deletion (PROTOCOL 7.2).
    if (payload.length === 0) this.values.delete(id);
    else this.values.set(id, { key: Math.floor(key / 2), ofRoom, member, payload: payload.slice() });
  }

  #presence({ member, payload }, members) {
    const said = presence(payload);
    if (said.state === "here") members.set(member, { ...copied(said), away: false });
    else if (said.state === "away" && members.has(member)) members.get(member).away = true;
    else if (said.state === "left") members.delete(member);
    else if (said.state === "count") this.count = said.members;
  }
}

function copied({ subject, data }) {
  return { subject: subject.slice(), data: data.slice() };
}

// The figures, as the server's own room tells them: its values are JSON, and the charts' points are a ring.
//
//   values of the room ──> about, now, rooms, points by time

import { Room } from "./room.js";

/** The room (PROTOCOL 15.2). */
export const FEED = "@tickwire/console";

/** Its keys. */
const ABOUT = 0;
const NOW = 1;
const ROOMS = 2;

/** Milliseconds of the past that charts show. */
export const SPAN = 300_000;

/** What is known of the server. `changed(feed)` is told when there is news. */
export class Feed {
  constructor(changed) {
    this.changed = changed;
    this.about = null;
    this.now = null;
    this.rooms = null;
    this.points = [];
    this.reason = null;
    this.room = new Room((room, what) => this.#changed(room, what));
  }

  #changed(room, what) {
    if (what === "refused") this.reason = room.reason;
    if (what !== "value" && what !== "snapshot" && what !== "refused") return;
    const points = [];
    for (const { key, payload } of room.values.values()) {
      const said = read(payload);
      if (said === null) continue;
      if (key === ABOUT) this.about = said;
      else if (key === NOW) this.now = said;
      else if (key === ROOMS) this.rooms = said;
      else if (typeof said.wall_ms === "number") points.push(said);
    }
    points.sort((one, other) => one.wall_ms - other.wall_ms);
    const newest = points.at(-1)?.wall_ms ?? 0;
    this.points = points.filter((point) => point.wall_ms > newest - SPAN);
    this.changed(this);
  }
}

const known = new WeakMap();

/** JSON, read once for each value: most of them are the same a second later. */
function read(payload) {
  if (!known.has(payload)) {
    let said = null;
    try {
      said = JSON.parse(new TextDecoder().decode(payload));
    } catch {
      // A newer server may say something else here.
    }
    known.set(payload, said);
  }
  return known.get(payload);
}

// One session with the server: hello, joins, answers to pings, and a new connection when it breaks.
//
//   connect ──HELLO──> WELCOME ──> open ──ends──> wait, longer each time ──> connect
//
// Rooms are joined anew on every connection, and start with a snapshot: what was known before is replaced.

import { Malformed, Reader, encode, frames } from "./wire.js";

/** The subprotocol (PROTOCOL 4.2). */
const PROTOCOL = "tickwire.v1";

/** What stands before the key among the subprotocols. */
const KEY = "tickwire.key.";

/** Milliseconds before the first attempt to come back, and at most. */
const FIRST = 500;
const LONGEST = 10_000;

/** JOIN: receive, and a list of members (PROTOCOL 6.3). */
const RECEIVE = 2;
const MEMBERS = 4;

/** Reasons that the page acts on (PROTOCOL 14). */
export const Reason = { finished: 200, capability: 223 };

/** A key as a subprotocol: letters that may not stand there are percent-encoded. */
export function asSubprotocol(key) {
  const encoded = encodeURIComponent(key).replace(/[()]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
  return KEY + encoded;
}

/**
 * A session that comes back by itself. `on` is told: `state(name, detail)` with "connecting", "open",
 * "lost" and "refused"; the rest goes to the rooms.
 */
export class Session {
  #url;
  #key;
  #on;
  #socket = null;
  #welcome = null;
  #rooms = new Map();
  #byId = new Map();
  #nextHandle = 1;
  #nextRequest = 1;
  #consumed = 0;
  #counting = false;
  #attempts = 0;
  #timer = null;
  #watchdog = null;
  #ended = false;
  /** Milliseconds that the server asked to wait, or null. */
  #after = null;

  constructor(url, key, on) {
    this.#url = url;
    this.#key = key;
    this.#on = on;
    this.#connect();
  }

  /** Whether messages can be sent. */
  get open() {
    return this.#welcome !== null;
  }

  /** Ends it for good. */
  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    if (this.#welcome) this.#send({ type: "control", command: "close", request: 1, reason: Reason.finished });
    this.#socket?.close();
    this.#socket = null;
  }

  /** Tries at once, where it waits. */
  hurry() {
    if (this.#socket || this.#ended) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Joins a room, now and on every later connection. `room` is told what comes: see room.js. */
  join(name, room, { members = false } = {}) {
    const handle = this.#nextHandle++;
    this.#rooms.set(handle, { name: new TextEncoder().encode(name), room, members });
    if (this.#welcome) this.#sendJoin(handle);
    return handle;
  }

  /** Leaves it for good. */
  leave(handle) {
    const joined = this.#rooms.get(handle);
    if (!joined) return;
    this.#rooms.delete(handle);
    this.#byId.delete(joined.id);
    if (this.#welcome) this.#send({ type: "control", command: "leave", request: this.#nextRequest++, handle });
  }

  #connect() {
    this.#on.state("connecting");
    const socket = new WebSocket(this.#url, [PROTOCOL, asSubprotocol(this.#key)]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      // Receives, nothing else: no capabilities, any size.
      const hello = { type: "control", command: "hello", request: this.#nextRequest++ };
      this.#send({ ...hello, capabilities: 0, max_record: 0, max_frame: 0 });
    };
    socket.onmessage = ({ data }) => this.#message(socket, data);
    socket.onclose = ({ code }) => this.#lost(socket, code);
    this.#socket = socket;
    this.#consumed = 0;
    this.#counting = false;
    this.#watch(15_000);
  }

  /** Nothing has come for so long that the connection must be dead (PROTOCOL 9). */
  #watch(after) {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#watchdog = setTimeout(() => {
      socket?.close();
      this.#lost(socket, 0);
    }, after);
  }

  #lost(socket, code) {
    if (socket !== this.#socket || this.#ended) return;
    clearTimeout(this.#watchdog);
    const wasOpen = this.#welcome !== null;
    this.#socket = null;
    this.#welcome = null;
    this.#byId.clear();
    for (const { room } of this.#rooms.values()) room.lost?.();
    // With jitter, so that many pages do not come back at once.
    const delay = Math.min(FIRST * 2 ** this.#attempts, LONGEST) * (0.75 + Math.random() / 2);
    const after = this.#after ?? delay;
    this.#after = null;
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#connect(), after);
    this.#on.state("lost", { reason: code >= 4000 ? code - 4000 : null, wasOpen, after });
  }

  #message(socket, message) {
    if (socket !== this.#socket) return;
    try {
      for (const frame of frames(new Uint8Array(message))) {
        // PROTOCOL 9: from WELCOME on.
        this.#counting ||= frame.command === "welcome";
        if (this.#counting) this.#consumed += frame.size;
        this.#frame(frame);
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      socket.close();
      this.#lost(socket, 0);
      return;
    }
    if (this.#welcome) this.#watch(2 * this.#welcome.ping + 5_000);
  }

  #frame(frame) {
    if (frame.type === "data") {
      this.#byId.get(frame.room)?.data(frame);
    } else if (frame.type === "ping" && !frame.answer) {
      this.#send({ type: "ping", answer: true, time: frame.time, consumed: this.#consumed, directs: 0 });
    } else if (frame.type === "control") {
      this.#control(frame);
    }
  }

  #control(frame) {
    switch (frame.command) {
      case "welcome":
        this.#welcome = frame;
        this.#attempts = 0;
        for (const handle of this.#rooms.keys()) this.#sendJoin(handle);
        this.#on.state("open");
        break;
      case "joined": {
        const joined = this.#rooms.get(frame.handle);
        if (!joined) break;
        joined.id = frame.room;
        this.#byId.set(frame.room, joined.room);
        joined.room.joined?.(frame);
        break;
      }
      case "refused": {
        const found = [...this.#rooms.entries()].find(([, joined]) => joined.request === frame.request);
        if (!found) break;
        const [handle, joined] = found;
        // The list of members is too long for one answer (PROTOCOL 6.3): go without.
        if (frame.reason === Reason.capability && joined.members) {
          joined.members = false;
          this.#sendJoin(handle);
        } else {
          this.#rooms.delete(handle);
          joined.room.refused?.(frame.reason);
        }
        break;
      }
      case "left": {
        const joined = this.#rooms.get(frame.handle);
        if (!joined) break;
        this.#rooms.delete(frame.handle);
        this.#byId.delete(joined.id);
        joined.room.refused?.(frame.reason);
        break;
      }
      case "gap":
        this.#byId.get(frame.room)?.gap?.(frame);
        break;
      case "going_away":
        // Who stays holds up the server's end (PROTOCOL 6.9).
        this.#after = frame.reconnect;
        this.#on.state("going_away");
        this.#socket?.close();
        break;
      case "close": {
        // Extension 4: when to come again (PROTOCOL 6.8).
        const after = frame.extensions.find(([type]) => type === 4);
        if (after) this.#after = new Reader(after[1]).varint();
        break;
      }
    }
  }

  #sendJoin(handle) {
    const joined = this.#rooms.get(handle);
    joined.request = this.#nextRequest++;
    const mode = RECEIVE | (joined.members ? MEMBERS : 0);
    this.#send({ type: "control", command: "join", request: joined.request, handle, mode, name: joined.name });
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encode(frame));
  }
}

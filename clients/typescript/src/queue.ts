/**
 * Lets messages wait while they cannot leave, and keeps what was written until the server has accepted it (SPEC 4, 5).
 *
 * ```text
 *  publish ──> reliable: in order ─┐             ┌── accepted: forgotten
 *  set ──────> latest: one a key ──┴──> written ─┼── resumed: written again
 *                                                └── new session: unconfirmed
 * ```
 */

import { TickwireError } from "./error.js";
import type { Message, Queue } from "./message.js";

export interface QueueOptions {
  /** Reliable messages that wait at most; 1,000 without it. */
  messages?: number;
}

/** Reliable messages that wait at most, and their bytes (SPEC 5). */
const MESSAGES = 1000;
const BYTES = 256 << 10;

/** Messages that were written and are not yet accepted at most, and their bytes (SPEC 5). */
const WRITTEN = 4096;
const WRITTEN_BYTES = 1 << 20;

/** After so many messages or bytes the server is asked to tell at once that it accepted: a sixteenth of what may be held. */
const ASK = 256;
const ASK_BYTES = 64 << 10;

/** The flag that asks for that (PROTOCOL 5), and the capability that it needs (PROTOCOL 10.3). */
const TELL = 32;

/** Milliseconds after which a full socket is looked at again. */
const DRAIN = 50;

/** Refusals that are remembered, so that one that comes again after a break is not told again. */
const REFUSALS = 256;

const bytes = (messages: Iterable<Message>): number => {
  let sum = 0;
  for (const message of messages) sum += message.frame.length;
  return sum;
};

/** A queue for one client: `new Client(url, { queue: queue() })`. */
export const queue = ({ messages = MESSAGES }: QueueOptions = {}): Queue => {
  let reliable: Message[] = [];
  const latest = new Map<string, Message>();
  let written: Message[] = [];
  const refusals = new Set<number>();
  /** Those that were refused because the server goes away, and leave again. */
  const again = new WeakSet<Message>();
  let waitingBytes = 0;
  let writtenBytes = 0;
  let asked = 0;
  let askedBytes = 0;

  let drain: ReturnType<typeof setTimeout> | undefined;

  /** The next one to be written, of those whose room is joined. */
  const next = (): Message | undefined => {
    const at = reliable.findIndex(({ room }) => room.state === "joined");
    if (at >= 0) {
      const [message] = reliable.splice(at, 1);
      waitingBytes -= message!.frame.length;
      return message;
    }
    for (const [name, message] of latest) {
      if (message.room.state !== "joined") continue;
      latest.delete(name);
      return message;
    }
    return;
  };
  const full = () => written.length >= WRITTEN || writtenBytes >= WRITTEN_BYTES;

  const self: Queue = {
    get waiting() {
      return reliable.length + latest.size;
    },

    _post(message, client) {
      if (message.policy === "latest") {
        // Written again it goes to the end: the order is that of the last writes.
        const name = `${message.key} ${message.room.name}`;
        latest.delete(name);
        latest.set(name, message);
      } else {
        const size = message.frame.length;
        if (!client._leaves(message.room) && (reliable.length >= messages || waitingBytes + size > BYTES)) {
          throw new TickwireError("queue-full", 0, message.room.name);
        }
        reliable.push(message);
        waitingBytes += size;
      }
      self._pump(client);
    },

    _pump(client) {
      clearTimeout(drain);
      const session = client._session;
      if (session?._open === undefined || session._away) return;
      while (session._free && !full()) {
        const message = next();
        if (!message) return;
        client._write(message);
      }
      // Nobody tells when a socket has drained.
      if (self.waiting) drain = setTimeout(() => self._pump(client), DRAIN);
    },

    _full: full,

    _wrote(message, session) {
      written.push(message);
      writtenBytes += message.frame.length;
      askedBytes += message.frame.length;
      if (++asked < ASK && askedBytes < ASK_BYTES) return;
      asked = askedBytes = 0;
      if (session._capabilities & TELL) message.frame[3]! |= TELL;
    },

    _accepted(number, client) {
      const from = written.findIndex((message) => message.number > number);
      written = from < 0 ? [] : written.slice(from);
      writtenBytes = bytes(written);
      self._pump(client);
    },

    _refused(number, reason) {
      if (refusals.has(number)) return null;
      refusals.add(number);
      if (refusals.size > REFUSALS) refusals.delete(refusals.values().next().value!);
      const at = written.findIndex((message) => message.number === number);
      const message = written[at];
      // The server goes away, and the one that comes may take it (PROTOCOL 6.9).
      if (reason !== 100 || message?.policy !== "reliable" || message.room.state === "left") return message;
      written.splice(at, 1);
      writtenBytes -= message.frame.length;
      message.number = 0;
      // In front of what never left, in the order in which they were refused.
      const behind = reliable.findIndex((waiting) => !again.has(waiting));
      reliable.splice(behind < 0 ? reliable.length : behind, 0, message);
      again.add(message);
      waitingBytes += message.frame.length;
      return null;
    },

    _resume(session) {
      if (session) {
        for (const { frame } of written) session._write(frame);
        return [];
      }
      refusals.clear();
      const old = written;
      written = [];
      writtenBytes = asked = askedBytes = 0;
      return old;
    },

    _drop(room) {
      if (!room) clearTimeout(drain);
      const dropped = [...reliable, ...latest.values()].filter((message) => !room || message.room === room);
      reliable = reliable.filter((message) => !dropped.includes(message));
      for (const [name, message] of latest) if (dropped.includes(message)) latest.delete(name);
      waitingBytes = bytes(reliable);
      return dropped;
    },
  };
  return self;
};

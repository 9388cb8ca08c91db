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
import { HEAD } from "./wire.js";

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

/** After so many bytes the server is asked to tell at once that it accepted: a sixteenth of what may be held, in messages too. */
const ASK = 64 << 10;
const LEAST = WRITTEN_BYTES / WRITTEN;

/** The flag that asks for that (PROTOCOL 5), and the capability that it needs (PROTOCOL 10.3). */
const TELL = 32;

/** Milliseconds after which a full socket is looked at again. */
const DRAIN = 50;

/** Refusals that are remembered, so that one that comes again after a break is not told again. */
const REFUSALS = 256;

const bytes = (messages: Message[]): number => messages.reduce((sum, { frame }) => sum + frame.length, 0);

/** A queue for one client: `new Client(url, { queue: queue() })`. */
export const queue = ({ messages = MESSAGES }: QueueOptions = {}): Queue => {
  let reliable: Message[] = [];
  const latest = new Map<string, Message>();
  let written: Message[] = [];
  const refusals = new Set<number>();
  let waitingBytes = 0;
  let writtenBytes = 0;
  let asked = 0;

  let drain: ReturnType<typeof setTimeout> | undefined;

  /** The next one to be written, of those whose room is joined. */
  const next = (): Message | undefined => {
    const at = reliable.findIndex(({ room }) => room.state === "joined");
    if (at >= 0) {
      const [message] = reliable.splice(at, 1);
      waitingBytes -= message!.frame.length;
      return message;
    }
    for (const message of latest.values()) {
      if (message.room.state !== "joined") continue;
      latest.delete(message._slot);
      return message;
    }
    return;
  };
  const full = () => written.length >= WRITTEN || writtenBytes >= WRITTEN_BYTES;
  const waits = () => [...reliable, ...latest.values()];

  const self: Queue = {
    get waiting() {
      return waits().length;
    },

    _post(message, client) {
      self._pump(client);
      const { policy, room, _slot } = message;
      const size = policy === "latest" ? 0 : message.frame.length;
      if (size && (reliable.length >= messages || waitingBytes + size > BYTES) && !client._leaves(room)) {
        throw new TickwireError("queue-full", 0, room.name);
      }
      // What is older must not come behind it; and the order is that of the last writes.
      latest.delete(_slot);
      if (size) reliable.push(message);
      else latest.set(_slot, message);
      waitingBytes += size;
      self._pump(client);
    },

    _pump(client) {
      clearTimeout(drain);
      const session = client._session;
      if (session?._open === undefined || session._away) return;
      while (client._session === session && session._free && !full()) {
        const message = next();
        if (!message) return;
        // The limits are those of this connection, and it may have waited since another one.
        if (message.frame.length > client._max + HEAD) client._emit("refused", new TickwireError("refused", 236, message.room.name), message);
        else client._write(message);
      }
      // Nobody tells when a socket has drained.
      if (self.waiting) drain = setTimeout(() => self._pump(client), DRAIN);
    },

    _full: (room) => full() || waits().some((message) => message.room === room),

    _wrote(message, session) {
      written.push(message);
      writtenBytes += message.frame.length;
      if (!(session._capabilities & TELL)) {
        // Nobody tells what was accepted: the oldest go.
        while (full()) writtenBytes -= written.shift()!.frame.length;
      } else if ((asked += Math.max(LEAST, message.frame.length)) >= ASK) {
        asked = 0;
        message.frame[3]! |= TELL;
      }
    },

    _accepted(number, client) {
      written = written.filter((message) => message.number > number);
      writtenBytes = bytes(written);
      self._pump(client);
    },

    _refused(number, reason) {
      if (refusals.has(number)) return null;
      refusals.add(number);
      if (refusals.size > REFUSALS) refusals.delete(refusals.values().next().value!);
      const message = written.find((message) => message.number === number);
      // The server goes away, and the one that comes may take it (PROTOCOL 6.9).
      if (reason !== 100 || message?.policy !== "reliable" || message.room.state === "left") return message;
      written = written.filter((other) => other !== message);
      writtenBytes -= message.frame.length;
      message.number = 0;
      // In front of what never left, in the order in which they were refused.
      reliable = [...reliable.filter(({ _again }) => _again), message, ...reliable.filter(({ _again }) => !_again)];
      message._again = true;
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
      writtenBytes = asked = 0;
      return old;
    },

    _drop(room) {
      if (!room) clearTimeout(drain);
      const stays = (message: Message) => room && message.room !== room;
      const dropped = waits().filter((message) => !stays(message));
      reliable = reliable.filter(stays);
      for (const { _slot } of dropped) latest.delete(_slot);
      waitingBytes = bytes(reliable);
      return dropped;
    },
  };
  return self;
};

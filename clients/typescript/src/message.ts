/** A message on its way out, and what may hold it while it cannot leave (SPEC 5). */

import type { Room } from "./room.js";

/**
 * What becomes of a message while it cannot leave, because its room is not joined or the socket has 64 KiB waiting.
 * `reliable`: it waits, in order. `latest`: the last one for its room and key waits. `drop`: it is thrown away.
 */
export type Policy = "reliable" | "latest" | "drop";

/** A message that was sent, or waits. */
export interface Message {
  readonly room: Room<any, any>;
  readonly policy: Policy;
  /** The number of its data frame in this session, from 1; 0 while it waits. Refusals and answers name it. */
  number: number;
  /** The key on the wire, for values. */
  readonly key?: number;
  /** The frame as it travels. */
  readonly frame: Uint8Array;
}

/** Holds messages that wait, and those that were written and are not yet accepted. `tickwire/queue` has one. */
export interface Queue {
  /** Takes a message to wait. Throws `queue-full`; not where it can `leave` at once, which the client then lets it. */
  wait(message: Message, leave: boolean): void;
  /** The next one to be written, of those whose room is `joined`. */
  next(): Message | undefined;
  /** Whether nothing may be written until more is accepted. */
  full(): boolean;
  /** Was written. True where the server should tell at once that it was accepted. */
  wrote(message: Message): boolean;
  /** Everything up to this number was accepted, or refused. */
  accepted(number: number): void;
  /** Was refused. Returns it where it is still held, and null where nothing is to be told: it was told before, or it leaves again. */
  refused(number: number, reason: number): Message | undefined | null;
  /** The session goes on, or is a new one. Returns what was written and is not accepted, in order; in a new one that is forgotten. */
  resume(resumed: boolean): Message[];
  /** Forgets what waits, of one room or of all, and returns it. */
  drop(room?: unknown): Message[];
  /** How many wait. */
  readonly waiting: number;
}

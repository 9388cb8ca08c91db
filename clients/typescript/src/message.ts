/** A message on its way out, and what may hold it while it cannot leave (SPEC 5). */

import type { BaseClient } from "./base-client.js";
import type { BaseRoom } from "./base-room.js";
import type { Session } from "./session.js";

/**
 * What becomes of a message while it cannot leave, because its room is not joined or the socket has 64 KiB waiting.
 * `reliable`: it waits, in order. `latest`: the last one for its room and key waits. `drop`: it is thrown away.
 */
export type Policy = "reliable" | "latest" | "drop";

/** A message that was sent, or waits. */
export interface Message {
  readonly room: BaseRoom<any, any>;
  readonly policy: Policy;
  /** The number of its data frame in this session, from 1; 0 while it waits. Refusals and answers name it. */
  number: number;
  /** The key on the wire, for values. */
  readonly key?: number;
  /** @internal It was refused because the server goes away, and leaves again. */
  _again?: boolean;
  /** @internal Of several with the same one only the last one stays: its kind, handle, and key or member. */
  readonly _slot: string;
  /** The frame as it travels. */
  readonly frame: Uint8Array;
}

/** Holds messages that wait, and those that were written and are not yet accepted. `tickwire/queue` has one, for one client. */
export interface Queue {
  /** How many wait. */
  readonly waiting: number;
  /** @internal Takes a message: it leaves now or later. Throws `queue-full`. */
  _post(message: Message, client: BaseClient): void;
  /** @internal Lets leave what waits and can. */
  _pump(client: BaseClient): void;
  /** @internal Whether nothing of this room may be written now: until more is accepted, or something else of it has left. */
  _full(room: unknown): boolean;
  /** @internal Was numbered, and will be written. */
  _wrote(message: Message, session: Session): void;
  /** @internal Everything up to this number was accepted, or refused. */
  _accepted(number: number, client: BaseClient): void;
  /** @internal Was refused. Returns it where it is still held, and null where nothing is to be told: it was told before, or it leaves again. */
  _refused(number: number, reason: number): Message | undefined | null;
  /** @internal The session goes on: what is not accepted is written again. Or it is over: what was not accepted is forgotten, and returned. */
  _resume(session?: Session): Message[];
  /** @internal Forgets what waits, of one room or of all, and returns it. */
  _drop(room?: unknown): Message[];
}

/**
 * The client without a memory: codec, states, resume and clock; rooms that tell events, values and directs, and keep nothing.
 * For a page that counts bytes. Everything else is as in `tickwire`, whose rooms know `latest`, `members` and `pause`,
 * and which holds directs that come before the answer to a join (PROTOCOL 8.6).
 */

export { BaseClient as Client, type ClientEvents, type ClientState, type Options } from "./base-client.js";
export type { BaseRoom as Room, Outcome, RoomEvents, RoomOptions, RoomState, SendOptions, SetOptions } from "./base-room.js";
export { json, raw, text, type Codec } from "./codec.js";
export type { Change } from "./emitter.js";
export { TickwireError, type ErrorKind } from "./error.js";
export type { Message, Policy, Queue } from "./message.js";
export type { Socket } from "./session.js";
export type { Token } from "./token.js";

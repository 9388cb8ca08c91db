/**
 * A client of Tickwire: rooms that come in ticks, over WebSocket.
 *
 * ```ts
 * import { Client, text } from "tickwire";
 * const client = new Client("ws://localhost:7070/ws").connect();
 * const room = client.room("lobby", { event: text, value: text }).join();
 * room.on("event", (message, member) => console.log(member, message));
 * ```
 */

export type { ClientEvents, ClientState, Options } from "./base-client.js";
export type { Outcome, RoomEvents, RoomOptions, RoomState, SendOptions, SetOptions } from "./base-room.js";
export { Client } from "./client.js";
export { json, raw, text, type Codec } from "./codec.js";
export { TickwireError, type ErrorKind } from "./error.js";
export type { Member } from "./members.js";
export type { Message, Policy, Queue } from "./message.js";
export type { Change } from "./emitter.js";
export type { Room } from "./room.js";
export type { Socket } from "./session.js";
export type { Token } from "./token.js";

/**
 * Rooms for React, 18 and later: what is shown changes when a tick changed it, and at most once for each.
 *
 * ```text
 *  TickwireProvider ──client──> useConnection
 *                         └───> useRoom ──room──> useEvent, useLatest, usePresence
 * ```
 */

import { createContext, useContext, useEffect, useRef, useSyncExternalStore, type ReactElement, type ReactNode } from "react";

import type { ClientState } from "./base-client.js";
import type { RoomOptions } from "./base-room.js";
import type { Client } from "./client.js";
import type { Member } from "./members.js";
import type { Room } from "./room.js";

const Context = createContext<Client | undefined>(undefined);

/** How many components use a client or a room. */
const users = new WeakMap<object, number>();

/**
 * Uses something for as long as a component is mounted. What nobody uses any more is let go a moment later: StrictMode
 * mounts twice, and a page that moves on often wants the same room again.
 */
const useShared = (thing: Client | Room<any, any>, begin: () => void, end: () => void): void => {
  useEffect(() => {
    users.set(thing, (users.get(thing) ?? 0) + 1);
    begin();
    return () => {
      users.set(thing, users.get(thing)! - 1);
      setTimeout(() => {
        if (!users.get(thing)) end();
      });
    };
    // What begins and ends follows from the thing alone.
  }, [thing]);
};

export interface TickwireProviderProps {
  /** Connected while the provider is mounted. Make it once, outside of components. */
  client: Client;
  children?: ReactNode;
}

/** Gives a client to the components within. */
export function TickwireProvider({ client, children }: TickwireProviderProps): ReactElement {
  useShared(
    client,
    () => client.state !== "closed" && client.connect(),
    () => client.disconnect(),
  );
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the provider around. */
export function useClient(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("there is no TickwireProvider around this component");
  return client;
}

/** How the connection is. */
export interface Connection {
  readonly state: ClientState;
  /** Why, as a number (PROTOCOL 14); 0 where there is no reason. */
  readonly reason: number;
}

const connections = new WeakMap<Client, Connection>();

/** The state of the connection. */
export function useConnection(): Connection {
  const client = useClient();
  const read = (): Connection => {
    const { state, reason } = client;
    let known = connections.get(client);
    if (known?.state !== state || known.reason !== reason) connections.set(client, (known = { state, reason }));
    return known;
  };
  return useSyncExternalStore((changed) => client.on("state", changed), read, read);
}

/** A room, joined while some component uses it. The component is drawn again when the room's state changes. */
export function useRoom<E = Uint8Array, V = Uint8Array>(name: string, options?: RoomOptions<E, V>): Room<E, V> {
  const client = useClient();
  const room = client.room<E, V>(name, options);
  const state = () => room.state;
  useSyncExternalStore((changed) => room.on("state", changed), state, state);
  useShared(
    room,
    () => client.state !== "closed" && room.join(),
    () => room.leave(),
  );
  return room;
}

/** Calls `handler` for every event of the room; always the latest one that was given. */
export function useEvent<E, V>(room: Room<E, V>, handler: (event: E, member: number) => void): void {
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => room.on("event", (event, member) => latest.current(event, member)), [room]);
}

/** The value of a key, as {@link Room.latest} tells it. The component is drawn again when it has changed. */
export function useLatest<E, V>(room: Room<E, V>, key: number, owner?: number): V | undefined {
  const read = () => room.latest(key, owner);
  return useSyncExternalStore((changed) => onTick(room, changed), read, read);
}

const lists = new WeakMap<Room<any, any>, readonly Member[]>();
const listened = new WeakSet<Room<any, any>>();

/** Who is in the room. */
export function usePresence(room: Room<any, any>): readonly Member[] {
  const read = (): readonly Member[] => {
    if (!listened.has(room)) {
      listened.add(room);
      room.on("members", () => lists.delete(room));
    }
    let list = lists.get(room);
    if (!list) lists.set(room, (list = [...room.members.values()]));
    return list;
  };
  return useSyncExternalStore((changed) => onTick(room, changed), read, read);
}

/** Calls `changed` after each batch, and when the room is joined anew and empty. */
const onTick = (room: Room<any, any>, changed: () => void): (() => void) => {
  const ends = [room.on("tick", changed), room.on("state", changed)];
  return () => ends.forEach((end) => end());
};

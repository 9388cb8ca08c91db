// The client without a memory: what its rooms tell, and what they do not ask for.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Client, text } from "../src/core.js";
import { data, events, FakeSocket, gap, here, settle, snapshot } from "./fake.js";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

test("events, values and directs are told, and nothing is kept or asked for", async () => {
  const client = new Client("ws://server/ws", { WebSocket: FakeSocket }).connect();
  const room = client.room("r", { event: text, value: text }).join();
  const heard: unknown[] = [];
  room.on("event", (event, member) => heard.push([member, event]));
  room.on("value", (key, value, owner, member) => heard.push([key, value, owner, member]));
  room.on("direct", (message) => heard.push(message));
  room.on("outcome", ({ is }) => heard.push(is));
  room.on("tick", (_, position) => heard.push(position));
  await settle();
  const socket = FakeSocket.last.open();
  // Publish and receive, without a list of members.
  expect(socket.written[1]![7]).toBe(3);
  socket
    .welcome()
    .joined()
    .receive(
      snapshot([2, 2, "a"]),
      data(2, 1, [[2, here("ann")]], { more: true }),
      events(1, "x"),
      data(1, 1, [
        [2, 2, ""],
        [2, 3, "r"],
      ]),
      data(3, 1, [[2, 0, "d"]]),
      gap(2, 5),
    );
  expect(heard).toEqual(["snapshot", [1, "a", 2, 2], 0, [2, "x"], [1, undefined, 2, 2], [1, "r", 0, 2], "d", 1, "gap"]);
  room.set(1, "v");
  expect(client.close()).toBe(0);
  expect(room.state).toBe("left");
});

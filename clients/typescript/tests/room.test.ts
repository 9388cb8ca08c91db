// What a room knows and tells, and what leaves it, against a socket that does what it is told (SPEC 5, 6, 8).

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Client, json, text, type Options, type RoomOptions, type TickwireError } from "../src/index.js";
import { queue } from "../src/queue.js";
import { answer, away, close, data, done, events, FakeSocket, gap, here, left, ping, refused, settle, snapshot } from "./fake.js";

let clients: Client[] = [];
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  FakeSocket.all = [];
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function inRoom(options: Options = {}, how: RoomOptions<string, string> = {}) {
  const client = new Client("ws://server/ws", { WebSocket: FakeSocket, ...options });
  clients.push(client);
  const errors: TickwireError[] = [];
  client.on("error", (error) => errors.push(error));
  const room = client.room("r", { event: text, value: text, ...how }).join();
  const heard: string[] = [];
  room.on("event", (event, member) => heard.push(`${member} ${event}`));
  room.on("value", (key, value, owner, member) => heard.push(`${owner}/${key} = ${value} by ${member}`));
  room.on("tick", (tick, position) => heard.push(`tick ${tick}, ${position}`));
  room.on("members", (members) =>
    heard.push([...members.values()].map(({ subject, away }) => subject + (away ? "?" : "")).join()),
  );
  client.connect();
  await settle();
  const socket = FakeSocket.last;
  socket.open().welcome().joined().receive(snapshot());
  socket.said();
  expect(room.state).toBe("joined");
  heard.length = 0;
  return { client, errors, room, heard, socket };
}

const again = async (socket: FakeSocket) => {
  socket.break();
  await vi.advanceTimersByTimeAsync(20_000);
  return FakeSocket.last.open();
};

describe("what comes", () => {
  test("a batch is told in order, and its end once", async () => {
    const { heard, socket } = await inRoom();
    socket.receive(
      data(
        2,
        1,
        [
          [2, here("ann")],
          [3, here("bob")],
        ],
        { more: true },
      ),
      data(
        0,
        1,
        [
          [2, "hi"],
          [1, "own"],
        ],
        { more: true },
      ),
      data(
        1,
        1,
        [
          [2, 8, "v"],
          [3, 9, "w"],
        ],
        { more: true },
      ),
      data(1, 1, [
        [2, 8, ""],
        [1, 10, "own"],
      ]),
      data(2, 1, [
        [3, left(200)],
        [2, away],
      ]),
      events(2, "next"),
    );
    expect(heard).toEqual([
      "2 hi",
      "2/4 = v by 2",
      "0/4 = w by 3",
      "2/4 = undefined by 2",
      "ann?",
      "tick 20, 1",
      "2 next",
      "tick 20, 2",
    ]);
  });

  test("a batch in two messages ends once, and a snapshot when it is whole", async () => {
    const { heard, socket } = await inRoom();
    socket.receive(data(0, 1, [[2, "a"]], { more: true }));
    socket.receive(data(0, 1, [[2, "b"]]), data(1, 1, [[2, 2, "v"]], { more: true }));
    socket.receive(data(1, 1, [[2, 4, "w"]]));
    expect(heard).toEqual(["2 a", "2 b", "2/1 = v by 2", "2/2 = w by 2", "tick 20, 1"]);
    heard.length = 0;
    socket.receive(gap(2, 1), data(4, 1, [[2, 2, "s"]], { more: true }));
    socket.receive(events(2, "c"));
    socket.receive(data(4, 1, []));
    expect(heard.filter((line) => !line.includes("="))).toEqual(["2 c", "tick 20, 2", "tick 20, 1"]);
  });

  test("own messages are shown to who asks for them", async () => {
    const { heard, socket } = await inRoom({}, { echo: true });
    socket.receive(data(0, 1, [[1, "own"]]), data(1, 1, [[1, 10, "own"]]));
    expect(heard).toEqual(["1 own", "1/5 = own by 1", "tick 20, 1"]);
  });

  test("nothing is told any more once a handler has left, and the rest is not lost where it only disconnected", async () => {
    const first = await inRoom();
    first.room.on("event", () => first.room.leave());
    first.socket.receive(events(1, "a", "b"), events(2, "c"));
    expect(first.heard).toEqual(["2 a"]);
    const { client, room, heard, socket } = await inRoom();
    const end = room.on("event", () => client.disconnect());
    socket.receive(events(1, "a", "b"));
    expect(heard).toEqual(["2 a"]);
    end();
    client.connect();
    await settle();
    FakeSocket.last
      .open()
      .welcome()
      .joined({ outcome: 1 })
      .receive(events(1, "a", "b"));
    expect(heard).toEqual(["2 a", "2 b", "tick 20, 1"]);
  });

  test("payloads are views on what was received, and what is kept is not", async () => {
    const client = new Client("ws://server/ws", { WebSocket: FakeSocket });
    clients.push(client);
    const room = client.room("r").join();
    const seen: Uint8Array[] = [];
    room.on("event", (event) => seen.push(event));
    client.connect();
    await settle();
    const batch = data(0, 1, [
      [2, "one"],
      [2, "two"],
    ]);
    FakeSocket.last
      .open()
      .welcome()
      .joined()
      .receive(batch, data(1, 1, [[2, 2, "kept"]]));
    expect(seen.map(String)).toEqual(["111,110,101", "116,119,111"]);
    expect(seen[0]!.buffer).toBe(seen[1]!.buffer);
    expect(room.latest(1)!.buffer.byteLength).toBe(4);
  });

  test("ticks are told in full", async () => {
    const { heard, socket, room } = await inRoom();
    expect(room.tick()).toBeCloseTo(10, 5);
    await vi.advanceTimersByTimeAsync(125);
    expect(room.tick()).toBeCloseTo(12.5, 5);
    socket.receive(data(0, 1, [[2, "old"]], { tick: 65_535 }), data(0, 2, [[2, "new"]], { tick: 13 }));
    expect(heard.filter((line) => line.startsWith("tick"))).toEqual(["tick -1, 1", "tick 13, 2"]);
  });

  test("positions that are missing, or come twice, are a broken server", async () => {
    for (const wrong of [3, 1, 0]) {
      const { errors, socket, client } = await inRoom();
      socket.receive(events(1, "a"), events(wrong, "b"));
      expect(errors.map(({ kind }) => kind)).toEqual(["protocol"]);
      expect(client.state).toBe("connecting");
      expect(socket.said().at(-1)).toMatchObject({ is: "close" });
    }
  });
});

describe("what is known", () => {
  test("the latest values, by key and by owner", async () => {
    const { room, socket } = await inRoom();
    socket.receive(
      data(1, 0, [
        [2, 2, "two"],
        [3, 2, "three"],
        [2, 4, "x"],
        [2, 3, "room"],
        [2, 2, "two again"],
      ]),
    );
    expect(room.latest(1)).toBe("room");
    expect([room.latest(1, 0), room.latest(1, 2), room.latest(1, 3), room.latest(1, 4)]).toEqual([
      "room",
      "two again",
      "three",
      undefined,
    ]);
    socket.receive(data(1, 0, [[3, 3, ""]]));
    expect(room.latest(1)).toBe("two again");
    expect([...room.values()]).toEqual([
      { key: 1, owner: 3, value: "three" },
      { key: 1, owner: 2, value: "two again" },
      { key: 2, owner: 2, value: "x" },
    ]);
  });

  test("a snapshot replaces them when it is whole, and not before", async () => {
    const { room, socket, heard } = await inRoom();
    socket.receive(
      data(1, 0, [
        [2, 2, "old"],
        [2, 4, "gone"],
      ]),
    );
    heard.length = 0;
    socket.receive(gap(1, 4), data(4, 4, [[2, 2, "new"]], { more: true }));
    expect([room.latest(1), room.latest(2)]).toEqual(["old", "gone"]);
    socket.receive(data(4, 4, [[3, 6, "more"]]));
    expect([room.latest(1), room.latest(2), room.latest(3)]).toEqual(["new", undefined, "more"]);
    expect(heard.filter((line) => line.includes("="))).toEqual(["2/2 = undefined by 2", "2/1 = new by 2", "3/3 = more by 3"]);
  });

  test("a snapshot that had begun before a gap is void", async () => {
    const { room, socket } = await inRoom();
    socket.receive(gap(1, 0), data(4, 0, [[2, 2, "void"]], { more: true }), gap(1, 2), data(4, 2, [[2, 4, "x"]]));
    expect([room.latest(1), room.latest(2)]).toEqual([undefined, "x"]);
  });

  test("who is here, from the list on", async () => {
    const { room, socket } = await inRoom();
    const members = () =>
      [...room.members.values()].map(({ member, subject, data, away }) => [member, subject, Buffer.from(data).toString(), away]);
    socket.receive(data(5, 0, [[2, here("ann", "blue")]], { more: true }));
    expect(members()).toEqual([]);
    socket.receive(
      data(5, 0, [
        [3, here("bob")],
        [3, away],
      ]),
    );
    expect(members()).toEqual([
      [2, "ann", "blue", false],
      [3, "bob", "", true],
    ]);
    socket.receive(
      data(2, 1, [
        [3, here("bob", "back")],
        [2, left(200)],
        [9, Uint8Array.of(77, 1, 2)],
      ]),
    );
    expect(members()).toEqual([[3, "bob", "back", false]]);
    expect(room.count).toBe(1);
    socket.receive(data(2, 2, [[0, Uint8Array.of(4, 99)]]));
    expect(room.count).toBe(99);
    // A state of a later version says nothing about how many there are.
    socket.receive(data(2, 3, [[0, Uint8Array.of(77)]]));
    expect(room.count).toBe(99);
  });

  test("values and members are the same objects until they change", async () => {
    const client = new Client("ws://server/ws", { WebSocket: FakeSocket });
    clients.push(client);
    const room = client.room("r", { value: json<{ x: number }>() }).join();
    client.connect();
    await settle();
    FakeSocket.last
      .open()
      .welcome()
      .joined()
      .receive(data(1, 0, [[2, 2, '{"x":1}']]));
    const first = room.latest(1);
    expect(first).toEqual({ x: 1 });
    expect(room.latest(1)).toBe(first);
  });
});

describe("what leaves", () => {
  const rest = (socket: FakeSocket) =>
    socket
      .said()
      .filter(({ is }) => is === "data")
      .map(({ rest, flags }) => [flags, Buffer.from(rest).toString("latin1")]);

  test("events, values, directs and deletions", async () => {
    const { room, socket } = await inRoom();
    expect(room.publish("e", { urgent: true })!.number).toBe(1);
    room.set(5, "v");
    room.set(5, "r", { room: true });
    room.delete(70);
    expect(room.send(3, "d")!.number).toBe(5);
    expect(rest(socket)).toEqual([
      [16, "\x01e"],
      [2, "\x01\x0av"],
      [2, "\x01\x0br"],
      [2, "\x01\x8c\x01"],
      [6, "\x01\x03d"],
    ]);
  });

  test("without a queue, what cannot leave is not silent", async () => {
    const { room, socket, client } = await inRoom();
    const lost: number[] = [];
    client.on("unconfirmed", (count) => lost.push(count));
    room.publish("under way");
    socket.bufferedAmount = 65_536;
    expect(() => room.publish("x")).toThrow("queue-full");
    expect(room.set(1, "x")).toBeUndefined();
    expect(room.publish("x", { policy: "drop" })).toBeUndefined();
    const next = await again(socket);
    expect(() => room.publish("x")).toThrow("queue-full");
    next.welcome({ resumed: true, accepted: 0 });
    expect(lost).toEqual([1]);
  });

  test("what is too large, or for a room that is left", async () => {
    const { room } = await inRoom();
    room.publish("x".repeat(15_360));
    expect(() => room.publish("x".repeat(15_361))).toThrow("too-large");
    room.leave();
    expect(() => room.publish("x")).toThrow("closed");
  });

  test("keys and members that are no such numbers are refused here", async () => {
    const { room, socket } = await inRoom();
    for (const wrong of [-1, 0.25, 0.5, NaN, Infinity, 2 ** 52]) {
      expect(() => room.set(wrong, "x")).toThrow(RangeError);
      expect(() => room.delete(wrong, { room: true })).toThrow(RangeError);
    }
    for (const wrong of [-1, 0.5, NaN, 2 ** 53]) expect(() => room.send(wrong, "x")).toThrow(RangeError);
    expect(socket.written).toEqual([]);
    room.set(2 ** 52 - 1, "x", { room: true });
    room.send(2 ** 53 - 1, "x");
    const largest = [255, 255, 255, 255, 255, 255, 255, 15, 120];
    expect(socket.said().map(({ rest }) => [...rest.subarray(1)])).toEqual([largest, largest]);
  });

  test("what was written and never accepted is told when it is over for good", async () => {
    for (const end of ["close", "CLOSE"]) {
      for (const options of [{}, { queue: queue() }]) {
        const { room, client, socket } = await inRoom(options);
        const told: unknown[] = [];
        client.on("unconfirmed", (count, messages) => told.push(count, ...messages));
        room.publish("a");
        const b = room.publish("b");
        socket.receive(ping(1));
        if (end === "close") client.close();
        else socket.receive(close(243));
        expect(client.state).toBe("closed");
        expect(told).toEqual("queue" in options ? [1, b] : [1]);
      }
    }
  });

  test("a refusal names the message", async () => {
    const { room, client, socket } = await inRoom({ queue: queue() });
    const told: unknown[] = [];
    client.on("refused", (error, message) => told.push([error.reason, error.number, error.room, message]));
    room.publish("a");
    const second = room.publish("b");
    socket.receive(refused(0, 105, 2));
    expect(told).toEqual([[105, 2, "r", second]]);
  });
});

describe("the queue", () => {
  test("sends again exactly what was not accepted, in order, and then what waited", async () => {
    const { room, socket } = await inRoom({ queue: queue() });
    for (const name of ["a", "b", "c"]) room.publish(name);
    socket.receive(ping(1));
    socket.break();
    room.publish("d");
    room.set(1, "x");
    room.publish("e");
    room.set(1, "y");
    room.set(2, "z");
    expect(room.publish("never", { policy: "drop" })).toBeUndefined();
    await vi.advanceTimersByTimeAsync(20_000);
    const next = FakeSocket.last.open();
    expect(next.written.length).toBe(2);
    const [, join] = next.said();
    next.welcome({ resumed: true, accepted: 2 });
    expect(next.events()).toEqual(["c"]);
    const { joined } = await import("./fake.js");
    next.receive(joined(join!.request, 1, { outcome: 1 }));
    expect(next.said().map(({ rest }) => Buffer.from(rest).toString())).toEqual(["\x01d", "\x01e", "\x01\x02y", "\x01\x04z"]);
  });

  test("hands over what may or may not have arrived", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    const told: unknown[] = [];
    client.on("unconfirmed", (count, messages) => told.push([count, ...messages]));
    const [, b] = [room.publish("a"), room.publish("b")];
    socket.receive(answer(0, { accepted: 1 }));
    const next = (await again(socket)).welcome();
    expect(told).toEqual([[1, b]]);
    next.joined();
    expect(next.events()).toEqual([]);
    expect(room.publish("c")!.number).toBe(1);
  });

  test("a refusal that comes again is not told again", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    const told: unknown[] = [];
    client.on("refused", ({ number }) => told.push(number));
    room.publish("a");
    room.publish("b");
    socket.receive(refused(0, 105, 1));
    (await again(socket)).welcome({ resumed: true, accepted: 2 }).receive(refused(0, 105, 1), refused(0, 105, 2));
    expect(told).toEqual([1, 2]);
  });

  /** What was said of messages: kind, key or member, and payload, of rooms, keys and members below 128. */
  const left = (socket: FakeSocket) =>
    socket
      .said()
      .filter(({ is }) => is === "data")
      .map(({ rest, flags }) => `${flags & 14} ${[...rest.subarray(1)].map((byte) => (byte < 32 ? byte : String.fromCharCode(byte))).join("")}`);

  test("keeps the latest of each kind, room, and key or member", async () => {
    const { room, socket } = await inRoom({ queue: queue() });
    socket.bufferedAmount = 65_536;
    room.send(1, "A", { policy: "latest" });
    room.send(2, "B", { policy: "latest" });
    room.publish("E", { policy: "latest" });
    room.publish("F", { policy: "latest", urgent: true });
    room.set(1, "own");
    room.set(1, "room's", { room: true });
    room.send(1, "C", { policy: "latest" });
    socket.bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(50);
    expect(left(socket)).toEqual(["6 2B", "0 F", "2 2own", "2 3room's", "6 1C"]);
  });

  test("what is older does not come behind what is newer, and drop overtakes nothing", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    socket.bufferedAmount = 65_536;
    room.set(1, "old");
    room.set(2, "old");
    room.set(1, "new", { policy: "reliable" });
    room.delete(2, { policy: "reliable" });
    room.set(3, "waits");
    // It has drained, but nobody has looked yet.
    socket.bufferedAmount = 0;
    expect(room.set(3, "x", { policy: "drop" })).toBeUndefined();
    expect(room.publish("x", { policy: "drop" })).toBeUndefined();
    await vi.advanceTimersByTimeAsync(50);
    expect(left(socket)).toEqual(["2 2new", "2 4", "2 6waits"]);
    expect(room.publish("y", { policy: "drop" })).toBeDefined();
    expect(left(socket)).toEqual(["0 y"]);
    expect(client.close()).toBe(0);
  });

  test("a full queue is looked at again before it refuses", async () => {
    const { room, socket } = await inRoom({ queue: queue({ messages: 1 }) });
    socket.bufferedAmount = 65_536;
    room.publish("a");
    expect(() => room.publish("b")).toThrow("queue-full");
    socket.bufferedAmount = 0;
    room.publish("b");
    expect(left(socket)).toEqual(["0 a", "0 b"]);
  });

  test("what waited and is too large for this server is refused here", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    const told: unknown[] = [];
    client.on("refused", (error, message) => told.push([error.kind, error.reason, error.room, message]));
    socket.break();
    const large = room.publish("x".repeat(10_000));
    room.publish("small");
    await vi.advanceTimersByTimeAsync(20_000);
    const next = FakeSocket.last.open().welcome({ message: 4_000 });
    next.joined();
    expect(told).toEqual([["refused", 236, "r", large]]);
    expect(next.events()).toEqual(["small"]);
    expect(client.state).toBe("connected");
  });

  test("a handler of that may end it", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    client.on("refused", () => client.disconnect());
    socket.break();
    room.publish("x".repeat(10_000));
    room.publish("small");
    await vi.advanceTimersByTimeAsync(20_000);
    const next = FakeSocket.last.open().welcome({ message: 4_000 });
    next.joined();
    expect([client.state, next.events(), client.close()]).toEqual(["disconnected", [], 1]);
  });

  test("goes on where nobody tells what was accepted", async () => {
    const { room, socket } = await inRoom({ queue: queue() });
    const next = (await again(socket)).welcome({ capabilities: 11 });
    next.joined();
    for (let i = 0; i < 6_000; i++) room.publish("x");
    const said = next.said().filter(({ is }) => is === "data");
    expect([said.length, said.filter(({ flags }) => flags & 32).length]).toEqual([6_000, 0]);
  });

  test("is bounded in messages and bytes, and says so", async () => {
    const { room, socket, client } = await inRoom({ queue: queue() });
    socket.bufferedAmount = 65_536;
    for (let i = 0; i < 1000; i++) room.publish("x");
    expect(() => room.publish("x")).toThrow("queue-full");
    const dropped: number[] = [];
    client.on("dropped", (messages) => dropped.push(messages.length));
    room.leave();
    expect(dropped).toEqual([1000]);
    const other = client.room("s", { event: text }).join();
    for (let i = 0; i < 17; i++) other.publish("x".repeat(15_000));
    expect(() => other.publish("x".repeat(15_000))).toThrow("queue-full");
    expect(client.close()).toBe(17);
    expect(dropped).toEqual([1000, 17]);
  });

  test("keeps what is not accepted within bounds, and asks in time", async () => {
    const { room, socket } = await inRoom({ queue: queue() });
    for (let i = 0; i < 5000; i++) room.publish("x");
    const said = socket.said();
    expect(said.length).toBe(4096);
    expect(said.filter(({ flags }) => flags & 32).length).toBe(16);
    socket.receive(ping(4000));
    expect(socket.said().filter(({ is }) => is === "data").length).toBe(904);
  });

  test("waits while the socket is full, and goes on when it has drained", async () => {
    const { room, socket } = await inRoom({ queue: queue() });
    socket.bufferedAmount = 65_536;
    room.publish("a");
    room.set(1, "b");
    expect(socket.written.length).toBe(0);
    socket.bufferedAmount = 65_535;
    await vi.advanceTimersByTimeAsync(50);
    expect(socket.written.length).toBe(2);
  });
});

describe("pausing", () => {
  test("asks for nothing, then for all; also after coming back", async () => {
    const { room, socket } = await inRoom();
    let paused = false;
    const asked = room.pause().then(() => (paused = true));
    const [receive] = socket.said();
    expect([...receive!.rest]).toEqual([1, 2, 1, 0]);
    await settle();
    expect(paused).toBe(false);
    socket.receive(done(receive!.request));
    await asked;
    const next = (await again(socket)).welcome({ resumed: true });
    next.joined({ outcome: 1 });
    expect(next.said().map(({ is, rest }) => [is, rest[1]])).toEqual([["receive", 2]]);
    void room.unpause();
    expect(next.said().map(({ is, rest }) => [is, rest[1]])).toEqual([["receive", 0]]);
  });

  test("a hidden page does so by itself", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
    vi.stubGlobal("document", page);
    vi.resetModules();
    const fresh = await import("../src/index.js");
    const client = new fresh.Client("ws://server/ws", { WebSocket: FakeSocket });
    clients.push(client);
    client.room("r").join();
    client.room("radio", { background: true }).join();
    client.connect();
    await settle();
    const socket = FakeSocket.last.open().welcome();
    socket.joined();
    socket.said();
    const turn = (state: string) => {
      page.visibilityState = state;
      page.dispatchEvent(new Event("visibilitychange"));
      return socket.said().map(({ is, rest }) => [is, rest[0], rest[1]]);
    };
    expect(turn("hidden")).toEqual([["receive", 1, 2]]);
    expect(turn("hidden")).toEqual([]);
    expect(turn("visible")).toEqual([["receive", 1, 0]]);
  });
});

describe("what goes wrong", () => {
  test("a handler that throws is an error, and nothing else", async () => {
    const { room, errors, heard, socket } = await inRoom();
    const bad = new Error("mine");
    room.on("event", () => {
      throw bad;
    });
    socket.receive(events(1, "a", "b"));
    expect(heard).toEqual(["2 a", "2 b", "tick 20, 1"]);
    expect(errors.map(({ kind, cause, room }) => [kind, cause, room])).toEqual([
      ["handler", bad, "r"],
      ["handler", bad, "r"],
    ]);
  });

  test("what a codec cannot read is an error, and nothing else", async () => {
    const { client, errors } = await inRoom();
    const room = client.room("s", { event: json(), value: json() }).join();
    const seen: unknown[] = [];
    room.on("event", (event) => seen.push(event));
    room.on("value", (key, value) => seen.push([key, value]));
    const socket = FakeSocket.last.joined();
    const other = { room: 102 };
    socket.receive(
      data(
        0,
        1,
        [
          [2, "{"],
          [2, "7"],
        ],
        other,
      ),
      data(1, 1, [[2, 2, "["]], other),
    );
    expect(seen).toEqual([7, [1, undefined]]);
    expect(errors.map(({ kind }) => kind)).toEqual(["handler", "handler"]);
    expect([...room.values()]).toEqual([]);
  });

  test("an error that nobody hears is said aloud, and a handler of errors that throws ends there", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    const { client, socket } = await inRoom();
    client.on("error", () => {
      throw new Error("again");
    });
    socket.receive(Uint8Array.of(1, 0, 0));
    expect(said).toHaveBeenCalledTimes(1);
  });

  test("text, garbage and half frames are a broken server", async () => {
    for (const message of [
      "text",
      Uint8Array.of(2),
      Uint8Array.of(2, 0, 9, 0, 4),
      Uint8Array.of(1, 0, 1, 0, 128),
      Uint8Array.of(2, 0, 3, 0, 2, 1, 0),
    ]) {
      const { client, errors, socket } = await inRoom();
      socket.onmessage!({ data: typeof message === "string" ? message : message.buffer });
      expect(errors.map(({ kind, reason }) => [kind, reason])).toEqual([["protocol", 201]]);
      expect(client.state).toBe("connecting");
    }
  });

  test("whatever comes, nothing is thrown", async () => {
    vi.spyOn(Math, "random").mockRestore();
    // A generator of our own, so that a run that fails can be had again.
    let seed = 1;
    const random = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n;
    const { client, errors } = await inRoom({ inflate: (await import("../src/inflate.js")).inflate, queue: queue() });
    const sound = [
      events(1, "a"),
      snapshot([2, 2, "x"]),
      data(5, 0, [[2, here("ann")]]),
      gap(1, 0),
      ping(),
      close(5),
      done(1),
      answer(5),
    ];
    for (let i = 0; i < 2_000; i++) {
      if (client.state !== "connected") {
        await vi.advanceTimersByTimeAsync(60_000);
        if (client.state === "connecting") FakeSocket.last.open().welcome().joined();
      }
      const bytes = sound[random(sound.length)]!.slice();
      for (let n = random(3); n >= 0; n--) bytes[random(3) ? 3 + random(bytes.length - 3) : random(bytes.length)] = random(256);
      FakeSocket.last.receive(bytes);
      if (client.state === "closed") break;
      FakeSocket.all.splice(0, FakeSocket.all.length - 1);
    }
    expect(errors.length).toBeGreaterThan(50);
    expect(errors.every(({ kind }) => kind === "protocol" || kind === "version")).toBe(true);
  });

  test("what a server can make a client hold is bounded", async () => {
    const { errors, socket, client } = await inRoom();
    const big = new Uint8Array(60_000);
    let frames = 0;
    for (; client.state === "connected" && frames < 400; frames++)
      socket.receive(data(4, 0, [[2, frames * 2, big]], { more: true }));
    expect(frames).toBe(Math.floor((16 << 20) / 60_064) + 1);
    expect(errors.map(({ kind }) => kind)).toEqual(["protocol"]);
  });
});

// States, attempts, tokens and coming back, against a socket that does what it is told (SPEC 1 to 4).

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { address } from "../src/backoff.js";
import { Client, text, type Options, type Outcome, type TickwireError } from "../src/index.js";
import { queue } from "../src/queue.js";
import { renew } from "../src/renew.js";
import { counted, frame, utf8 } from "../src/wire.js";
import {
  answer,
  close,
  data,
  done,
  events,
  FakeSocket,
  gap,
  goingAway,
  joined,
  leftBy,
  ping,
  refused,
  settle,
  snapshot,
} from "./fake.js";

let clients: Client[] = [];
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  FakeSocket.all = [];
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  expect(vi.getTimerCount(), "a closed client has no timers").toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function start(options: Options = {}) {
  const client = new Client("ws://server:1/ws", { WebSocket: FakeSocket, ...options });
  clients.push(client);
  const told: string[] = [];
  const errors: TickwireError[] = [];
  client.on("state", ({ to, reason }) => told.push(reason ? `${to} ${reason}` : to));
  client.on("error", (error) => errors.push(error));
  client.connect();
  await settle();
  return { client, told, errors, socket: FakeSocket.last };
}

/** A client in a room, and what that tells. */
async function inRoom(options: Options = {}) {
  const all = await start(options);
  const room = all.client.room("r", { event: text, value: text }).join();
  const heard: string[] = [];
  const outcomes: Outcome[] = [];
  room.on("event", (event, member) => heard.push(`${member} ${event}`));
  room.on("outcome", (outcome) => outcomes.push(outcome));
  all.socket.open().welcome().joined().receive(snapshot());
  expect(room.state).toBe("joined");
  return { ...all, room, heard, outcomes };
}

/** The connection breaks, and another one is there. */
async function again(socket: FakeSocket, wait = 20_000): Promise<FakeSocket> {
  socket.break();
  await vi.advanceTimersByTimeAsync(wait);
  expect(FakeSocket.last).not.toBe(socket);
  return FakeSocket.last.open();
}

/** Time goes by, and the server is there. */
async function peace(socket: FakeSocket, ms: number): Promise<void> {
  for (; ms > 0; ms -= 10_000) {
    await vi.advanceTimersByTimeAsync(Math.min(ms, 10_000));
    socket.receive(ping());
  }
}

describe("attempts", () => {
  test("say hello with what the client can do", async () => {
    const { socket, client } = await start({ token: "a.b.c", inflate: () => new Uint8Array() });
    expect([socket.url, socket.protocols]).toEqual(["ws://server:1/ws", ["tickwire.v1"]]);
    const [hello] = socket.open().said();
    expect(hello!.is).toBe("hello");
    expect([...hello!.rest]).toEqual([47, 0, 0, 1, 5, ...utf8("a.b.c")]);
    expect(client.state).toBe("connecting");
  });

  test("have ten seconds", async () => {
    const { told, socket } = await start();
    socket.open();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(socket.readyState).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.readyState).toBe(3);
    expect(told).toEqual(["connecting"]);
  });

  test("are made with growing pauses, and from the beginning after five seconds of peace", async () => {
    await start();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      FakeSocket.last.break();
      const from = performance.now();
      const count = FakeSocket.all.length;
      while (FakeSocket.all.length === count) await vi.advanceTimersToNextTimerAsync();
      waits.push(performance.now() - from);
    }
    expect(waits).toEqual([750, 1000, 1500, 2500, 4500, 8500, 10500, 10500]);
    FakeSocket.last.open().welcome();
    await vi.advanceTimersByTimeAsync(5_000);
    FakeSocket.last.break();
    const count = FakeSocket.all.length;
    await vi.advanceTimersByTimeAsync(749);
    expect(FakeSocket.all.length).toBe(count);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all.length).toBe(count + 1);
  });

  test("are made later where the server says so, at the address that it says", async () => {
    const { told, socket } = await start();
    socket.open().receive(close(101, 4, 2, Uint8Array.of(0x88, 0x27), 6, ...counted(utf8("other:9"))));
    expect(told).toEqual(["connecting"]);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(FakeSocket.last).toBe(socket);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.last.url).toBe("ws://other:9/ws");
    await again(FakeSocket.last);
    expect(FakeSocket.last.url).toBe("ws://server:1/ws");
    FakeSocket.last.receive(close(101, 6, ...counted(utf8("wss://third/x"))));
    await vi.advanceTimersByTimeAsync(14_999);
    expect(FakeSocket.last.url).toBe("ws://server:1/ws");
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.last.url).toBe("wss://third/x");
  });

  test("go to a told host with the port that is known, and never where TLS is given up", () => {
    const told = (to: string, url: string) => address({ 6: utf8(to) }, url);
    expect(told("b.example", "ws://a:7070/ws?x=1")).toBe("ws://b.example:7070/ws?x=1");
    expect(told("[::1]", "ws://[::2]:7070/ws")).toBe("ws://[::1]:7070/ws");
    expect(told("b.example:9", "wss://a/ws")).toBe("wss://b.example:9/ws");
    expect(told("wss://b/x", "wss://a/ws")).toBe("wss://b/x");
    expect(told("wss://b/x", "ws://a/ws")).toBe("wss://b/x");
    expect(told("ws://b/x", "wss://a/ws")).toBe("");
    expect(told("", "no URL at all")).toBe("");
  });

  test("end with reasons that say so", async () => {
    for (const reason of [200, 243, 299, 960, 999]) {
      const { told, socket, client } = await start();
      socket.open().receive(close(reason));
      expect(told).toEqual(["connecting", `closed ${reason}`]);
      expect(() => client.connect()).toThrow("closed");
    }
    for (const reason of [1, 99, 100, 199, 300, 900, 929, 930, 959, 5000]) {
      const { client, socket } = await start();
      socket.open().receive(close(reason));
      expect(client.state, `${reason}`).toBe("connecting");
      client.close();
    }
  });

  test("end with what a close frame says, where no CLOSE came", async () => {
    const { told, socket } = await start();
    socket.open().break(4243);
    expect(told).toEqual(["connecting", "closed 243"]);
  });

  test("end where another version is spoken", async () => {
    const { told, errors, socket } = await start();
    socket.open().receive(close(207, 8, 2, Uint8Array.of(2, 2)));
    expect(told).toEqual(["connecting", "closed 207"]);
    expect(errors.map(({ kind }) => kind)).toEqual(["version"]);
  });

  test("end where the address is none", async () => {
    class Picky extends FakeSocket {
      constructor() {
        super("", []);
        throw new SyntaxError("not a URL");
      }
    }
    const { told, errors } = await start({ WebSocket: Picky });
    expect(told).toEqual(["connecting", "closed"]);
    expect(errors[0]!.kind).toBe("connect");
    expect(errors[0]!.cause).toBeInstanceOf(SyntaxError);
  });

  test("a wait that no timer can hold is long, not none", async () => {
    const { socket } = await start();
    socket.open().receive(close(101, 4, 7, Uint8Array.of(255, 255, 255, 255, 255, 255, 15)));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.last).toBe(socket);
  });
});

describe("life", () => {
  test("a server that is silent for too long is left", async () => {
    const { client, socket } = await start();
    socket.open().welcome({ ping: 500 });
    await vi.advanceTimersByTimeAsync(5_999);
    expect(client.state).toBe("connected");
    await vi.advanceTimersByTimeAsync(2);
    expect(client.state).toBe("connecting");
  });

  test("a timer that stood still asks first", async () => {
    const { client, socket } = await start();
    socket.open().welcome({ ping: 500 });
    socket.said();
    // The machine slept: time went on, timers did not.
    const asleep = performance.now() + 3_600_000;
    vi.spyOn(performance, "now").mockImplementation(() => asleep);
    await vi.advanceTimersByTimeAsync(500);
    expect(client.state).toBe("connected");
    expect(socket.said().map(({ is }) => is)).toContain("ping");
  });

  test("a timer that is late again and again does not keep a dead server alive", async () => {
    const { client, socket } = await start();
    socket.open().welcome({ ping: 500 });
    await vi.advanceTimersByTimeAsync(1_600);
    let time = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => time);
    // A hidden tab, whose timers come once a minute.
    time += 60_000;
    await vi.advanceTimersToNextTimerAsync();
    expect(client.state).toBe("connected");
    time += 60_000;
    await vi.advanceTimersToNextTimerAsync();
    expect(client.state).toBe("connecting");
  });

  test("whoever heard something in between is asked again", async () => {
    const { client, socket } = await start();
    socket.open().welcome({ ping: 500 });
    await vi.advanceTimersByTimeAsync(1_600);
    let time = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => time);
    for (let i = 0; i < 3; i++) {
      time += 60_000;
      await vi.advanceTimersToNextTimerAsync();
      expect(client.state).toBe("connected");
      socket.receive(ping());
    }
  });

  test("a server that asks without end and takes no answer is a broken one", async () => {
    const { client, errors, socket } = await start();
    socket.open().welcome();
    socket.said();
    socket.bufferedAmount = 1 << 21;
    socket.receive(ping());
    expect(socket.said().map(({ is }) => is)).toEqual(["answer"]);
    socket.bufferedAmount++;
    socket.receive(ping());
    expect(socket.said().map(({ is }) => is)).toEqual(["close"]);
    expect([client.state, errors.map(({ kind }) => kind)]).toEqual(["connecting", ["protocol"]]);
  });

  test("four pings in two seconds, then one in ten; the best of eight samples counts", async () => {
    const { client, socket } = await start();
    socket.open().welcome({ time: 1_000_000 });
    socket.said();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(socket.said().length).toBe(3);
    const sample = (rtt: number, ahead: number) => {
      const t3 = performance.now() * 1000;
      const t0 = t3 - rtt * 1000;
      socket.receive(answer(Math.floor(t0), { received: Math.floor(t0 + rtt * 500 + ahead * 1000) }));
    };
    sample(100, 5_000);
    expect(client.rtt).toBeCloseTo(100, 1);
    expect(client.serverTime()).toBeCloseTo(performance.now() + 5_000, 0);
    sample(10, 6_000);
    for (let i = 0; i < 7; i++) sample(50, 9_000);
    expect(client.serverTime()).toBeCloseTo(performance.now() + 6_000, 0);
    const before = client.serverTime();
    // The best one falls out of the eight, and the clock would go backward.
    for (let i = 0; i < 8; i++) sample(20, 0);
    expect(client.serverTime()).toBe(before);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(socket.said().map(({ is }) => is)).toEqual(["ping"]);
  });

  test("pings are answered with what the application has taken", async () => {
    const { socket, room } = await inRoom();
    let inside = -1;
    socket.said();
    const batch = events(1, "x".repeat(90));
    socket.receive(ping());
    const consumed = socket.said().at(-1)!.rest;
    room.on("event", () => (inside = socket.written.length));
    socket.receive(batch, ping());
    const after = socket.said().at(-1)!.rest;
    const read = (bytes: Uint8Array) => (bytes[1]! & 127) | (bytes[2]! << 7);
    expect(read(after) - read(consumed)).toBe(batch.length + ping().length);
    expect(inside).toBe(0);
  });

  test("disconnect says goodbye, close is for good", async () => {
    const { client, socket, told, room } = await inRoom();
    socket.said();
    client.disconnect();
    expect(socket.said().map(({ is, rest }) => [is, ...rest])).toEqual([["close", 200, 1]]);
    expect(room.state).toBe("joining");
    client.connect();
    await settle();
    // Neither the session nor its resume token goes on, but the room does.
    expect(
      FakeSocket.last
        .open()
        .said()
        .map(({ is, rest }) => [is, rest.length]),
    ).toEqual([
      ["hello", 3],
      ["join", 15],
    ]);
    client.close();
    expect(told).toEqual(["connecting", "connected", "disconnected", "connecting", "closed"]);
    expect(room.state).toBe("left");
    expect(() => room.publish("x")).toThrow("closed");
    expect(() => room.join()).toThrow("closed");
  });
});

describe("tokens", () => {
  const token = (seconds: number) => `x.${btoa(JSON.stringify({ exp: Date.now() / 1000 + seconds }))}.x`;

  test("a callback that fails is an attempt that failed", async () => {
    const ask = vi.fn().mockRejectedValueOnce(new Error("offline")).mockResolvedValue("t");
    const { errors } = await start({ token: ask });
    expect([errors[0]!.kind, FakeSocket.all.length]).toEqual(["token", 0]);
    await vi.advanceTimersByTimeAsync(750);
    expect(FakeSocket.all.length).toBe(1);
  });

  test("a callback that gives nothing ends it", async () => {
    const { told } = await start({ token: async () => null });
    expect(told).toEqual(["connecting", "closed 241"]);
  });

  test("a refused token is replaced once", async () => {
    const { told, socket } = await start({ token: async () => "t" });
    socket.open().receive(close(242));
    await settle();
    expect(FakeSocket.all.length).toBe(2);
    FakeSocket.last.open().receive(close(241));
    expect(told).toEqual(["connecting", "closed 241"]);
  });

  test("a token is renewed in time, and again where that was refused", async () => {
    const ask = vi.fn(async () => token(100));
    const { errors, socket } = await start({ token: ask, renew });
    socket.open().welcome();
    socket.said();
    await peace(socket, 74_999);
    expect(ask).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    const asked = () => socket.said().find(({ is }) => is === "token")!;
    socket.receive(refused(asked().request, 110));
    expect(errors.map(({ kind, reason }) => [kind, reason])).toEqual([["token", 110]]);
    await vi.advanceTimersByTimeAsync(750);
    socket.receive(done(asked().request));
    expect(ask).toHaveBeenCalledTimes(3);
    await peace(socket, 74_999);
    expect(ask).toHaveBeenCalledTimes(3);
    await vi.advanceTimersByTimeAsync(1);
    expect(ask).toHaveBeenCalledTimes(4);
  });

  test("disconnecting while the callback takes its time ends the attempt", async () => {
    let give = (_: string) => {};
    const { client } = await start({ token: () => new Promise<string>((done) => (give = done)) });
    client.disconnect();
    give("late");
    await settle();
    expect(FakeSocket.all.length).toBe(0);
  });
});

describe("coming back", () => {
  test("offers the session and the last position, and is told once what is known", async () => {
    const { socket, heard, outcomes, room } = await inRoom();
    socket.receive(events(1, "a"), events(2, "b"));
    const next = await again(socket);
    const [hello, join] = next.said();
    expect(Buffer.from(hello!.rest).toString()).toContain("resume-1");
    // handle, mode, name, then since: epoch and position
    expect([...join!.rest]).toEqual([1, 7, 1, 114, 4, 9, 1, 2, 3, 4, 5, 6, 7, 8, 2]);
    next.welcome({ resumed: true });
    expect(room.state).toBe("joining");
    next.receive(joined(join!.request, 1, { outcome: 1, position: 2 }), events(3, "c"));
    expect(heard).toEqual(["2 a", "2 b", "2 c"]);
    expect(outcomes).toEqual([{ is: "snapshot" }, { is: "recovered" }]);
  });

  test("a batch that was shown in part goes on where it broke off", async () => {
    const { socket, heard } = await inRoom();
    socket.receive(
      data(
        0,
        1,
        [
          [2, "a"],
          [2, "b"],
        ],
        { more: true },
      ),
    );
    const next = (await again(socket)).welcome({ resumed: true });
    next.joined({ outcome: 1, position: 0 });
    next.receive(
      data(0, 1, [[2, "a"]], { more: true }),
      data(0, 1, [
        [2, "b"],
        [2, "c"],
      ]),
    );
    expect(heard).toEqual(["2 a", "2 b", "2 c"]);
  });

  test("a gap is told with its bounds; another life of the room is a snapshot", async () => {
    const { socket, outcomes } = await inRoom();
    socket.receive(events(1, "a"));
    const next = (await again(socket)).welcome().joined({ outcome: 2, position: 7 });
    expect(outcomes.at(-1)).toEqual({ is: "gap", from: 2, to: 7 });
    next.receive(gap(8, 9));
    expect(outcomes.at(-1)).toEqual({ is: "gap", from: 8, to: 9 });
    next.receive(gap(10, 9));
    expect(outcomes.at(-1)).toEqual({ is: "snapshot" });
    (await again(next)).welcome().joined({ outcome: 2, epoch: Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9) });
    expect(outcomes.at(-1)).toEqual({ is: "snapshot" });
    expect(outcomes.length).toBe(5);
  });

  test("a room that is behind what is known of it has begun another life", async () => {
    const { socket, outcomes, room } = await inRoom();
    socket.receive(events(1, "a"), events(2, "b"), events(3, "c"));
    (await again(socket)).welcome().joined({ outcome: 2, position: 1 });
    expect(outcomes.at(-1)).toEqual({ is: "snapshot" });
    expect(room.position).toBe(1);
  });

  test("own messages of the session before stay hidden while they are replayed", async () => {
    const { socket, heard } = await inRoom();
    const next = (await again(socket)).welcome().joined({ outcome: 1, member: 9 });
    next.receive(
      data(0, 1, [
        [1, "mine, before"],
        [2, "theirs"],
        [9, "mine, now"],
      ]),
    );
    next.receive(snapshot());
    next.receive(data(0, 2, [[1, "somebody else's by now"]]));
    expect(heard).toEqual(["2 theirs", "1 somebody else's by now"]);
  });

  test("directs come once, also where they come again", async () => {
    const { socket, room } = await inRoom();
    const heard: string[] = [];
    room.on("direct", (message, member, answers) => heard.push(`${member} ${message} ${answers}`));
    socket.receive(
      data(3, 1, [
        [2, 0, "a"],
        [3, 7, "b"],
      ]),
    );
    const next = await again(socket);
    const { rest } = next.said()[0]!;
    expect(rest.at(-1)).toBe(2);
    next.welcome({ resumed: true }).receive(
      data(3, 2, [
        [3, 7, "b"],
        [2, 0, "c"],
      ]),
    );
    expect(heard).toEqual(["2 a 0", "3 b 7", "2 c 0"]);
  });

  test("directs that come before the answer that names their room wait for it", async () => {
    const { client, socket, errors } = await start();
    const room = client.room("r", { event: text }).join();
    const heard: string[] = [];
    room.on("state", ({ to }) => heard.push(to));
    room.on("direct", (message, member, answers) => heard.push(`${member} ${message} ${answers}`));
    // The answer to the join is lost with the connection.
    socket.open().welcome();
    let next = await again(socket);
    next.welcome({ resumed: true }).receive(data(3, 1, [[2, 0, "a"]]), data(3, 2, [[3, 7, "b"]]));
    expect([client.state, heard]).toEqual(["connected", []]);
    next = (await again(next)).welcome({ resumed: true });
    next.joined();
    expect(heard).toEqual(["joined", "2 a 0", "3 b 7"]);
    next.receive(data(3, 3, [[2, 0, "c"]]));
    expect(heard.at(-1)).toBe("2 c 0");
    expect(errors).toEqual([]);
  });

  test("not more than 256 of them wait, and none for another session", async () => {
    const { client, socket, errors } = await start();
    const room = client.room("r", { event: text }).join();
    const heard: string[] = [];
    room.on("direct", (message) => heard.push(message));
    socket.open().welcome();
    let next = (await again(socket)).welcome({ resumed: true });
    for (let i = 1; i <= 256; i++) next.receive(data(3, i, [[2, 0, "x"]]));
    expect([client.state, errors]).toEqual(["connected", []]);
    next.receive(data(3, 257, [[2, 0, "x"]]));
    expect([client.state, errors.map(({ kind }) => kind)]).toEqual(["connecting", ["protocol"]]);
    await vi.advanceTimersByTimeAsync(20_000);
    FakeSocket.last.open().welcome().joined();
    expect(heard).toEqual([]);
  });

  test("going away to an address that cannot be made is a broken connection, not the end", async () => {
    const client = new Client("/relative", { WebSocket: FakeSocket }).connect();
    clients.push(client);
    await settle();
    const socket = FakeSocket.last.open().welcome();
    const told = counted(utf8("other"));
    socket.receive(frame(2, 0, 9, 0, 3_000, 10_000, 6, ...told));
    expect(client.state).toBe("connecting");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(FakeSocket.last).not.toBe(socket);
  });

  test("what comes behind the notice that a server goes away is not shown, and no error", async () => {
    const { client, socket, room, heard, errors, outcomes } = await inRoom();
    socket.receive(events(1, "a"), goingAway(3_000), events(2, "b"));
    socket.receive(events(3, "c"), gap(4, 5));
    socket.receive(Uint8Array.of(1, 0, 0));
    expect([heard, errors, outcomes.length]).toEqual([["2 a"], [], 1]);
    expect([client.state, room.state, room.position]).toEqual(["connecting", "joining", 1]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(FakeSocket.all.length).toBe(2);
  });

  test("going away: hears what is under way, and comes back when it was told", async () => {
    const { client, socket, room, told } = await inRoom({ queue: queue() });
    room.publish("x");
    socket.said();
    socket.receive(goingAway(3_000));
    expect(socket.said().map(({ is }) => is)).toEqual(["ping", "close"]);
    expect([client.state, room.state]).toEqual(["connecting", "joining"]);
    // The message was too late: it leaves again.
    socket.receive(refused(0, 100, 1), close(200));
    socket.break();
    await vi.advanceTimersByTimeAsync(2_999);
    expect(FakeSocket.last).toBe(socket);
    await vi.advanceTimersByTimeAsync(1);
    const next = FakeSocket.last.open().welcome();
    next.joined();
    expect(next.events()).toEqual(["x"]);
    expect(told).toEqual(["connecting", "connected", "connecting 100", "connected"]);
  });
});

describe("handlers that end it", () => {
  /** What may happen to a client, each with the state that it tells last. */
  const ends: [string, (client: Client) => void][] = [
    ["closed", (client) => client.close()],
    ["disconnected", (client) => client.disconnect()],
  ];
  const happens: [string, (socket: FakeSocket) => void][] = [
    ["a break", (socket) => socket.break()],
    ["garbage", (socket) => socket.receive(Uint8Array.of(1))],
    ["going away", (socket) => socket.receive(goingAway(1000))],
    ["a reason", (socket) => socket.receive(close(101))],
  ];
  for (const [state, end] of ends) {
    for (const [what, happen] of happens) {
      for (const where of what === "garbage" ? ["room", "client", "error"] : ["room", "client"]) {
        test(`${what}, ${state} by a handler of the ${where}`, async () => {
          const { client, room, socket } = await inRoom();
          if (where === "room") room.on("state", ({ to }) => to === "joining" && end(client));
          if (where === "client") client.on("state", ({ to }) => to === "connecting" && end(client));
          if (where === "error") client.on("error", () => end(client));
          happen(socket);
          expect(client.state).toBe(state);
          const sockets = FakeSocket.all.length;
          await vi.advanceTimersByTimeAsync(60_000);
          expect([client.state, FakeSocket.all.length]).toEqual([state, sockets]);
        });
      }
    }
  }

  test("connecting, closed by a handler", async () => {
    const client = new Client("ws://server/ws", { WebSocket: FakeSocket });
    client.on("state", () => client.close());
    client.connect();
    await settle();
    expect([client.state, FakeSocket.all.length]).toEqual(["closed", 0]);
  });
});

describe("rooms", () => {
  test("a refused join is tried again where the reason allows it, and over where not", async () => {
    const { client, socket } = await start();
    const room = client.room("r").join();
    socket.open().welcome();
    const join = () => socket.said().find(({ is }) => is === "join")!;
    socket.receive(refused(join().request, 104, 0, 3_000));
    await vi.advanceTimersByTimeAsync(2_999);
    expect(join()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    socket.receive(refused(join().request, 6));
    await vi.advanceTimersByTimeAsync(1_000);
    socket.receive(refused(join().request, 240));
    expect([room.state, room.reason]).toEqual(["left", 240]);
  });

  test("a list of members that is too long is not asked for again", async () => {
    const { client, socket } = await start();
    client.room("r").join();
    socket.open().welcome();
    const join = () => socket.said().find(({ is }) => is === "join")!;
    const first = join();
    expect(first.rest[1]).toBe(7);
    socket.receive(refused(first.request, 223));
    await vi.advanceTimersByTimeAsync(1);
    expect(join().rest[1]).toBe(3);
  });

  test("leaving wins over the answer to the join, and what comes until LEFT is not shown", async () => {
    const { client, socket, errors } = await start();
    const room = client.room("r", { event: text }).join();
    const told: string[] = [];
    room.on("state", ({ to }) => told.push(to));
    room.on("event", (event) => told.push(event));
    socket.open().welcome();
    room.leave();
    const said = socket.said();
    expect(said.map(({ is }) => is)).toEqual(["hello", "join", "ping", "leave"]);
    socket.receive(joined(said[1]!.request, 1), events(1, "unseen"));
    socket.receive(leftBy(said[3]!.request, 1, 200));
    expect(told).toEqual(["left"]);
    expect(errors).toEqual([]);
    room.join();
    expect(socket.said()[0]!.rest[0]).toBe(2);
  });

  test("a handler may join again what is left, by the application or by the server", async () => {
    for (const end of ["leave", "LEFT"]) {
      const { socket, room, heard, errors, client } = await inRoom({ queue: queue() });
      const dropped: unknown[] = [];
      client.on("dropped", (messages) => dropped.push(...messages));
      let next: unknown;
      const off = room.on("state", ({ to }) => {
        if (to !== "left") return;
        room.join();
        next = room.publish("new");
      });
      socket.said();
      socket.bufferedAmount = 65_536;
      const waits = room.publish("old");
      if (end === "leave") room.leave();
      else socket.receive(leftBy(0, 1, 240));
      off();
      socket.bufferedAmount = 0;
      const said = socket.said();
      expect(said.map(({ is, rest }) => [is, rest[0]])).toEqual([...(end === "leave" ? [["leave", 1]] : []), ["join", 2]]);
      expect(dropped).toEqual([waits]);
      socket.receive(joined(said.at(-1)!.request, 2), data(0, 1, [[2, "hi"]], { room: 102 }));
      expect([room.state, heard, errors]).toEqual(["joined", ["2 hi"], []]);
      expect([(next as { number: number }).number, socket.events()]).toEqual([1, ["new"]]);
    }
  });

  test("the server ends a membership", async () => {
    const { socket, room } = await inRoom();
    socket.receive(leftBy(0, 1, 7));
    expect([room.state, room.reason]).toEqual(["joining", 7]);
    await vi.advanceTimersByTimeAsync(1_000);
    socket.joined({ outcome: 1 });
    expect(room.state).toBe("joined");
    socket.receive(leftBy(0, 1, 243));
    expect([room.state, room.reason]).toEqual(["left", 243]);
  });

  test("what is wanted before the socket is open is asked for once, behind the hello", async () => {
    const { client, socket } = await start();
    client.room("a").join();
    client.room("b").join().leave();
    const said = socket.open().said();
    expect(said.map(({ is, request }) => [is, request])).toEqual([
      ["hello", 1],
      ["join", 2],
    ]);
  });

  test("a room that was left while the connection was broken is left in the session that goes on", async () => {
    const { socket, room } = await inRoom();
    socket.break();
    room.leave();
    room.join();
    await vi.advanceTimersByTimeAsync(20_000);
    const said = FakeSocket.last.open().said();
    expect(said.map(({ is, rest }) => [is, rest[0]])).toEqual([
      ["hello", 43],
      ["leave", 1],
      ["join", 2],
    ]);
    // Another life of the room: nothing is known of it.
    expect(said[2]!.rest.length).toBe(4);
  });
});

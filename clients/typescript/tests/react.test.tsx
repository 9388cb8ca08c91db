// @vitest-environment jsdom
// The hooks, under StrictMode: what they show, and how often they draw.

import { act, StrictMode, useEffect, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Client, text } from "../src/index.js";
import { TickwireProvider, useConnection, useEvent, useLatest, usePresence, useRoom } from "../src/react.js";
import { close, data, events, FakeSocket, gap, here, joined, left, settle, snapshot } from "./fake.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

const options = { event: text, value: text };
let client: Client;
let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  client = new Client("ws://server/ws", { WebSocket: FakeSocket });
  page = document.createElement("div");
  root = createRoot(page);
});
afterEach(async () => {
  await act(async () => root.unmount());
  client.close();
  vi.useRealTimers();
});

const show = (children: ReactNode) =>
  act(async () => {
    root.render(
      <StrictMode>
        <TickwireProvider client={client}>{children}</TickwireProvider>
      </StrictMode>,
    );
    await settle();
  });

/** The server answers; the room `r` is joined. */
const enter = () =>
  act(async () => {
    FakeSocket.last.open().welcome().joined().receive(snapshot());
  });

const receive = (...frames: Uint8Array[]) => act(async () => FakeSocket.last.receive(...frames));

test("StrictMode connects once, joins once, and leaves when nobody looks any more", async () => {
  function Board() {
    const room = useRoom("r", options);
    return <i>{`${useConnection().state} ${room.state}`}</i>;
  }
  await show([<Board key={1} />, <Board key={2} />]);
  expect(FakeSocket.all.length).toBe(1);
  expect(page.textContent).toBe("connecting joiningconnecting joining");
  await act(async () => void FakeSocket.last.open());
  expect(FakeSocket.last.written.length).toBe(2);
  await act(async () => FakeSocket.last.welcome().joined().receive(snapshot()));
  expect(page.textContent).toBe("connected joinedconnected joined");
  await show(<Board key={1} />);
  await act(() => vi.advanceTimersByTimeAsync(10));
  expect(client.room("r").state).toBe("joined");
  await show(null);
  await act(() => vi.advanceTimersByTimeAsync(10));
  expect(client.room("r").state).toBe("left");
  await act(async () => root.render(null));
  await act(() => vi.advanceTimersByTimeAsync(10));
  expect(client.state).toBe("disconnected");
});

test("one drawing for each tick at most, and none where nothing changed", async () => {
  let drawn = 0;
  function Board() {
    const room = useRoom("r", options);
    const [one, two] = [useLatest(room, 1), useLatest(room, 2, 3)];
    const members = usePresence(room);
    // Effects run once for each drawing that is shown, also under StrictMode.
    useEffect(() => void drawn++);
    return <i>{`${one} ${two} ${members.map(({ subject }) => subject).join("+")}`}</i>;
  }
  await show(<Board />);
  await enter();
  drawn = 0;
  await receive(
    data(
      2,
      1,
      [
        [2, here("ann")],
        [3, here("bob")],
      ],
      { more: true },
    ),
    data(0, 1, [
      [2, "a"],
      [2, "b"],
    ]),
    data(1, 1, [
      [2, 2, "x"],
      [2, 2, "y"],
      [3, 4, "z"],
    ]),
  );
  expect([page.textContent, drawn]).toEqual(["y z ann+bob", 1]);
  await receive(events(2, "a", "b", "c"));
  expect(drawn).toBe(1);
  await receive(data(1, 2, [[9, 18, "of nobody's interest"]]));
  expect(drawn).toBe(1);
  await receive(data(2, 3, [[2, left(200)]]), data(1, 3, [[2, 2, ""]]));
  expect([page.textContent, drawn]).toEqual(["undefined z bob", 2]);
  await receive(gap(4, 9), snapshot([3, 2, "new"]));
  expect([page.textContent, drawn]).toEqual(["new undefined bob", 3]);
});

test("events reach the latest handler, each once, also after coming back", async () => {
  const heard: string[] = [];
  function Log({ name }: { name: string }) {
    const room = useRoom("r", options);
    useEvent(room, (event, member) => heard.push(`${name}: ${member} ${event}`));
    return null;
  }
  await show(<Log name="first" />);
  await enter();
  await receive(events(1, "a"));
  await show(<Log name="second" />);
  await receive(events(2, "b"));
  await act(async () => {
    FakeSocket.last.break();
    await vi.advanceTimersByTimeAsync(20_000);
  });
  await act(async () => {
    const socket = FakeSocket.last.open();
    const join = socket.said()[1]!;
    socket.welcome({ resumed: true }).receive(joined(join.request, 1, { outcome: 1, position: 2 }), events(3, "c"));
  });
  expect(heard).toEqual(["first: 2 a", "second: 2 b", "second: 2 c"]);
});

test("the end is shown, with its reason", async () => {
  function Line() {
    const { state, reason } = useConnection();
    return <i>{`${state} ${reason}`}</i>;
  }
  await show(<Line />);
  await act(async () => FakeSocket.last.open().receive(close(243)));
  expect(page.textContent).toBe("closed 243");
});

test("a hook without a provider says what is missing", async () => {
  function Line() {
    return <i>{useConnection().state}</i>;
  }
  vi.spyOn(console, "error").mockImplementation(() => {});
  await expect(act(async () => root.render(<Line />))).rejects.toThrow("TickwireProvider");
});

"""The client against a real server, over WebSocket and TCP, with TLS and without."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import socket
from typing import Any, Awaitable, Callable, Iterator, List, TypeVar

import pytest
from conftest import Server
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tickwire import (
    Batch,
    Client,
    ClosedError,
    ConnectError,
    Event,
    HandlerError,
    Outcome,
    Presence,
    RefusedError,
    RoomState,
    State,
    StateChange,
    Tick,
    TooLargeError,
    Value,
    VersionError,
)

T = TypeVar("T")
WAIT = 10.0  # Seconds in which everything here happens; much less where all is well.
names = (f"room/{number}" for number in itertools.count())


def play(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own, and fails it where it hangs or leaves a task behind."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(*arguments, **named), 3 * WAIT)
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert left == []

        asyncio.run(bounded())

    return run


async def soon(waited: Awaitable[T]) -> T:
    return await asyncio.wait_for(waited, WAIT)


@pytest.fixture(params=["websocket", "tcp"])
def url(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    yield server[request.param]


@play
async def test_two_clients_meet(url: str) -> None:
    async with Client(url) as one, Client(url) as two:
        name = next(names)
        ours = await soon(one.join(name))
        theirs = await soon(two.join(name, echo=True))
        assert ours.state is RoomState.JOINED
        events = theirs.events()
        ours.publish("hi")
        theirs.publish(b"ho", urgent=True)
        got = [await soon(events.__anext__()) for _ in range(2)]
        assert {(event.member, event.payload) for event in got} == {(ours.member, b"hi"), (theirs.member, b"ho")}
        # Without echo only what others say is shown.
        async for event in ours:
            assert event.payload == b"ho"
            break
        ours.set(3, b"mine")
        ours.set(4, b"shared", shared=True)
        async for value in theirs.messages():
            if isinstance(value, Value) and value.shared:
                break
        assert theirs.latest(3, ours.member) == b"mine"
        assert theirs.latest(4) == b"shared"
        assert theirs.values == {(ours.member, 3): b"mine", (None, 4): b"shared"}
        ours.delete(3)
        ours.send(theirs.member, b"psst")
        async for direct in theirs.directs():
            assert direct[:2] == (ours.member, b"psst")
            break
        assert sorted(theirs.members) == sorted([ours.member, theirs.member])
        assert await soon(theirs.fetch_members()) == theirs.members
        await soon(one.drain())
        assert one.waiting == 0
        assert one.rtt is not None
        assert abs(one.server_time() - two.server_time()) < 1000
        assert ours.period == 10.0
        assert abs(ours.tick() - theirs.tick()) < 100


@play
async def test_ticks_bring_whole_batches(url: str) -> None:
    async with Client(url) as client:
        room = await soon(client.join(next(names), echo=True))
        ticks = room.ticks()
        for number in range(100):
            room.publish(b"%d" % number)
            room.set(number % 7, b"%d" % number)
        batches: List[Batch] = []
        while sum(len(batch.events) for batch in batches) < 100:
            batches.append(await soon(ticks.__anext__()))
        events = [event for batch in batches for event in batch.events]
        assert [event.payload for event in events] == [b"%d" % number for number in range(100)]
        for batch in batches:
            assert batch.whole
            assert all(event.position == batch.position for event in batch.events)
        assert [batch.tick for batch in batches] == sorted(batch.tick for batch in batches)


@play
async def test_nothing_is_missed_between_a_join_and_the_first_iterator(url: str) -> None:
    async with Client(url) as sender, Client(url) as receiver:
        name = next(names)
        room = await soon(receiver.join(name))
        other = await soon(sender.join(name))
        other.publish(b"early")
        await soon(sender.drain())
        # Another round trip of the receiver: what was sent has come before.
        await soon(room.show(b"here"))
        async for event in room:
            assert event.payload == b"early"
            break


@play
async def test_a_cancelled_stream_loses_nothing(url: str) -> None:
    async with Client(url) as client:
        room = await soon(client.join(next(names), echo=True))
        events = room.events()
        waiting = asyncio.ensure_future(events.__anext__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        room.publish(b"1")
        assert (await soon(events.__anext__())).payload == b"1"


@play
async def test_who_lets_go_of_a_stream_holds_nothing(url: str) -> None:
    async with Client(url) as client:
        room = await soon(client.join(next(names), echo=True))
        room.publish(b"first")
        async for event in room:
            assert event.payload == b"first"
            break
        gc.collect()
        kept = room.events()
        for _ in range(50):
            room.publish(b"x" * 1000)
        for _ in range(50):
            await soon(kept.__anext__())
        assert client._session.inbox.pending == 0
        room.leave()
        assert [event async for event in kept] == []


@play
async def test_a_slow_application_stops_reading_and_loses_nothing(url: str) -> None:
    async with Client(url) as fast, Client(url) as slow:
        name = next(names)
        room = await soon(slow.join(name))
        everything = room.messages()
        sender = await soon(fast.join(name, echo=True))
        echoes = sender.events()
        total = 0
        while not slow._session.inbox.full:
            assert total < 1000, "the inbox has no bound"
            # What a room gathers for one tick, however late that comes. Compressed, it is too little to lag behind.
            for _ in range(10):
                sender.publish(b"%08d" % total + b"x" * 10_000)
                total += 1
            for _ in range(10):
                await soon(echoes.__anext__())
        sender.set(1, b"done", shared=True)
        numbers: List[int] = []
        async for item in everything:
            if isinstance(item, Event):
                numbers.append(int(item.payload[:8]))
            elif isinstance(item, Value):
                break
        assert numbers == list(range(total))


@play
async def test_handlers_that_raise_do_not_stop_the_client(url: str) -> None:
    async with Client(url) as client:
        errors = client.errors()
        room = client.room(next(names))
        heard: List[object] = []

        def handler(item: object) -> None:
            heard.append(item)
            if isinstance(item, Event):
                raise RuntimeError("oh")

        stop = room.handle(handler)
        await soon(client.join(room.name, echo=True))
        room.publish(b"1")
        error = await soon(errors.__anext__())
        assert isinstance(error, HandlerError)
        assert isinstance(error.__cause__, RuntimeError)
        room.publish(b"2")
        await soon(errors.__anext__())
        stop()
        assert {type(item) for item in heard} >= {Outcome, Presence, Event, Tick}
        assert client.state is State.CONNECTED


@play
async def test_rooms_that_may_not_be_are_refused(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(RefusedError) as refused:
            await soon(client.join("no spaces"))
        assert refused.value.reason == 230
        with pytest.raises(RefusedError) as refused:
            await soon(client.join("@tickwire/server"))
        assert refused.value.reason == 240
        assert client.state is State.CONNECTED
        for name in ("", "x" * 65):
            with pytest.raises(ValueError, match="1 to 64 bytes"):
                client.join(name)
        with pytest.raises(ValueError, match="to publish"):
            client.join("r", publish=False, receive=False)


@play
async def test_messages_that_are_refused_are_told(url: str) -> None:
    async with Client(url) as client:
        errors = client.errors()
        room = await soon(client.join(next(names)))
        with pytest.raises(TooLargeError):
            room.publish(b"x" * 15_361)
        room.publish(b"fine")
        number = room.send(999, b"nobody")
        error = await soon(errors.__anext__())
        assert isinstance(error, RefusedError)
        assert (error.room, error.reason, error.number) == (room.name, 238, number)


@play
async def test_presence_is_shown_and_pausing_silences(url: str) -> None:
    async with Client(url) as one, Client(url) as two:
        name = next(names)
        room = await soon(one.join(name, presence=b"blue"))
        other = await soon(two.join(name))
        changes = other.messages()
        await soon(room.show(b"green"))
        async for change in changes:
            if isinstance(change, Presence) and change.data == b"green":
                break
        assert other.members[room.member].data == b"green"
        outcomes = room.outcomes()
        await soon(room.pause())
        other.publish(b"unseen")
        other.set(1, b"seen", shared=True)
        await soon(two.drain())
        await soon(room.unpause())
        while (await soon(outcomes.__anext__())).kind == "recovered":
            pass
        messages = room.messages()
        while room.latest(1) is None:
            await soon(messages.__anext__())
        room.leave()
        with pytest.raises(ClosedError):
            await soon(room.pause())


@pytest.mark.parametrize("kind", ["websocket", "tls"])
def test_over_tls(kind: str, tls_server: Server) -> None:
    @play
    async def run() -> None:
        async with Client(tls_server[kind], fingerprint=tls_server["sha-256"]) as client:
            room = await soon(client.join(next(names), echo=True))
            room.publish(b"secret")
            async for event in room:
                assert event.payload == b"secret"
                break
        # A certificate that nobody signed, and one that is not the named one.
        for fingerprint in (None, "00" * 32):
            async with Client(tls_server[kind], fingerprint=fingerprint) as client:
                client_errors = client.errors()
                error = await soon(client_errors.__anext__())
                assert isinstance(error, ConnectError)
                assert client.state is State.CONNECTING

    run()


@play
async def test_a_path_that_is_not_there(server: Server) -> None:
    client = Client(server["websocket"].replace("/ws", "/nothing"))
    errors = client.errors()
    client.connect()
    error = await soon(errors.__anext__())
    assert isinstance(error, ConnectError)
    assert error.status == 404
    with pytest.raises(ClosedError):
        await soon(client.join("r"))
    await client.close()


@play
async def test_a_port_where_nobody_answers_is_tried_again() -> None:
    held = socket.create_server(("127.0.0.1", 0))
    port = held.getsockname()[1]
    held.close()
    async with Client(f"ws://127.0.0.1:{port}") as client:
        errors = client.errors()
        for _ in range(2):
            assert isinstance(await soon(errors.__anext__()), ConnectError)
        assert client.state is State.CONNECTING
        waiting = asyncio.ensure_future(client.connected())
        await asyncio.sleep(0)
        waiting.cancel()


@play
async def test_disconnect_and_connect_again(url: str) -> None:
    async with Client(url) as client:
        states = client.states()
        room = await soon(client.join(next(names), echo=True))
        outcomes, events = room.outcomes(), room.events()
        assert (await soon(outcomes.__anext__())).kind == "snapshot"
        await soon(client.disconnect())
        assert client.state is State.DISCONNECTED
        assert room.publish(b"later") is not None
        client.connect()
        await soon(room)
        assert (await soon(outcomes.__anext__())).kind == "recovered"
        assert (await soon(events.__anext__())).payload == b"later"
        assert [(await soon(states.__anext__())).after for _ in range(4)] == [
            State.CONNECTED,
            State.DISCONNECTED,
            State.CONNECTING,
            State.CONNECTED,
        ]


@play
async def test_what_is_published_before_close_arrives(url: str) -> None:
    async with Client(url) as receiver:
        name = next(names)
        room = await soon(receiver.join(name))
        events = room.events()
        async with Client(url) as sender:
            other = await soon(sender.join(name))
            for number in range(200):
                other.publish(b"%d" % number)
        for number in range(200):
            assert (await soon(events.__anext__())).payload == b"%d" % number


@play
async def test_what_is_published_right_before_close_fits_no_single_message_and_arrives(url: str) -> None:
    payloads = [b"%4d" % number * 250 for number in range(28)]
    async with Client(url) as receiver:
        name = next(names)
        events = (await soon(receiver.join(name))).events()
        for leave in (Client.close, Client.disconnect):
            sender = Client(url)
            sender.connect()
            other = await soon(sender.join(name))
            for payload in payloads:
                other.publish(payload)
            await leave(sender)  # Without `soon`, which would let the writer run before it.
            assert [(await soon(events.__anext__())).payload for _ in payloads] == payloads
            await soon(sender.close())


@pytest.mark.parametrize("kind", ["websocket", "tcp"])
def test_a_restart_is_survived(kind: str, own_server: Server) -> None:
    @play
    async def run() -> None:
        changes: List[StateChange] = []
        async with Client(own_server[kind]) as client:
            client.handle(lambda notice: changes.append(notice) if isinstance(notice, StateChange) else None)
            room = await soon(client.join(next(names), echo=True))
            events = room.events()
            room.publish(b"before")
            assert (await soon(events.__anext__())).payload == b"before"
            websocket, tcp = own_server["websocket"], own_server["tcp"]
            await asyncio.get_running_loop().run_in_executor(None, own_server.stop)
            room.publish(b"between")
            listen = ["--listen", websocket[len("ws://") : -len("/ws")], "--tcp", tcp[len("tcp://") :]]
            next_server = await asyncio.get_running_loop().run_in_executor(None, lambda: Server(*listen))
            try:
                assert (await soon(events.__anext__())).payload == b"between"
                told = [(change.after, change.reason) for change in changes]
                assert told[:2] == [(State.CONNECTED, 0), (State.CONNECTING, 100)]
                assert told[-1] == (State.CONNECTED, 0)
            finally:
                await client.close()
                await asyncio.get_running_loop().run_in_executor(None, next_server.stop)

    run()


class Liar:
    """A server that says what a test wants, behind the greeting of its transport."""

    def __init__(self, lines: List[bytes]) -> None:
        self._lines = lines

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(self._lines.pop(0) if self._lines else b"")
        writer.close()


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"\x02\x00" + b"\x00\x00" * 5000, 201),  # Empty fragments without end.
        (b"\x81\x02hi", 201),  # A text message.
        (b"\x82\x7f" + (131_073).to_bytes(8, "big"), 201),  # A message above what a client takes.
        (b"\xc2\x00", 201),  # A reserved bit.
        (b"\x82\x03\x02\x00\x09", 201),  # A message that ends inside a frame.
        (b"\x88\x02\x0f\xa1", 1),  # Closed with 4001.
    ],
    ids=["fragments", "text", "large", "reserved", "cut", "closed"],
)
@play
async def test_what_breaks_a_websocket_is_told_and_the_client_comes_back(frames: bytes, reason: int) -> None:
    served: List[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        protocol = ServerProtocol(subprotocols=[Subprotocol("tickwire.v1")])
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        request = protocol.events_received()[0]
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join(protocol.data_to_send()) + frames)
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    errors = client.errors()
    client.connect()
    error = await soon(errors.__anext__())
    assert error.kind == ("protocol" if reason == 201 else "connect")
    assert client.state is State.CONNECTING
    await client.close()
    server.close()
    await server.wait_closed()
    await asyncio.wait(served)


@play
async def test_tcp_at_a_port_that_speaks_something_else() -> None:
    async with Liar([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as place:
        client = Client(f"tcp://{place}")
        errors = client.errors()
        states = client.states()
        client.connect()
        assert isinstance(await soon(errors.__anext__()), VersionError)
        assert [change.after async for change in states] == [State.CONNECTING, State.CLOSED]
        with pytest.raises(ClosedError):
            await soon(client.connected())
        await client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00" * 2000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 404 " + b"x" * 100_000,
        b"\r\n" * 40_000,
    ],
    ids=["zeros", "no upgrade", "a page", "ssh", "long head", "empty lines"],
)
@play
async def test_what_is_no_websocket_closes_a_client_or_makes_it_try_again(answer: bytes) -> None:
    async with Liar([answer]) as place:
        client = Client(f"ws://{place}")
        errors = client.errors()
        client.connect()
        assert (await soon(errors.__anext__())).kind in ("version", "connect")
        await soon(client.close())


@play
async def test_callbacks_of_tokens_may_be_plain_async_or_failing(url: str) -> None:
    calls: List[int] = []

    def failing() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no network")
        return "not.a.token"

    async def none() -> None:
        await asyncio.sleep(0)

    async with Client(url, token=failing) as client:
        errors = client.errors()
        assert (await soon(errors.__anext__())).kind == "token"
        await soon(client.connected())  # This server verifies no tokens, and ignores them.
        assert len(calls) == 2
    async with Client(url, token=none) as client:
        with pytest.raises(ClosedError) as closed:
            await soon(client.connected())
        assert closed.value.reason == 241

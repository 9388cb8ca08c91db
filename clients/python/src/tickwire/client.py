"""The client: a session, driven by asyncio.

```text
application ──> Client, Room ──> Session ──actions──> connection, token callback, timer
           <── streams, handlers <──┘    <── bytes, answers, time ──┘
```

Every method is to be called in the event loop that the client was connected in. Only `await` ever waits, and whatever
waits may be cancelled: nothing is lost by it, and nothing half done.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl as tls
import time
from collections import deque
from typing import Any, Awaitable, Callable, Deque, Dict, List, Optional, Set, Type, TypeVar, Union

from . import target
from .actions import Action, AskToken, Failure, Hangup, Open
from .commands import MODE_MEMBERS, MODE_PUBLISH, MODE_RECEIVE
from .errors import ClosedError, HandlerError, TickwireError
from .limits import CHUNK_BYTES, QUEUE_BYTES, QUEUE_MESSAGES
from .notices import DirectsLost, Notice, RoomChange, State, StateChange, Unconfirmed
from .room import Room
from .session import Session
from .stream import Notices, Queue, Stream
from .transport import Connection, EndedError, ViolationError, connect

N = TypeVar("N")

TokenCallback = Callable[[], Union[Optional[str], Awaitable[Optional[str]]]]
"""Brings a token, now or later; None means: no right to connect."""

_log = logging.getLogger("tickwire")


class Client:
    """A connection to a Tickwire server that comes back by itself.

    ```python
    async with Client("ws://127.0.0.1:7070") as client:
        room = await client.join("lobby")
        room.publish(b"hi")
        async for event in room:
            print(event.member, event.payload)
    ```

    `url` begins with `ws://`, `wss://`, `tcp://` or `tls://`. `token` is a text, or a callback (plain or async) that is
    called before every attempt and for every renewal. `ssl` is a context for TLS, on which this client sets ALPN; without
    one the system's roots count. With `fingerprint` (SHA-256 of a certificate, in hex) that one is trusted, whoever signed
    it, as `tickwire serve --tls-self-signed` prints it. `software` is told to the server for its logs. `queue_messages`
    and `queue_bytes` bound the reliable messages that wait while there is no connection.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Union[str, TokenCallback, None] = None,
        ssl: Optional[tls.SSLContext] = None,
        fingerprint: Optional[str] = None,
        software: str = "tickwire-python/0.1",
        queue_messages: int = QUEUE_MESSAGES,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._callback = None if isinstance(token, str) or token is None else token
        self._session = Session(
            target.read(url),
            token if isinstance(token, str) else None,
            self._callback is not None,
            software.encode("utf-8"),
            queue_messages,
            queue_bytes,
            self._tell,
        )
        self._session.inbox.drained = self._drained
        self._ssl = ssl
        self._fingerprint = None if fingerprint is None else bytes.fromhex(fingerprint)
        self._rooms: Dict[str, Room] = {}
        self._notices: Deque[Notice] = deque()
        self._listeners: List[Notices[Any]] = []
        self._handlers: List[Callable[[Notice], Any]] = []
        self._waiters: List[asyncio.Future[None]] = []
        self._idle_waiters: List[asyncio.Future[None]] = []
        self._asked_at = -1  # Data frames that had left when the server was last asked what it accepted.
        self._link: Optional[_Link] = None
        self._tasks: Set[asyncio.Task[Any]] = set()
        self._goodbyes: Set[asyncio.Task[Any]] = set()
        self._asking: Optional[asyncio.Task[Any]] = None
        self._armed_for: Optional[float] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._pumping = False

    # Coming and going (SPEC 1).

    def connect(self) -> None:
        """Begins to connect, and returns at once; does nothing where the client does so already, or is closed.

        To be called in a running event loop. `async with` does it.
        """
        self._loop = asyncio.get_running_loop()
        self._session.connect(_now())
        self._pump()

    async def connected(self) -> None:
        """Waits until the client is connected; ClosedError if it will never be."""
        while self.state is not State.CONNECTED:
            if self.state is State.CLOSED:
                raise ClosedError(self.why or "the client is closed", self.reason)
            await self._wait(self._waiters)

    async def disconnect(self) -> None:
        """Leaves the server; rooms stay wanted, and `connect` goes on. Waits, at most a second, for the end."""
        self._session.disconnect(_now())
        self._pump()
        await self._farewells()

    async def close(self) -> int:
        """Leaves for good; returns how many messages waited and were dropped. What was sent before still arrives.

        Waits, at most a second, for the end of the connection. Closed it is also where this is cancelled.
        """
        dropped = self._session.close(_now())
        self._pump()
        await self._farewells()
        return dropped

    async def drain(self) -> None:
        """Waits until nothing waits to leave and the server has accepted all that left. ClosedError if it never will."""
        self._asked_at = -1
        while not self._session.idle:
            if self.state is State.CLOSED:
                raise ClosedError(self.why or "the client is closed", self.reason)
            waiting = self._wait(self._idle_waiters)
            self._pump()
            await waiting

    async def __aenter__(self) -> Client:
        self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Rooms.

    def room(self, name: str) -> Room:
        """The room of that name, whether it is wanted or not. Streams and handlers may be put on it before `join`."""
        if name not in self._rooms:
            self._rooms[name] = Room(self, self._session, name)
        return self._rooms[name]

    def join(
        self,
        name: str,
        *,
        publish: bool = True,
        receive: bool = True,
        echo: bool = False,
        members: bool = True,
        data: bytes = b"",
        presence: bytes = b"",
    ) -> Room:
        """Wants a room, from now until `Room.leave`, over every reconnection.

        Returns at once. `await client.join(..)` waits for the answer: it returns the room, and raises RefusedError or
        ClosedError where it is not to be. `echo` shows this client's own messages, in their place in the order.
        `members` keeps a list of members. `data` (at most 1024 bytes) is for the room's logic, `presence` (256) is shown to the
        other members.
        """
        mode = publish * MODE_PUBLISH | receive * (MODE_RECEIVE | members * MODE_MEMBERS)
        if not mode:
            raise ValueError("a room is joined to publish, to receive, or both")
        room = self.room(name)
        if room.state.value == "left":
            room.begin()
        self._session.join(name, mode, echo, data, presence)
        self._pump()
        return room

    # What it tells.

    @property
    def state(self) -> State:
        """Where the client is (SPEC 1)."""
        return self._session.state

    reason = 0
    """The reason of the last change of state (PROTOCOL 14), 0 where there was none."""

    why = ""
    """The text of the last change of state."""

    @property
    def subject(self) -> str:
        """Who the server says this client is, by its token."""
        return self._session.subject

    @property
    def rtt(self) -> Optional[float]:
        """Round trip of the last ping in milliseconds, None before the first answer."""
        return self._session.clock.rtt

    @property
    def waiting(self) -> int:
        """Messages that wait to leave."""
        return len(self._session.outbox)

    def server_time(self) -> float:
        """The server's time in milliseconds, by the best of the last pings; never backward within a connection."""
        return self._session.clock.server_time(_now())

    def states(self) -> Stream[StateChange]:
        """Every change of the client's state from now on."""
        return self._listen(StateChange)

    def errors(self) -> Stream[TickwireError]:
        """Every error from now on that no call raises."""
        return self._listen(TickwireError)

    def unconfirmed(self) -> Stream[Unconfirmed]:
        """Messages of which nobody knows whether they arrived, told where a session was over (SPEC 4)."""
        return self._listen(Unconfirmed)

    def directs_lost(self) -> Stream[DirectsLost]:
        """Directs that the server let go of while this client was away."""
        return self._listen(DirectsLost)

    def handle(self, handler: Callable[[Notice], Any]) -> Callable[[], None]:
        """Calls a function for each notice: StateChange, RoomChange, Unconfirmed, DirectsLost, TickwireError.

        Returns what ends that. Where it raises, a HandlerError is told.
        """
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler) if handler in self._handlers else None

    # What drives the session.

    def _tell(self, notice: Notice) -> None:
        self._notices.append(notice)

    def _pump(self) -> None:
        """Does what the session wants, tells what it has to tell, and sets the timer. After every input."""
        if self._pumping:
            return  # Called by a handler: the loop below goes on.
        self._pumping = True
        try:
            while self._notices or (self._session.actions and self._loop is not None):
                while self._session.actions and self._loop is not None:
                    self._do(self._session.actions.pop(0))
                if self._notices:
                    self._dispatch(self._notices.popleft())
        finally:
            self._pumping = False
        if self._idle_waiters:
            self._look_whether_idle()
        if self._link is not None and self._session.output.size:
            self._link.writable.set()
        self._arm()

    def _do(self, action: Action) -> None:
        if isinstance(action, Open):
            self._link = _Link()
            self._link.task = self._spawn(self._read(self._link, action))
        elif isinstance(action, AskToken):
            self._asking = self._spawn(self._ask(action.number))
        elif isinstance(action, Hangup) and self._link is not None:
            link, self._link = self._link, None
            self._bound(link.connection)
            farewell = self._spawn(self._leave(link, action))
            self._goodbyes.add(farewell)
            farewell.add_done_callback(self._goodbyes.discard)

    def _dispatch(self, notice: Notice) -> None:
        if isinstance(notice, StateChange):
            self.reason, self.why = notice.reason, notice.text
            _release(self._waiters)
            if notice.after in (State.DISCONNECTED, State.CLOSED) and self._asking is not None:
                self._asking.cancel()
            if notice.after is State.CLOSED:
                for listener in list(self._listeners):
                    listener.put(notice)
                    listener.queue.end()
                for room in self._rooms.values():
                    room.end(notice.reason)
        elif isinstance(notice, RoomChange):
            self.room(notice.room).changed(notice)
        for listener in list(self._listeners):
            if not listener.queue.ended:
                listener.put(notice)
        for handler in list(self._handlers):
            try:
                handler(notice)
            except Exception as error:
                self._handler_failed(error, notice)

    def _handler_failed(self, error: Exception, notice: Optional[object] = None) -> None:
        if isinstance(notice, HandlerError):
            _log.error("a handler of errors raised", exc_info=error)  # To tell it would not end.
            return
        failed = HandlerError(f"a handler raised {type(error).__name__}: {error}")
        failed.__cause__ = error
        self._tell(failed)

    def _arm(self) -> None:
        deadline = self._session.deadline()
        if self._timer is not None:
            if deadline == self._armed_for:
                return
            self._timer.cancel()
            self._timer = None
        self._armed_for = deadline
        if deadline is not None and self._loop is not None:
            self._timer = self._loop.call_later(max(0.0, deadline - _now()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._session.wake(_now())
        self._pump()

    def _drained(self) -> None:
        if self._link is not None:
            self._link.readable.set()

    def _look_whether_idle(self) -> None:
        session = self._session
        if session.idle or self.state is State.CLOSED:
            _release(self._idle_waiters)
        elif not len(session.outbox) and session.outbox.sent != self._asked_at:
            self._asked_at = session.outbox.sent
            session.ask_accepted(_now())

    async def _read(self, link: _Link, action: Open) -> None:
        """One connection, from its beginning to its end."""
        try:
            connection = link.connection = await connect(action.target, self._ssl, self._fingerprint)
            if link is not self._link:
                connection.abort()
                return
            self._session.opened(_now(), connection.messages)
            link.writer = self._spawn(self._write(link, connection))
            self._pump()
            while link is self._link:
                data = await connection.read()
                self._session.receive(_now(), data)
                self._pump()
                while self._session.inbox.full and link is self._link:
                    link.readable.clear()
                    await link.readable.wait()
                    self._session.step(_now())
                    self._pump()
        except EndedError as ended:
            if link is self._link:
                self._session.broken(_now(), ended.failure)
        except ViolationError as violation:
            if link is self._link:
                self._session.violated(_now(), str(violation))
        except Exception as error:  # Ours, or a library's: the application lives on, and is told.
            _log.exception("a connection failed unexpectedly")
            if link is self._link:
                self._session.broken(_now(), Failure(f"unexpected: {type(error).__name__}: {error}"))
        self._pump()

    async def _write(self, link: _Link, connection: Connection) -> None:
        session = self._session
        try:
            while link is self._link:
                self._bound(connection)
                frames = session.output.take(connection.limit)
                if not frames:
                    link.writable.clear()
                    await link.writable.wait()
                    continue
                connection.write(frames)
                await connection.drain()
                if link is self._link:
                    session.written()
                    self._pump()
        except EndedError:
            pass  # The reader sees it too, and says so.

    def _bound(self, connection: Optional[Connection]) -> None:
        """What WELCOME allows a WebSocket message to hold (PROTOCOL 4.2)."""
        if connection is not None and connection.messages and self._session.max_frame:
            connection.limit = min(CHUNK_BYTES, self._session.max_frame + 4)

    async def _leave(self, link: _Link, action: Hangup) -> None:
        """Lets go of a connection: nobody reads or writes any more, then goodbye."""
        for task in (link.task, link.writer):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if link.connection is not None:
            if action.politely:
                await link.connection.finish(action.last)
            else:
                link.connection.abort()

    async def _ask(self, number: int) -> None:
        assert self._callback is not None
        try:
            token = self._callback()
            if inspect.isawaitable(token):
                token = await token
            if token is not None and not isinstance(token, str):
                raise TypeError(f"a token is a text, not {type(token).__name__}")
        except Exception as error:
            self._session.token_failed(_now(), number, f"the token callback raised {type(error).__name__}: {error}")
        else:
            self._session.token_is(_now(), number, token)
        self._pump()

    # Small things.

    def _listen(self, kind: Type[N]) -> Stream[N]:
        return self._listen_to(lambda notice: isinstance(notice, kind))

    def _listen_to(self, fits: Callable[[Any], bool]) -> Stream[Any]:
        queue: Queue[Any] = Queue()
        listener: Notices[Any] = Notices(queue, fits)
        self._listeners.append(listener)
        if self.state is State.CLOSED:
            queue.end()

        def close() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
            queue.close()

        return Stream(queue, close)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _farewells(self) -> None:
        if self._goodbyes:
            await asyncio.wait(list(self._goodbyes))

    def _wait(self, waiters: List[asyncio.Future[None]]) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        return waiter


class _Link:
    """One attempt to connect, and what came of it."""

    def __init__(self) -> None:
        self.connection: Optional[Connection] = None
        self.task: Optional[asyncio.Task[Any]] = None
        self.writer: Optional[asyncio.Task[Any]] = None
        self.readable = asyncio.Event()
        self.writable = asyncio.Event()


def _release(waiters: List[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def _now() -> float:
    return time.monotonic()

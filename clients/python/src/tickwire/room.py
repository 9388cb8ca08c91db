"""A room, as the application meets it.

```text
join ──> await room ──> publish, set, send ──> leave
              └──> async for event in room     ticks()  messages()  latest(key)  members
```
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from typing import TYPE_CHECKING, Any, Callable, Generator, List, Mapping, Optional, Sequence, Tuple, Union

from .codec import DIRECT, EVENT, VALUE, Page
from .errors import ClosedError, RefusedError
from .inbox import Sink
from .interpolate import Interpolator
from .items import Batch, Direct, Event, Item, Member, Outcome, Presence, Snapshot, Tick, Value
from .limits import MAX_PRESENCE
from .membership import Answer
from .notices import RoomChange, RoomState, State
from .queue import Policy
from .session import Session
from .stream import Backlog, Batches, Filter, Handler, Queue, Stream

if TYPE_CHECKING:
    from .client import Client

Payload = Union[bytes, bytearray, memoryview, str]
"""Bytes; a text is sent as UTF-8."""


class Room:
    """A room of a client. Made by `Client.join` and `Client.room`, not by applications.

    `await room` waits until it is joined; `async with` leaves it at the end; `async for` iterates over its events.
    Streams begin when they are made. What comes between a join and the first stream waits for that, up to 256 KiB.
    """

    def __init__(self, client: Client, session: Session, name: str) -> None:
        self.name = name
        self._client = client
        self._session = session
        self._membership = session.rooms.get(name)
        self._waiters: List[asyncio.Future[None]] = []
        self._queues: weakref.WeakSet[Queue[Any]] = weakref.WeakSet()
        self._backlog: Optional[Backlog] = None
        self._reason = 0
        self._why = ""

    # Its state.

    @property
    def state(self) -> RoomState:
        """Where the room is (SPEC 1)."""
        return self._membership.state

    @property
    def member(self) -> int:
        """This client's own number in the room; 0 before it was joined."""
        return self._membership.replica.me

    @property
    def answer(self) -> bytes:
        """What the room's logic said to the last join."""
        return self._membership.answer

    @property
    def values(self) -> Mapping[Tuple[Optional[int], int], bytes]:
        """All values by (member, key); the member is None for values of the room. A copy."""
        return dict(self._membership.replica.values)

    @property
    def members(self) -> Mapping[int, Member]:
        """Who is here, by number, where the room tells that. A copy."""
        return dict(self._membership.replica.members)

    @property
    def count(self) -> int:
        """How many members there are: where the room tells only that, its number; else of `members`."""
        replica = self._membership.replica
        return len(replica.members) if replica.count is None else replica.count

    def latest(self, key: int, member: Optional[int] = None) -> Optional[bytes]:
        """The latest value of a key: the room's, or a member's. None where there is none."""
        return self._membership.replica.values.get((member, key))

    @property
    def period(self) -> float:
        """Milliseconds between two ticks."""
        return self._membership.replica.period / 1000

    def tick(self) -> float:
        """The room's tick now, as a real number, by the server's clock (SPEC 7). 0 before it was joined."""
        replica = self._membership.replica
        if not replica.period:
            return 0.0
        return replica.tick + (self._client.server_time() * 1000 - replica.tick_time) / replica.period

    def interpolator(self, mix: Optional[Callable[[Any, Any, float], Any]] = None) -> Interpolator[Any]:
        """Shows timed samples two periods of this room late, and therefore smoothly (SPEC 7). The room is joined."""
        return Interpolator(2 * self.period, mix)

    # Messages out (SPEC 5).

    def publish(self, payload: Payload, *, policy: str = "reliable", urgent: bool = False) -> Optional[int]:
        """Publishes an event; returns the message's number.

        `policy` says what becomes of it while it cannot leave: "reliable" waits in order, "latest" waits and is replaced
        by the next, "drop" is thrown away, and None returned. Raises QueueFullError, TooLargeError, ClosedError.
        """
        return self._publish(EVENT, 0, payload, policy, urgent)

    def set(
        self, key: int, payload: Payload, *, shared: bool = False, policy: str = "latest", urgent: bool = False
    ) -> Optional[int]:
        """Writes a value: this member's, or (`shared`) the room's. An empty payload deletes. Else as `publish`."""
        if not 0 <= key < 2**52:
            raise ValueError(f"a key is 0 to 2^52 - 1: {key}")
        return self._publish(VALUE, key * 2 + shared, payload, policy, urgent)

    def delete(self, key: int, *, shared: bool = False, policy: str = "latest") -> Optional[int]:
        """Deletes a value. Else as `set`."""
        return self.set(key, b"", shared=shared, policy=policy)

    def send(self, member: int, payload: Payload, *, policy: str = "reliable", urgent: bool = False) -> Optional[int]:
        """Sends a direct to one member; 0 is the room's own logic. Else as `publish`."""
        if not 0 <= member < 2**53:
            raise ValueError(f"a member is a number: {member}")
        return self._publish(DIRECT, member, payload, policy, urgent)

    # Messages in (SPEC 6).

    def __aiter__(self) -> Stream[Event]:
        return self.events()

    def events(self) -> Stream[Event]:
        """Events, in order, none twice."""
        return self._stream(Event)

    def directs(self) -> Stream[Direct]:
        """Messages to this client alone."""
        return self._stream(Direct)

    def outcomes(self) -> Stream[Outcome]:
        """How each join ended: recovered, gap, snapshot (SPEC 4)."""
        return self._stream(Outcome)

    def messages(self) -> Stream[Item]:
        """Everything, in order: Event, Value, Direct, Presence, Snapshot, Tick, Outcome."""
        return self._stream((Event, Value, Direct, Presence, Snapshot, Tick, Outcome))

    def ticks(self) -> Stream[Batch]:
        """Whole batches: what one tick of the room brought."""
        queue: Queue[Batch] = Queue()
        return self._open(queue, Batches(queue))

    def states(self) -> Stream[RoomChange]:
        """Every change of the room's state from now on."""
        name = self.name
        return self._client._listen_to(lambda notice: isinstance(notice, RoomChange) and notice.room == name)

    def handle(self, handler: Callable[[Item], Any]) -> Callable[[], None]:
        """Calls a function for each item, as `messages` has them. Returns what ends that, at once.

        Where it raises, a HandlerError is told, and the next item comes all the same. Where it leaves the room, none does.
        """
        sink = Handler(handler, self._client._handler_failed)
        self._add(sink)

        def end() -> None:
            sink.end()
            self._remove(sink)

        return end

    # Requests.

    async def pause(self) -> None:
        """Asks the server for nothing of this room; returns when it has agreed. Directs come all the same.

        A cancelled call is not taken back: `unpause` does that.
        """
        await self._ask(functools.partial(self._session.rooms.pause, self.name, True))

    async def unpause(self) -> None:
        """Asks for everything again; a gap or snapshot is told then."""
        await self._ask(functools.partial(self._session.rooms.pause, self.name, False))

    async def show(self, presence: bytes) -> None:
        """Replaces what is shown of this client to other members: at most 256 bytes. RefusedError if that may not be."""
        if len(presence) > MAX_PRESENCE:
            raise ValueError(f"presence data of {len(presence)} bytes")
        await self._ask(functools.partial(self._session.rooms.show, self.name, presence))

    async def fetch_members(self) -> Mapping[int, Member]:
        """Asks for all members, page by page, and returns `members` then: for rooms whose list is too long at once."""
        after = 0
        while True:
            page = await self._ask(functools.partial(self._session.rooms.page, self.name, after))
            # Numbers ascend; one that does not would be asked for without end.
            if not isinstance(page, Page) or page.next <= after:
                return self.members
            after = page.next

    def leave(self) -> int:
        """Leaves the room; returns how many messages to it waited and were dropped."""
        dropped = self._session.leave(self.name)
        self._client._pump()
        return dropped

    def __await__(self) -> Generator[Any, None, Room]:
        return self._joined().__await__()

    async def __aenter__(self) -> Room:
        return await self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    # For the client.

    def begin(self) -> None:
        """The room is about to be wanted."""
        if self._backlog is None and not self._membership.sinks:
            self._backlog = Backlog(self._no_backlog)
            self._membership.sinks.append(self._backlog)

    def changed(self, change: RoomChange) -> None:
        """The room's state has changed."""
        self._reason, self._why = change.reason, change.text
        if change.after is RoomState.LEFT:
            self.end(change.reason)
        if change.after is not RoomState.JOINING:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def end(self, reason: int) -> None:
        """Nothing more comes."""
        self._no_backlog()
        for queue in list(self._queues):
            queue.end()
        self._membership.sinks = [sink for sink in self._membership.sinks if isinstance(sink, Handler)]

    async def _joined(self) -> Room:
        while self.state is RoomState.JOINING:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self.state is RoomState.LEFT:
            if self._reason in (0, 200):
                raise ClosedError(f"{self.name} is left", self._reason)
            raise RefusedError(self.name, self._reason, 0, self._why)
        return self

    def _publish(self, kind: int, key: int, payload: Payload, policy: str, urgent: bool) -> Optional[int]:
        content = payload.encode("utf-8") if isinstance(payload, str) else bytes(payload)
        number = self._session.publish(self.name, kind, key, content, Policy(policy), urgent)
        self._client._pump()
        return number

    def _stream(self, types: Any) -> Stream[Any]:
        queue: Queue[Any] = Queue()
        return self._open(queue, Filter(queue, types))

    def _open(self, queue: Queue[Any], sink: Union[Filter[Any], Batches]) -> Stream[Any]:
        if self._backlog is not None:
            inbox = self._session.inbox

            def put(items: Sequence[Item]) -> None:
                inbox.deliver((sink,), items, 0)

            self._backlog.move(put)
        self._add(sink)
        self._queues.add(queue)
        if self._client.state is State.CLOSED:
            queue.end()
        membership = self._membership

        def close() -> None:
            if sink in membership.sinks:
                membership.sinks.remove(sink)
            sink.close()

        return Stream(queue, close)

    def _add(self, sink: Sink) -> None:
        self._membership.sinks.append(sink)

    def _remove(self, sink: Sink) -> None:
        if sink in self._membership.sinks:
            self._membership.sinks.remove(sink)

    def _no_backlog(self) -> None:
        if self._backlog is not None:
            self._remove(self._backlog)
            self._backlog = None

    async def _ask(self, ask: Callable[[Callable[[Answer], None]], None]) -> Optional[Page]:
        answer: asyncio.Future[Optional[Page]] = asyncio.get_running_loop().create_future()

        def settle(said: Answer) -> None:
            if answer.done():
                return  # Who asked was cancelled.
            if isinstance(said, Exception):
                answer.set_exception(said)
            else:
                answer.set_result(said)

        ask(settle)
        self._client._pump()
        return await answer

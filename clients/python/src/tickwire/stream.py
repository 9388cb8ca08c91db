"""Streams: what an application iterates over.

```text
room ──put──> queue ──__anext__──> application
                └── what is taken counts as consumed
```

A stream begins when it is made, and ends when its room is left or its client closed. Who lets go of one (by `break`,
say) closes it: nothing is held for nobody.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Any, Callable, Deque, Generic, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from .inbox import Ticket
from .items import Batch, Event, Item, Presence, Tick, Value
from .limits import BACKLOG_BYTES, BATCH_BYTES, NOTICES, OVERHEAD

T = TypeVar("T")


class Queue(Generic[T]):
    """What waits in a stream, and who waits for it."""

    def __init__(self) -> None:
        self.waiting: Deque[Tuple[T, Optional[Ticket]]] = deque()
        self.ended = False
        self._waiter: Optional[asyncio.Future[None]] = None

    def append(self, item: T, ticket: Optional[Ticket]) -> None:
        self.waiting.append((item, ticket))
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self) -> None:
        """Nothing more comes; what waits may still be taken."""
        self.ended = True
        self.wake()

    def close(self) -> None:
        """Nobody takes what waits."""
        self.ended = True
        waiting, self.waiting = self.waiting, deque()
        for _, ticket in waiting:
            if ticket is not None:
                ticket.release()
        self.wake()

    async def take(self) -> T:
        while not self.waiting:
            if self.ended:
                raise StopAsyncIteration
            if self._waiter is not None and not self._waiter.done():
                raise RuntimeError("a stream is read by one task at a time")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item, ticket = self.waiting.popleft()
        if ticket is not None:
            ticket.release()
        return item


class Stream(Generic[T]):
    """An asynchronous iterator. Cancelling `__anext__` loses nothing: what was not returned is returned next."""

    def __init__(self, queue: Queue[T], close: Callable[[], Any]) -> None:
        self._queue = queue
        # The queue is held by whom it is filled by; when nobody reads any more, it goes.
        self._finalizer = weakref.finalize(self, close)
        self._finalizer.atexit = False

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        return await self._queue.take()

    def close(self) -> None:
        """Ends the stream, and lets go of what waits in it."""
        self._finalizer()

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Filter(Generic[T]):
    """Fills a queue with the items of some types."""

    def __init__(self, queue: Queue[T], types: Union[Type[Any], Tuple[Type[Any], ...]]) -> None:
        self.queue = queue
        self._types = types

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        for item in items:
            if isinstance(item, self._types):
                self.queue.append(item, ticket.hold())

    def close(self) -> None:
        self.queue.close()


class Batches:
    """Fills a queue with whole batches."""

    def __init__(self, queue: Queue[Batch]) -> None:
        self.queue = queue
        self._items: List[Union[Event, Value, Presence]] = []
        self._tickets: List[Ticket] = []
        self._size = 0
        self._told: Optional[Tick] = None

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        for item in items:
            if isinstance(item, Tick):
                self._told = item
                self._hand_over(item, ticket, True)
            elif isinstance(item, (Event, Value, Presence)):
                self._items.append(item)
                if not self._tickets or self._tickets[-1] is not ticket:
                    self._tickets.append(ticket.hold())
                self._size += OVERHEAD + len(getattr(item, "payload", b""))
                if self._size > BATCH_BYTES:
                    self._hand_over(Tick(item.tick, item.position), ticket, False)
        # Values of a batch whose tick was told before they came: no other tick follows them.
        if self._told is not None and self._items and (self._items[-1].tick, self._items[-1].position) == self._told:
            self._hand_over(self._told, ticket, True)

    def close(self) -> None:
        self.queue.close()
        self._release()

    def _hand_over(self, tick: Tick, ticket: Ticket, whole: bool) -> None:
        items = self._items
        batch = Batch(
            tick.tick,
            tick.position,
            [item for item in items if isinstance(item, Event)],
            [item for item in items if isinstance(item, Value)],
            [item for item in items if isinstance(item, Presence)],
            whole,
        )
        self._items = []
        self._size = 0
        self.queue.append(batch, _All([*self._tickets, ticket.hold()]))
        self._tickets = []

    def _release(self) -> None:
        tickets, self._tickets = self._tickets, []
        for ticket in tickets:
            ticket.release()


class _All(Ticket):
    """Several tickets, given back at once."""

    __slots__ = ("_tickets",)

    def __init__(self, tickets: List[Ticket]) -> None:
        self._tickets = tickets

    def release(self) -> None:
        for ticket in self._tickets:
            ticket.release()


class Handler:
    """Calls a function for each item."""

    def __init__(self, handler: Callable[[Item], Any], failed: Callable[[Exception], None]) -> None:
        self._handler = handler
        self._failed = failed
        self._ended = False

    def end(self) -> None:
        """The function is not called again."""
        self._ended = True

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        for item in items:
            if self._ended or not ticket.wanted():
                return
            try:
                self._handler(item)
            except Exception as error:
                self._failed(error)


class Notices(Generic[T]):
    """Fills a queue with notices of some types. It holds the last thousand, and counts those that had to go."""

    def __init__(self, queue: Queue[T], fits: Callable[[Any], bool]) -> None:
        self.queue = queue
        self.lost = 0
        self._fits = fits

    def put(self, notice: object) -> None:
        if self._fits(notice):
            if len(self.queue.waiting) >= NOTICES:
                self.queue.waiting.popleft()
                self.lost += 1
            self.queue.append(notice, None)  # type: ignore[arg-type]


class Backlog:
    """Holds a room's items from its join to its first stream, so that none is missed in between; see `limits`."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._items: List[Tuple[Item, ...]] = []
        self._size = 0
        self._gone = gone

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        self._items.append(tuple(items))
        self._size += sum(OVERHEAD + len(getattr(item, "payload", b"")) for item in items)
        if self._size > BACKLOG_BYTES:
            self._items = []
            self._gone()

    def move(self, put: Callable[[Sequence[Item]], None]) -> None:
        """Hands everything to the first stream."""
        for items in self._items:
            put(items)
        self._items = []
        self._gone()

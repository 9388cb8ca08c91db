"""The inbox: what the application has not taken yet, and what it has (PROTOCOL 9, SPEC 6).

```text
frame ──deliver──> Sink, Sink, ..      each holds a ticket for what it keeps
                      └─ taken ──> the frame counts as consumed when its last ticket is back
```

A client that reads faster than its application takes would hide from the server who is slow. So `full` says when to
stop reading.
"""

from __future__ import annotations

from typing import Callable, Collection, Optional, Protocol, Sequence

from .items import Item
from .limits import INBOX_BYTES, OVERHEAD


class Sink(Protocol):
    """Whoever takes the items of a room."""

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        """Takes items. What is kept takes the ticket once for each thing, and gives it back when that is taken."""


def _always() -> bool:
    return True


class Inbox:
    """Counts what waits and what was consumed."""

    def __init__(self, limit: int = INBOX_BYTES) -> None:
        self._limit = limit
        self._life = 0
        self.pending = 0
        """Bytes that wait for the application."""
        self.consumed = 0
        """Bytes of frames that it has taken since WELCOME."""
        self.drained: Optional[Callable[[], None]] = None
        """Called when the inbox is not full any more."""

    @property
    def full(self) -> bool:
        return self.pending > self._limit

    def restart(self) -> None:
        """Another connection: what is taken of the last one does not count."""
        self._life += 1
        self.consumed = 0

    def deliver(
        self, sinks: Collection[Sink], items: Sequence[Item], size: int, wanted: Callable[[], bool] = _always
    ) -> None:
        """Hands the items of one frame of `size` bytes to everybody who wants them.

        `wanted` is asked before each thing that follows a handler, which may have left the room.
        """
        if not items or not sinks:
            self.consumed += size
            return
        ticket = Ticket(self, self._life, size, wanted)
        for sink in tuple(sinks):
            if wanted():
                sink.put(items, ticket)
        if ticket.holds > 1:
            ticket.cost = sum(len(getattr(item, "payload", b"")) + OVERHEAD for item in items)
            self.pending += ticket.cost
        ticket.release()

    def settle(self, ticket: Ticket) -> None:
        """The last hold on a ticket is gone."""
        was_full = self.full
        self.pending -= ticket.cost
        if ticket.life == self._life:
            self.consumed += ticket.size
        if was_full and not self.full and self.drained is not None:
            self.drained()


class Ticket:
    """One frame that is not wholly taken."""

    __slots__ = ("_inbox", "cost", "holds", "life", "size", "wanted")

    def __init__(self, inbox: Inbox, life: int, size: int, wanted: Callable[[], bool]) -> None:
        self._inbox = inbox
        self.wanted = wanted
        self.life = life
        self.size = size
        self.cost = 0
        self.holds = 1  # The inbox's own, until everybody has had the items.

    def hold(self) -> Ticket:
        self.holds += 1
        return self

    def release(self) -> None:
        self.holds -= 1
        if self.holds == 0:
            self._inbox.settle(self)

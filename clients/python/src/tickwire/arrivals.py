"""Arrivals: data frames on their way to their rooms, and directs that wait for the name of theirs (PROTOCOL 8.6).

```text
data frame ──> room ──> replica ──> items ──> application
     └── a direct of a session that goes on, whose room has no known number ──> held ──JOINED──> as above
```
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Tuple

from .clock import Clock
from .codec import DIRECT, Data
from .inbox import Inbox
from .items import Direct
from .limits import HELD_BYTES, HELD_FRAMES, OVERHEAD
from .notices import DirectsLost, Notice
from .rooms import Rooms


class Arrivals:
    """What a server sends into rooms."""

    def __init__(self, rooms: Rooms, inbox: Inbox, clock: Clock, tell: Callable[[Notice], None]) -> None:
        self._rooms = rooms
        self._inbox = inbox
        self._clock = clock
        self._tell = tell
        self._held: Deque[Tuple[Data, int]] = deque()
        self._held_bytes = 0
        self.directs = 0
        """The highest direct of this session that was shown, or is lost. What is held comes again after a cut."""

    def data(self, now: float, frame: Data, size: int) -> None:
        """A data frame of `size` bytes has come. MalformedError where it must not."""
        if frame.kind == DIRECT and (self._held or self._rooms.asks_for(frame.room)):
            self._hold(frame, size)
        else:
            self._show(now, frame, size)

    def release(self, now: float) -> None:
        """A room may have its number now: shows the directs that waited for that."""
        while self._held and not self._rooms.asks_for(self._held[0][0].room):
            frame, size = self._unhold()
            if self._rooms.knows(frame.room):
                self._show(now, frame, size)
            else:
                self._drop(frame, size)

    def lose(self, first: int, last: int) -> None:
        """These directs will not be shown."""
        self.directs = max(self.directs, last)
        self._tell(DirectsLost(first, last))

    def broken(self) -> None:
        """The connection is gone. What was held was not confirmed, so it comes again."""
        self._held.clear()
        self._held_bytes = 0

    def restarted(self) -> None:
        """The session is a new one."""
        self.directs = 0

    def _show(self, now: float, frame: Data, size: int) -> None:
        if frame.kind == DIRECT and self._rooms.may_lack(frame.room):
            self._drop(frame, size)
            return
        room = self._rooms.of_id(frame.room)
        if room is None:
            self._inbox.consumed += size
            return
        replica = room.replica
        since = self._clock.server_time(now) * 1000 - replica.tick_time
        items = replica.data(frame, replica.tick + int(since // max(1, replica.period)))
        if frame.kind == DIRECT:
            # After a resume directs come again that were seen (PROTOCOL 8.6).
            items = [item for item in items if not isinstance(item, Direct) or item.number > self.directs]
            if items and isinstance(items[-1], Direct):
                self.directs = items[-1].number
        self._rooms.deliver(room, items, size)

    def _hold(self, frame: Data, size: int) -> None:
        self._held.append((frame, size))
        self._held_bytes += size + OVERHEAD
        # All later ones wait behind it, so that the highest number that was shown says what is still to be shown.
        while len(self._held) > HELD_FRAMES or self._held_bytes > HELD_BYTES:
            self._drop(*self._unhold())

    def _unhold(self) -> Tuple[Data, int]:
        frame, size = self._held.popleft()
        self._held_bytes -= size + OVERHEAD
        return frame, size

    def _drop(self, frame: Data, size: int) -> None:
        """Nobody knows whose it is, and nobody will say so."""
        self._inbox.consumed += size
        first, last = max(frame.position, self.directs + 1), frame.position + len(frame.records()) - 1
        if first <= last:
            self.lose(first, last)

"""The pulse: when to ping, and when a silent server is dead (SPEC 2 and 7).

```text
WELCOME  0.5  1.0  1.5 s ── every 10 s ──>      pings
last frame ── twice its interval plus 5 s ──>   dead
```
"""

from __future__ import annotations

import math
from collections import deque
from typing import Deque

from .limits import GRACE, LATE, PING_APART, PING_EVERY, PING_FIRST, PING_OPEN


class Pulse:
    """Liveness of one connection. Times are seconds."""

    def __init__(self) -> None:
        self._open: Deque[int] = deque(maxlen=PING_OPEN)
        self._asked = 0
        self._since = 0.0
        self._last = -math.inf
        self._patience = math.inf
        self.next_ping = math.inf
        self.dead_at = math.inf

    def welcome(self, now: float, interval: int) -> None:
        """Another connection, whose server pings after `interval` milliseconds of silence."""
        self._open.clear()
        self._asked = 0
        self._since = self.next_ping = now
        self._patience = 2 * interval / 1000 + GRACE
        self.heard(now)

    def heard(self, now: float) -> None:
        """Something has come."""
        self.dead_at = now + self._patience

    def is_dead(self, now: float) -> bool:
        """Whether nothing has come for too long. A timer that is late was asleep: the server is asked, and given 5 s."""
        if now < self.dead_at:
            return False
        if now - self.dead_at > LATE:
            self.dead_at = now + GRACE
            self.next_ping = now
            return False
        return True

    def may_ask(self, now: float) -> bool:
        """Whether a ping may leave now that the application wants; else the next one is brought forward.

        A server allows eight a second (PROTOCOL 13).
        """
        earliest = self._last + PING_APART
        self.next_ping = min(self.next_ping, max(now, earliest))
        return now >= earliest

    def ask(self, now: float) -> int:
        """A ping leaves; returns its time in microseconds. Two never have the same."""
        time = int(now * 1e6)
        if self._open and time <= self._open[-1]:
            time = self._open[-1] + 1
        self._open.append(time)
        self._asked += 1
        self._last = now
        if self._asked < len(PING_FIRST):
            self.next_ping = max(now, self._since + PING_FIRST[self._asked])
        else:
            self.next_ping = now + PING_EVERY
        return time

    def answered(self, time: int) -> bool:
        """An answer has come; whether the ping was one of ours."""
        if time not in self._open:
            return False
        self._open.remove(time)
        return True

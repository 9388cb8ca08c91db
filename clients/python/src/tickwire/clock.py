"""Time: the server's clock seen from here (PROTOCOL 9, SPEC 7).

```text
 t0 ──ping──> received
 t3 <─answer─ sent        round trip = (t3 - t0) - (sent - received)
                          offset     = ((received - t0) + (sent - t3)) / 2
```

The sample with the smallest round trip of the last eight is believed. Times come in as seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Optional, Tuple

from .limits import SAMPLES


class Clock:
    """Server time by the best of the last samples."""

    def __init__(self) -> None:
        self._clock: Optional[int] = None
        self._samples: Deque[Tuple[float, float]] = deque(maxlen=SAMPLES)
        self._rough = 0.0
        self._told = 0.0
        self._wall = 0
        self.rtt: Optional[float] = None
        """Round trip of the last sample in milliseconds; None before the first."""

    def welcome(self, now: float, clock: int, time: int, wall: int) -> None:
        """WELCOME tells a time, roughly: how long it was on its way is not known."""
        self._start(clock)
        self._told = 0.0  # Never backward within a connection; this is another one.
        self._rough = time - now * 1e6
        self._wall = wall

    def sample(self, now: float, asked: int, clock: int, received: int, sent: int) -> None:
        """An answer has come to the ping of time `asked` (microseconds)."""
        if clock != self._clock:
            self._start(clock)
        heard = now * 1e6
        trip = max(0.0, (heard - asked) - (sent - received))
        self._samples.append((trip, ((received - asked) + (sent - heard)) / 2))
        self.rtt = trip / 1000

    def server_time(self, now: float) -> float:
        """Server time in milliseconds; it never goes backward within a connection."""
        self._told = max(self._told, (now * 1e6 + self._offset()) / 1000)
        return self._told

    def wall_time(self, now: float) -> float:
        """What the server's wall clock shows, in seconds since 1970 UTC."""
        return (now * 1e6 + self._offset() + self._wall) / 1e6

    def _offset(self) -> float:
        return min(self._samples)[1] if self._samples else self._rough

    def _start(self, clock: int) -> None:
        if clock != self._clock:
            self._samples.clear()
            self._clock = clock

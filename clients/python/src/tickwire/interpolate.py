"""Interpolation: what a value was between two samples (SPEC 7).

```text
samples    o────────o────────o────────o
                          ^ at(now - delay)
```
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Generic, Optional, Tuple, TypeVar

T = TypeVar("T")


class Interpolator(Generic[T]):
    """Shows timed samples a little late, and therefore smoothly.

    `delay` is in milliseconds: two periods of the room are a good one (`2 * room.period`). `mix(a, b, f)` makes the
    value at the fraction `f` between two samples; without it samples are numbers. The last `keep` samples are held.
    """

    def __init__(self, delay: float, mix: Optional[Callable[[T, T, float], T]] = None, keep: int = 64) -> None:
        if delay < 0 or keep < 2:
            raise ValueError("a delay is not negative, and two samples are needed")
        self._delay = delay
        self._mix: Callable[[T, T, float], T] = mix or _mix
        self._samples: Deque[Tuple[float, T]] = deque(maxlen=keep)

    def add(self, time: float, value: T) -> None:
        """Adds the sample of `time` (milliseconds of the server). One that is not newer than the last is ignored."""
        if not self._samples or time > self._samples[-1][0]:
            self._samples.append((time, value))

    def at(self, time: float) -> Optional[T]:
        """The value at `time - delay`; that of the first sample before it, of the last one beyond it; None without."""
        wanted = time - self._delay
        later: Optional[Tuple[float, T]] = None
        for sample in reversed(self._samples):
            if sample[0] <= wanted:
                if later is None:
                    return sample[1]
                return self._mix(sample[1], later[1], (wanted - sample[0]) / (later[0] - sample[0]))
            later = sample
        return later[1] if later else None


def _mix(a: T, b: T, fraction: float) -> T:
    mixed: T = a + (b - a) * fraction  # type: ignore[operator]
    return mixed

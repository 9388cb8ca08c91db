"""Backoff: how long to wait before the next attempt (SPEC 2).

```text
attempt 0    1    2    3   ...
at least 0.5 s, plus random(0 .. min(20 s, 0.5 s * 2^n)), at most 20 s
```
"""

from __future__ import annotations

import random


class Backoff:
    """Counts attempts in a row. Times are seconds."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._attempts = 0

    def reset(self) -> None:
        """A connection has stood, or a room was joined."""
        self._attempts = 0

    def next(self) -> float:
        """The wait before the next attempt; each one counts."""
        # Beyond 2^6 the bound is 20 s whatever the exponent.
        spread = min(20.0, 0.5 * 2 ** min(self._attempts, 6))
        self._attempts += 1
        return min(20.0, 0.5 + self._chance.uniform(0.0, spread))

    def later(self) -> float:
        """The wait where the server said "later" without a time: drawn anew each time."""
        return self._chance.uniform(10.0, 20.0)

"""A membership: what the application wants of one room, and how far that is.

```text
Rooms ──> Membership ──> Replica     what is known of the room
                    └──> sinks       who is shown what comes
```
"""

from __future__ import annotations

import random
from typing import Callable, List, Optional, Union

from .backoff import Backoff
from .codec import Page
from .errors import TickwireError
from .inbox import Sink
from .notices import RoomState
from .replica import Replica

Answer = Union[Page, TickwireError, None]
Settle = Callable[[Answer], None]
"""Called once with what became of a request: None is DONE."""


class Membership:
    """One room that is, or was, wanted."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.state = RoomState.LEFT
        self.handle = 0
        self.mode = 0
        self.granted = 0
        self.data = b""
        """For the room's logic, in each JOIN."""
        self.answer = b""
        """What the room's logic said to the last JOIN."""
        self.presence = b""
        self.paused = False
        self.replica = Replica(False)
        self.sinks: List[Sink] = []
        self.id: Optional[int] = None
        self.asked_since = False
        self.backoff = Backoff(chance)
        self.retry_at: Optional[float] = None
        self.receive = 0
        """The last RECEIVE."""
        self.waiting: List[Settle] = []
        """Who waits for `pause` or `unpause`."""

    @property
    def wanted(self) -> bool:
        return self.state is not RoomState.LEFT

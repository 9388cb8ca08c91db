"""Output: frames that wait for the transport.

```text
send ──> [ frame | frame | frame ] ──take──> transport
first ─┘
```
"""

from __future__ import annotations

from collections import deque
from typing import Deque, List

from .limits import ANSWERS, OUTPUT_BYTES
from .wire import MalformedError


class Output:
    """Whole frames, in order."""

    def __init__(self) -> None:
        self._frames: Deque[bytes] = deque()
        self.size = 0
        """Bytes that wait."""
        self.requests = 0
        self.answers = 0

    @property
    def full(self) -> bool:
        """Whether messages of the application have to wait (SPEC 5)."""
        return self.size >= OUTPUT_BYTES

    def request(self) -> int:
        """A new number for a command that is answered."""
        self.requests += 1
        return self.requests

    def send(self, frame: bytes) -> None:
        self._frames.append(frame)
        self.size += len(frame)

    def first(self, frame: bytes) -> None:
        """Puts a frame in front: answers to pings leave ahead of what waits (PROTOCOL 9)."""
        self.answers += 1
        if self.answers > ANSWERS:
            raise MalformedError("pings come faster than their answers can leave")
        self._frames.appendleft(frame)
        self.size += len(frame)

    def take(self, limit: int) -> bytes:
        """Whole frames of at most `limit` bytes together, or one that is larger; empty where nothing waits."""
        taken: List[bytes] = []
        size = 0
        while self._frames and (not taken or size + len(self._frames[0]) <= limit):
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self.size -= size
        self.answers = 0
        return b"".join(taken)

    def rest(self) -> Output:
        """Everything that waits, in an output of its own; nothing waits here then."""
        rest = Output()
        rest._frames, self._frames = self._frames, rest._frames
        rest.size = self.size
        self.clear()
        return rest

    def clear(self) -> None:
        self._frames.clear()
        self.size = self.answers = 0

"""The outbox: messages that wait, and messages that left and are not accepted yet (SPEC 4 and 5).

```text
            cannot leave                       leaves                  accepted
publish ──> reliable: queued, in order ───┐
            latest: one for room and key ─┴─> kept, by number ──────────> gone
            drop: thrown away                     └─ a new session ──> unconfirmed
```
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .errors import QueueFullError
from .limits import (
    KEPT_BYTES,
    KEPT_MESSAGES,
    LATEST_BYTES,
    LATEST_MESSAGES,
    QUEUE_BYTES,
    QUEUE_MESSAGES,
)
from .refusals import Refusals


class Policy(str, Enum):
    """What becomes of a message that cannot leave now (SPEC 5)."""

    RELIABLE = "reliable"
    LATEST = "latest"
    DROP = "drop"


class Message(NamedTuple):
    """A message of the application. `key` is as on the wire for a value, the member for a direct, 0 for an event."""

    number: int
    room: str
    kind: int
    key: int
    payload: bytes
    policy: Policy
    urgent: bool


class _Kept(NamedTuple):
    """A message that left: the number of its data frame, and the handle on which it left."""

    number: int
    handle: int
    message: Message


class Outbox:
    """Bounded queues of one client, over all its rooms."""

    def __init__(self, messages: int = QUEUE_MESSAGES, size: int = QUEUE_BYTES) -> None:
        self._max_messages = messages
        self._max_bytes = size
        self._queued: Dict[str, Deque[Message]] = {}
        self._queued_count = self._queued_bytes = 0
        self._latest: Dict[str, Dict[Tuple[int, int], Message]] = {}
        self._latest_count = self._latest_bytes = 0
        self._kept: Deque[_Kept] = deque()
        self._kept_bytes = 0
        self.refusals = Refusals()
        """What may be refused although it was accepted, and what was refused."""
        self._returned: List[Message] = []
        self.sent = 0
        """Data frames of this session."""

    def __len__(self) -> int:
        """Messages that wait to leave."""
        return self._queued_count + self._latest_count

    @property
    def kept(self) -> int:
        """Messages that left and are not accepted yet."""
        return len(self._kept)

    def wait(self, message: Message) -> bool:
        """Keeps a message that cannot leave, as its policy says. False: thrown away. QueueFullError: no place."""
        if message.policy is Policy.DROP:
            return False
        if message.policy is Policy.LATEST:
            self._wait_latest(message)
            return True
        size = len(message.payload)
        if self._queued_count >= self._max_messages or self._queued_bytes + size > self._max_bytes:
            raise QueueFullError(f"{self._queued_count} messages of {self._queued_bytes} bytes wait already")
        self._forget_latest(message)  # An older value must not overtake a newer one.
        self._queued.setdefault(message.room, deque()).append(message)
        self._queued_count += 1
        self._queued_bytes += size
        return True

    def may_pass(self, message: Message) -> bool:
        """Whether a message may leave now without overtaking what waits before it, and be kept."""
        return not self._queued.get(message.room) and self.has_place(message)

    def has_place(self, message: Message) -> bool:
        """Whether one more message can be kept until it is accepted."""
        return len(self._kept) < KEPT_MESSAGES and self._kept_bytes + len(message.payload) <= KEPT_BYTES

    def waiting(self, room: str) -> Optional[Message]:
        """What leaves next in a room: first what is reliable, then the latest values. It stays until `left`."""
        queued = self._queued.get(room)
        if queued:
            return queued[0]
        return next(iter(self._latest.get(room, {}).values()), None)

    def leave(self, message: Message) -> None:
        """Takes what `waiting` told out of the queue."""
        queued = self._queued.get(message.room)
        if queued and queued[0] is message:
            self._uncount(queued.popleft())
            if not queued:
                del self._queued[message.room]
        else:
            self._forget_latest(message)

    def keep(self, handle: int, message: Message, bounded: bool) -> int:
        """A message leaves on a handle; returns the number of its data frame.

        `bounded`: nothing accepts, so the oldest go.
        """
        self._forget_latest(message)
        self.sent += 1
        self._kept.append(_Kept(self.sent, handle, message))
        self._kept_bytes += len(message.payload)
        while bounded and (len(self._kept) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES):
            kept = self._unkeep()
            self.refusals.accepted(kept.number, kept.message)
        return self.sent

    def accepted(self, number: int) -> None:
        """Everything up to this data frame has arrived."""
        while self._kept and self._kept[0].number <= number:
            kept = self._unkeep()
            self.refusals.accepted(kept.number, kept.message)

    def refused(self, number: int, again: bool) -> Optional[Message]:
        """A data frame was refused; None where its message is not known any more.

        `again`: it may be sent once more to the server that comes, if it is reliable.
        """
        for index, (kept, _, message) in enumerate(self._kept):
            if kept == number:
                del self._kept[index]
                self._kept_bytes -= len(message.payload)
                if again and message.policy is Policy.RELIABLE:
                    self._returned.append(message)
                return message
        return self.refusals.take(number)

    def requeue(self) -> None:
        """Puts what was refused only because the server goes away in front of what waits."""
        for message in reversed(self._returned):
            self._queued.setdefault(message.room, deque()).appendleft(message)
            self._queued_count += 1
            self._queued_bytes += len(message.payload)
        self._returned.clear()

    def resumed(self, accepted: int) -> List[Tuple[int, Message]]:
        """The session goes on: what is to be sent again, in order, and on which handles."""
        while self._kept and self._kept[0].number <= accepted:
            kept = self._unkeep()
            self.refusals.doubt(kept.number, kept.message)
        self.refusals.resumed(accepted)
        again = [(kept.handle, kept.message) for kept in self._kept]
        self._kept.clear()
        self._kept_bytes = 0
        self.sent = accepted
        return again

    def restarted(self) -> List[Message]:
        """The session is over: of what is returned nobody knows whether it arrived."""
        unknown = [message for _, message in self.resumed(0)]
        self.refusals.restarted()
        self.requeue()
        return unknown

    def drop(self, room: Optional[str] = None) -> int:
        """Throws away what waits, in one room or in all; returns how much that was."""
        before = len(self)
        for name in [room] if room is not None else [*self._queued, *self._latest]:
            for message in self._queued.pop(name, ()):
                self._uncount(message)
            for message in self._latest.pop(name, {}).values():
                self._latest_count -= 1
                self._latest_bytes -= len(message.payload)
        self._returned = [message for message in self._returned if room is not None and message.room != room]
        return before - len(self)

    def _wait_latest(self, message: Message) -> None:
        values = self._latest.get(message.room, {})
        old = values.get((message.kind, message.key))
        count = self._latest_count + (old is None)
        size = self._latest_bytes + len(message.payload) - (len(old.payload) if old else 0)
        if count > LATEST_MESSAGES or size > LATEST_BYTES:
            raise QueueFullError(f"{self._latest_count} values of {self._latest_bytes} bytes wait already")
        self._latest.setdefault(message.room, values)[(message.kind, message.key)] = message
        self._latest_count, self._latest_bytes = count, size

    def _forget_latest(self, message: Message) -> None:
        values = self._latest.get(message.room)
        if not values:
            return
        old = values.pop((message.kind, message.key), None)
        if old is not None:
            self._latest_count -= 1
            self._latest_bytes -= len(old.payload)
        if not values:
            del self._latest[message.room]

    def _uncount(self, message: Message) -> None:
        self._queued_count -= 1
        self._queued_bytes -= len(message.payload)

    def _unkeep(self) -> _Kept:
        kept = self._kept.popleft()
        self._kept_bytes -= len(kept.message.payload)
        return kept

    def rooms(self) -> Iterator[str]:
        """The rooms in which something waits."""
        return iter([*self._queued, *(room for room in self._latest if room not in self._queued)])

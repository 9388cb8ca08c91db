"""The sender: messages of the application on their way out (SPEC 5, PROTOCOL 7 and 12.3).

```text
publish ──may leave──> data frame ──> output
   └── else, by policy ──> outbox ──flush──> data frame          resend, refused
```
"""

from __future__ import annotations

from typing import Callable, Optional

from . import commands, limits
from .codec import EVENT, VALUE, Refused
from .errors import RefusedError, TooLargeError, escaped
from .membership import Membership
from .notices import Notice, RoomState
from .output import Output
from .queue import Message, Outbox, Policy
from .reasons import GOING_AWAY, TOO_LARGE
from .rooms import Rooms


class Sender:
    """Writes data frames, each of which the outbox keeps until it is accepted."""

    def __init__(self, outbox: Outbox, output: Output, rooms: Rooms, tell: Callable[[Notice], None]) -> None:
        self._outbox = outbox
        self._output = output
        self._rooms = rooms
        self._tell = tell
        self._max_message: Optional[int] = None  # None before the first WELCOME.
        self._accepts = False
        self._unasked = [0, 0]  # Data frames, and bytes of them, since the server was asked what it accepted.

    def welcome(self, max_message: int, accepts: bool) -> None:
        """A server takes messages of so many bytes. `accepts`: it tells what it has accepted."""
        self._max_message = min(max_message, limits.MAX_PAYLOAD - 32)
        self._accepts = accepts

    def check(self, payload: bytes) -> None:
        """TooLargeError where the server does not take that."""
        # Before WELCOME nobody knows what the server takes; 32 bytes hold every head.
        most = self._max_message if self._max_message is not None else limits.MAX_PAYLOAD - 32
        if len(payload) > most:
            raise TooLargeError(f"{len(payload)} bytes; the server takes {most}")

    def publish(self, room: Membership, message: Message, is_open: bool) -> bool:
        """Sends a message, now or later. False: its policy had it thrown away. QueueFullError: no place."""
        if is_open and self._may_leave(room) and self._outbox.may_pass(message):
            self._emit(room.handle, message)
            return True
        return self._outbox.wait(message)

    def flush(self) -> None:
        """Sends what waits and may leave now. The connection is open."""
        if not len(self._outbox):
            return
        for name in self._outbox.rooms():
            room = self._rooms.get(name)
            while self._may_leave(room):
                message = self._outbox.waiting(name)
                if message is None or not self._outbox.has_place(message):
                    break
                self._outbox.leave(message)
                self._emit(room.handle, message)

    def resend(self, accepted: int) -> None:
        """The session goes on behind this data frame: the later ones, on the handles that they had (PROTOCOL 12.2)."""
        for handle, message in self._outbox.resumed(accepted):
            self._emit(handle, message)

    def refused(self, frame: Refused) -> None:
        """A message was not accepted. What was sent and refused is told once, also where the server says it again."""
        if frame.number <= self._outbox.sent and not self._outbox.refusals.hear(frame.number):
            return
        again = frame.reason == GOING_AWAY
        message = self._outbox.refused(frame.number, again)
        if again and message is not None and message.policy is Policy.RELIABLE:
            return  # It is sent again to the server that comes (PROTOCOL 6.9).
        text = escaped(frame.extensions.get(2, b""))
        if message is None:
            self._tell(RefusedError("a message", frame.reason, 0, text))
        else:
            self._tell(RefusedError(message.room, frame.reason, message.number, text))

    def _may_leave(self, room: Membership) -> bool:
        return room.state is RoomState.JOINED and not self._output.full

    def _emit(self, handle: int, message: Message) -> None:
        if self._max_message is not None and len(message.payload) > self._max_message:
            self._tell(RefusedError(message.room, TOO_LARGE, message.number))
            return
        flags = commands.URGENT if message.urgent else 0
        if self._accepts:
            self._unasked[0] += 1
            self._unasked[1] += len(message.payload)
            if self._unasked[0] >= limits.ACKNOWLEDGE_EVERY or self._unasked[1] >= limits.ACKNOWLEDGE_BYTES:
                flags |= commands.ACKNOWLEDGE
                self._unasked = [0, 0]
        self._outbox.keep(handle, message, not self._accepts)
        if message.kind == EVENT:
            self._output.send(commands.event(handle, message.payload, flags))
        elif message.kind == VALUE:
            self._output.send(commands.value(handle, message.key, message.payload, flags))
        else:
            self._output.send(commands.direct(handle, message.key, message.payload, flags))

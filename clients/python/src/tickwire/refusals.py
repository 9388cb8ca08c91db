"""Refusals: messages that may be refused after they were accepted, and refusals that were heard (PROTOCOL 12.2 and 12.3).

```text
a direct ──accepted──────────────────────────┐
a message ──accepted by a WELCOME──┐         ├── REFUSED ──> whose message it was
                  two answers later: gone    └── many later: gone
```

A refusal that may have been lost with a connection is told again behind the next WELCOME: also one that was heard.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Optional

from .limits import HEARD_REFUSALS, KEPT_BYTES, KEPT_MESSAGES, RECENT_DIRECTS

if TYPE_CHECKING:
    from .queue import Message

_ANSWERS = (
    2  # The answer to the ping that follows WELCOME may overtake a room's refusal; the next is half a second later.
)


class Refusals:
    """What one session has to know of refusals, over all its connections."""

    def __init__(self) -> None:
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._directs: OrderedDict[int, Message] = OrderedDict()
        self._resumed: OrderedDict[int, Message] = OrderedDict()
        self._resumed_bytes = 0
        self._answers = 0

    def hear(self, number: int) -> bool:
        """Data frame `number` was refused. False: that was heard before."""
        if number in self._heard:
            return False
        self._heard[number] = None
        if len(self._heard) > HEARD_REFUSALS:
            self._heard.popitem(last=False)
        return True

    def take(self, number: int) -> Optional[Message]:
        """The message of a data frame that was accepted and is refused now; None where it is not known any more."""
        message = self._resumed.pop(number, None)
        if message is not None:
            self._resumed_bytes -= len(message.payload)
            return message
        return self._directs.pop(number, None)

    def accepted(self, number: int, message: Message) -> None:
        """A message was accepted. A direct may be refused all the same, when its receiver leaves."""
        if message.kind == 3:
            self._directs[number] = message
            if len(self._directs) > RECENT_DIRECTS:
                self._directs.popitem(last=False)

    def doubt(self, number: int, message: Message) -> None:
        """A WELCOME says that a message was read: its refusal may follow."""
        self._resumed[number] = message
        self._resumed_bytes += len(message.payload)
        while len(self._resumed) > KEPT_MESSAGES or self._resumed_bytes > KEPT_BYTES:
            self._forget()

    def resumed(self, accepted: int) -> None:
        """The session goes on behind data frame `accepted`; numbers above it are given anew."""
        self._answers = 0
        for number in [number for number in self._heard if number > accepted]:
            del self._heard[number]

    def answered(self) -> None:
        """A ping of this connection was answered: what stood before it in the server's output has come."""
        self._answers += 1
        while self._resumed and self._answers >= _ANSWERS:
            self._forget()

    def restarted(self) -> None:
        """The session is over."""
        self._heard.clear()
        self._directs.clear()
        self._resumed.clear()
        self._resumed_bytes = 0

    def _forget(self) -> None:
        number, message = self._resumed.popitem(last=False)
        self._resumed_bytes -= len(message.payload)
        self.accepted(number, message)

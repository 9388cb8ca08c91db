"""What can go wrong, each of one kind (SPEC 8).

```text
TickwireError ── connect  protocol  version  token  refused  queue-full  too-large  handler  closed
```

Some are raised by the call that failed, the others are told by `Client.errors`; none is raised out of a timer or a socket.
"""

from __future__ import annotations

from typing import Optional

from .reasons import sentence


class TickwireError(Exception):
    """Any error of this package. `kind` is its name in SPEC 8."""

    kind = "error"


class ConnectError(TickwireError):
    """No connection came about. `status` is that of the HTTP answer, where there was one."""

    kind = "connect"

    def __init__(self, text: str, status: Optional[int] = None) -> None:
        super().__init__(text)
        self.status = status


class ProtocolError(TickwireError):
    """The server sent what cannot be read, or must not come. The client comes back by itself."""

    kind = "protocol"


class VersionError(TickwireError):
    """Whoever answers speaks no Tickwire, or none of this version."""

    kind = "version"


class TokenError(TickwireError):
    """The token callback failed, or the server refused a newer token."""

    kind = "token"


class RefusedError(TickwireError):
    """The server refused a join, a request or a message.

    `number` is the message's own number, as `Room.publish` returned it; 0 where it was no message, or is not known
    any more.
    """

    kind = "refused"

    def __init__(self, room: str, reason: int, number: int = 0, text: str = "") -> None:
        super().__init__(f"{room}: {text or sentence(reason)} ({reason})")
        self.room = room
        self.reason = reason
        self.number = number


class QueueFullError(TickwireError):
    """As many messages wait as may. Nothing was sent or queued; the application decides what to do."""

    kind = "queue-full"


class TooLargeError(TickwireError):
    """The payload is above what the server takes, or what a frame can hold."""

    kind = "too-large"


class HandlerError(TickwireError):
    """A handler of the application raised; `__cause__` is what."""

    kind = "handler"


class ClosedError(TickwireError):
    """The client is closed, or the room left: for good. `reason` says why (PROTOCOL 14), 0 where nobody did."""

    kind = "closed"

    def __init__(self, text: str, reason: int = 0) -> None:
        super().__init__(text)
        self.reason = reason


def escaped(text: bytes) -> str:
    """A text from the server, safe to print (PROTOCOL 15): at most 256 characters, none of which a terminal interprets."""
    shown = text[:1024].decode("utf-8", "replace")[:256]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)

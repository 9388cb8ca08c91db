"""What a client tells about itself: every change of state, and what became of messages (SPEC 1 and 4)."""

from __future__ import annotations

from enum import Enum
from typing import List, NamedTuple, Union

from .errors import TickwireError
from .queue import Message


class State(str, Enum):
    """States of a client (SPEC 1)."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class RoomState(str, Enum):
    """States of a room (SPEC 1)."""

    LEFT = "left"
    JOINING = "joining"
    JOINED = "joined"


class StateChange(NamedTuple):
    """The client's state has changed. `reason` is a number (PROTOCOL 14), 0 where there is none; `text` is for people."""

    before: State
    after: State
    reason: int
    text: str


class RoomChange(NamedTuple):
    """A room's state has changed."""

    room: str
    before: RoomState
    after: RoomState
    reason: int
    text: str


class Unconfirmed(NamedTuple):
    """The session is over, and nobody knows which of these messages arrived. They are not sent again."""

    messages: List[Message]


class DirectsLost(NamedTuple):
    """The server let go of these directs while the client was away (PROTOCOL 12.2)."""

    first: int
    last: int


Notice = Union[StateChange, RoomChange, Unconfirmed, DirectsLost, TickwireError]

"""A client for Tickwire: rooms over a compact binary protocol, batched on a tick.

```python
import asyncio
from tickwire import Client

async def main():
    async with Client("ws://127.0.0.1:7070") as client:
        room = await client.join("lobby")
        room.publish(b"hi")
        async for event in room:
            print(event.member, event.payload)

asyncio.run(main())
```

The path of a byte: `transport` reads, `codec` decodes, `session` obeys, `rooms` and `replica` keep what is known,
`inbox` and `stream` hand it over. `limits` has every bound. PROTOCOL.md is the authority on the wire, clients/SPEC.md on
what a client does.
"""

from .client import Client
from .errors import (
    ClosedError,
    ConnectError,
    HandlerError,
    ProtocolError,
    QueueFullError,
    RefusedError,
    TickwireError,
    TokenError,
    TooLargeError,
    VersionError,
)
from .interpolate import Interpolator
from .items import Batch, Direct, Event, Item, Member, Outcome, Presence, Snapshot, Tick, Value
from .notices import DirectsLost, Notice, RoomChange, RoomState, State, StateChange, Unconfirmed
from .queue import Message, Policy
from .room import Room
from .stream import Stream

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Client",
    "ClosedError",
    "ConnectError",
    "Direct",
    "DirectsLost",
    "Event",
    "HandlerError",
    "Interpolator",
    "Item",
    "Member",
    "Message",
    "Notice",
    "Outcome",
    "Policy",
    "Presence",
    "ProtocolError",
    "QueueFullError",
    "RefusedError",
    "Room",
    "RoomChange",
    "RoomState",
    "Snapshot",
    "State",
    "StateChange",
    "Stream",
    "Tick",
    "TickwireError",
    "TokenError",
    "TooLargeError",
    "Unconfirmed",
    "Value",
    "VersionError",
]

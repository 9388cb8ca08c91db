"""A session on a stage: the server's lines are spoken by the test, and time passes when it says so.

```text
test ──frames──> Session ──output──> Stage.sent, decoded by the reference codec
```
"""

from __future__ import annotations

import random
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, TypeVar

from tickwire.actions import Action, AskToken, Failure, Hangup, Open
from tickwire.codec import EVENT, VALUE
from tickwire.inbox import Ticket
from tickwire.items import Item
from tickwire.membership import Membership
from tickwire.notices import Notice
from tickwire.queue import Policy
from tickwire.session import Session
from tickwire.target import read

VECTORS = Path(__file__).resolve().parents[3] / "tests" / "vectors"

# The reference codec, which has no types and is no package.
_spec = spec_from_file_location("reference", VECTORS / "reference.py")
assert _spec is not None
assert _spec.loader is not None
reference: Any = module_from_spec(_spec)
_spec.loader.exec_module(reference)

EPOCH = "0123456789abcdef"
N = TypeVar("N")


class Stage:
    """A session, its clock, and what it did."""

    def __init__(self, url: str = "tcp://server", **options: Any) -> None:
        self.now = 1000.0
        self.told: List[Notice] = []
        self.session = Session(read(url), tell=self.told.append, chance=random.Random(1), **options)
        self.items: List[Item] = []
        self.links = 0

    # What the application does.

    def put(self, items: Sequence[Item], ticket: Ticket) -> None:
        self.items += items

    def join(self, name: str = "r", echo: bool = True, mode: int = 3) -> Membership:
        room = self.session.join(name, mode, echo, b"", b"")
        room.sinks.append(self)
        return room

    def publish(self, payload: bytes, policy: Policy = Policy.RELIABLE, room: str = "r") -> Optional[int]:
        return self.session.publish(room, EVENT, 0, payload, policy, False)

    def set(self, key: int, payload: bytes, policy: Policy = Policy.LATEST) -> Optional[int]:
        return self.session.publish("r", VALUE, key * 2, payload, policy, False)

    # What the server does.

    def start(self, **welcome: Any) -> List[Dict[str, Any]]:
        """Connects, up to WELCOME; returns what was said in between."""
        self.session.connect(self.now)
        return self.open(**welcome)

    def open(self, **welcome: Any) -> List[Dict[str, Any]]:
        """The connection that was asked for stands; WELCOME."""
        assert isinstance(self.action(Open), Open)
        self.session.opened(self.now, False)
        said = self.sent()
        self.welcome(**welcome)
        return said

    def welcome(self, **changes: Any) -> None:
        frame: Dict[str, Any] = {"request": 1, "capabilities": 0x7F, "flags": 0, "clock": 7, "time": 0, "wall": 10**15}
        frame.update({"max_message": 15360, "max_frame": 16384, "max_rooms": 128, "ping": 15000, "accepted": 0})
        frame.update({"extensions": [[2, b"resume".hex()], [4, "b0ea01"]]})
        frame.update(changes)
        self.says("welcome", **frame)

    def joined(self, **changes: Any) -> None:
        frame: Dict[str, Any] = {
            "request": 2,
            "handle": 1,
            "room": 7,
            "member": 1,
            "mode": 3,
            "outcome": 0,
            "epoch": EPOCH,
        }
        frame.update({"position": 0, "period": 50_000, "tick": 0, "tick_time": 0, "extensions": []})
        frame.update(changes)
        self.says("joined", **frame)

    def says(self, command: str, **frame: Any) -> None:
        self.hear({"type": "control", "command": command, "request": 0, "extensions": [], **frame})

    def data(self, kind: str, records: Sequence[Tuple[Any, bytes]], position: int = 1, **more: Any) -> None:
        """Records are member (or member and key) and payload."""
        made = []
        for who, payload in records:
            member, key = who if isinstance(who, tuple) else (who, 0)
            record: Dict[str, Any] = {"member": member, "payload": payload.hex()}
            if kind in ("value", "snapshot", "direct"):
                record["key"] = key
            made.append(record)
        frame: Dict[str, Any] = {"type": "data", "kind": kind, "compressed": False, "urgent": False, "more": False}
        frame.update({"room": 7, "position": position, "tick": 1, "records": made})
        frame.update(more)
        self.hear(frame)

    def hear(self, frame: Dict[str, Any]) -> None:
        self.session.receive(self.now, reference.encode_frame(frame, "server"))

    def broken(self, **failure: Any) -> None:
        self.session.broken(self.now, Failure("cut", **failure))

    def passes(self, seconds: float) -> None:
        """Time passes, and every timer that is due runs, in time."""
        end = self.now + seconds
        while True:
            deadline = self.session.deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.session.wake(self.now)
        self.now = end

    # What the session did.

    def sent(self) -> List[Dict[str, Any]]:
        """The frames since the last look, pings that ask left out."""
        data = self.session.output.take(2**31)
        return decoded(data)

    def action(self, kind: Type[N]) -> N:
        """The next thing to do, which has to be of this kind."""
        action: Action = self.session.actions.pop(0)
        assert isinstance(action, kind), action
        return action

    @property
    def state(self) -> str:
        """The session's state, by its name."""
        return self.session.state.value

    def all(self, kind: Type[N]) -> List[N]:
        """Everything of this kind that was told so far."""
        return [notice for notice in self.told if isinstance(notice, kind)]

    def of(self, kind: Type[N]) -> List[N]:
        """The items of this kind."""
        return [item for item in self.items if isinstance(item, kind)]


def decoded(data: bytes) -> List[Dict[str, Any]]:
    """Frames of a client, by the reference codec."""
    if data.startswith(b"\xd7TW\x01"):
        data = data[4:]
    frames = reference.decode_frames(data, "client", 65_535)
    return [frame for frame in frames if frame["type"] != "ping" or frame["answer"]]


__all__ = ["EPOCH", "AskToken", "Failure", "Hangup", "Open", "Stage", "decoded", "reference"]

"""The replica: what a client knows of a room, kept by what the server sends (PROTOCOL 8, SPEC 4 and 6).

```text
position   p        p + 1 (shown in part)      p + 1
           ├── events, presence ──── no flag 6 ──┤      complete: the one to come back with
snapshot   collected frame by frame, and put in place at once when the last has come
```

Input and numbers in, items out; no sockets, no clock.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from .codec import (
    DIRECT,
    EVENT,
    MEMBERS,
    PRESENCE,
    SNAPSHOT,
    VALUE,
    Away,
    Change,
    Count,
    Data,
    Gap,
    Gone,
    Here,
    Joined,
    Record,
    read_presence,
)
from .items import Direct, Event, Item, Member, Outcome, Presence, Snapshot, Tick, Value
from .limits import MAX_REPLICA, OVERHEAD
from .wire import MalformedError, Reader

Key = Tuple[Optional[int], int]
"""Whose value (None: the room's), and its number."""


class Replica:
    """One room as this client knows it."""

    def __init__(self, echo: bool) -> None:
        self.echo = echo
        self.me = 0
        """This client's number in the room; 0 before the first JOINED."""
        self.values: Dict[Key, bytes] = {}
        self.members: Dict[int, Member] = {}
        self.count: Optional[int] = None
        """How many members a room has that tells only that."""
        self.since: Optional[Tuple[bytes, int]] = None
        """Epoch and last complete position, None where nothing is known."""
        self.period = self.tick = self.tick_time = 0
        self._former = -1  # 0 is the room itself.
        self._shown = [0, 0]  # Records of position + 1 that were shown: presence, events.
        self._passed = [0, 0]  # Those that came on this connection.
        self._open: Optional[Tuple[int, int]] = None  # Tick and position of a batch whose values may follow.
        self._early: Optional[Tuple[int, int]] = None  # Those of one that was told as ended before its values, if any.
        self._bytes = 0
        self._member_bytes = 0
        self._values_coming: Optional[Dict[Key, bytes]] = None
        self._members_coming: Optional[List[Tuple[int, Optional[Change]]]] = None
        self._coming_bytes = [0, 0]

    def joined(self, frame: Joined, asked: bool) -> Outcome:
        """JOINED has come. `asked`: the JOIN said *since*."""
        known = self.since if asked else None
        again = known is not None and known[0] == frame.epoch
        outcome = Outcome("snapshot")
        if again and frame.outcome == 1:
            outcome = Outcome("recovered")
        elif again and frame.outcome == 2 and 4 in frame.extensions:
            first, last = _two(frame.extensions[4])
            outcome = Outcome("gap", first, last)
        if outcome.kind == "snapshot":
            self.members.clear()
            self._member_bytes = 0
            self.count = None
        # What this client said under its last number may come in a replay, up to the snapshot.
        self._former = self.me if again and self.me != frame.member else -1
        self.me = frame.member
        self.period = frame.period or 1000
        self.tick, self.tick_time = frame.tick, frame.tick_time
        if not again or known is None or frame.position != known[1]:
            self._shown = [0, 0]
        self._passed = [0, 0]
        self._restart(frame.epoch, frame.position)
        return outcome

    def gap(self, frame: Gap) -> Outcome:
        """GAP has come (PROTOCOL 6.10). MalformedError where it does not follow what came before it."""
        if self.since is None or frame.epoch != self.since[0]:
            raise MalformedError("a gap in another life of the room")
        if frame.first != self.since[1] + 1 or frame.last < frame.first - 1:
            raise MalformedError(f"a gap from {frame.first} to {frame.last} after position {self.since[1]}")
        self._restart(frame.epoch, frame.last)
        if frame.last < frame.first:
            return Outcome("snapshot")  # No batch is lost: one that was shown in part goes on from there.
        self._shown, self._passed = [0, 0], [0, 0]
        return Outcome("gap", frame.first, frame.last)

    def paused(self) -> None:
        """Less was asked for: a snapshot that had begun is void (PROTOCOL 6.11)."""
        self._values_coming = self._members_coming = None

    def broken(self) -> None:
        """The connection is gone: snapshots under way never end."""
        self._values_coming = self._members_coming = None
        self._open = self._early = None

    def data(self, frame: Data, current: int) -> List[Item]:
        """One data frame; what is to be shown of it. MalformedError where it must not come.

        `current` is about the room's tick now, by the clock.
        """
        tick = _extend(frame.tick, current)
        items: List[Item] = []
        kind = frame.kind
        if kind == DIRECT:
            return [
                Direct(member, payload, frame.position + index, key, tick)
                for index, (member, key, payload) in enumerate(frame.records())
            ]
        if self._open is not None and (kind != VALUE or self._open != (tick, frame.position)):
            items.append(Tick(*self._open))
            self._open = None
        if kind in (EVENT, PRESENCE):
            self._numbered(frame, tick, items)
        elif kind == VALUE:
            self._written(frame, tick, items)
        elif kind == SNAPSHOT:
            self._collect_values(frame, tick, items)
        elif kind == MEMBERS:
            self._collect_members(frame)
        return items

    def end(self) -> Optional[Tick]:
        """Nothing more has come for now: the tick of a batch that has ended with its events.

        Nothing says whether values of it follow. Those that do are shown, and the tick is not told again.
        """
        if self._open is None:
            return None
        self._early, self._open = self._open, None
        return Tick(*self._early)

    def page(self, records: List[Record]) -> None:
        """A page of members (PROTOCOL 6.16)."""
        for member, _, payload in records:
            self._presence(member, read_presence(payload))

    def _numbered(self, frame: Data, tick: int, items: List[Item]) -> None:
        position = frame.position
        if self.since is None or position != self.since[1] + 1:
            raise MalformedError(f"position {position} after {self.since[1] if self.since else 'nothing'}")
        part = 1 if frame.kind == EVENT else 0
        records = frame.records()
        # A batch that broke off is shown from there (SPEC 4), not from its beginning.
        skip = max(0, min(len(records), self._shown[part] - self._passed[part]))
        self._passed[part] += len(records)
        self._shown[part] = max(self._shown[part], self._passed[part])
        if part:
            hidden = () if self.echo else (self.me, self._former)
            items += [
                Event(member, payload, tick, position) for member, _, payload in records[skip:] if member not in hidden
            ]
        else:
            for member, _, payload in records[skip:]:
                change = read_presence(payload)
                if change is not None:
                    self._presence(member, change)
                    items.append(_shown(member, change, tick, position))
        if not frame.more:
            self.since = (self.since[0], position)
            self._shown, self._passed = [0, 0], [0, 0]
            self._open = (tick, position)

    def _written(self, frame: Data, tick: int, items: List[Item]) -> None:
        for member, key, payload in frame.records():
            shared = key & 1
            self._put((None if shared else member, key >> 1), payload)
            if self.echo or member not in (self.me, self._former):
                items.append(Value(key >> 1, member, bool(shared), payload, tick, frame.position))
        self._open = None
        if frame.more:
            return
        if self._early == (tick, frame.position):
            self._early = None
        # Beyond the last complete position: presence of the same batch follows.
        elif self.since is None or frame.position <= self.since[1]:
            items.append(Tick(tick, frame.position))

    def _put(self, key: Key, payload: bytes) -> None:
        old = self.values.pop(key, None)
        if old is not None:
            self._bytes -= len(old) + OVERHEAD
        if payload:
            self._bytes += len(payload) + OVERHEAD
            if self._bytes > MAX_REPLICA:
                raise MalformedError("a room holds more values than a client keeps")
            self.values[key] = payload

    def _collect_values(self, frame: Data, tick: int, items: List[Item]) -> None:
        if self._values_coming is None:
            self._values_coming, self._coming_bytes[0] = {}, 0
        for member, key, payload in frame.records():
            self._coming_bytes[0] += len(payload) + OVERHEAD
            self._values_coming[None if key & 1 else member, key >> 1] = payload
        if self._coming_bytes[0] > MAX_REPLICA:
            raise MalformedError("a snapshot holds more than a client keeps")
        if not frame.more:
            self.values, self._bytes = self._values_coming, self._coming_bytes[0]
            self._values_coming = None
            self._former = -1
            items.append(Snapshot(tick, frame.position))

    def _collect_members(self, frame: Data) -> None:
        if self._members_coming is None:
            self._members_coming, self._coming_bytes[1] = [], 0
        for member, _, payload in frame.records():
            self._coming_bytes[1] += len(payload) + OVERHEAD
            self._members_coming.append((member, read_presence(payload)))
        if self._coming_bytes[1] > MAX_REPLICA:
            raise MalformedError("a list of members holds more than a client keeps")
        if not frame.more:
            coming, self._members_coming = self._members_coming, None
            self.members, self._member_bytes = {}, 0
            for number, change in coming:
                self._presence(number, change)

    def _presence(self, number: int, change: Optional[Change]) -> None:
        if isinstance(change, Here):
            self._forget(number)
            member = Member(number, _text(change.subject), change.data, False)
            self._member_bytes += _size(member)
            if self._member_bytes > MAX_REPLICA:
                raise MalformedError("a room has more members than a client keeps")
            self.members[number] = member
        elif isinstance(change, Away):
            if number in self.members:
                self.members[number] = self.members[number]._replace(away=True)
        elif isinstance(change, Gone):
            self._forget(number)
        elif isinstance(change, Count):
            self.count = change.members

    def _forget(self, number: int) -> None:
        member = self.members.pop(number, None)
        if member is not None:
            self._member_bytes -= _size(member)

    def _restart(self, epoch: bytes, position: int) -> None:
        self.since = (epoch, position)
        self._values_coming = self._members_coming = None
        self._open = self._early = None


def _extend(low: int, near: int) -> int:
    """The whole number of a tick, by its low 16 bits and one that is near (PROTOCOL 8.1)."""
    return max(0, near + ((low - near + 0x8000) & 0xFFFF) - 0x8000)


def _two(content: bytes) -> Tuple[int, int]:
    reader = Reader(content)
    return reader.varint(), reader.varint()


def _size(member: Member) -> int:
    return len(member.subject) + len(member.data) + OVERHEAD


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


def _shown(member: int, change: Change, tick: int, position: int) -> Presence:
    if isinstance(change, Here):
        return Presence(member, "here", _text(change.subject), change.data, 0, 0, tick, position)
    if isinstance(change, Away):
        return Presence(member, "away", "", b"", 0, 0, tick, position)
    if isinstance(change, Gone):
        return Presence(member, "left", "", b"", change.reason, 0, tick, position)
    return Presence(member, "count", "", b"", 0, change.members, tick, position)

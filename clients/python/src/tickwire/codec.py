"""Frames from the server: bytes in, typed frames out (PROTOCOL 5, 6, 8 and 9).

```text
bytes ──feed──> Decoder ──next──> Data | Ping | Pong | Control | Ignored,  and how many bytes it took
```

Nothing here knows a session. Whatever comes in, the only exception is `MalformedError`.
"""

from __future__ import annotations

import zlib
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

from .wire import CONTROL, DATA, MAX_PAYLOAD, PING, MalformedError, Reader, read_varint

EVENT, VALUE, PRESENCE, DIRECT, SNAPSHOT, MEMBERS = range(6)

Record = Tuple[int, int, bytes]
"""Member, key (0 where the kind has none), payload."""

Extensions = Dict[int, bytes]


class Data(NamedTuple):
    """A data frame (PROTOCOL 8.1). `body` is what follows the head, still compressed if `compressed` says so."""

    kind: int
    compressed: bool
    urgent: bool
    more: bool
    room: int
    position: int
    tick: int
    body: bytes

    def records(self, limit: int = MAX_PAYLOAD) -> List[Record]:
        """The records (PROTOCOL 8.2). Compressed ones may inflate to `limit` bytes."""
        body = inflate(self.body, limit) if self.compressed else self.body
        return read_records(body, self.kind in (VALUE, DIRECT, SNAPSHOT))


class Ping(NamedTuple):
    """The server asks (PROTOCOL 9). Times are microseconds."""

    time: int
    accepted: int
    extensions: Extensions


class Pong(NamedTuple):
    """The server answers a ping of the client (PROTOCOL 9). Times are microseconds."""

    time: int
    clock: int
    received: int
    sent: int
    accepted: int
    extensions: Extensions


class Welcome(NamedTuple):
    """PROTOCOL 6.2."""

    request: int
    capabilities: int
    flags: int
    clock: int
    time: int
    wall: int
    max_message: int
    max_frame: int
    max_rooms: int
    ping: int
    accepted: int
    extensions: Extensions


class Joined(NamedTuple):
    """PROTOCOL 6.4."""

    request: int
    handle: int
    room: int
    member: int
    mode: int
    outcome: int
    epoch: bytes
    position: int
    period: int
    tick: int
    tick_time: int
    extensions: Extensions


class Left(NamedTuple):
    """PROTOCOL 6.6."""

    request: int
    handle: int
    reason: int
    extensions: Extensions


class Refused(NamedTuple):
    """PROTOCOL 6.7."""

    request: int
    number: int
    reason: int
    extensions: Extensions


class Close(NamedTuple):
    """PROTOCOL 6.8."""

    request: int
    reason: int
    extensions: Extensions


class GoingAway(NamedTuple):
    """PROTOCOL 6.9. Times are milliseconds."""

    request: int
    reconnect: int
    closes: int
    extensions: Extensions


class Gap(NamedTuple):
    """PROTOCOL 6.10."""

    request: int
    room: int
    epoch: bytes
    first: int
    last: int
    extensions: Extensions


class Done(NamedTuple):
    """PROTOCOL 6.12."""

    request: int
    extensions: Extensions


class Page(NamedTuple):
    """PROTOCOL 6.16. `records` are those of a snapshot of members."""

    request: int
    handle: int
    position: int
    next: int
    records: bytes
    extensions: Extensions


class Accepted(NamedTuple):
    """PROTOCOL 6.17."""

    request: int
    number: int
    extensions: Extensions


class Application(NamedTuple):
    """A command that belongs to the application (PROTOCOL 6.18)."""

    code: int
    request: int
    body: bytes


class Ignored(NamedTuple):
    """A frame that a client skips: an unknown type, command or kind (PROTOCOL 5 and 6)."""


Control = Union[Welcome, Joined, Left, Refused, Close, GoingAway, Gap, Done, Page, Accepted, Application]
Frame = Union[Data, Ping, Pong, Control, Ignored]


class Decoder:
    """Takes whole frames off the front of a stream of bytes."""

    __slots__ = ("_at", "_data", "_limit")

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self._data = b""
        self._at = 0
        self._limit = limit

    def feed(self, data: bytes) -> None:
        """Appends what was read."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def __len__(self) -> int:
        """Bytes that no frame has taken yet."""
        return len(self._data) - self._at

    def next(self) -> Optional[Tuple[Frame, int]]:
        """The next frame and the bytes it took; None where more are needed. MalformedError leaves the decoder useless."""
        data, at = self._data, self._at
        if len(data) - at < 4:
            return None
        length = data[at + 1] << 8 | data[at + 2]
        if length > self._limit:
            raise MalformedError(f"a frame announces {length} bytes")
        end = at + 4 + length
        if len(data) < end:
            return None
        self._at = end
        return decode(data[at], data[at + 3], data[at + 4 : end]), 4 + length


def decode(kind: int, flags: int, payload: bytes) -> Frame:
    """Decodes one frame, given its header's type and flags and its whole payload."""
    if kind == DATA:
        return _data(flags, payload)
    reader = Reader(payload)
    if kind == CONTROL:
        return _control(reader)
    if kind == PING:
        if flags & 1:
            return Pong(
                reader.varint(),
                reader.fixed(4),
                reader.varint(),
                reader.varint(),
                reader.varint(),
                reader.extensions(),
            )
        return Ping(reader.varint(), reader.varint(), reader.extensions())
    return Ignored()


def read_records(body: bytes, keyed: bool) -> List[Record]:
    """Records to the end of `body` (PROTOCOL 8.2)."""
    records: List[Record] = []
    at, end, key = 0, len(body), 0
    try:
        while at < end:
            # Nearly every integer here has one byte, which is read in place: this is the hottest loop of the client.
            length = body[at]
            at += 1
            if length > 0x7F:
                length, at = read_varint(body, at - 1)
            member = body[at]
            at += 1
            if member > 0x7F:
                member, at = read_varint(body, at - 1)
            if keyed:
                key = body[at]
                at += 1
                if key > 0x7F:
                    key, at = read_varint(body, at - 1)
            stop = at + length
            if stop > end:
                raise MalformedError(f"a record of {length} bytes, {end - at} left")
            records.append((member, key, body[at:stop]))
            at = stop
    except IndexError:
        raise MalformedError("a record is cut off") from None
    return records


class Here(NamedTuple):
    """A member is here, or came back, or has new presence data (PROTOCOL 8.5)."""

    subject: bytes
    data: bytes


class Away(NamedTuple):
    """A member's connection is gone, and its place is kept."""


class Gone(NamedTuple):
    """A member left, with this reason."""

    reason: int


class Count(NamedTuple):
    """The room tells only how many members it has."""

    members: int


Change = Union[Here, Away, Gone, Count]
"""What a presence record says of a member, or of the room."""


def read_presence(payload: bytes) -> Optional[Change]:
    """The payload of a presence record; None for a state that is not known. What is behind it is ignored."""
    reader = Reader(payload)
    state = reader.fixed(1)
    if state == 1:
        return Here(reader.string(), reader.rest())
    if state == 2:
        return Away()
    if state == 3:
        return Gone(reader.varint())
    if state == 4:
        return Count(reader.varint())
    return None


def inflate(data: bytes, limit: int = MAX_PAYLOAD) -> bytes:
    """Inflates one raw deflate stream that ends with `data`, to at most `limit` bytes (PROTOCOL 12.4)."""
    stream = zlib.decompressobj(-15)
    try:
        # One byte more than allowed, so that zlib stops there and 0, which means no limit to it, cannot be asked for.
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise MalformedError(f"records do not inflate: {error}") from None
    if len(plain) > limit:
        raise MalformedError(f"records inflate to more than {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise MalformedError("a deflate stream does not end with its frame")
    return plain


def _data(flags: int, payload: bytes) -> Frame:
    kind = flags >> 1 & 7
    if kind > MEMBERS:
        return Ignored()
    room, at = read_varint(payload, 0)
    position, at = read_varint(payload, at)
    if at + 2 > len(payload):
        raise MalformedError("a head is cut off")
    tick = payload[at] << 8 | payload[at + 1]
    return Data(
        kind, bool(flags & 0x01), bool(flags & 0x10), bool(flags & 0x40), room, position, tick, payload[at + 2 :]
    )


def _control(reader: Reader) -> Union[Control, Ignored]:
    code = reader.fixed(1)
    if code >= 0xF0:
        return Application(code, reader.varint(), reader.rest())
    layout = _CONTROLS.get(code)
    if layout is None:
        reader.varint()  # PROTOCOL 6: of an unknown command only the request has to be readable.
        return Ignored()
    kind, fields = layout
    arguments = [_FIELDS[field](reader) for field in fields]
    return kind(*arguments, reader.extensions())  # type: ignore[no-any-return]


# v: varint, 1 and 4: u8 and u32, e: epoch, s: string.
_FIELDS = {
    "v": Reader.varint,
    "1": lambda reader: reader.fixed(1),
    "4": lambda reader: reader.fixed(4),
    "e": lambda reader: reader.take(8),
    "s": Reader.string,
}

_CONTROLS = {
    0x02: (Welcome, "vv14vvvvvvv"),
    0x04: (Joined, "vvvv11evvvv"),
    0x06: (Left, "vvv"),
    0x07: (Refused, "vvv"),
    0x08: (Close, "vv"),
    0x09: (GoingAway, "vvv"),
    0x0A: (Gap, "vvevv"),
    0x0C: (Done, "v"),
    0x10: (Page, "vvvvs"),
    0x11: (Accepted, "vv"),
}

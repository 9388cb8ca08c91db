"""Bytes: integers, strings, extensions, and the header of a frame (PROTOCOL 3 and 5).

```text
 +---------------+-------------------------------+---------------+
 |     type      |   payload length, big-endian  |     flags     |  payload ...
 +---------------+-------------------------------+---------------+
```
"""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

MAGIC = b"\xd7TW\x01"
"""What a client says first on TCP: the magic and version 1 (PROTOCOL 4.1)."""

SUBPROTOCOL = "tickwire.v1"
"""What a client offers on WebSocket (PROTOCOL 4.2)."""

ALPN = "tickwire/1"
"""What a client of TCP offers under TLS (PROTOCOL 4.4)."""

MAX_VARINT = 2**53 - 1
MAX_PAYLOAD = 65_535  # What the length of a header can say.
DATA, CONTROL, PING = 1, 2, 3


class MalformedError(ValueError):
    """The bytes cannot be read (PROTOCOL 6: reason 201)."""


def varint(value: int) -> bytes:
    """Encodes an integer of 0 to 2^53 - 1; ValueError for any other."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"not a varint: {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> Tuple[int, int]:
    """Reads an integer of `data` from `at`; returns it and where it ends."""
    value = shift = 0
    for index in range(at, min(at + 8, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedError("an integer is not minimal")
            if value > MAX_VARINT:
                raise MalformedError("an integer is 2^53 or more")
            return value, index + 1
        shift += 7
    raise MalformedError("an integer is cut off, or has more than 8 bytes")


def string(content: bytes) -> bytes:
    """Encodes a string: its length, then its bytes."""
    return varint(len(content)) + content


def extensions(content: Mapping[int, bytes]) -> bytes:
    """Encodes a list of extensions, ascending as it must be (PROTOCOL 3.3)."""
    return b"".join(varint(kind) + string(content[kind]) for kind in sorted(content))


def frame(kind: int, flags: int, payload: bytes) -> bytes:
    """A whole frame; ValueError where the payload is above what a frame can hold."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a frame cannot hold {len(payload)} bytes")
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + bytes((flags,)) + payload


class Reader:
    """Takes values from the front of a frame's payload. Every length is checked before anything is copied."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def varint(self) -> int:
        value, self.at = read_varint(self.data, self.at)
        return value

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise MalformedError(f"{count} bytes wanted, {len(self.data) - self.at} left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def fixed(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def string(self) -> bytes:
        return self.take(self.varint())

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def extensions(self) -> Dict[int, bytes]:
        """Reads the list to the end of the frame; unknown types are kept."""
        found: Dict[int, bytes] = {}
        last = -1
        while self.at < len(self.data):
            kind = self.varint()
            if kind <= last:
                raise MalformedError("extensions do not ascend")
            last = kind
            found[kind] = self.string()
        return found


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))

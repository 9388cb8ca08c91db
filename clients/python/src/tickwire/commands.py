"""Frames to the server: arguments in, whole frames out (PROTOCOL 6, 7 and 9).

```text
hello  join  leave  close  receive  presence  token  members  application     control
ping  pong                                                                    ping
event  value  direct                                                          data
```

Everything here raises ValueError where an argument does not fit the wire.
"""

from __future__ import annotations

from typing import Mapping

from . import wire
from .wire import CONTROL, DATA, PING, varint

# Capabilities (PROTOCOL 10.3).
RESUME, HISTORY, DEFLATE, RECEIVE, TOKEN, ACCEPTED, PAGES = (1 << bit for bit in range(7))

# Modes of a join (PROTOCOL 6.3).
MODE_PUBLISH, MODE_RECEIVE, MODE_MEMBERS = 1, 2, 4

# What RECEIVE asks for (PROTOCOL 6.11).
RECEIVE_ALL, RECEIVE_NOTHING = 0, 2

_NONE: Mapping[int, bytes] = {}


def hello(
    request: int, capabilities: int, max_record: int = 0, max_frame: int = 0, extensions: Mapping[int, bytes] = _NONE
) -> bytes:
    """HELLO, PROTOCOL 6.1."""
    arguments = varint(request) + varint(capabilities) + varint(max_record) + varint(max_frame)
    return _control(0x01, arguments, extensions)


def join(request: int, handle: int, mode: int, name: bytes, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """JOIN, PROTOCOL 6.3."""
    return _control(0x03, varint(request) + varint(handle) + bytes((mode,)) + wire.string(name), extensions)


def leave(request: int, handle: int, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """LEAVE, PROTOCOL 6.5."""
    return _control(0x05, varint(request) + varint(handle), extensions)


def close(request: int, reason: int, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """CLOSE, PROTOCOL 6.8."""
    return _control(0x08, varint(request) + varint(reason), extensions)


def receive(
    request: int, handle: int, what: int, divisor: int = 1, area: int = 0, extensions: Mapping[int, bytes] = _NONE
) -> bytes:
    """RECEIVE, PROTOCOL 6.11."""
    arguments = varint(request) + varint(handle) + bytes((what,)) + varint(divisor) + varint(area)
    return _control(0x0B, arguments, extensions)


def presence(request: int, handle: int, data: bytes, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """PRESENCE, PROTOCOL 6.13."""
    return _control(0x0D, varint(request) + varint(handle) + wire.string(data), extensions)


def token(request: int, content: bytes, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """TOKEN, PROTOCOL 6.14."""
    return _control(0x0E, varint(request) + wire.string(content), extensions)


def members(request: int, handle: int, after: int, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """MEMBERS, PROTOCOL 6.15."""
    return _control(0x0F, varint(request) + varint(handle) + varint(after), extensions)


def application(code: int, request: int, body: bytes) -> bytes:
    """A command of the application, PROTOCOL 6.18. `code` is 0xf0 to 0xff."""
    if not 0xF0 <= code <= 0xFF:
        raise ValueError(f"not a command of applications: {code}")
    return wire.frame(CONTROL, 0, bytes((code,)) + varint(request) + body)


def ping(time: int, consumed: int, directs: int, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """A ping that asks, PROTOCOL 9. `time` is in microseconds."""
    return wire.frame(PING, 0, varint(time) + varint(consumed) + varint(directs) + wire.extensions(extensions))


def pong(time: int, consumed: int, directs: int, extensions: Mapping[int, bytes] = _NONE) -> bytes:
    """A ping that answers, PROTOCOL 9. `time` is what was asked with."""
    return wire.frame(PING, 1, varint(time) + varint(consumed) + varint(directs) + wire.extensions(extensions))


def event(handle: int, payload: bytes, flags: int = 0) -> bytes:
    """An event, PROTOCOL 7.1. `flags` are those of `COMPRESSED`, `URGENT` and `ACKNOWLEDGE`."""
    return wire.frame(DATA, flags, varint(handle) + payload)


def value(handle: int, key: int, payload: bytes, flags: int = 0) -> bytes:
    """A value, PROTOCOL 7.2. `key` is as on the wire: the number times two, plus one for a value of the room."""
    return wire.frame(DATA, 0x02 | flags, varint(handle) + varint(key) + payload)


def direct(handle: int, member: int, payload: bytes, flags: int = 0) -> bytes:
    """A direct, PROTOCOL 7.3."""
    return wire.frame(DATA, 0x06 | flags, varint(handle) + varint(member) + payload)


COMPRESSED, URGENT, ACKNOWLEDGE = 0x01, 0x10, 0x20


def _control(code: int, arguments: bytes, extensions: Mapping[int, bytes]) -> bytes:
    return wire.frame(CONTROL, 0, bytes((code,)) + arguments + wire.extensions(extensions))

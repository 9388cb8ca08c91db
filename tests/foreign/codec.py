"""Bytes of the Tickwire protocol, both ways, without any input or output. PROTOCOL.md, sections 3 and 5 to 9.

A function named as a frame makes the bytes of that frame, `decode` turns a frame from the server into a dict.
"""
from __future__ import annotations

import struct
import zlib

DATA, CONTROL, PING = 1, 2, 3
KINDS = ("event", "value", "presence", "direct", "snapshot", "members")
KEYED = ("value", "direct", "snapshot")
COMPRESSED = 0x01
URGENT = EARLY = 0x10
ACKNOWLEDGE = 0x20
MORE = 0x40
LARGEST = 2**53 - 1
MOST_RECORDS = 65_535  # what the records of a compressed frame may inflate to, section 12.4

RESUME, HISTORY, DEFLATE, RECEIVE, ACCEPTED, PAGES = 1, 2, 4, 8, 32, 64  # capabilities, section 10.3


class Malformed(Exception):
    """Bytes that are not what section 3 or 5 allows."""


# ---------------------------------------------------------------- writing


def varint(number: int) -> bytes:
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{number} is no varint")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def string(data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(len(data)) + data


def extension_list(extensions) -> bytes:
    return b"".join(varint(kind) + string(content) for kind, content in sorted(extensions))


def frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">BHB", kind, len(payload), flags) + payload


def command(number: int, request: int, arguments: bytes = b"", extensions=()) -> bytes:
    return frame(CONTROL, 0, bytes([number]) + varint(request) + arguments + extension_list(extensions))


def hello(request=1, capabilities=0, max_record=0, max_frame=0, resume=None, extensions=()) -> bytes:
    """`resume` is a token and the highest direct that was seen."""
    if resume is not None:
        token, directs = resume
        extensions = [*extensions, (4, string(token) + varint(directs))]
    return command(0x01, request, varint(capabilities) + varint(max_record) + varint(max_frame), extensions)


def join(name, request=2, handle=1, mode=3, since=None, extensions=()) -> bytes:
    """`since` is an epoch and the last complete position."""
    if since is not None:
        epoch, position = since
        extensions = [*extensions, (4, bytes.fromhex(epoch) + varint(position))]
    return command(0x03, request, varint(handle) + bytes([mode]) + string(name), extensions)


def leave(request=3, handle=1, extensions=()) -> bytes:
    return command(0x05, request, varint(handle), extensions)


def close(request=4, reason=200, extensions=()) -> bytes:
    return command(0x08, request, varint(reason), extensions)


def presence(data, request=5, handle=1, extensions=()) -> bytes:
    return command(0x0D, request, varint(handle) + string(data), extensions)


def list_members(request=6, handle=1, after=0, extensions=()) -> bytes:
    return command(0x0F, request, varint(handle) + varint(after), extensions)


def receive(what, request=7, handle=1, divisor=1, area=0, extensions=()) -> bytes:
    return command(0x0B, request, varint(handle) + bytes([what]) + varint(divisor) + varint(area), extensions)


def event(payload=b"", handle=1, **options) -> bytes:
    return message(0, varint(handle), payload, **options)


def value(key, payload=b"", handle=1, room=False, **options) -> bytes:
    return message(1, varint(handle) + varint(key * 2 + room), payload, **options)


def direct(member, payload=b"", handle=1, **options) -> bytes:
    return message(3, varint(handle) + varint(member), payload, **options)


def message(kind, arguments, payload, urgent=False, acknowledge=False, compress=False, compressed=False) -> bytes:
    """`compress` makes a deflate stream of the payload, `compressed` says that it is one already."""
    if compress:
        payload = deflate(payload)
    flags = kind << 1 | URGENT * urgent | ACKNOWLEDGE * acknowledge | COMPRESSED * (compress or compressed)
    return frame(DATA, flags, arguments + payload)


def deflate(plain: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(plain) + stream.flush()


def ping(time, consumed=0, directs=0, answer=False, extensions=()) -> bytes:
    return frame(PING, int(answer), varint(time) + varint(consumed) + varint(directs) + extension_list(extensions))


def raw(data) -> bytes:
    """Bytes as they are: for what a well-behaved client would never send."""
    return data


# ---------------------------------------------------------------- reading


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Malformed("cut off by the end of the frame")
        self.at += count
        return self.data[self.at - count:self.at]

    def rest(self) -> bytes:
        return self.bytes(len(self.data) - self.at)

    def u8(self) -> int:
        return self.bytes(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.bytes(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.bytes(4), "big")

    def varint(self) -> int:
        number = 0
        for place in range(8):
            byte = self.u8()
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if byte == 0 and place:
                    raise Malformed("a varint is not minimal")
                if number > LARGEST:
                    raise Malformed("a varint is 2^53 or more")
                return number
        raise Malformed("a varint is longer than 8 bytes")

    def string(self) -> bytes:
        return self.bytes(self.varint())

    def extensions(self) -> dict[int, bytes]:
        found, last = {}, -1
        while self:
            kind = self.varint()
            if kind <= last:
                raise Malformed("extensions do not ascend")
            found[kind] = self.string()
            last = kind
        return found


# Arguments of the commands a server sends, in order: field and how it is read.
COMMANDS = {
    0x02: ("welcome", "capabilities:varint flags:u8 clock:u32 time:varint wall:varint max_message:varint "
                      "max_frame:varint max_rooms:varint ping:varint accepted:varint"),
    0x04: ("joined", "handle:varint room:varint member:varint mode:u8 outcome:u8 epoch:epoch position:varint "
                     "period:varint tick:varint tick_time:varint"),
    0x06: ("left", "handle:varint reason:varint"),
    0x07: ("refused", "number:varint reason:varint"),
    0x08: ("closed", "reason:varint"),
    0x09: ("going_away", "reconnect:varint closes:varint"),
    0x0A: ("gap", "room:varint epoch:epoch from:varint to:varint"),
    0x0C: ("done", ""),
    0x10: ("page", "handle:varint position:varint next:varint records:string"),
    0x11: ("accepted", "number:varint"),
}


def split(data: bytes) -> list[tuple[int, int, bytes]]:
    """The frames of a WebSocket message, each as type, flags and payload."""
    reader, frames = Reader(data), []
    while reader:
        kind, length, flags = reader.u8(), reader.u16(), reader.u8()
        frames.append((kind, flags, reader.bytes(length)))
    return frames


def decode(kind: int, flags: int, payload: bytes) -> dict | None:
    """A frame from the server; None for one that a client has to ignore."""
    reader = Reader(payload)
    if kind == DATA:
        return decode_data(flags, reader)
    if kind == CONTROL:
        return decode_command(reader)
    if kind == PING:
        return decode_ping(flags, reader)
    raise Malformed(f"frame type {kind}")


def decode_data(flags: int, reader: Reader) -> dict | None:
    number = (flags >> 1) & 7
    if number >= len(KINDS):
        return None
    kind = KINDS[number]
    head = {"is": kind, "room": reader.varint(), "position": reader.varint(), "tick": reader.u16()}
    if flags & COMPRESSED:
        reader = Reader(inflate(reader.rest(), MOST_RECORDS))
    records = decode_records(kind, reader)
    return {**head, "early": bool(flags & EARLY), "more": bool(flags & MORE), "compressed": bool(flags & COMPRESSED),
            "records": records}


def inflate(stream: bytes, most: int) -> bytes:
    """One whole deflate stream, with a bound on what comes out. Section 12.4."""
    inflater = zlib.decompressobj(wbits=-15)
    try:
        plain = inflater.decompress(stream, most + 1)
    except zlib.error as error:
        raise Malformed(f"no deflate stream: {error}") from None
    if len(plain) > most:
        raise Malformed(f"inflates to more than {most} bytes")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("not one whole deflate stream")
    return plain


def decode_records(kind: str, reader: Reader) -> list[dict]:
    records = []
    while reader:
        length, member = reader.varint(), reader.varint()
        record = {"member": member}
        if kind in KEYED:
            key = reader.varint()
            if kind == "direct":
                record["answers"] = key
            else:
                record["key"], record["scope"] = key // 2, "room" if key % 2 else "member"
        payload = reader.bytes(length)
        if kind in ("presence", "members"):
            record.update(decode_presence(Reader(payload)))
        else:
            record["payload"] = payload
        records.append(record)
    return records


def decode_presence(reader: Reader) -> dict:
    state = reader.u8()
    if state == 1:
        return {"state": "here", "subject": reader.string(), "data": reader.rest()}
    if state == 2:
        return {"state": "away"}
    if state == 3:
        return {"state": "left", "reason": reader.varint()}
    if state == 4:
        return {"state": "count", "members": reader.varint()}
    return {"state": "unknown"}


# Extensions of commands from the server whose content is read: field and how.
CONTENTS = {
    "welcome": {2: ("token", "bytes"), 4: ("grace", "varint"), 6: ("lost", "range"), 8: ("subject", "bytes")},
    "joined": {2: ("answer", "bytes"), 4: ("lost", "range")},
    "going_away": {8: ("positions", "pairs")},
}


def read_content(content: bytes, how: str):
    reader = Reader(content)
    if how == "bytes":
        return content
    if how == "pairs":
        pairs = []
        while reader:
            pairs.append([reader.varint(), reader.varint()])
        return pairs
    return reader.varint() if how == "varint" else [reader.varint(), reader.varint()]


def decode_command(reader: Reader) -> dict | None:
    number = reader.u8()
    if number not in COMMANDS:
        return None
    name, fields = COMMANDS[number]
    found = {"is": name, "request": reader.varint()}
    for field in fields.split():
        key, how = field.split(":")
        found[key] = reader.bytes(8).hex() if how == "epoch" else getattr(reader, how)()
    extensions = reader.extensions()
    if any(kind % 2 for kind in extensions):
        return None
    for kind, (key, how) in CONTENTS.get(name, {}).items():
        if kind in extensions:
            found[key] = read_content(extensions[kind], how)
    if name == "page":
        found["records"] = decode_records("members", Reader(found["records"]))
    return found


def decode_ping(flags: int, reader: Reader) -> dict:
    if flags & 1:
        return {"is": "pong", "time": reader.varint(), "clock": reader.u32(), "received": reader.varint(),
                "sent": reader.varint(), "accepted": reader.varint(), "extensions": len(reader.extensions())}
    return {"is": "ping", "time": reader.varint(), "accepted": reader.varint(), "extensions": len(reader.extensions())}

"""Reference codec of the Tickwire protocol, version 1.

Written from PROTOCOL.md alone; the numbers in brackets are its sections. It
favours being easy to compare with that document over speed, needs nothing but
Python 3.9, and knows no session: a frame is bytes on one side and, on the
other, the JSON object that README.md describes.

    decode_frame(data, sender)  -> (frame, number of bytes it took)
    encode_frame(frame, sender) -> bytes

`sender` is "client" or "server". Decoding is strict: whatever it accepts, it
encodes again to the same bytes, unless a server set flags that clients ignore.
"""

MAGIC = bytes.fromhex("d75457")  # [4.1]
VERSION = 1  # [4.1]
MAX_VARINT = 2**53 - 1  # [3.1]
MAX_VARINT_BYTES = 8  # [3.1]
FRAME_LIMIT = 16384  # [13] payload bytes, either way
DATA, CONTROL, PING = 0x01, 0x02, 0x03  # [5]

KINDS = ["event", "value", "presence", "direct", "snapshot", "members"]  # [5]
KEYED = {"value", "direct", "snapshot"}  # [8.2]

COMPRESSED, KIND_MASK, URGENT, ACKNOWLEDGE, MORE = 0x01, 0x0E, 0x10, 0x20, 0x40  # [5]

# Flags that are reserved in frames from the client [5].
RESERVED = {DATA: 0xC0, CONTROL: 0xFF, PING: 0xFE}

# [6] code: (name, who sends it, arguments in order). Types are those of [3.1],
# [3.2], and "epoch", 8 bytes as they are.
COMMANDS = {
    0x01: ("hello", "client", "request capabilities max_record max_frame"),  # [6.1]
    0x02: ("welcome", "server", "request capabilities flags:u8 clock:u32 time wall max_message "
                                "max_frame max_rooms ping accepted"),  # [6.2]
    0x03: ("join", "client", "request handle mode:u8 name:string"),  # [6.3]
    0x04: ("joined", "server", "request handle room member mode:u8 outcome:u8 epoch:epoch "
                               "position period tick tick_time"),  # [6.4]
    0x05: ("leave", "client", "request handle"),  # [6.5]
    0x06: ("left", "server", "request handle reason"),  # [6.6]
    0x07: ("refused", "server", "request number reason"),  # [6.7]
    0x08: ("close", "client server", "request reason"),  # [6.8]
    0x09: ("going_away", "server", "request reconnect closes"),  # [6.9]
    0x0A: ("gap", "server", "request room epoch:epoch from to"),  # [6.10]
    0x0B: ("receive", "client", "request handle what:u8 divisor area"),  # [6.11]
    0x0C: ("done", "server", "request"),  # [6.12]
    0x0D: ("presence", "client", "request handle data:string"),  # [6.13]
    0x0E: ("token", "client", "request token:string"),  # [6.14]
    0x0F: ("members", "client", "request handle after"),  # [6.15]
    0x10: ("page", "server", "request handle position next records:string"),  # [6.16]
    0x11: ("accepted", "server", "request number"),  # [6.17]
}
APPLICATION = range(0xF0, 0x100)  # [6.18]
CODES = {name: code for code, (name, _, _) in COMMANDS.items()}

# [9] (sender, is an answer): arguments
PINGS = {
    ("client", False): "time consumed directs",
    ("client", True): "time consumed directs",
    ("server", False): "time accepted",
    ("server", True): "time clock:u32 received sent accepted",
}


class Incomplete(Exception):
    """More bytes are needed before the frame can be read."""


class Malformed(Exception):
    """The connection is to be closed with this reason [14]."""

    def __init__(self, reason, why):
        super().__init__("%d: %s" % (reason, why))
        self.reason = reason


class Refused(Exception):
    """The frame can be read, but a server refuses it with this reason [14]."""

    def __init__(self, reason, request=None):
        super().__init__("refused with %d" % reason)
        self.reason = reason
        self.request = request  # None for a data frame


class Ignored(Exception):
    """A client is to ignore this frame [5, 6]."""


# --- Bytes [3] ---


def encode_varint(value):
    """[3.1]"""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError("not a varint: %r" % value)
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(content):
    """[3.2]"""
    return encode_varint(len(content)) + content


def encode_extensions(extensions):
    """[3.3] Takes a list of [type, hex of the content]."""
    out = b""
    last = -1
    for kind, content in extensions:
        if kind <= last:
            raise ValueError("extensions must ascend")
        last = kind
        out += encode_varint(kind) + encode_string(bytes.fromhex(content))
    return out


class Reader:
    """Takes values from the front of some bytes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Malformed(201, "%d bytes wanted, %d left" % (count, self.left()))
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self):
        return self.take(self.left())

    def fixed(self, count):
        return int.from_bytes(self.take(count), "big")

    def varint(self):
        """[3.1]"""
        value = 0
        for index in range(MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte & 0x80:
                continue
            if byte == 0 and index > 0:
                raise Malformed(201, "integer is not minimal")
            if value > MAX_VARINT:
                raise Malformed(201, "integer is 2^53 or more")
            return value
        raise Malformed(201, "integer has more than 8 bytes")

    def string(self):
        """[3.2]"""
        return self.take(self.varint())

    def extensions(self):
        """[3.3] To the end. Whether a type is known is not decided here."""
        found = []
        while self.left():
            kind = self.varint()
            if found and kind <= found[-1][0]:
                raise Malformed(201, "extensions do not ascend")
            found.append([kind, self.string().hex()])
        return found


# --- Lists of arguments, as the layout lines of [6] and [9] write them ---


def fields_of(layout):
    """Yields (name, type) of each argument; an argument without type is a varint."""
    for word in layout.split():
        name, _, kind = word.partition(":")
        yield name, kind or "varint"


# How each type is written and read.
TYPES = {
    "varint": (encode_varint, Reader.varint),
    "u8": (lambda value: value.to_bytes(1, "big"), lambda reader: reader.fixed(1)),
    "u32": (lambda value: value.to_bytes(4, "big"), lambda reader: reader.fixed(4)),
    "string": (lambda value: encode_string(bytes.fromhex(value)), lambda reader: reader.string().hex()),
    "epoch": (lambda value: int(value, 16).to_bytes(8, "big"), lambda reader: reader.take(8).hex()),
}


def encode_fields(layout, values):
    return b"".join(TYPES[kind][0](values[name]) for name, kind in fields_of(layout))


def decode_fields(reader, layout):
    return {name: TYPES[kind][1](reader) for name, kind in fields_of(layout)}


# --- Frames [5] ---


def frame_bytes(kind, flags, payload):
    """[5]"""
    return bytes([kind]) + len(payload).to_bytes(2, "big") + bytes([flags]) + payload


def decode_header(data, sender, limit=FRAME_LIMIT):
    """[5] Returns (type, payload length, flags); checks in the order of [5]."""
    if len(data) < 4:
        raise Incomplete("header")
    kind, length, flags = data[0], int.from_bytes(data[1:3], "big"), data[3]
    if kind not in (DATA, CONTROL, PING):
        raise Malformed(202, "unknown frame type")
    if length > limit:
        raise Malformed(203, "frame too large")
    if sender == "client" and flags & RESERVED[kind]:
        raise Malformed(210, "reserved flag")
    return kind, length, flags


def decode_frame(data, sender, limit=FRAME_LIMIT):
    """Returns (frame, bytes used) for the frame at the start of data."""
    kind, length, flags = decode_header(data, sender, limit)
    if len(data) < 4 + length:
        raise Incomplete("payload")
    reader = Reader(data[4 : 4 + length])
    if kind == CONTROL:
        frame = decode_control(reader, sender)
    elif kind == PING:
        frame = {"type": "ping", "answer": bool(flags & 1)}
        frame.update(decode_fields(reader, PINGS[sender, frame["answer"]]))
        frame["extensions"] = reader.extensions()
    else:
        frame = decode_data(reader, sender, flags)
    return frame, 4 + length


def decode_frames(data, sender, limit=FRAME_LIMIT):
    """Returns all frames of data, which must end with a whole frame."""
    frames = []
    while data:
        frame, used = decode_frame(data, sender, limit)
        frames.append(frame)
        data = data[used:]
    return frames


def encode_frame(frame, sender):
    if frame["type"] == "control":
        return frame_bytes(CONTROL, 0, encode_control(frame, sender))
    if frame["type"] == "ping":
        layout = PINGS[sender, frame["answer"]]
        payload = encode_fields(layout, frame) + encode_extensions(frame["extensions"])
        return frame_bytes(PING, int(frame["answer"]), payload)
    flags = KINDS.index(frame["kind"]) << 1
    flags |= COMPRESSED * frame["compressed"] | URGENT * frame["urgent"]
    flags |= ACKNOWLEDGE * frame["acknowledge"] if sender == "client" else MORE * frame["more"]
    return frame_bytes(DATA, flags, encode_data(frame, sender))


# --- Control frames [6] ---


def encode_control(frame, sender):
    if frame["command"] == "application":  # [6.18]
        head = bytes([frame["code"]]) + encode_varint(frame["request"])
        return head + bytes.fromhex(frame["body"])
    code = CODES[frame["command"]]
    _, senders, layout = COMMANDS[code]
    if sender not in senders:
        raise ValueError("%s is not for the %s to send" % (frame["command"], sender))
    arguments = encode_fields(layout, frame)
    return bytes([code]) + arguments + encode_extensions(frame["extensions"])


def decode_control(reader, sender):
    code = reader.fixed(1)
    frame = {"type": "control"}
    if code in APPLICATION:  # [6.18]
        frame.update(command="application", code=code, request=reader.varint())
        frame["body"] = reader.rest().hex()
        return frame
    name, senders, layout = COMMANDS.get(code, (None, "", ""))
    if sender not in senders:  # [6] unknown, or for the other side to send
        request = reader.varint()
        if sender == "server":
            raise Ignored("command %d" % code)
        raise Refused(221 if name else 220, request)
    frame["command"] = name
    frame.update(decode_fields(reader, layout))
    frame["extensions"] = reader.extensions()
    return frame


# --- Data [7, 8] ---

# From the client: what precedes the payload [7.1, 7.2, 7.3].
ARGUMENTS = {"event": "handle", "value": "handle key", "direct": "handle member"}


def encode_data(frame, sender):
    if sender == "client":
        return encode_fields(ARGUMENTS[frame["kind"]], frame) + bytes.fromhex(frame["payload"])
    head = encode_fields("room position", frame) + frame["tick"].to_bytes(2, "big")  # [8.1]
    if frame["compressed"]:  # [12.4]
        return head + bytes.fromhex(frame["body"])
    return head + b"".join(encode_record(record, frame["kind"]) for record in frame["records"])


def decode_data(reader, sender, flags):
    number = (flags & KIND_MASK) >> 1
    kind = KINDS[number] if number < len(KINDS) else None
    if sender == "client" and kind not in ARGUMENTS:
        raise Refused(225)  # [5]
    if kind is None:
        raise Ignored("data of a reserved kind")  # [5]
    frame = {"type": "data", "kind": kind}
    frame.update(compressed=bool(flags & COMPRESSED), urgent=bool(flags & URGENT))
    if sender == "client":
        frame["acknowledge"] = bool(flags & ACKNOWLEDGE)
        frame.update(decode_fields(reader, ARGUMENTS[kind]))
        frame["payload"] = reader.rest().hex()
        return frame
    frame["more"] = bool(flags & MORE)
    frame.update(decode_fields(reader, "room position"))
    frame["tick"] = reader.fixed(2)
    if frame["compressed"]:  # the head never is [8.1]
        frame["body"] = reader.rest().hex()
        return frame
    frame["records"] = []
    while reader.left():
        frame["records"].append(decode_record(reader, kind))
    return frame


def encode_record(record, kind):
    """[8.2]"""
    payload = bytes.fromhex(record["payload"])
    key = encode_varint(record["key"]) if kind in KEYED else b""
    return encode_varint(len(payload)) + encode_varint(record["member"]) + key + payload


def decode_record(reader, kind):
    """[8.2]"""
    length = reader.varint()
    record = {"member": reader.varint()}
    if kind in KEYED:
        record["key"] = reader.varint()
    record["payload"] = reader.take(length).hex()
    return record


# --- Presence records [8.5] ---


def encode_presence(presence):
    state = presence["state"]
    if state == "here":
        subject, data = bytes.fromhex(presence["subject"]), bytes.fromhex(presence["data"])
        return b"\x01" + encode_string(subject) + data
    if state == "away":
        return b"\x02"
    if state == "left":
        return b"\x03" + encode_varint(presence["reason"])
    if state == "count":
        return b"\x04" + encode_varint(presence["members"])
    raise ValueError("unknown states are only read")


def decode_presence(payload):
    reader = Reader(payload)
    code = reader.fixed(1)
    if code == 1:
        return {"state": "here", "subject": reader.string().hex(), "data": reader.rest().hex()}
    if code == 2:
        presence = {"state": "away"}
    elif code == 3:
        presence = {"state": "left", "reason": reader.varint()}
    elif code == 4:
        presence = {"state": "count", "members": reader.varint()}
    else:
        return {"state": "unknown", "code": code}  # to be ignored, with all that follows
    if reader.left():
        raise Malformed(201, "bytes behind a presence record")
    return presence

"""The minimal Tickwire client of PROTOCOL.md, section 2, and nothing else: plain TCP, standard library, blocking.
Try `python3 minimal_tcp.py 127.0.0.1:7071 arena hello`: publishes "hello" and prints what the room says."""
import socket
import struct
import sys

MAGIC = b"\xd7TW\x01"
DATA, CONTROL, PING = 1, 2, 3
EVENT, VALUE, DIRECT, SNAPSHOT = 0, 1, 3, 4


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Reader:
    """Takes integers and bytes from the front of a payload."""

    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def left(self):
        return len(self.payload) - self.at

    def take(self, count):
        if count > self.left():
            raise ValueError("the frame ends early")
        self.at += count
        return self.payload[self.at - count:self.at]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number


def frame(kind, flags, payload):
    return struct.pack(">BHB", kind, len(payload), flags) + payload


def hello():
    return frame(CONTROL, 0, b"\x01\x01\x00\x00\x00")


def join(room):
    name = room.encode()
    return frame(CONTROL, 0, b"\x03\x02\x01\x03" + varint(len(name)) + name)


def event(payload):
    return frame(DATA, EVENT << 1, b"\x01" + payload)


def value(key, payload):
    return frame(DATA, VALUE << 1, b"\x01" + varint(key * 2) + payload)


def advice(reason):
    """What the range of a reason asks a client to do."""
    if 1 <= reason <= 99 or 900 <= reason <= 929:
        return "retry"
    if 100 <= reason <= 199 or 930 <= reason <= 959:
        return "retry later"
    return "do not retry"


def read_message(kind, flags, payload):
    """One frame from the server as a list of messages; empty for what a minimal client ignores."""
    body = Reader(payload)
    if kind == PING and flags % 2 == 0:
        return [{"ev": "ping", "time": body.varint()}]
    if kind == CONTROL:
        names = {4: ("joined", "request", "handle", "room", "member"),
                 7: ("refused", "request", "number", "reason"),
                 8: ("closed", "request", "reason")}
        name, *fields = names.get(body.take(1)[0], ("",))
        return [{"ev": name, **{field: body.varint() for field in fields}}] if name else []
    if kind == DATA:
        return read_records((flags >> 1) & 7, flags & 0x40, body)
    return []


def read_records(kind, more, body):
    room, position, tick = body.varint(), body.varint(), struct.unpack(">H", body.take(2))[0]
    head = {"room": room, "position": position, "tick": tick}
    messages = []
    while body.left():
        length, member = body.varint(), body.varint()
        key = body.varint() if kind in (VALUE, DIRECT, SNAPSHOT) else 0
        record = {**head, "member": member, "payload": body.take(length)}
        if kind == EVENT:
            messages.append({"ev": "event", **record})
        elif kind in (VALUE, SNAPSHOT):
            scope = "room" if key % 2 else "member"
            messages.append({"ev": "value", **record, "key": key // 2, "scope": scope, "old": kind == SNAPSHOT})
    if kind == SNAPSHOT and not more:  # the old values since the last of these replace all values of the room
        messages.append({"ev": "snapshot", **head})
    return messages


class MinimalClient:
    def __init__(self, host, port, room, first=b""):
        """Says hello, joins, and sends the frames of `first`, all in one chunk."""
        self.socket = socket.create_connection((host, port), timeout=5)
        self.socket.settimeout(None)
        self.send(MAGIC + hello() + join(room) + first)

    def send(self, frames):
        self.socket.sendall(frames)

    def publish(self, payload):
        self.send(event(payload))

    def set(self, key, payload):
        self.send(value(key, payload))

    def messages(self):
        """Yields everything the server says, and answers its pings, until it closes."""
        stream = self.socket.makefile("rb")
        while True:
            header = stream.read(4)
            if len(header) < 4:
                return
            kind, length, flags = struct.unpack(">BHB", header)
            for message in read_message(kind, flags, stream.read(length)):
                if message["ev"] == "ping":
                    self.send(frame(PING, 1, varint(message["time"]) + b"\x00\x00"))
                yield message
                if message["ev"] == "closed":
                    return


if __name__ == "__main__":
    address, room_name, text = sys.argv[1:4]
    client = MinimalClient(*address.rsplit(":", 1), room_name)
    client.publish(text.encode())
    for heard in client.messages():
        print(heard)
        if heard["ev"] in ("refused", "closed"):
            print("so:", advice(heard["reason"]))

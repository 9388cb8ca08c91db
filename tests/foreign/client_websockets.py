"""A Tickwire client on the `websockets` package, written from PROTOCOL.md.

`Session` keeps what a client knows and checks what the server promises; `Client` connects it to a WebSocket.
Whatever happens is reported as a dict whose "ev" names it. A broken promise is reported as a "violation".

    python3 client_websockets.py ws://127.0.0.1:7070/ws arena hello
"""
from __future__ import annotations

import asyncio
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

import codec

SUBPROTOCOL = "tickwire.v1"
RECEIVE, MEMBERS = 2, 4
LARGEST_MESSAGE = 16384


def now() -> int:
    """This client's own clock in microseconds."""
    return time.monotonic_ns() // 1000


class Room:
    def __init__(self, joined: dict):
        self.id, self.me, self.receives = joined["room"], joined["member"], bool(joined["mode"] & RECEIVE)
        self.position = joined["position"]  # the last complete one
        self.ready = not self.receives  # the first snapshot has come
        self.values: dict[str, bytes] = {}
        self.members: dict[int, bytes] = {}
        self.collecting: dict[str, list] = {}  # snapshots of which more frames follow
        self.segment: set[str] = set()  # keys of the value segment that is being read

    @staticmethod
    def slot(record: dict) -> str:
        owner = "room" if record["scope"] == "room" else record["member"]
        return f"{owner}/{record['key']}"

    def set_value(self, record: dict):
        if record["payload"]:
            self.values[self.slot(record)] = record["payload"]
        else:
            self.values.pop(self.slot(record), None)

    def set_member(self, record: dict):
        if record["state"] == "here":
            self.members[record["member"]] = record["data"]
        elif record["state"] == "left":
            self.members.pop(record["member"], None)


class Session:
    """What one client knows. `send` takes bytes that are to be sent, `report` takes dicts."""

    def __init__(self, send, report):
        self.send, self.report = send, report
        self.rooms: dict[int, Room] = {}  # by the server's number
        self.handles: dict[int, Room] = {}
        self.welcomed = self.closed = False
        self.consumed = self.directs = 0

    def violation(self, text: str):
        self.report({"ev": "violation", "text": text})

    def message(self, data: bytes | str):
        if isinstance(data, str):
            return self.violation("a text message")
        try:
            frames = codec.split(data)
            if len(data) > LARGEST_MESSAGE and len(frames) > 1:
                self.violation(f"{len(frames)} frames in a message of {len(data)} bytes")
            for kind, flags, payload in frames:
                self.frame(codec.decode(kind, flags, payload))
                self.consumed += 4 + len(payload)
        except codec.Malformed as error:
            self.violation(f"malformed: {error}")

    def frame(self, found: dict | None):
        if found is None:
            return
        name = found["is"]
        if self.closed:
            return self.violation(f"{name} after CLOSE")
        if not self.welcomed and name not in ("welcome", "closed"):
            return self.violation(f"{name} before WELCOME")
        if name == "ping":
            self.send(codec.ping(found["time"], self.consumed, self.directs, answer=True))
            self.report({"ev": "ping", "time": found["time"]})
        elif name == "pong":
            self.pong(found)
        elif name in codec.KINDS:
            self.data(found)
        else:
            self.command(found)

    def ping(self, extensions=()):
        self.send(codec.ping(now(), self.consumed, self.directs, extensions=extensions))

    def pong(self, found: dict):
        asked, heard = found["time"], now()
        received, sent = found["received"], found["sent"]
        self.report({"ev": "pong", **found, "heard": heard,
                     "round_trip": (heard - asked) - (sent - received),
                     "offset": ((received - asked) + (sent - heard)) / 2})

    def command(self, found: dict):
        name = found["is"]
        if name == "welcome":
            self.welcomed = True
            found["heard"] = now()
        elif name == "joined":
            room = Room(found)
            self.rooms[room.id] = self.handles[found["handle"]] = room
        elif name == "left":
            room = self.handles.pop(found["handle"], None)
            if room:
                del self.rooms[room.id]
        elif name == "gap":
            room = self.rooms[found["room"]]
            room.position = max(room.position, found["to"])
            room.ready = False
        elif name == "closed":
            self.closed = True
        self.report({"ev": name, **found})

    def data(self, found: dict):
        name, room = found["is"], self.rooms.get(found["room"])
        if room is None:
            return self.violation(f"{name} of room {found['room']}, which this client is not in")
        if name == "direct":
            return self.direct(found)
        if name != "members" and not room.receives:
            self.violation(f"{name} for a member that does not receive")
        if name in ("event", "presence"):
            self.numbered(room, found)
        elif name == "value":
            self.value(room, found)
        else:
            self.snapshot(room, found)

    def records(self, found: dict):
        """Reports each record together with the head of its frame."""
        head = {key: found[key] for key in ("room", "position", "tick", "early")}
        for record in found["records"]:
            self.report({"ev": found["is"], **head, **record})

    def direct(self, found: dict):
        if found["position"] != self.directs + 1:
            self.violation(f"direct {found['position']} after {self.directs}")
        self.records(found)
        self.directs = found["position"] + len(found["records"]) - 1

    def numbered(self, room: Room, found: dict):
        if not room.ready:
            self.violation(f"{found['is']} before the snapshot")
        if found["position"] != room.position + 1:
            self.violation(f"{found['is']} of position {found['position']}, {room.position} was the last complete one")
        if found["is"] == "presence":
            for record in found["records"]:
                room.set_member(record)
        self.records(found)
        if not found["more"]:
            room.position = found["position"]
            self.report({"ev": "position", "room": room.id, "position": room.position})

    def value(self, room: Room, found: dict):
        if not room.ready or "snapshot" in room.collecting:
            self.violation("values before the end of the snapshot")
        if found["position"] not in (room.position, room.position + 1):
            self.violation(f"values that follow {found['position']}, {room.position} was the last complete one")
        for record in found["records"]:
            if room.slot(record) in room.segment:
                self.violation(f"value {room.slot(record)} twice in a batch")
            room.segment.add(room.slot(record))
            room.set_value(record)
        self.records(found)
        if not found["more"]:
            room.segment.clear()

    def snapshot(self, room: Room, found: dict):
        name = found["is"]
        records = room.collecting.setdefault(name, [])
        records += found["records"]
        if found["position"] != room.position:
            self.violation(f"{name} of position {found['position']}, {room.position} was the last complete one")
        if found["more"]:
            return
        del room.collecting[name]
        if name == "snapshot":
            room.ready, room.values = True, {}
            for record in records:
                if not record["payload"]:
                    self.violation("a deletion in a snapshot")
                room.set_value(record)
        else:
            room.members = {}
            for record in records:
                room.set_member(record)
        self.report({"ev": name, "room": room.id, "position": found["position"], "count": len(records)})

    def state(self, handle: int) -> dict:
        room = self.handles[handle]
        return {"values": dict(room.values), "members": {str(key): data for key, data in room.members.items()}}


class Client:
    def __init__(self, report):
        self.report = report
        self.outgoing: asyncio.Queue = asyncio.Queue()
        self.session = Session(self.outgoing.put_nowait, report)

    def send(self, *frames: bytes):
        """Sends frames in one WebSocket message."""
        self.outgoing.put_nowait(b"".join(frames))

    def send_text(self, text: str):
        self.outgoing.put_nowait(text)

    def stop(self):
        """Closes the WebSocket behind what is still to be sent."""
        self.outgoing.put_nowait(None)

    async def run(self, url: str, subprotocol: str | None = SUBPROTOCOL):
        """Connects, and reports until the connection has ended."""
        wanted = [subprotocol] if subprotocol else None
        try:
            async with connect(url, subprotocols=wanted, compression=None, ping_interval=None, proxy=None,
                               open_timeout=5, close_timeout=5) as socket:
                if socket.subprotocol != subprotocol:
                    self.session.violation(f"the server picked subprotocol {socket.subprotocol}")
                await self.talk(socket)
                self.report({"ev": "end", "code": socket.close_code, "text": socket.close_reason})
        except InvalidStatus as error:
            self.report({"ev": "end", "status": error.response.status_code})
        except (OSError, InvalidHandshake, asyncio.TimeoutError) as error:
            self.report({"ev": "end", "text": str(error)})

    async def talk(self, socket):
        writer = asyncio.ensure_future(self.write(socket))
        try:
            async for message in socket:
                self.session.message(message)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()

    async def write(self, socket):
        try:
            while (message := await self.outgoing.get()) is not None:
                await socket.send(message)
            await socket.close()
        except ConnectionClosed:
            pass


async def main(url: str, room: str, text: str):
    client = Client(print)
    client.send(codec.hello(), codec.join(room), codec.event(text.encode()))
    await client.run(url)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))

"""What a fuller Tickwire client knows, written from PROTOCOL.md, without any input or output.

A `Session` outlives its connections: it answers pings, keeps rooms, values and members, checks what the server
promises, and knows what to send again after a resume (section 12.2). Whatever happens is reported as a dict whose "ev"
names it. A broken promise is reported as a "violation".
"""
from __future__ import annotations

import time

import codec

RECEIVE = 2
LARGEST_MESSAGE = 16384
ALL, EVENTS, PAUSED = 0, 1, 2
WITH_VALUES = ("value", "snapshot")


def now() -> int:
    """This client's own clock in microseconds."""
    return time.monotonic_ns() // 1000


class Room:
    def __init__(self, joined: dict):
        self.id, self.me, self.receives = joined["room"], joined["member"], bool(joined["mode"] & RECEIVE)
        self.epoch, self.position = joined["epoch"], joined["position"]  # the last complete one
        self.ready = not self.receives  # the snapshot has come
        self.away = False  # resumed, and not joined again
        self.what = ALL
        self.values: dict[str, bytes] = {}
        self.members: dict[int, bytes] = {}
        self.absent: set[int] = set()  # members that are away
        self.collecting: dict[str, list] = {}  # snapshots of which more frames follow
        self.described: dict[str, int] = {}  # the position of each of these
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
        member = record["member"]
        if record["state"] == "here":
            self.members[member] = record["data"]
            self.absent.discard(member)
        elif record["state"] == "away":
            self.absent.add(member)
        elif record["state"] == "left":
            self.members.pop(member, None)
            self.absent.discard(member)

    def void(self):
        """What was begun is not finished any more."""
        self.collecting.clear()
        self.segment.clear()


class Session:
    """What one client knows. `send` takes bytes that are to be sent, `report` takes dicts."""

    def __init__(self, send, report):
        self.send, self.report = send, report
        self.rooms: dict[int, Room] = {}  # by the server's number
        self.handles: dict[int, Room] = {}
        self.joins: dict[int, dict] = {}  # what was asked for, by handle
        self.asked: dict[int, tuple] = {}  # RECEIVE by its request
        self.welcomed = self.closed = False
        self.capabilities = self.consumed = self.directs = self.accepted = 0
        self.number = 0  # of the last data frame
        self.unaccepted: dict[int, bytes] = {}  # data frames by their number
        self.token = b""

    def violation(self, text: str):
        self.report({"ev": "violation", "text": text})

    # ------------------------------------------------------------ out

    def say(self, name: str, args: dict) -> bytes:
        """A frame by its name in codec.py; remembers what it asks for."""
        if name == "join":
            self.joins[args.get("handle", 1)] = args
        elif name == "receive":
            self.asked[args.get("request", 7)] = (args.get("handle", 1), args["what"])
        frame = getattr(codec, name)(**args)
        if frame[0] == codec.DATA:
            self.number += 1
            self.unaccepted[self.number] = frame
        return frame

    def hello_again(self, args: dict) -> bytes:
        """HELLO on another connection, which asks for this session."""
        self.welcomed = self.closed = False
        self.consumed = 0
        return codec.hello(resume=(self.token, self.directs), **args)

    def join_again(self, handle: int) -> bytes:
        """JOIN with what is known of the room, section 12.1."""
        room = self.handles[handle]
        return codec.join(**{**self.joins[handle], "since": (room.epoch, room.position)})

    def ping(self, extensions=()):
        self.send(codec.ping(now(), self.consumed, self.directs, extensions=extensions))

    # ------------------------------------------------------------ in

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
            self.accept(found["accepted"])
            self.report({"ev": "ping", "time": found["time"], "accepted": found["accepted"]})
        elif name == "pong":
            self.accept(found["accepted"])
            self.pong(found)
        elif name in codec.KINDS:
            self.data(found)
        else:
            self.command(found)

    def pong(self, found: dict):
        asked, heard = found["time"], now()
        received, sent = found["received"], found["sent"]
        self.report({"ev": "pong", **found, "heard": heard,
                     "round_trip": (heard - asked) - (sent - received),
                     "offset": ((received - asked) + (sent - heard)) / 2})

    def accept(self, number: int):
        """Section 12.3: this only grows, and counts what was sent."""
        if not self.capabilities & codec.ACCEPTED:
            if number:
                self.violation(f"accepted {number}, which was not negotiated")
            return
        if not self.accepted <= number <= self.number:
            self.violation(f"accepted {number} after {self.accepted}, {self.number} were sent")
        self.forget(number)

    def forget(self, number: int):
        self.accepted = max(self.accepted, number)
        self.unaccepted = {key: frame for key, frame in self.unaccepted.items() if key > self.accepted}

    # ------------------------------------------------------------ commands

    def command(self, found: dict):
        name = found["is"]
        if name == "welcome":
            self.welcome(found)
        elif name == "joined":
            self.joined(found)
        elif name == "left":
            room = self.handles.pop(found["handle"], None)
            if room:
                del self.rooms[room.id]
        elif name == "gap":
            self.gap(found)
        elif name == "done":
            self.done(*self.asked.pop(found["request"], (None, None)))
        elif name == "accepted":
            self.accept(found["number"])
        elif name == "closed":
            self.closed = True
        self.report({"ev": name, **found})

    def welcome(self, found: dict):
        self.welcomed, found["heard"] = True, now()
        self.capabilities = found["capabilities"]
        resumed = bool(found["flags"] & 1)
        if self.token and not resumed:
            self.rooms.clear()
            self.handles.clear()
            self.unaccepted.clear()
            self.number = self.accepted = self.directs = 0
        self.token = found.get("token", b"")
        if not resumed:
            return
        if "lost" in found:
            first, last = found["lost"]
            if first != self.directs + 1:
                self.violation(f"directs from {first} are lost, {self.directs} was the last one")
            self.directs = last
        for room in self.handles.values():
            room.away = True
            room.void()
        self.forget(found["accepted"])
        self.number = max(self.number, found["accepted"])
        for frame in self.unaccepted.values():
            self.send(frame)
        self.report({"ev": "sent_again", "count": len(self.unaccepted)})

    def joined(self, found: dict):
        handle = found["handle"]
        before, room = self.handles.get(handle), Room(found)
        if before is not None:
            self.rooms.pop(before.id, None)
            self.check_return(before, found)
            if before.epoch == room.epoch:
                room.values, room.members, room.absent = before.values, before.members, before.absent
        self.rooms[room.id] = self.handles[handle] = room

    def check_return(self, before: Room, found: dict):
        """Section 12.1: nothing is missing that is not told."""
        outcome, position, lost = found["outcome"], found["position"], found.get("lost")
        if outcome == 0:
            self.violation("a join with since was answered with outcome 0")
        elif before.epoch != found["epoch"]:
            if outcome != 2 or lost:
                self.violation(f"another life of the room: outcome {outcome}, lost {lost}")
        elif outcome == 1 and (position != before.position or lost):
            self.violation(f"recovered at {position} with {lost} lost, {before.position} was known")
        elif outcome == 2 and lost != [before.position + 1, position]:
            self.violation(f"a gap of {lost} before {position + 1}, {before.position} was known")

    def gap(self, found: dict):
        room = self.rooms[found["room"]]
        if found["from"] != room.position + 1 or found["to"] < room.position:
            self.violation(f"GAP of {found['from']} to {found['to']}, {room.position} was the last complete one")
        if found["epoch"] != room.epoch:
            self.violation("GAP of another epoch")
        room.position, room.ready = max(room.position, found["to"]), False
        room.void()

    def done(self, handle, what):
        room = self.handles.get(handle)
        if room is not None and what is not None:
            room.what = what
            if what != ALL:
                room.void()

    # ------------------------------------------------------------ data

    def data(self, found: dict):
        name, room = found["is"], self.rooms.get(found["room"])
        if found["compressed"]:
            self.report({"ev": "compressed", "kind": name})
            if not self.capabilities & codec.DEFLATE:
                self.violation(f"{name} is compressed, which was not negotiated")
        if room is None:
            return self.violation(f"{name} of room {found['room']}, which this client is not in")
        if name == "direct":
            return self.direct(found)
        if room.away:
            self.violation(f"{name} before the room was joined again")
        if name != "members" and not room.receives:
            self.violation(f"{name} for a member that does not receive")
        if room.what == PAUSED or room.what == EVENTS and name == "value":
            self.violation(f"{name} for a member that wants none")
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
        last = found["position"] + len(found["records"]) - 1
        if last <= self.directs:
            return self.report({"ev": "direct_again", "position": found["position"]})
        if found["position"] != self.directs + 1:
            self.violation(f"direct {found['position']} after {self.directs}")
        self.records(found)
        self.directs = last

    def numbered(self, room: Room, found: dict):
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
        if name not in room.collecting:
            room.collecting[name], room.described[name] = [], room.position
        records = room.collecting[name]
        records += found["records"]
        if found["position"] != room.described[name]:
            self.violation(f"{name} of position {found['position']}, {room.described[name]} was the last complete one")
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
            room.members, room.absent = {}, set()
            for record in records:
                room.set_member(record)
        self.report({"ev": name, "room": room.id, "position": found["position"], "count": len(records)})

    def state(self, handle: int) -> dict:
        room = self.handles[handle]
        return {"values": dict(room.values), "members": {str(key): data for key, data in room.members.items()},
                "absent": sorted(room.absent), "position": room.position}

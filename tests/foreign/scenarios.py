"""What a server has to do, as scripts that any kind of client can play. The first line of a docstring is its title."""
from __future__ import annotations

import secrets
import time
from urllib.parse import quote

from peers import FULL as PEERS
from peers import Failure, MinimalPeer, say

PUBLISH, RECEIVE, BOTH, SEE_MEMBERS = 1, 2, 3, 4
CLOSING = {  # reason: its sentence, section 14
    200: "The session or membership ended as asked.",
    201: "A frame could not be read.",
    202: "The frame type is unknown.",
    203: "The frame is larger than allowed.",
    204: "A WebSocket message ended inside a frame.",
    205: "A WebSocket message was text; only binary is understood.",
    208: "The first frame must be a hello.",
    209: "Hello was said twice.",
    210: "A reserved flag was set.",
    222: "An extension that must be understood is unknown.",
}


def check(condition, text: str):
    if not condition:
        raise Failure(text)


def equal(found, wanted, what: str):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


class Stage:
    """Where one scenario plays: it makes the peers, and stops them afterwards."""

    def __init__(self, kind: str, ws: str, tcp: str, title: str):
        self.kind, self.ws, self.tcp = kind, ws, tcp
        self.room = f"foreign/{title}-{secrets.token_hex(4)}"
        self.peers = []

    async def connect(self, path: str = "", kind: str = "", subprotocol: str = "tickwire.v1"):
        """A full client that is connected, and has said nothing yet."""
        kind = kind or self.kind
        peer = await PEERS[kind].open(self.url(kind) + path, subprotocol)
        self.peers.append(peer)
        return peer

    def url(self, kind: str = "") -> str:
        return f"tcp://{self.tcp}" if (kind or self.kind) == "tcp" else self.ws

    async def greet(self, **hello):
        """A full client that has said hello."""
        peer = await self.connect()
        await peer.send(say("hello", **hello))
        peer.welcome = await peer.expect(ev="welcome")
        return peer

    async def enter(self, mode: int = BOTH, kind: str = "", capabilities: int = 0, **join):
        """A full client that is in the room, and has its snapshot."""
        peer = await self.connect(kind=kind)
        await peer.send(say("hello", capabilities=capabilities), say("join", name=self.room, mode=mode, **join))
        peer.welcome = await peer.expect(ev="welcome")
        await self.joined(peer, mode)
        return peer

    async def joined(self, peer, mode: int = BOTH):
        peer.joined = await peer.expect(ev="joined")
        peer.room, peer.member = peer.joined["room"], peer.joined["member"]
        if mode & SEE_MEMBERS:
            peer.found_members = (await peer.expect(ev="members", room=peer.room))["count"]
        if mode & RECEIVE:
            await peer.expect(ev="snapshot", room=peer.room)

    async def enter_minimal(self, *first, room: str = ""):
        """A minimal client that has been let into the room."""
        peer = await MinimalPeer.open(self.tcp, room or self.room, *first)
        self.peers.append(peer)
        peer.joined = await peer.expect(ev="joined", request=2, handle=1)
        peer.room, peer.member = peer.joined["room"], peer.joined["member"]
        return peer

    def check_promises(self):
        for peer in self.peers:
            found = [event["text"] for event in peer.seen(ev="violation")]
            check(not found, f"broken promises: {found}")

    async def stop(self):
        for peer in self.peers:
            await peer.stop()


async def hear_round(sender, payload: bytes, *hearers):
    """An event from `sender` that it and every hearer must see."""
    await sender.send(say("event", payload=payload))
    for peer in (sender, *hearers):
        await peer.expect(ev="event", room=sender.room, member=sender.member, payload=payload)


async def expect_closed(peer, reason: int, **fields):
    """CLOSE, then the WebSocket close frame with code 4000 + reason and the sentence."""
    await peer.expect(ev="closed", reason=reason, **fields)
    await peer.expect(ev="end", code=4000 + reason, text=CLOSING[reason])


def order_of_events(peer) -> list:
    return [(event["member"], event["payload"]) for event in peer.seen(ev="event")]


async def same_order(peers):
    """Everybody publishes ten events without waiting, and sees all of them in one order."""
    messages = [b"%d" % number for number in range(8)] + [b"", bytes(range(256))]
    for payload in messages:
        for peer in peers:
            await peer.send(say("event", payload=payload))
    for peer in peers:
        await peer.collect(len(messages) * len(peers), ev="event")
    for peer in peers:
        equal(order_of_events(peer), order_of_events(peers[0]), "order of events")
        mine = [payload for member, payload in order_of_events(peers[0]) if member == peer.member]
        equal(mine, messages, "order of one sender's events")
    check(len({peer.member for peer in peers}) == len(peers), "two members have the same number")
    check(len({peer.room for peer in peers}) == 1, "members have different numbers for one room")


# ---------------------------------------------------------------- full clients


async def one_chunk(stage):
    """hello, join and data in one message"""
    peer = await stage.connect()
    await peer.send(say("hello", request=11), say("join", request=12, name=stage.room), say("event", payload=b"hi"))
    await peer.expect(ev="welcome", request=11, flags=0, accepted=0)
    joined = await peer.expect(ev="joined", request=12, handle=1, mode=BOTH, outcome=0)
    await peer.expect(ev="snapshot", count=0, position=joined["position"])
    await peer.expect(ev="event", member=joined["member"], payload=b"hi", position=joined["position"] + 1)


async def events_in_order(stage):
    """all members see all events in the same order"""
    await same_order([await stage.enter() for _ in range(3)])


async def positions(stage):
    """positions are consecutive from the join on"""
    peers = [await stage.enter() for _ in range(2)]
    for turn in range(6):
        await hear_round(peers[turn % 2], b"turn %d" % turn, peers[1 - turn % 2])
    for peer in peers:
        await peer.expect(ev="position")
        found = [event["position"] for event in peer.seen(ev="position")]
        first = peer.joined["position"] + 1
        equal(found, list(range(first, first + len(found))), "positions")
        check(len(found) >= 6, "six rounds took fewer than six positions")


async def conflation(stage):
    """values arrive as the last write of a tick"""
    one, two = await stage.enter(), await stage.enter()
    writes = [b"%d" % number for number in range(20)]
    await one.send(*(say("value", key=3, payload=payload) for payload in writes))
    for peer in (one, two):
        await peer.expect(ev="value", member=one.member, key=3, scope="member", payload=writes[-1])
    await hear_round(one, b"end", two)
    for peer in (one, two):
        found = [int(event["payload"]) for event in peer.seen(ev="value", key=3)]
        check(found == sorted(set(found)) and found[-1] == 19, f"values came as {found}")
        if one.joined["period"] >= 5000:
            check(len(found) <= 3, f"{len(found)} of 20 writes were sent in ticks of {one.joined['period']} us")
        equal((await peer.state())["values"], {f"{one.member}/3": b"19"}, "values")


async def room_values(stage):
    """a room value is everybody's, and is not the member value of that number"""
    one, two = await stage.enter(), await stage.enter()
    await one.send(say("value", key=70, payload=b"x", room=True), say("value", key=70, payload=b"mine"))
    await two.expect(ev="value", key=70, scope="room", payload=b"x")
    await two.send(say("value", key=70, payload=b"y", room=True))
    for peer in (one, two):
        await peer.expect(ev="value", key=70, scope="room", payload=b"y")
    await hear_round(one, b"end", two)
    for peer in (one, two):
        equal((await peer.state())["values"], {"room/70": b"y", f"{one.member}/70": b"mine"}, "values")


async def snapshots(stage):
    """a newcomer's snapshot has the latest values"""
    one = await stage.enter()
    await one.send(say("value", key=0, payload=b"old"))
    await one.expect(ev="value", key=0, payload=b"old")
    await one.send(say("value", key=0, payload=b"new"), say("value", key=7, payload=b"r", room=True))
    await one.expect(ev="value", key=7, scope="room", payload=b"r")
    await hear_round(one, b"flushed")
    two = await stage.enter()
    equal((await two.state())["values"], {f"{one.member}/0": b"new", "room/7": b"r"}, "values of the newcomer")
    equal(two.joined["epoch"], one.joined["epoch"], "epoch")


async def deletion(stage):
    """an empty value deletes"""
    one, two = await stage.enter(), await stage.enter()
    await one.send(say("value", key=1, payload=b"v"), say("value", key=2, payload=b"stays"))
    await two.expect(ev="value", key=1, payload=b"v")
    await one.expect(ev="value", key=1, payload=b"v")
    await one.send(say("value", key=1), say("value", key=99))
    await two.expect(ev="value", member=one.member, key=1, payload=b"")
    await hear_round(one, b"end", two)
    check(not one.seen(ev="refused"), "deleting what does not exist was refused")
    newcomer = await stage.enter()
    for peer in (one, two, newcomer):
        equal((await peer.state())["values"], {f"{one.member}/2": b"stays"}, "values")


async def values_of_a_leaver(stage):
    """a member that leaves takes its values along, in the batch that says so"""
    one, two = await stage.enter(), await stage.enter()
    await one.send(say("value", key=0, payload=b"a"), say("value", key=1, payload=b"b"),
                   say("value", key=2, payload=b"stays", room=True))
    await two.expect(ev="value", key=2, scope="room")
    await hear_round(one, b"flushed", two)
    await one.send(say("leave", request=33))
    await one.expect(ev="left", request=33, handle=1, reason=200)
    gone = await two.collect(2, ev="value", member=one.member, scope="member", payload=b"")
    equal(sorted(event["key"] for event in gone), [0, 1], "deleted keys")
    left = await two.expect(ev="presence", state="left", member=one.member)
    equal({event["tick"] for event in gone}, {left["tick"]}, "tick of the deletions")
    equal((await two.state())["values"], {"room/2": b"stays"}, "values")


async def presence(stage):
    """members see who is here, what changes, and who has left"""
    one = await stage.enter(mode=BOTH | SEE_MEMBERS, extensions=[(6, b"alpha")])
    await one.expect(ev="presence", state="here", member=one.member, data=b"alpha")
    two = await stage.enter(mode=BOTH | SEE_MEMBERS, extensions=[(6, b"beta")])
    equal(two.found_members, 1, "members in the snapshot, as of the last flush")
    for peer in (one, two):
        await peer.expect(ev="presence", state="here", member=two.member, data=b"beta")
    equal((await two.state())["members"], {str(one.member): b"alpha", str(two.member): b"beta"}, "members")
    await two.send(say("presence", request=41, data=b"gamma"))
    await two.expect(ev="done", request=41)
    await one.expect(ev="presence", state="here", member=two.member, data=b"gamma")
    await two.send(say("leave"))
    await one.expect(ev="presence", state="left", member=two.member, reason=200)
    equal((await one.state())["members"], {str(one.member): b"alpha"}, "members")


async def directs(stage):
    """a direct reaches exactly one member"""
    one, two, three = [await stage.enter() for _ in range(3)]
    await one.send(say("direct", member=two.member, payload=b"psst"))
    await two.expect(ev="direct", member=one.member, payload=b"psst", position=1, answers=0)
    await hear_round(one, b"after", two, three)
    check(not one.seen(ev="direct") and not three.seen(ev="direct"), "somebody else got the direct")
    await one.send(say("direct", member=999999, payload=b"nobody"))
    await one.expect(ev="refused", request=0, number=3, reason=238)
    await three.send(say("direct", member=two.member, payload=b"again"))
    await two.expect(ev="direct", member=three.member, payload=b"again", position=2)


async def urgent(stage):
    """an urgent event is flushed early, and directs follow it"""
    one, two = await stage.enter(), await stage.enter()
    await hear_round(one, b"settled", two)
    await one.send(say("direct", member=two.member, payload=b"direct"), say("event", payload=b"now", urgent=True))
    event = await two.expect(ev="event", member=one.member, payload=b"now")
    check(event["early"] or one.joined["period"] == 0, "the batch of an urgent event does not say it was early")
    await two.expect(ev="direct", member=one.member, payload=b"direct")
    await one.expect(ev="event", payload=b"now", position=event["position"], early=event["early"])


async def publish_only(stage):
    """a member that only publishes gets directs and no batches"""
    quiet, loud = await stage.enter(mode=PUBLISH), await stage.enter()
    equal(quiet.joined["mode"], PUBLISH, "mode")
    await quiet.send(say("event", payload=b"report"), say("value", key=0, payload=b"17"))
    await loud.expect(ev="event", member=quiet.member, payload=b"report")
    await loud.send(say("direct", member=quiet.member, payload=b"thanks"))
    await quiet.expect(ev="direct", member=loud.member, payload=b"thanks")
    heard = [event["ev"] for event in quiet.log if event["ev"] != "ping"]
    equal(heard, ["welcome", "joined", "direct"], "what a publisher got")


async def receive_only(stage):
    """a member that only receives may not publish"""
    still, loud = await stage.enter(mode=RECEIVE), await stage.enter()
    await still.send(say("event", payload=b"no"), say("value", key=0, payload=b"no"),
                     say("direct", member=loud.member, payload=b"no"))
    for number in (1, 2, 3):
        await still.expect(ev="refused", request=0, number=number, reason=237)
    await hear_round(loud, b"yes", still)
    equal(order_of_events(loud), [(loud.member, b"yes")], "events")
    check(not loud.seen(ev="value") and not loud.seen(ev="direct"), "a refused message was published")


async def refused_joins(stage):
    """a refused join leaves connection and handle usable"""
    peer = await stage.greet()
    refused = [
        (230, dict(name="a b!")), (230, dict(name="")), (230, dict(name="a" * 65)), (230, dict(name="\u00e9")),
        (224, dict(name=stage.room, mode=0)), (224, dict(name=stage.room, mode=BOTH | 0x40)),
    ]
    for request, (reason, join) in enumerate(refused, 21):
        await peer.send(say("join", request=request, **join), say("event", payload=b"behind a refused join"))
        await peer.expect(ev="refused", request=request, number=0, reason=reason)
        await peer.expect(ev="refused", request=0, number=request - 20, reason=232)
    await peer.send(say("join", name=stage.room))
    await stage.joined(peer)
    await hear_round(peer, b"in")
    await peer.send(say("join", request=51, handle=1, name=stage.room + "-2"),
                    say("join", request=52, handle=2, name=stage.room))
    await peer.expect(ev="refused", request=51, reason=231)
    await peer.expect(ev="refused", request=52, reason=233)
    await hear_round(peer, b"still in")


async def refused_frames(stage):
    """what cannot be obeyed is refused, and the connection goes on"""
    peer = await stage.enter()
    most = peer.welcome["max_message"]
    commands = [  # request, reason, frame
        (61, 220, b"\x02\x00\x02\x00\x7f\x3d"), (62, 220, b"\x02\x00\x02\x00\xf3\x3e"),
        (63, 221, b"\x02\x00\x02\x00\x0c\x3f"), (64, 223, b"\x02\x00\x04\x00\x0f\x40\x01\x00"),
    ]
    for request, reason, data in commands:
        await peer.send(say("raw", data=data))
        await peer.expect(ev="refused", request=request, number=0, reason=reason)
    await peer.send(say("leave", request=65, handle=9))
    await peer.expect(ev="refused", request=65, number=0, reason=232)
    messages = [
        (232, say("event", handle=9, payload=b"nowhere")), (236, say("event", payload=bytes(most + 1))),
        (225, say("raw", data=b"\x01\x00\x02\x04\x01\x00")), (225, say("raw", data=b"\x01\x00\x02\x0e\x01\x00")),
        (223, say("raw", data=b"\x01\x00\x02\x01\x01\x00")), (223, say("raw", data=b"\x01\x00\x02\x20\x01\x00")),
    ]
    for number, (reason, message) in enumerate(messages, 1):
        await peer.send(message)
        await peer.expect(ev="refused", request=0, number=number, reason=reason)
    await hear_round(peer, bytes(most))


async def unknown_even(stage):
    """unknown even extensions and capabilities are ignored"""
    unknown = 2**30 + 2**43 + 2**52
    peer = await stage.greet(capabilities=unknown, extensions=[(2, b"foreign 1"), (1000, b"\xbe\xef"), (2**40, b"")])
    equal(peer.welcome["capabilities"] & (2**30 + 2**43), 0, "reserved capabilities of the server")
    await peer.send(say("join", name=stage.room, extensions=[(2000, b"odd, but even")]))
    await stage.joined(peer)
    await hear_round(peer, b"in")
    await peer.ping(extensions=[(300, b"x")])
    await peer.expect(ev="pong")
    await peer.send(say("leave", request=8, extensions=[(64, b"")]))
    await peer.expect(ev="left", request=8)


async def unknown_odd(stage):
    """unknown odd extensions are refused, in a hello closed"""
    peer = await stage.greet()
    await peer.send(say("join", request=5, name=stage.room, extensions=[(1001, b"must")]))
    await peer.expect(ev="refused", request=5, number=0, reason=222)
    await peer.send(say("join", name=stage.room))
    await stage.joined(peer)
    await hear_round(peer, b"in")
    other = await stage.connect()
    await other.send(say("hello", request=6, extensions=[(1001, b"must")]))
    await expect_closed(other, 222, request=6)


async def asked_ping(stage):
    """a ping is answered with the server's clock"""
    peer = await stage.enter()
    await hear_round(peer, b"tick")
    await peer.ping()
    pong = await peer.expect(ev="pong")
    welcome, joined = peer.welcome, peer.joined
    equal(pong["clock"], welcome["clock"], "clock")
    check(pong["received"] <= pong["sent"], "the answer was sent before the question was received")
    check(0 <= pong["round_trip"] < 5_000_000, f"a round trip of {pong['round_trip']} us")
    apart = abs(welcome["heard"] + pong["offset"] - welcome["time"])
    check(apart < 1_000_000, f"the times of WELCOME and the answer are {apart} us apart")
    wall = abs(pong["sent"] + welcome["wall"] - time.time() * 1_000_000)
    check(wall < 60_000_000, f"the server's wall clock is {wall} us off")
    ticks = (peer.seen(ev="event")[-1]["tick"] - joined["tick"]) & 0xFFFF
    age = pong["sent"] - joined["tick_time"] - ticks * (joined["period"] or 1000)
    check(-2 * joined["period"] - 100_000 < age < 5_000_000, f"by its tick, the event is {age} us old")


async def publish_until_pinged(peer):
    deadline = time.monotonic() + 5
    while not peer.seen(ev="ping"):
        check(time.monotonic() < deadline, "no ping from the server in 5 s of sending")
        await hear_round(peer, b"keep it sending")
    await hear_round(peer, b"answered")


async def server_pings(stage):
    """the server pings while it sends, and goes on when answered"""
    await publish_until_pinged(await stage.enter())


async def malformed(stage):
    """a malformed frame closes with its reason, what came before it is obeyed"""
    one, two = await stage.enter(), await stage.enter()
    await one.send(say("event", payload=b"last"), say("raw", data=b"\x01\x00\x04\x00\x81\x00\x68\x69"))
    await expect_closed(one, 201, request=0)
    await two.expect(ev="event", member=one.member, payload=b"last")
    await two.expect(ev="presence", state="left", member=one.member)


async def closings(stage):
    """each way to break the framing has its reason"""
    late = await stage.connect()
    await late.send(say("join", name=stage.room))
    await expect_closed(late, 208)
    twice = await stage.greet()
    await twice.send(say("hello", request=2))
    await expect_closed(twice, 209)
    text = await stage.greet()
    await text.send_text("hello")
    await expect_closed(text, 205)
    too_large = (twice.welcome["max_frame"] + 1).to_bytes(2, "big")
    broken = [
        (201, b"\x02\x00\x02\x00\x03\x80"), (201, b"\x03\x00\x02\x00\x80\x00"), (202, b"\x09\x00\x00\x00"),
        (203, b"\x01" + too_large + b"\x00"), (204, b"\x01\x00\x05\x00\x01"), (210, b"\x02\x00\x02\x01\x05\x02"),
        (210, b"\x01\x00\x02\x80\x01\x00"), (210, b"\x01\x00\x02\x40\x01\x00"),
    ]
    for reason, data in broken:
        peer = await stage.greet()
        await peer.send(say("raw", data=data))
        await expect_closed(peer, reason, request=0)


async def closing_as_asked(stage):
    """the client's CLOSE is answered"""
    one, two = await stage.enter(), await stage.enter()
    await hear_round(one, b"in", two)
    await one.send(say("close", request=77))
    await expect_closed(one, 200, request=77)
    await two.expect(ev="presence", state="left", member=one.member)


async def room_in_the_path(stage):
    """/ws/{room} joins that room on handle 0"""
    name = stage.room + ":@."
    one = await stage.connect("/" + quote(name, safe=""))
    await one.send(say("hello"), say("event", handle=0, payload=b"early"))
    await one.expect(ev="welcome", request=1)
    joined = await one.expect(ev="joined", request=0, handle=0, mode=BOTH)
    await one.expect(ev="snapshot", room=joined["room"])
    await one.expect(ev="event", member=joined["member"], payload=b"early")
    two = await stage.greet()
    await two.send(say("join", name=name))
    await stage.joined(two)
    equal(two.room, joined["room"], "room")
    bad = await stage.connect("/a%20b")
    await bad.send(say("hello"))
    await bad.expect(ev="refused", request=0, number=0, reason=230)
    await bad.send(say("join", name=name))
    await stage.joined(bad)


async def subprotocols(stage):
    """a request without the subprotocol gets HTTP 400"""
    for offered in ("", "tickwire.v99"):
        peer = await stage.connect(subprotocol=offered)
        await peer.expect(ev="end", status=400)


async def leaving(stage):
    """after LEFT nothing of the room comes, and the handle is free"""
    one, two = await stage.enter(), await stage.enter()
    await hear_round(one, b"in", two)
    await one.send(say("leave", request=31))
    await one.expect(ev="left", request=31, handle=1, reason=200)
    behind = len(one.log)
    await hear_round(two, b"without you")
    await one.send(say("event", payload=b"too late"))
    await one.expect(ev="refused", request=0, number=2, reason=232)
    first, one.room = one.room, None
    await one.send(say("join", name=stage.room + "-next"))
    await stage.joined(one)
    check(one.room != first, "another room has the same number")
    await hear_round(one, b"elsewhere")
    check(all(event.get("room") != first for event in one.log[behind:]), "the room went on after LEFT")


# ---------------------------------------------------------------- minimal clients


async def minimal_chunk(stage):
    """hello, join and data in one chunk"""
    peer = await stage.enter_minimal(say("event", payload=b"hi"), say("value", key=0, payload=b"v"))
    await peer.expect(ev="event", room=peer.room, member=peer.member, payload=b"hi")
    await peer.expect(ev="value", member=peer.member, key=0, scope="member", payload=b"v", old=False)


async def minimal_order(stage):
    """all members see all events in the same order"""
    await same_order([await stage.enter_minimal() for _ in range(2)])


async def minimal_values(stage):
    """the last write of a value arrives, and a newcomer gets it"""
    one, two = await stage.enter_minimal(), await stage.enter_minimal()
    for number in range(20):
        await one.send(say("value", key=3, payload=b"%d" % number))
    await two.expect(ev="value", member=one.member, key=3, payload=b"19", old=False)
    newcomer = await stage.enter_minimal()
    await newcomer.expect(ev="value", member=one.member, key=3, payload=b"19", old=True)
    await one.send(say("value", key=3, payload=b""))
    await newcomer.expect(ev="value", member=one.member, key=3, payload=b"", old=False)


async def minimal_leaver(stage):
    """the values of a member whose connection ends are deleted"""
    one, two = await stage.enter_minimal(), await stage.enter_minimal()
    await one.send(say("value", key=5, payload=b"mine"))
    await two.expect(ev="value", member=one.member, key=5, payload=b"mine")
    await one.stop()
    await two.expect(ev="value", member=one.member, key=5, payload=b"", scope="member")


async def minimal_pings(stage):
    """the server pings while it sends, and goes on when answered"""
    await publish_until_pinged(await stage.enter_minimal())


async def minimal_bytes(stage):
    """frames may come byte by byte"""
    peer = await stage.enter_minimal()
    for byte in MinimalPeer.encode(say("event", payload=b"slow")):
        await peer.send(say("raw", data=bytes([byte])))
    await peer.expect(ev="event", member=peer.member, payload=b"slow")


async def minimal_refused(stage):
    """a refused join leaves the connection open"""
    peer = await MinimalPeer.open(stage.tcp, "a b!", say("event", payload=b"behind it"))
    stage.peers.append(peer)
    await peer.expect(ev="refused", request=2, number=0, reason=230)
    await peer.expect(ev="refused", request=0, number=1, reason=232)
    await peer.send(say("event", payload=b"still there"))
    await peer.expect(ev="refused", request=0, number=2, reason=232)


async def minimal_malformed(stage):
    """a malformed frame is answered with CLOSE"""
    for reason, data in ((201, b"\x01\x00\x04\x00\x81\x00\x68\x69"), (202, b"\x09\x00\x00\x00"),
                         (203, b"\x01\xff\xff\x00")):
        peer = await stage.enter_minimal()
        await peer.send(say("raw", data=data))
        await peer.expect(ev="closed", request=0, reason=reason)


async def minimal_slow(stage):
    """a client that reads nothing for a while, and reports nothing, goes on with the latest state"""
    loud = await stage.enter_minimal()
    slow = await MinimalPeer.open(stage.tcp, stage.room, reads=False)
    stage.peers.append(slow)
    for number in range(60):
        await loud.send(say("value", key=1, payload=b"%d" % number))
        await loud.send(*[say("event", payload=b"%d" % number + bytes(15_000))] * 6)  # 5 MB in all
        await loud.collect(6, ev="event")
    slow.begin()
    joined = await slow.expect(ev="joined")
    await slow.expect(ev="value", member=loud.member, key=1, payload=b"59")
    await hear_round(loud, b"end", slow)
    check(len(slow.seen(ev="event")) < 361, "nothing was left out for a client that did not read 5 MB")
    await slow.send(say("event", payload=b"still here"))
    await loud.expect(ev="event", member=joined["member"], payload=b"still here")


# ---------------------------------------------------------------- between kinds


async def mixed_room(stage):
    minimal = await stage.enter_minimal()
    return minimal, await stage.enter(kind="websockets"), await stage.enter(kind="node")


async def mixed_order(stage):
    """TCP, Python and Node see the same events in the same order"""
    peers = await mixed_room(stage)
    await same_order(peers)
    equal(peers[1].joined["epoch"], peers[2].joined["epoch"], "epoch")


async def mixed_values(stage):
    """a value of each is seen by all, and by newcomers of each kind"""
    peers = await mixed_room(stage)
    for peer in peers:
        await peer.send(say("value", key=1, payload=b"of %d" % peer.member))
        for other in peers:
            await other.expect(ev="value", member=peer.member, key=1, payload=b"of %d" % peer.member)
    wanted = {f"{peer.member}/1": b"of %d" % peer.member for peer in peers}
    for newcomer in (await stage.enter(kind="websockets"), await stage.enter(kind="node"), *peers[1:]):
        equal((await newcomer.state())["values"], wanted, "values")
    late = await stage.enter_minimal()
    found = await late.collect(3, ev="value", old=True)
    equal({f"{event['member']}/{event['key']}": event["payload"] for event in found}, wanted, "values over TCP")


async def mixed_directs(stage):
    """directs between Python and Node, while the TCP client hears only events"""
    minimal, python, node = await mixed_room(stage)
    await python.send(say("direct", member=node.member, payload=b"to node"))
    await node.expect(ev="direct", member=python.member, payload=b"to node")
    await node.send(say("direct", member=python.member, payload=b"to python"))
    await python.expect(ev="direct", member=node.member, payload=b"to python")
    await python.send(say("direct", member=minimal.member, payload=b"which it may ignore"))
    await hear_round(minimal, b"i go on", python, node)
    equal(len(python.seen(ev="direct")) + len(node.seen(ev="direct")), 2, "directs")


async def mixed_leaver(stage):
    """the end of a TCP connection is presence and deletions for the others"""
    minimal, python, node = await mixed_room(stage)
    await minimal.send(say("value", key=2, payload=b"soon gone"))
    for peer in (python, node):
        await peer.expect(ev="value", member=minimal.member, key=2, payload=b"soon gone")
    await minimal.stop()
    for peer in (python, node):
        await peer.expect(ev="value", member=minimal.member, key=2, payload=b"")
        await peer.expect(ev="presence", state="left", member=minimal.member)
        equal((await peer.state())["values"], {}, "values")


MINIMAL = [minimal_chunk, minimal_order, minimal_values, minimal_leaver, minimal_pings, minimal_bytes, minimal_refused,
           minimal_malformed, minimal_slow]
WEBSOCKET = [unknown_odd, malformed, closings, closing_as_asked, room_in_the_path, subprotocols]  # with close codes
FULL = [one_chunk, events_in_order, positions, conflation, room_values, snapshots, deletion, values_of_a_leaver,
        presence, directs, urgent, publish_only, receive_only, refused_joins, refused_frames, unknown_even,
        asked_ping, server_pings, leaving]
MIXED = [mixed_order, mixed_values, mixed_directs, mixed_leaver]

"""What a server does with the optional capabilities of section 12, as scripts. As scenarios.py, which has the Stage."""
from __future__ import annotations

import asyncio

import codec
from codec import ACCEPTED, DEFLATE, HISTORY, PAGES, RECEIVE, RESUME
from scenarios import BOTH, PUBLISH, SEE_MEMBERS, check, equal, hear_round, order_of_events
from peers import say

GOES_ON = RESUME | HISTORY | ACCEPTED
KNOWN = RESUME | HISTORY | DEFLATE | RECEIVE | ACCEPTED | PAGES
ALL, EVENTS, PAUSED = 0, 1, 2


async def publish(peer, *payloads: bytes):
    """An event a batch: the next is sent when the last has come back."""
    for payload in payloads:
        await peer.send(say("event", payload=payload))
        await peer.expect(ev="event", member=peer.member, payload=payload)


async def go_on(stage, peer, kind: str = "", handles=(1,), capabilities: int = GOES_ON) -> dict:
    """Another connection of this client asks for its session; WELCOME."""
    await peer.again(stage.url(kind), {"capabilities": capabilities}, handles)
    return await peer.expect(ev="welcome")


async def hold(stage, *since, capabilities: int = GOES_ON, **hello):
    """A client without a past that asks for a session by its token."""
    peer = await stage.connect()
    await peer.send(say("hello", capabilities=capabilities, resume=since, **hello))
    peer.welcome = await peer.expect(ev="welcome")
    return peer


# ---------------------------------------------------------------- resume and history


async def capabilities(stage):
    """WELCOME tells what both sides can do, and gives a token only to who can resume"""
    peer = await stage.greet(capabilities=KNOWN)
    equal(peer.welcome["capabilities"], KNOWN, "capabilities")
    check(1 <= len(peer.welcome["token"]) <= 64 and peer.welcome["grace"] > 0, f"no token in {peer.welcome}")
    plain = await stage.greet(capabilities=KNOWN & ~RESUME)
    check("token" not in plain.welcome and "grace" not in plain.welcome, f"a token in {plain.welcome}")


async def resume(stage):
    """a session goes on where its connection broke: number, events, directs, values"""
    one, two = await stage.enter(capabilities=GOES_ON), await stage.enter(mode=BOTH | SEE_MEMBERS)
    await one.send(say("value", key=4, payload=b"mine"), say("direct", member=two.member, payload=b"before"))
    await two.expect(ev="direct", payload=b"before")
    await hear_round(two, b"seen", one)
    await one.cut()
    await two.expect(ev="presence", state="away", member=one.member)
    equal((await two.state())["absent"], [one.member], "members that are away")
    await publish(two, b"missed 1", b"missed 2")
    await two.send(say("direct", member=one.member, payload=b"while away"), say("value", key=9, payload=b"new"))
    await publish(two, b"missed 3")
    welcome = await go_on(stage, one)
    equal(welcome["flags"] & 1, 1, "resumed")
    check(welcome["token"] != one.welcome["token"], "the same token again")
    await one.expect(ev="direct", member=two.member, payload=b"while away", position=1)
    joined = await one.expect(ev="joined", handle=1, outcome=1)
    equal((joined["member"], joined["room"], joined["epoch"]), (one.member, one.room, one.joined["epoch"]), "member")
    for payload in (b"missed 1", b"missed 2", b"missed 3"):
        await one.expect(ev="event", member=two.member, payload=payload)
    await one.expect(ev="snapshot", room=one.room)
    await two.expect(ev="presence", state="here", member=one.member)
    await hear_round(one, b"back", two)
    equal((await one.state())["values"], {f"{one.member}/4": b"mine", f"{two.member}/9": b"new"}, "values")
    equal((await two.state())["absent"], [], "members that are away")
    heard = [payload for member, payload in order_of_events(one) if member == two.member]
    equal(heard, [b"seen", b"missed 1", b"missed 2", b"missed 3"], "events")


async def sent_again(stage):
    """every data frame arrives once, whatever the connection lost"""
    one, two = await stage.enter(capabilities=GOES_ON), await stage.enter()
    messages = [b"%d" % number for number in range(30)]
    for start in range(0, 30, 10):
        for payload in messages[start:start + 5]:
            await one.send(say("event", payload=payload))
        await one.cut()
        for payload in messages[start + 5:start + 10]:
            await one.send(say("event", payload=payload))  # nobody hears it now
        welcome = await go_on(stage, one)
        check(start <= welcome["accepted"] <= start + 5, f"{welcome['accepted']} were accepted")
        check(one.seen(ev="sent_again")[-1]["count"] >= 5, "nothing was sent again")
        await one.expect(ev="snapshot")
    await two.collect(len(messages), ev="event")
    await one.collect(1, ev="event", payload=messages[-1])
    for peer in (one, two):
        equal([payload for _, payload in order_of_events(peer)], messages, "events")


async def lost_welcome(stage):
    """the old token works until its successor is used"""
    one = await stage.enter(capabilities=GOES_ON)
    first = one.welcome["token"]
    await one.cut()
    lost = await hold(stage, first, 0)
    equal(lost.welcome["flags"] & 1, 1, "resumed with the first token")
    await lost.cut()
    again = await hold(stage, first, 0)
    equal(again.welcome["flags"] & 1, 1, "resumed with the first token again")
    await again.cut()
    equal((await hold(stage, lost.welcome["token"], 0)).welcome["flags"] & 1, 0, "resumed with a token of nobody")
    last = await hold(stage, again.welcome["token"], 0)
    equal(last.welcome["flags"] & 1, 1, "resumed with the latest token")
    await last.cut()
    equal((await hold(stage, first, 0)).welcome["flags"] & 1, 0, "resumed with a token whose successor was used")


async def take_over(stage):
    """a second connection takes the session, the first is closed with 244"""
    one, two = await stage.enter(capabilities=GOES_ON), await stage.enter(mode=BOTH | SEE_MEMBERS)
    await hear_round(one, b"first", two)
    heir = await hold(stage, one.welcome["token"], 0)
    equal((heir.welcome["flags"] & 1, heir.welcome["accepted"]), (1, 1), "resumed, accepted")
    await one.expect(ev="closed", reason=244)
    await two.expect(ev="presence", state="away", member=one.member)
    position = (await two.state())["position"]
    await heir.send(say("join", name=stage.room, since=[one.joined["epoch"], position]), say("event", payload=b"second"))
    joined = await heir.expect(ev="joined", outcome=1)
    equal(joined["member"], one.member, "member")
    await two.expect(ev="event", member=one.member, payload=b"second")
    check(not two.seen(ev="presence", state="left"), "the member has left")


async def not_resumed(stage):
    """a session that ended is not resumed, nor one of an unknown token"""
    one, two = await stage.enter(capabilities=GOES_ON), await stage.enter()
    await one.send(say("close"))
    await one.expect(ev="closed", reason=200)
    await two.expect(ev="presence", state="left", member=one.member)
    for token in (one.welcome["token"], b"x" * 24, b"", b"y" * 64):
        peer = await hold(stage, token, 0)
        equal((peer.welcome["flags"] & 1, peer.welcome["accepted"]), (0, 0), "resumed, accepted")
    malformed = await stage.connect()
    await malformed.send(say("hello", capabilities=RESUME, extensions=[(4, b"\x05abc")]))
    await malformed.expect(ev="closed", reason=224)


async def silent_until_joined(stage):
    """a resumed room is silent until it is joined again, while data and directs go through"""
    one, two = await stage.enter(capabilities=GOES_ON | PAGES), await stage.enter()
    await one.cut()
    await two.expect(ev="presence", state="away", member=one.member)
    await go_on(stage, one, handles=(), capabilities=GOES_ON | PAGES)
    await one.send(say("event", payload=b"from afar"), say("join", request=31, name=stage.room + "-other"))
    await two.expect(ev="event", member=one.member, payload=b"from afar")
    await one.expect(ev="refused", request=31, reason=231)
    await two.send(say("direct", member=one.member, payload=b"psst"))
    await one.expect(ev="direct", payload=b"psst")
    await one.send(say("list_members", request=32))
    page = await one.expect(ev="page", request=32, next=0)
    equal([(record["member"], record["state"]) for record in page["records"]],
          [(one.member, "here"), (one.member, "away"), (two.member, "here")], "members")
    behind = one.mark
    await hear_round(two, b"unheard")
    await one.ping()
    await one.expect(ev="pong")
    check(not [event for event in one.log[behind:] if event["ev"] in ("event", "presence")], "the room is not silent")
    await one.send(say("leave", request=33))
    await one.expect(ev="left", request=33, reason=200)
    await two.expect(ev="presence", state="left", member=one.member)


async def history(stage):
    """a newcomer that names its last position gets what it missed, as it was sent"""
    one = await stage.enter()
    await publish(one, b"1", b"2", b"3")
    old = await stage.enter(mode=2, capabilities=HISTORY)
    await publish(one, b"4", b"5")
    epoch, position = one.joined["epoch"], old.joined["position"]
    late = await stage.connect()
    await late.send(say("hello", capabilities=HISTORY), say("join", name=stage.room, since=[epoch, position]))
    await late.expect(ev="joined", outcome=1, position=position)
    await late.expect(ev="snapshot")
    await hear_round(one, b"6", late)
    mine = lambda peer: [(event["position"], event["payload"]) for event in peer.seen(ev="event")]
    await old.expect(ev="event", payload=b"6")
    equal(mine(late), mine(old), "events by position")
    without = await stage.connect()
    await without.send(say("hello"), say("join", name=stage.room, since=[epoch, position]))
    joined = await without.expect(ev="joined", outcome=2)
    equal(joined["lost"], [position + 1, joined["position"]], "what is lost without the capability")


async def history_gap(stage):
    """what history has let go of is told, and what is kept behind it follows"""
    one = await stage.enter(capabilities=GOES_ON)
    two = await stage.enter()
    await hear_round(two, b"seen", one)
    known = (await one.state())["position"]
    await one.cut()
    await two.expect(ev="presence", state="away", member=one.member)
    await publish(two, *(b"%d" % number for number in range(6)))
    await go_on(stage, one)
    joined = await one.expect(ev="joined", outcome=2)
    equal(joined["lost"][0], known + 1, "the first position that is lost")
    equal(joined["position"], joined["lost"][1], "position")
    for number in (3, 4, 5):
        await one.expect(ev="event", payload=b"%d" % number)
    await one.expect(ev="snapshot")
    equal([payload for _, payload in order_of_events(one)], [b"seen", b"3", b"4", b"5"], "events")
    stranger = await stage.connect()
    await stranger.send(say("hello", capabilities=HISTORY), say("join", name=stage.room, since=["00" * 8, 1]))
    check("lost" not in await stranger.expect(ev="joined", outcome=2), "positions of another life are lost")
    await stranger.expect(ev="snapshot")


# ---------------------------------------------------------------- receive, pages, accepted


async def paused(stage):
    """a member that pauses gets nothing, and coming back a gap and the values"""
    one, two = await stage.enter(), await stage.enter(capabilities=RECEIVE)
    await hear_round(one, b"before", two)
    await two.send(say("receive", what=PAUSED, request=21))
    await two.expect(ev="done", request=21)
    await one.send(say("value", key=1, payload=b"changed"))
    await publish(one, b"unheard 1", b"unheard 2")
    await one.send(say("direct", member=two.member, payload=b"still"))
    await two.expect(ev="direct", payload=b"still")
    await two.send(say("receive", what=ALL, request=22))
    await two.expect(ev="done", request=22)
    gap = await two.expect(ev="gap", room=two.room, epoch=two.joined["epoch"])
    check(gap["to"] > gap["from"], f"two batches were lost, and {gap} tells")
    await two.expect(ev="snapshot", count=1)
    equal((await two.state())["values"], {f"{one.member}/1": b"changed"}, "values")
    await hear_round(one, b"after", two)
    equal([payload for _, payload in order_of_events(two)], [b"before", b"after"], "events")


async def events_only(stage):
    """a member that wants no values gets events, and coming back an empty gap and the values"""
    one, two = await stage.enter(), await stage.enter(capabilities=RECEIVE)
    await two.send(say("receive", what=EVENTS, request=21))
    await two.expect(ev="done", request=21)
    await one.send(say("value", key=1, payload=b"unseen"))
    await hear_round(one, b"heard", two)
    equal(two.seen(ev="value"), [], "values")
    await two.send(say("receive", what=ALL, request=22))
    await two.expect(ev="done", request=22)
    gap = await two.expect(ev="gap")
    equal(gap["to"], gap["from"] - 1, "the end of a gap without batches")
    await two.expect(ev="snapshot", count=1)
    await one.send(say("value", key=1, payload=b"seen"))
    await two.expect(ev="value", key=1, payload=b"seen")


async def wrong_receive(stage):
    """RECEIVE with what this version does not have is refused"""
    peer = await stage.enter(capabilities=RECEIVE)
    wrong = [(223, dict(what=0, divisor=2)), (223, dict(what=0, divisor=0)), (223, dict(what=0, area=1)),
             (224, dict(what=3)), (224, dict(what=255)), (232, dict(what=0, handle=9))]
    for request, (reason, receive) in enumerate(wrong, 41):
        await peer.send(say("receive", request=request, **receive))
        await peer.expect(ev="refused", request=request, number=0, reason=reason)
    quiet = await stage.enter(mode=PUBLISH, capabilities=RECEIVE)
    await quiet.send(say("receive", what=ALL, request=51))
    await quiet.expect(ev="refused", request=51, reason=224)
    await hear_round(peer, b"goes on")


async def crowd(stage, number: int) -> list:
    """So many members that only publish, each with 200 bytes to show."""
    host, port = stage.tcp.rsplit(":", 1)
    greeting = b"\xd7TW\x01" + codec.hello() + codec.join(stage.room, mode=PUBLISH, extensions=[(6, bytes(200))])
    members = []
    for start in range(0, number, 50):
        streams = [await asyncio.open_connection(host, int(port)) for _ in range(min(50, number - start))]
        members += [writer for _, writer in streams]
        for _, writer in streams:
            writer.write(greeting)
        for reader, _ in streams:
            found = None
            while found is None or found["is"] not in ("joined", "refused"):
                kind, size, flags = codec.struct.unpack(">BHB", await reader.readexactly(4))
                found = codec.decode(kind, flags, await reader.readexactly(size))
            equal(found["is"], "joined", "answer to one of a crowd")
    return members


async def pages(stage):
    """seven hundred members come in pages, where one list is too long"""
    members = await crowd(stage, 700)
    try:
        peer = await stage.enter(capabilities=PAGES)
        await hear_round(peer, b"flushed")
        found, after, turns = [], 0, 0
        while turns == 0 or after:
            await peer.send(say("list_members", request=100 + turns, after=after))
            page = await peer.expect(ev="page", request=100 + turns, handle=1)
            found += page["records"]
            after, turns = page["next"], turns + 1
            check(turns < 100, "pages without an end")
        numbers = [record["member"] for record in found]
        equal(numbers, sorted(set(numbers)), "members by number")
        equal((len(numbers), peer.member in numbers), (701, True), "members, and this one")
        check(turns > 5, f"{turns} pages of 16 KiB for 140 KB")
        equal({len(record["data"]) for record in found}, {0, 200}, "presence data")
        await peer.send(say("list_members", request=300, handle=9))
        await peer.expect(ev="refused", request=300, reason=232)
        other = await stage.greet()
        await other.send(say("join", request=5, name=stage.room, mode=BOTH | SEE_MEMBERS))
        await other.expect(ev="refused", request=5, reason=223)
    finally:
        for member in members:
            member.transport.abort()


async def accepted(stage):
    """who asks is told at once that a message was accepted, or refused"""
    peer = await stage.enter(capabilities=ACCEPTED)
    await peer.send(say("event", payload=b"1"), say("event", payload=b"2", acknowledge=True))
    await peer.expect(ev="accepted", request=0, number=2)
    await peer.expect(ev="event", payload=b"2")
    await peer.send(say("event", handle=9, acknowledge=True))
    await peer.expect(ev="refused", number=3, reason=232)
    await peer.expect(ev="accepted", number=3)
    await peer.send(say("event", payload=b"4"))
    await peer.expect(ev="event", payload=b"4")
    await peer.ping()
    equal((await peer.expect(ev="pong"))["accepted"], 4, "accepted in a ping")
    equal(len(peer.seen(ev="accepted")), 2, "ACCEPTED")


# ---------------------------------------------------------------- compression

TEXTS = [b'{"name":"player-%d","position":[%d,%d],"state":"running"}' % (n, n * 7 % 50, n * 13 % 50) for n in range(40)]


async def compressed_batches(stage):
    """compressed batches and snapshots say what the plain ones say"""
    one, plain, small = await stage.enter(), await stage.enter(), await stage.enter(capabilities=DEFLATE)
    await one.send(*(say("event", payload=text) for text in TEXTS))
    await one.send(*(say("value", key=key, payload=text) for key, text in enumerate(TEXTS)))
    await hear_round(one, b"end", plain, small)
    equal(order_of_events(small), order_of_events(plain), "events")
    equal((await small.state())["values"], (await plain.state())["values"], "values")
    kinds = {event["kind"] for event in small.seen(ev="compressed")}
    check({"event", "value"} <= kinds, f"only {kinds} were compressed")
    late = await stage.enter(capabilities=DEFLATE)
    equal((await late.state())["values"], (await plain.state())["values"], "values of a newcomer")
    check(late.seen(ev="compressed", kind="snapshot"), "the snapshot was not compressed")


async def uncompressed(stage):
    """a class of rooms may go without compression"""
    peer = await stage.enter(capabilities=DEFLATE)
    await peer.send(*(say("event", payload=text) for text in TEXTS))
    await peer.collect(len(TEXTS), ev="event")
    equal(peer.seen(ev="compressed"), [], "compressed frames")


async def compressed_messages(stage):
    """a client compresses what it sends, and everybody gets the plain message"""
    one, two = await stage.enter(capabilities=DEFLATE), await stage.enter()
    text = b"".join(TEXTS[:20])
    await one.send(say("event", payload=text, compress=True), say("value", key=1, payload=text, compress=True),
                   say("direct", member=two.member, payload=text, compress=True))
    await two.expect(ev="event", member=one.member, payload=text)
    await two.expect(ev="direct", member=one.member, payload=text)
    equal((await two.state())["values"], {f"{one.member}/1": text}, "values")
    most = one.welcome["max_message"]
    await one.send(say("value", key=1, payload=b"", compress=True), say("event", payload=bytes(most), compress=True))
    await two.expect(ev="event", payload=bytes(most))
    equal((await two.state())["values"], {}, "values after an empty one")


async def bombs(stage):
    """what inflates to too much is refused with 236, what does not inflate with 226"""
    one, two = await stage.enter(capabilities=DEFLATE), await stage.enter()
    whole = codec.deflate(b"whole")
    refused = [
        (236, say("event", payload=codec.deflate(bytes(10_000_000)), compressed=True)),
        (236, say("value", key=1, payload=bytes(one.welcome["max_message"] + 1), compress=True)),
        (226, say("event", payload=b"\x07", compressed=True)), (226, say("event", payload=b"", compressed=True)),
        (226, say("event", payload=whole[:-1], compressed=True)), (226, say("event", payload=whole + b"\0", compressed=True)),
    ]
    for number, (reason, message) in enumerate(refused, 1):
        await one.send(message)
        await one.expect(ev="refused", request=0, number=number, reason=reason)
    await hear_round(one, b"goes on", two)
    equal((len(two.seen(ev="event")), two.seen(ev="value")), (1, []), "events, values")


# ---------------------------------------------------------------- between kinds


async def other_transport(stage):
    """a session goes on over the other transport, and back"""
    one, two = await stage.enter(kind="websockets", capabilities=GOES_ON), await stage.enter(kind="node")
    for kind, payload in (("tcp", b"over TCP"), ("websockets", b"over WebSocket")):
        await one.cut()
        await hear_round(two, b"before " + payload)
        equal((await go_on(stage, one, kind))["flags"] & 1, 1, "resumed")
        equal((await one.expect(ev="joined", outcome=1))["member"], one.member, "member")
        await one.expect(ev="event", member=two.member, payload=b"before " + payload)
        await hear_round(one, payload, two)


async def all_together(stage):
    """clients with every capability and with none hear the same"""
    minimal = await stage.enter_minimal()
    peers = [minimal] + [await stage.enter(kind=kind, capabilities=KNOWN) for kind in ("websockets", "tcp", "node")]
    for peer in peers:
        await peer.send(*(say("event", payload=text) for text in TEXTS))
    for peer in peers:
        await peer.collect(len(TEXTS) * len(peers), ev="event")
        equal(order_of_events(peer), order_of_events(minimal), "order of events")
    check(any(peer.seen(ev="compressed") for peer in peers), "nothing was compressed")


FULL = [capabilities, resume, sent_again, lost_welcome, take_over, not_resumed, silent_until_joined, history, history_gap,
        paused, events_only, wrong_receive, pages, accepted, compressed_batches, uncompressed, compressed_messages, bombs]
MIXED = [other_transport, all_together]

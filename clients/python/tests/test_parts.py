"""The parts of the session: replica, inbox, outbox, clock, backoff, tokens, targets, interpolation."""

from __future__ import annotations

import base64
import random
import re
import zlib
from pathlib import Path
from typing import List

import pytest
from stage import EPOCH, Hangup, Stage, reference

from tickwire import (
    Batch,
    Event,
    Interpolator,
    Outcome,
    Presence,
    ProtocolError,
    Snapshot,
    Tick,
    TickwireError,
    Value,
    limits,
    reasons,
)
from tickwire.backoff import Backoff
from tickwire.clock import Clock
from tickwire.codec import Decoder
from tickwire.errors import escaped
from tickwire.inbox import Inbox
from tickwire.replica import _extend
from tickwire.stream import Batches, Filter, Queue
from tickwire.target import read
from tickwire.token import expires, renew_in

ROOT = Path(__file__).resolve().parents[3]


def on_stage() -> Stage:
    stage = Stage()
    stage.join(mode=7)
    stage.start()
    stage.joined()
    return stage


def test_a_snapshot_that_has_only_begun_changes_nothing() -> None:
    stage = on_stage()
    replica = stage.session.rooms.get("r").replica
    stage.data("value", [((2, 2), b"old"), ((2, 3), b"room")], position=0)
    assert replica.values == {(2, 1): b"old", (None, 1): b"room"}
    stage.data("snapshot", [((2, 2), b"new")], position=0, more=True)
    assert replica.values == {(2, 1): b"old", (None, 1): b"room"}
    # A GAP makes it void; what follows is another one.
    stage.says("gap", room=7, epoch=EPOCH, **{"from": 1, "to": 4})
    stage.data("snapshot", [((3, 4), b"newer")], position=4)
    assert replica.values == {(3, 2): b"newer"}
    assert stage.of(Outcome)[-1] == Outcome("gap", 1, 4)
    assert len(stage.of(Snapshot)) == 1
    stage.data("event", [(2, b"next")], position=5)
    assert [event.position for event in stage.of(Event)] == [5]
    stage.data("value", [((3, 4), b"")], position=5)
    assert replica.values == {}
    stage.says("gap", room=7, epoch=EPOCH, **{"from": 6, "to": 5})
    assert stage.of(Outcome)[-1] == Outcome("snapshot")


def test_members_come_go_and_are_away() -> None:
    stage = on_stage()
    replica = stage.session.rooms.get("r").replica
    stage.data("members", [(2, b"\x01\x03ann"), (3, b"\x01\x00data"), (3, b"\x02")], position=0)
    assert [(m.number, m.subject, m.data, m.away) for m in replica.members.values()] == [
        (2, "ann", b"", False),
        (3, "", b"data", True),
    ]
    stage.data("presence", [(4, b"\x01\x00"), (2, b"\x03\xc8\x01"), (9, b"\x7funknown")], position=1)
    assert sorted(replica.members) == [3, 4]
    assert [(p.member, p.state, p.reason) for p in stage.of(Presence)] == [(4, "here", 0), (2, "left", 200)]
    stage.data("presence", [(0, b"\x04\xac\x02")], position=2)
    assert replica.count == 300
    stage.data("presence", [(4, b"\x03")], position=3)
    assert isinstance(stage.all(TickwireError)[0], ProtocolError)


def test_a_tick_is_told_once_at_the_end_of_its_batch() -> None:
    stage = on_stage()
    frames = []
    base = {"type": "data", "compressed": False, "urgent": False, "more": False, "room": 7, "position": 1, "tick": 9}
    frames.append({**base, "kind": "event", "more": True, "records": [{"member": 2, "payload": "61"}]})
    frames.append({**base, "kind": "value", "records": [{"member": 2, "key": 2, "payload": "62"}]})
    frames.append({**base, "kind": "presence", "records": [{"member": 2, "payload": "03c801"}]})
    frames.append({**base, "kind": "event", "position": 2, "records": [{"member": 3, "payload": "63"}]})
    frames.append({**base, "kind": "value", "position": 2, "records": [{"member": 3, "key": 2, "payload": "64"}]})
    frames.append({**base, "kind": "value", "position": 2, "tick": 10, "records": []})
    stage.items.clear()
    stage.session.receive(stage.now, b"".join(reference.encode_frame(frame, "server") for frame in frames))
    names = [type(item).__name__ for item in stage.items]
    assert names == ["Event", "Value", "Presence", "Tick", "Event", "Value", "Tick", "Tick"]
    assert stage.of(Tick) == [Tick(9, 1), Tick(9, 2), Tick(10, 2)]


def test_a_tick_is_told_once_where_its_batch_comes_in_parts() -> None:
    stage = on_stage()
    queue: Queue[Batch] = Queue()
    stage.session.rooms.get("r").sinks.append(Batches(queue))
    stage.items.clear()
    stage.data("event", [(2, b"a")], position=1, tick=9)
    stage.data("value", [((2, 2), b"b")], position=1, tick=9, more=True)
    stage.data("value", [((2, 4), b"c")], position=1, tick=9)
    # The numbers of values alone are those of the batch before, where they leave within its tick.
    stage.data("value", [((2, 2), b"d")], position=1, tick=9)
    stage.data("event", [(2, b"e")], position=2, tick=10)
    names = [type(item).__name__ for item in stage.items]
    assert names == ["Event", "Tick", "Value", "Value", "Value", "Tick", "Event", "Tick"]
    assert stage.of(Tick) == [Tick(9, 1), Tick(9, 1), Tick(10, 2)]
    # What is taken by batches waits for no other batch.
    batches = [batch for batch, _ in queue.waiting]
    assert [[event.payload for event in batch.events] for batch in batches] == [[b"a"], [], [], [], [b"e"]]
    assert [[value.payload for value in batch.values] for batch in batches] == [[], [b"b"], [b"c"], [b"d"], []]
    assert [batch.position for batch in batches] == [1, 1, 1, 1, 2]


def test_a_tick_of_another_connection_is_told_again() -> None:
    stage = on_stage()
    stage.data("event", [(2, b"a")], position=1, tick=9)
    replica = stage.session.rooms.get("r").replica
    replica.broken()
    stage.items.clear()
    stage.data("value", [((2, 2), b"b")], position=1, tick=9)
    assert [type(item).__name__ for item in stage.items] == ["Value", "Tick"]


def test_what_a_server_can_make_a_client_hold_is_bounded() -> None:
    stage = on_stage()
    payload = b"x" * 60_000
    for key in range(400):
        stage.data("snapshot", [((2, key * 2), payload)], position=0, more=True)
        if stage.state != "connected":
            break
    assert key == limits.MAX_REPLICA // (60_000 + limits.OVERHEAD)
    assert isinstance(stage.all(TickwireError)[0], ProtocolError)
    stage = on_stage()
    for key in range(400):
        stage.data("value", [((2, key * 2), payload)], position=0)
        if stage.state != "connected":
            break
    assert key == limits.MAX_REPLICA // (60_000 + limits.OVERHEAD)


def test_a_bomb_is_a_protocol_error() -> None:
    stage = on_stage()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(b"\0" * 1_000_000) + packer.flush()
    frame = {"type": "data", "kind": "event", "compressed": True, "urgent": False, "more": False}
    stage.hear({**frame, "room": 7, "position": 1, "tick": 1, "body": body.hex()})
    assert isinstance(stage.all(TickwireError)[0], ProtocolError)


def test_pings_that_are_not_let_out_are_bounded() -> None:
    stage = on_stage()
    ping = {"type": "ping", "answer": False, "time": 5, "accepted": 0, "extensions": []}
    for _ in range(10 * limits.ANSWERS):
        stage.hear(ping)
        stage.session.output.take(100)
    assert stage.all(TickwireError) == []
    for _ in range(limits.ANSWERS + 1):
        stage.hear(ping)
    assert [error.kind for error in stage.all(TickwireError)] == ["protocol"]


def test_a_full_inbox_stops_reading_within_a_chunk() -> None:
    stage = on_stage()
    room = stage.session.rooms.get("r")
    queue: Queue[Event] = Queue()
    room.sinks.append(Filter(queue, Event))
    records = zlib.compressobj(9, zlib.DEFLATED, -15)
    plain = b"".join(b"\xe0\xd4\x03\x02" + b"\0" * 60_000 for _ in range(1))
    body = records.compress(plain) + records.flush()
    chunk = b""
    for position in range(1, 101):
        frame = {"type": "data", "kind": "event", "compressed": True, "urgent": False, "more": False}
        chunk += reference.encode_frame(
            {**frame, "room": 7, "position": position, "tick": 1, "body": body.hex()}, "server"
        )
    assert len(chunk) < 10_000
    before = stage.session.inbox.consumed
    stage.session.receive(stage.now, chunk)
    inbox = stage.session.inbox
    assert inbox.full
    assert len(queue.waiting) == limits.INBOX_BYTES // (60_000 + limits.OVERHEAD) + 1
    assert inbox.consumed == before  # Nothing was taken yet.
    stage.passes(3600)  # Who does not read does not call the server dead.
    assert stage.state == "connected"
    drained: List[bool] = []
    inbox.drained = lambda: drained.append(True)
    taken = 0
    while len(queue.waiting) or taken < 100:
        _, ticket = queue.waiting.popleft()
        assert ticket is not None
        ticket.release()
        taken += 1
        if not inbox.full:
            stage.session.step(stage.now)
    assert taken == 100
    assert drained
    assert inbox.pending == 0
    assert inbox.consumed == before + len(chunk)


def test_what_is_taken_of_the_last_connection_does_not_count() -> None:
    inbox = Inbox()
    queue: Queue[Event] = Queue()
    inbox.deliver([Filter(queue, Event)], [Event(1, b"x", 0, 1)], 50)
    inbox.restart()
    queue.close()
    assert (inbox.consumed, inbox.pending) == (0, 0)


def test_the_clock_believes_the_shortest_round_trip() -> None:
    clock = Clock()
    clock.welcome(1.0, 7, 5_000_000, 0)
    assert clock.server_time(1.0) == 5000.0
    assert clock.rtt is None
    # Asked at 1.0 s, heard at 1.1 s; the server had it for 20 ms.
    clock.sample(1.1, 1_000_000, 7, 5_040_000, 5_060_000)
    assert clock.rtt == pytest.approx(80.0)
    assert clock.server_time(1.1) == pytest.approx(5100.0)
    clock.sample(3.0, 2_000_000, 7, 9_000_000, 9_000_000)  # A slow one, which would be far off.
    assert clock.rtt == pytest.approx(1000.0)
    assert clock.server_time(3.0) == pytest.approx(7000.0)
    for number in range(8):  # Eight newer ones: the good one is forgotten.
        asked = 4_000_000 + number * 100_000
        clock.sample(asked / 1e6 + 0.2, asked, 7, asked + 4_050_000, asked + 4_050_000)
    assert clock.server_time(5.0) == pytest.approx(8950.0)
    assert clock.server_time(4.0) == pytest.approx(8950.0)  # Never backward.
    clock.sample(6.0, 6_000_000, 8, 50_000_000, 50_000_000)  # Another clock: the samples of the last one are void.
    assert clock.server_time(6.0) == pytest.approx(50_000.0)
    clock.welcome(7.0, 9, 1_000_000, 0)
    assert clock.server_time(7.0) == pytest.approx(1000.0)  # Another connection.


def test_ticks_are_extended_from_sixteen_bits() -> None:
    assert _extend(0x155C, 71_000) == 71_004
    assert _extend(0x0001, 0xFFFF) == 0x10001
    assert _extend(0xFFFF, 0x10001) == 0xFFFF
    assert _extend(0xFFFF, 0) == 0
    for tick in range(0, 1 << 20, 9_973):
        for away in (-32_000, 0, 32_000):
            if tick + away >= 0:
                assert _extend(tick & 0xFFFF, tick + away) == tick


def test_backoff_grows_and_has_bounds() -> None:
    backoff = Backoff(random.Random(3))
    for attempt in range(12):
        assert 0.5 <= backoff.next() <= min(20.0, 0.5 + 0.5 * 2**attempt)
    assert max(backoff.next() for _ in range(200)) == 20.0
    backoff.reset()
    assert backoff.next() <= 1.0
    assert all(10.0 <= backoff.later() <= 20.0 for _ in range(200))


def test_reasons_are_those_of_the_protocol() -> None:
    table = dict(
        re.findall(
            r"^\| (\d+) \| (?:both|closes|left|refuses)[^|]*\| (.+) \|$",
            (ROOT / "PROTOCOL.md").read_text("utf-8"),
            re.M,
        )
    )
    assert len(table) > 45
    for number, sentence in table.items():
        assert reasons.sentence(int(number)) == sentence
    assert reasons.sentence(777) == "Reason 777."
    for number, wanted in [(0, "retry"), (99, "retry"), (100, "later"), (199, "later"), (200, "stop"), (299, "stop")]:
        assert reasons.advice(number).value == wanted
    for number, wanted in [
        (300, "retry"),
        (900, "retry"),
        (930, "later"),
        (959, "later"),
        (960, "stop"),
        (1000, "retry"),
    ]:
        assert reasons.advice(number).value == wanted


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "a.!!!.c", "a.W10.c", "a.bnVsbA.c", "a.eyJleHAiOiJ4In0.c", "\ud800.\ud800.\ud800", "a.é.c"],
)
def test_a_token_that_cannot_be_read_is_not_renewed(token: str) -> None:
    assert expires(token) is None
    assert renew_in(token, 0.0) is None


def test_when_a_token_is_renewed() -> None:
    def made(claims: str) -> str:
        return "e30." + base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=") + ".x"

    assert renew_in(made('{"exp": 1000}'), 900.0) == 75.0
    assert renew_in(made('{"exp": 1000}'), 0.0) == 970.0
    assert renew_in(made('{"exp": 1000}'), 2000.0) == 0.5  # Not without end.
    assert expires(made('{"exp": 1e999}')) is None
    assert expires(made('{"exp": ' + "9" * 3000 + "}")) is None
    assert expires(made("[" * 2000)) is None


def test_targets() -> None:
    assert read("ws://host").url == "ws://host:7070/ws"
    assert read("wss://host:1/deep?token=x").url == "wss://host:1/deep?token=x"
    assert read("ws://[::1]:9/").url == "ws://[::1]:9/ws"
    assert read("tcp://host")[:4] == (False, False, "host", 7071)
    assert read("tls://host:5")[:4] == (False, True, "host", 5)
    for wrong in ("http://host", "ws://", "tcp://host/path", "host", "ws://host:99999"):
        with pytest.raises(ValueError):
            read(wrong)
    tls = read("tls://one:1")
    moved = tls.moved(b"two")
    assert moved is not None
    assert moved[:4] == (False, True, "two", 1)
    for wrong_address in (b"ws://evil", b"", b"\xff", b"a b/c", b"two:x", b"user@two"):
        assert tls.moved(wrong_address) is None


def test_texts_of_a_server_are_safe_to_print() -> None:
    assert escaped(b"\x1b[31mred\x00\n") == "\\x1b[31mred\\x00\\n"
    assert escaped("grün \u202e".encode()) == "grün \\u202e"
    assert len(escaped(b"\xff" * 10_000)) == 256


def test_interpolation() -> None:
    shown: Interpolator[float] = Interpolator(100.0)
    assert shown.at(0) is None
    shown.add(1000.0, 10.0)
    assert shown.at(0) == 10.0
    shown.add(1050.0, 20.0)
    shown.add(1050.0, 99.0)
    assert shown.at(1125.0) == pytest.approx(15.0)
    assert shown.at(1100.0) == pytest.approx(10.0)
    assert shown.at(5000.0) == 20.0
    pairs = Interpolator(0.0, lambda a, b, f: (a[0] + (b[0] - a[0]) * f, b[1]), keep=2)
    for time in range(5):
        pairs.add(time, (time * 10.0, "x"))
    assert pairs.at(3.5) == (35.0, "x")
    assert pairs.at(0.0) == (30.0, "x")
    with pytest.raises(ValueError, match="two samples"):
        Interpolator(-1.0)


def test_whatever_a_server_sends_a_session_raises_nothing() -> None:
    """Thousands of damaged conversations: every one goes on, or ends in a state that the client tells."""
    chance = random.Random(11)
    stage = on_stage()
    told = ended = 0
    script = _script()
    for _ in range(3000):
        stage = on_stage()
        stage.publish(b"mine")
        data = bytearray(b"".join(chance.choice(script) for _ in range(chance.randint(1, 6))))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(data))
            action = chance.randrange(3)
            if action == 0:
                data[at] = chance.randrange(256)
            elif action == 1 and len(data) > 1:
                del data[at]
            else:
                data[at] ^= 1 << chance.randrange(8)
        stage.session.receive(stage.now, bytes(data))
        stage.passes(chance.random() * 30)
        told += bool(stage.all(TickwireError))
        ended += any(isinstance(action, Hangup) for action in stage.session.actions)
        assert stage.state in ("connected", "connecting", "closed")
    assert told > 300
    assert ended > 300


def test_a_frame_may_come_byte_by_byte() -> None:
    decoder = Decoder()
    frames = b"".join(_script())
    found = 0
    for index in range(len(frames)):
        decoder.feed(frames[index : index + 1])
        while decoder.next() is not None:
            found += 1
    assert found == len(_script())


def _script() -> List[bytes]:
    """What a server may say to the stage's client."""
    head = {"type": "data", "compressed": False, "urgent": False, "more": False, "room": 7, "position": 1, "tick": 3}
    control = {"type": "control", "request": 0, "extensions": []}
    records = [{"member": 2, "key": 2, "payload": "6869"}, {"member": 3, "key": 5, "payload": ""}]
    plain = [{"member": 2, "payload": "6869"}]
    presence = [{"member": 2, "payload": "0103616e6e"}, {"member": 2, "payload": "02"}]
    frames = [
        {**head, "kind": "event", "records": plain},
        {**head, "kind": "event", "more": True, "records": plain},
        {**head, "kind": "value", "records": records},
        {**head, "kind": "snapshot", "records": records},
        {**head, "kind": "snapshot", "more": True, "records": records},
        {**head, "kind": "members", "records": presence},
        {**head, "kind": "presence", "records": presence},
        {**head, "kind": "direct", "records": records},
        {**head, "kind": "event", "compressed": True, "body": "4b040000"},
        {**control, "command": "left", "handle": 1, "reason": 7},
        {**control, "command": "refused", "number": 1, "reason": 105},
        {**control, "command": "refused", "request": 2, "number": 0, "reason": 240},
        {**control, "command": "close", "reason": 1, "extensions": [[2, "68"], [4, "01"], [6, "61"]]},
        {**control, "command": "going_away", "reconnect": 5, "closes": 10},
        {**control, "command": "gap", "room": 7, "epoch": EPOCH, "from": 1, "to": 0},
        {**control, "command": "done"},
        {**control, "command": "page", "handle": 1, "position": 0, "next": 0, "records": "02010100"},
        {**control, "command": "accepted", "number": 1},
        {"type": "ping", "answer": False, "time": 5, "accepted": 0, "extensions": []},
        {
            "type": "ping",
            "answer": True,
            "time": 10**9,
            "clock": 7,
            "received": 5,
            "sent": 6,
            "accepted": 0,
            "extensions": [],
        },
    ]
    return [reference.encode_frame(frame, "server") for frame in frames]


def test_values_are_shown_with_their_scope() -> None:
    stage = on_stage()
    stage.data("value", [((2, 6), b"mine"), ((2, 7), b"ours")], position=0)
    assert [(v.key, v.shared, v.payload) for v in stage.of(Value)] == [(3, False, b"mine"), (3, True, b"ours")]

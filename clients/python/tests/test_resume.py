"""Coming back to a session and its rooms: what broke off, what was left meanwhile, what was refused (PROTOCOL 12)."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from stage import EPOCH, Hangup, Open, Stage

from tickwire import (
    DirectsLost,
    Event,
    Outcome,
    ProtocolError,
    RefusedError,
    TickwireError,
    Unconfirmed,
)
from tickwire.codec import DIRECT
from tickwire.items import Direct
from tickwire.queue import Message, Policy
from tickwire.refusals import Refusals


def joined_stage() -> Stage:
    """Joined to the room "r" with handle 1, whose number is 7."""
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    stage.sent()
    return stage


def come_back(stage: Stage, **welcome: Any) -> List[Dict[str, Any]]:
    """The connection breaks, and the session goes on; returns what was said before WELCOME."""
    stage.broken()
    stage.passes(1.6)  # The longest wait after two cuts in a row.
    stage.action(Hangup)
    return stage.open(**{"flags": 1, **welcome})


def payloads(stage: Stage) -> List[bytes]:
    """Those of all events so far."""
    return [event.payload for event in stage.of(Event)]


def gap(stage: Stage, first: int, last: int, epoch: str = EPOCH) -> None:
    stage.says("gap", room=7, epoch=epoch, **{"from": first, "to": last})


# A gap, and a batch that broke off (PROTOCOL 6.10).


def test_a_gap_in_which_nothing_is_lost_forgets_nothing_of_what_was_shown() -> None:
    stage = joined_stage()
    stage.data("event", [(2, b"1")], more=True)
    come_back(stage)
    stage.joined(outcome=1)
    gap(stage, 1, 0)
    stage.data("event", [(2, b"1")], more=True)
    gap(stage, 1, 0)
    stage.data("event", [(2, b"2")])
    assert payloads(stage) == [b"1", b"2"]
    assert [outcome.kind for outcome in stage.of(Outcome)] == ["snapshot", "recovered", "snapshot", "snapshot"]


def test_a_gap_over_a_batch_that_was_shown_in_part_shows_the_next_one_whole() -> None:
    stage = joined_stage()
    stage.data("event", [(2, b"1")], more=True)
    gap(stage, 1, 4)
    stage.data("event", [(2, b"5")], position=5)
    assert payloads(stage) == [b"1", b"5"]
    assert stage.of(Outcome)[-1] == Outcome("gap", 1, 4)


@pytest.mark.parametrize(
    ("first", "last", "epoch"),
    [(1, 0, EPOCH), (1, 1, EPOCH), (3, 4, EPOCH), (2, 0, EPOCH), (0, 4, EPOCH), (2, 3, "ff" * 8)],
)
def test_a_gap_that_does_not_follow_is_a_protocol_error(first: int, last: int, epoch: str) -> None:
    stage = joined_stage()
    stage.data("event", [(2, b"1")])
    gap(stage, first, last, epoch)
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]
    assert stage.state == "connecting"
    assert [outcome.kind for outcome in stage.of(Outcome)] == ["snapshot"]


# Rooms that are left and joined again (PROTOCOL 6.6, SPEC 4).


def told(frames: List[Dict[str, Any]]) -> List[Any]:
    """JOIN and LEAVE with their handles, HELLO by its name, data by handle and payload."""
    what: List[Any] = []
    for frame in frames:
        if frame["type"] == "data":
            what.append((frame["handle"], bytes.fromhex(frame["payload"])))
        elif frame["command"] in ("join", "leave"):
            what.append((frame["command"], frame["handle"]))
        else:
            what.append(frame["command"])
    return what


def test_a_room_left_and_joined_again_before_a_cut_is_left_before_it_is_joined() -> None:
    stage = joined_stage()
    stage.session.leave("r")
    room = stage.join()
    assert told(stage.sent()) == [("leave", 1), ("join", 2)]
    assert told(come_back(stage)) == ["hello"]
    said = stage.sent()
    assert told(said) == [("leave", 1), ("join", 2)]
    # Whether the LEAVE had arrived before the cut or not: both answers do.
    stage.says("refused", request=said[0]["request"], number=0, reason=232)
    stage.joined(request=said[1]["request"], handle=2)
    assert room.state.value == "joined"
    assert stage.all(TickwireError) == []


def test_where_the_session_is_a_new_one_it_is_joined_and_nothing_is_left() -> None:
    stage = joined_stage()
    stage.session.leave("r")
    stage.join()
    stage.sent()
    assert told(come_back(stage, flags=0)) == ["hello"]
    assert told(stage.sent()) == [("join", 2)]


def test_where_no_session_can_go_on_it_is_joined_behind_hello() -> None:
    stage = Stage()
    stage.join()
    stage.start(extensions=[])
    stage.joined()
    stage.session.leave("r")
    stage.join()
    stage.sent()
    assert told(come_back(stage, flags=0)) == ["hello", ("join", 2)]
    assert told(stage.sent()) == []


def test_a_room_left_and_joined_again_before_welcome_takes_another_handle() -> None:
    stage = Stage()
    stage.join(mode=1)
    stage.session.connect(stage.now)
    stage.action(Open)
    stage.session.opened(stage.now, False)
    assert told(stage.sent()) == ["hello", ("join", 1)]
    stage.session.leave("r")
    room = stage.session.join("r", 3, True, b"new", b"")
    stage.welcome()
    said = stage.sent()
    assert told(said) == [("leave", 1), ("join", 2)]
    assert (said[1]["mode"], said[1]["extensions"]) == (3, [[2, b"new".hex()]])
    stage.joined(request=2, handle=1, mode=1)
    assert room.state.value == "joining"
    stage.says("left", request=said[0]["request"], handle=1, reason=200)
    stage.joined(request=said[1]["request"], handle=2)
    assert (room.state.value, room.granted) == ("joined", 3)


def test_messages_to_a_room_that_was_left_while_away_are_sent_before_it_is_left() -> None:
    stage = joined_stage()
    stage.join("s")
    stage.joined(handle=2, room=8)
    stage.publish(b"1")
    stage.publish(b"2", room="s")
    stage.publish(b"3")
    stage.broken()
    assert stage.session.leave("r") == 0
    stage.passes(1.1)
    stage.action(Hangup)
    assert told(stage.open(flags=1, accepted=0)) == ["hello", ("join", 2)]
    assert told(stage.sent()) == [(1, b"1"), (2, b"2"), (1, b"3"), ("leave", 1)]
    assert stage.all(Unconfirmed) == []
    stage.says("refused", number=3, reason=106)
    assert [(error.room, error.number) for error in stage.all(RefusedError)] == [("r", 3)]


def test_messages_on_a_handle_that_is_not_the_rooms_last_are_sent_on_it() -> None:
    stage = joined_stage()
    stage.publish(b"1")
    stage.session.leave("r")
    stage.join()
    stage.sent()
    assert told(come_back(stage)) == ["hello"]
    assert told(stage.sent()) == [(1, b"1"), ("leave", 1), ("join", 2)]


def test_messages_to_a_room_that_was_left_are_unconfirmed_where_the_session_is_a_new_one() -> None:
    stage = joined_stage()
    stage.publish(b"1")
    stage.broken()
    stage.session.leave("r")
    stage.passes(1.1)
    stage.action(Hangup)
    assert told(stage.open(flags=0)) == ["hello"]
    assert [message.payload for told in stage.all(Unconfirmed) for message in told.messages] == [b"1"]
    assert told(stage.sent()) == []


# Refusals that are told again (PROTOCOL 12.2).


def refused(stage: Stage) -> List[Any]:
    return [(error.room, error.number, error.reason) for error in stage.all(RefusedError)]


def answer(stage: Stage, accepted: int) -> None:
    """The server answers a ping."""
    asked = stage.session._pulse._open[-1]
    frame = {"type": "ping", "answer": True, "time": asked, "clock": 7, "received": 0, "sent": 0, "accepted": accepted}
    stage.hear({**frame, "extensions": []})


def test_a_refusal_that_was_heard_is_not_told_again_and_a_lost_one_names_its_message() -> None:
    stage = joined_stage()
    for payload in (b"1", b"2", b"3"):
        stage.publish(payload)
    stage.says("refused", number=1, reason=106)
    assert told(come_back(stage, accepted=2)) == ["hello", ("join", 1)]
    assert told(stage.sent()) == [(1, b"3")]
    stage.says("refused", number=1, reason=106)
    stage.says("refused", number=2, reason=105)
    answer(stage, 3)
    # That of a room which had it before it a moment longer.
    stage.says("refused", number=2, reason=105)
    assert refused(stage) == [("r", 1, 106), ("r", 2, 105)]


def test_a_refusal_by_a_room_may_come_behind_the_first_answer_and_over_two_cuts() -> None:
    stage = joined_stage()
    for payload in (b"1", b"2"):
        stage.publish(payload)
    come_back(stage, accepted=1)
    come_back(stage, accepted=2)
    answer(stage, 2)
    stage.says("refused", number=1, reason=106)
    assert refused(stage) == [("r", 1, 106)]
    # What is long accepted is not kept.
    stage.passes(0.6)
    answer(stage, 2)
    stage.says("refused", number=2, reason=106)
    assert refused(stage)[-1] == ("a message", 0, 106)


def test_in_a_new_session_the_numbers_begin_anew() -> None:
    stage = joined_stage()
    stage.publish(b"1")
    stage.says("refused", number=1, reason=106)
    come_back(stage, flags=0)
    stage.joined(epoch="ff" * 8, outcome=2)
    stage.publish(b"2")
    stage.says("refused", number=1, reason=106)
    assert refused(stage) == [("r", 1, 106), ("r", 2, 106)]


def test_a_number_that_is_given_anew_may_be_refused_anew() -> None:
    stage = joined_stage()
    for payload in (b"1", b"2"):
        stage.publish(payload)
    stage.says("refused", number=2, reason=106)
    come_back(stage, accepted=0)
    stage.joined(outcome=1)
    stage.publish(b"3")
    stage.says("refused", number=2, reason=105)
    assert refused(stage) == [("r", 2, 106), ("r", 3, 105)]


def test_what_is_remembered_of_refusals_is_bounded() -> None:
    refusals = Refusals()
    for number in range(1, 5000):
        assert refusals.hear(number)
        refusals.doubt(number, Message(number, "r", DIRECT, 2, b"x" * 1000, Policy.RELIABLE, False))
    assert (len(refusals._heard), len(refusals._directs)) == (1024, 256)
    assert refusals._resumed_bytes == 1000 * len(refusals._resumed) == 1000 * (1024 * 1024 // 1000)
    assert not refusals.hear(4999)


# Directs of a room whose JOINED was lost (PROTOCOL 8.6 and 12.2).


def without_joined(*names: str) -> Tuple[Stage, Dict[int, int]]:
    """Comes back to a session whose rooms were joined, and that has heard of none of it but of "known", room 7.

    Returns the numbers of its JOINs too, by handle.
    """
    stage = Stage()
    stage.join("known")
    for name in names:
        stage.join(name)
    stage.start()
    stage.joined()
    said = come_back(stage)
    stage.sent()
    return stage, {frame["handle"]: frame["request"] for frame in said if frame["command"] == "join"}


def direct(stage: Stage, number: int, room: int, *texts: bytes) -> None:
    stage.data("direct", [((2, 0), text) for text in texts], position=number, room=room)


def directs(stage: Stage) -> List[bytes]:
    return [direct.payload for direct in stage.of(Direct)]


def test_a_direct_of_a_room_whose_joined_was_lost_waits_for_it() -> None:
    stage, asked = without_joined("lost")
    direct(stage, 1, 8, b"1", b"2")
    direct(stage, 3, 7, b"3")
    assert directs(stage) == []
    assert stage.session._arrivals.directs == 0
    stage.joined(request=asked[1], outcome=1)
    assert directs(stage) == []
    stage.joined(request=asked[2], handle=2, room=8)
    assert directs(stage) == [b"1", b"2", b"3"]
    assert stage.session._arrivals.directs == 3
    direct(stage, 4, 8, b"4")
    assert directs(stage)[-1] == b"4"
    assert stage.all(TickwireError) == []
    # Everything that came is taken.
    assert stage.session.inbox.consumed > 0
    assert stage.session.inbox.pending == 0


def test_directs_that_wait_come_again_after_another_cut_and_are_shown_once() -> None:
    stage, _ = without_joined("lost")
    direct(stage, 1, 8, b"1")
    direct(stage, 2, 7, b"2")
    said = come_back(stage)
    assert said[0]["extensions"] == [[4, (b"\x06resume" + b"\x00").hex()]]
    direct(stage, 1, 8, b"1")
    direct(stage, 2, 7, b"2")
    joins = [frame for frame in said if frame["command"] == "join"]
    stage.joined(request=joins[1]["request"], handle=2, room=8)
    assert directs(stage) == [b"1", b"2"]


@pytest.mark.parametrize("reason", [107, 240])
def test_directs_of_a_room_that_is_refused_are_told_as_lost(reason: int) -> None:
    stage, asked = without_joined("lost")
    direct(stage, 1, 8, b"1", b"2")
    direct(stage, 3, 7, b"3")
    stage.says("refused", request=asked[2], number=0, reason=reason)
    # It may still be joined later (107): until then nobody can say whose its directs are.
    if reason == 107:
        direct(stage, 4, 8, b"4")
        assert stage.all(DirectsLost) == [DirectsLost(1, 2), DirectsLost(4, 4)]
    else:
        assert stage.all(DirectsLost) == [DirectsLost(1, 2)]
    assert directs(stage) == [b"3"]
    assert stage.state == "connected"


def test_directs_of_a_room_that_was_left_without_its_number_do_not_end_the_session() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.broken()
    stage.session.leave("r")
    stage.passes(1.1)
    stage.action(Hangup)
    stage.open(flags=1)
    asked = stage.sent()
    direct(stage, 1, 8, b"1")
    stage.says("left", request=asked[0]["request"], handle=1, reason=200)
    assert directs(stage) == []
    assert stage.state == "connected"
    assert stage.all(TickwireError) == []


def test_what_nobody_joined_stays_a_protocol_error() -> None:
    stage, _ = without_joined()
    direct(stage, 1, 8, b"1")
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]
    stage, _ = without_joined("lost")
    stage.data("event", [(2, b"x")], room=8)
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]
    stage = Stage()
    stage.join()
    stage.start()
    direct(stage, 1, 8, b"1")
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]


def test_directs_that_wait_are_bounded_and_what_goes_is_told() -> None:
    for texts in ([b"x"] * 300, [b"x" * 8000] * 100):
        stage, asked = without_joined("lost")
        for number, text in enumerate(texts, 1):
            direct(stage, number, 8, text)
        arrivals = stage.session._arrivals
        assert len(arrivals._held) <= 256
        assert arrivals._held_bytes <= 256 * 1024
        lost = len(texts) - len(arrivals._held)
        assert stage.all(DirectsLost) == [DirectsLost(number, number) for number in range(1, lost + 1)]
        stage.joined(request=asked[2], handle=2, room=8)
        assert len(directs(stage)) == len(texts) - lost
        assert arrivals._held_bytes == 0

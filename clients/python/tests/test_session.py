"""The session with a fake clock: coming back, resending, tokens, reasons, liveness."""

from __future__ import annotations

import base64
import json
from typing import List, Optional

import pytest
from stage import EPOCH, AskToken, Hangup, Open, Stage, decoded

from tickwire import (
    ClosedError,
    ConnectError,
    DirectsLost,
    Event,
    Outcome,
    ProtocolError,
    QueueFullError,
    RefusedError,
    StateChange,
    TickwireError,
    TokenError,
    TooLargeError,
    Unconfirmed,
    VersionError,
)
from tickwire.items import Direct
from tickwire.queue import Policy


def made_token(exp: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


def states(stage: Stage) -> List[str]:
    return [change.after.value for change in stage.all(StateChange)]


def test_hello_and_joins_leave_in_one_chunk() -> None:
    stage = Stage()
    stage.join()
    said = stage.start()
    assert [frame["command"] for frame in said] == ["hello", "join"]
    assert said[0]["capabilities"] == 0x7F
    assert said[1]["name"] == b"r".hex()
    stage.joined()
    assert states(stage) == ["connecting", "connected"]
    assert stage.of(Outcome) == [Outcome("snapshot")]


def test_a_resumed_session_sends_exactly_what_was_not_accepted() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    numbers = [stage.publish(payload) for payload in (b"1", b"2", b"3")]
    assert numbers == [1, 2, 3]
    stage.data("event", [(2, b"x")])
    stage.broken()
    assert stage.state == "connecting"
    stage.publish(b"4")
    stage.passes(1.1)
    stage.action(Hangup)
    said = stage.open(flags=1, accepted=1)
    assert said[0]["extensions"] == [[4, (b"\x06resume" + b"\x00").hex()]]
    # Since: the epoch, and the last complete position.
    assert said[1]["handle"] == 1
    assert said[1]["extensions"] == [[4, EPOCH + "01"]]
    resent = [bytes.fromhex(frame["payload"]) for frame in stage.sent() if frame["type"] == "data"]
    assert resent == [b"2", b"3"]
    assert stage.session.outbox.sent == 3
    stage.joined(outcome=1, position=1)
    later = [bytes.fromhex(frame["payload"]) for frame in stage.sent() if frame["type"] == "data"]
    assert later == [b"4"]
    assert stage.all(Unconfirmed) == []
    assert stage.of(Outcome)[-1] == Outcome("recovered")


def test_a_new_session_hands_over_what_nobody_knows() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    for payload in (b"1", b"2", b"3"):
        stage.publish(payload)
    stage.says("accepted", number=1)
    stage.broken()
    stage.publish(b"4")
    stage.passes(1.1)
    stage.action(Hangup)
    stage.open(extensions=[])
    assert [message.payload for told in stage.all(Unconfirmed) for message in told.messages] == [b"2", b"3"]
    stage.sent()
    stage.joined(outcome=2, epoch="ff" * 8)
    assert [frame["payload"] for frame in stage.sent() if frame["type"] == "data"] == [b"4".hex()]
    assert stage.of(Outcome)[-1] == Outcome("snapshot")


def test_a_batch_that_broke_off_is_shown_from_there() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    stage.data("event", [(2, b"a"), (2, b"b")], more=True)
    stage.broken()
    stage.passes(1.1)
    stage.action(Hangup)
    said = stage.open(flags=1)
    assert said[1]["extensions"] == [[4, EPOCH + "00"]]
    stage.joined(outcome=1)
    # The same batch, cut into frames in another way.
    stage.data("event", [(2, b"a")], more=True)
    stage.data("event", [(2, b"b"), (2, b"c")])
    stage.data("event", [(2, b"d")], position=2)
    assert [event.payload for event in stage.of(Event)] == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize("position", [0, 2, 3])
def test_a_position_that_must_not_come_is_a_protocol_error(position: int) -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    stage.data("event", [(2, b"a")], position=position)
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]
    hangup = stage.action(Hangup)
    assert hangup.politely
    assert decoded(hangup.last.take(2**31))[-1] == {
        "type": "control",
        "command": "close",
        "request": 0,
        "reason": 201,
        "extensions": [],
    }
    assert stage.state == "connecting"
    assert stage.of(Event) == []


def test_own_messages_are_hidden_also_in_a_replay_under_another_number() -> None:
    stage = Stage()
    stage.join(echo=False)
    stage.start()
    stage.joined(member=5)
    stage.data("event", [(5, b"mine"), (0, b"room"), (2, b"theirs")])
    stage.broken()
    stage.passes(1.1)
    stage.action(Hangup)
    stage.open()
    stage.joined(member=9, outcome=1, position=1)
    stage.data("event", [(5, b"mine too"), (0, b"room too")], position=2)
    stage.data("snapshot", [], position=2)
    stage.data("event", [(5, b"another's now"), (9, b"mine again")], position=3)
    assert [event.payload for event in stage.of(Event)] == [b"room", b"theirs", b"room too", b"another's now"]


def test_directs_that_come_again_are_shown_once() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    stage.data("direct", [((2, 0), b"1"), ((2, 0), b"2")], position=1)
    stage.broken()
    stage.passes(1.1)
    stage.action(Hangup)
    said = stage.open(flags=1, extensions=[[2, "aa"], [6, "0304"]])
    assert said[0]["extensions"] == [[4, (b"\x06resume\x02").hex()]]
    assert stage.all(DirectsLost) == [DirectsLost(3, 4)]
    # Their room's number stays, and they come before its JOINED.
    stage.data("direct", [((2, 0), b"2"), ((2, 0), b"3"), ((2, 0), b"4"), ((2, 7), b"5")], position=2)
    assert [direct.payload for direct in stage.of(Direct)] == [b"1", b"2", b"5"]
    assert stage.of(Direct)[-1].answers == 7


def test_a_silent_server_is_left_and_a_late_timer_asks_first() -> None:
    stage = Stage()
    stage.start(ping=2000)
    stage.sent()
    stage.passes(8.9)
    assert stage.state == "connected"
    stage.passes(0.2)
    assert stage.state == "connecting"
    assert not stage.action(Hangup).politely  # Without a goodbye, so that the session waits.

    stage = Stage()
    stage.start(ping=2000)
    stage.sent()
    before = len(stage.session.output.take(2**20))
    assert before == 0
    stage.now += 600  # The machine slept.
    stage.session.wake(stage.now)
    assert stage.state == "connected"
    assert stage.session.output.size > 0
    stage.passes(4.9)
    assert stage.state == "connected"
    stage.passes(0.2)
    assert stage.state == "connecting"


def test_pings_four_times_in_two_seconds_then_every_ten() -> None:
    stage = Stage()
    stage.start()
    times = []
    for _ in range(6):
        deadline = stage.session.deadline()
        assert deadline is not None
        if stage.session.output.take(2**20):
            times.append(round(stage.now - 1000.0, 3))
        stage.session._pulse.heard(deadline)
        stage.now = deadline
        stage.session.wake(stage.now)
    assert times[:5] == [0.0, 0.5, 1.0, 1.5, 11.5]


def test_going_away_is_obeyed_to_the_millisecond() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    stage.data("event", [(2, b"before")])
    stage.says("going_away", reconnect=3725, closes=10_000)
    hangup = stage.action(Hangup)
    assert [frame["reason"] for frame in decoded(hangup.last.take(2**31)) if frame.get("command") == "close"] == [200]
    assert stage.state == "connecting"
    stage.passes(3.724)
    assert stage.session.actions == []
    stage.passes(0.002)
    stage.action(Open)


def test_what_is_refused_because_the_server_goes_is_sent_to_the_next() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    for payload in (b"1", b"2", b"3"):
        stage.publish(payload)
    stage.publish(b"dropped", Policy.DROP)
    stage.says("going_away", reconnect=1000, closes=10_000)
    assert stage.session.actions == []  # It waits for what was accepted.
    stage.publish(b"4")
    for number in (2, 3, 4):
        stage.says("refused", number=number, reason=100)
    asked = stage.session._pulse._open[-1]
    answer = {"type": "ping", "answer": True, "time": asked, "clock": 7, "received": 0, "sent": 0, "accepted": 4}
    stage.hear({**answer, "extensions": []})
    stage.action(Hangup)
    stage.passes(1.1)
    stage.open(extensions=[])
    stage.joined(epoch="ff" * 8, outcome=2)
    payloads = [bytes.fromhex(frame["payload"]) for frame in stage.sent() if frame["type"] == "data"]
    assert payloads == [b"2", b"3", b"4"]
    assert stage.all(Unconfirmed) == []
    refused = stage.all(RefusedError)
    assert [(error.number, error.reason) for error in refused] == [(4, 100)]


def test_a_message_that_is_refused_is_told_by_its_own_number() -> None:
    stage = Stage()
    stage.join()
    stage.publish(b"first")
    stage.start()
    stage.set(1, b"x")
    stage.joined()
    stage.says("refused", number=2, reason=106)
    error = stage.all(RefusedError)[0]
    assert (error.room, error.reason, error.number, error.kind) == ("r", 106, 2, "refused")


def test_no_token_means_closed() -> None:
    stage = Stage(ask=True)
    stage.session.connect(stage.now)
    stage.session.token_is(stage.now, stage.action(AskToken).number, None)
    assert stage.state == "closed"
    assert stage.all(StateChange)[-1].reason == 241
    with pytest.raises(ClosedError):
        stage.join()


def test_an_expired_token_is_replaced_once() -> None:
    stage = Stage(ask=True)
    stage.session.connect(stage.now)
    for attempt in range(2):
        stage.session.token_is(stage.now, stage.action(AskToken).number, made_token(5))
        stage.action(Open)
        stage.session.opened(stage.now, False)
        assert stage.sent()[0]["extensions"] == [[1, made_token(5).encode().hex()]]
        stage.says("close", reason=242)
        stage.action(Hangup)
        if attempt == 0:
            stage.passes(0)
    assert stage.state == "closed"
    assert stage.all(StateChange)[-1].reason == 242


def test_a_callback_that_fails_is_an_attempt_that_failed() -> None:
    stage = Stage(ask=True)
    stage.session.connect(stage.now)
    first = stage.action(AskToken).number
    stage.session.token_failed(stage.now, first, "no")
    assert [error.kind for error in stage.all(TickwireError)] == ["token"]
    assert stage.state == "connecting"
    stage.passes(0.49)
    assert stage.session.actions == []
    stage.passes(0.6)
    again = stage.action(AskToken).number
    stage.session.token_is(stage.now, first, "late")  # An answer to what is not asked any more.
    assert stage.session.actions == []
    stage.session.token_is(stage.now, again, "x" * 4001)
    assert len(stage.all(TokenError)) == 2


def test_a_token_is_renewed_before_it_expires() -> None:
    wall = 10**15 // 10**6  # Seconds since 1970, as WELCOME tells it.
    stage = Stage(ask=True)
    stage.session.connect(stage.now)
    stage.session.token_is(stage.now, stage.action(AskToken).number, made_token(wall + 40))
    stage.open(ping=600_000)
    stage.sent()
    stage.passes(29.9)
    assert stage.session.actions == []
    stage.passes(0.2)  # A quarter of forty seconds before the end.
    stage.session.token_is(stage.now, stage.action(AskToken).number, made_token(wall + 1000))
    said = [frame for frame in stage.sent() if frame.get("command") == "token"]
    assert said[0]["token"] == made_token(wall + 1000).encode().hex()
    stage.says("refused", request=said[0]["request"], number=0, reason=110)
    assert [error.kind for error in stage.all(TickwireError)] == ["token"]
    stage.passes(1.1)
    stage.session.token_is(stage.now, stage.action(AskToken).number, made_token(wall + 1000))
    said = [frame for frame in stage.sent() if frame.get("command") == "token"]
    stage.says("done", request=said[0]["request"])
    stage.passes(60)
    assert stage.session.actions == []
    assert states(stage) == ["connecting", "connected"]


@pytest.mark.parametrize(
    ("reason", "state", "least", "most"),
    [
        (1, "connecting", 0.5, 1.0),
        (905, "connecting", 0.5, 1.0),
        (5000, "connecting", 0.5, 1.0),
        (101, "connecting", 10.0, 20.0),
        (931, "connecting", 10.0, 20.0),
        (201, "closed", None, None),
        (243, "closed", None, None),
        (960, "closed", None, None),
    ],
)
def test_what_a_reason_makes_a_client_do(
    reason: int, state: str, least: Optional[float], most: Optional[float]
) -> None:
    stage = Stage()
    stage.start()
    stage.says("close", reason=reason)
    assert stage.state == state
    assert stage.all(StateChange)[-1].reason == reason
    stage.action(Hangup)
    if least is not None and most is not None:
        stage.passes(least - 0.01)
        assert stage.session.actions == []
        stage.passes(most - least + 0.02)
        stage.action(Open)


def test_later_means_the_time_and_the_address_that_were_told_until_it_fails() -> None:
    stage = Stage("wss://one/ws")
    stage.session.connect(stage.now)
    assert stage.action(Open).target.url == "wss://one:7070/ws"
    stage.session.opened(stage.now, True)
    stage.says("close", reason=108, extensions=[[4, "a006"], [6, b"two:7443".hex()]])
    stage.action(Hangup)
    stage.passes(0.799)
    assert stage.session.actions == []
    stage.passes(0.002)
    assert stage.action(Open).target.url == "wss://two:7443/ws"
    stage.broken()
    stage.action(Hangup)
    stage.passes(2)
    assert stage.action(Open).target.url == "wss://one:7070/ws"
    # Nobody takes TLS away by an address.
    stage.session.opened(stage.now, True)
    stage.says("close", reason=108, extensions=[[4, "00"], [6, b"ws://evil/ws".hex()]])
    stage.action(Hangup)
    stage.passes(0)
    assert stage.action(Open).target.url == "wss://one:7070/ws"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_http_answers_that_say_later(status: int) -> None:
    stage = Stage("ws://one")
    stage.session.connect(stage.now)
    stage.action(Open)
    stage.broken(status=status, retry_after=7.0)
    stage.action(Hangup)
    assert [error.status for error in stage.all(ConnectError)] == [status]
    stage.passes(6.9)
    assert stage.session.actions == []
    stage.passes(0.2)
    stage.action(Open)


def test_http_answers_that_say_never() -> None:
    stage = Stage("ws://one")
    stage.session.connect(stage.now)
    stage.broken(status=404)
    assert stage.state == "closed"
    assert stage.all(StateChange)[-1].reason == 0
    assert stage.all(ConnectError)[0].status == 404


def test_something_else_answers() -> None:
    stage = Stage()
    stage.session.connect(stage.now)
    stage.session.opened(stage.now, False)
    stage.session.receive(stage.now, b"HTTP/1.1 400 Bad Request\r\n")
    assert stage.state == "closed"
    assert [type(error) for error in stage.all(TickwireError)] == [VersionError]


def test_a_websocket_close_code_counts_where_no_close_came() -> None:
    stage = Stage("ws://one")
    stage.start()
    stage.broken(close=4243)
    assert stage.state == "closed"
    assert stage.all(StateChange)[-1].reason == 243
    stage = Stage("ws://one")
    stage.start()
    stage.broken(close=1006)
    assert stage.state == "connecting"


def test_an_attempt_without_welcome_fails_after_ten_seconds() -> None:
    stage = Stage()
    stage.session.connect(stage.now)
    stage.action(Open)
    stage.session.opened(stage.now, False)
    stage.passes(9.9)
    assert stage.session.actions == []
    stage.passes(0.2)
    stage.action(Hangup)
    assert [error.kind for error in stage.all(TickwireError)] == ["connect"]


def test_leaving_a_room_that_is_joining_wins() -> None:
    stage = Stage()
    room = stage.join()
    stage.start()
    stage.session.leave("r")
    assert [frame["command"] for frame in stage.sent()] == ["leave"]
    stage.joined()
    stage.data("event", [(2, b"unseen")])
    assert room.state.value == "left"
    assert stage.items == []
    stage.says("left", request=3, handle=1, reason=200)
    assert stage.all(TickwireError) == []
    # Behind LEFT nothing may come.
    stage.data("event", [(2, b"unseen")])
    assert [error.kind for error in stage.all(TickwireError)] == ["protocol"]


def test_a_room_left_and_joined_while_away_keeps_its_handle_and_begins_anew() -> None:
    stage = Stage()
    stage.join()
    stage.join("s")
    stage.start()
    stage.joined()
    stage.joined(handle=2, room=8)
    stage.broken()
    stage.session.leave("r")
    stage.session.leave("s")
    stage.join("r")
    stage.passes(1.1)
    stage.action(Hangup)
    said = stage.open(flags=1)
    joins = [frame for frame in said if frame["command"] == "join"]
    assert [(frame["handle"], frame["extensions"]) for frame in joins] == [(1, [])]
    assert [(frame["command"], frame["handle"]) for frame in stage.sent()] == [("leave", 2)]


def test_a_refused_join_is_tried_again_or_given_up() -> None:
    stage = Stage()
    room = stage.join()
    stage.start()
    stage.says("refused", request=2, number=0, reason=107, extensions=[[4, "e807"]])
    assert room.state.value == "joining"
    stage.sent()
    stage.passes(0.99)
    assert [frame for frame in stage.sent() if frame.get("command") == "join"] == []
    stage.passes(0.02)
    again = [frame for frame in stage.sent() if frame.get("command") == "join"]
    stage.says("refused", request=again[0]["request"], number=0, reason=240)
    assert room.state.value == "left"
    assert [error.reason for error in stage.all(RefusedError)] == [107, 240]
    with pytest.raises(ClosedError):
        stage.publish(b"x")


def test_a_list_of_members_that_is_too_long_is_joined_without() -> None:
    stage = Stage()
    room = stage.join(mode=7)
    stage.start()
    stage.says("refused", request=2, number=0, reason=223)
    again = [frame for frame in stage.sent() if frame.get("command") == "join"]
    assert again[0]["mode"] == 3
    stage.joined(request=again[0]["request"])
    got: List[object] = []
    stage.session.rooms.page("r", 0, got.append)
    asked = [frame for frame in stage.sent() if frame.get("command") == "members"]
    # As in PROTOCOL 16.12.
    stage.says("page", request=asked[0]["request"], handle=1, position=0, next=2, records="0201010006020100626c7565")
    assert sorted(room.replica.members) == [1, 2]
    assert room.replica.members[2].data == b"blue"
    assert len(got) == 1


def test_disconnect_forgets_the_session_and_keeps_the_rooms() -> None:
    stage = Stage()
    room = stage.join()
    stage.start()
    stage.joined()
    stage.publish(b"?")
    stage.session.disconnect(stage.now)
    assert room.state.value == "joining"
    assert [message.payload for told in stage.all(Unconfirmed) for message in told.messages] == [b"?"]
    assert stage.session.deadline() is None
    stage.action(Hangup)
    said = stage.start()
    assert said[0]["extensions"] == []
    assert said[1]["extensions"] == [[4, EPOCH + "00"]]


def test_close_says_how_much_it_dropped_and_never_comes_back() -> None:
    stage = Stage()
    room = stage.join()
    stage.publish(b"1")
    stage.set(1, b"2")
    assert stage.session.close(stage.now) == 2
    assert room.state.value == "left"
    stage.session.connect(stage.now)
    assert stage.session.actions == []
    assert states(stage) == ["closed"]


def test_messages_beyond_the_bounds_fail_and_are_not_sent() -> None:
    stage = Stage(queue_messages=2, queue_bytes=100)
    stage.join()
    stage.publish(b"1")
    with pytest.raises(QueueFullError):
        stage.publish(b"x" * 100)
    stage.publish(b"2")
    with pytest.raises(QueueFullError):
        stage.publish(b"3")
    assert stage.publish(b"4", Policy.DROP) is None
    stage.set(1, b"a")
    stage.set(1, b"b")
    stage.start()
    with pytest.raises(TooLargeError):
        stage.publish(b"x" * 15_361)
    stage.joined()
    payloads = [bytes.fromhex(frame["payload"]) for frame in stage.sent() if frame["type"] == "data"]
    assert payloads == [b"1", b"2", b"b"]


def test_what_is_kept_until_it_is_accepted_is_bounded() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    with pytest.raises(QueueFullError):
        for _ in range(6000):
            stage.publish(b"x")
            stage.session.output.take(2**20)
    assert stage.session.outbox.kept == 4096
    assert len(stage.session.outbox) == 1000
    stage.says("accepted", number=4096)
    assert stage.session.outbox.kept == 1000
    assert stage.session.idle is False


def test_more_accepted_than_sent_is_a_protocol_error() -> None:
    stage = Stage()
    stage.start()
    stage.says("accepted", number=1)
    assert [type(error) for error in stage.all(TickwireError)] == [ProtocolError]


def test_a_transport_that_does_not_take_makes_messages_wait() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    for _ in range(5):
        stage.publish(b"x" * 15_000)
    assert len(stage.session.outbox) == 2
    assert stage.publish(b"y", Policy.DROP) is None
    stage.session.output.take(2**20)
    stage.session.written()
    assert len(stage.session.outbox) == 0


def test_a_paused_room_stays_paused_over_a_reconnection() -> None:
    stage = Stage()
    stage.join()
    stage.start()
    stage.joined()
    answers: List[object] = []
    stage.session.rooms.pause("r", True, answers.append)
    asked = [frame for frame in stage.sent() if frame.get("command") == "receive"]
    assert asked[0]["what"] == 2
    stage.broken()
    assert answers == []
    stage.passes(1.1)
    stage.action(Hangup)
    stage.open(flags=1)
    stage.joined(outcome=1)
    asked = [frame for frame in stage.sent() if frame.get("command") == "receive"]
    stage.says("done", request=asked[0]["request"])
    assert answers == [None]
    stage.session.rooms.pause("r", False, answers.append)
    asked = [frame for frame in stage.sent() if frame.get("command") == "receive"]
    assert asked[0]["what"] == 0
    stage.says("refused", request=asked[0]["request"], number=0, reason=224)
    assert isinstance(answers[-1], RefusedError)


@pytest.mark.parametrize("extension", [1, 99])
def test_frames_with_an_odd_extension_are_ignored(extension: int) -> None:
    stage = Stage()
    room = stage.join()
    stage.start()
    stage.joined(extensions=[[extension, ""]])
    assert room.state.value == "joining"
    stage.says("close", reason=100, extensions=[[extension, ""]])
    assert stage.state == "connecting"

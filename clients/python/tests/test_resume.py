"""Coming back to a session and its rooms: what broke off, what was left meanwhile, what was refused (PROTOCOL 12)."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from stage import EPOCH, Hangup, Stage

from tickwire import (
    Event,
    Outcome,
    ProtocolError,
    TickwireError,
)


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
    stage.passes(1.1)
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

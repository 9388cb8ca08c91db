"""Handlers and streams of a room: what they are shown of a frame when one of them leaves in its middle."""

from __future__ import annotations

from typing import Callable, List

from stage import Stage

from tickwire import Client, Event, Tick
from tickwire.items import Item
from tickwire.stream import Filter, Handler, Queue


def failed(error: Exception) -> None:
    raise error


def shown(act: Callable[[Stage], object]) -> List[List[bytes]]:
    """What two handlers and a stream are shown of three events in one frame, where the first handler acts at the first."""
    stage = Stage()
    room = stage.join()
    stage.start()
    stage.joined()
    seen: List[List[bytes]] = [[], []]

    def first(item: Item) -> None:
        if isinstance(item, Event):
            seen[0].append(item.payload)
            act(stage)

    def second(item: Item) -> None:
        if isinstance(item, Event):
            seen[1].append(item.payload)

    queue: Queue[Event] = Queue()
    room.sinks = [Handler(first, failed), Handler(second, failed), Filter(queue, Event)]
    stage.data("event", [(2, b"1"), (2, b"2"), (2, b"3")])
    return [*seen, [event.payload for event, _ in queue.waiting]]


def test_a_handler_that_does_nothing_sees_everything() -> None:
    assert shown(lambda stage: None) == [[b"1", b"2", b"3"]] * 3


def test_nothing_is_shown_of_a_room_that_a_handler_has_left() -> None:
    assert shown(lambda stage: stage.session.leave("r")) == [[b"1"], [], []]
    assert shown(lambda stage: stage.session.close(stage.now)) == [[b"1"], [], []]


def test_a_room_that_a_handler_joins_again_begins_anew() -> None:
    def again(stage: Stage) -> None:
        stage.session.leave("r")
        stage.session.join("r", 3, True, b"", b"")

    assert shown(again) == [[b"1"], [], []]


def test_a_handler_that_is_ended_is_not_called_again() -> None:
    def end(stage: Stage) -> None:
        handler = stage.session.rooms.get("r").sinks[0]
        assert isinstance(handler, Handler)
        handler.end()

    assert shown(end) == [[b"1"], [b"1", b"2", b"3"], [b"1", b"2", b"3"]]


def test_what_room_handle_returns_ends_the_handler_at_once() -> None:
    client = Client("tcp://nowhere")
    room = client.room("r")
    seen: List[Item] = []

    def once(item: Item) -> None:
        seen.append(item)
        end()

    end = room.handle(once)
    session = client._session
    items = [Tick(1, 1), Tick(2, 2)]
    session.rooms.deliver(session.rooms.get("r"), items, 0)
    session.rooms.deliver(session.rooms.get("r"), items, 0)
    assert seen == items[:1]

"""What a room tells, in the order in which it tells it (SPEC 6).

```text
Outcome  Presence..  Event..  Value..  Presence..  Tick        one batch
Snapshot  Direct                                               between batches
```

Payloads are `bytes` of their own: they live as long as the application keeps them.
"""

from __future__ import annotations

from typing import List, NamedTuple, Union


class Event(NamedTuple):
    """A message that every member sees, in one order. `member` 0 is the room itself."""

    member: int
    payload: bytes
    tick: int
    position: int


class Value(NamedTuple):
    """A value was written; an empty payload deletes it. `shared`: it belongs to the room, else to `member`."""

    key: int
    member: int
    shared: bool
    payload: bytes
    tick: int
    position: int


class Direct(NamedTuple):
    """A message to this client alone.

    `number` counts the directs of the session. `answers` is the data frame that this is an answer to (PROTOCOL 8.2),
    0 for none.
    """

    member: int
    payload: bytes
    number: int
    answers: int
    tick: int


class Presence(NamedTuple):
    """Somebody came, changed, is away, or left; or how many there are (PROTOCOL 8.5).

    `state` is "here", "away", "left" or "count"; `subject` and `data` are those of "here", `reason` that of "left",
    `members` that of "count".
    """

    member: int
    state: str
    subject: str
    data: bytes
    reason: int
    members: int
    tick: int
    position: int


class Snapshot(NamedTuple):
    """All values of the room were replaced: `Room.values` has them."""

    tick: int
    position: int


class Tick(NamedTuple):
    """A batch has ended.

    Once for each batch. Where the network splits one between its events and its values, before the values: nothing
    says that they follow.
    """

    tick: int
    position: int


class Outcome(NamedTuple):
    """How the client came to the room, or back (SPEC 4).

    `kind` is "recovered": nothing is missing; "gap": the events of positions `first..last` are lost; or "snapshot":
    what was known of the room is void.
    """

    kind: str
    first: int = 0
    last: int = 0


Item = Union[Event, Value, Direct, Presence, Snapshot, Tick, Outcome]


class Batch(NamedTuple):
    """What one batch of a room brought: the unit of `Room.ticks`.

    `whole` is False where a batch was so large (256 KiB) that it was handed over in parts; the last part is whole.
    Where the network splits a batch between its events and its values, those come as they arrive, under the same numbers.
    """

    tick: int
    position: int
    events: List[Event]
    values: List[Value]
    presence: List[Presence]
    whole: bool


class Member(NamedTuple):
    """Who is in a room. `away`: the connection is gone, the place is kept."""

    number: int
    subject: str
    data: bytes
    away: bool

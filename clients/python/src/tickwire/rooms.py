"""Rooms: which ones the application wants, and how far each is (SPEC 1, 2 and 4).

```text
left ──join──> joining ──JOINED──> joined
  ^               ^  └─ REFUSED, to be tried again ─┐   │
  │               └─────────────────────────────────┘   │
  └── leave; REFUSED or LEFT for good ──────────────────┘
```
"""

from __future__ import annotations

import random
from typing import Callable, Dict, Iterable, NamedTuple, Optional, Sequence, Set, Tuple

from . import commands
from .codec import Done, Gap, Joined, Left, Page, Refused, read_records
from .errors import ClosedError, RefusedError, TickwireError, escaped
from .inbox import Inbox
from .items import Item
from .limits import LONGEST_WAIT
from .membership import Answer, Membership, Settle
from .notices import Notice, RoomChange, RoomState
from .output import Output
from .reasons import CAPABILITY, GOING_AWAY, Advice, advice, sentence
from .replica import Replica
from .wire import MalformedError, Reader, varint


class _Request(NamedTuple):
    membership: Membership
    handle: int
    what: str
    settle: Optional[Settle]


class Rooms:
    """All rooms of a client. Frames to the server go into `output`, news into `tell`."""

    def __init__(self, output: Output, inbox: Inbox, tell: Callable[[Notice], None], chance: random.Random) -> None:
        self._output = output
        self._inbox = inbox
        self._tell = tell
        self._chance = chance
        self._rooms: Dict[str, Membership] = {}
        self._handles: Dict[int, Membership] = {}
        # Handles that were left, with what they named and the room's number on the wire, if known.
        self._zombies: Dict[int, Tuple[Membership, Optional[int]]] = {}
        self._ids: Dict[int, Optional[Membership]] = {}  # None: of a zombie, whose frames are skipped.
        self._requests: Dict[int, _Request] = {}
        self._next_handle = 1
        self._greeted: Set[int] = set()  # Handles whose JOIN went out behind HELLO.
        self._open = False
        self._resumed = False
        self._capabilities = 0

    def get(self, name: str) -> Membership:
        """The room of that name, wanted or not."""
        if name not in self._rooms:
            self._rooms[name] = Membership(name, self._chance)
        return self._rooms[name]

    def of_id(self, number: int) -> Optional[Membership]:
        """Whose frame it is; None: skip it. MalformedError: it must not come."""
        try:
            return self._ids[number]
        except KeyError:
            raise MalformedError(f"data of room {number}, which nobody joined") from None

    def knows(self, number: int) -> bool:
        """Whether a room has this number, also one that was left and has not heard so yet."""
        return number in self._ids

    def may_lack(self, number: int) -> bool:
        """Whether a room that the session knows has this number, and the JOINED that said so was lost (PROTOCOL 12.2)."""
        return (
            self._resumed
            and number not in self._ids
            and (
                any(room.id is None for room in self._handles.values())
                or any(known is None for _, known in self._zombies.values())
            )
        )

    def asks_for(self, number: int) -> bool:
        """Whether an answer that is on its way may say whose number it is."""
        return self.may_lack(number) and any(
            request.membership.id is None and request.what in ("join", "leave") for request in self._requests.values()
        )

    def deliver(self, room: Membership, items: Sequence[Item], size: int) -> None:
        """Hands the items of one frame to the application, until it leaves the room."""
        replica = room.replica  # Another one after each leave.
        self._inbox.deliver(room.sinks, items, size, lambda: room.replica is replica)

    def joined(self) -> Iterable[Membership]:
        """The rooms that are joined."""
        return [room for room in self._handles.values() if room.state is RoomState.JOINED]

    def deadline(self) -> Optional[float]:
        """When a refused join is to be tried again."""
        if not self._open:
            return None
        return min((room.retry_at for room in self._handles.values() if room.retry_at is not None), default=None)

    # What the application asks.

    def join(self, name: str, mode: int, echo: bool, data: bytes, presence: bytes) -> Membership:
        """Wants a room. Where it is wanted already, only what is sent with the next JOIN changes."""
        room = self.get(name)
        room.mode, room.data, room.presence = mode, data, presence
        room.replica.echo = echo
        if room.wanted:
            return room
        room.replica = Replica(echo)
        room.paused = False
        room.backoff.reset()
        # While the connection is gone, the server may still know the last handle: it is taken up again, unless this
        # connection has joined with it already.
        if room.handle not in self._zombies or self._open or room.handle in self._greeted:
            room.handle = self._next_handle
            self._next_handle += 1
        self._zombies.pop(room.handle, None)
        self._handles[room.handle] = room
        self._change(room, RoomState.JOINING, 0, "")
        if self._open:
            self._send_join(room)
        return room

    def leave(self, name: str) -> None:
        """Does not want a room any more."""
        room = self.get(name)
        if not room.wanted:
            return
        self._let_go(room)
        if self._open:
            self._output.send(commands.leave(self._asks(room, "leave", None), room.handle))
        self._left(room, 200, "")

    def pause(self, name: str, paused: bool, settle: Settle) -> None:
        """Asks for nothing of a room, or for all of it again; settled when the server has said DONE."""
        room = self.get(name)
        if not room.wanted:
            settle(ClosedError(f"{name} is left"))
            return
        if room.paused == paused and not room.waiting:
            settle(None)
            return
        room.paused = paused
        room.waiting.append(settle)
        if room.state is RoomState.JOINED:
            self._send_receive(room)

    def show(self, name: str, data: bytes, settle: Settle) -> None:
        """Replaces this client's presence data, now and in each later JOIN."""
        room = self.get(name)
        room.presence = data
        if room.state is RoomState.JOINED:
            request = self._asks(room, "presence", settle)
            self._output.send(commands.presence(request, room.handle, data))
        else:
            settle(None)  # The JOIN brings it.

    def page(self, name: str, after: int, settle: Settle) -> None:
        """Asks for a page of members."""
        room = self.get(name)
        if room.state is not RoomState.JOINED:
            settle(ClosedError(f"{name} is not joined"))
        elif not self._capabilities & commands.PAGES:
            settle(RefusedError(name, CAPABILITY))
        else:
            request = self._asks(room, "page", settle)
            self._output.send(commands.members(request, room.handle, after))

    # What happens to the connection.

    def greet(self, resume: bool) -> None:
        """HELLO is said: joins all that is wanted (SPEC 4). `resume`: the session may go on.

        Where it does, a room that was left and joined again may still be known by the handle before: it is joined when
        WELCOME has come, behind the LEAVE of that.
        """
        if not resume:
            self._forget_zombies(set())
        left = {room for room, _ in self._zombies.values()}
        for handle, room in self._handles.items():
            if room not in left:
                self._greeted.add(handle)
                self._send_join(room)

    def welcome(self, resumed: bool, capabilities: int) -> None:
        """WELCOME came. What was left meanwhile is left now, where the session goes on; what is not joined yet is joined."""
        self._open = True
        self._resumed = resumed
        self._capabilities = capabilities
        if not resumed:
            self._forget_zombies(self._greeted)
            for room in self._handles.values():
                room.id = None
        for handle, (room, _) in self._zombies.items():
            self._output.send(commands.leave(self._asks(room, "leave", None, handle), handle))
        for room in self._handles.values():
            if room.handle not in self._greeted:
                self._send_join(room)

    def lost(self, reason: int, text: str) -> None:
        """The connection is gone. Rooms stay wanted."""
        self._open = False
        self._greeted.clear()
        requests, self._requests = self._requests, {}
        for request in requests.values():
            if request.settle is not None:
                # Presence comes back with the JOIN; what else was asked has to be asked again.
                broke = TickwireError("the connection broke before the answer came")
                request.settle(None if request.what == "presence" else broke)
        for room in list(self._handles.values()):
            room.replica.broken()
            room.retry_at = None
            if room.state is RoomState.JOINED:
                self._change(room, RoomState.JOINING, reason, text)

    def close(self, reason: int, text: str) -> None:
        """The client is closed: nothing is wanted any more."""
        self.lost(reason, text)
        for room in list(self._handles.values()):
            self._let_go(room)
            self._left(room, reason, text)
        self._zombies.clear()
        self._ids.clear()

    def wake(self, now: float) -> None:
        """Tries again the joins whose time has come."""
        for room in list(self._handles.values()):
            if self._open and room.retry_at is not None and room.retry_at <= now:
                room.retry_at = None
                self._send_join(room)

    # What the server says.

    def on_joined(self, frame: Joined, size: int) -> Optional[Membership]:
        """JOINED: the room, unless it was left meanwhile."""
        self._requests.pop(frame.request, None)
        if frame.handle in self._zombies:
            left = self._zombies[frame.handle][0]
            self._bury(frame.handle)
            self._zombies[frame.handle] = (left, frame.room)
            self._ids[frame.room] = None
            self._inbox.deliver((), (), size)
            return None
        room = self._handles.get(frame.handle)
        if room is None or room.state is not RoomState.JOINING:
            raise MalformedError(f"joined with handle {frame.handle}, which nobody asked for")
        if room.id is not None and self._ids.get(room.id) is room:
            del self._ids[room.id]
        room.id = frame.room
        self._ids[frame.room] = room
        room.granted = frame.mode
        room.answer = frame.extensions.get(2, b"")
        room.backoff.reset()
        outcome = room.replica.joined(frame, room.asked_since)
        self._change(room, RoomState.JOINED, 0, "")
        if room.paused:
            self._send_receive(room)
        else:
            self._settle_all(room, None)
        self.deliver(room, (outcome,), size)
        return room

    def on_left(self, now: float, frame: Left) -> None:
        """LEFT: the answer to LEAVE, or the server has ended it."""
        self._requests.pop(frame.request, None)
        if frame.handle in self._zombies:
            self._bury(frame.handle)
            return
        room = self._handles.get(frame.handle)
        if room is not None:
            text = escaped(frame.extensions.get(2, b"")) or sentence(frame.reason)
            self._ended(now, room, frame.reason, text, frame.extensions)

    def on_refused(self, now: float, frame: Refused) -> None:
        """REFUSED, of a command."""
        request = self._requests.pop(frame.request, None)
        if request is None:
            return
        room, handle, what, settle = request
        text = escaped(frame.extensions.get(2, b"")) or sentence(frame.reason)
        error = RefusedError(room.name, frame.reason, 0, text)
        if what == "leave" or (what == "join" and handle in self._zombies):
            self._bury(handle)
        elif what == "join":
            if self._handles.get(handle) is not room or room.state is not RoomState.JOINING:
                return
            if frame.reason == CAPABILITY and room.mode & commands.MODE_MEMBERS:
                # The list of members is too long to come at once (PROTOCOL 6.3): `Room.fetch_members` has pages.
                room.mode &= ~commands.MODE_MEMBERS
                self._send_join(room)
                return
            self._tell(error)
            self._ended(now, room, frame.reason, text, frame.extensions)
        elif settle is not None:
            settle(error)

    def on_done(self, frame: Done) -> None:
        """DONE."""
        request = self._requests.pop(frame.request, None)
        if request is None:
            return
        if request.what == "receive" and request.membership.paused:
            request.membership.replica.paused()
        if request.settle is not None:
            request.settle(None)

    def on_page(self, frame: Page) -> None:
        """PAGE: into the room's list of members, and to who asked."""
        request = self._requests.pop(frame.request, None)
        records = read_records(frame.records, False)
        if request is not None and request.membership.handle == frame.handle:
            request.membership.replica.page(records)
            if request.settle is not None:
                request.settle(frame)

    def on_gap(self, frame: Gap, size: int) -> None:
        """GAP: told in its place among the events."""
        room = self.of_id(frame.room)
        if room is None:
            self._inbox.consumed += size
        else:
            self.deliver(room, (room.replica.gap(frame),), size)

    # How it is done.

    def _send_join(self, room: Membership) -> None:
        extensions: Dict[int, bytes] = {}
        if room.data:
            extensions[2] = room.data
        since = room.replica.since
        room.asked_since = since is not None and bool(room.mode & commands.MODE_RECEIVE)
        if since is not None and room.asked_since:
            extensions[4] = since[0] + varint(since[1])
        if room.presence:
            extensions[6] = room.presence
        request = self._asks(room, "join", None)
        self._output.send(commands.join(request, room.handle, room.mode, room.name.encode("utf-8"), extensions))

    def _send_receive(self, room: Membership) -> None:
        if not self._capabilities & commands.RECEIVE:
            room.paused = False
            self._settle_all(room, RefusedError(room.name, CAPABILITY))
            return

        def settle(answer: Answer) -> None:
            # A broken connection is no answer: the JOIN that follows asks again. Nor is the answer before the last.
            if room.receive == request and (answer is None or isinstance(answer, RefusedError)):
                self._settle_all(room, answer)

        request = room.receive = self._asks(room, "receive", settle)
        what = commands.RECEIVE_NOTHING if room.paused else commands.RECEIVE_ALL
        self._output.send(commands.receive(request, room.handle, what))

    def _asks(self, room: Membership, what: str, settle: Optional[Settle], handle: int = 0) -> int:
        request = self._output.request()
        self._requests[request] = _Request(room, handle or room.handle, what, settle)
        return request

    def _ended(self, now: float, room: Membership, reason: int, text: str, extensions: Dict[int, bytes]) -> None:
        """A join was refused, or a membership ended: again, or for good (SPEC 2)."""
        told = advice(reason)
        if told is Advice.STOP:
            self._let_go(room)
            self._zombies.pop(room.handle, None)
            self._left(room, reason, text)
            return
        wait = room.backoff.next() if told is Advice.RETRY else room.backoff.later()
        if told is Advice.LATER and 4 in extensions:
            wait = min(LONGEST_WAIT, Reader(extensions[4]).varint() / 1000)
        if room.state is RoomState.JOINED:
            self._change(room, RoomState.JOINING, reason, text)
        # A server that goes away is left at once, and the room joined at the next one.
        room.retry_at = None if reason == GOING_AWAY else now + wait

    def _forget_zombies(self, but: Set[int]) -> None:
        """The server knows nothing of the session before, only of what was joined since."""
        self._zombies = {handle: (left[0], None) for handle, left in self._zombies.items() if handle in but}
        self._ids.clear()

    def _let_go(self, room: Membership) -> None:
        self._handles.pop(room.handle, None)
        self._zombies[room.handle] = (room, room.id)
        if room.id is not None:
            self._ids[room.id] = None

    def _bury(self, handle: int) -> None:
        _, number = self._zombies.pop(handle, (None, None))
        if number is not None and self._ids.get(number, self) is None:
            del self._ids[number]

    def _left(self, room: Membership, reason: int, text: str) -> None:
        room.id = None
        room.retry_at = None
        self._change(room, RoomState.LEFT, reason, text)
        self._settle_all(room, ClosedError(f"{room.name} is left", reason))
        room.replica = Replica(room.replica.echo)

    def _settle_all(self, room: Membership, answer: Answer) -> None:
        waiting, room.waiting = room.waiting, []
        for settle in waiting:
            settle(answer)

    def _change(self, room: Membership, state: RoomState, reason: int, text: str) -> None:
        before, room.state = room.state, state
        if before is not state:
            self._tell(RoomChange(room.name, before, state, reason, text))

"""The session: the whole protocol of a client, without I/O (SPEC 1 to 5).

```text
            connect()       token      opened()      WELCOME
idle ──────────────> asking ────> opening ──> greeting ──> open ──GOING_AWAY──> leaving
  ^                    ^                          │          │                     │
  │                    └──────── waiting <────────┴──────────┴─────────────────────┘
  └── disconnect(), close(), a reason that says: stop
```

Bytes and `now` (seconds, any monotonic clock) come in. Out come frames in `output`, what to do in `actions`, and news
through `tell`. Whoever drives it calls `wake` at `deadline`.
"""

from __future__ import annotations

import random
from typing import Callable, List, Optional, Union

from . import commands, limits
from .actions import Action, AskToken, Failure, Hangup, Open
from .arrivals import Arrivals
from .backoff import Backoff
from .clock import Clock
from .codec import (
    Accepted,
    Close,
    Data,
    Decoder,
    Done,
    Frame,
    Gap,
    GoingAway,
    Joined,
    Left,
    Page,
    Ping,
    Pong,
    Refused,
    Welcome,
)
from .errors import (
    ClosedError,
    ConnectError,
    ProtocolError,
    TickwireError,
    TokenError,
    VersionError,
    escaped,
)
from .inbox import Inbox
from .membership import Membership
from .notices import Notice, State, StateChange, Unconfirmed
from .output import Output
from .pulse import Pulse
from .queue import Message, Outbox, Policy
from .reasons import (
    ENDED,
    GOING_AWAY,
    MALFORMED,
    NOT_TICKWIRE,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    VERSION,
    Advice,
    advice,
    sentence,
)
from .renewal import Renewal
from .rooms import Rooms
from .sender import Sender
from .target import Target
from .wire import MAGIC, MalformedError, Reader, string, varint


class Session:
    """One client, over all its connections."""

    def __init__(
        self,
        target: Target,
        token: Optional[str] = None,
        ask: bool = False,
        software: bytes = b"",
        queue_messages: int = limits.QUEUE_MESSAGES,
        queue_bytes: int = limits.QUEUE_BYTES,
        tell: Callable[[Notice], None] = lambda notice: None,
        chance: Optional[random.Random] = None,
    ) -> None:
        self.state = State.DISCONNECTED
        self.phase = "idle"
        self.actions: List[Action] = []
        self.output = Output()
        self.inbox = Inbox()
        self.clock = Clock()
        self.outbox = Outbox(queue_messages, queue_bytes)
        self.tell = tell
        if token is not None and len(token.encode("utf-8")) > limits.MAX_TOKEN:
            raise ValueError(f"a token has at most {limits.MAX_TOKEN} bytes")
        chance = chance or random.Random()
        self.rooms = Rooms(self.output, self.inbox, tell, chance)
        self._target = target
        self._elsewhere: Optional[Target] = None
        self._token = token
        self._ask = ask
        self._asked = 0
        self._asked_again = False
        self._renewal = Renewal(chance)
        self._software = software
        self._backoff = Backoff(chance)
        self._pulse = Pulse()
        self._decoder = Decoder()
        self._messages = False
        self._retry_at: Optional[float] = None
        self._attempt_until = 0.0
        self._leave_until = 0.0
        self._welcomed_at = 0.0
        self._resume: Optional[bytes] = None
        self._arrivals = Arrivals(self.rooms, self.inbox, self.clock, tell)
        self._numbers = 0
        self._sender = Sender(self.outbox, self.output, self.rooms, tell)
        self.max_frame = 0
        """The largest frame payload it takes on this connection; 0 before its WELCOME."""
        self.subject = ""
        """Who the server says this client is."""

    # What the application asks (SPEC 1).

    def connect(self, now: float) -> None:
        """Begins to connect; does nothing while that is so, or when closed."""
        if self.state is State.DISCONNECTED:
            self._change(State.CONNECTING, 0, "")
            self._asked_again = False
            self._attempt(now)

    def disconnect(self, now: float) -> None:
        """Leaves the server and forgets the session; rooms stay wanted."""
        if self.state in (State.CONNECTING, State.CONNECTED):
            self._say_goodbye(ENDED)
            self.rooms.lost(0, "disconnected")
            self._forget()
            self._change(State.DISCONNECTED, 0, "")

    def close(self, now: float) -> int:
        """Leaves for good; returns how many messages waited and were dropped."""
        if self.state is State.CLOSED:
            return 0
        return self._stop(0, "closed", None)

    def join(self, name: str, mode: int, echo: bool, data: bytes, presence: bytes) -> Membership:
        """Wants a room; ClosedError where the client is closed, ValueError where an argument cannot be sent."""
        self._check_open()
        if not 1 <= len(name.encode("utf-8")) <= limits.MAX_NAME:
            raise ValueError(f"a room's name has 1 to {limits.MAX_NAME} bytes: {name[:80]!r}")
        if len(data) > limits.MAX_JOIN_DATA or len(presence) > limits.MAX_PRESENCE:
            raise ValueError(f"{len(data)} bytes of data, {len(presence)} of presence")
        return self.rooms.join(name, mode, echo, data, presence)

    def leave(self, name: str) -> int:
        """Does not want a room; returns how many messages to it were dropped."""
        self.rooms.leave(name)
        return self.outbox.drop(name)

    def publish(self, name: str, kind: int, key: int, payload: bytes, policy: Policy, urgent: bool) -> Optional[int]:
        """Sends a message, now or later; returns its number, None where its policy had it thrown away.

        Raises ClosedError, TooLargeError, QueueFullError.
        """
        self._check_open()
        room = self.rooms.get(name)
        if not room.wanted:
            raise ClosedError(f"{name} is left")
        self._sender.check(payload)
        message = Message(self._numbers + 1, name, kind, key, payload, policy, urgent)
        if not self._sender.publish(room, message, self.phase == "open"):
            return None
        self._numbers += 1
        return self._numbers

    def ask_accepted(self, now: float) -> None:
        """Pings, so that the server tells what it has accepted."""
        if self.phase == "open" and self._pulse.may_ask(now):
            self._ping(now)

    @property
    def idle(self) -> bool:
        """Whether nothing waits, and all that left was accepted."""
        return not len(self.outbox) and not self.outbox.kept

    # What the connection does.

    def opened(self, now: float, messages: bool) -> None:
        """The connection stands. `messages`: what it brings are messages that hold whole frames (WebSocket)."""
        if self.phase != "opening":
            return
        self.phase = "greeting"
        self.max_frame = 0
        self._decoder = Decoder()
        self._messages = messages
        extensions = {}
        if self._token is not None:
            extensions[1] = self._token.encode("utf-8", "replace")
        if self._software:
            extensions[2] = self._software[:64]
        if self._resume is not None:
            extensions[4] = string(self._resume) + varint(self._arrivals.directs)
        if not messages:
            self.output.send(MAGIC)
        self.output.send(commands.hello(self.output.request(), _CAPABILITIES, extensions=extensions))
        self.rooms.greet(self._resume is not None)

    def receive(self, now: float, data: bytes) -> None:
        """Bytes have come. On WebSocket exactly one message, and none while the inbox is full."""
        self._pulse.heard(now)
        if (
            self.phase == "greeting"
            and not self._messages
            and not len(self._decoder)
            and data[:1] not in (b"", b"\1", b"\2", b"\3")
        ):
            self.broken(now, Failure("what answers is not Tickwire", foreign=True))
            return
        self._decoder.feed(data)
        self.step(now)

    def step(self, now: float) -> None:
        """Goes on with what has come, until the inbox is full."""
        self._pulse.heard(now)
        try:
            while self.phase in _LISTENING and not self.inbox.full:
                got = self._decoder.next()
                if got is None:
                    if self._messages and len(self._decoder):
                        raise MalformedError("a WebSocket message ends inside a frame")
                    break
                self._frame(now, *got)
        except MalformedError as error:
            self._violated(now, str(error))
            return
        if not len(self._decoder):
            for room in self.rooms.joined():
                ended = room.replica.end()
                if ended is not None:
                    self.rooms.deliver(room, (ended,), 0)
        self.flush()

    def written(self) -> None:
        """The transport has taken output."""
        self.flush()

    def flush(self) -> None:
        """Sends what waits and may leave now."""
        if self.phase == "open":
            self._sender.flush()

    def violated(self, now: float, text: str) -> None:
        """The transport itself saw what must not come."""
        if self.phase == "opening" or self.phase in _LISTENING:
            self._violated(now, text)

    def broken(self, now: float, failure: Failure) -> None:
        """The connection failed, or has ended."""
        if self.phase == "leaving":
            self._depart(now)
        elif self.phase in ("opening", "greeting", "open"):
            self._hang_up(False)
            if failure.close is not None and 4000 < failure.close < 5000:
                reason = failure.close - 4000
                self._ended(now, reason, sentence(reason), None, None)
            elif failure.foreign:
                self._stop(0, failure.text, VersionError(failure.text))
            elif failure.status is not None:
                self._answered(now, failure, failure.status)
            else:
                self._ended(now, 0, failure.text, None, None)

    def token_is(self, now: float, number: int, token: Optional[str]) -> None:
        """The callback has brought a token, or says that there is none."""
        if number != self._asked:
            return
        if token is not None and len(token.encode("utf-8", "replace")) > limits.MAX_TOKEN:
            self.token_failed(now, number, f"a token has at most {limits.MAX_TOKEN} bytes")
            return
        self._asked = 0
        if token is None:
            self._say_goodbye(ENDED)
            self._stop(TOKEN_INVALID, "there is no token", None)
        elif self.phase == "asking":
            self._token = token
            self._open(now)
        elif self.phase == "open":
            self._renewal.send(self.output, token)

    def token_failed(self, now: float, number: int, text: str) -> None:
        """The callback raised."""
        if number != self._asked:
            return
        self._asked = 0
        self.tell(TokenError(text))
        if self.phase == "asking":
            self._wait(now, self._backoff.next())
        else:
            self._renewal.failed(now)

    # Time.

    def deadline(self) -> Optional[float]:
        """When `wake` is to be called, if nothing happens before."""
        if self.phase == "waiting":
            return self._retry_at
        if self.phase in ("opening", "greeting"):
            return self._attempt_until
        if self.phase == "leaving":
            return self._leave_until
        if self.phase != "open":
            return None
        times = [self._pulse.next_ping, self.rooms.deadline(), None if self._asked else self._renewal.at]
        if not self.inbox.full:  # Who does not read cannot say that nothing comes.
            times.append(self._pulse.dead_at)
        return min(time for time in times if time is not None)

    def wake(self, now: float) -> None:
        """Does what is due."""
        if self.phase == "waiting" and self._retry_at is not None and now >= self._retry_at:
            self._attempt(now)
        elif self.phase in ("opening", "greeting") and now >= self._attempt_until:
            self.broken(now, Failure(f"no answer within {limits.ATTEMPT:g} s"))
        elif self.phase == "leaving" and now >= self._leave_until:
            self._depart(now)
        elif self.phase == "open":
            if self._pulse.is_dead(now) and not self.inbox.full:
                self.broken(now, Failure("nothing came from the server for too long"))
                return
            if now >= self._pulse.next_ping:
                self._ping(now)
            self.rooms.wake(now)
            if self._renewal.at is not None and now >= self._renewal.at and not self._asked:
                self._ask_token()

    # Frames from the server.

    def _frame(self, now: float, frame: Frame, size: int) -> None:
        if isinstance(frame, Data):
            self._need_open()
            self._arrivals.data(now, frame, size)
            return
        if isinstance(frame, (Joined, Gap)) and not _unknown(frame):
            self._need_open()
            if isinstance(frame, Gap):
                self.rooms.on_gap(frame, size)
            else:
                self.rooms.on_joined(frame, size)
                self._arrivals.release(now)
            return
        self.inbox.consumed += size
        if isinstance(frame, Close):
            self._closed(now, frame)
        elif isinstance(frame, Ping):
            self.outbox_accepted(frame.accepted)
            answer = commands.pong(frame.time, self.inbox.consumed, self._arrivals.directs)
            self._need_open()  # A server asks behind WELCOME: nothing may precede HELLO here.
            self.output.first(answer)
        elif isinstance(frame, Pong):
            if self._pulse.answered(frame.time):
                self.clock.sample(now, frame.time, frame.clock, frame.received, frame.sent)
            self.outbox_accepted(frame.accepted)
            self.outbox.refusals.answered()
            if self.phase == "leaving":
                self._depart(now)
        elif _unknown(frame):
            return
        elif isinstance(frame, Welcome):
            self._welcome(now, frame)
        elif isinstance(frame, (Left, Refused, Done, Page, Accepted, GoingAway)):
            self._need_open()
            self._answer(now, frame)

    def _answer(self, now: float, frame: Union[Left, Refused, Done, Page, Accepted, GoingAway]) -> None:
        if isinstance(frame, Left):
            self.rooms.on_left(now, frame)
            self._arrivals.release(now)
        elif isinstance(frame, Refused):
            if frame.request == 0 and frame.number:
                self._sender.refused(frame)
            elif self._renewal.is_answer(frame.request):
                self.tell(TokenError(f"the token was refused: {sentence(frame.reason)} ({frame.reason})"))
                self._renewal.failed(now)
            else:
                self.rooms.on_refused(now, frame)
                self._arrivals.release(now)
        elif isinstance(frame, Done):
            if self._renewal.is_answer(frame.request):
                self._token = self._renewal.taken(now, self.clock.wall_time(now))
            else:
                self.rooms.on_done(frame)
        elif isinstance(frame, Page):
            self.rooms.on_page(frame)
        elif isinstance(frame, Accepted):
            self.outbox_accepted(frame.number)
        elif self.phase == "open":
            self._going_away(now, frame)

    def _welcome(self, now: float, frame: Welcome) -> None:
        if self.phase != "greeting":
            raise MalformedError("welcomed twice")
        resumed = bool(frame.flags & 1)
        if resumed and self._resume is None:
            raise MalformedError("a session was resumed that nobody asked for")
        self.phase = "open"
        self._welcomed_at = now
        self._asked_again = False
        capabilities = frame.capabilities & _CAPABILITIES
        self._sender.welcome(frame.max_message, bool(capabilities & commands.ACCEPTED))
        self.max_frame = frame.max_frame
        self.subject = escaped(frame.extensions.get(8, b""))
        self._resume = frame.extensions.get(2) if capabilities & commands.RESUME else None
        self.inbox.restart()
        self.clock.welcome(now, frame.clock, frame.time, frame.wall)
        self._pulse.welcome(now, frame.ping)
        self._renewal.welcome(
            now,
            self.clock.wall_time(now),
            self._token if self._ask and capabilities & commands.TOKEN else None,
        )
        if resumed and frame.accepted > self.outbox.sent:
            raise MalformedError("more was accepted than was sent")
        if not resumed:
            self._arrivals.restarted()
            self._tell_unconfirmed()
        elif 6 in frame.extensions:
            reader = Reader(frame.extensions[6])
            self._arrivals.lose(reader.varint(), reader.varint())
        self._change(State.CONNECTED, 0, "")
        if resumed:
            # Before any of the rooms is left.
            self._sender.resend(frame.accepted)
        self.rooms.welcome(resumed, capabilities)
        self._ping(now)

    def _going_away(self, now: float, frame: GoingAway) -> None:
        self._retry_at = now + min(limits.LONGEST_WAIT, frame.reconnect / 1000)
        self._move(frame.extensions.get(6))
        self.phase = "leaving"
        if self.outbox.kept:
            # What is not accepted yet is told by the answer, so that it is neither lost nor sent twice.
            self._ping(now)
            self._leave_until = now + min(limits.LEAVING, frame.closes / 1000)
        else:
            self._depart(now)

    def _closed(self, now: float, frame: Close) -> None:
        text = escaped(frame.extensions.get(2, b"")) or sentence(frame.reason)
        if self.phase == "leaving":
            self._depart(now)
            return
        told = Reader(frame.extensions[4]).varint() / 1000 if 4 in frame.extensions else None
        self._hang_up(True)
        self._ended(now, frame.reason, text, told, frame.extensions.get(6))

    # The end of a connection (SPEC 2).

    def _ended(self, now: float, reason: int, text: str, told: Optional[float], address: Optional[bytes]) -> None:
        """A connection has ended with this reason, 0 for none."""
        if reason in (VERSION, NOT_TICKWIRE):
            self._stop(reason, text, VersionError(text))
        elif reason in (TOKEN_INVALID, TOKEN_EXPIRED) and self._ask and not self._asked_again:
            self._asked_again = True
            self._back(now, 0.0, reason, text)
        elif advice(reason) is Advice.STOP:
            self._stop(reason, text, None)
        elif advice(reason) is Advice.LATER:
            self._move(address)
            later = self._backoff.later() if told is None else min(limits.LONGEST_WAIT, told)
            self._back(now, later, reason, text)
        else:
            self._back(now, None, reason, text)

    def _answered(self, now: float, failure: Failure, status: int) -> None:
        """HTTP answered instead of a WebSocket."""
        if status in (408, 429) or status >= 500:
            told = failure.retry_after
            wait = None if told is None else min(limits.LONGEST_WAIT, max(0.0, told))
            self._back(now, wait, 0, failure.text, status)
        else:
            self._stop(0, failure.text, ConnectError(failure.text, status))

    def _back(self, now: float, wait: Optional[float], reason: int, text: str, status: Optional[int] = None) -> None:
        """Comes back after `wait` seconds, None: backoff. `status` is of an HTTP answer."""
        if self.state is State.CONNECTED:
            if now - self._welcomed_at >= limits.STABLE:
                self._backoff.reset()
        else:
            self._elsewhere = self._elsewhere if advice(reason) is Advice.LATER else None
            self.tell(ConnectError(text, status))
        self.rooms.lost(reason, text)
        self._change(State.CONNECTING, reason, text)
        self._wait(now, self._backoff.next() if wait is None else wait)

    def _violated(self, now: float, text: str) -> None:
        self.tell(ProtocolError(text))
        self._say_goodbye(MALFORMED)
        self._resume = None  # CLOSE ends a session (PROTOCOL 12.2).
        self._back(now, None, MALFORMED, text)

    def _depart(self, now: float) -> None:
        """Leaves a server that goes away, and is back at the time it assigned (PROTOCOL 6.9)."""
        back = self._retry_at or now
        self._say_goodbye(ENDED)
        self.outbox.requeue()
        self._backoff.reset()
        text = sentence(GOING_AWAY)
        self.rooms.lost(GOING_AWAY, text)
        self._change(State.CONNECTING, GOING_AWAY, text)
        self._wait(now, max(0.0, back - now))

    def _stop(self, reason: int, text: str, error: Optional[TickwireError]) -> int:
        """Closed, for good."""
        self._say_goodbye(ENDED)
        if error is not None:
            self.tell(error)
        self._forget()
        dropped = self.outbox.drop()
        self.rooms.close(reason, text)
        self._change(State.CLOSED, reason, text)
        return dropped

    def _say_goodbye(self, reason: int) -> None:
        """CLOSE, where there is somebody to say it to."""
        if self.phase in _LISTENING:
            self.output.send(commands.close(0, reason))
            self._hang_up(True)
        elif self.phase == "opening":
            self._hang_up(False)

    def _hang_up(self, politely: bool) -> None:
        last = self.output.rest()
        self._arrivals.broken()
        self.actions.append(Hangup(politely, last if politely else Output()))
        self.phase = "idle"

    def _forget(self) -> None:
        self.phase = "idle"
        self._asked = 0
        self._retry_at = None
        self._resume = None
        self._elsewhere = None
        self._backoff.reset()
        self._tell_unconfirmed()

    def _tell_unconfirmed(self) -> None:
        unknown = self.outbox.restarted()
        if unknown:
            self.tell(Unconfirmed(unknown))

    # Attempts.

    def _attempt(self, now: float) -> None:
        self._retry_at = None
        if self._ask:
            self.phase = "asking"
            self._ask_token()
        else:
            self._open(now)

    def _ask_token(self) -> None:
        # Numbers of requests serve here too: what counts is that no two are the same.
        self._asked = self.output.request()
        self.actions.append(AskToken(self._asked))

    def _open(self, now: float) -> None:
        self.phase = "opening"
        self._attempt_until = now + limits.ATTEMPT
        self.output.clear()
        self.actions.append(Open(self._elsewhere or self._target))

    def _wait(self, now: float, wait: float) -> None:
        self.phase = "waiting"
        self._asked = 0
        self._retry_at = now + wait

    def _move(self, address: Optional[bytes]) -> None:
        if address is not None:
            self._elsewhere = self._target.moved(address)

    # Messages.

    def outbox_accepted(self, number: int) -> None:
        """The server tells what it has accepted (PROTOCOL 12.3)."""
        if number > self.outbox.sent:
            raise MalformedError("more was accepted than was sent")
        self.outbox.accepted(number)

    def _ping(self, now: float) -> None:
        self.output.send(commands.ping(self._pulse.ask(now), self.inbox.consumed, self._arrivals.directs))

    def _need_open(self) -> None:
        if self.phase not in ("open", "leaving"):
            raise MalformedError("a frame that must not come before WELCOME")

    def _check_open(self) -> None:
        if self.state is State.CLOSED:
            raise ClosedError("the client is closed")

    def _change(self, state: State, reason: int, text: str) -> None:
        before, self.state = self.state, state
        if before is not state:
            self.tell(StateChange(before, state, reason, text))


def _unknown(frame: Frame) -> bool:
    """Whether a frame has an extension that would have to be understood: odd, and none of those is (PROTOCOL 3.3)."""
    return any(kind & 1 for kind in getattr(frame, "extensions", ()))


_LISTENING = ("greeting", "open", "leaving")

_CAPABILITIES = (
    commands.RESUME
    | commands.HISTORY
    | commands.DEFLATE
    | commands.RECEIVE
    | commands.TOKEN
    | commands.ACCEPTED
    | commands.PAGES
)

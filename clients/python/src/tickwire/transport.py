"""Transports: bytes to and from a server, over TCP or WebSocket, with TLS or without (PROTOCOL 4).

```text
Connection.read   ──> a chunk (TCP), or one whole binary message (WebSocket)
Connection.write  <── whole frames
```

The WebSocket protocol is that of the package `websockets`, without its I/O: so both transports read from the same
streams, nothing is queued between, and backpressure is TCP's.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import hashlib
import hmac
import ssl as tls
import time
from collections import deque
from typing import Deque, List, Optional

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from .actions import Failure
from .limits import CHUNK_BYTES, FRAGMENTS, GOODBYE, MESSAGE_BYTES, OUTPUT_BYTES, UNREAD_BYTES, WEBSOCKET_BYTES
from .output import Output
from .target import Target
from .wire import ALPN, SUBPROTOCOL


class EndedError(Exception):
    """The connection could not be opened, or has ended."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class ViolationError(Exception):
    """The server broke the rules of the transport."""


class Connection:
    """A connection over plain TCP, or TCP under TLS."""

    messages = False
    """Whether `read` returns whole messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # As much waits in the session: together what SPEC 5 allows.
        writer.transport.set_write_buffer_limits(high=OUTPUT_BYTES, low=OUTPUT_BYTES // 4)
        self.limit = CHUNK_BYTES
        """The most that one `write` may hold."""

    async def read(self) -> bytes:
        """The next bytes. EndedError at the end. Cancellation-safe: nothing is lost."""
        try:
            data = await self._reader.read(CHUNK_BYTES)
        except (OSError, tls.SSLError) as error:
            raise EndedError(Failure(f"the connection broke: {error}")) from None
        if not data:
            raise EndedError(Failure("the connection ended"))
        return data

    def write(self, frames: bytes) -> None:
        """Hands whole frames to the transport."""
        self._writer.write(frames)

    async def drain(self) -> None:
        """Waits until the transport takes more. EndedError where it never will."""
        try:
            await self._writer.drain()
        except (OSError, tls.SSLError) as error:
            raise EndedError(Failure(f"the connection broke: {error}")) from None

    def abort(self) -> None:
        """Ends it now."""
        self._writer.transport.abort()

    async def finish(self, last: Output) -> None:
        """Writes what is left, waits a moment for the server to end, and closes. Never raises but when cancelled."""
        with contextlib.suppress(EndedError, ViolationError, asyncio.TimeoutError, OSError):
            try:
                self._say_last(last)
                await asyncio.wait_for(self._to_the_end(), GOODBYE)
            finally:
                self.abort()

    def _say_last(self, last: Output) -> None:
        while frames := last.take(self.limit):
            self.write(frames)

    async def _to_the_end(self) -> None:
        with contextlib.suppress(EndedError):
            while True:
                await self.read()
        # Under TLS this says close_notify (PROTOCOL 4.4).
        self._writer.close()
        await self._writer.wait_closed()


class WebSocketConnection(Connection):
    """A connection over WebSocket."""

    messages = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: ClientProtocol) -> None:
        super().__init__(reader, writer)
        self._protocol = protocol
        self._ready: Deque[bytes] = deque()
        self._parts: List[bytes] = []
        self.limit = MESSAGE_BYTES

    async def read(self) -> bytes:
        while not self._ready:
            self._ended()
            try:
                data = await self._reader.read(CHUNK_BYTES)
            except (OSError, tls.SSLError) as error:
                raise EndedError(Failure(f"the connection broke: {error}")) from None
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self._say()
            self._take()
            if not data and not self._ready:
                self._ended()
                raise EndedError(Failure("the connection ended"))
        return self._ready.popleft()

    def write(self, frames: bytes) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(frames)
            self._say()

    def _say_last(self, last: Output) -> None:
        super()._say_last(last)
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._say()

    def _take(self) -> None:
        """Puts whole binary messages where `read` finds them."""
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode is Opcode.TEXT:
                raise ViolationError("a text message")
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if len(self._parts) > FRAGMENTS:
                    raise ViolationError("a message in too many fragments")
                if event.fin:
                    self._ready.append(b"".join(self._parts))
                    self._parts.clear()

    def _ended(self) -> None:
        """Raises what the end of the WebSocket was, if it is there."""
        if self._protocol.close_rcvd is not None:
            code = self._protocol.close_rcvd.code
            raise EndedError(Failure(f"the WebSocket was closed with {code}", close=code))
        if self._protocol.parser_exc is not None and not isinstance(self._protocol.parser_exc, EOFError):
            raise ViolationError(f"no WebSocket: {self._protocol.parser_exc}")

    def _say(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                self._writer.write_eof()
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            raise ViolationError("a server that asks and does not read")


async def connect(
    target: Target, context: Optional[tls.SSLContext] = None, fingerprint: Optional[bytes] = None
) -> Connection:
    """Opens a connection. EndedError says why it did not come about. Cancellation-safe: nothing stays open.

    With a `fingerprint` (SHA-256) that one certificate is trusted, whoever signed it (PROTOCOL 15).
    """
    if target.tls:
        context = context or tls.create_default_context()
        if fingerprint is not None:
            context.check_hostname = False
            context.verify_mode = tls.CERT_NONE
        context.set_alpn_protocols(["http/1.1" if target.websocket else ALPN])
    try:
        reader, writer = await asyncio.open_connection(
            target.host, target.port, ssl=context if target.tls else None, limit=CHUNK_BYTES
        )
    except (OSError, tls.SSLError, UnicodeError) as error:
        foreign = isinstance(error, tls.SSLError) and "NO_APPLICATION_PROTOCOL" in str(error)
        raise EndedError(Failure(f"no connection: {error}", foreign=foreign)) from None
    try:
        if target.tls and fingerprint is not None:
            shown = writer.get_extra_info("ssl_object").getpeercert(True) or b""
            if not hmac.compare_digest(hashlib.sha256(shown).digest(), fingerprint):
                raise EndedError(Failure("the server shows another certificate"))
        if target.websocket:
            return await _upgrade(target, reader, writer)
        if target.tls and writer.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
            raise EndedError(Failure("what answers is not Tickwire", foreign=True))
        return Connection(reader, writer)
    except BaseException:
        writer.transport.abort()
        raise


async def _upgrade(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> WebSocketConnection:
    """Asks for a WebSocket (PROTOCOL 4.2)."""
    protocol = ClientProtocol(parse_uri(target.url), subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=WEBSOCKET_BYTES)
    connection = WebSocketConnection(reader, writer, protocol)
    protocol.send_request(protocol.connect())
    connection._say()
    while True:
        try:
            data = await reader.read(CHUNK_BYTES)
        except (OSError, tls.SSLError) as error:
            raise EndedError(Failure(f"the connection broke: {error}")) from None
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        if protocol.handshake_exc is not None:
            raise EndedError(_refusal(protocol.handshake_exc, ended=not data))
        if protocol.state is not State.CONNECTING:
            break
        if not data:
            raise EndedError(Failure("the connection ended"))
    # The answer is the first event; what came behind it are messages already.
    events = protocol.events_received()
    assert isinstance(events[0], Response)
    if protocol.subprotocol != SUBPROTOCOL:
        raise EndedError(Failure("what answers is not Tickwire", foreign=True))
    protocol.events = events[1:]
    connection._take()
    return connection


def _refusal(error: Exception, ended: bool) -> Failure:
    """What an answer means that is no WebSocket (SPEC 2)."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        told = error.response.headers.get("Retry-After")
        return Failure(f"HTTP {status} instead of a WebSocket", status=status, retry_after=_seconds(told))
    if isinstance(error, InvalidMessage) and (ended or isinstance(error.__cause__, EOFError)):
        return Failure("the connection ended before it was answered")
    return Failure(f"what answers is no WebSocket of Tickwire: {type(error).__name__}", foreign=True)


def _seconds(told: Optional[str]) -> Optional[float]:
    """Retry-After: seconds, or a date."""
    if told is None:
        return None
    if told.isascii() and told.isdigit():
        return float(told[:9])
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    return None

"""A Tickwire client on the `websockets` package, or on a bare socket, written from PROTOCOL.md.

`Client` connects a `Session` to a server, and connects it again: the session goes on, section 12.2.

    python3 client_websockets.py ws://127.0.0.1:7070/ws arena hello
    python3 client_websockets.py tcp://127.0.0.1:7071 arena hello
"""
from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from session import Session

SUBPROTOCOL = "tickwire.v1"
MAGIC = bytes.fromhex("d7545701")


class Client:
    """One session, over one connection after the other."""

    def __init__(self, report):
        self.report = report
        self.session = Session(self.put, report)
        self.outgoing: asyncio.Queue | None = None  # there is none between two connections
        self.transport = None
        self.cutting = False

    def put(self, data):
        if self.outgoing is not None:
            self.outgoing.put_nowait(data)

    def send(self, *frames):
        """Sends frames, names and arguments for codec.py, in one chunk. While there is no connection the session
        keeps those that it sends again."""
        self.put(b"".join(self.session.say(name, args) for name, args in frames))

    def stop(self):
        """Closes the connection behind what is still to be sent."""
        self.put(None)

    def cut(self):
        """Ends the connection without a word."""
        self.cutting = True
        if self.transport is not None:
            self.transport.abort()

    async def run(self, url: str, subprotocol: str | None = SUBPROTOCOL):
        """Connects, and reports until the connection has ended."""
        self.outgoing, self.cutting = asyncio.Queue(), False
        run = self.run_tcp(url) if url.startswith("tcp://") else self.run_websocket(url, subprotocol)
        try:
            end = await run
        except InvalidStatus as error:
            end = {"status": error.response.status_code}
        except (OSError, InvalidHandshake, asyncio.TimeoutError) as error:
            end = {"text": str(error)}
        self.outgoing = self.transport = None
        self.report({"ev": "cut"} if self.cutting else {"ev": "end", **end})

    async def run_websocket(self, url: str, subprotocol: str | None) -> dict:
        wanted = [subprotocol] if subprotocol else None
        async with connect(url, subprotocols=wanted, compression=None, ping_interval=None, proxy=None,
                           open_timeout=5, close_timeout=5) as socket:
            if socket.subprotocol != subprotocol:
                self.session.violation(f"the server picked subprotocol {socket.subprotocol}")
            self.transport = socket.transport
            writer = asyncio.ensure_future(self.write(socket.send, socket.close))
            try:
                async for message in socket:
                    self.session.message(message)
            except ConnectionClosed:
                pass
            finally:
                writer.cancel()
            return {"code": socket.close_code, "text": socket.close_reason}

    async def run_tcp(self, url: str) -> dict:
        host, port = url.removeprefix("tcp://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        self.transport = writer.transport
        writer.write(MAGIC)

        async def send(data):
            writer.write(data)
            await writer.drain()

        async def close():
            writer.close()

        sending = asyncio.ensure_future(self.write(send, close))
        try:
            while True:
                header = await reader.readexactly(4)
                self.session.message(header + await reader.readexactly(int.from_bytes(header[1:3], "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return {}
        finally:
            sending.cancel()
            writer.close()

    async def write(self, send, close):
        try:
            while (message := await self.outgoing.get()) is not None:
                await send(message)
            await close()
        except (ConnectionClosed, ConnectionError):
            pass


async def main(url: str, room: str, text: str):
    client = Client(print)
    running = asyncio.ensure_future(client.run(url))
    await asyncio.sleep(0)  # until it has begun
    client.send(("hello", {}), ("join", {"name": room}), ("event", {"payload": text.encode()}))
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))

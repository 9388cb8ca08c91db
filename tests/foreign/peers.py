"""The kinds of client behind one interface, for the scenarios.

A peer sends frames by name, `await peer.send(say("event", payload=b"hi"))`, keeps a log of the events its client
reports, and waits for them with a timeout.
"""
from __future__ import annotations

import asyncio
import json
import os
import threading

import minimal_tcp

TIMEOUT = 5
HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """What a scenario found wrong."""


def say(frame: str, **args):
    """A frame to send, by the name it has in codec.py and codec.mjs."""
    return frame, args


def matches(event: dict, wanted: dict) -> bool:
    return all(event.get(key) == value for key, value in wanted.items())


class Peer:
    def __init__(self):
        self.log: list[dict] = []
        self.mark = 0  # expect() has consumed the log up to here
        self.changed = asyncio.Event()

    def record(self, event: dict):
        self.log.append(event)
        self.changed.set()

    def seen(self, **wanted) -> list[dict]:
        """All events so far that match."""
        return [event for event in self.log if matches(event, wanted)]

    async def expect(self, **wanted) -> dict:
        """Waits for the next event that matches, behind the one that was expected last."""
        return (await self.collect(1, **wanted))[0]

    async def collect(self, number: int, /, **wanted) -> list[dict]:
        """Waits for the next `number` events that match."""
        found, deadline = [], asyncio.get_running_loop().time() + TIMEOUT
        while True:
            while self.mark < len(self.log):
                event = self.log[self.mark]
                self.mark += 1
                if matches(event, wanted):
                    found.append(event)
                if len(found) == number:
                    return found
            if self.seen(ev="end"):
                raise Failure(f"ended while waiting for {wanted}; {self.last()}")
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), deadline - asyncio.get_running_loop().time())
            except asyncio.TimeoutError:
                raise Failure(f"no {wanted} in {TIMEOUT} s, {len(found)} of {number} came; {self.last()}") from None

    def last(self) -> str:
        return f"last seen: {self.log[-3:]}"


class MinimalPeer(Peer):
    """The blocking TCP client, read by a thread of its own. It joins its room while it connects."""

    ENCODERS = {"event": minimal_tcp.event, "value": minimal_tcp.value, "raw": lambda data: data}

    @classmethod
    async def open(cls, address: str, room: str, *first, reads: bool = True):
        """Without `reads` it only connects, until `begin` lets it read."""
        peer = cls()
        host, port = address.rsplit(":", 1)
        loop = asyncio.get_running_loop()
        chunk = b"".join(cls.encode(frame) for frame in first)
        try:
            peer.client = await loop.run_in_executor(None, minimal_tcp.MinimalClient, host, int(port), room, chunk)
        except OSError as error:
            raise Failure(f"no connection to {address}: {error}") from None
        if reads:
            peer.begin()
        return peer

    def begin(self):
        threading.Thread(target=self.read, args=(asyncio.get_running_loop(),), daemon=True).start()

    @classmethod
    def encode(cls, frame) -> bytes:
        name, args = frame
        return cls.ENCODERS[name](**args)

    def read(self, loop):
        end = {"ev": "end"}
        try:
            for event in self.client.messages():
                loop.call_soon_threadsafe(self.record, event)
        except (OSError, ValueError) as error:
            end["text"] = str(error)
        try:
            loop.call_soon_threadsafe(self.record, end)
        except RuntimeError:
            pass  # the loop has ended before this connection

    async def send(self, *frames):
        self.client.send(b"".join(self.encode(frame) for frame in frames))

    async def stop(self):
        try:
            self.client.socket.shutdown(2)
        except OSError:
            pass  # the server was faster
        self.client.socket.close()


class WebsocketsPeer(Peer):
    """The `websockets` client, in this process; over TCP where the address says so."""

    @classmethod
    async def open(cls, url: str, subprotocol: str = "tickwire.v1"):
        from client_websockets import Client

        peer = cls()
        peer.client = Client(peer.record)
        peer.task = asyncio.ensure_future(peer.client.run(url, subprotocol))
        await asyncio.sleep(0)  # until it has begun, so that frames wait for its connection
        return peer

    async def send(self, *frames):
        self.client.send(*frames)

    async def send_text(self, text: str):
        self.client.put(text)

    async def ping(self, extensions=()):
        self.client.session.ping(extensions)

    async def state(self, handle: int = 1) -> dict:
        return self.client.session.state(handle)

    async def cut(self):
        self.client.cut()
        await self.expect(ev="cut")

    async def again(self, url: str, hello: dict, handles=(1,)):
        session = self.client.session
        self.task = asyncio.ensure_future(self.client.run(url))
        await asyncio.sleep(0)
        self.client.put(session.hello_again(hello) + b"".join(session.join_again(handle) for handle in handles))

    async def stop(self):
        self.client.stop()
        await asyncio.wait([self.task], timeout=TIMEOUT)
        self.task.cancel()


class NodePeer(Peer):
    """The `ws` client, in a Node process that speaks JSON lines."""

    @classmethod
    async def open(cls, url: str, subprotocol: str = "tickwire.v1"):
        peer = cls()
        peer.process = await asyncio.create_subprocess_exec(
            "node", os.path.join(HERE, "client_ws.mjs"), url, subprotocol,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20)
        peer.task = asyncio.ensure_future(peer.read())
        return peer

    async def read(self):
        async for line in self.process.stdout:
            self.record(json.loads(line, object_hook=self.read_bytes))
        if not self.seen(ev="end"):
            self.record({"ev": "end", "text": "the Node process has ended"})

    @staticmethod
    def read_bytes(found: dict):
        return bytes.fromhex(found["hex"]) if set(found) == {"hex"} else found

    @staticmethod
    def write_bytes(data: bytes) -> dict:
        return {"hex": data.hex()}

    async def order(self, **order):
        if self.process.stdin.is_closing():
            raise Failure("the Node process takes no more orders")
        self.process.stdin.write(json.dumps(order, default=self.write_bytes).encode() + b"\n")
        await self.process.stdin.drain()

    async def send(self, *frames):
        await self.order(send=frames)

    async def send_text(self, text: str):
        await self.order(text=text)

    async def ping(self, extensions=()):
        await self.order(ping={"extensions": list(extensions)})

    async def state(self, handle: int = 1) -> dict:
        await self.order(state=handle)
        return await self.expect(ev="state")

    async def cut(self):
        await self.order(cut=True)
        await self.expect(ev="cut")

    async def again(self, url: str, hello: dict, handles=(1,)):
        await self.order(again={"url": url, "hello": hello, "handles": list(handles)})

    async def stop(self):
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), TIMEOUT)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        await asyncio.wait([self.task], timeout=TIMEOUT)


FULL = {"websockets": WebsocketsPeer, "tcp": WebsocketsPeer, "node": NodePeer}

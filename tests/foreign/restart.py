"""A restart with clients that were written from PROTOCOL.md alone: section 6.9, and what comes after it (12.1).

    python3 tests/foreign/restart.py target/release/tickwire

Starts servers of its own on free ports. Everything accepted comes before the notice, which names the last
position; then nothing is taken; and the server that comes answers with another epoch and a snapshot.
"""
from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time

from peers import Failure, say
from scenarios import Stage, check, equal

PERIOD = "10s"  # no tick comes: what is sent is sent because the server goes
KINDS = ("websockets", "tcp", "node")


def free_ports() -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


async def serve(program: str, ws: int, tcp: int):
    """A server that takes connections."""
    arguments = ["serve", "--listen", f"127.0.0.1:{ws}", "--tcp", f"127.0.0.1:{tcp}", "--no-admin", "--tick", PERIOD]
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", tcp), 1).close()
            return process
        except OSError:
            await asyncio.sleep(0.02)
    raise Failure("the server does not start")


async def restart(program: str, kind: str):
    """One kind of client through a restart."""
    ws, tcp = free_ports()
    stage = Stage(kind, f"ws://127.0.0.1:{ws}/ws", f"127.0.0.1:{tcp}", f"restart-{kind}")
    first = await serve(program, ws, tcp)
    try:
        one, two = await stage.enter(), await stage.enter()
        payloads = [b"%d" % number for number in range(20)]
        await one.send(*(say("event", payload=payload) for payload in payloads))
        await one.send(say("presence", data=b"done"))  # answered when all before it was taken
        await one.expect(ev="done")
        first.send_signal(signal.SIGTERM)
        began = time.monotonic()
        notice = await two.expect(ev="going_away")
        heard = two.seen(ev="event")
        equal([event["payload"] for event in heard], payloads, "events before the notice")
        equal(notice["positions"], [[two.room, heard[-1]["position"]]], "final positions")
        check(0 < notice["closes"] <= 2000 < 3000 <= notice["reconnect"] + 100, f"times: {notice}")
        await two.send(say("event", payload=b"late"))
        await two.expect(ev="refused", reason=100)
        epoch, position = two.joined["epoch"], heard[-1]["position"]
        await stage.stop()
        equal(await first.wait(), 0, "exit status")
        second = await serve(program, ws, tcp)
        try:
            await asyncio.sleep(max(0.0, began + notice["reconnect"] / 1000 - time.monotonic()))
            back = await stage.connect()
            await back.send(say("hello"), say("join", name=stage.room, since=[epoch, position]))
            joined = await back.expect(ev="joined", outcome=2)
            check(joined["epoch"] != epoch, "the epoch is the old one")
            await back.expect(ev="snapshot", room=joined["room"])
            stage.check_promises()
            await stage.stop()
        finally:
            second.terminate()
            await second.wait()
    finally:
        if first.returncode is None:
            first.kill()
            await first.wait()


async def main(program: str) -> int:
    failed = 0
    for kind in KINDS:
        try:
            await asyncio.wait_for(restart(program, kind), 60)
            print(f"ok    {kind:10}  {restart.__doc__}", flush=True)
        except (Failure, asyncio.TimeoutError) as problem:
            failed += 1
            print(f"FAIL  {kind:10}  {restart.__doc__}\n      {problem!r}", flush=True)
    print(f"{len(KINDS) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))

"""How many events one client takes in a second.

    python examples/measure.py ws://127.0.0.1:7070

A second process publishes them; the time runs from the first event that comes to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time

from tickwire import Client, QueueFullError


async def publish(url: str, name: str, events: int, size: int) -> None:
    async with Client(url) as client:
        room = await client.join(name, receive=False)
        for number in range(events):
            while True:
                try:
                    room.publish(b"%d" % number + b" " * (size - len(str(number))))
                    break
                except QueueFullError:
                    await asyncio.sleep(0.001)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await client.drain()


async def receive(url: str, name: str, events: int, size: int) -> None:
    async with Client(url) as client:
        room = await client.join(name, publish=False)
        command = [sys.executable, __file__, url, "--publish", name, "--events", str(events), "--size", str(size)]
        publisher = subprocess.Popen(command)
        try:
            began = busy = 0.0
            seen = 0
            async for batch in room.ticks():
                if not seen:
                    began, busy = time.perf_counter(), time.process_time()
                seen += len(batch.events)
                if seen >= events:
                    break
            took, worked = time.perf_counter() - began, time.process_time() - busy
        finally:
            publisher.wait()
        print(f"{events} events of {size} bytes in {took:.2f} s: {events / took:.0f} a second")
        print(f"the receiver was busy for {worked:.2f} s: {events / max(worked, 1e-6):.0f} a second of its own time")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url")
    arguments.add_argument("--events", type=int, default=200_000)
    arguments.add_argument("--size", type=int, default=32)
    arguments.add_argument("--publish", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.publish:
        asyncio.run(publish(given.url, given.publish, given.events, given.size))
    else:
        asyncio.run(receive(given.url, f"measure/{os.getpid()}", given.events, given.size))

"""A sensor: publishes a reading every second, and survives whatever happens to the server.

    python examples/sensor.py tcp://127.0.0.1:7071 sensors

While there is no connection readings wait, up to a thousand; beyond that the newest are dropped, and it says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time

from tickwire import Client, QueueFullError, State, StateChange


def tell(notice: object) -> None:
    if isinstance(notice, StateChange) and notice.after is not State.CLOSED and notice.reason:
        print(f"{notice.after.value}: {notice.text}", file=sys.stderr)


async def main(url: str, name: str, every: float, count: int) -> None:
    celsius = 21.0
    async with Client(url) as client:
        client.handle(tell)
        room = client.join(name, receive=False)
        sent = 0
        while sent < count or not count:
            celsius += random.uniform(-0.1, 0.1)
            try:
                room.publish(json.dumps({"at": round(time.time(), 3), "celsius": round(celsius, 2)}))
            except QueueFullError as full:
                print(f"a reading is lost: {full}", file=sys.stderr)
            sent += 1
            await asyncio.sleep(every)
        await client.drain()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url")
    arguments.add_argument("room")
    arguments.add_argument("--every", type=float, default=1.0, help="seconds between two readings")
    arguments.add_argument("--count", type=int, default=0, help="readings, 0 for no end")
    given = arguments.parse_args()
    asyncio.run(main(given.url, given.room, given.every, given.count))

"""A watcher: prints what is published in a room, and what was missed.

python examples/watch.py ws://127.0.0.1:7070 sensors
"""

from __future__ import annotations

import argparse
import asyncio

from tickwire import Client, Event, Outcome


async def main(url: str, name: str, count: int) -> None:
    async with Client(url) as client, client.join(name, publish=False) as room:
        seen = 0
        async for item in room.messages():
            if isinstance(item, Event):
                # Whatever comes is somebody's word: `ascii` leaves nothing that a terminal interprets.
                text = ascii(item.payload.decode("utf-8", "replace"))[1:-1]
                print(f"tick {item.tick}: member {item.member} sent {text}", flush=True)
                seen += 1
                if seen == count:
                    return
            elif isinstance(item, Outcome):
                lost = f": {item.last - item.first + 1} batches are lost" if item.kind == "gap" else ""
                print(f"{item.kind}{lost}", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url")
    arguments.add_argument("room")
    arguments.add_argument("--count", type=int, default=0, help="events, 0 for no end")
    given = arguments.parse_args()
    asyncio.run(main(given.url, given.room, given.count))

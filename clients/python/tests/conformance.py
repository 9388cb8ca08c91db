"""The runner of clients/conformance: plays every scenario against `tickwire conformance`.

```text
python tests/conformance.py --tickwire target/debug/tickwire [--transport websocket|tcp] [--only TEXT]
```

Prints a line for each scenario, and last how many passed, failed and were skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, List, Optional, Tuple

from tickwire import Client, Event, Notice, Outcome, Room, RoomChange, StateChange, TickwireError

CAPABLE = {"presence", "reconnect", "queue", "pause", "tokens", "http"}
SCENARIO = 30.0  # Seconds for a whole scenario, and for one step of it.
STEP = 10.0

Json = Dict[str, Any]


class Mismatch(Exception):
    """What was expected did not come."""


class Control:
    """The control port."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def post(self, path: str, body: Json) -> Tuple[int, Json]:
        def call() -> Tuple[int, Json]:
            request = urllib.request.Request(self.url + path, json.dumps(body).encode(), method="POST")
            # What the environment says of proxies does not concern loopback.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(request, timeout=STEP) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as error:
                return error.code, json.loads(error.read())

        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def must(self, path: str, body: Json) -> Json:
        status, answer = await self.post(path, body)
        if status != 200:
            raise Mismatch(f"{path} answered {status} {answer}")
        return answer

    async def verify(self, path: str, body: Json) -> None:
        while True:
            status, answer = await self.post(path, body)
            if status == 200:
                return
            if status != 409:
                raise Mismatch(f"{path} answered {status} {answer}")
            last_look[0] = f"{path}: {answer}"
            await asyncio.sleep(0.02)


last_look = [""]  # What the control port said, for who reads why a step did not end.


class Player:
    """One scenario: a client, and what it told."""

    def __init__(self, url: str, control: Control, scenario: Json) -> None:
        self.url = url
        self.control = control
        self.scenario = scenario
        self.tokens = 0
        self.states: List[StateChange] = []
        self.errors: List[TickwireError] = []
        self.room_states: Dict[str, List[RoomChange]] = {}
        self.events: Dict[str, List[Event]] = {}
        self.outcomes: Dict[str, List[Outcome]] = {}
        self.client: Optional[Client] = None
        self.heard: Dict[str, Room] = {}
        self.news = asyncio.Event()

    async def play(self) -> None:
        await self.control.must("/reset", self.scenario["server"])
        # The options of the client stand in the step that connects, which may come behind joins.
        options: Json = next((step["connect"] for step in self.scenario["steps"] if "connect" in step), {})
        self.client = self.make(options)
        for number, step in enumerate(self.scenario["steps"]):
            try:
                last_look[0] = ""
                await asyncio.wait_for(self.step(step), STEP)
            except asyncio.TimeoutError:
                raise Mismatch(f"step {number} {step}: not within {STEP:g} s. {last_look[0]} {self.told()}") from None
            except Mismatch as error:
                raise Mismatch(f"step {number} {step}: {error}. {self.told()}") from None

    def make(self, options: Json) -> Client:
        wanted = options.get("tokens")

        async def token() -> Optional[str]:
            assert wanted is not None
            which = wanted[min(self.tokens, len(wanted) - 1)]
            self.tokens += 1
            self.news.set()
            if which is None:
                return None
            made = await self.control.must("/token", which)
            return str(made["token"])

        more = {"queue_messages": options["queue_messages"]} if "queue_messages" in options else {}
        client = Client(self.url, token=token if wanted is not None else None, **more)
        client.handle(self.notice)
        return client

    def told(self) -> str:
        states = [f"{change.after.value} {change.reason}" for change in self.states]
        rooms = {name: [f"{c.after.value} {c.reason}" for c in changes] for name, changes in self.room_states.items()}
        return f"Told: {states} {rooms} {self.outcomes} {self.errors}"

    def notice(self, notice: Notice) -> None:
        if isinstance(notice, StateChange):
            self.states.append(notice)
        elif isinstance(notice, RoomChange):
            self.room_states.setdefault(notice.room, []).append(notice)
        elif isinstance(notice, TickwireError):
            self.errors.append(notice)
        self.news.set()

    def room(self, name: str) -> Room:
        assert self.client is not None
        if name not in self.heard:
            room = self.heard[name] = self.client.room(name)
            self.events[name], self.outcomes[name] = [], []

            def item(item: object) -> None:
                if isinstance(item, Event):
                    self.events[name].append(item)
                elif isinstance(item, Outcome):
                    self.outcomes[name].append(item)
                self.news.set()

            room.handle(item)
        return self.heard[name]

    async def until(self, fits: Callable[[], bool]) -> None:
        """Waits until something told makes it fit."""
        while not fits():
            self.news.clear()
            await self.news.wait()

    async def step(self, step: Json) -> None:
        client = self.client
        assert client is not None
        if "connect" in step:
            client.connect()
        elif "join" in step:
            name = step["join"]
            self.room(name)
            client.join(name, echo=True, receive=step.get("as") != "publisher")
        elif "leave" in step:
            self.room(step["leave"]).leave()
        elif "pause" in step:
            await self.room(step["pause"]).pause()
        elif "unpause" in step:
            await self.room(step["unpause"]).unpause()
        elif "publish" in step:
            self.publish(step)
        elif "set" in step:
            name, key, text = step["set"]
            self.room(name).set(key, text)
        elif "disconnect" in step:
            await client.disconnect()
        elif "close" in step:
            await client.close()
        elif "control" in step:
            await self.control.must(step["control"], step.get("body", {}))
        elif "verify" in step:
            await self.control.verify(step["verify"], step.get("body", {}))
        else:
            await self.expect(step)

    def publish(self, step: Json) -> None:
        name, text = step["publish"]
        try:
            self.room(name).publish(text, policy=step.get("policy", "reliable"))
        except TickwireError as error:
            if error.kind != step.get("throws"):
                raise Mismatch(f"publishing failed: {error}") from None
        else:
            if "throws" in step:
                raise Mismatch("publishing did not fail")

    async def expect(self, step: Json) -> None:
        what = step["expect"]
        if what == "state":
            await self.skip_to(lambda: self.states, step)
        elif what == "room":
            await self.skip_to(lambda: self.room_states.setdefault(step["room"], []), step)
        elif what == "error":
            await self.until(lambda: self.take_first(self.errors, lambda error: error.kind == step["is"]))
        elif what == "tokens":
            await self.until(lambda: self.tokens >= step["count"])
            if self.tokens != step["count"]:
                raise Mismatch(f"{self.tokens} tokens")
        else:
            await self.expect_of_room(what, step)

    async def expect_of_room(self, what: str, step: Json) -> None:
        room = self.room(step["room"])
        events, outcomes = self.events[room.name], self.outcomes[room.name]
        if what == "events":
            texts = [text.encode() for text in step["texts"]]
            await self.until(lambda: len(events) >= len(texts) or self.differs(events, texts))
            if self.differs(events, texts):
                raise Mismatch(f"{[event.payload for event in events]}")
            del events[: len(texts)]
        elif what == "event":
            text = step["text"].encode()
            await self.until(lambda: self.take_first(events, lambda event: event.payload == text))
        elif what == "none":
            if events:
                raise Mismatch(f"{events}")
        elif what == "value":
            text = None if step["text"] is None else step["text"].encode()
            await self.until(lambda: self.value(room, step["key"]) == text)
        elif what == "outcome":
            await self.until(lambda: bool(outcomes))
            outcome = outcomes.pop(0)
            if step["is"] not in ("any", outcome.kind):
                raise Mismatch(f"{outcome}")
        elif what == "members":
            await self.until(lambda: len(room.members) == step["count"])
        else:
            raise Mismatch("a step that this runner does not know")

    async def skip_to(self, queue: Callable[[], List[Any]], step: Json) -> None:
        def fits(change: Any) -> bool:
            return bool(change.after.value == step["is"] and step.get("reason", change.reason) == change.reason)

        await self.until(lambda: self.take_first(queue(), fits))

    @staticmethod
    def take_first(queue: List[Any], fits: Callable[[Any], bool]) -> bool:
        """Takes the first that fits, and what is before it."""
        for index, item in enumerate(queue):
            if fits(item):
                del queue[: index + 1]
                return True
        return False

    @staticmethod
    def differs(events: List[Event], texts: List[bytes]) -> bool:
        return any(event.payload != text for event, text in zip(events, texts))

    @staticmethod
    def value(room: Room, key: int) -> Optional[bytes]:
        return next((value for (_, number), value in room.values.items() if number == key), None)


async def run(places: Json, transport: str, only: str) -> Tuple[int, int, int]:
    control = Control(places["control"])
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(places["control"] + "/scenarios") as answer:
        scenarios = json.loads(answer.read())
    passed = failed = skipped = 0
    for scenario in scenarios:
        if only not in scenario["name"]:
            continue
        missing = set(scenario["needs"]) - CAPABLE - {transport}
        if missing:
            print(f"skipped {transport}: {scenario['name']}: needs {', '.join(sorted(missing))}", flush=True)
            skipped += 1
            continue
        player = Player(places[transport], control, scenario)
        try:
            await asyncio.wait_for(player.play(), SCENARIO)
            print(f"passed  {transport}: {scenario['name']}", flush=True)
            passed += 1
        except (Mismatch, asyncio.TimeoutError, TickwireError) as error:
            print(f"FAILED  {transport}: {scenario['name']}: {type(error).__name__} {error}", flush=True)
            failed += 1
        finally:
            if player.client is not None:
                await player.client.close()
    return passed, failed, skipped


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tickwire", required=True, help="the program")
    arguments.add_argument("--transport", choices=["websocket", "tcp"], action="append")
    arguments.add_argument("--only", default="", help="only scenarios whose names contain this")
    given = arguments.parse_args()
    # A server takes every variable that begins with its name for configuration.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
    command = [given.tickwire, "conformance"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        places = json.loads(server.stdout.readline())
        total = [0, 0, 0]
        for transport in given.transport or ["websocket", "tcp"]:
            for index, count in enumerate(asyncio.run(run(places, transport, given.only))):
                total[index] += count
    finally:
        server.stdin.close()
        server.wait(10)
    print(f"conformance: {total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Plays the scenarios of clients/conformance with the C client: 

    python3 conformance.py tickwire build/driver [--sensor] [part of a name]..

With --sensor the driver is one that was compiled with TICKWIRE_SENSOR, and what is not for sensors is skipped with its reason.
Python 3.9 or later, nothing to install. The driver is a process for each scenario; what it tells is sorted into queues.
"""

import collections
import json
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

CAN = {"reconnect", "queue", "presence", "pause", "tokens"}
WHY_NOT = {"websocket": "the client speaks TCP", "http": "the client speaks TCP"}
EXPECT_S, SCENARIO_S = 10, 30
# What a sensor leaves out, by what a scenario needs, and by what its steps say.
NOT_FOR_SENSORS = {
    "presence": "a sensor is not told who is there",
    "pause": "a sensor does not pause",
    "queue": "a sensor queues nothing while it is not joined",
}


def not_for_sensors(scenario):
    """Why a sensor does not play this scenario, or None."""
    for need in scenario["needs"]:
        if need in NOT_FOR_SENSORS:
            return NOT_FOR_SENSORS[need]
    for step in scenario["steps"]:
        if "leave" in step:
            return "a sensor does not leave rooms"
        if step.get("expect") == "outcome" and step["is"] in ("recovered", "gap"):
            return "a sensor does not catch up: every join that comes back is a snapshot"
        if step.get("expect") == "tokens" or len(step.get("connect", {}).get("tokens", [])) > 1:
            return "a sensor has one token"
    return None

# A message of one byte in `out`: header, handle, byte.
SMALL_MESSAGE = 6


class Failed(Exception):
    pass


class Server:
    def __init__(self, tickwire):
        self.process = subprocess.Popen([tickwire, "conformance"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.control, self.tcp = told["control"], urllib.parse.urlparse(told["tcp"])

    def post(self, path, body):
        """Status and answer."""
        request = urllib.request.Request(self.control + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=EXPECT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def must(self, path, body):
        status, answer = self.post(path, body)
        if status != 200:
            raise Failed(f"{path} answered {status}: {answer}")
        return answer

    def scenarios(self):
        with urllib.request.urlopen(self.control + "/scenarios", timeout=EXPECT_S) as answer:
            return json.load(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=EXPECT_S)


class Tokens:
    """The token callback of an application: each call gives the next one, the last one stays."""

    def __init__(self, server, specs):
        self.server, self.specs, self.calls = server, specs, 0

    def call(self):
        spec = self.specs[min(self.calls, len(self.specs) - 1)]
        self.calls += 1
        if spec is None:
            return None, None
        left = spec["expires_in_s"]
        # When to renew (SPEC 3).
        return self.server.must("/token", spec)["token"], left - min(30, left / 4) if left > 0 else None


class Client:
    """The driver, and what it has told. Values are kept as an application would: replaced when a snapshot is whole."""

    def __init__(self, driver, server, steps):
        options = next((step["connect"] for step in steps if "connect" in step), {})
        self.tokens = Tokens(server, options["tokens"]) if "tokens" in options else None
        renews = self.tokens is not None and options["tokens"][0] is not None
        out = options.get("queue_messages", 2000) * SMALL_MESSAGE
        command = [driver, server.tcp.hostname, str(server.tcp.port), str(out), str(int(renews))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.queues = collections.defaultdict(queue.Queue)
        self.values = collections.defaultdict(dict)
        self.coming = collections.defaultdict(dict)
        self.members = collections.defaultdict(set)
        self.lock = threading.Lock()
        self.timers = []
        threading.Thread(target=self.listen, daemon=True).start()

    def tell(self, *words):
        with self.lock:
            if self.process.poll() is None:
                self.process.stdin.write(" ".join(map(str, words)) + "\n")
                self.process.stdin.flush()

    def ask_token(self):
        token, renew = self.tokens.call()
        if token is None:
            return
        self.tell("token", token)
        if renew is not None:
            timer = threading.Timer(renew, self.ask_token)
            timer.daemon = True
            timer.start()
            self.timers.append(timer)

    def listen(self):
        for line in self.process.stdout:
            self.take(line.rstrip("\n").split(" "))
        self.queues["end"].put(True)

    def take(self, words):
        what, rest = words[0], words[1:]
        if what == "state":
            self.queues["states"].put((rest[0], int(rest[1])))
        elif what == "room":
            self.queues["room", rest[0]].put((rest[1], int(rest[2])))
        elif what == "outcome":
            self.queues["outcome", rest[0]].put(rest[1])
        elif what == "event":
            self.queues["events", rest[0]].put(bytes.fromhex(rest[1]).decode())
        elif what == "snapshot":
            room, begins, kind = rest
            if kind == "4" and begins == "1":
                self.coming[room] = {}
            elif kind == "4":
                self.values[room] = self.coming.pop(room, {})
            elif begins == "1":
                self.members[room] = set()
        elif what == "value":
            room, member, key, snapshot, payload = rest
            held = self.coming[room] if snapshot == "1" else self.values[room]
            name = (0 if int(key) % 2 else int(member), int(key))
            held[name] = bytes.fromhex(payload).decode()
            if not payload:
                del held[name]
        elif what == "presence":
            (self.members[rest[0]].discard if rest[2] == "3" else self.members[rest[0]].add)(rest[1])
        elif what == "token":
            self.ask_token()
        else:
            self.queues[what].put(rest[0] if rest else "")

    def value(self, room, key):
        found = [text for (_, wire), text in list(self.values[room].items()) if wire // 2 == key]
        return found[0] if found else None

    def end(self):
        for timer in self.timers:
            timer.cancel()
        self.tell("close")
        with self.lock:
            self.process.stdin.close()
        self.process.wait(timeout=EXPECT_S)


class Scenario:
    def __init__(self, server, driver, scenario):
        self.server, self.steps = server, scenario["steps"]
        server.must("/reset", scenario["server"])
        self.client = Client(driver, server, self.steps)
        self.deadline = time.monotonic() + SCENARIO_S

    def play(self):
        try:
            for number, step in enumerate(self.steps):
                try:
                    self.step(step)
                except Failed as failed:
                    raise Failed(f"step {number} {json.dumps(step)}: {failed}") from None
        finally:
            self.client.end()

    def step(self, step):
        client = self.client
        if "connect" in step:
            if client.tokens:
                client.ask_token()
            client.tell("connect")
        elif "join" in step:
            # Publish, receive and see who is there; with echo.
            client.tell("join", step["join"], 1 | 0x80 if step.get("as") == "publisher" else 7 | 0x80)
        elif "leave" in step:
            client.tell("leave", step["leave"])
        elif "pause" in step or "unpause" in step:
            verb = "pause" if "pause" in step else "unpause"
            client.tell(verb, step[verb])
            self.get("done")
        elif "publish" in step:
            room, text = step["publish"]
            client.tell("publish", room, int(step.get("policy") == "drop"), text.encode().hex())
            self.expect_result(step)
        elif "set" in step:
            room, key, text = step["set"]
            client.tell("set", room, key, text.encode().hex())
            self.expect_result(step)
        elif "disconnect" in step or "close" in step:
            client.tell("disconnect" if "disconnect" in step else "close")
        elif "control" in step:
            self.server.must(step["control"], step.get("body", {}))
        elif "verify" in step:
            self.until(lambda: self.verified(step))
        else:
            getattr(self, "expect_" + step["expect"])(step)

    def expect_result(self, step):
        wanted = step.get("throws") or ("dropped" if step.get("policy") == "drop" else "ok")
        result = self.get("result")
        if result != wanted and not (result == "ok" and wanted == "dropped"):
            raise Failed(f"the call said {result}")

    def verified(self, step):
        status, answer = self.server.post(step["verify"], step.get("body", {}))
        if status not in (200, 409):
            raise Failed(f"answered {status}: {answer}")
        return None if status == 200 else answer

    def until(self, look):
        """Waits until `look` finds nothing to complain about."""
        end = min(time.monotonic() + EXPECT_S, self.deadline)
        while (complaint := look()) is not None:
            if time.monotonic() > end:
                raise Failed(complaint)
            time.sleep(0.02)

    def get(self, name):
        try:
            return self.client.queues[name].get(timeout=max(0.0, min(EXPECT_S, self.deadline - time.monotonic())))
        except queue.Empty:
            raise Failed("nothing came") from None

    def skip_to(self, name, step):
        seen = []
        while True:
            try:
                one = self.get(name)
            except Failed:
                raise Failed(f"seen {seen}") from None
            seen.append(one)
            state, reason = one if isinstance(one, tuple) else (one, None)
            if state == step["is"] and step.get("reason") in (None, reason):
                return

    def expect_state(self, step):
        self.skip_to("states", step)

    def expect_room(self, step):
        self.skip_to(("room", step["room"]), step)

    def expect_error(self, step):
        self.skip_to("error", step)

    def expect_events(self, step):
        for text in step["texts"]:
            found = self.get(("events", step["room"]))
            if found != text:
                raise Failed(f"{found!r} came instead of {text!r}")

    def expect_event(self, step):
        while self.get(("events", step["room"])) != step["text"]:
            pass

    def expect_none(self, step):
        if not self.client.queues["events", step["room"]].empty():
            raise Failed(f'{self.client.queues["events", step["room"]].get()!r} is there')

    def expect_outcome(self, step):
        found = self.get(("outcome", step["room"]))
        if step["is"] not in ("any", found):
            raise Failed(f"it was {found}")

    def expect_value(self, step):
        look = lambda: self.client.value(step["room"], step["key"])
        self.until(lambda: None if look() == step["text"] else f"it is {look()!r}")

    def expect_members(self, step):
        look = lambda: len(self.client.members[step["room"]])
        self.until(lambda: None if look() == step["count"] else f"they are {look()}")

    def expect_tokens(self, step):
        self.until(lambda: None if self.client.tokens.calls == step["count"] else f"it was {self.client.tokens.calls}")


def main():
    tickwire, driver, *only = sys.argv[1:]
    sensor = "--sensor" in only
    only = [part for part in only if part != "--sensor"]
    server = Server(tickwire)
    counts = collections.Counter()
    for scenario in server.scenarios():
        if only and not any(part in scenario["name"] for part in only):
            continue
        cannot = [need for need in scenario["needs"] if need not in CAN]
        began = time.monotonic()
        unfit = not_for_sensors(scenario) if sensor else None
        try:
            if unfit:
                result, note = "left out", f": {unfit}"
            elif cannot:
                result, note = "skipped", f": {WHY_NOT.get(cannot[0], 'needs ' + cannot[0])}"
            else:
                Scenario(server, driver, scenario).play()
                result, note = "passed", f" ({time.monotonic() - began:.1f} s)"
        except Failed as failed:
            result, note = "failed", f": {failed}"
        counts[result] += 1
        print(f'{result} {scenario["name"]}{note}', flush=True)
    server.end()
    if sensor:
        print(f'sensor: {counts["passed"] + counts["failed"]} apply, {counts["left out"]} are not for sensors')
    print(f'conformance: {counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Attacks a server with slowhttptest, while clients of another address come and go.

    tests/slow/run.py target/release/tickwire [--require]

    127.0.0.1 --slow heads, bodies, reads, ranges--> server <--health checks, hellos-- 127.0.0.2

Fails where slowhttptest finds the service unavailable, or where a client of the other address is not served
within three seconds. The attack with more connections than an address may have keeps out its own address, whose
probe is part of it, and nobody else. Without slowhttptest nothing is attacked: it says so and succeeds, or
fails with --require.
"""

import csv
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
HTTP, TCP = ("127.0.0.1", 17070), ("127.0.0.1", 17071)
# What a client may wait for its answer: far above what an idle server takes, far below what a person notices.
PATIENCE = 3.0

# Name, options, and whether slowhttptest's own probe must be served: its address has 250 places without hello.
ATTACKS = [
    ("slow heads", ["-H", "-c", "200", "-r", "200", "-i", "1"], "/healthz", True),
    ("slow heads of upgrades", ["-H", "-c", "200", "-r", "200", "-i", "1", "-x", "8"], "/ws", False),
    ("slow bodies", ["-B", "-c", "200", "-r", "200", "-i", "1", "-s", "8192"], "/healthz", True),
    ("slow reads", ["-X", "-c", "200", "-r", "200", "-w", "1", "-y", "8", "-n", "1", "-z", "1"], "/healthz", True),
    ("ranges", ["-R", "-c", "200", "-r", "200", "-a", "1", "-b", "3000", "-t", "HEAD"], "/healthz", True),
    ("more slow heads than an address may have", ["-H", "-c", "2000", "-r", "1000", "-i", "1"], "/healthz", False),
]


class Clients(threading.Thread):
    """Come from another address, one after the other, until they are stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.took, self.failed = [], []

    def run(self):
        # Two connections each time: below the 50 a second that an address may make.
        while not self.ended.wait(0.05):
            for come in (check_health, say_hello):
                began = time.monotonic()
                try:
                    come()
                    self.took.append(time.monotonic() - began)
                except (OSError, AssertionError) as error:
                    self.failed.append(f"{come.__name__}: {error!r}")


def connect(port):
    return socket.create_connection(port, timeout=PATIENCE, source_address=("127.0.0.2", 0))


def read(stream, enough):
    heard = b""
    while not enough(heard):
        piece = stream.recv(4096)
        assert piece, f"the end behind {heard!r}"
        heard += piece
    return heard


def check_health():
    with connect(HTTP) as stream:
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = read(stream, lambda heard: heard.endswith(b"ok\n"))
        assert heard.startswith(b"HTTP/1.1 200 "), heard


def say_hello():
    with connect(TCP) as stream:
        # The magic; HELLO by request 1 (PROTOCOL 4.1, 6.1).
        stream.sendall(bytes.fromhex("d7545701 02000500 01 01 00 00 00"))
        heard = read(stream, lambda heard: len(heard) >= 5)
        assert heard[0] == 2 and heard[4] == 2, f"no WELCOME: {heard!r}"


def attack(name, options, path, probe, scratch):
    prefix = str(scratch / name.replace(" ", "-"))
    command = ["slowhttptest", *options, "-l", "8", "-p", "3", "-g", "-o", prefix, "-v", "0"]
    clients = Clients()
    clients.start()
    done = subprocess.run([*command, "-u", f"http://127.0.0.1:{HTTP[1]}{path}"], capture_output=True, timeout=120)
    clients.ended.set()
    clients.join()
    with open(prefix + ".csv", newline="") as file:
        seconds = [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    most = max((int(row["Connected"]) for row in seconds), default=0)
    served = [row["Service Available"].strip() != "0" for row in seconds]
    took = sorted(clients.took)
    p99 = took[len(took) * 99 // 100] * 1000 if took else float("nan")
    print(
        f"{name}: at most {most} at once, service available in {sum(served)} of {len(served)} seconds; "
        f"{len(took)} others were served, {len(clients.failed)} not, p99 {p99:.1f} ms, at most "
        f"{max(took, default=0) * 1000:.1f} ms",
        flush=True,
    )
    problems = [f"{name}: {failed}" for failed in clients.failed[:3]]
    if done.returncode != 0 or not seconds or not took:
        problems.append(f"{name}: it came to nothing: {done.stdout[-500:]!r} {done.stderr[-500:]!r}")
    if probe and not all(served):
        problems.append(f"{name}: the service was not available")
    return problems


def wait_for_server():
    for _ in range(100):
        try:
            return check_health()
        except (OSError, AssertionError):
            time.sleep(0.1)
    sys.exit("the server did not come")


def main():
    if shutil.which("slowhttptest") is None:
        print("nothing is attacked: slowhttptest is not installed")
        return 1 if "--require" in sys.argv else 0
    server = subprocess.Popen([sys.argv[1], "serve", "--config", str(HERE / "server.toml")])
    try:
        wait_for_server()
        with tempfile.TemporaryDirectory() as scratch:
            problems = [problem for plan in ATTACKS for problem in attack(*plan, pathlib.Path(scratch))]
        if server.poll() is not None:
            problems.append("the server has ended")
    finally:
        server.terminate()
        server.wait(timeout=30)
    print("\n".join(problems) or f"{len(ATTACKS)} attacks passed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Real servers for the tests that need one: `TICKWIRE_BIN` says which program. Without it they are skipped; with CI=true
that is a failure."""

from __future__ import annotations

import os
import subprocess
from typing import Dict, Iterator, List

import pytest


class Server:
    """A server on loopback, with the addresses and the fingerprint that it printed."""

    def __init__(self, *arguments: str) -> None:
        command = [os.environ["TICKWIRE_BIN"], "serve", "--no-admin", "--tick", "10ms"]
        places = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
        # A server takes every variable that begins with its name for configuration, and does not know ours.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TICKWIRE_")}
        self.process = subprocess.Popen([*command, *places, *arguments], stdout=subprocess.PIPE, text=True, env=clean)
        self.said: Dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            self.said[word] = rest.strip()
            if word == "stop":
                break

    def __getitem__(self, word: str) -> str:
        return self.said[word]

    def stop(self) -> None:
        """Tells it to stop, and waits until it has."""
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


def _serve(arguments: List[str]) -> Iterator[Server]:
    if "TICKWIRE_BIN" not in os.environ:
        if os.environ.get("CI"):
            pytest.fail("TICKWIRE_BIN is not set")
        pytest.skip("TICKWIRE_BIN is not set")
    server = Server(*arguments)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    yield from _serve([])


@pytest.fixture(scope="session")
def tls_server() -> Iterator[Server]:
    yield from _serve(["--tls-self-signed"])


@pytest.fixture
def own_server() -> Iterator[Server]:
    """One that a test may stop."""
    yield from _serve([])

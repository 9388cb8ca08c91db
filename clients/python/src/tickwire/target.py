"""Where to connect: a URL, read once.

```text
ws://host[:7070][/ws]   wss://..      WebSocket
tcp://host[:7071]       tls://..      TCP
```
"""

from __future__ import annotations

from typing import NamedTuple, Optional
from urllib.parse import urlsplit


class Target(NamedTuple):
    """A place to connect to."""

    websocket: bool
    tls: bool
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """As a WebSocket URL, for the request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{self.path}"

    def moved(self, address: bytes) -> Optional[Target]:
        """The same at another address, which a server told: a host, with or without port, or a whole URL.

        None where it cannot be read, or would give up TLS: a token must not leave in the clear because of one sentence.
        """
        try:
            text = address[:1024].decode("ascii").strip()
            if "://" in text:
                moved = read(text)
                return moved if moved.tls or not self.tls else None
            parts = urlsplit(f"//{text}")
            if not parts.hostname or parts.path or parts.username is not None:
                return None
            return self._replace(host=parts.hostname, port=parts.port or self.port)
        except ValueError:
            return None


def read(url: str) -> Target:
    """Reads a URL; ValueError says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"a URL begins with ws, wss, tcp or tls: {url!r}")
    if not parts.hostname:
        raise ValueError(f"a URL names a host: {url!r}")
    websocket, tls = _SCHEMES[parts.scheme]
    path = parts.path if parts.path not in ("", "/") else "/ws"
    if not websocket and (parts.path not in ("", "/") or parts.query):
        raise ValueError(f"TCP has no path: {url!r}")
    if parts.query:
        path += "?" + parts.query
    return Target(websocket, tls, parts.hostname, parts.port or (7070 if websocket else 7071), path)


_SCHEMES = {"ws": (True, False), "wss": (True, True), "tcp": (False, False), "tls": (False, True)}

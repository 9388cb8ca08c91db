"""Renewal: a newer token before the old one expires, without interrupting anything (SPEC 3)."""

from __future__ import annotations

import random
from typing import Optional

from . import commands
from .backoff import Backoff
from .output import Output
from .token import renew_in


class Renewal:
    """When to ask for the next token, and the TOKEN under way. Times are seconds."""

    def __init__(self, chance: random.Random) -> None:
        self._backoff = Backoff(chance)
        self._request = 0
        self._sent = ""
        self.at: Optional[float] = None
        """When the callback is to be asked; None: never."""

    def welcome(self, now: float, wall: float, token: Optional[str]) -> None:
        """Another connection; `token` is None where it cannot be renewed."""
        self._request = 0
        self._backoff.reset()
        self._plan(now, wall, token)

    def send(self, output: Output, token: str) -> None:
        """The callback has brought a token: TOKEN."""
        self.at = None
        self._sent = token
        self._request = output.request()
        output.send(commands.token(self._request, token.encode("utf-8", "replace")))

    def is_answer(self, request: int) -> bool:
        """Whether that request is the TOKEN under way."""
        return request != 0 and request == self._request

    def taken(self, now: float, wall: float) -> str:
        """DONE: the newer token counts, and is returned."""
        self._request = 0
        self._backoff.reset()
        self._plan(now, wall, self._sent)
        return self._sent

    def failed(self, now: float) -> None:
        """The callback raised, or the token was refused: again, after a while."""
        self._request = 0
        self.at = now + self._backoff.next()

    def _plan(self, now: float, wall: float, token: Optional[str]) -> None:
        wait = renew_in(token, wall) if token is not None else None
        self.at = None if wait is None else now + wait

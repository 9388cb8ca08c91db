"""What a session asks of whoever drives it, and how a connection failed.

```text
Session ──Open, AskToken, Hangup──> driver ──opened, token_is, broken(Failure)──> Session
```
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from .output import Output
from .target import Target


class Open(NamedTuple):
    """Open a connection there; then `opened` or `broken`."""

    target: Target


class AskToken(NamedTuple):
    """Call the token callback; then `token_is` or `token_failed` with this number."""

    number: int


class Hangup(NamedTuple):
    """The connection is not needed any more. `politely`: `last` is still to be written, then close; else abort."""

    politely: bool
    last: Output


Action = Union[Open, AskToken, Hangup]


class Failure(NamedTuple):
    """How a connection failed or ended.

    `status` and `retry_after` (seconds) are of an HTTP answer; `close` is the code of a WebSocket close frame;
    `foreign`: something else than Tickwire answers.
    """

    text: str
    status: Optional[int] = None
    retry_after: Optional[float] = None
    close: Optional[int] = None
    foreign: bool = False

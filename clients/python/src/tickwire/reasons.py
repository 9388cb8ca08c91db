"""Reasons: numbers with sentences, in ranges a client can act on (PROTOCOL 14).

```text
1..99, 900..929     retry           with backoff
100..199, 930..959  retry later     at the time and address that were told
200..299, 960..999  do not retry
```
"""

from __future__ import annotations

from enum import Enum
from typing import Dict


class Advice(Enum):
    """What the range of a reason tells a client to do (SPEC 2)."""

    RETRY = "retry"
    LATER = "later"
    STOP = "stop"


def advice(reason: int) -> Advice:
    """The advice of a reason, also of one that this version does not know. 0 and what is outside all ranges: retry."""
    if 100 <= reason <= 199 or 930 <= reason <= 959:
        return Advice.LATER
    if 200 <= reason <= 299 or 960 <= reason <= 999:
        return Advice.STOP
    return Advice.RETRY


def sentence(reason: int) -> str:
    """The reason's sentence for people."""
    return _SENTENCES.get(reason, f"Reason {reason}.")


GOING_AWAY = 100
ENDED = 200
MALFORMED = 201
NOT_TICKWIRE = 206
VERSION = 207
CAPABILITY = 223
TOO_LARGE = 236
TOKEN_INVALID = 241
TOKEN_EXPIRED = 242

_SENTENCES: Dict[int, str] = {
    0: "No reason was given.",
    1: "The server made a mistake.",
    2: "No hello came in time.",
    3: "A ping was not answered in time.",
    4: "The session was in no room for too long.",
    5: "The client reads too slowly: more is queued for it than allowed.",
    6: "The room's logic failed.",
    7: "The room was closed.",
    100: "The server is going away.",
    101: "The server has as many connections as it may.",
    102: "Too many messages, pings or connections for the rate allowed.",
    103: "Too many commands or messages had to be refused.",
    104: "The room has as many members as it may.",
    105: "The room has gathered as much for this tick as it may.",
    106: "The room holds as many values as it may.",
    107: "The server has as many rooms as it may.",
    108: "The room lives on another server.",
    109: "The server is short of memory.",
    110: "The token cannot be verified for now.",
    200: "The session or membership ended as asked.",
    201: "A frame could not be read.",
    202: "The frame type is unknown.",
    203: "The frame is larger than allowed.",
    204: "A WebSocket message ended inside a frame.",
    205: "A WebSocket message was text; only binary is understood.",
    206: "This is not the Tickwire protocol.",
    207: "This protocol version is not spoken here.",
    208: "The first frame must be a hello.",
    209: "Hello was said twice.",
    210: "A reserved flag was set.",
    211: "The WebSocket protocol was violated.",
    220: "The command is unknown.",
    221: "The command is only for servers to send.",
    222: "An extension that must be understood is unknown.",
    223: "The capability was not negotiated.",
    224: "An argument is outside what is allowed.",
    225: "This kind of data is not for clients to send.",
    226: "The compressed payload could not be read.",
    230: "A room name is 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ and -.",
    231: "The handle is in use.",
    232: "The handle names no room this client is in.",
    233: "The client is already in that room.",
    234: "The client is in as many rooms as it may be.",
    235: "The room may send more than the client said it can take.",
    236: "The message is larger than allowed.",
    237: "The client did not join to publish.",
    238: "There is no such member.",
    240: "This is not allowed.",
    241: "The token is missing or not valid.",
    242: "The token has expired.",
    243: "The client was removed.",
    244: "The session was taken over by another connection.",
}

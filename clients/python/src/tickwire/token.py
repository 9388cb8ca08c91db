"""Tokens: when one expires, and when to bring the next (SPEC 3).

```text
got ────────────────────────> renew ── min(30 s, a quarter) ──> exp
```
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Optional


def expires(token: str) -> Optional[float]:
    """`exp` of a JSON Web Token, unverified: seconds since 1970. None where it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        exp = float(claims["exp"]) if isinstance(claims["exp"], (int, float)) else math.nan
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return exp if math.isfinite(exp) else None


def renew_in(token: str, wall: float) -> Optional[float]:
    """Seconds from now until the token should be renewed, where `wall` is the server's time now (seconds since 1970).

    At least half a second, so that a callback that brings old tokens is not asked without end.
    """
    exp = expires(token)
    if exp is None:
        return None
    left = exp - wall
    return max(0.5, left - min(30.0, left / 4))

"""Every bound of the client, each with its reason.

Times are seconds, sizes bytes.
"""

from __future__ import annotations

MAX_PAYLOAD = 65_535  # What a frame's header can say; compressed records inflate to no more (SPEC 8).
MAX_REPLICA = 16 * 1024 * 1024  # Values, members or a snapshot under way of one room (SPEC 8).
OVERHEAD = 64  # Counted for each held thing beside its payload, so that many empty ones count too.

QUEUE_MESSAGES = 1_000  # Reliable messages that wait to leave (SPEC 5).
QUEUE_BYTES = 256 * 1024
KEPT_MESSAGES = 4_096  # Messages that left and are not accepted yet (SPEC 5).
KEPT_BYTES = 1024 * 1024
LATEST_MESSAGES = 4_096  # As many values as a room may hold by default (PROTOCOL 13).
LATEST_BYTES = 1024 * 1024
HELD_FRAMES = 256  # Directs that wait for the number of their room: four times what a server keeps of them, by default.
HELD_BYTES = 256 * 1024
HEARD_REFUSALS = 1_024  # As many as a server tells again to a session that goes on; it ends one with more.
RECENT_DIRECTS = 256  # Directs may be refused after they were accepted; a room gathers so many for one flush.

INBOX_BYTES = 1024 * 1024  # What waits for the application; beyond it nothing is read (SPEC 6).
BATCH_BYTES = 256 * 1024  # A batch that is handed over in parts: twice what a room gathers for one flush by default.
BACKLOG_BYTES = 256 * 1024  # Items between a join and the first iterator; whoever wants none would else hold 1 MiB.
NOTICES = 1_000  # What waits in an iterator of states or errors; the oldest go, and a counter tells.

OUTPUT_BYTES = 32 * 1024  # Waiting in the client; as much may wait in the transport: together 64 KiB (SPEC 5).
CHUNK_BYTES = 64 * 1024  # Read at once.
MESSAGE_BYTES = 4_096 + 4  # A WebSocket message before WELCOME has told the limit (PROTOCOL 13).
WEBSOCKET_BYTES = 128 * 1024  # A message from the server: 16 KiB, or one frame of 65,539 bytes (PROTOCOL 4.2).
FRAGMENTS = 1_024  # Of one WebSocket message; empty ones count too.
UNREAD_BYTES = 1024 * 1024  # Pongs that a server asked for and does not read, beside what SPEC 5 lets wait.
ANSWERS = 256  # Pings that wait for their answers to leave; a server asks again after a second.

ATTEMPT = 10.0  # Until WELCOME (SPEC 2).
STABLE = 5.0  # A connection that stood so long was a good one (SPEC 2).
GRACE = 5.0  # Given to a server before it counts as dead: added to twice its interval, and after a late timer (SPEC 2).
LATE = 1.0  # A timer that is later than this was not running: the machine slept.
LEAVING = 1.0  # Waits for what was accepted before a server that goes away is left.
GOODBYE = 1.0  # Waits for the end of a connection that was left with CLOSE.
PING_FIRST = (0.0, 0.5, 1.0, 1.5)  # SPEC 7.
PING_EVERY = 10.0
PING_APART = 0.25  # Between pings that the application asks for: half of what a server allows.
PING_OPEN = 8  # Pings that have no answer and are remembered.
SAMPLES = 8  # SPEC 7.
LONGEST_WAIT = 86_400.0  # Whatever time a server tells, a client asks again after a day.
ACKNOWLEDGE_EVERY = 64  # Data frames after which the server is asked to tell at once what it accepted.
ACKNOWLEDGE_BYTES = 64 * 1024
MAX_TOKEN = 4_000  # PROTOCOL 13.
MAX_NAME = 64  # PROTOCOL 1.
MAX_JOIN_DATA = 1_024  # PROTOCOL 6.3.
MAX_PRESENCE = 256  # PROTOCOL 6.3 and 6.13.

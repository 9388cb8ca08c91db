#!/usr/bin/env python3
"""Turns tests/vectors/*.json into a C table: python3 vectors.py ../../tests/vectors > build/vectors.h

What a frame holds is taken from the JSON by the names of its README, and never from tickwire.h: so the two can disagree.
"""

import json
import pathlib
import sys

TYPES = """\
enum behind { NOTHING, EXTENSIONS, RECORDS, BYTES };
struct span { size_t at, len; };
struct piece { uint64_t number, other; struct span bytes; };
struct varint_vector { struct span hex; uint64_t value; };
struct frame_vector {
    const char *name; int server; struct span hex; uint8_t type, flags, command; uint64_t request;
    unsigned count; uint64_t arg[10]; struct span text; enum behind behind; struct span rest; size_t first, pieces;
};
struct presence_vector { struct span hex; uint8_t state; uint64_t number; struct span subject, data; };
struct malformed_vector { const char *name; int server; struct span hex; unsigned reason; };
"""

COMMANDS = {
    "hello": (1, "capabilities max_record max_frame"),
    "welcome": (2, "capabilities flags clock time wall max_message max_frame max_rooms ping accepted"),
    "join": (3, "handle mode"),
    "joined": (4, "handle room member mode outcome epoch position period tick tick_time"),
    "leave": (5, "handle"),
    "left": (6, "handle reason"),
    "refused": (7, "number reason"),
    "close": (8, "reason"),
    "going_away": (9, "reconnect closes"),
    "gap": (10, "room epoch from to"),
    "receive": (11, "handle what divisor area"),
    "done": (12, ""),
    "presence": (13, "handle"),
    "token": (14, ""),
    "members": (15, "handle after"),
    "page": (16, "handle position next"),
    "accepted": (17, "number"),
}
TEXTS = {"join": "name", "presence": "data", "token": "token", "page": "records"}
KINDS = ["event", "value", "presence", "direct", "snapshot", "members"]
STATES = {"here": 1, "away": 2, "left": 3, "count": 4}


class Table:
    """Bytes in one array; everything else names them by where they are."""

    def __init__(self):
        self.blob = bytearray()
        self.pieces = []

    def put(self, data):
        at = len(self.blob)
        self.blob += data
        return f"{{{at}, {len(data)}}}"

    def piece(self, number, other, data):
        """A record or an extension."""
        self.pieces.append(f"{{{number}u, {other}u, {self.put(data)}}}")


def number(value):
    """Epochs are hex of eight bytes."""
    return int(value, 16) if isinstance(value, str) else value


def numbers_of(sender, frame):
    if frame["type"] == "ping":
        if sender == "client":
            return [frame["time"], frame["consumed"], frame["directs"]]
        if frame["answer"]:
            return [frame[name] for name in ("time", "clock", "received", "sent", "accepted")]
        return [frame["time"], frame["accepted"]]
    if frame["type"] == "data":
        if sender == "server":
            return [frame["room"], frame["position"], frame["tick"]]
        return [frame["handle"]] + [frame[name] for name in ("key", "member") if name in frame]
    if frame["command"] == "application":
        return []
    return [number(frame[name]) for name in COMMANDS[frame["command"]][1].split()]


def flags_of(sender, frame):
    if frame["type"] == "ping":
        return int(frame["answer"])
    if frame["type"] == "control":
        return 0
    last = 0x20 * frame["acknowledge"] if sender == "client" else 0x40 * frame["more"]
    return KINDS.index(frame["kind"]) << 1 | frame["compressed"] | 0x10 * frame["urgent"] | last


def row_of(table, vector):
    sender, frame = vector["from"], vector["frame"]
    command = frame.get("command", "")
    code = frame["code"] if command == "application" else COMMANDS[command][0] if command else 0
    numbers = numbers_of(sender, frame)
    first = len(table.pieces)
    # What is behind the numbers: a list of extensions, records, or bytes.
    behind, rest = "NOTHING", b""
    if "extensions" in frame:
        behind = "EXTENSIONS"
        for kind, content in frame["extensions"]:
            table.piece(kind, 0, bytes.fromhex(content))
    elif "records" in frame:
        behind = "RECORDS"
        for record in frame["records"]:
            table.piece(record["member"], record.get("key", 0), bytes.fromhex(record["payload"]))
    else:
        behind, rest = "BYTES", bytes.fromhex(frame.get("payload", frame.get("body", "")))
    text = bytes.fromhex(frame[TEXTS[command]]) if command in TEXTS else b""
    kind = {"data": 1, "control": 2, "ping": 3}[frame["type"]]
    args = ", ".join(f"{value}u" for value in numbers) or "0"
    return (
        f'{{{json.dumps(vector["name"])}, {int(sender == "server")}, {table.put(bytes.fromhex(vector["hex"]))}, {kind}, '
        f'{flags_of(sender, frame)}, {code}, {frame.get("request", 0)}u, {len(numbers)}, {{{args}}}, {table.put(text)}, '
        f"{behind}, {table.put(rest)}, {first}, {len(table.pieces) - first}}}"
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    load = lambda name: json.loads((folder / name).read_text())
    table = Table()
    varints, presence, compressed = load("varint.json"), load("presence.json"), load("compressed.json")
    lists = {
        "struct varint_vector varints": [
            f'{{{table.put(bytes.fromhex(one["hex"]))}, {one["value"]}u}}' for one in varints["valid"]
        ],
        "struct span bad_varints": [table.put(bytes.fromhex(one["hex"])) for one in varints["invalid"]],
        "struct frame_vector frames": [row_of(table, one) for one in load("frames.json")],
        # A client that does not inflate still reads the plain frames.
        "struct frame_vector plain": [row_of(table, {**one, "hex": one["plain"]}) for one in compressed["valid"]],
        "struct presence_vector presences": [presence_row(table, one) for one in presence["valid"]],
        "struct span bad_presences": [table.put(bytes.fromhex(one["hex"])) for one in presence["invalid"]],
        "struct malformed_vector malformed": [
            f'{{{json.dumps(one["name"])}, {int(one["from"] == "server")}, {table.put(bytes.fromhex(one["hex"]))}, {one["reason"]}}}'
            for one in load("malformed.json")
        ],
    }
    print("/* Made by vectors.py. */")
    print(TYPES)
    print("static const struct piece pieces[] = {", ",\n".join(table.pieces), "};")
    for name, rows in lists.items():
        print(f"static const {name}[] = {{", ",\n".join(rows), "};")
    print("static const uint8_t blob[] = {", ",".join(map(str, table.blob)), "};")


def presence_row(table, vector):
    one = vector["presence"]
    state = STATES.get(one["state"], one.get("code"))
    subject, data = (table.put(bytes.fromhex(one.get(name, ""))) for name in ("subject", "data"))
    value = one.get("reason", one.get("members", 0))
    return f'{{{table.put(bytes.fromhex(vector["hex"]))}, {state}, {value}u, {subject}, {data}}}'


main()

"""Checks the three codecs against the sessions in hex of PROTOCOL.md, section 16. Needs no server."""
import json
import os
import re
import subprocess

import codec
import minimal_tcp
from peers import NodePeer, say

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = re.compile(r"^```hex (?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)

EPOCH, RING = "0123456789abcdef", b"ring ring ring ring, ring a ding"
CLIENT = [  # what the blocks from the client hold, in their order; None: a frame no codec makes
    [say("raw", data=minimal_tcp.MAGIC), say("hello"), say("join", name="arena"), say("event", payload=b"hi")],
    [say("event", payload=b"ouch"), say("value", key=0, payload=b"\x10\x20")],
    [say("direct", member=2, payload=b"psst"), say("event", payload=b"now", urgent=True),
     say("value", key=5, room=True)],
    [say("ping", time=60_000_000, consumed=1234, directs=1, answer=True),
     say("ping", time=5000, consumed=1300, directs=1)],
    [say("join", name="a b!", request=9, handle=2)],
    None,
    None,
    [say("leave")],
    [say("hello", capabilities=0x6F, resume=(b"resume-1", 2)), say("join", name="arena", since=(EPOCH, 2_097_158))],
    [say("event", payload=b"back")],
    [say("receive", request=4, what=2)],
    [say("receive", request=5, what=0)],
    [say("list_members", request=6), say("list_members", request=7, after=2)],
    [say("event", payload=b"one"), say("event", payload=b"two", acknowledge=True)],
    [say("event", payload=bytes.fromhex("2bcacc4b572842217420cc448514200500"), compressed=True), say("event", payload=RING),
     say("value", key=5, room=True, payload=b"\x01\x02\0\xfd\xffhi", compressed=True),
     say("value", key=5, room=True, payload=b"hi")],
    None,
    None,
]

SERVER = [  # what a few frames of the blocks from the server say: block, frame, facts
    (0, 0, {"is": "welcome", "request": 1, "clock": 0x5A17C0DE, "time": 1_000_000, "wall": 1_795_226_400_000_000,
            "max_message": 15360, "max_frame": 16384, "max_rooms": 128, "ping": 15000, "accepted": 0}),
    (0, 1, {"is": "joined", "request": 2, "handle": 1, "room": 7, "member": 1, "mode": 3, "outcome": 0, "position": 0,
            "epoch": "0123456789abcdef", "period": 50_000, "tick": 0, "tick_time": 1_000_000}),
    (0, 2, {"is": "snapshot", "room": 7, "position": 0, "tick": 0, "more": False, "records": []}),
    (0, 3, {"is": "presence", "position": 1, "more": True,
            "records": [{"member": 1, "state": "here", "subject": b"", "data": b""}]}),
    (1, 0, {"is": "event", "position": 2_097_157, "tick": 70_000 & 0xFFFF, "more": False,
            "records": [{"member": 1, "payload": b"shot"}, {"member": 2, "payload": b"ouch"}]}),
    (1, 1, {"is": "value", "records": [{"member": 2, "key": 0, "scope": "member", "payload": b"\x10\x20"}]}),
    (2, 0, {"is": "event", "early": True, "position": 2_097_158}),
    (2, 1, {"is": "direct", "position": 1, "records": [{"member": 1, "answers": 0, "payload": b"psst"}]}),
    (3, 0, {"is": "ping", "time": 60_000_000, "accepted": 0}),
    (4, 0, {"is": "pong", "time": 5000, "clock": 0x5A17C0DE, "received": 60_100_000, "sent": 60_100_012}),
    (5, 0, {"is": "refused", "request": 9, "number": 0, "reason": 230}),
    (6, 0, {"is": "closed", "request": 0, "reason": 201}),
    (7, 0, {"is": "closed", "request": 0, "reason": 203}),
    (8, 0, {"is": "going_away", "request": 0, "reconnect": 3725, "closes": 10_000, "positions": [[7, 2_097_158]]}),
    (9, 0, {"is": "left", "request": 3, "handle": 1, "reason": 200}),
    (9, 1, {"is": "closed", "request": 0, "reason": 100}),
    (10, 0, {"is": "welcome", "capabilities": 0x6F, "flags": 1, "accepted": 6, "token": b"resume-2", "grace": 30_000}),
    (10, 1, {"is": "direct", "position": 3, "records": [{"member": 2, "answers": 0, "payload": b"hey"}]}),
    (10, 2, {"is": "joined", "handle": 1, "member": 1, "outcome": 1, "position": 2_097_158, "tick": 71_020}),
    (10, 3, {"is": "presence", "position": 2_097_159, "more": True, "records": [{"member": 1, "state": "away"}]}),
    (10, 4, {"is": "event", "position": 2_097_159, "more": False}),
    (10, 5, {"is": "snapshot", "position": 2_097_159, "more": False}),
    (11, 0, {"is": "joined", "outcome": 2, "position": 2_097_171, "lost": [2_097_159, 2_097_171]}),
    (12, 0, {"is": "gap", "room": 7, "epoch": EPOCH, "from": 2_097_159, "to": 2_097_171}),
    (13, 0, {"is": "done", "request": 4}),
    (14, 1, {"is": "gap", "from": 2_097_172, "to": 2_097_171}),
    (15, 0, {"is": "page", "request": 6, "position": 2_097_171, "next": 2,
             "records": [{"member": 1, "state": "here", "subject": b"", "data": b""},
                         {"member": 2, "state": "here", "subject": b"", "data": b"blue"}]}),
    (15, 1, {"is": "page", "next": 0, "records": [{"member": 9, "state": "here", "subject": b"", "data": b""},
                                                  {"member": 9, "state": "away"}]}),
    (16, 0, {"is": "accepted", "request": 0, "number": 8}),
    (17, 0, {"is": "event", "compressed": True, "position": 2_097_173}),
    (17, 1, {"is": "event", "compressed": False, "position": 2_097_173}),
    (18, 0, {"is": "done", "request": 8}),
    (18, 1, {"is": "left", "request": 0, "handle": 2, "reason": 240}),
]

MALFORMED = ["8000", "8080808080808010", "ff", "ffffffffffffffff01"]  # varints, section 3.1


def blocks(path: str, side: str) -> list:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = []
    for block in BLOCK.finditer(text):
        if f"from={side}" in block["info"].split():
            found.append(bytes.fromhex(re.sub(r"#.*", "", block["body"])))
    return found


def python_encode(frames) -> bytes:
    return b"".join(getattr(codec, name)(**args) for name, args in frames)


def python_decode(data: bytes) -> list:
    return [codec.decode(*frame) for frame in codec.split(data)]


def python_rejects(data: bytes) -> bool:
    try:
        codec.Reader(data).varint()
    except codec.Malformed:
        return True
    return False


def python_malformed(data: bytes) -> bool:
    try:
        python_decode(data)
    except codec.Malformed:
        return True
    return False


def node(order: dict) -> list:
    answer = subprocess.run(["node", os.path.join(HERE, "selftest.mjs")], timeout=30, check=True, text=True,
                            input=json.dumps(order, default=NodePeer.write_bytes), stdout=subprocess.PIPE)
    return json.loads(answer.stdout, object_hook=NodePeer.read_bytes)


def minimal_decode(data: bytes) -> list:
    return [message for kind, flags, payload in codec.split(data)
            for message in minimal_tcp.read_message(kind, flags, payload)]


def run(path: str) -> bool:
    client, server = blocks(path, "client"), blocks(path, "server")
    results = []

    def equal(name, found, wanted):
        results.append(found == wanted)
        print(f"{'ok' if found == wanted else 'FAIL':4}  {name}")
        if found != wanted:
            print(f"      {found!r}\n      instead of {wanted!r}")

    equal("blocks from the client", len(client), len(CLIENT))
    equal("blocks from the server", len(server), 1 + max(block for block, _, _ in SERVER))
    for number, (frames, wanted) in enumerate(zip(CLIENT, client)):
        if frames is not None:
            equal(f"client block {number}, Python", python_encode(frames), wanted)
            equal(f"client block {number}, Node", node({"encode": frames}), wanted)
    equal("client block 0, minimal", minimal_tcp.MAGIC + minimal_tcp.hello() + minimal_tcp.join("arena")
          + minimal_tcp.event(b"hi"), client[0])
    equal("client block 1, minimal", minimal_tcp.event(b"ouch") + minimal_tcp.value(0, b"\x10\x20"), client[1])

    decoded = [python_decode(data) for data in server]
    for block, frame, facts in SERVER:
        found = decoded[block][frame]
        equal(f"server block {block}, frame {frame}, Python", {key: found[key] for key in facts}, facts)
    for number, data in enumerate(server):
        equal(f"server block {number}, Node", node({"decode": data}), decoded[number])
    small, plain = decoded[17]
    equal("the compressed batch, Python", small, {**plain, "compressed": True})
    for name, stream in (("cut off", "2bcacc4b"), ("a byte behind it", "030000"), ("too large", codec.deflate(bytes(65_536)).hex())):
        data = codec.frame(1, 1, b"\x07\x01\0\x01" + bytes.fromhex(stream))
        equal(f"a stream that is {name}, Python", python_malformed(data), True)
        equal(f"a stream that is {name}, Node", node({"decode": data}), "malformed")
    equal("server block 0, minimal", [message["ev"] for message in minimal_decode(server[0])], ["joined", "snapshot", "event"])
    value = {"ev": "value", "room": 7, "position": 2_097_157, "tick": 4464, "member": 2, "payload": b"\x10\x20",
             "key": 0, "scope": "member", "old": False}
    equal("server block 1, minimal", minimal_decode(server[1])[2], value)
    equal("server block 3, minimal", minimal_decode(server[3]), [{"ev": "ping", "time": 60_000_000}])
    equal("server block 9, minimal", minimal_decode(server[9]), [{"ev": "closed", "request": 0, "reason": 100}])

    for text in MALFORMED:
        equal(f"varint {text}, Python", python_rejects(bytes.fromhex(text)), True)
        equal(f"varint {text}, Node", node({"decode": b"\x03\x00" + bytes([len(text) // 2]) + b"\x00"
                                            + bytes.fromhex(text)}), "malformed")
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return all(results)

"""The shared vectors: what clients send through the encoder, what servers send through the decoder.

```text
tests/vectors/*.json ──from client──> commands    ──> the same hex
                     ──from server──> codec       ──> the same frame, or MalformedError
```
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tickwire import codec, commands, wire
from tickwire.wire import MalformedError

VECTORS = Path(__file__).resolve().parents[3] / "tests" / "vectors"
LIMIT = 16_384  # What malformed.json and compressed.json are made for.
KINDS = ["event", "value", "presence", "direct", "snapshot", "members"]


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def decode(data: bytes) -> codec.Frame:
    """The one frame that `data` holds, with its records read."""
    decoder = codec.Decoder(LIMIT)
    decoder.feed(data)
    got = decoder.next()
    assert got is not None, "more bytes wanted"
    frame, size = got
    assert size == len(data)
    assert len(decoder) == 0
    if isinstance(frame, codec.Data) and not frame.compressed:
        frame.records()
    return frame


def test_varints() -> None:
    vectors = load("varint.json")
    for vector in vectors["valid"]:
        data = bytes.fromhex(vector["hex"])
        assert wire.varint(vector["value"]) == data
        assert wire.read_varint(data, 0) == (vector["value"], len(data))
    for vector in vectors["invalid"]:
        with pytest.raises(MalformedError):
            wire.read_varint(bytes.fromhex(vector["hex"]), 0)
    for wrong in (-1, 2**53):
        with pytest.raises(ValueError, match="not a varint"):
            wire.varint(wrong)


def extensions(content: Dict[int, bytes]) -> List[List[Any]]:
    return [[kind, content[kind].hex()] for kind in content]


# Where a name of this package differs from that of the vectors.
NAMES = {"first": "from", "last": "to"}


def as_json(frame: codec.Frame) -> Dict[str, Any]:
    """A frame from the server as README.md of the vectors writes it."""
    if isinstance(frame, codec.Data):
        found: Dict[str, Any] = {"type": "data", "kind": KINDS[frame.kind]}
        for name in ("compressed", "urgent", "more", "room", "position", "tick"):
            found[name] = getattr(frame, name)
        if frame.compressed:
            found["body"] = frame.body.hex()
            return found
        keyed = frame.kind in (codec.VALUE, codec.DIRECT, codec.SNAPSHOT)
        found["records"] = [
            {"member": member, **({"key": key} if keyed else {}), "payload": payload.hex()}
            for member, key, payload in frame.records()
        ]
        return found
    assert not isinstance(frame, codec.Ignored)
    fields = frame._asdict()
    if not isinstance(frame, codec.Application):
        fields["extensions"] = extensions(frame.extensions)
    for ours, theirs in NAMES.items():
        if ours in fields:
            fields[theirs] = fields.pop(ours)
    fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    if isinstance(frame, (codec.Ping, codec.Pong)):
        return {"type": "ping", "answer": isinstance(frame, codec.Pong), **fields}
    command = "going_away" if isinstance(frame, codec.GoingAway) else type(frame).__name__.lower()
    return {"type": "control", "command": command, **fields}


def encode(frame: Dict[str, Any]) -> bytes:
    """A frame of a client, written by the encoder."""
    if frame["type"] == "data":
        flags = (
            commands.COMPRESSED * frame["compressed"]
            | commands.URGENT * frame["urgent"]
            | commands.ACKNOWLEDGE * frame["acknowledge"]
        )
        payload = bytes.fromhex(frame["payload"])
        if frame["kind"] == "event":
            return commands.event(frame["handle"], payload, flags)
        if frame["kind"] == "value":
            return commands.value(frame["handle"], frame["key"], payload, flags)
        return commands.direct(frame["handle"], frame["member"], payload, flags)
    if frame["type"] == "control" and frame["command"] == "application":
        return commands.application(frame["code"], frame["request"], bytes.fromhex(frame["body"]))
    fields = {name: value for name, value in frame.items() if name not in ("type", "command", "answer")}
    fields["extensions"] = {kind: bytes.fromhex(content) for kind, content in frame["extensions"]}
    for name in ("name", "data", "token"):
        if name in fields:
            fields[name] = bytes.fromhex(fields[name])
    if frame["type"] == "ping":
        return (commands.pong if frame["answer"] else commands.ping)(**fields)
    if frame["command"] == "token":
        fields["content"] = fields.pop("token")
    made: bytes = getattr(commands, frame["command"])(**fields)
    return made


def test_frames() -> None:
    counted = {"client": 0, "server": 0}
    for vector in load("frames.json"):
        data = bytes.fromhex(vector["hex"])
        if vector["from"] == "client":
            assert encode(vector["frame"]) == data, vector["name"]
        else:
            assert as_json(decode(data)) == vector["frame"], vector["name"]
        counted[vector["from"]] += 1
    assert min(counted.values()) > 400


def test_presence() -> None:
    vectors = load("presence.json")
    for vector in vectors["valid"]:
        state = codec.read_presence(bytes.fromhex(vector["hex"]))
        presence = dict(vector["presence"])
        wanted = presence.pop("state")
        if wanted == "unknown":
            assert state is None
            continue
        assert state is not None
        assert type(state).__name__.lower() == {"left": "gone"}.get(wanted, wanted)
        fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in state._asdict().items()}
        assert fields == presence, vector["name"]
    for vector in vectors["invalid"]:
        with pytest.raises(MalformedError):
            codec.read_presence(bytes.fromhex(vector["hex"]))


def test_compressed() -> None:
    vectors = load("compressed.json")
    run = 0
    for vector in vectors["valid"]:
        if vector["from"] == "server":
            frame, plain = decode(bytes.fromhex(vector["hex"])), decode(bytes.fromhex(vector["plain"]))
            assert isinstance(frame, codec.Data)
            assert isinstance(plain, codec.Data)
            assert frame.records(LIMIT) == plain.records(), vector["name"]
            assert as_json(frame._replace(compressed=False, body=plain.body)) == vector["frame"]
            run += 1
        else:
            # Clients may compress; this one does not, and what it inflates is the same stream.
            body = encode(dict(vector["frame"], payload=""))
            hidden = bytes.fromhex(vector["hex"])[len(body) :]
            assert codec.inflate(hidden, 15_360).hex() == vector["frame"]["payload"], vector["name"]
            run += 1
    for vector in vectors["invalid"]:
        data = bytes.fromhex(vector["hex"])
        if vector["from"] == "client":
            continue  # Its limits are the server's, and its streams are those of the server's vectors again.
        frame = decode(data)
        assert isinstance(frame, codec.Data)
        with pytest.raises(MalformedError):
            frame.records(LIMIT)
        run += 1
    assert run > 40


def test_malformed() -> None:
    run = 0
    for vector in load("malformed.json"):
        if vector["from"] != "server":
            continue
        with pytest.raises(MalformedError):
            decode(bytes.fromhex(vector["hex"]))
            pytest.fail(vector["name"])
        run += 1
    assert run > 300


def test_mutated_vectors_give_frames_or_a_typed_error() -> None:
    """Twenty thousand damaged frames: whatever comes, nothing but MalformedError is raised."""
    chance = random.Random(6)
    frames = [bytes.fromhex(vector["hex"]) for vector in load("frames.json") if vector["from"] == "server"]
    frames += [bytes.fromhex(vector["hex"]) for vector in load("compressed.json")["valid"]]
    read = failed = 0
    for _ in range(20_000):
        data = bytearray(chance.choice(frames))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            action = chance.randrange(4)
            if action == 0:
                data[at] = chance.randrange(256)
            elif action == 1:
                data[at] ^= 1 << chance.randrange(8)
            elif action == 2 and len(data) > 1:
                del data[at]
            else:
                data.insert(at, chance.randrange(256))
        decoder = codec.Decoder()
        decoder.feed(bytes(data))
        try:
            while True:
                got = decoder.next()
                if got is None:
                    break
                frame, _ = got
                if isinstance(frame, codec.Data):
                    for _, _, payload in frame.records():
                        if frame.kind in (codec.PRESENCE, codec.MEMBERS):
                            codec.read_presence(payload)
                read += 1
        except MalformedError:
            failed += 1
    assert read > 1000
    assert failed > 1000

"""Writes the test vectors beside this file; README.md describes them.

    python3 tests/vectors/generate.py           rewrites the JSON files
    python3 tests/vectors/generate.py --check   exits 1 if they would change

Both first check every vector against reference.py, and so every hex block of
PROTOCOL.md. Nothing here depends on time, chance or the machine.
"""

import itertools
import json
import re
import sys
import zlib
from pathlib import Path

sys.dont_write_bytecode = True  # no __pycache__ among the vectors

import reference as ref  # noqa: E402
from reference import encode_string, encode_varint, frame_bytes  # noqa: E402

HERE = Path(__file__).resolve().parent
PROTOCOL = HERE.parent.parent / "PROTOCOL.md"

MAX = ref.MAX_VARINT
MAX_MESSAGE = 15360  # [13]
EPOCH = "0123456789abcdef"
# The smallest and the largest value of every size of a varint.
BOUNDARIES = sorted({0, 1} | {b for n in range(1, 8) for b in (2 ** (7 * n) - 1, 2 ** (7 * n))} | {MAX})
DEFLATED_HI = "010200fdff6869"  # "hi" as a stored block of RFC 1951


class Failed(Exception):
    """A vector or an example does not do what it claims."""


def require(condition, message, *details):
    if not condition:
        raise Failed(message % details)


def pattern(count):
    """`count` bytes that are not all alike."""
    return bytes((7 * i + 3) & 0xFF for i in range(count))


def h(text):
    return text.encode().hex()


class Vectors(list):
    """Vectors with unique names, each of which says something new."""

    def __init__(self):
        super().__init__()
        self.names = set()
        self.seen = set()

    def put(self, name, key, vector):
        if key in self.seen:
            return
        require(name not in self.names, "two vectors are named %r", name)
        self.seen.add(key)
        self.names.add(name)
        self.append(dict(name=name, **vector))


# --- PROTOCOL.md, section 16 ---


def examples():
    """Yields (name, sender, start, error, bytes) of every hex block of PROTOCOL.md."""
    section, block, count = "?", None, 0
    for line in PROTOCOL.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"#+ (\d+(?:\.\d+)*)", line)
        if block is not None:
            if line.startswith("```"):
                words = info.split()
                options = dict(word.split("=") for word in words if "=" in word)
                require(set(words) <= {"start", "deflated", *("%s=%s" % o for o in options.items())}
                        and {"from"} <= set(options) <= {"from", "error"}
                        and options["from"] in ("client", "server"),
                        "section %s: a block begins with %r", section, info)
                count += 1
                data = bytes.fromhex("".join(block))
                if "deflated" in words:
                    check_pairs("section %s" % section, options["from"], data)
                yield ("%s block %d" % (section, count), options["from"], "start" in words,
                       int(options.get("error", 0)), data)
                block = None
            else:
                block.append(line.partition("#")[0])
        elif heading:
            section, count = heading.group(1), 0
        elif re.match(r"```hex\b", line):
            block, info = [], line[len("```hex"):]
    require(block is None, "a hex block of PROTOCOL.md has no end")


def check_pairs(name, sender, data):
    """Each frame stands there twice: compressed, then plain [12.4]."""
    frames = ref.decode_frames(data, sender)
    require(len(frames) % 2 == 0, "%s: a frame without its plain one", name)
    for small, plain in zip(frames[::2], frames[1::2]):
        require(small["compressed"] and inflated(small, sender) == plain, "%s: it inflates to something else", name)


def add_examples(frames, malformed):
    found = 0
    for name, sender, start, error, data in examples():
        found += 1
        if start:
            require(data[:4] == ref.MAGIC + bytes([ref.VERSION]), "%s: no magic", name)
            data = data[4:]
        if error:
            malformed.put(name, (sender, data), {"from": sender, "hex": data.hex(), "reason": error})
            continue
        number = 0
        while data:
            number += 1
            try:
                frame, used = ref.decode_frame(data, sender)
            except Exception as problem:
                raise Failed("%s: frame %d cannot be decoded: %r" % (name, number, problem))
            require(ref.encode_frame(frame, sender) == data[:used],
                    "%s: frame %d is encoded differently", name, number)
            add_frame(frames, "%s frame %d" % (name, number), sender, frame)
            data = data[used:]
    require(found, "PROTOCOL.md has no hex blocks")


# --- varint.json ---


def varints():
    valid = [{"value": value, "hex": encode_varint(value).hex()} for value in BOUNDARIES]
    invalid = []

    def bad(data, why):
        invalid.append({"hex": data.hex(), "why": why, "reason": 201})

    for size in range(1, 8):
        bad(b"\x80" * size + b"\x00", "not minimal: 0 in %d bytes" % (size + 1))
        bad(b"\xff" * size + b"\x00", "not minimal: %d in %d bytes" % (2 ** (7 * size) - 1, size + 1))
    bad(b"\x81\x00", "not minimal: 1 in 2 bytes")
    bad(b"\x80" * 7 + b"\x10", "2^53")
    bad(b"\x81" + b"\x80" * 6 + b"\x10", "2^53 + 1")
    bad(b"\xff" * 7 + b"\x1f", "2^54 - 1")
    bad(b"\xff" * 7 + b"\x7f", "2^56 - 1")
    bad(b"\xff" * 8, "8 bytes, none of them the last")
    bad(b"\x80" * 8 + b"\x00", "9 bytes")
    bad(b"\x80" * 8 + b"\x01", "9 bytes")
    bad(b"\xff" * 8 + b"\x01", "9 bytes")
    bad(b"\xff" * 9 + b"\x01", "10 bytes: 2^64 - 1")
    bad(b"\x80" * 10 + b"\x01", "11 bytes")
    bad(b"", "no bytes")
    for size in range(1, 8):
        bad(b"\x80" * size, "cut off after %d bytes" % size)
        bad(b"\xff" * size, "cut off after %d bytes of ones" % size)
    return {"valid": valid, "invalid": invalid}


# --- What frames are made of ---

# Legal values of fixed arguments, and legal sizes of strings.
CHOICES = {
    ("welcome", "flags"): [0, 1],
    ("welcome", "clock"): [0, 1, 0x01020304, 0x80000000, 0xFFFFFFFF],
    ("ping", "clock"): [0, 1, 0x01020304, 0x80000000, 0xFFFFFFFF],
    ("join", "mode"): [1, 2, 3, 5, 6, 7],
    ("join", "name"): [h(n) for n in ("a", "vectors", "AZaz09_.:/@-", "x" * 63, "y" * 64)],
    ("joined", "mode"): [1, 2, 3, 5, 6, 7],
    ("joined", "outcome"): [0, 1, 2],
    ("joined", "epoch"): [EPOCH, "00" * 8, "ff" * 8],
    ("gap", "epoch"): [EPOCH, "00" * 8, "ff" * 8],
    ("receive", "what"): [0, 1, 2],
    ("presence", "data"): ["", "00", h("here"), pattern(127).hex(), pattern(128).hex(), pattern(256).hex()],
    ("token", "token"): ["", h("t"), h("clé"), h("k" * 127), h("k" * 128), h("k" * 4000)],
    # Two records as in [8.2]: member 1 is here, member 300 left with reason 200.
    ("page", "records"): ["", "02010100", "0201010003ac0203c801",
                          b"".join(b"\x03" + encode_varint(m) + b"\x01\x01s" for m in range(1, 2000)).hex()],
}

ALWAYS_0 = {"going_away", "gap", "accepted"}  # request = 0 in these [6.9, 6.10, 6.17]


def v(*values):
    return b"".join(encode_varint(value) for value in values).hex()


TRY_AGAIN = {2: ["", h("Nope: é")], 4: [v(0), v(3725), v(MAX)], 6: ["", h("eu.example.net:7071")]}
# Contents of every extension that is defined [6].
EXTENSIONS = {
    "hello": {1: ["", h("token"), h("k" * 4000)], 2: ["", h("demo 1.0"), h("n" * 64)],
              4: ["00" + v(0), encode_string(b"resume").hex() + v(300), encode_string(pattern(200)).hex() + v(MAX)]},
    "welcome": {2: ["", pattern(24).hex()], 4: [v(0), v(30000), v(MAX)],
                6: [v(1, 1), v(127, 128), v(MAX, MAX)], 8: ["", h("user:zoë")]},
    "join": {2: ["", "00", pattern(1024).hex()], 4: [EPOCH + v(0), EPOCH + v(16384), "ff" * 8 + v(MAX)],
             6: ["", h("blue"), pattern(256).hex()]},
    "joined": {2: ["", h("welcome"), pattern(1024).hex()], 4: [v(1, 1), v(127, 128), v(MAX, MAX)]},
    "refused": TRY_AGAIN,
    "close": {**TRY_AGAIN, 8: ["0101", "0001", "01ff"]},
    "going_away": {6: TRY_AGAIN[6], 8: ["", v(7, 0), v(1, 127, 128, 16384, MAX, MAX)]},
}

# Even types that nobody defines, and content of each size of length.
UNKNOWN = [
    [[0, ""]],
    [[0, "00"], [64, "c0ffee"]],
    [[126, ""], [128, pattern(127).hex()], [16382, pattern(128).hex()], [16384, "00"], [MAX - 1, "ff"]],
]


def layouts():
    """Yields (sender, what, answer, layout) of every command and ping with arguments and extensions."""
    for name, senders, layout in ref.COMMANDS.values():
        for sender in senders.split():
            yield sender, name, None, layout
    for (sender, answer), layout in ref.PINGS.items():
        yield sender, "ping", answer, layout


def title(what, answer):
    return what if answer is None else "ping answer" if answer else "ping"


def build(what, answer, layout, number, extensions=(), change=()):
    """A command or ping; `number(index)` gives the varints, first choices the rest."""
    frame = {"type": "ping", "answer": answer} if what == "ping" else {"type": "control", "command": what}
    for index, (name, kind) in enumerate(ref.fields_of(layout)):
        frame[name] = number(index) if kind == "varint" else CHOICES[what, name][0]
    frame.update(change)
    if what in ALWAYS_0:
        frame["request"] = 0
    frame["extensions"] = [list(extension) for extension in extensions]
    return frame


def client_data(kind, payload="", number=1, **change):
    frame = {"type": "data", "kind": kind, "compressed": False, "urgent": False, "acknowledge": False}
    frame.update((name, number) for name, _ in ref.fields_of(ref.ARGUMENTS[kind]))
    frame["payload"] = payload
    frame.update(change)
    return frame


def record(kind, member, payload, key=0):
    made = {"member": member}
    if kind in ref.KEYED:
        made["key"] = key
    made["payload"] = payload
    return made


def server_data(kind, records, **change):
    frame = {"type": "data", "kind": kind, "compressed": False, "urgent": False, "more": False,
             "room": 7, "position": 1, "tick": 4}
    if change.get("compressed"):
        frame["body"] = records
    else:
        frame["records"] = records
    frame.update(change)
    return frame


PRESENCE_EXAMPLES = ["010461646131626c7565", "02", "03c801", "04ac02"]


def sample_payload(kind):
    return PRESENCE_EXAMPLES[0] if kind in ("presence", "members") else h("hi")


# --- frames.json ---


def add_frame(frames, name, sender, frame):
    data = ref.encode_frame(frame, sender)
    require(len(data) <= 4 + ref.FRAME_LIMIT, "%s is larger than a frame may be", name)
    frames.put(name, (sender, data), {"from": sender, "hex": data.hex(), "frame": frame})


# Written by hand, not by the reference codec: the commands that section 16 does not show.
BY_HAND = [
    ("server", "02000e00 0a 00 07 0123456789abcdef 03 8101",
     dict(command="gap", request=0, room=7, epoch=EPOCH, **{"from": 3, "to": 129}, extensions=[])),
    ("client", "02000600 0b 04 01 02 01 00",
     dict(command="receive", request=4, handle=1, what=2, divisor=1, area=0, extensions=[])),
    ("server", "02000200 0c 04", dict(command="done", request=4, extensions=[])),
    ("client", "02000600 0d 05 01 026869",
     dict(command="presence", request=5, handle=1, data="6869", extensions=[])),
    ("client", "02000600 0e 06 03616263", dict(command="token", request=6, token="616263", extensions=[])),
    ("client", "02000400 0f 07 01 00", dict(command="members", request=7, handle=1, after=0, extensions=[])),
    ("server", "02000a00 10 07 01 09 00 0402010100",
     dict(command="page", request=7, handle=1, position=9, next=0, records="02010100", extensions=[])),
    ("server", "02000400 11 00 8001", dict(command="accepted", request=0, number=128, extensions=[])),
    ("server", "02000d00 0a 00 07 0123456789abcdef 04 03",
     dict(command="gap", request=0, room=7, epoch=EPOCH, **{"from": 4, "to": 3}, extensions=[])),
    ("client", "02000600 08 09 c801 0200", dict(command="close", request=9, reason=200, extensions=[[2, ""]])),
    ("client", "02000500 f0 8101 0200", dict(command="application", code=0xF0, request=129, body="0200")),
]


def add_by_hand(frames):
    for sender, text, frame in BY_HAND:
        frame = dict(type="control", **frame)
        data = bytes.fromhex(text)
        require(ref.encode_frame(frame, sender) == data, "by hand: %s differs", text)
        empty = " without batches" if frame.get("to", 0) < frame.get("from", 0) else ""
        add_frame(frames, "%s %s%s by hand" % (sender, frame["command"], empty), sender, frame)


def add_arguments(frames):
    for sender, what, answer, layout in layouts():
        name = "%s %s" % (sender, title(what, answer))
        fields = list(ref.fields_of(layout))

        def add(suffix, number, change=()):
            frame = build(what, answer, layout, number, change=change)
            add_frame(frames, "%s, %s" % (name, suffix), sender, frame)

        # No two arguments alike, so that none can be exchanged; then sizes.
        add("arguments differ", lambda index: index + 1)
        add("arguments of two bytes differ", lambda index: 300 + index)
        for boundary in BOUNDARIES:
            add("all integers %d" % boundary, lambda _, boundary=boundary: boundary)
        for field, kind in fields:
            if kind == "varint":
                add("only %s is large" % field, lambda _: 0, {field: MAX})
            else:
                for index, value in enumerate(CHOICES[what, field]):
                    add("%s %d" % (field, index + 1), lambda index: index + 1, {field: value})


def add_extensions(frames):
    for sender, what, answer, layout in layouts():
        name = "%s %s" % (sender, title(what, answer))
        known = EXTENSIONS.get(what, {})
        lists = [("extension %d content %d" % (kind, index + 1), [[kind, content]])
                 for kind, contents in known.items() for index, content in enumerate(contents)]
        if len(known) > 1:
            lists.append(("every extension", [[kind, known[kind][-1]] for kind in sorted(known)]))
        if known:
            mixed = [[kind, known[kind][1]] for kind in sorted(known)]
            lists.append(("extensions among unknown ones", [[0, ""], *mixed, [30, "ff"], [5000, ""]]))
        lists += [("unknown extensions %d" % (index + 1), unknown) for index, unknown in enumerate(UNKNOWN)]
        for suffix, extensions in lists:
            frame = build(what, answer, layout, lambda index: index + 1, extensions)
            add_frame(frames, "%s, %s" % (name, suffix), sender, frame)
    for sender, what in (("client", "leave"), ("server", "left")):
        layout = ref.COMMANDS[ref.CODES[what]][2]
        frame = build(what, None, layout, lambda index: index + 1)
        # the type takes 2 bytes, the length 3
        room = ref.FRAME_LIMIT - len(ref.encode_frame(frame, sender)) + 4 - 5
        frame["extensions"] = [[1000, pattern(room).hex()]]
        add_frame(frames, "%s %s, largest frame" % (sender, what), sender, frame)


def add_applications(frames):
    for sender in ("client", "server"):
        def add(name, **fields):
            frame = dict(type="control", command="application", **fields)
            add_frame(frames, "%s application, %s" % (sender, name), sender, frame)

        for code in ref.APPLICATION:
            add("code %d" % code, code=code, request=3, body=h("hi"))
        for boundary in BOUNDARIES:
            add("request %d" % boundary, code=255, request=boundary, body="")
        add("not a list of extensions", code=240, request=1, body="0400020005ff")
        # command and request take 2 bytes
        add("largest frame", code=240, request=1, body=pattern(ref.FRAME_LIMIT - 2).hex())


def add_client_data(frames):
    for kind, layout in ref.ARGUMENTS.items():
        def add(name, frame):
            add_frame(frames, "client %s, %s" % (kind, name), "client", frame)

        fields = [name for name, _ in ref.fields_of(layout)]
        flags = ("compressed", "urgent", "acknowledge")
        for values in itertools.product((False, True), repeat=3):
            on = [flag for flag, value in zip(flags, values) if value]
            payload = DEFLATED_HI if values[0] else h("hi")
            add("flags: " + (" ".join(on) or "none"), client_data(kind, payload, **dict(zip(flags, values))))
        for boundary in BOUNDARIES:
            add("all integers %d" % boundary, client_data(kind, h("hi"), number=boundary))
        for field in fields:
            add("only %s is large" % field, client_data(kind, h("hi"), number=0, **{field: MAX}))
        for size in (0, 1, 127, 128, 1024):
            add("payload of %d bytes" % size, client_data(kind, pattern(size).hex()))
        add("compressed payload without bytes", client_data(kind, "", compressed=True))
        add("largest message", client_data(kind, pattern(MAX_MESSAGE).hex()))
        if kind == "event":
            add("largest frame", client_data(kind, pattern(ref.FRAME_LIMIT - 1).hex()))
    for key, name in ((0, "member value 0"), (1, "room value 0"), (126, "member value 63"), (127, "room value 63"),
                      (128, "member value 64"), (129, "room value 64")):
        add_frame(frames, "client value, %s" % name, "client", client_data("value", h("v"), key=key))
        add_frame(frames, "client value, %s deleted" % name, "client", client_data("value", "", key=key))


def add_server_data(frames):
    for kind in ref.KINDS:
        def add(name, frame):
            add_frame(frames, "server %s, %s" % (kind, name), "server", frame)

        hi = sample_payload(kind)
        # "urgent" and "more" say something only where [5], [8.3] and [8.4] do.
        flags = {"direct": ("compressed",), "snapshot": ("compressed", "more"), "members": ("compressed", "more")}
        flags = flags.get(kind, ("compressed", "urgent", "more"))
        for values in itertools.product((False, True), repeat=len(flags)):
            on = [flag for flag, value in zip(flags, values) if value]
            records = DEFLATED_HI if values[0] else [record(kind, 1, hi)]
            add("flags: " + (" ".join(on) or "none"), server_data(kind, records, **dict(zip(flags, values))))
        add("no records", server_data(kind, []))
        if "more" in flags:
            add("no records, more frames follow", server_data(kind, [], more=True))
        add("compressed without bytes", server_data(kind, "", compressed=True))
        for boundary in BOUNDARIES:
            records = [record(kind, boundary, hi, key=boundary)]
            add("all integers %d" % boundary, server_data(kind, records, room=boundary, position=boundary))
        for field in ("room", "position"):
            add("only %s is large" % field, server_data(kind, [record(kind, 0, hi)],
                                                        **{"room": 0, "position": 0, "tick": 0, field: MAX}))
        add("only member is large", server_data(kind, [record(kind, MAX, hi)], room=0, position=0))
        if kind in ref.KEYED:
            add("only key is large", server_data(kind, [record(kind, 0, hi, key=MAX)], room=0, position=0))
            keys = [record(kind, 1 + key // 2, hi, key=key) for key in (0, 1, 126, 127, 128, 129)]
            add("keys", server_data(kind, keys))
        for tick in (0, 1, 255, 256, 32768, 65535):
            add("tick %d" % tick, server_data(kind, [record(kind, 2, hi)], tick=tick))
        if kind in ("presence", "members"):
            several = [record(kind, index, payload) for index, payload in enumerate(PRESENCE_EXAMPLES, 1)]
            add("several records", server_data(kind, several))
            add("payload of 256 bytes of data", server_data(kind, [record(kind, 3, "0100" + pattern(256).hex())]))
            continue
        for size in (0, 1, 127, 128, 1024):
            add("payload of %d bytes" % size, server_data(kind, [record(kind, 1, pattern(size).hex(), key=2)]))
        add("largest message", server_data(kind, [record(kind, 1, pattern(MAX_MESSAGE).hex(), key=2)]))
        several = [record(kind, member, pattern(size).hex(), key=member)
                   for member, size in ((1, 2), (2, 0), (1, 200), (300, 1), (0, 0))]
        add("several records", server_data(kind, several))
        add("many records", server_data(kind, [record(kind, member, "", key=1) for member in range(100, 200)]))
        if kind == "event":
            # head 4 bytes, record heads 2 + 1 bytes each
            rest = ref.FRAME_LIMIT - 4 - (3 + 128) - 3
            records = [record(kind, 1, pattern(128).hex()), record(kind, 1, pattern(rest).hex())]
            add("largest frame", server_data(kind, records))


def make_frames(frames):
    add_by_hand(frames)
    add_arguments(frames)
    add_extensions(frames)
    add_applications(frames)
    add_client_data(frames)
    add_server_data(frames)
    for vector in frames:
        data = bytes.fromhex(vector["hex"])
        require(ref.decode_frame(data, vector["from"]) == (vector["frame"], len(data)),
                "%s is decoded differently", vector["name"])
        require(ref.encode_frame(vector["frame"], vector["from"]) == data,
                "%s is encoded differently", vector["name"])
    for sender, kind in itertools.product(("client", "server"), (ref.DATA, ref.CONTROL)):
        require(any(v["from"] == sender and v["hex"].startswith("%02x4000" % kind) for v in frames),
                "no frame of type %d from the %s is as large as allowed", kind, sender)


# --- compressed.json ---

# What zlib 1.3 makes of these: nobody's compressor has to make the same. Inflating is checked.
FIXED = "2bcacc4b572842217420cc448514200500"
DYNAMIC = ("45936b4b5c311884f1526f55ebdddd4dd6dae3a522414e72725da41491524a11bf97fd1fad65ffbbef9b79a3df76193267e6"
            "9964bcb4fcbffbdbcd8664ba7fdd2c0ca67be9667fac49f3c56879b56ac957ad40f2c6ce17e395b52ad9be4ad1412b26cf17"
            "93d58daa7958da2c96d138123f6c5531c33359882e9842e2da76151d5c5d82384433cc176a7db78a01b6b99738c5d89e8e6e"
            "ec55b5c0978e54357ae3e9e8e6014ac2374b936c8da52e6aeba8aa11c63e48debe37818c3f9ee02cca88e6e828b551db2354"
            "8571f0227b6f22a93b13f013107d03510c2556bb1a08e11c1bf91299bdfa7486b670b612d911288ebc770e8a704eae518c3c"
            "80daef8011ce4e0670d49b331f5ca2aec0904a83f33c813abc0647380f6f1358de401fdd00069c4bdb8050f108eaf8168561"
            "ed6504ef2daf303931f83052894617a18e707a0792700e3242708547d0a31e7d8586640e296286b1034a58479921122c9e61"
            "e281527048e8488739b38a280ceb243324fa30cfa033504a689921e5fa0ad474864670ced229535f9a419fddcb1b81f5203b"
            "14facfa13f7f034b5817e9548834eda0cfbf0325ac7d6a979266e2c7f0e501a9e1dcc48cc7a0bb47c08475901daca55f34c4"
            "f4e20768ca9d76ed52f3e5a25afaf22782c33db607e1e86ad218d3ab5fe0294cda9b18e85ef31afafa37b2c13ebd3f8afa2a"
            "f4d7272095eced550432e2ec37cf600af7dcba45a24683bc02")
LARGEST = "edc13101000000c2a0f54f6d0d0fa00000000000000000000000000000801703"
TOO_LARGE = "edc13101000000c2a0f54f6d0d0fa00000000000000000000000000000801b03"
BOMB = ("edc13101000000c2a0f54f6d0d0fa0000000000000000000000000000000000000000000000000000000000000"
        + "00" * 66 + "805703")  # 100,000 zeros


def inflate(stream, most):
    """[12.4]: one whole deflate stream that holds at most so many bytes, else None."""
    inflater = zlib.decompressobj(wbits=-15)
    try:
        plain = inflater.decompress(stream, most + 1)
    except zlib.error:
        return None
    return plain if len(plain) <= most and inflater.eof and not inflater.unused_data else None


def inflated(frame, sender):
    """A compressed frame as it would have come plain."""
    stream = bytes.fromhex(frame["payload" if sender == "client" else "body"])
    plain = inflate(stream, MAX_MESSAGE if sender == "client" else ref.FRAME_LIMIT)
    require(plain is not None, "no deflate stream")
    frame = dict(frame, compressed=False)
    if sender == "client":
        return dict(frame, payload=plain.hex())
    del frame["body"]
    reader = ref.Reader(plain)
    frame["records"] = []
    while reader.left():
        frame["records"].append(ref.decode_record(reader, frame["kind"]))
    return frame


def stored(data, last=True):
    """[RFC 1951, 3.2.4] A block that holds bytes as they are."""
    return bytes([last]) + len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data


def compressed():
    valid, invalid = Vectors(), Vectors()

    def good(name, sender, frame):
        plain = inflated(frame, sender)
        data = ref.encode_frame(frame, sender)
        require(ref.decode_frame(data, sender) == (frame, len(data)), "%s is decoded differently", name)
        vector = {"from": sender, "hex": data.hex(), "plain": ref.encode_frame(plain, sender).hex(), "frame": plain}
        valid.put(name, (sender, data), vector)

    streams = [("nothing, fixed codes", "0300"), ("nothing, stored", stored(b"").hex()), ("hi, stored", DEFLATED_HI),
               ("fixed codes", FIXED), ("dynamic codes", DYNAMIC),
               ("two stored blocks", (stored(b"ab", False) + stored(b"cd")).hex()),
               ("the largest message", LARGEST)]
    for kind in ref.ARGUMENTS:
        for name, stream in streams:
            good("client %s: %s" % (kind, name), "client", client_data(kind, stream, compressed=True))
    for kind in ref.KINDS:
        def small(records, **change):
            stream = stored(b"".join(ref.encode_record(each, kind) for each in records))
            return server_data(kind, stream.hex(), compressed=True, **change)

        one = record(kind, 1, sample_payload(kind))
        good("server %s: no records" % kind, "server", small([]))
        good("server %s: a record" % kind, "server", small([one]))
        good("server %s: records" % kind, "server", small([one, record(kind, 300, sample_payload(kind), key=129)] * 9))
    for kind in ("value", "snapshot"):
        good("server %s: dynamic codes" % kind, "server", server_data(kind, DYNAMIC, compressed=True))
    good("server event: more frames follow, urgent", "server",
         server_data("event", stored(b"\x02\x01hi").hex(), compressed=True, urgent=True, more=True))

    def bad(name, sender, stream, reason):
        frame = client_data if sender == "client" else server_data
        data = ref.encode_frame(frame("event", stream, compressed=True), sender)
        most = MAX_MESSAGE if sender == "client" else ref.FRAME_LIMIT
        require(inflate(bytes.fromhex(stream), most) is None, "%s can be inflated", name)
        invalid.put("%s: %s" % (sender, name), (sender, data), {"from": sender, "hex": data.hex(), "reason": reason})

    for sender, reason in (("client", 226), ("server", 201)):
        for name, stream in BAD_STREAMS:
            bad(name, sender, stream, reason)
    bad("one byte above the largest message", "client", TOO_LARGE, 236)
    bad("a bomb", "client", BOMB, 236)
    bad("a bomb", "server", BOMB, 201)
    return {"valid": list(valid), "invalid": list(invalid)}


BAD_STREAMS = [
    ("no bytes", ""), ("reserved block type", "07"), ("stored length contradicts itself", "010200fcff6869"),
    ("stored block cut off", DEFLATED_HI[:-2]), ("fixed codes cut off", FIXED[:-2]),
    ("dynamic codes cut off", DYNAMIC[:200]), ("a byte behind the stream", FIXED + "00"),
    ("a stream behind the stream", DEFLATED_HI * 2), ("no last block", stored(b"hi", False).hex()),
    ("a distance before the start", "0302"), ("zlib's header", "789c" + FIXED), ("gzip's header", "1f8b0800"),
]


# --- presence.json ---


def presences():
    valid, invalid = Vectors(), Vectors()

    def good(name, **presence):
        data = ref.encode_presence(presence)
        require(ref.decode_presence(data) == presence, "%s is decoded differently", name)
        valid.put(name, data, {"hex": data.hex(), "presence": presence})

    good("here, nothing", state="here", subject="", data="")
    good("here, subject", state="here", subject=h("user:zoë"), data="")
    good("here, data", state="here", subject="", data=pattern(256).hex())
    good("here, both", state="here", subject=h("ada1"), data=h("blue"))
    good("here, data looks like a record", state="here", subject="", data="02")
    for size in (127, 128):
        good("here, subject of %d bytes" % size, state="here", subject=h("s" * size), data="00")
    good("away", state="away")
    for boundary in BOUNDARIES:
        good("left, reason %d" % boundary, state="left", reason=boundary)
        good("count, members %d" % boundary, state="count", members=boundary)
    good("left, reason 200", state="left", reason=200)
    for code in (0, 5, 0x7F, 0x80, 0xFF):
        for rest in ("", "ff", h("later")):
            data = bytes([code]) + bytes.fromhex(rest)
            presence = {"state": "unknown", "code": code}
            require(ref.decode_presence(data) == presence, "unknown state %d", code)
            valid.put("unknown state %d, then %d bytes" % (code, len(data) - 1), data,
                      {"hex": data.hex(), "presence": presence})

    def bad(name, text):
        try:
            ref.decode_presence(bytes.fromhex(text))
            raise Failed("%s can be decoded" % name)
        except ref.Malformed:
            invalid.put(name, text, {"hex": text})

    bad("no state", "")
    bad("here, no subject", "01")
    bad("here, subject cut off", "0103" + h("ad"))
    bad("here, subject without bytes", "0101")
    bad("here, length of subject cut off", "0180")
    bad("here, length of subject not minimal", "01810061")
    bad("here, subject of 2^53-1 bytes", "01" + v(MAX) + h("ada"))
    bad("here, length of subject is 2^53", "01" + "80" * 7 + "10")
    for state, name in (("03", "left"), ("04", "count")):
        bad("%s, no number" % name, state)
        bad("%s, number cut off" % name, state + "80")
        bad("%s, number not minimal" % name, state + "8100")
        bad("%s, number is 2^53" % name, state + "80" * 7 + "10")
        bad("%s, number of 9 bytes" % name, state + "80" * 8 + "01")
    return {"valid": list(valid), "invalid": list(invalid)}


# --- malformed.json ---

BAD_INTEGERS = [("is not minimal", b"\x81\x00"), ("is 2^53", b"\x80" * 7 + b"\x10"),
                ("has 9 bytes", b"\x80" * 8 + b"\x01")]
BAD_EXTENSIONS = [
    ("extension without length", "02"),
    ("type of an extension cut off", "80"),
    ("length of an extension cut off", "0280"),
    ("extension without its byte", "0201"),
    ("extension cut off", "02056869"),
    ("extension of 2^53-1 bytes", "02" + v(MAX) + "00"),
    ("second extension cut off", "020068"),
    ("extensions descend", "04000200"),
    ("extension twice", "02000200"),
    ("unknown extension twice", "64006400"),
    ("type 0 twice", "00000000"),
    ("type of an extension not minimal", "820000"),
    ("length of an extension not minimal", "02810061"),
    ("type of an extension is 2^53", "80" * 7 + "10" + "00"),
    ("length of an extension is 2^53", "02" + "80" * 7 + "10"),
]


def damages(fields):
    """Yields (what is wrong, bytes) for a list of (field, type, bytes)."""
    whole = b"".join(data for _, _, data in fields)
    at = 0
    for name, kind, data in fields:
        for cut in range(len(data)):
            yield "ends %d bytes into %s" % (cut, name), whole[: at + cut]
        after = at + len(data)
        if kind in ("varint", "string"):
            what = name if kind == "varint" else "length of " + name
            for wrong, number in BAD_INTEGERS:
                yield "%s %s" % (what, wrong), whole[:at] + number + whole[after:]
        if kind == "string":
            for length in (2, 128, MAX):
                yield ("%s longer than the frame, %d" % (name, length),
                       whole[:at] + encode_varint(length) + b"x")
        at = after


def field_bytes(layout, frame):
    return [(name, kind, ref.encode_fields("%s:%s" % (name, kind), frame)) for name, kind in ref.fields_of(layout)]


def make_malformed(malformed):
    def bad(sender, name, data, reason=201):
        vector = {"from": sender, "hex": data.hex(), "reason": reason}
        malformed.put("%s %s" % (sender, name), (sender, data), vector)

    for sender, what, answer, layout in layouts():
        frame = build(what, answer, layout, lambda index: 300 + index)
        if "string" in dict(ref.fields_of(layout)).values():
            frame[layout.split()[-1].partition(":")[0]] = h("abc")
        fields = field_bytes(layout, frame)
        code = b"" if what == "ping" else bytes([ref.CODES[what]])
        head = (ref.PING, int(answer)) if what == "ping" else (ref.CONTROL, 0)
        arguments = b"".join(data for _, _, data in fields)
        for wrong, data in damages(fields):
            bad(sender, "%s, %s" % (title(what, answer), wrong), frame_bytes(*head, code + data))
        for wrong, text in BAD_EXTENSIONS:
            bad(sender, "%s, %s" % (title(what, answer), wrong),
                frame_bytes(*head, code + arguments + bytes.fromhex(text)))

    for sender in ("client", "server"):
        bad(sender, "control without command", frame_bytes(ref.CONTROL, 0, b""))
        for code in (0xF0, 0xFF):
            for wrong, data in damages([("request", "varint", encode_varint(300))]):
                bad(sender, "application %d, %s" % (code, wrong), frame_bytes(ref.CONTROL, 0, bytes([code]) + data))

    for kind, layout in ref.ARGUMENTS.items():
        fields = field_bytes(layout, {"handle": 300, "key": 301, "member": 302})
        for flags in (0, ref.COMPRESSED):
            for wrong, data in damages(fields):
                bad("client", "%s%s, %s" % ("compressed " if flags else "", kind, wrong),
                    frame_bytes(ref.DATA, ref.KINDS.index(kind) << 1 | flags, data))

    for index, kind in enumerate(ref.KINDS):
        head = field_bytes("room position", {"room": 300, "position": 301})
        head.append(("tick", "u16", b"\x01\x02"))
        for flags in (0, ref.COMPRESSED):
            for wrong, data in damages(head):
                bad("server", "%s%s, %s" % ("compressed " if flags else "", kind, wrong),
                    frame_bytes(ref.DATA, index << 1 | flags, data))
        start = b"".join(data for _, _, data in head)
        keyed = kind in ref.KEYED
        payload = bytes.fromhex(sample_payload(kind))
        size = len(payload)
        fields = [("length", "varint", encode_varint(size)), ("member", "varint", encode_varint(300))]
        fields += [("key", "varint", encode_varint(301))] if keyed else []
        fields += [("payload", "bytes", payload)]
        whole = b"".join(data for _, _, data in fields)
        for before, name in ((b"", "record"), (whole, "second record")):
            for wrong, data in damages(fields):
                if data:
                    bad("server", "%s, %s: %s" % (kind, name, wrong),
                        frame_bytes(ref.DATA, index << 1, start + before + data))
            for length in (size + 1, 128, MAX):
                bad("server", "%s, %s: length is %d of %d" % (kind, name, length, size),
                    frame_bytes(ref.DATA, index << 1, start + before + encode_varint(length) + whole[1:]))

    make_bad_headers(bad)
    for vector in malformed:
        try:
            ref.decode_frame(bytes.fromhex(vector["hex"]), vector["from"])
        except ref.Malformed as problem:
            require(problem.reason == vector["reason"], "%s: %s", vector["name"], problem)
            continue
        raise Failed("%s can be decoded" % vector["name"])


def make_bad_headers(bad):
    event = ref.encode_frame(client_data("event", h("hi")), "client")
    for kind in (0x00, 0x04, 0x05, 0x08, 0x10, 0x16, 0x20, 0x47, 0x7F, 0x80, 0x81, 0xD7, 0xFE, 0xFF):
        bad("client", "type %d" % kind, bytes([kind]) + event[1:], 202)
        bad("client", "type %d, no payload" % kind, frame_bytes(kind, 0, b""), 202)
        bad("client", "type %d, too large, flags" % kind, bytes([kind, 0xFF, 0xFF, 0xFF]), 202)
    for kind, name in ((ref.DATA, "data"), (ref.CONTROL, "control"), (ref.PING, "ping")):
        for length in (ref.FRAME_LIMIT + 1, 0x8000, 0xFFFF):
            for flags in (0, 0xFF):
                bad("client", "%s of %d bytes, flags %d" % (name, length, flags),
                    bytes([kind]) + length.to_bytes(2, "big") + bytes([flags]), 203)
    reserved = []
    for flags in (0x40, 0x80, 0xC0):
        for kind in ref.ARGUMENTS:
            frame = client_data(kind, h("hi"))
            reserved.append((kind, flags, ref.encode_frame(frame, "client")))
        reserved.append(("urgent event", flags, ref.encode_frame(client_data("event", "", urgent=True), "client")))
        reserved.append(("unreadable event", flags, frame_bytes(ref.DATA, 0, b"")))
    leave = build("leave", None, "request handle", lambda index: index + 1)
    for bit in range(8):
        reserved.append(("leave", 1 << bit, ref.encode_frame(leave, "client")))
        reserved.append(("unreadable control", 1 << bit, frame_bytes(ref.CONTROL, 0, b"")))
    for answer in (False, True):
        ping = build("ping", answer, ref.PINGS["client", answer], lambda index: index + 1)
        for bit in range(1, 8):
            reserved.append((title("ping", answer), 1 << bit, ref.encode_frame(ping, "client")))
            reserved.append(("unreadable " + title("ping", answer), 1 << bit, frame_bytes(ref.PING, int(answer), b"")))
    for name, flags, data in reserved:
        bad("client", "%s with reserved flags %d" % (name, flags), data[:3] + bytes([data[3] | flags]) + data[4:], 210)


# --- errors.json ---


def command(name, *values, extensions=()):
    layout = next(layout for known, _, layout in ref.COMMANDS.values() if known == name)
    frame = {"type": "control", "command": name, "extensions": [list(e) for e in extensions]}
    frame.update(zip((field for field, _ in ref.fields_of(layout)), values))
    sender = ref.COMMANDS[ref.CODES[name]][1].split()[0]
    return ref.encode_frame(frame, sender)


def data(kind, payload="6869", **change):
    return ref.encode_frame(client_data(kind, payload, **change), "client")


def raw(text):
    return bytes.fromhex(text)


def errors():
    found = Vectors()

    def case(name, after, send, transport="both", text=False, **expect):
        send = [send] if isinstance(send, bytes) else send
        vector = {"transport": transport, "after": after, "send": [part.hex() for part in send],
                  "text": text, "expect": expect}
        check_error(name, vector)
        found.put(name, name, vector)

    hello = command("hello", 1, 0, 0, 0)
    ping = ref.encode_frame(build("ping", False, ref.PINGS["client", False], lambda _: 0), "client")
    event = data("event")
    unreadable = frame_bytes(ref.DATA, 0, raw("81006869"))

    def join(request, handle=1, mode=3, name=b"vectors", extensions=()):
        return command("join", request, handle, mode, name.hex(), extensions=extensions)

    # 206, 207
    wrong_magic = [("HTTP", b"GET / HTTP/1.1\r\n\r\n"), ("TLS", raw("160301020001000001")), ("zeros", raw("00000000")),
                   ("second byte", raw("d7535701")), ("third byte", raw("d7545801")), ("and version", raw("d7545802")),
                   ("missing", hello)]
    for name, start in wrong_magic:
        case("magic: %s" % name, "connect", start, "tcp", close=206)
    for version in (0, 2, 255):
        case("version %d" % version, "connect", ref.MAGIC + bytes([version]), "tcp", close=207)
    case("version 2 with a hello", "connect", ref.MAGIC + b"\x02" + hello, "tcp", close=207)
    case("version 2 in four chunks", "connect", [raw("d7"), raw("54"), raw("57"), raw("02")], "tcp", close=207)

    # 208, 209
    for name, first in (("ping", ping), ("event", event), ("join", join(1)), ("leave", command("leave", 1, 1)),
                        ("application command", raw("02000200f001")), ("unknown command", raw("020002007001")),
                        ("server's command", command("done", 1))):
        case("%s before hello" % name, "preamble", first, close=208)
    case("ping before hello, hello behind it", "preamble", ping + hello, close=208)
    case("hello twice", "hello", hello, close=209)
    case("hello twice at once", "preamble", hello + hello, close=209)
    case("hello again in a room", "join", command("hello", 9, 63, 0, 0), close=209)
    case("hello again behind a ping", "hello", ping + hello, close=209)

    # 201
    case("hello that ends early", "preamble", frame_bytes(ref.CONTROL, 0, raw("010100")), close=201)
    case("control without command", "hello", frame_bytes(ref.CONTROL, 0, b""), close=201)
    case("handle not minimal", "join", unreadable, close=201)
    case("handle not minimal, behind an event", "join", event + unreadable, close=201)
    case("handle not minimal, behind a ping", "hello", ping + unreadable, close=201)
    case("handle not minimal, behind hello and join", "preamble", hello + join(2) + unreadable, close=201)
    case("handle not minimal, in several chunks", "join",
         [unreadable[:1], unreadable[1:3], unreadable[3:5], unreadable[5:]], "tcp", close=201)
    case("event without handle", "join", frame_bytes(ref.DATA, 0, b""), close=201)
    case("value without key", "join", frame_bytes(ref.DATA, 2, raw("01")), close=201)
    case("direct without member", "join", frame_bytes(ref.DATA, 6, raw("01")), close=201)
    case("integer of 2^53", "join", frame_bytes(ref.DATA, 0, b"\x80" * 7 + b"\x10"), close=201)
    case("name cut off", "hello", frame_bytes(ref.CONTROL, 0, raw("0307010305") + b"vec"), close=201)
    case("extensions descend", "join", frame_bytes(ref.CONTROL, 0, raw("050701") + raw("04000200")), close=201)
    case("extension cut off", "join", frame_bytes(ref.CONTROL, 0, raw("050701") + raw("020500")), close=201)
    case("ping that ends early", "hello", frame_bytes(ref.PING, 0, raw("0100")), close=201)
    case("ping answer that ends early", "hello", frame_bytes(ref.PING, 1, raw("0100")), close=201)

    # 202, 203, 210
    for kind in (0x00, 0x04, 0x16, 0x47, 0xFF):
        case("frame type %d" % kind, "hello", frame_bytes(kind, 0, raw("016869")), close=202)
    case("frame type 4 behind an event", "join", event + frame_bytes(4, 0, raw("016869")), close=202)
    for kind in (ref.DATA, ref.CONTROL, ref.PING):
        case("header of type %d announces too much" % kind, "hello", bytes([kind]) + raw("400100"), "tcp", close=203)
    case("header announces too much, behind an event", "join", event + raw("01ffff00"), "tcp", close=203)
    case("header announces too much for a hello", "preamble", raw("02100100"), "tcp", close=203)
    for name, after, frame, bits in (("event", "join", event, (6, 7)), ("ping", "hello", ping, range(1, 8)),
                                     ("leave", "join", command("leave", 7, 1), range(8))):
        for bit in bits:
            case("%s with reserved flag %d" % (name, bit), after, frame[:3] + bytes([1 << bit]) + frame[4:], close=210)
    case("hello with reserved flag 0", "preamble", hello[:3] + b"\x01" + hello[4:], close=210)
    case("reserved flag behind a ping", "join", ping + event[:3] + b"\x80" + event[4:], close=210)

    # 204, 205
    for name, after, message in (
        ("half a header", "hello", event[:2]),
        ("a header", "hello", ping[:4]),
        ("half a ping", "hello", ping[:5]),
        ("half a hello", "preamble", hello[:6]),
        ("an event and half of another", "join", event + event[:5]),
        ("hello and half a join", "preamble", hello + join(2)[:7]),
    ):
        case("message ends in a frame: %s" % name, after, message, "ws", close=204)
    case("message ends in a frame that goes on in the next", "hello", [ping[:5], ping[5:]], "ws", close=204)
    case("message ends in a frame, behind a join that is refused", "hello", join(7, name=b"*") + event[:5], "ws",
         refused=230, request=7)
    for after in ("preamble", "hello", "join"):
        case("text after %s" % after, after, b"hello", "ws", text=True, close=205)
    case("text that would be a frame", "join", command("leave", 7, 1), "ws", text=True, close=205)

    # 220, 221
    for code in (0x00, 0x12, 0x70, 0xEF):
        case("unknown command %d" % code, "hello", frame_bytes(ref.CONTROL, 0, bytes([code, 7])),
             refused=220, request=7)
    case("unknown command with arguments", "hello", frame_bytes(ref.CONTROL, 0, raw("12ac02") + pattern(50)),
         refused=220, request=300)
    case("unknown command behind a ping", "hello", ping + raw("020002001207"), refused=220, request=7)
    for code in (0xF0, 0xFF):
        case("application command %d" % code, "join", frame_bytes(ref.CONTROL, 0, bytes([code, 7]) + b"hi"),
             refused=220, request=7)
    for sent in (command("welcome", 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                 command("joined", 7, 1, 7, 1, 3, 0, EPOCH, 0, 0, 0, 0), command("left", 7, 1, 200),
                 command("refused", 7, 0, 200), command("going_away", 7, 0, 0),
                 command("gap", 7, 1, EPOCH, 1, 1), command("done", 7), command("page", 7, 1, 0, 0, ""),
                 command("accepted", 7, 1)):
        case("server's command %d" % sent[4], "join", sent, refused=221, request=7)

    # 222
    for kind in (3, 5, 101, MAX):
        case("hello with extension %d" % kind, "preamble",
             command("hello", 1, 0, 0, 0, extensions=[[kind, "00"]]), close=222)
    for kind in (1, 3, MAX):
        case("join with extension %d" % kind, "hello", join(7, extensions=[[kind, ""]]), refused=222, request=7)
        case("leave with extension %d" % kind, "join", command("leave", 7, 1, extensions=[[kind, ""]]),
             refused=222, request=7)
    case("join with an odd extension behind even ones", "hello", join(7, extensions=[[6, ""], [30, "ff"], [31, "ff"]]),
         refused=222, request=7)
    case("presence with extension 3", "join", command("presence", 7, 1, "", extensions=[[3, ""]]),
         refused=222, request=7)

    # 223
    for kind in ("event", "value"):
        case("compressed %s" % kind, "join", data(kind, DEFLATED_HI, compressed=True), refused=223, number=1)
        case("%s to acknowledge" % kind, "join", data(kind, acknowledge=True), refused=223, number=1)
    case("event to acknowledge, behind another", "join", event + data("event", acknowledge=True), refused=223, number=2)
    case("receive", "join", command("receive", 7, 1, 0, 1, 0), refused=223, request=7)
    case("receive with divisor 2", "join", command("receive", 7, 1, 0, 2, 0), refused=223, request=7)
    case("receive with area 1", "join", command("receive", 7, 1, 1, 1, 1), refused=223, request=7)
    case("token", "join", command("token", 7, h("token")), refused=223, request=7)
    case("members", "join", command("members", 7, 1, 0), refused=223, request=7)

    # 224
    for mode in (0, 4, 8, 0x0B, 0x13, 0x83, 0xFF):
        case("join with mode %d" % mode, "hello", join(7, mode=mode), refused=224, request=7)
    case("join with 1025 bytes of data", "hello", join(7, extensions=[[2, pattern(1025).hex()]]),
         refused=224, request=7)
    case("join with 257 bytes of presence", "hello", join(7, extensions=[[6, pattern(257).hex()]]),
         refused=224, request=7)
    case("257 bytes of presence", "join", command("presence", 7, 1, pattern(257).hex()), refused=224, request=7)

    # 225: every reading of these payloads is whole
    for kind in (2, 4, 5, 6, 7):
        case("data of kind %d" % kind, "join", frame_bytes(ref.DATA, kind << 1, raw("01006869")), refused=225, number=1)
    case("data of kind 2 behind an event", "join", event + frame_bytes(ref.DATA, 4, raw("01006869")),
         refused=225, number=2)

    # 230 to 235
    bad_names = [("empty", b""), ("65 bytes", b"x" * 65), ("NUL", b"a\0b"), ("only NUL", b"\0"), ("ESC", b"a\x1b[31m"),
                 ("newline", b"a\n"), ("DEL", b"a\x7f"), ("space", b"a b"), ("space at the end", b"a "),
                 ("star", b"a*"), ("hash", b"a#"), ("percent", b"a%20b"), ("backslash", b"a\\b"), ("comma", b"a,b"),
                 ("tilde", b"~a"), ("UTF-8", "zoë".encode()), ("not UTF-8", b"\xff\xfe"), ("high bit", b"a\xe1")]
    for name, bad in bad_names:
        case("room name: %s" % name, "hello", join(7, name=bad), refused=230, request=7)
    case("room name, behind another join", "preamble", hello + join(2) + join(3, 2, name=b"a!"), refused=230, request=3)
    case("handle in use", "join", join(7, 1, name=b"vectors-2"), refused=231, request=7)
    case("handle in use, all at once", "preamble", hello + join(2) + join(3, 1, name=b"vectors-2"),
         refused=231, request=3)
    case("room twice", "join", join(7, 2), refused=233, request=7)
    case("room twice, all at once", "preamble", hello + join(2) + join(3, 2), refused=233, request=3)
    case("event without a join", "hello", event, refused=232, number=1)
    case("value without a join", "hello", data("value"), refused=232, number=1)
    case("direct without a join", "hello", data("direct"), refused=232, number=1)
    case("event to another handle", "join", data("event", handle=9), refused=232, number=1)
    case("event to the largest handle", "join", data("event", handle=MAX), refused=232, number=1)
    case("event to another handle, behind two", "join", event + event + data("event", handle=9), refused=232, number=3)
    case("leave another handle", "join", command("leave", 7, 9), refused=232, request=7)
    case("leave twice", "join", command("leave", 7, 1) + command("leave", 8, 1), refused=232, request=8)
    case("event after leave", "join", command("leave", 7, 1) + event, refused=232, number=1)
    case("presence for another handle", "join", command("presence", 7, 9, ""), refused=232, request=7)
    case("129 rooms", "hello", b"".join(join(n, n, name=b"vectors-%d" % n) for n in range(1, 130)),
         refused=234, request=129)
    case("room sends larger messages", "preamble", command("hello", 1, 0, 1, 0) + join(2), refused=235, request=2)
    case("room sends larger frames", "preamble", command("hello", 1, 0, 0, 64) + join(2), refused=235, request=2)

    # 236, 237, 238
    for kind in ("event", "value"):
        case("%s of 15361 bytes" % kind, "join", data(kind, pattern(MAX_MESSAGE + 1).hex()), refused=236, number=1)
    case("event in the largest frame", "join", data("event", pattern(ref.FRAME_LIMIT - 1).hex()), refused=236, number=1)
    for kind in ("event", "value"):
        case("%s of a receiver" % kind, "hello", join(7, mode=2) + data(kind), refused=237, number=1)
    for member in (0, 999999, MAX):
        case("direct to member %d" % member, "join", data("direct", member=member), refused=238, number=1)
    case("direct to member 0 behind an event", "join", event + data("direct", member=0), refused=238, number=2)

    # 222, 224, 226, 232, 236: with every capability of section 12
    everything = 0x6F
    for name, content in (("without a token", ""), ("token cut off", "05" + h("abc")),
                          ("without the number of directs", "00"), ("directs not minimal", "008100")):
        case("hello that resumes %s" % name, "preamble",
             command("hello", 1, everything, 0, 0, extensions=[[4, content]]), close=224)
    for name, content in (("nobody's token", "18" + pattern(24).hex() + "00"), ("an empty token", "0000"),
                          ("a long token", "40" + pattern(64).hex() + v(MAX)), ("more than it says", "0000ffff")):
        case("event without a join, behind a hello with %s" % name, "preamble",
             command("hello", 1, everything, 0, 0, extensions=[[4, content]]) + event, refused=232, number=1)
    case("event without a join, behind a hello that cannot resume", "preamble",
         command("hello", 1, 0, 0, 0, extensions=[[4, ""]]) + event, refused=232, number=1)
    for name, stream in BAD_STREAMS:
        for kind in ("event", "value"):
            case("compressed %s: %s" % (kind, name), "capable", data(kind, stream, compressed=True),
                 refused=226, number=1)
    for name, stream in (("one byte above the largest message", TOO_LARGE), ("a bomb", BOMB),
                         ("larger before it is inflated", stored(bytes(MAX_MESSAGE)).hex())):
        case("compressed event: %s" % name, "capable", data("event", stream, compressed=True), refused=236, number=1)
    case("compressed event to another handle", "capable", data("event", FIXED, handle=9, compressed=True),
         refused=232, number=1)
    case("compressed events, the second is broken", "capable",
         data("event", FIXED, compressed=True) + data("event", FIXED + "00", compressed=True), refused=226, number=2)
    case("broken event that asks to be acknowledged", "capable",
         data("event", "07", compressed=True, acknowledge=True), refused=226, number=1)
    for name, wrong, reason in (("divisor 0", (0, 0, 0), 223), ("divisor 2", (0, 2, 0), 223), ("area 1", (1, 1, 1), 223),
                                ("what 3", (3, 1, 0), 224), ("what 255", (255, 1, 0), 224)):
        case("receive with %s, negotiated" % name, "capable", command("receive", 7, 1, *wrong), refused=reason, request=7)
    case("receive for another handle", "capable", command("receive", 7, 9, 2, 1, 0), refused=232, request=7)
    case("receive of a publisher", "capable",
         join(8, 2, 1, b"vectors-2") + command("receive", 7, 2, 0, 1, 0), refused=224, request=7)
    case("receive with extension 1", "capable", command("receive", 7, 1, 2, 1, 0, extensions=[[1, ""]]),
         refused=222, request=7)
    case("members of another handle", "capable", command("members", 7, 9, 0), refused=232, request=7)
    case("members with extension 1", "capable", command("members", 7, 1, 0, extensions=[[1, ""]]),
         refused=222, request=7)
    case("token, where none are verified", "capable", command("token", 7, h("token")), refused=223, request=7)
    for size in (0, 7, 8):
        case("join with %d bytes of since" % size, "hello", join(7, extensions=[[4, "01" * size]]),
             refused=224, request=7)

    # 106, 200, 241
    case("257 values of a member", "join", b"".join(data("value", "01", key=2 * n) for n in range(257)),
         refused=106, number=257)
    case("close", "hello", command("close", 7, 200), close=200)
    case("close in a room", "join", command("close", 7, 200), close=200)
    case("close at once", "preamble", hello + join(2) + event + command("close", 7, 200), close=200)
    case("close, a malformed frame behind it", "join", command("close", 7, 200) + unreadable, close=200)
    case("token of 4001 bytes", "preamble", command("hello", 1, 0, 0, 0, extensions=[[1, h("k" * 4001)]]), close=241)
    return list(found)


def check_error(name, vector):
    """What the bytes alone decide must be decided as expected; the session decides the rest."""
    wanted = vector["expect"].get("close", vector["expect"].get("refused"))
    parts = [raw(part) for part in vector["send"]]
    stream = b"".join(parts)
    if vector["after"] == "connect":
        require(wanted == (207 if stream[:3] == ref.MAGIC and stream[3] != ref.VERSION else 206), "%s: magic", name)
        return
    if vector["text"]:
        require(wanted == 205 and parts[0].decode("utf-8"), "%s: text", name)
        return
    stream = parts[0] if vector["transport"] == "ws" else stream
    numbers = 0
    while stream:
        used = 4 + int.from_bytes(stream[1:3], "big")
        try:
            frame, used = ref.decode_frame(stream, "client")
            numbers += frame["type"] == "data"
            if frame.get("command") == "application" and wanted == 220:
                return
        except ref.Refused as refused:
            numbers += refused.request is None
            if wanted != 208:
                require(wanted == refused.reason, "%s: %s", name, refused)
                require(vector["expect"].get("request") == refused.request, "%s: request", name)
                return
        except ref.Malformed as problem:
            require(wanted in (problem.reason, 200), "%s: %s", name, problem)
            return
        except ref.Incomplete:
            # 230: refused before the end of the message; 4097 bytes are too many for a HELLO only
            require(wanted in (204, 230) or vector["after"] == "preamble" and wanted == 203, "%s: incomplete", name)
            return
        stream = stream[used:]
    require(wanted not in (201, 202, 203, 204, 205, 206, 207, 210, 220, 221, 225), "%s: nothing is wrong", name)
    require(vector["expect"].get("number", numbers) == numbers, "%s: data frame %d", name, numbers)


# --- Files ---


def check_varints(vectors):
    for vector in vectors["valid"]:
        reader = ref.Reader(raw(vector["hex"]))
        require(reader.varint() == vector["value"] and not reader.left(), "varint %s", vector["hex"])
    for vector in vectors["invalid"]:
        try:
            ref.Reader(raw(vector["hex"])).varint()
        except ref.Malformed:
            continue
        raise Failed("varint %s can be decoded" % vector["hex"])


def one_per_line(vectors):
    return "[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]"


def as_text(content):
    if isinstance(content, list):
        return one_per_line(content) + "\n"
    return "{\n" + ",\n".join("%s: %s" % (json.dumps(key), one_per_line(content[key])) for key in content) + "\n}\n"


def make():
    frames, malformed = Vectors(), Vectors()
    add_examples(frames, malformed)
    make_frames(frames)
    make_malformed(malformed)
    numbers = varints()
    check_varints(numbers)
    return {"varint.json": numbers, "frames.json": list(frames), "presence.json": presences(),
            "compressed.json": compressed(), "malformed.json": list(malformed), "errors.json": errors()}


def main(arguments):
    if arguments not in ([], ["--check"]):
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    try:
        made = make()
    except Failed as problem:
        print("generate.py: %s" % problem, file=sys.stderr)
        return 1
    stale = []
    for name, content in made.items():
        path, text = HERE / name, as_text(content)
        if path.exists() and path.read_bytes() == text.encode():
            continue
        stale.append(name)
        if not arguments:
            path.write_bytes(text.encode())
    if arguments and stale:
        print("generate.py: not as generated: %s; run generate.py" % ", ".join(stale), file=sys.stderr)
        return 1
    for name, content in made.items():
        counts = [len(content)] if isinstance(content, list) else [len(part) for part in content.values()]
        print("%s: %s vectors%s" % (name, " + ".join(map(str, counts)), ", written" if name in stale else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

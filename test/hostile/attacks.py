"""Attacks: how a row of cases.tsv becomes bytes, and what a reader sees in those bytes.

An attack is written  NAME WORD... KEY=VALUE...  ; parts joined by " + " go out
in one piece, those behind " then " when the gateway has seen what is before.
Backslash escapes are Python's (\\x20 for a space, \\\\ for a backslash), and
$names are filled in: $sid and the other sessions of run.py, $port, $hour (a
time an hour from now).

Each kind has a maker and a reader.  The reader knows nothing of the maker's
arguments: it takes apart what came back from a plain echo and gives facts.
Every KEY of the row that is the name of a fact must have its value.
"""
import base64
import json
import os
import re
import struct
import zlib

from pipelining import PIECES, Q, SID
from raw import POLL, WS, frame

UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]


class Part:
    """One attack: name, words, pairs (a key may come twice), bytes, and whether it follows in a segment of its own."""

    def __init__(self, text, own_segment):
        self.name, *rest = text.split(" ")
        self.own_segment = own_segment
        self.words, self.pairs = [], []
        for item in rest:
            key = re.match(r"([A-Za-z][\w-]*)=", item)
            if key:
                self.pairs.append((key[1], unescape(item[key.end():])))
            else:
                self.words.append(unescape(item))

    def get(self, key, default=None):
        return next((v for k, v in self.pairs if k == key), default)

    def number(self, key, default):
        return int(self.get(key, default))

    def fill(self, values):
        """Puts values in the place of $names."""
        def put(text):
            return re.sub(r"\$([a-z]+)|\${([a-z]+)}", lambda m: str(values(m[1] or m[2])), text)
        self.words = [put(w) for w in self.words]
        self.pairs = [(k, put(v)) for k, v in self.pairs]


def unescape(text):
    return text.encode("latin-1").decode("unicode_escape")


def parse(attack):
    parts = []
    for i, later in enumerate(attack.split(" then ")):
        parts += [Part(text, i > 0 and j == 0) for j, text in enumerate(later.split(" + "))]
    return parts


def make(part, transport, keys):
    part.bytes = MAKERS[part.name](part, transport, keys)
    return part.bytes


def show(part, transport, keys, echoed):
    """Raises AssertionError unless the echoed bytes are what the row says; gives the facts."""
    facts = READERS[part.name](echoed, transport, keys)
    claims = {}
    for key, value in part.pairs:
        claims.setdefault(key, []).append(value)
    said = {key: "|".join(values) for key, values in claims.items() if key in facts}
    if "words" in facts:
        said["words"] = part.words * part.number("repeat", 1)
    for key, value in said.items():
        if key == "signed":
            value = value.split(":")[0]     # made by the one behind the colon
        assert facts[key] == value, "not the attack it says: %s is %.200r, not %.200r" % (key, facts[key], value)
    assert said, "nothing is said of this attack, of which can be: %s" % sorted(facts)


# ---- HTTP ----

def request(part, transport, _keys):
    """
    A request.  Keys that begin with a capital are header fields.  method,
    target, version; text: the body, or unit and count: what it is made of; fill:
    so many more fields; pad: one more field of so many bytes; long: so many x in
    place of each % of the target and the fields.
    """
    def lengthen(text):
        return text.replace("%", "x" * part.number("long", 0)) if part.get("long") else text
    fields = [(k, lengthen(v)) for k, v in part.pairs if k[0].isupper()]
    names = {k for k, _ in fields}
    websocket = transport == "ws"
    if "Host" not in names:
        fields.insert(0, ("Host", "127.0.0.1"))
    if websocket:
        fields += [f for f in UPGRADE if f[0] not in names]
    fields = [(k, v) for k, v in fields if v != "-"]
    body = (part.get("text", "") or part.get("unit", "") * part.number("count", 0)).encode("latin-1")
    if body and "Content-Length" not in names and "Transfer-Encoding" not in names:
        fields.append(("Content-Length", str(len(body))))
    fields += [("X-%d" % i, "x") for i in range(part.number("fill", 0))]
    if part.get("pad"):
        fields.append(("X-Pad", "x" * part.number("pad", 0)))
    end = part.get("newline", "\r\n")
    target = lengthen(part.get("target", WS if websocket else POLL))
    lines = ["%s %s HTTP/%s" % (part.get("method", "GET"), target, part.get("version", "1.1"))]
    lines += ["%s: %s" % f for f in fields]
    return (end.join(lines) + end * 2).encode("latin-1") + body


def read_request(data, *_):
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    head, body = data.split(newline * 2, 1)
    first, *lines = head.decode("latin-1").split(newline.decode())
    method, target, version = first.split(" ", 1)[0], first.split(" ", 1)[1].rsplit(" ", 1)[0], first[-3:]
    longest = max(re.findall("x*", head.decode("latin-1")), key=len)
    if len(longest) > 100:
        target, lines = target.replace(longest, "%"), [line.replace(longest, "%") for line in lines]
    facts = {"method": method, "target": target, "version": version, "head": str(len(head)), "fields": str(len(lines)),
             "long": str(len(longest)), "pad": str(len(longest)), "body": str(len(body)),
             "text": body.decode("latin-1"), "separators": str(body.count(b"\x1e")), "newline": newline.decode()}
    named = {}
    for line in lines:
        name, _, value = line.partition(": ")
        named.setdefault(name, []).append(value)
    for name in ("Host", "Content-Length", "Transfer-Encoding", "Upgrade", "Connection", "Sec-WebSocket-Key"):
        named.setdefault(name, ["-"])
    facts.update({name: "|".join(values) for name, values in named.items()})
    if named.get("Content-Encoding") == ["gzip"]:
        facts["inflated"] = str(len(zlib.decompress(body, 31)))
    return facts


def gzip_bomb(part, transport, keys):
    """A POST whose body is gzip of `inflated` zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = packer.compress(bytes(part.number("inflated", 0))) + packer.flush()
    part.pairs += [("text", zeros.decode("latin-1")), ("Content-Encoding", "gzip")]
    return request(part, transport, keys)


def raw(part, _transport, _keys):
    """The bytes of `text`, `count` times."""
    return part.get("text").encode("latin-1") * part.number("count", 1)


def read_raw(data, *_):
    period = (data + data).find(data, 1)
    return {"text": data[:period].decode("latin-1"), "count": str(len(data) // period)}


def pipeline(part, _transport, _keys):
    """The words, each a piece of test/client/pipelining.py, in one; sid: of a session."""
    query = Q + (SID % part.get("sid") if part.get("sid") else "")
    body = part.get("text", "40").encode("latin-1")
    return b"".join(PIECES[word](query, body) for word in part.words)


def read_pipeline(data, *_):
    methods = re.findall(rb"([A-Z]{3,}) \S+ HTTP/1", data)
    return {"methods": b",".join(methods).decode(), "bytes": str(len(data))}


# ---- WebSocket ----

def frames(part, _transport, _keys):
    """
    `count` frames: opcode, fin, rsv, mask (1 or 0); the payload is `text`, or `length`
    bytes, or a close frame's `code`.  open: the first has this opcode, the others 0.
    """
    text = part.get("text", "x" * part.number("length", 0)).encode("latin-1")
    if part.get("code"):
        text = struct.pack(">H", part.number("code", 0)) + text
    how = {"fin": part.get("fin", "1") == "1", "mask": part.get("mask", "1") == "1", "rsv": part.number("rsv", 0) << 4}
    data = b""
    count = part.number("count", 1)
    if part.get("open"):
        data = frame(text, opcode=part.number("open", 0), **how)
        count -= 1
    opcode = 0 if part.get("open") else part.number("opcode", 1)
    return data + frame(text, opcode=opcode, **how) * count


def bomb(part, transport, keys):
    """One message, compressed as permessage-deflate would: `inflated` zeros, RSV1 set."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(part.number("inflated", 0))) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(data[:-4], opcode=2, rsv=0x40)


def walk(data):
    """(first byte, masked, payload) of each frame; the last may be cut."""
    at = 0
    while at < len(data):
        first, second = data[at], data[at + 1] if at + 1 < len(data) else 0x80
        n, at = second & 0x7f, at + 2
        if n > 125:
            size = 2 if n == 126 else 8
            n, at = int.from_bytes(data[at:at + size], "big"), at + size
        mask = data[at:at + 4] if second & 0x80 else b"\0" * 4
        at += 4 if second & 0x80 else 0
        payload = data[at:at + n]
        key = (mask * (len(payload) // 4 + 1))[:len(payload)]
        yield first, second & 0x80 != 0, bytes(a ^ b for a, b in zip(payload, key)) if len(payload) < 70000 else (
            int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(len(payload), "little")
        at += n


def read_frames(data, *_):
    seen = list(walk(data))
    first, masked, payload = seen[0]
    facts = {"count": str(len(seen)), "opcode": str(first & 15), "open": str(first & 15), "fin": str(first >> 7),
             "rsv": str(first >> 4 & 7), "mask": str(int(masked)), "length": str(len(payload)),
             "text": payload.decode("latin-1"), "bytes": str(len(data)), "ends": str(sum(f >> 7 for f, _, _ in seen))}
    if first & 15 == 8:
        facts.update(code=str(int.from_bytes(payload[:2], "big")), text=payload[2:].decode("latin-1"))
    return facts


def read_bomb(data, *_):
    (first, _, payload), = walk(data)
    inflated = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
    return {"inflated": str(len(inflated)), "rsv": str(first >> 4 & 7)}


# ---- packets ----

def binary_of(word):
    """The bytes that a word b:HEX or b*COUNT stands for, or None."""
    if word.startswith("b:"):
        return bytes.fromhex(word[2:])
    return os.urandom(int(word[2:])) if word.startswith("b*") else None


def packets(part, transport, _keys):
    """
    The words, each an Engine.IO packet; b:HEX: a binary one, b*COUNT: of so
    many bytes.  pad: so many x in place of each %, or nested lists in place of
    each ^.  repeat: all of them, so often.
    """
    pad = part.number("pad", 1)
    words = [w.replace("%", "x" * pad).replace("^", "[" * pad + "]" * pad) for w in part.words]
    if transport == "ws":
        data = b""
        for word in words:
            binary = binary_of(word)
            data += frame(word.encode("latin-1")) if binary is None else frame(binary, opcode=2)
        return data * part.number("repeat", 1)
    items = [w if binary_of(w) is None else "b" + base64.b64encode(binary_of(w)).decode() for w in words]
    body = "\x1e".join(items * part.number("repeat", 1)).encode("latin-1")
    head = "POST %s&sid=%s HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n"
    return (head % (POLL, part.get("sid"), len(body))).encode() + body


def unpacked(data, transport):
    """The packets in it: text, or bytes for binary ones."""
    if transport == "ws":
        return [p if f & 15 == 2 else p.decode("latin-1") for f, _, p in walk(data)]
    body = data.split(b"\r\n\r\n", 1)[1].decode("latin-1")
    return [base64.b64decode(p[1:]) if p[:1] == "b" else p for p in body.split("\x1e")]


def read_packets(data, transport, *_):
    pads = []

    def shorter(m):
        n = max(m[0].count("x"), m[0].count("["))
        pads.append(n)
        return "%" if m[0][0] == "x" else "^" + m[0][2 * n:]

    def word(p):
        if isinstance(p, bytes):
            return "b*%d" % len(p) if len(p) > 16 else "b:" + p.hex()
        return re.sub(r"x{100,}|\[{100,}\]{100,}", shorter, p)
    words = [word(p) for p in unpacked(data, transport)]
    return {"words": words, "bytes": str(len(data)), "pad": str(max(pads, default=0))}


def token(part, transport, keys):
    """A CONNECT with a token: see tokens.Keys.make() for the keys."""
    text = keys.make(**{k.replace("-", "_"): v for k, v in part.pairs if k not in ("sid", "server")})
    inner = Part("packets", False)
    inner.words, inner.pairs = ["40" + json.dumps({"token": text})], part.pairs
    return packets(inner, transport, keys)


def read_token(data, transport, keys):
    packet, = unpacked(data, transport)
    return keys.read(json.loads(packet[2:])["token"])


MAKERS = {"request": request, "gzip-bomb": gzip_bomb, "raw": raw, "pipeline": pipeline, "frames": frames, "bomb": bomb,
          "packets": packets, "token": token}
READERS = {"request": read_request, "gzip-bomb": read_request, "raw": read_raw, "pipeline": read_pipeline,
           "frames": read_frames, "bomb": read_bomb, "packets": read_packets, "token": read_token}

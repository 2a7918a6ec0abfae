#!/usr/bin/env python3
"""Random pipelined requests, cut at random points, against the gateway.

libwebsockets can be hung for ever from outside by pipelined bodies (see
src/gateway/recv_guard.c).  For some seconds this sends random sequences of
request fragments; in between it asks for something ordinary on a connection of
its own.  No answer within 3 s is a hang, and a failure.  The seed is printed;
give it as an argument to repeat a run.

    GATEWAY=./pg_rooms_gateway pipelining.py [SECONDS [SEED]]
"""
import contextlib
import random
import select
import socket
import sys
import time

import raw
from fake_worker import FakeWorker

SID = "sid=%s&"
Q = "/socket.io/?EIO=4&transport=polling&"


def head(method, target, *fields, body=b"", length=None, version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, target, version), "Host: a"] + list(fields)
    if length is None and body:
        length = len(body)
    if length is not None:
        lines.append("Content-Length: %s" % length)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# What a client may send, by name: of a path with a query and of a body.
PIECES = {
    "get": lambda q, body: head("GET", q),
    "get-root": lambda q, body: head("GET", "/"),
    "get-close": lambda q, body: head("GET", q, "Connection: close"),
    "get-1.0": lambda q, body: head("GET", q, version="1.0"),
    "get-body": lambda q, body: head("GET", q, body=body),
    "head": lambda q, body: head("HEAD", "/"),
    "options": lambda q, body: head("OPTIONS", q, "Origin: http://a"),
    "post": lambda q, body: head("POST", q, body=body),
    "post-empty": lambda q, body: head("POST", q, length=0),
    "post-head": lambda q, body: head("POST", q, length=len(body)),     # the body comes later, or never
    "post-root": lambda q, body: head("POST", "/", body=body),
    "post-length": lambda q, body: head("POST", q, length="5x"),
    "post-large": lambda q, body: head("POST", q, length=2000000),
    "put-body": lambda q, body: head("PUT", q, body=body),
    "delete": lambda q, body: head("DELETE", q),
    "chunked": lambda q, body: head("POST", q, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "chunked-length": lambda q, body: head("POST", q, "Transfer-Encoding: chunked", body=body),
    "upgrade-foo": lambda q, body: head("GET", q, "Upgrade: foo", "Connection: Upgrade"),
    "upgrade-h2c": lambda q, body: head("GET", q, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
                                        "HTTP2-Settings: AAMAAABkAAQAAP__"),
    "websocket": lambda q, body: head("GET", q.replace("polling", "websocket"), "Upgrade: websocket",
                                      "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "newlines": lambda q, body: b"\r\n\r\n",
    "body": lambda q, body: body,
    "connect": lambda q, body: b"CONNECT a:1 HTTP/1.1\r\n\r\n",
}


def fragments(r, sid):
    """One random piece."""
    q = Q + (SID % sid if r.random() < 0.6 else "")
    body = r.choice([b"3", b"40", b"2probe", b"x" * r.choice([1, 50, 1500, 5000]), b"POST / HTTP/1.1\r\n\r\n"])
    noise = bytes(r.randrange(256) for _ in range(r.randint(1, 40)))
    return r.choice(list(PIECES.values()) + [lambda q, body: noise])(q, body)


def handshake(port):
    """An ordinary request that must be answered."""
    with raw.connect(port, 3) as s:
        s.sendall(head("GET", Q, "Connection: close"))
        data = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            data += more
    assert data.startswith(b"HTTP/1.1 200"), data[:200]
    return data.split(b'"sid":"')[1].split(b'"')[0].decode()


def read_some(s, wait):
    """What has come, if anything: over TLS that may be no data."""
    if select.select([s], [], [], wait)[0]:
        s.settimeout(0.01)
        with contextlib.suppress(TimeoutError):
            s.recv(65536)
        s.settimeout(3)


def sequence(r, port, sid):
    data = b"".join(fragments(r, sid) for _ in range(r.randint(1, 6)))
    s = raw.connect(port, 3)
    try:
        cuts = sorted(r.randint(0, len(data)) for _ in range(r.choice([0, 0, 1, 2, 5])))
        for a, b in zip([0] + cuts, cuts + [len(data)]):
            s.sendall(data[a:b])
            if r.random() < 0.5:
                read_some(s, 0.001)
        if r.random() < 0.3:
            s.shutdown(socket.SHUT_WR)
        if r.random() < 0.5:
            read_some(s, 0.01)
    except OSError:
        pass
    s.close()


def run(seconds=20, seed=None, binary=None):
    """The number of sequences sent; raises AssertionError on a hang or death."""
    seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
    r = random.Random(seed)
    print("# pipelining seed %d" % seed, flush=True)
    count = 0
    with FakeWorker(binary, connect_timeout="2000", ping_interval="2000", ping_timeout="1000") as w:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                sid = handshake(w.port)
            except OSError as e:
                raise AssertionError("no answer after %d sequences of seed %d: %r" % (count, seed, e))
            for _ in range(10):
                sequence(r, w.port, sid)
                count += 1
            w.poll(0)
            assert w.process.poll() is None, "the gateway died with status %d, seed %d" % (w.process.returncode, seed)
        handshake(w.port)
        w.process.terminate()
        status = w.wait_exit()
        assert status == 0, "exit status %d" % status
    return count


if __name__ == "__main__":
    n = run(float(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    print("%d sequences, no hang" % n)

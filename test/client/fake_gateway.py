#!/usr/bin/python3
"""A gateway that only writes down what the worker tells it.

To be installed as pg_rooms_gateway.  Beside it: frames.log gets one line of
JSON for each frame; sessions.json, if there is one, is a list of [key, value]
(value null: remove) that is sent as SESSION frames once LISTEN has come, in one
piece; if it ends in null, the gateway dies then.  parting.json is sent as an
answer to STOP.  Both of these are sent by one gateway only.
Frames are taken apart here by hand, from the words of wire/link.h and
wire/envelope.h.
"""
import json
import os
import socket
import struct
import sys

(HELLO, CONFIG, LISTEN, MESSAGE, PING, STOP, READY, PONG, LOG, STATS, REFUSED,
 TIMELINES, COVERED, HISTORY, POSITION, SESSION) = range(1, 17)
HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
link = socket.socket(fileno=3)
link.setblocking(True)
out = open(os.path.join(HERE, "frames.log"), "a", buffering=1)


def say(**what):
    out.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


def send(kind, payload=b""):
    link.sendall(struct.pack("<IB", len(payload), kind) + payload)


def string(b):
    return struct.pack("<I", len(b)) + b


def message(payload):
    timeline, lsn, index, xid = struct.unpack_from("<IQIQ", payload)
    at = 24 + 8
    def take():
        nonlocal at
        n, = struct.unpack_from("<I", payload, at)
        at += 4 + n
        return payload[at - n:at].decode()
    take()
    for _ in range(2):
        count, = struct.unpack_from("<I", payload, at)
        at += 4
        for _ in range(count):
            take()
    return {"timeline": timeline, "lsn": lsn, "index": index, "xid": xid, "packet": take()}


def session(key, value):
    payload = struct.pack("B", value is not None) + string(key.encode()) + string((value or "").encode())
    return struct.pack("<IB", len(payload), SESSION) + payload


def sessions(name, once=False):
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return
    with open(path) as f:
        pairs = json.load(f)
    once = once or None in pairs
    if once:
        os.unlink(path)
    link.sendall(b"".join(session(*pair) for pair in pairs if pair is not None))
    if None in pairs:
        os._exit(1)


def frame(kind, payload):
    if kind == HELLO:
        send(HELLO, payload)    # whatever version: the test is not about that
    elif kind == CONFIG:
        frame.number = payload[:4]
        say(what="config")
        if frame.listening:
            send(READY, frame.number)
    elif kind == LISTEN:
        frame.listening = True
        say(what="listen")
        send(READY, frame.number)
        sessions("sessions.json")
    elif kind == MESSAGE:
        say(what="message", **message(payload))
    elif kind == HISTORY:
        say(what="history", age=struct.unpack_from("<I", payload)[0], **message(payload[4:]))
    elif kind in (COVERED, POSITION):
        age, timeline, lsn = struct.unpack("<IIQ", payload)
        say(what="covered" if kind == COVERED else "position", age=age, timeline=timeline, lsn=lsn)
    elif kind == TIMELINES:
        count, = struct.unpack_from("<I", payload)
        say(what="timelines", list=[struct.unpack_from("<IQQ", payload, 4 + 20 * i) for i in range(count)])
    elif kind == SESSION:
        n, = struct.unpack_from("<I", payload, 1)
        say(what="session", key=payload[5:5 + n].decode(), value=payload[9 + n:].decode())
    elif kind == PING:
        send(PONG, payload)
    elif kind == STOP:
        sessions("parting.json", once=True)
        sys.exit(0)


frame.listening = False
bytes_ = b""
while True:
    data, fds, _, _ = socket.recv_fds(link, 1 << 20, 16)
    for fd in fds:
        os.close(fd)
    if not data:
        break
    bytes_ += data
    at = 0
    while len(bytes_) >= at + 5:
        size, kind = struct.unpack_from("<IB", bytes_, at)
        if len(bytes_) < at + 5 + size:
            break
        at += 5 + size
        frame(kind, bytes_[at - size:at])
    bytes_ = bytes_[at:]

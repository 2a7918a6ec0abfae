#!/usr/bin/env python3
"""1000 stalled readers in a busy room: what do they cost the gateway, and those that read?

    slow_clients.py [SECONDS]       GATEWAY: the program, SIOLOAD: test/bench/sioload.c's

A FakeWorker publishes 10 messages of 4 kB a second to one room, in which are
GOOD clients that read (sioload, which measures) and then, for SECONDS (60),
STALLED ones beside them that do not: three quarters on WebSocket, the others
with a GET whose answer they leave.  Each that the gateway disconnects is
replaced by another.  A quarter of SECONDS before, the same without them gives
the latency to compare with.  Prints figures and "N passed, N failed".
"""
import json
import multiprocessing
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../client"))

from fake_worker import SECRET, FakeWorker, token                   # noqa: E402
from raw import POLL, WS, frame                                     # noqa: E402

GOOD, STALLED = 300, 1000
RATE, PAD = 10, 4000
MAX_QUEUED = 128 << 10
HARD_CAP = 4 * MAX_QUEUED           # src/core/session_state.h
SPARE_MB = 20
VOLATILE = 1
CLAIMS = {"sub": "stalled", "tenant_id": "1"}


# ---- those that do not read: in a process of their own ----

def dial(port):
    """Small segments make small buffers in the kernel, on both sides: it stalls soon."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    s.settimeout(30)
    s.connect(("127.0.0.1", port))
    return s


def ask(s, method, target, body=b"", fields=""):
    """The answer, as far as it came with its head."""
    s.sendall(b"%s %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (
        method.encode(), target.encode(), fields.encode(), len(body), body))
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(4096)
        assert more, "closed instead of an answer"
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"Content-Length: (\d+)", head)
    while length and len(rest) < int(length[1]):
        rest += s.recv(4096)
    return head + rest


def stall_websocket(port, connect):
    s = dial(port)
    answer = ask(s, "GET", WS, fields="Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    assert b" 101 " in answer, answer
    s.sendall(frame(connect))
    return s


def stall_polling(port, connect):
    s = dial(port)
    target = POLL + "&sid=" + re.search(rb'"sid":"(.*?)"', ask(s, "GET", POLL))[1].decode()
    assert b"ok" in ask(s, "POST", target, connect)
    s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode())
    return s


def stalled_clients(port, targets, opened):
    """Opens as many as `targets` says in all; the oldest leave when there are more than STALLED."""
    connect = b'40{"token":"%s"}' % token(CLAIMS).encode()
    alive = deque()
    count = 0
    for target in iter(targets.recv, None):
        while count < target:
            alive.append((stall_polling if count % 4 == 3 else stall_websocket)(port, connect))
            count += 1
            opened.value = count
            if len(alive) > STALLED:
                s = alive.popleft()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()


# ---- those that read ----

class Load:
    def __init__(self, port, folder, seconds):
        self.control = os.path.join(folder, "control")
        with open(self.control, "wb") as f:
            f.write(bytes(64))
        self.process = subprocess.Popen(
            [os.environ["SIOLOAD"], "--port", str(port), "--conns", str(GOOD), "--jwt-secret", SECRET, "--event", "evt",
             "--control", self.control, "--seq", "conn", "--duration", str(seconds + 60), "--settle", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def is_ready(self):
        with open(self.control, "rb") as f:
            return struct.unpack_from("<Q", f.read(64), 8)[0] != 0

    def expect(self, n):
        with open(self.control, "r+b") as f:
            f.seek(24)
            f.write(struct.pack("<Q", n))

    def result(self):
        return json.loads(self.process.communicate(timeout=120)[0].strip().splitlines()[-1])


# ---- the run ----

class Run:
    def __init__(self, worker):
        self.w = worker
        self.n = 0
        self.due = time.monotonic()
        self.peak = self.fewest = 0
        self.targets = self.opened = None
        self.asked = 0

    def publish(self, event):
        """The next message, when its time has come; and one that is volatile."""
        while time.monotonic() < self.due:
            self.w.poll(max(0, self.due - time.monotonic()))
        self.due += 1 / RATE
        self.w.emit("tenant:1", "volatile", flags=VOLATILE)
        self.w.emit("tenant:1", event, [{"n": self.n, "t": time.time_ns() // 1000, "p": "x" * PAD}])
        self.n += 1
        self.peak = max(self.peak, self.w.rss_kb())
        if self.targets:
            self.replace()

    def replace(self):
        """Those that were disconnected by the newest statistics; a part of them with each message."""
        ended = self.w.stats["handshakes"] - self.w.stats["connections"] - GOOD
        wanted = STALLED + max(0, ended) - self.asked
        if wanted > 0:
            self.asked += 1 + wanted // RATE
            self.targets.send(self.asked)

    def stall(self):
        self.targets, theirs = multiprocessing.Pipe()
        self.opened = multiprocessing.Value("i", 0)
        process = multiprocessing.Process(target=stalled_clients, args=(self.w.port, theirs, self.opened), daemon=True)
        process.start()
        while self.opened.value < STALLED or self.w.stats["disconnect_slow"] < STALLED // 4:
            assert process.is_alive(), "the stalled clients failed"
            self.publish("warm-up")

    def measure(self, seconds, folder):
        load = Load(self.w.port, folder, seconds)
        while not load.is_ready():
            assert load.process.poll() is None, "the clients that read failed"
            self.publish("warm-up")
        self.n, self.fewest = 0, STALLED
        cpu = self.w.cpu_seconds()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.publish("evt")
            self.fewest = min(self.fewest, self.w.stats["connections"] - GOOD)
        cpu = self.w.cpu_seconds() - cpu
        load.expect(self.n * GOOD)
        result = load.result()
        result["sent"] = self.n * GOOD
        result["cpu_ms"] = 1000 * cpu / self.n
        return result


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    results = []

    def check(holds, what):
        results.append(bool(holds))
        print("%s %d - %s" % ("ok" if holds else "not ok", len(results), what), flush=True)

    sys.stderr = open(os.devnull, "w")      # the gateway's log lines, which are counted below
    with tempfile.TemporaryDirectory() as folder, FakeWorker(max_queued=str(MAX_QUEUED)) as w:
        w.fresh_stats()
        run = Run(w)
        alone = run.measure(max(5, seconds // 4), folder)
        base = w.rss_kb()
        before = dict(w.fresh_stats())
        run.due, run.peak = time.monotonic(), 0
        run.stall()
        beside = run.measure(seconds, folder)
        stats = {k: v - before[k] for k, v in w.fresh_stats().items()}
        run.targets.send(None)
        said = [m for _, m, _ in w.logs if "does not read" in m]

    grown, cap = (run.peak - base) / 1024, STALLED * HARD_CAP / (1 << 20)
    p99 = [r["lat_us"]["p99"] / 1000 for r in (alone, beside)]
    print("# p50 %.2f ms alone, %.2f ms beside %d stalled readers; p99 %.2f and %.2f ms; max %.1f and %.1f ms" % (
        alone["lat_us"]["p50"] / 1000, beside["lat_us"]["p50"] / 1000, STALLED, *p99,
        alone["lat_us"]["max"] / 1000, beside["lat_us"]["max"] / 1000))
    print("# CPU of the gateway for each message: %.2f ms alone, %.2f ms" % (alone["cpu_ms"], beside["cpu_ms"]))
    print("# %d readers were disconnected as slow and replaced, never fewer than %d were there; %d volatile messages dropped" % (
        stats["disconnect_slow"], run.fewest, stats["dropped_volatile"]))
    check(grown <= cap + SPARE_MB, "the gateway grew by %.0f MB, of %.0f + %d MB at most" % (grown, cap, SPARE_MB))
    check(p99[1] < 2 * p99[0], "p99 of those that read: %.2f times that without the others" % (p99[1] / p99[0]))
    for r, when in ((alone, "alone"), (beside, "beside stalled readers")):
        check(r["received"] == r["sent"] and not r["missing"] and not r["dup"] and not r["closed_in_run"],
              "they got all of %d messages, once, %s" % (r["sent"], when))
    check(stats["disconnect_slow"] > STALLED / 4 and run.fewest > STALLED / 2, "the stalled ones were disconnected, and others came")
    check(stats["dropped_volatile"] > 0, "volatile messages were dropped")
    check(1 <= len(said) <= 2 + seconds // 60, "the log says so once a minute")
    print("%d passed, %d failed" % (results.count(True), results.count(False)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Hostile clients: each row of cases.tsv is an attack and the answer it must get.  Output is TAP.

    GATEWAY=./pg_rooms_gateway run.py [PART-OF-A-NAME]

For each row the attack goes through a plain echo first, and what comes back is
taken apart: it must be what the row says (attacks.py).  Then it goes to a
gateway that a FakeWorker has started.  After each, clients that behave must
still be served: one that is connected all the time, and a new one on each
transport.  The gateway has to do with the descriptors, the memory and the time
that stand below, and to leave with status 0 at the end (with AddressSanitizer:
nothing found).

Columns, separated by tabs:

  name
  transport  http             a connection of its own
             http kept        ... on which a request has been answered before
             ws, polling      requests: the query and fields of that transport;
                              frames and packets: in a session on it
             ... connected    ... that has joined namespace /
  attack     see attacks.py.  server=NAME: with the settings of that name, below
  expected   words, each looked at in turn:
             200, 403/4       the next answer's status, and its Engine.IO error
             closed           the gateway has closed, with nothing more to read
             open             the connection answers another request
             101              the upgrade is accepted
             plain            ... without an extension
             1002             a close frame with this code comes next
             eof              the WebSocket ends without one
             40, 44:code      the answer to a CONNECT
             lives, ends      the session is still there, or is no more
             abort            (we hang up, with a reset) and the session goes away
"""
import contextlib
import json
import os
import re
import resource
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../client"))

import attacks                                                      # noqa: E402
from fake_worker import SECRET, FakeWorker, token                   # noqa: E402
from pipelining import PIECES, Q, SID                               # noqa: E402
from raw import POLL, WS, Http, WebSocket, get, open_polling        # noqa: E402
from tokens import SHORT, Keys                                         # noqa: E402

RSS_KB = 32 << 10           # the largest the gateway may have grown
DESCRIPTORS = 512           # all it ever gets
CASE_CPU_S = 3              # for one attack
IDLE_CPU = 0.05             # of a core, when all have left
ASAN = 5                    # with AddressSanitizer so many times as much

OUTSIDE = b"this file is outside of document_root"
LIST = "https://app.example.com, http://localhost:3000"


class Connection(WebSocket):
    """Reads answers and frames alike, and never what it must not see."""

    def __init__(self, port):
        Http.__init__(self, port, timeout=10)
        self.control = []

    def fill(self):
        try:
            more = super().fill()
        except ConnectionResetError:
            more = False
        assert OUTSIDE not in self.buffer, "a file outside of document_root"
        assert b"X-Injected" not in self.buffer.split(b"\r\n\r\n")[0], "an injected field"
        return more

    def pump(self, data, read=True):
        """Sends it all, or until the gateway has had enough; reads what comes meanwhile, or does not."""
        view = memoryview(data)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while view:
                readable, writable, _ = select.select([self.s] if read else [], [self.s], [], 10)
                assert readable or writable, "the gateway takes no more, of %d bytes" % len(view)
                if readable and not self.fill():
                    return
                if writable:
                    view = view[self.s.send(view[:65536]):]

    def ended(self):
        """True at the end of the stream, with nothing before it."""
        return not self.buffer and not self.fill()

    def alive(self):
        """Answers a control ping, and nothing went wrong before."""
        self.write("still there?", opcode=9)
        while True:
            opcode, payload = self.read()
            if opcode == 8:
                return False
            if (opcode, payload) == (10, b"still there?"):
                return True
            if opcode == 10:    # while this one was to be sent, libwebsockets dropped later pings
                self.write("still there?", opcode=9)

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


class Echo:
    """A server that sends back what it gets, and counts connections."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            s, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self.echo, args=(s,), daemon=True).start()

    @staticmethod
    def echo(s):
        with s, contextlib.suppress(OSError):
            while True:
                data = s.recv(1 << 16)
                if not data:
                    return
                s.sendall(data)

    def through(self, data):
        """What comes back."""
        back = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            def send():
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            while True:
                more = s.recv(1 << 16)
                if not more:
                    break
                back += more
            sender.join()
        return bytes(back)


class Sessions:
    """What stands for $names in a row: sessions to be attacked, made when first named."""

    def __init__(self, run, connected):
        self.run, self.port, self.connected = run, run.w.port, connected
        self.made = {}
        self.kept = []          # connections that have to stay
        self.last = None        # its sid, or its WebSocket: what "lives" and "ends" ask of

    def __call__(self, name):
        if name not in self.made:
            self.made[name] = getattr(self, "make_" + name)()
        return self.made[name]

    def make_port(self):
        return self.port

    def make_hour(self):
        return int(time.time()) + 3600

    def make_public(self):
        return self.run.witness_sid

    def make_sid(self):
        self.last = sid = open_polling(self.port)
        if self.connected:
            target = POLL + "&sid=" + sid
            get(self.port, target, "POST", b'40{"token":"%s"}' % token({"sub": "1"}).encode())
            assert get(self.port, target).body.startswith(b"40")
        return sid

    def make_closed(self):
        self.last = sid = open_polling(self.port)
        assert get(self.port, POLL + "&sid=" + sid, "POST", b"1").body == b"ok"
        return sid

    def make_parked(self):
        sid = self.make_sid()
        self.keep(Http(self.port)).send("GET", POLL + "&sid=" + sid)
        self.run.settle()
        return sid

    def make_posting(self):
        sid = self.make_sid()
        self.keep(Http(self.port)).send("POST", POLL + "&sid=" + sid, b"3", Content_Length=9)
        self.run.settle()
        return sid

    def make_websocket(self):
        self.last = self.keep(self.run.websocket())
        return re.search('"sid":"(.*?)"', self.last.text())[1]

    def make_upgrading(self):
        sid = self.make_sid()
        ws = self.keep(self.run.websocket(WS + "&sid=" + sid))
        ws.write("2probe")
        assert ws.text() == "3probe"
        self.last = ws
        return sid

    def make_upgraded(self):
        sid = self.make_upgrading()
        self.last.write("5")
        return sid

    def keep(self, connection):
        self.kept.append(connection)
        return connection

    def lives(self):
        if isinstance(self.last, Connection):
            try:
                return self.last.alive()
            except EOFError:
                return False
        return get(self.port, POLL + "&sid=" + self.last, "POST", b"6").body == b"ok"

    def close(self):
        for c in self.kept:
            c.close()


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.keys = Keys(folder, SECRET)
        self.echo = Echo()
        os.mkdir(os.path.join(folder, "www"))
        for name, data in [("outside", OUTSIDE), ("www/index.html", b"<p>hello"), ("www/.hidden", OUTSIDE)]:
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        os.symlink("../outside", os.path.join(folder, "www/link"))
        os.chmod(folder, 0o755)
        # Without the sandbox, which would catch a path that leads out: the gateway has to do so itself.
        self.w = FakeWorker(document_root=os.path.join(folder, "www"), sandbox="off")
        resource.prlimit(self.w.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        with open(self.w.binary, "rb") as f:
            self.scale = ASAN if b"__asan_init" in f.read() else 1
        public = self.keys.public
        self.settings = {
            "rs": {"jwt_public_key": public["rs"]},
            "rs-only": {"jwt_public_key": public["rs"], "jwt_secret": ""},
            "es": {"jwt_public_key": public["es256"]},
            "set": {"jwt_jwks": self.key_set(rsa="rs", ec="es256", other="es256b")},
            "twice": {"jwt_jwks": self.key_set(rsa="rs", other="es256").replace("other", "rsa")},
            "no-key": {"jwt_secret": ""},
            "short-key": {"jwt_secret": SHORT},
            "list": {"allowed_origins": LIST},
            "any": {"allowed_origins": "*"},
            "rates": {"max_events_per_second": "10", "max_bytes_per_second": "1000"},
        }
        self.plain = {k: self.w.config.get(k, "") for s in self.settings.values() for k in s}
        self.open_witness()
        self.serves()
        self.rss = self.w.rss_kb()

    def key_set(self, **names):
        """Of keys by their kid; an RSA key is for RS256."""
        return json.dumps({"keys": [self.keys.jwk(name, kid, **({"alg": "RS256"} if name == "rs" else {}))
                                    for kid, name in names.items()]})

    # --- those that behave ---

    def open_witness(self):
        self.witness = self.websocket()
        assert self.witness.text()[0] == "0"
        self.witness.write('40{"token":"%s"}' % token({"sub": "witness"}))
        self.witness_sid = re.search('"sid":"(.*?)"', self.witness.text())[1]
        self.told = 0

    def serves(self):
        """The one that is always there hears of something new, and new ones get in."""
        self.told += 1
        self.w.emit("user:witness", "told", [self.told])
        while True:
            text = self.witness.text()
            if text != "2":
                break
            self.witness.write("3")
        assert text == '42["told",%d]' % self.told, text
        for sessions in (Sessions(self, True), Sessions(self, True)):
            sessions.make_sid()
            ws = sessions.keep(self.websocket())
            ws.connect(token({"sub": "1"}))
            assert sessions.lives()
            get(self.w.port, POLL + "&sid=" + sessions.last, "POST", b"1")
            sessions.close()

    def websocket(self, target=WS):
        c = Connection(self.w.port)
        c.send("GET", target, **{k.replace("-", "_"): v for k, v in attacks.UPGRADE})
        a = c.answer()
        assert a and a.status == 101, a
        return c

    def settle(self):
        """The gateway has read what was sent before: it answers one after the other."""
        assert get(self.w.port, "/").status == 200

    def configure(self, **config):
        self.w.configure(**config)
        self.w.wait(lambda: self.w.answer[1] == self.w.config_number, "READY or REFUSED")

    # --- one row ---

    def case(self, transport, attack, expected):
        transport, *state = transport.split(" ")
        parts = attacks.parse(attack)
        server = parts[0].get("server")
        if server:
            self.configure(**self.settings[server])
        sessions = Sessions(self, "connected" in state)
        before = self.w.cpu_seconds()
        try:
            if parts[0].name in MANY:
                self.many(parts[0], expected)
            else:
                self.one(transport, state, parts, sessions, expected.split(" "))
        finally:
            sessions.close()
            if server:
                self.configure(**self.plain)
        used = self.w.cpu_seconds() - before
        assert used < CASE_CPU_S * self.scale, "%.1f s of CPU" % used
        if server and "jwt_secret" in self.settings[server]:
            self.open_witness()
        assert self.w.process.poll() is None, "the gateway died"
        self.serves()

    def one(self, transport, state, parts, sessions, expected):
        in_session = parts[0].name in ("packets", "token", "frames", "bomb", "raw") and transport != "http"
        sessions.before = self.sessions() if "abort" in expected else 0
        for part in parts:
            part.fill(sessions)
            if in_session and transport == "polling":
                part.pairs.append(("sid", sessions("sid")))
            attacks.make(part, transport, self.keys)
        self.show(transport, parts)

        if in_session and transport == "ws":
            c = self.websocket()
            if "connected" in state:
                c.connect(token({"sub": "1"}))
            else:
                c.text()
            sessions.last = c
        else:
            c = Connection(self.w.port)
        if "kept" in state:
            assert c.ask("GET", "/").status == 200
        sessions.keep(c)
        for i, part in enumerate(parts):
            if part.own_segment:
                self.settle()
            if i == 0 or part.own_segment:
                glued = [part]
                for later in parts[i + 1:]:
                    if later.own_segment:
                        break
                    glued.append(later)
                c.pump(b"".join(p.bytes for p in glued), read=not part.get("unread"))
        got = []
        for word in expected:
            got.append(self.look(c, sessions, word))
            if got[-1] != word:
                break
        assert got == expected, "got %s, not %s; then %r" % (got, expected, c.buffer[:300])

    def show(self, transport, parts):
        back = self.echo.through(b"".join(p.bytes for p in parts))
        for part in parts:
            mine, back = back[:len(part.bytes)], back[len(part.bytes):]
            assert mine == part.bytes, "the echo differs"
            attacks.show(part, transport, self.keys, mine)
        assert not back

    def look(self, c, sessions, word):
        """What there is to see where `word` is expected: the same word if all is well."""
        if re.fullmatch(r"\d{3}(/\d)?", word):
            c.handshake = a = c.answer()
            if a and a.status == 101 and not sessions.last:
                sessions.last = c
            return "closed" if a is None else "%d/%d" % a.error() if "/" in word else str(a.status)
        if word in ("closed", "eof"):
            return word if c.ended() else "more"
        if word == "plain":
            return word if "sec-websocket-extensions" not in c.handshake.fields else "compressed"
        if word == "open":
            a = c.ask("GET", "/")
            return word if a and a.status == 200 else repr(a)
        if re.fullmatch(r"\d{4}", word):
            return str(c.close_code())
        if word[:2] in ("40", "44"):
            return self.connect_answer(c, sessions)
        if word == "abort":
            self.settle()
            c.reset()
            sessions.close()
            self.wait_until_left(sessions.before)
            return word
        assert word in ("lives", "ends"), "what is %s?" % word
        return "lives" if sessions.lives() else "ends"

    def connect_answer(self, c, sessions):
        if sessions.last is c:
            text = c.text()
        else:
            text = get(self.w.port, POLL + "&sid=" + sessions.last).body.decode()
        code = re.search('"code":"(.*?)"', text) or re.search('"message":"(.*?)"', text)
        return text[:2] + (":" + code[1].replace(" ", "-") if code else "")

    # --- many connections ---

    def many(self, part, expected):
        """The same to the echo, which counts, and to the gateway, which must still be there."""
        before, sessions = self.echo.connections, self.sessions()
        MANY[part.name](self, part, self.echo.port)
        count = part.number("connections", 0)
        self.wait_for(lambda: self.echo.connections - before == count, "%d connections" % count)
        MANY[part.name](self, part, self.w.port)
        assert expected == "gone", expected
        self.wait_until_left(sessions)

    def sessions(self):
        return self.w.fresh_stats()["connections"]

    def wait_until_left(self, sessions):
        self.w.wait(lambda: self.sessions() <= sessions, "end of a session")

    @staticmethod
    def wait_for(condition, what, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "no " + what
            time.sleep(0.01)

    def storm(self, part, port):
        """Connections that send `text` and leave, every second with a reset."""
        text = (part.get("text") or "").encode("latin-1")
        for i in range(part.number("connections", 0)):
            c = Connection(port)
            if text:
                c.s.sendall(text)
            c.reset() if i % 2 else c.close()

    def pairs(self, part, port):
        """Each piece of test/client/pipelining.py followed by each, on one connection, in one segment."""
        gateway = port == self.w.port
        for first in PIECES.values():
            for second in PIECES.values():
                sid = open_polling(port) if gateway and first is PIECES["get"] else "nobody"
                q = Q + SID % sid
                c = Connection(port)
                c.pump(first(q, b"40") + second(q, b"3"))
                c.close()
            if gateway:
                self.settle()

    # --- at the end ---

    def sockets(self):
        """How many connections the gateway has open: in /proc/<pid>/fd it lets nobody look."""
        count = 0
        with open("/proc/net/tcp") as f:
            for line in f:
                fields = line.split()
                listening, nobodys = fields[3] == "0A", fields[9] == "0"
                count += fields[1].endswith(":%04X" % self.w.port) and not listening and not nobodys
        return count

    def finish(self):
        """(what, whether it holds, how it is) of all that must hold at the end."""
        with open("/proc/%d/status" % self.w.pid) as f:
            peak = int(re.search(r"VmHWM:\s*(\d+)", f.read())[1]) - self.rss
        yield "memory is bounded", peak < RSS_KB * self.scale, "it grew by at most %d kB" % peak
        with contextlib.suppress(AssertionError):
            self.wait_for(lambda: self.sockets() == 1, "")
        yield "only the one that is always there is connected", self.sockets() == 1, str(self.sockets())
        before, start = self.w.cpu_seconds(), time.monotonic()
        while time.monotonic() < start + 2:
            self.w.poll(0.2)
        share = (self.w.cpu_seconds() - before) / (time.monotonic() - start)
        yield "nothing keeps it busy", share < IDLE_CPU, "%.1f %% of a core when idle, %.1f s in all" % (
            100 * share, self.w.cpu_seconds())
        self.w.process.terminate()
        status = self.w.wait_exit(20)
        yield "it leaves in peace", status == 0, "status %d" % status


MANY = {"storm": Run.storm, "pairs": Run.pairs}


def rows():
    with open(os.path.join(HERE, "cases.tsv")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, transport, attack, expected = line.rstrip("\n").split("\t")
                yield name, transport, attack, expected


def main():
    os.environ.setdefault("ASAN_OPTIONS", "")
    os.environ["ASAN_OPTIONS"] += ":quarantine_size_mb=8"   # or what was freed would count
    cases = [row for row in rows() if all(word in row[0] for word in sys.argv[1:])]
    print("1..%d" % (len(cases) + 4), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder)
        good = bad = 0
        for number, (name, *case) in enumerate(cases, 1):
            start, cpu = time.monotonic(), run.w.cpu_seconds()
            run.w.poll(0)
            try:
                run.case(*case)
                good += 1
                result = "ok"
            except Exception:
                print("".join("# %s\n" % line for line in traceback.format_exc().splitlines()), end="")
                print("# %s" % " | ".join(case))
                result = "not ok"
            print("%s %d - %s (%.2f s, CPU %.2f s)" % (result, number, name, time.monotonic() - start,
                                                      run.w.cpu_seconds() - cpu), flush=True)
            if run.w.process.poll() is not None:
                return 1        # it died of this one
        for what, holds, how in run.finish():
            bad += not holds
            number += 1
            print("%s %d - %s: %s" % ("ok" if holds else "not ok", number, what, how), flush=True)
    print("%d of %d" % (good, len(cases)))
    return 0 if good == len(cases) and not bad else 1


if __name__ == "__main__":
    sys.exit(main())

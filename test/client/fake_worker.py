"""The worker's end of the link, for tests of the gateway without PostgreSQL.

    with FakeWorker("./pg_rooms_gateway") as w:
        w.emit("tenant:1", "ticket:created", [{"id": 1}])

Frames and envelopes are built here by hand, from the words of wire/link.h
and wire/envelope.h: an independent second encoder.
"""
import base64
import hashlib
import hmac
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

(HELLO, CONFIG, LISTEN, MESSAGE, PING, STOP, READY, PONG, LOG, STATS, REFUSED,
 TIMELINES, COVERED, HISTORY, POSITION, SESSION, QUERY, ROWS, DRAIN) = range(1, 20)
SECRET = "a secret of at least thirty-two bytes"

DEFAULTS = {
    "path": "/socket.io/", "namespaces": "/", "document_root": "", "allowed_origins": "",
    "cors_credentials": "off", "sandbox": "on", "ping_interval": "25000", "ping_timeout": "20000",
    "request_timeout": "10000", "connect_timeout": "45000", "upgrade_timeout": "10000", "max_payload": "1000000",
    "max_connections": "10000", "max_queued": str(4 << 20),
    "recovery_window": "0", "history_size": str(64 << 20), "jwt_secret": SECRET,
    "jwt_leeway": "30000", "allow_anonymous": "off", "user_claim": "userId,user_id,sub",
    "tenant_claim": "tenantId,tenant_id", "role_claim": "role",
    "max_connections_per_user": "0", "max_connections_per_ip": "0", "max_handshakes_per_second": "0",
    "max_events_per_second": "0", "max_bytes_per_second": "0", "max_rooms_per_socket": "0",
    "max_namespaces_per_connection": "0", "max_pending_handshakes": "0", "log_connections": "off",
    "trusted_proxies": "",
    "tls_cert": "", "tls_key": "", "handler_conninfo": "", "handler_connections": "4", "max_handler_calls_per_second": "0", "handler_timeout": "10000", "database": "postgres",
}

HERE = os.path.dirname(os.path.abspath(__file__))


def counter_names():
    """The names of GatewayCounter, in the order of wire/counters.h."""
    names = []
    with open(os.path.join(HERE, "../../src/wire/counters.h")) as f:
        for line in f:
            if "WORKER_COUNTERS" in line:
                break
            if line.strip().startswith("C(") and '"' in line:
                names.append(line.split('"')[1])
    return names


def version():
    with open(os.path.join(HERE, "../../pg_rooms.control")) as f:
        for line in f:
            if line.startswith("default_version"):
                return line.split("'")[1]


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(b)) + b


def strings(items):
    return struct.pack("<I", len(items)) + b"".join(string(i) for i in items)


def token(claims, secret=SECRET, expires_in=3600):
    def b64(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=")
    claims = dict(claims, exp=int(time.time()) + expires_in)
    head = b64(b'{"alg":"HS256","typ":"JWT"}') + b"." + b64(json.dumps(claims).encode())
    return (head + b"." + b64(hmac.new(secret.encode(), head, hashlib.sha256).digest())).decode()


class FakeWorker:
    def __init__(self, binary=None, port=0, stderr=None, hello=None, listen=True, **config):
        self.binary = binary or os.environ.get("GATEWAY") or shutil.which("pg_rooms_gateway") or "./pg_rooms_gateway"
        self.config = dict(DEFAULTS, **config)
        self.logs = []
        self.stats = {}
        self.counters = counter_names()
        self.ready_count = 0
        self.config_number = 0
        self.answer = None
        self.pongs = []
        self.lsn = 1
        self.buffer = b""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.stderr = stderr
        self.hello = hello or version()
        self.start(listen)

    def start(self, listen=True):
        """Starts a gateway on the same listening socket."""
        self.link, child = socket.socketpair()
        fd = child.fileno()

        def prepare():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.dup2(fd, 3)
            os.set_inheritable(3, True)
        self.process = subprocess.Popen([self.binary], preexec_fn=prepare, pass_fds=(3,),
                                        stdin=subprocess.DEVNULL, stderr=self.stderr)
        child.close()
        self.pid = self.process.pid
        self.ready_count = 0
        self.buffer = b""
        self.send(HELLO, string(self.hello))
        self.configure()
        if listen:
            self.listen()
            self.wait(lambda: self.ready_count > 0, "READY")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.link.close()
        self.listener.close()

    # --- to the gateway ---

    def send(self, kind, payload=b""):
        data = struct.pack("<IB", len(payload), kind) + payload
        while data:
            select.select([], [self.link], [], 10)
            data = data[self.link.send(data):]
            self.poll(0)

    def configure(self, **config):
        self.config.update(config)
        self.config_number += 1
        self.send(CONFIG, struct.pack("<II", self.config_number, len(self.config)) +
                  b"".join(string(k) + string(v) for k, v in self.config.items()))

    def listen(self):
        frame = struct.pack("<IBI", 4, LISTEN, 1)
        self.link.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     struct.pack("i", self.listener.fileno()))])

    def envelope(self, kind=1, flags=0, throttle=0, nsp="/", rooms=(), excepts=(), packet="", attachments=()):
        return (struct.pack("<BBHI", kind, flags, 0, throttle) + string(nsp) + strings(rooms) +
                strings(excepts) + string(packet) + strings(attachments))

    def message(self, *envelopes):
        """One transaction."""
        frames = b""
        for i, e in enumerate(envelopes):
            payload = struct.pack("<IQIQ", 1, self.lsn, i, 1000 + self.lsn) + e
            frames += struct.pack("<IB", len(payload), MESSAGE) + payload
        self.lsn += 1
        while frames:
            select.select([], [self.link], [], 10)
            frames = frames[self.link.send(frames[:1 << 20]):]

    def emit(self, room, event, args=(), nsp="/", **more):
        prefix = "" if nsp == "/" else nsp + ","
        packet = "2" + prefix + json.dumps([event, *args], separators=(",", ":"))
        if room is None:
            self.message(self.envelope(flags=2, nsp=nsp, packet=packet, **more))
        else:
            rooms = [room] if isinstance(room, str) else room
            self.message(self.envelope(nsp=nsp, rooms=rooms, packet=packet, **more))

    # --- from the gateway ---

    def poll(self, timeout=0.1):
        """Reads what is there; False at the end of the link."""
        ready, _, _ = select.select([self.link], [], [], timeout)
        if not ready:
            return True
        try:
            data = self.link.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        while len(self.buffer) >= 5:
            size, kind = struct.unpack_from("<IB", self.buffer)
            if len(self.buffer) < 5 + size:
                break
            self.frame(kind, self.buffer[5:5 + size])
            self.buffer = self.buffer[5 + size:]
        return bool(data)

    def frame(self, kind, payload):
        if kind in (READY, REFUSED):
            self.answer = kind, *struct.unpack("<I", payload)
            self.ready_count += kind == READY
        elif kind == PONG:
            self.pongs.append(struct.unpack("<Q", payload)[0])
        elif kind == STATS:
            self.stats = dict(zip(self.counters, struct.unpack("<%dQ" % len(self.counters), payload)))
        elif kind == LOG:
            n, = struct.unpack_from("<I", payload, 1)
            message = payload[5:5 + n].decode()
            self.logs.append((payload[0], message, payload[9 + n:].decode()))
            print("gateway log:", self.logs[-1], file=sys.stderr)

    def wait(self, condition, what, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            if not self.poll(0.1) and not condition():
                raise AssertionError("the gateway hung up before %s" % what)
            if time.monotonic() > end:
                raise AssertionError("no %s in %d s" % (what, seconds))

    def fresh_stats(self):
        """Counters no older than this call (one frame may be on its way)."""
        while select.select([self.link], [], [], 0)[0] and self.poll(0):
            pass
        self.stats = {}
        self.wait(lambda: self.stats, "STATS")
        return self.stats

    def wait_exit(self, seconds=10):
        self.poll(0)
        return self.process.wait(seconds)

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self):
        with open("/proc/%d/status" % self.pid) as f:
            for line in f:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])

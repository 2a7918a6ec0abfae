"""HTTP and WebSocket by hand, on plain sockets or TLS, for tests of the gateway."""
import json
import os
import socket
import struct

POLL = "/socket.io/?EIO=4&transport=polling"
WS = "/socket.io/?EIO=4&transport=websocket"
TLS = None              # an ssl.SSLContext: all connections are made with it


def connect(port, timeout=15, receive_buffer=None, tls=True):
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(timeout)
    s.connect(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return TLS.wrap_socket(s, server_hostname="localhost") if TLS and tls else s


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def __repr__(self):
        return "%s %r %r" % (self.status, self.fields, self.body[:200])

    def error(self):
        """(status, code) of an Engine.IO error."""
        return self.status, json.loads(self.body)["code"]


class Http:
    """One keep-alive connection."""

    def __init__(self, port, timeout=15, **how):
        self.s = connect(port, timeout, **how)
        self.port = port
        self.buffer = b""

    def send(self, method, target, body=None, **fields):
        lines = ["%s %s HTTP/1.1" % (method, target)]
        fields.setdefault("Host", "127.0.0.1:%d" % self.port)
        lines += ["%s: %s" % (k.replace("_", "-"), v) for k, v in fields.items() if v is not None]
        if body is not None and "Content_Length" not in fields:
            lines.append("Content-Length: %d" % len(body))
        self.s.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def fill(self):
        data = self.s.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, head=False):
        """The next answer, or None when the connection ends instead."""
        try:
            while b"\r\n\r\n" not in self.buffer:
                if not self.fill():
                    return None
            top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            lines = top.decode("latin-1").split("\r\n")
            fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            size = 0 if head else int(fields.get("content-length", 0))
            while len(self.buffer) < size:
                if not self.fill():
                    return None
        except ConnectionResetError:
            return None
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Answer(int(lines[0].split()[1]), fields, body)

    def ask(self, method, target, body=None, **fields):
        self.send(method, target, body, **fields)
        return self.answer(head=method == "HEAD")

    def closed(self):
        """True once the gateway has closed; reads what comes before."""
        try:
            while self.s.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            return False
        return True

    def close(self):
        self.s.close()


def get(port, target=POLL, method="GET", body=None, **fields):
    h = Http(port)
    try:
        return h.ask(method, target, body, **fields)
    finally:
        h.close()


def open_polling(port, **fields):
    a = get(port, POLL, **fields)
    assert a.status == 200, a
    return json.loads(a.body[1:])["sid"]


def frame(payload, opcode=1, fin=True, mask=True, rsv=0):
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    n = len(payload)
    bit = 0x80 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += struct.pack(">BH", bit | 126, n)
    else:
        head += struct.pack(">BQ", bit | 127, n)
    if not mask:
        return head + payload
    key = os.urandom(4)
    whole = int.from_bytes(payload, "little") ^ int.from_bytes((key * (n // 4 + 1))[:n], "little") if n else 0
    return head + key + whole.to_bytes(n, "little")


class WebSocket(Http):
    def __init__(self, port, target=WS, glue=b"", timeout=15, tls=True, **fields):
        super().__init__(port, timeout, tls=tls)
        fields = dict({"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
                       "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}, **fields)
        self.send("GET", target, glue or None, Content_Length=None, **fields)
        self.handshake = self.answer()
        self.control = []       # control frames that came between fragments

    def write(self, payload, **how):
        if isinstance(payload, str):
            payload = payload.encode()
        self.s.sendall(frame(payload, **how))

    def take(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                raise EOFError
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_frame(self):
        """(fin, opcode, payload) of the next frame; EOFError at the end."""
        try:
            a, b = self.take(2)
            assert not b & 0x80, "masked frame from the server"
            n = b & 0x7f
            if n == 126:
                n, = struct.unpack(">H", self.take(2))
            elif n == 127:
                n, = struct.unpack(">Q", self.take(8))
            return bool(a & 0x80), a & 0x0f, self.take(n)
        except ConnectionResetError:
            raise EOFError

    def read(self):
        """(opcode, payload) of the next message or control frame."""
        parts, kind = [], None
        while True:
            fin, opcode, payload = self.read_frame()
            if opcode >= 8 and parts:
                self.control.append((opcode, payload))
                continue
            assert (opcode == 0) == bool(parts), "fragments out of order"
            kind = opcode or kind
            parts.append(payload)
            if fin:
                return kind, b"".join(parts)

    def text(self):
        opcode, payload = self.read()
        assert opcode == 1, (opcode, payload)
        return payload.decode()

    def close_code(self):
        """The code of the close frame, or None if the stream ends without one."""
        try:
            while True:
                opcode, payload = self.read()
                if opcode == 8:
                    return struct.unpack(">H", payload[:2])[0] if payload else 1005
        except EOFError:
            return None

    def connect(self, token):
        """Socket.IO CONNECT after the open packet; the public sid."""
        assert self.text()[0] == "0"
        self.write('40{"token":"%s"}' % token)
        answer = self.text()
        assert answer.startswith("40"), answer
        return json.loads(answer[2:])["sid"]

#!/usr/bin/env python3
"""The gateway's transports, tried from raw sockets; output is TAP.

    GATEWAY=./pg_rooms_gateway gateway_test.py [NAME...]

Every function named test_* is one test; a FakeWorker plays the worker.
"""
import contextlib
import json
import os
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import fake_worker
import pipelining
import raw
from fake_worker import LISTEN, PING, READY, REFUSED, STOP, FakeWorker, string, token
from raw import POLL, WS, Http, WebSocket, frame, get, open_polling

UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
           "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def equal(got, want, what=""):
    assert got == want, "%s: got %r, want %r" % (what, got, want)


# ---- HTTP ----

def test_error_answers_come_in_the_order_of_the_reference():
    with FakeWorker() as w:
        sid = open_polling(w.port)
        for target, method, want in [
                ("/socket.io/?EIO=4", "GET", (400, 0)),
                ("/socket.io/?EIO=3&transport=flash&sid=x", "GET", (400, 0)),
                (POLL + "&sid=nobody", "GET", (400, 1)),
                (POLL + "&sid=__proto__", "POST", (400, 1)),
                (POLL + "&sid=" + sid + "x", "GET", (400, 1)),
                (POLL, "POST", (400, 2)),
                (POLL, "PUT", (400, 2)),
                (WS, "GET", (400, 3)),
                (WS + "&sid=" + sid, "GET", (400, 3)),
                ("/socket.io/?EIO=3&transport=polling&sid=" + sid, "GET", (400, 3)),
                ("/socket.io/?EIO=3&transport=polling", "GET", (400, 5)),
                ("/socket.io/?transport=polling", "GET", (400, 5)),
                (POLL + "&sid=" + sid, "DELETE", (400, 3)),
                (POLL + "&sid=" + sid, "HEAD", (400, None))]:
            a = get(w.port, target, method, b"3" if method == "POST" else None)
            if method == "HEAD":
                equal((a.status, a.body), (400, b""), method)
            else:
                equal(a.error(), want, method + " " + target)
                equal(a.fields["content-type"], "application/json")
        equal(get(w.port, "/socket.io?EIO=4&transport=polling").status, 404, "no slash")


def test_handshake_poll_and_post():
    with FakeWorker() as w:
        h = Http(w.port)
        a = h.ask("GET", POLL)
        equal((a.status, a.fields["content-type"], a.fields["cache-control"]),
              (200, "text/plain; charset=UTF-8", "no-store"))
        hello = json.loads(a.body[1:])
        equal((hello["upgrades"], hello["pingInterval"], hello["pingTimeout"], hello["maxPayload"], len(hello["sid"])),
              (["websocket"], 25000, 20000, 1000000, 20))
        target = POLL + "&sid=" + hello["sid"]
        a = h.ask("POST", target, b'40{"token":"%s"}' % token({"sub": "7"}).encode(), Content_Type="text/plain;charset=UTF-8")
        equal((a.status, a.body, a.fields["content-type"]), (200, b"ok", "text/html"))
        a = h.ask("GET", target)
        assert a.body.startswith(b'40{"sid":"'), a
        h.send("GET", target)                       # parked
        w.emit("user:7", "hi", [1])
        equal(h.answer().body, b'42["hi",1]')
        w.message(w.envelope(rooms=["user:7"], packet='2["a"]'), w.envelope(rooms=["user:7"], packet='2["b"]'))
        time.sleep(0.1)
        equal(h.ask("GET", target).body, b'42["a"]\x1e42["b"]')


def test_post_rules():
    with FakeWorker(max_payload="1000") as w:
        sid = open_polling(w.port)
        target = POLL + "&sid=" + sid
        a = get(w.port, target, "POST", b"4" * 1001)
        equal(a.status, 413)
        equal(get(w.port, target, "POST", b"3").body, b"ok", "the session stays usable")
        h = Http(w.port)                            # announced, never sent: answered at once
        h.send("POST", target, b"", Content_Length=5000)
        equal(h.answer().status, 413)
        equal(get(w.port, target, "POST", b"3", Content_Type="application/octet-stream").status, 400)
        equal(get(w.port, target, "GET").error(), (400, 1), "which ends the session")

        sid = open_polling(w.port)
        target = POLL + "&sid=" + sid
        equal(get(w.port, target, "POST", b"9nonsense").status, 400)
        equal(get(w.port, target).error(), (400, 1), "a parse error ends the session")

        sid = open_polling(w.port)
        equal(get(w.port, POLL + "&sid=" + sid, "POST", b"").status, 400, "an empty body")

        sid = open_polling(w.port)
        target = POLL + "&sid=" + sid
        first = Http(w.port)
        first.send("POST", target, b"4", Content_Length=10)
        time.sleep(0.1)
        equal(get(w.port, target, "POST", b"3").status, 400, "a second POST at a time")
        equal(first.answer().status, 400, "the first fails with it, whatever is still to come")
        assert first.closed()

        sid = open_polling(w.port)
        target = POLL + "&sid=" + sid
        first = Http(w.port)
        first.send("POST", target, b"4", Content_Length=10)
        time.sleep(0.1)
        first.close()
        w.wait(lambda: w.stats.get("connections") == 0, "the end of a session whose POST was aborted")


def test_a_body_that_is_being_read_goes_with_its_session():
    with FakeWorker(connect_timeout="1000") as w:
        posts = []
        for _ in range(100):
            h = Http(w.port)
            h.send("POST", POLL + "&sid=" + open_polling(w.port), b"4" * 60000, Content_Length=65000)
            posts.append(h)
        w.wait(lambda: w.stats.get("disconnect_connect_timeout") == 100, "the end of sessions without a CONNECT")
        equal({h.answer().status for h in posts}, {400})
        assert all(h.closed() for h in posts)


def slow_http(port):
    """A connection whose buffers in the kernel hold only little."""
    return Http(port, receive_buffer=4096)


def test_an_answer_that_is_not_read_keeps_the_next_from_piling_up():
    big = "x" * 8000000                             # more than the kernel takes
    with FakeWorker(max_queued="100000") as w:
        for end in ("a second GET", "more messages", "hanging up", "reading"):
            h = slow_http(w.port)
            target = POLL + "&sid=" + open_polling(w.port)
            get(w.port, target, "POST", b'40{"token":"%s"}' % token({"sub": "7"}).encode())
            get(w.port, target)
            h.send("GET", target)
            w.emit("user:7", "big", [big])
            w.wait(lambda: w.stats.get("queued_bytes", 0) > 8000000, "the answer to be queued")
            if end == "a second GET":
                equal(get(w.port, target).status, 400, end)
                equal(get(w.port, target).error(), (400, 1), "and the session is over")
            elif end == "more messages":
                w.emit("user:7", "one more")
                w.wait(lambda: w.stats.get("disconnect_slow") == 1, "the end of a slow one")
            elif end == "hanging up":
                h.close()
                w.wait(lambda: w.stats.get("connections") == 0, "the end of the session")
            else:
                equal(h.answer().body, b'42["big","%s"]' % big.encode())
                h.send("GET", target)
                w.emit("user:7", "next")
                equal(h.answer().body, b'42["next"]')
                equal(w.fresh_stats()["queued_bytes"], 0)
            h.close()


def test_more_requests_before_the_answer_is_read_end_the_connection():
    big = "x" * 8000000
    with FakeWorker(max_queued="100000") as w:
        for more in (b"x", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None):
            h = slow_http(w.port)
            target = POLL + "&sid=" + open_polling(w.port)
            get(w.port, target, "POST", b'40{"token":"%s"}' % token({"sub": "7"}).encode())
            get(w.port, target)
            h.send("GET", target)
            w.emit("user:7", "big", [big])
            w.wait(lambda: w.stats.get("queued_bytes", 0) > 8000000, "the answer to be queued")
            before = w.cpu_seconds()
            if more:
                h.s.sendall(more)
            else:
                h.s.shutdown(socket.SHUT_WR)
            w.wait(lambda: w.stats.get("connections") == 0, "the end of the session")
            assert w.cpu_seconds() - before < 0.5
            h.close()


def test_poll_rules():
    with FakeWorker() as w:
        target = POLL + "&sid=" + open_polling(w.port)
        first = Http(w.port)
        first.send("GET", target)
        time.sleep(0.1)
        second = get(w.port, target)
        equal((second.status, second.body), (400, b""), "the second GET at a time")
        equal(first.answer().body, b"1", "the first is told to close")
        equal(get(w.port, target).error(), (400, 1))

        target = POLL + "&sid=" + open_polling(w.port)
        first = Http(w.port)
        first.send("GET", target)
        time.sleep(0.1)
        equal(get(w.port, target, "POST", b"1").body, b"ok")
        equal(first.answer().body, b"6", "the client hangs up while it polls")
        equal(get(w.port, target).error(), (400, 1))

        target = POLL + "&sid=" + open_polling(w.port)
        first = Http(w.port)
        first.send("GET", target)
        time.sleep(0.1)
        first.close()
        w.wait(lambda: w.stats.get("connections") == 0, "the end of a session whose poll was aborted")


def test_bodies_that_libwebsockets_cannot_read_are_refused():
    with FakeWorker() as w:
        target = POLL + "&sid=" + open_polling(w.port)
        for method, body, fields in [
                ("POST", b"5\r\nhello\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked", "Content_Length": None}),
                ("POST", b"3", {"Transfer_Encoding": "chunked"}),
                ("POST", b"3", {"Content_Length": "0x1"}),
                ("POST", b"3", {"Content_Length": "-1"}),
                ("POST", b"3", {"Content_Length": "9999999999"}),
                ("POST", None, {}),
                ("GET", b"hello", {}),
                ("PUT", b"hello", {})]:
            h = Http(w.port, timeout=5)
            h.send(method, target, body, **fields)
            a = h.answer()
            equal(a.status, 400, (method, fields))
            assert h.closed(), (method, fields)
        h = Http(w.port)
        h.send("GET", target, X_Long="x" * 20000)
        assert h.closed(), "header block over the limit"
        equal(get(w.port, target, "POST", b"3").body, b"ok", "the session is unharmed")


def test_tokens_in_the_header():
    with FakeWorker(allow_anonymous="on") as w:
        most = next(t for t in (token({"sub": "1", "pad": "x" * n}) for n in range(6000, 6200)) if len(t) == 8192)
        more = next(t for t in (token({"sub": "1", "pad": "x" * n}) for n in range(6000, 6200)) if len(t) > 8192)
        clients = []
        for value, answer in [("Bearer " + most, '40{"sid"'), ("Bearer " + more, '44{"message":"Invalid token"'),
                              ("Bearer " + "z" * 14000, '44{"message":"Invalid token"'),
                              ("Bearer " + " " * 9000 + most[:3000], '44{"message":"Invalid token"'),
                              ("Negotiate " + "z" * 10000, '40{"sid"'), (None, '40{"sid"')]:
            ws = WebSocket(w.port, Authorization=value)
            clients.append(ws)
            assert ws.text()[0] == "0"
            ws.write("40")
            got = ws.text()
            assert got.startswith(answer), (str(value)[:20], got)
        w.emit("user:1", "hello")
        w.wait(lambda: w.stats.get("deliveries") == 1, "the delivery to the one with a token")


def test_strangers_may_not_send_much():
    with FakeWorker() as w:
        ws = WebSocket(w.port)
        ws.write(b"6" + b"x" * 65535)
        ws.connect(token({"sub": "1"}))
        ws.write(b"6" + b"x" * 900000)
        ws.write(b"still there?", opcode=9)
        equal(ws.read(), (10, b"still there?"))
        ws = WebSocket(w.port)
        ws.write(b"6" + b"x" * 65536)
        equal(ws.close_code(), 1009)
        ws = WebSocket(w.port)
        for i in range(80):
            ws.write(b"6" + b"x" * 900, opcode=0 if i else 1, fin=False)
        equal(ws.close_code(), 1009, "in fragments")

        target = POLL + "&sid=" + open_polling(w.port)
        probe = WebSocket(w.port, WS + "&sid=" + target.split("=")[-1])
        equal(get(w.port, target, "POST", b"6" + b"x" * 65536).status, 413)
        equal(get(w.port, target, "POST", b"6" + b"x" * 65535).body, b"ok")
        equal(get(w.port, target, "POST", b'40{"token":"%s"}' % token({"sub": "1"}).encode()).body, b"ok")
        equal(get(w.port, target, "POST", b"6" + b"x" * 900000).body, b"ok")
        probe.write(b"6" + b"x" * 65536)
        equal(probe.close_code(), 1009, "a probe")
        equal(get(w.port, target).status, 200, "which ends only the upgrade")


def test_pipelined_requests_are_answered_or_closed():
    with FakeWorker() as w:
        h = Http(w.port, timeout=5)
        one = b"GET " + POLL.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        h.s.sendall(one + b"POST " + POLL.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        equal(h.answer().status, 200)
        assert h.closed()
        equal(get(w.port).status, 200, "and it did not hang")


# ---- CORS and Origin ----

def test_cors_headers_are_on_every_answer():
    with FakeWorker(allowed_origins="https://a.example, http://b.example:3000", cors_credentials="on") as w:
        for target in (POLL, POLL + "&sid=nobody"):
            a = get(w.port, target, Origin="https://a.example")
            equal((a.fields.get("access-control-allow-origin"), a.fields.get("vary"),
                   a.fields.get("access-control-allow-credentials")), ("https://a.example", "Origin", "true"), target)
        equal(get(w.port, Origin="http://b.example:3000").status, 200)
        a = get(w.port, Origin="http://b.example")
        equal(a.error(), (403, 4))
        assert "access-control-allow-origin" not in a.fields
        a = get(w.port, POLL, "OPTIONS", Origin="https://a.example", Access_Control_Request_Method="POST",
                Access_Control_Request_Headers="x-one,x-two")
        equal((a.status, a.fields["content-length"], a.fields["access-control-allow-headers"],
               a.fields["access-control-allow-methods"]), (204, "0", "x-one,x-two", "GET,HEAD,PUT,PATCH,POST,DELETE"))
        w.configure(allowed_origins="*")
        w.wait(lambda: w.ready_count == 2, "READY after the reload")
        a = get(w.port, POLL, Origin="https://c.example")
        equal((a.status, a.fields["access-control-allow-origin"]), (200, "*"))
        assert "access-control-allow-credentials" not in a.fields


def test_foreign_origins_are_refused_on_both_transports_and_logged_once():
    with FakeWorker() as w:
        host = "127.0.0.1:%d" % w.port
        equal(get(w.port, Origin="http://" + host).status, 200, "own host")
        equal(get(w.port).status, 200, "none")
        for origin in ("http://evil.example", "null", "http://127.0.0.1", "https://" + host.split(":")[0]):
            equal(get(w.port, Origin=origin).error(), (403, 4), origin)
            ws = WebSocket(w.port, Origin=origin)
            equal((ws.handshake.status, ws.handshake.body), (403, b"Forbidden"), origin)
            assert ws.closed()
        equal(get(w.port, Origin="http://a\x01b").error(), (400, 3), "control characters")
        equal(WebSocket(w.port, Origin="http://" + host).handshake.status, 101)
        # Also a stolen sid does not help a foreign page.
        sid = open_polling(w.port)
        equal(WebSocket(w.port, WS + "&sid=" + sid, Origin="http://evil.example").handshake.status, 403)
        stats = w.fresh_stats()
        equal(stats["refused_origin"], 9)
        lines = [log for log in w.logs if "refused" in log[1]]
        equal(len(lines), 1, "log lines")
        assert "pg_rooms.allowed_origins" in lines[0][2]


# ---- WebSocket ----

def test_refused_upgrades_are_answered():
    with FakeWorker() as w:
        for target, fields, status, body in [
                ("/socket.io/?EIO=4", {}, 400, b"Transport unknown"),
                (WS + "&sid=nobody", {}, 400, b"Session ID unknown"),
                (POLL, {}, 400, b"Bad request"),
                ("/socket.io/?EIO=3&transport=websocket", {}, 400, b"Unsupported protocol version"),
                (WS, {"Sec_WebSocket_Version": "8"}, 400, b"Bad request"),
                ("/other", {}, 404, b"Not Found")]:
            ws = WebSocket(w.port, target, **fields)
            a = ws.handshake
            assert a, (target, fields)
            equal((a.status, a.body, a.fields["connection"], a.fields["content-type"]), (status, body, "close", "text/html"), target)
            assert ws.closed(), target
        for protocol in ("foo", "h2c"):
            h = Http(w.port)
            equal(h.ask("GET", POLL).status, 200)
            # CVE-2025-11677: on a connection that has been used before
            h.send("GET", POLL, Upgrade=protocol, Connection="Upgrade", HTTP2_Settings="AAMAAABkAAQAAP__")
            assert h.closed(), protocol
        equal(get(w.port).status, 200)


def test_messages_in_pieces():
    with FakeWorker(max_payload="10000") as w:
        ws = WebSocket(w.port)
        ws.connect(token({"sub": "1"}))
        big = b'42["e","' + b"x" * 9000 + b'"]'
        ws.write(big)
        ws.write(big[:4], fin=False)
        for i in range(4, len(big), 700):
            ws.write(big[i:i + 700], opcode=0, fin=i + 700 >= len(big))
        for b in frame(b'42["dribble"]'):
            ws.s.sendall(bytes([b]))
        ws.write(b"ping me", opcode=9)
        equal(ws.read(), (10, b"ping me"), "a control ping is answered")
        stats = w.fresh_stats()
        equal((stats["packets_in"], stats["connections"]), (4, 1))
        for parts in ([b"4" * 10001], [b"4" * 900] * 12):
            ws = WebSocket(w.port)
            for i, p in enumerate(parts):
                ws.write(p, opcode=0 if i else 1, fin=i == len(parts) - 1)
            equal(ws.close_code(), 1009)
        ws = WebSocket(w.port)
        ws.s.sendall(struct.pack(">BBQI", 0x81, 0xff, 1 << 62, 0) + b"4")
        equal(ws.close_code(), 1009, "a frame of 2^62 bytes")
        for bad in (b"4\xff", b"4\xed\xa0\x80", b"4\xc3"):
            ws = WebSocket(w.port)
            ws.write(bad)
            equal(ws.close_code(), 1007, bad)
        ws = WebSocket(w.port)
        ws.write(b"4x", rsv=0x40)
        equal(ws.close_code(), 1002, "RSV1 without an extension")


def test_unmasked_frames_are_refused():
    with FakeWorker() as w:
        for n in (0, 1, 125, 126, 65535, 65536, 200000):
            ws = WebSocket(w.port)
            ws.s.sendall(frame(b"4" * n, mask=False)[:4096])
            equal(ws.close_code(), 1002, "%d bytes" % n)
        ws = WebSocket(w.port)
        ws.s.sendall(frame(b"hello", opcode=9) + frame(b"4", mask=False))
        assert ws.text()[0] == "0"
        equal(ws.close_code(), 1002, "masked, then unmasked in one segment")
        ws = WebSocket(w.port)
        ws.s.sendall(b"\x81")
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            ws.s.sendall(b"\x01x")
        equal(ws.close_code(), None, "the header in two segments")
        for n in (0, 1, 125, 126, 65535, 65536, 200000):    # ... and masked ones of these lengths are not
            ws = WebSocket(w.port)
            ws.connect(token({"sub": "1"}))
            for i in range(0, 6):
                ws.write(b"6" + b"x" * n)
            ws.write(b"done", opcode=9)
            equal(ws.read(), (10, b"done"), "masked, %d" % n)


def test_frames_glued_to_the_handshake_are_refused():
    with FakeWorker() as w:
        for glue in (frame(b"3"), frame(b"3", mask=False), b"\x00", b"\r\n\r\n"):
            ws = WebSocket(w.port, glue=glue)
            equal(ws.close_code(), None, glue)
        assert WebSocket(w.port).text()[0] == "0"


def test_upgrade():
    with FakeWorker(upgrade_timeout="300") as w:
        h = Http(w.port)
        sid = json.loads(h.ask("GET", POLL).body[1:])["sid"]
        target = POLL + "&sid=" + sid
        h.ask("POST", target, b'40{"token":"%s"}' % token({"sub": "7"}).encode())
        h.ask("GET", target)
        h.send("GET", target)
        ws = WebSocket(w.port, WS + "&sid=" + sid)
        second = WebSocket(w.port, WS + "&sid=" + sid)
        equal(second.handshake.status, 101, "accepted ...")
        second.close_code()                             # ... and closed
        ws.write("2probe")
        equal(ws.text(), "3probe")
        equal(h.answer().body, b"6", "the parked poll is released")
        w.emit("user:7", "between")
        ws.write("5")
        equal(ws.text(), '42["between"]')
        equal(h.ask("GET", target).error(), (400, 3), "polling is over")
        third = WebSocket(w.port, WS + "&sid=" + sid)
        third.close_code()
        w.emit("user:7", "after")
        equal(ws.text(), '42["after"]')

        sid = open_polling(w.port)                      # a probe that never comes
        late = WebSocket(w.port, WS + "&sid=" + sid)
        late.close_code()
        equal(get(w.port, POLL + "&sid=" + sid, "POST", b"3").body, b"ok", "the session is still polling")
        wrong = WebSocket(w.port, WS + "&sid=" + sid)
        wrong.write("4hello")
        wrong.close_code()
        equal(get(w.port, POLL + "&sid=" + sid, "POST", b"3").body, b"ok", "after a wrong first packet too")


def test_heartbeat():
    with FakeWorker(ping_interval="200", ping_timeout="200") as w:
        ws = WebSocket(w.port)
        ws.text()
        for _ in range(3):
            equal(ws.text(), "2")
            ws.write("3")
        equal(ws.text(), "2")
        equal(ws.close_code(), 1000)
        assert ws.closed(), "without waiting for the client"
        equal(w.fresh_stats()["disconnect_ping_timeout"], 1)


# ---- limits ----

def test_silent_and_slow_connections_are_closed():
    with FakeWorker(request_timeout="2000") as w:
        silent, half, slow, kept = (Http(w.port, 40) for _ in range(4))
        half.s.sendall(b"GET / HTTP/1.1\r\nHo")
        equal(kept.ask("GET", "/").status, 404)
        start = time.monotonic()
        sid = open_polling(w.port)
        slow.send("POST", POLL + "&sid=" + sid, b"4", Content_Length=10)
        drip = Http(w.port)
        drip.send("POST", POLL + "&sid=" + open_polling(w.port), b"4", Content_Length=1000)
        dripped_head = Http(w.port, 40)
        dripped_head.s.sendall(b"GET / HTTP/1.1\r\n")
        open_ones = {"silent": silent, "half a head": half, "half a body": slow, "kept": kept,
                     "a body in drips": drip, "a head in drips": dripped_head}
        while open_ones and time.monotonic() - start < 15:
            # Often this comes with the end of a wait of 0.2 s, or of the statistics: just when deadlines are looked at.
            for h in (drip, dripped_head):
                with contextlib.suppress(OSError):
                    h.s.sendall(b"x")
            w.poll(0.2)
            ended = select.select([h.s for h in open_ones.values()], [], [], 0)[0]
            if ended:
                assert time.monotonic() - start > 1, "too early"
            open_ones = {name: h for name, h in open_ones.items() if h.s not in ended}
        took = time.monotonic() - start
        assert took < 8, "open after %.1f s: %s" % (took, ", ".join(open_ones))
        equal(w.fresh_stats()["refused_request_timeout"], 5, "counted, but not the one that had its answer")
        w.wait(lambda: w.stats.get("connections") == 0, "the end of their sessions")


def test_out_of_descriptors_waits_without_spinning():
    with FakeWorker() as w:
        resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (60, 60))
        waiting = [Http(w.port) for _ in range(100)]
        for h in waiting:
            h.send("GET", "/", Connection="close")
        # Those that fitted are answered and make room for the next; keep-alive ones do not.
        for h in waiting:
            equal(h.answer().status, 404)
            h.close()
        idle = [WebSocket(w.port) for _ in range(30)]
        waiting = [socket.create_connection(("127.0.0.1", w.port)) for _ in range(50)]
        time.sleep(0.3)
        before = w.cpu_seconds()
        time.sleep(2)
        assert w.cpu_seconds() - before < 0.1, w.cpu_seconds() - before
        for h in idle:
            h.close()
        for s in waiting:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for s in waiting:
            s.settimeout(15)
            equal(s.recv(12), b"HTTP/1.1 404")


def close_reason(ws):
    opcode, payload = ws.read()
    return opcode, struct.unpack(">H", payload[:2])[0], payload[2:].decode()


def test_limits_of_an_address():
    full, fast = "Too many connections from this address", "Too many handshakes from this address"
    with FakeWorker(max_connections_per_ip="2", trusted_proxies="127.0.0.1") as w:
        alive = [WebSocket(w.port, X_Forwarded_For="192.0.2.1") for _ in range(2)]
        # Several fields of one name are one list, the last one at its end.
        equal(get(w.port, X_Forwarded_For="192.0.2.9", x_forwarded_for="192.0.2.1").status, 429)
        equal(get(w.port, X_Forwarded_For="192.0.2.1", x_forwarded_for="192.0.2.2").status, 200)
        a = get(w.port, X_Forwarded_For="192.0.2.1")
        equal((a.status, json.loads(a.body)), (429, {"code": 4, "message": full}))
        equal(get(w.port, X_Forwarded_For="1.1.1.1, " * 1500 + "192.0.2.1").status, 429, "a long list is read from its end")
        equal(close_reason(WebSocket(w.port, X_Forwarded_For="192.0.2.1")), (8, 1013, full))
        equal(w.fresh_stats()["refused_max_connections_per_ip"], 4)
        del alive
    with FakeWorker(max_handshakes_per_second="1") as w:
        first = WebSocket(w.port)
        equal(close_reason(WebSocket(w.port)), (8, 1013, fast))
        a = get(w.port)
        equal((a.status, json.loads(a.body)), (429, {"code": 4, "message": fast}))
        equal(w.fresh_stats()["refused_max_handshakes_per_second"], 2)
        first.close()
    with FakeWorker(max_connections_per_ip="3") as w:
        # Connections without a session: twice as many, and some.
        idle = [socket.create_connection(("127.0.0.1", w.port), timeout=15) for _ in range(71)]
        equal(idle[70].recv(1), b"", "one more is closed")
        equal(w.fresh_stats()["refused_max_connections_per_ip"], 1)
        for s in idle:
            s.close()


def test_max_connections():
    with FakeWorker(max_connections="3") as w:
        alive = [WebSocket(w.port) for _ in range(3)]
        equal(get(w.port).status, 503)
        ws = WebSocket(w.port)
        equal((ws.handshake.status, ws.close_code()), (101, 1013))
        equal(w.fresh_stats()["refused_max_connections"], 2)
        # Connections that never become a session are bounded too.
        idle = [socket.create_connection(("127.0.0.1", w.port), timeout=5) for _ in range(150)]
        time.sleep(0.3)
        closed = sum(1 for s in idle if select.select([s], [], [], 0)[0])
        assert 70 <= closed <= 100, closed
        alive[0].write("1")
        equal(alive[1].text()[0], "0", "those that are in stay")


def test_slow_consumer_is_bounded():
    with FakeWorker(max_queued="100000") as w:
        ws = WebSocket(w.port)
        ws.connect(token({"sub": "1"}))
        base = w.rss_kb()
        for i in range(300):
            w.emit("user:1", "x", ["y" * 100000])
        w.wait(lambda: w.stats.get("disconnect_slow") == 1, "the end of the slow one")
        assert w.rss_kb() - base < 20000, w.rss_kb() - base
        another = WebSocket(w.port)
        another.connect(token({"sub": "1"}))
        for i in range(300):
            w.emit("user:1", "x", ["y" * 100000])
        w.wait(lambda: w.stats.get("disconnect_slow") == 2, "the end of another slow one")
        said = [m for _, m, _ in w.logs if "does not read" in m]
        assert len(said) == 1 and "address 127.0.0.1; 1 since" in said[0], said


def test_slow_readers_of_a_large_message_share_one_copy():
    with FakeWorker(max_queued="100000000") as w:
        readers = [WebSocket(w.port) for _ in range(60)]
        for ws in readers:
            ws.connect(token({"sub": "1"}))
        base = w.rss_kb()
        text, blob = "z" * 16000000, os.urandom(300000)
        w.message(w.envelope(rooms=["user:1"], attachments=[b"", blob],
                             packet='52-["big","%s",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]' % text))
        w.wait(lambda: w.stats.get("deliveries") == 60, "the deliveries")
        grown = w.rss_kb() - base
        assert grown < 400000, "%d kB for 60 readers of 16 MB" % grown
        for ws in readers:
            ws.write(b"still there?", opcode=9)     # answered between fragments, not inside one
        for ws in readers:
            text_got = ws.read()[1]
            assert len(text_got) == 16000000 + len('452-["big","",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
            equal(ws.read(), (2, b""))
            assert ws.read() == (2, blob)
            if not ws.control:
                ws.control.append(ws.read())
            equal(ws.control, [(10, b"still there?")])
        w.emit("user:1", "small")
        equal([ws.text() for ws in readers], ['42["small"]'] * 60)


# ---- files ----

def test_static_files():
    with tempfile.TemporaryDirectory() as top:
        root = os.path.join(top, "www")
        os.makedirs(os.path.join(root, "sub"))
        os.makedirs(os.path.join(root, ".git"))
        big = os.urandom(3 << 20)
        for name, data in [("index.html", b"<p>hi"), ("sub/a b.js", b"1"), ("big.bin", big), ("empty.css", b""),
                           (".git/config", b"x"), ("../secret", b"s"), ("sub/index.html", b"sub")]:
            with open(os.path.join(root, name), "wb") as f:
                f.write(data)
        os.symlink("../secret", os.path.join(root, "out"))
        os.symlink("/etc/passwd", os.path.join(root, "abs"))
        os.symlink("index.html", os.path.join(root, "in.html"))
        os.mkfifo(os.path.join(root, "fifo"))
        os.chmod(top, 0o755)
        with FakeWorker(document_root=root) as w:
            for path, status, kind in [
                    ("/", 200, "text/html; charset=UTF-8"), ("/index.html?x=1", 200, "text/html; charset=UTF-8"),
                    ("/sub/a%20b.js", 200, "text/javascript; charset=UTF-8"), ("/sub/", 200, "text/html; charset=UTF-8"),
                    ("/in.html", 200, "text/html; charset=UTF-8"), ("/empty.css", 200, "text/css; charset=UTF-8"),
                    ("/out", 404, None), ("/abs", 404, None), ("/fifo", 404, None), ("/sub", 404, None), ("/none", 404, None),
                    ("/.git/config", 404, None), ("/%2egit/config", 404, None), ("/../secret", 404, None),
                    ("/%2e%2e/secret", 404, None), ("/sub/..%2f..%2fsecret", 404, None), ("//etc/passwd", 404, None),
                    ("/sub/%2e%2e/%2e%2e/secret", 404, None), ("/index.html%00.js", None, None)]:
                a = get(w.port, path)
                equal(a.status if a else None, status, path)
                if kind:
                    equal(a.fields["content-type"], kind, path)
            h = Http(w.port)
            a = h.ask("GET", "/big.bin")
            assert a.body == big, "a large file arrives whole"
            tag = a.fields["etag"]
            a = h.ask("HEAD", "/big.bin")
            equal((a.status, a.fields["content-length"], a.body), (200, str(len(big)), b""))
            equal(h.ask("GET", "/big.bin", If_None_Match=tag).status, 304)
            equal(h.ask("GET", "/").status, 200, "the connection is kept")
            a = h.ask("POST", "/", b"hello")
            equal((a.status, a.fields["allow"]), (405, "GET, HEAD"))
            equal(h.ask("GET", "/").status, 200, "... after a refused body, too")
        with FakeWorker() as w:
            equal(get(w.port, "/").status, 404, "no document_root")


# ---- the process ----

# The sanitizers look for leaks before the process ends.
EXIT_S = 5 if os.environ.get("ROOMS_VARIANT") == "asan" else 1


def test_ways_to_end():
    for how, status in [(lambda w: w.send(STOP), 0), (lambda w: w.process.send_signal(signal.SIGTERM), 0),
                        (lambda w: w.link.close(), 0), (lambda w: w.send(99, b""), 1),
                        (lambda w: w.send(LISTEN, struct.pack("<I", 1)), 1)]:
        with FakeWorker() as w:
            ws = [WebSocket(w.port) for _ in range(20)]
            ws[0].connect(token({"sub": "1"}))
            poll = Http(w.port)
            poll.send("GET", POLL + "&sid=" + open_polling(w.port))
            time.sleep(0.1)
            start = time.monotonic()
            how(w)
            equal(w.process.wait(10), status, "exit status")
            assert time.monotonic() - start < EXIT_S, "took %.1f s" % (time.monotonic() - start)
            equal(ws[0].close_code(), 1001, "a close frame and no DISCONNECT packet")
            equal(poll.answer().body, b"1")


def test_it_leaves_with_its_parent():
    code = ("import sys, os; sys.path.insert(0, %r)\n"
            "from fake_worker import FakeWorker\n"
            "w = FakeWorker(); fd = os.dup(w.link.fileno()); print(w.pid, flush=True)\n"
            "import time; time.sleep(60)" % os.path.dirname(os.path.abspath(__file__)))
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    watch = os.pidfd_open(pid)
    parent.kill()
    parent.wait()
    assert select.select([watch], [], [], 5)[0], "the gateway outlives its worker"


def test_another_version_is_refused():
    with contextlib.suppress(AssertionError), FakeWorker(hello="0.1") as w:
        raise RuntimeError("it got ready")
    w = FakeWorker(hello="0.1", listen=False)
    w.wait(lambda: w.logs, "a log line")
    equal(w.logs[0][0], 3)
    assert "0.1" in w.logs[0][1] and w.logs[0][2]
    equal(w.wait_exit(), 1)


def test_bad_settings_end_it_at_start_and_not_at_a_reload():
    for config in ({"jwt_public_key": "no key"}, {"document_root": "/nonexistent"}, {"unknown": "1"}, {"path": "x"}):
        w = FakeWorker(listen=False, **config)
        w.wait(lambda: w.logs, "a log line")
        equal(w.logs[0][0], 3, config)
        equal(w.wait_exit(), 1)
        assert w.answer is None, w.answer
    with FakeWorker() as w:
        equal(w.answer, (READY, 1))
        for n, config in enumerate(({"document_root": "/nonexistent"}, {"jwt_public_key": "no key"}, {"unknown": "1"}), 2):
            before = dict(w.config)
            w.configure(**config)
            w.wait(lambda: w.answer == (REFUSED, n), "REFUSED")
            equal((w.logs[-1][0], get(w.port).status), (2, 200))
            w.listen()
            w.wait(lambda: w.answer == (READY, 1), "READY for the new sockets, with the old configuration")
            w.config = before
        w.configure()
        w.wait(lambda: w.answer == (READY, 5), "READY")


def test_reload_and_new_sockets():
    with FakeWorker(namespaces="/") as w:
        ws = WebSocket(w.port)
        ws.connect(token({"sub": "1"}))
        w.configure(namespaces="/, /admin", max_payload="5000")
        w.wait(lambda: w.ready_count == 2 and w.logs, "READY")
        equal(w.logs[0][:2], (1, "the configuration is reloaded"))
        equal(json.loads(WebSocket(w.port).text()[1:])["maxPayload"], 5000)
        ws.write('40/admin,{"token":"%s"}' % token({"sub": "1"}))
        assert ws.text().startswith('40/admin,{"sid"')
        old, w.listener = w.listener, socket.create_server(("127.0.0.1", 0))
        w.listen()
        w.wait(lambda: w.ready_count == 3, "READY")
        old.close()
        equal(get(w.listener.getsockname()[1]).status, 200)
        with contextlib.suppress(ConnectionError):
            get(w.port)
            raise AssertionError("the old socket is still served")
        w.emit("user:1", "still here")
        equal(ws.text(), '42["still here"]')


def test_ping_and_large_messages_on_the_link():
    with FakeWorker(max_queued="100000000") as w:
        ws = WebSocket(w.port, timeout=60)
        ws.connect(token({"sub": "1"}))
        w.send(PING, struct.pack("<Q", 1 << 60))
        w.wait(lambda: w.pongs == [1 << 60], "PONG")
        reader = threading.Thread(target=lambda: sizes.append(len(ws.text())))
        sizes = []
        reader.start()
        w.emit("user:1", "big", ["z" * 20000000])
        reader.join()
        equal(sizes, [len('42["big",""]') + 20000000])
        w.emit("user:1", "small")
        equal(ws.text(), '42["small"]')


def test_random_pipelining_hangs_nothing():
    print("# %d sequences" % pipelining.run(20))


# ---- TLS ----

def certificate(folder, *more, key="ec -pkeyopt ec_paramgen_curve:P-256"):
    """(certificate, key) for localhost, as PEM texts."""
    files = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-newkey", *key.split(),
                    "-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1], *more],
                   check=True, stderr=subprocess.DEVNULL)
    return tuple(open(name).read() for name in files)


@contextlib.contextmanager
def over_tls():
    """Gateways and connections that are made in here speak TLS."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        cert, key = certificate(folder)
        raw.TLS = ssl.create_default_context(cadata=cert)
        undo.callback(setattr, raw, "TLS", None)
        fake_worker.DEFAULTS.update(tls_cert=cert, tls_key=key)
        undo.callback(fake_worker.DEFAULTS.update, tls_cert="", tls_key="")
        yield


def tls_too(test):
    """Makes a second test of a test."""
    def over():
        with over_tls():
            test()
    globals()["test_tls_" + test.__name__[5:]] = over


for test in (test_handshake_poll_and_post, test_post_rules,
             test_more_requests_before_the_answer_is_read_end_the_connection, test_an_answer_that_is_not_read_keeps_the_next_from_piling_up,
             test_bodies_that_libwebsockets_cannot_read_are_refused, test_pipelined_requests_are_answered_or_closed,
             test_refused_upgrades_are_answered, test_messages_in_pieces, test_unmasked_frames_are_refused,
             test_frames_glued_to_the_handshake_are_refused, test_upgrade,
             test_slow_consumer_is_bounded,
             test_slow_readers_of_a_large_message_share_one_copy, test_static_files, test_ways_to_end,
             test_ping_and_large_messages_on_the_link, test_random_pipelining_hangs_nothing):
    tls_too(test)


def test_tls_speaks_only_what_is_modern():
    with over_tls(), FakeWorker() as w:
        def hello(**attributes):
            """(version, ALPN) of a handshake with these attributes of the context, or None."""
            context = ssl.create_default_context(cadata=fake_worker.DEFAULTS["tls_cert"])
            for name, value in attributes.items():
                if callable(getattr(context, name)):
                    getattr(context, name)(value)
                else:
                    setattr(context, name, value)
            with raw.connect(w.port, tls=False) as plain, contextlib.suppress(OSError), \
                    context.wrap_socket(plain, server_hostname="localhost") as s:
                return s.version(), s.selected_alpn_protocol()
        old = ssl.TLSVersion.TLSv1_2
        equal(hello(), ("TLSv1.3", None))
        equal(hello(maximum_version=old), ("TLSv1.2", None))
        weak = "ALL:@SECLEVEL=0"
        equal(hello(maximum_version=old, set_ciphers=weak), ("TLSv1.2", None))
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            equal(hello(set_ciphers=weak, minimum_version=version, maximum_version=version), None, version)
        for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "NULL"):
            equal(hello(maximum_version=old, set_ciphers=cipher + ":@SECLEVEL=0"), None, cipher)
        equal(hello(set_alpn_protocols=["h2", "http/1.1"]), ("TLSv1.3", "http/1.1"))
        equal(hello(set_alpn_protocols=["h2"]), ("TLSv1.3", None), "h2 is not offered")

        renegotiation = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:%d" % w.port],
                                       input=b"R\n", capture_output=True, timeout=15)
        assert b"RENEGOTIATING" in renegotiation.stderr and b"no renegotiation" in renegotiation.stderr, renegotiation

        plain = Http(w.port, tls=False)
        equal(plain.ask("GET", POLL), None, "plain HTTP")
        h2 = Http(w.port)
        h2.s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        equal(h2.answer().status, 403)
        assert h2.closed()
        equal(get(w.port).status, 200)


def test_tls_handshakes_that_never_end_are_closed():
    with over_tls(), FakeWorker(request_timeout="2000") as w:
        silent, drip = (raw.connect(w.port, tls=False) for _ in range(2))
        out = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
        hello = iter(out.read())
        start = time.monotonic()
        ended = []
        while len(ended) < 2 and time.monotonic() - start < 15:
            with contextlib.suppress(OSError):
                drip.sendall(bytes([next(hello)]))
            ended = select.select([silent, drip], [], [], 0)[0]
            w.poll(0.1)
        took = time.monotonic() - start
        assert len(ended) == 2 and 1.5 < took < 4, (ended, took)
        equal(get(w.port).status, 200)


def test_tls_reload():
    with tempfile.TemporaryDirectory() as folder, over_tls(), FakeWorker() as w:
        def shown():
            with raw.connect(w.port) as s:
                return ssl.DER_cert_to_PEM_cert(s.getpeercert(True))

        def reload(taken, **config):
            before = dict(w.config)
            w.configure(**config)
            w.wait(lambda: w.answer == (READY if taken else REFUSED, w.config_number), "an answer")
            if not taken:
                w.config = before

        ws = WebSocket(w.port)
        ws.connect(token({"sub": "1"}))
        old, key = w.config["tls_cert"], w.config["tls_key"]
        equal(shown(), old)
        raw.TLS.check_hostname, raw.TLS.verify_mode = False, ssl.CERT_NONE
        h = Http(w.port)
        h.ask("GET", POLL)                              # a ticket has come before the answer

        def resumed():
            with raw.connect(w.port, tls=False) as plain, raw.TLS.wrap_socket(plain, session=h.s.session) as s:
                return s.session_reused
        assert resumed()
        rsa, rsa_key = certificate(folder, key="rsa:2048")
        reload(True, tls_cert=rsa, tls_key=rsa_key)
        equal(shown(), rsa, "a key of another type")
        assert not resumed(), "a ticket of the old certificate"
        again, again_key = certificate(folder)
        reload(True, tls_cert=again + old, tls_key=again_key)
        equal(shown(), again, "and back, with a chain")
        weak, weak_key = certificate(folder, key="rsa:1024")
        encrypted = subprocess.run(["openssl", "pkey", "-aes128", "-passout", "pass:x"], input=key.encode(),
                                   capture_output=True, check=True).stdout.decode()
        for cert, key, why in [(old, rsa_key, "does not belong to"), (rsa, key, "does not belong to"), (old, old, "no PEM private key"),
                               (key, key, "no PEM certificate"), ("x", key, "no PEM certificate"), (old, encrypted, "is encrypted"),
                               (old + old[:100], key, "is malformed"), (old * 30, key, "too many"), (weak, weak_key, "too small")]:
            reload(False, tls_cert=cert, tls_key=key)
            level, message, hint = w.logs[-1]
            assert level == 2 and why in message and "tls_key_file" in hint, (why, w.logs[-1])
            assert cert not in message and key not in message
            equal(shown(), again, why)
        reload(False, tls_cert=old, tls_key=w.config["tls_key"], document_root="/nonexistent")

        reload(True, tls_cert="", tls_key="")
        with raw.connect(w.port, tls=False) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            equal(s.recv(12), b"HTTP/1.1 404", "TLS is off")
        plain = WebSocket(w.port, tls=False)
        plain.connect(token({"sub": "1"}))
        reload(True, tls_cert=rsa, tls_key=rsa_key)
        equal(shown(), rsa, "and on again")
        w.emit("user:1", "still here")
        equal((ws.text(), plain.text()), ('42["still here"]',) * 2, "nobody was dropped")
    with over_tls():
        files = {name: fake_worker.DEFAULTS[name] for name in ("tls_cert", "tls_key")}
        with FakeWorker(tls_cert="", tls_key="") as w:
            w.configure(**files)                        # for the first time, and in the sandbox
            w.wait(lambda: w.ready_count == 2, "READY")
            equal(get(w.port).status, 200)


def main():
    names = sys.argv[1:] or [n for n in globals() if n.startswith("test_")]
    failed = 0
    print("1..%d" % len(names), flush=True)
    for i, name in enumerate(names, 1):
        start = time.monotonic()
        try:
            globals()[name]()
            result = "ok"
        except BaseException:
            if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                raise
            print("".join("# %s\n" % line for line in traceback.format_exc().splitlines()), end="")
            result = "not ok"
            failed += 1
        print("%s %d - %s (%.1f s)" % (result, i, name[5:].replace("_", " "), time.monotonic() - start), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""parked.py PORT TOKEN: 1000 long-polls that wait, half of them aborted.

Says "parked" once that is so; at a line on stdin reads the answers of the
others and prints how many of them hold the event "end"."""
import json
import socket
import struct
import sys

from raw import POLL, Http

port, token = int(sys.argv[1]), sys.argv[2]
parked = []
for _ in range(1000):
    h = Http(port)
    sid = json.loads(h.ask("GET", POLL).body[1:])["sid"]
    target = POLL + "&sid=" + sid
    assert h.ask("POST", target, b'40{"token":"%s"}' % token.encode()).body == b"ok"
    assert h.ask("GET", target).body.startswith(b"40{")
    h.send("GET", target)
    parked.append(h)
for i, h in enumerate(parked[::2]):
    # As a browser leaves, and as a network breaks: by FIN and by RST.
    if i % 2:
        h.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    h.close()
print("parked", flush=True)
sys.stdin.readline()
print(sum(h.answer().body == b'42["end"]' for h in parked[1::2]))

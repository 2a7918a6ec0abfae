"""client.py URL TOKEN TRANSPORT [AUTH] - Debian's python3-socketio, a client that is
not the reference's.  Prints one JSON line for each thing that happens; ends
after the event "end" or a refused connection.  AUTH: more of auth, as JSON."""
import json
import sys

import socketio

url, token, transport, *more = sys.argv[1:]
auth = {"token": token, **(json.loads(more[0]) if more else {})}
client = socketio.Client(reconnection=False)


def say(**what):
    print(json.dumps(what), flush=True)


@client.on("connect")
def connect():
    say(connect=True)


@client.on("connect_error")
def connect_error(data):
    say(connect_error=data)
    # the engine's connection stays open for other namespaces; we have none
    client.eio.disconnect()


@client.on("*")
def event(name, *args):
    say(event=[name, *[a.hex() if isinstance(a, bytes) else a for a in args]])


@client.on("end")
def end(*args):
    client.disconnect()


try:
    client.connect(url, auth=auth, transports=[transport])
    client.wait()
except socketio.exceptions.ConnectionError as error:
    say(refused=str(error))

// driver.mjs - stock socket.io-clients under remote control.
//
// Reads commands as JSON lines on stdin, writes what happens as JSON lines on
// stdout; test/t/Rooms.pm is the other side.  One process drives any number of
// clients, each with an id of the test's choice.
//
//   {"op":"open","id":ID,"url":URL,"options":{...}}   io(url, options)
//   {"op":"emit","id":ID,"args":[...]}                socket.emit(...args)
//   {"op":"ack","id":ID,"args":[...]}                 ... with an acknowledgement, reported as "ack"
//   {"op":"disconnect","id":ID} {"op":"connect","id":ID}
//   {"op":"cut","id":ID}                              closes the transport as a network fault would
//   {"op":"pause","id":ID} {"op":"resume","id":ID}    does not read from its WebSocket, reads again
//   {"op":"frame","id":ID,"hex":BYTES}                one WebSocket text frame of these bytes, as they are
//   {"op":"proxy","id":ID,"to":PORT,"least":N,"most":N}   passes connections on to PORT, and cuts one
//                                                     whenever the server has sent so many bytes
//   {"op":"spare","id":ID}                            the proxy cuts no more
//   {"op":"sync","n":N}                               answered with {"is":"synced","n":N}
//
//   {"id":ID,"is":"connect","sid":...,"recovered":...,"pid":...,"transport":...}
//   {"id":ID,"is":"connect_error","message":...,"data":...}
//   {"id":ID,"is":"disconnect","reason":...}
//   {"id":ID,"is":"upgrade","transport":...}
//   {"id":ID,"is":"event","args":[name,...]}          binary as {"binary":"<base64>"}; "filler" is not reported
//   {"id":ID,"is":"ack","args":[...]}
//   {"id":ID,"is":"proxy","port":PORT}
import { createInterface } from 'node:readline';
import net from 'node:net';
import { io } from 'socket.io-client';

const clients = new Map();
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

// Binary has no JSON form of its own: make one, at any depth.
function plain(value) {
  if (value instanceof ArrayBuffer) value = Buffer.from(value);
  if (Buffer.isBuffer(value) || ArrayBuffer.isView(value)) {
    return { binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}

function fromPlain(value) {
  if (Array.isArray(value)) return value.map(fromPlain);
  if (value && typeof value === 'object') {
    if (typeof value.binary === 'string' && Object.keys(value).length === 1) return Buffer.from(value.binary, 'base64');
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fromPlain(v)]));
  }
  return value;
}

function open({ id, url, options }) {
  const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 500, forceNew: true, ...options });
  clients.set(id, socket);
  socket.on('connect', () => say({ id, is: 'connect', sid: socket.id, recovered: socket.recovered, pid: socket._pid, transport: socket.io.engine.transport.name }));
  socket.on('connect_error', (e) => say({ id, is: 'connect_error', message: e.message, data: e.data, active: socket.active }));
  socket.on('disconnect', (reason) => say({ id, is: 'disconnect', reason }));
  socket.onAny((...args) => { if (args[0] !== 'filler') say({ id, is: 'event', args: plain(args) }); });
  socket.io.on('open', () => socket.io.engine.on('upgrade', (t) => say({ id, is: 'upgrade', transport: t.name })));
}

const proxies = new Map();

function proxy({ id, to, least, most }) {
  const some = () => least + Math.floor(Math.random() * (most - least));
  const state = { cuts: true, left: some() };
  const server = net.createServer((client) => {
    const upstream = net.connect(to, '127.0.0.1');
    const end = () => { client.destroy(); upstream.destroy(); };
    client.on('data', (bytes) => upstream.write(bytes)).on('close', end).on('error', end);
    upstream.on('close', end).on('error', end).on('data', (bytes) => {
      if (state.cuts && bytes.length >= state.left) {
        client.write(bytes.subarray(0, state.left), end);
        state.left = some();
      } else {
        client.write(bytes);
        state.left -= bytes.length;
      }
    });
  });
  proxies.set(id, state);
  server.listen(0, '127.0.0.1', () => say({ id, is: 'proxy', port: server.address().port }));
}

const ops = {
  open,
  proxy,
  spare: ({ id }) => { proxies.get(id).cuts = false; },
  emit: ({ id, args }) => clients.get(id).emit(...fromPlain(args)),
  ack: ({ id, args }) => clients.get(id).emit(...fromPlain(args), (...answer) => say({ id, is: 'ack', args: plain(answer) })),
  disconnect: ({ id }) => clients.get(id).disconnect(),
  connect: ({ id }) => clients.get(id).connect(),
  cut: ({ id }) => clients.get(id).io.engine.close(),
  pause: ({ id }) => clients.get(id).io.engine.transport.ws._socket.pause(),
  resume: ({ id }) => clients.get(id).io.engine.transport.ws._socket.resume(),
  frame: ({ id, hex }) => clients.get(id).io.engine.transport.ws.send(Buffer.from(hex, 'hex'), { binary: false }),
  sync: ({ n }) => say({ is: 'synced', n }),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  ops[command.op](command);
}).on('close', () => process.exit(0));
say({ is: 'ready' });

// driver.mjs - stock socket.io-clients under remote control.
//
// Reads commands as JSON lines on stdin, writes what happens as JSON lines on
// stdout; test/t/Rooms.pm is the other side.  One process drives any number of
// clients, each with an id of the test's choice.
//
//   {"op":"open","id":ID,"url":URL,"options":{...}}   io(url, options); "count":true: it keeps an account of
//                                                     "said" events (account.mjs), which are not reported
//   {"op":"emit","id":ID,"args":[...]}                socket.emit(...args)
//   {"op":"ack","id":ID,"args":[...]}                 ... with an acknowledgement, reported as "ack"
//   {"op":"disconnect","id":ID} {"op":"connect","id":ID}
//   {"op":"cut","id":ID}                              closes the transport as a network fault would
//   {"op":"pause","id":ID} {"op":"resume","id":ID}    does not read from its WebSocket, reads again
//   {"op":"frame","id":ID,"hex":BYTES}                one WebSocket text frame of these bytes, as they are
//   {"op":"account","id":ID,"state":[[WRITER,N],...]} what a client opened with "count" has heard, compared with that
//   {"op":"proxy","id":ID,"to":PORT,...}              passes connections on to PORT: proxy.mjs, also for
//   {"op":"spare"|"sever"|"stall"|"flow","id":ID,...}
//   {"op":"sync","n":N}                               answered with {"is":"synced","n":N}
//
//   {"id":ID,"is":"connect","sid":...,"recovered":...,"pid":...,"transport":...}
//   {"id":ID,"is":"connect_error","message":...,"data":...}
//   {"id":ID,"is":"disconnect","reason":...}
//   {"id":ID,"is":"upgrade","transport":...}
//   {"id":ID,"is":"event","args":[name,...]}          binary as {"binary":"<base64>"}; "filler" is not reported
//   {"id":ID,"is":"ack","args":[...]}
//   {"id":ID,"is":"proxy","port":PORT}
//   {"id":ID,"is":"account","events":N,"recovered":N,"refused":N,"wrong":{...},"notes":[...]}
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';
import { Account } from './account.mjs';
import { Proxy } from './proxy.mjs';

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

// Asks the handler "state" until it has answered.
async function fetchState(socket) {
  const stay = socket.account.refused;
  while (socket.connected && socket.account.refused === stay && !socket.account.fetched) {
    const answer = await socket.timeout(5000).emitWithAck('state').catch(() => undefined);
    if (Array.isArray(answer) && socket.account.refused === stay && !socket.account.fetched) socket.account.fetch(answer);
  }
}

function count(socket) {
  const account = socket.account = new Account();
  socket.on('connect', () => {
    account.connected(socket.recovered);
    if (!account.fetched) fetchState(socket);
  });
  socket.on('said', (writer, n) => account.heard(writer, n));
}

function open({ id, url, options, count: counts }) {
  const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 500, forceNew: true, ...options });
  clients.set(id, socket);
  socket.on('connect', () => say({ id, is: 'connect', sid: socket.id, recovered: socket.recovered, pid: socket._pid, transport: socket.io.engine.transport.name }));
  socket.on('connect_error', (e) => say({ id, is: 'connect_error', message: e.message, data: e.data, active: socket.active }));
  socket.on('disconnect', (reason) => say({ id, is: 'disconnect', reason }));
  if (counts) count(socket);
  socket.onAny((...args) => { if (args[0] !== 'filler' && !(counts && args[0] === 'said')) say({ id, is: 'event', args: plain(args) }); });
  socket.io.on('open', () => socket.io.engine.on('upgrade', (t) => say({ id, is: 'upgrade', transport: t.name })));
}

const proxies = new Map();

function proxy({ id, ...options }) {
  const made = new Proxy(options);
  proxies.set(id, made);
  made.listen((port) => say({ id, is: 'proxy', port }));
}

async function account({ id, state }) {
  const { account } = clients.get(id);
  if (state) {
    while (!account.fetched) await new Promise((then) => setTimeout(then, 20));
    account.compare(state);
  }
  say({ id, is: 'account', ...account.report() });
}

const ops = {
  open,
  proxy,
  spare: ({ id }) => proxies.get(id).spare(),
  sever: ({ id, ...how }) => proxies.get(id).sever(how),
  stall: ({ id }) => proxies.get(id).stall(),
  flow: ({ id }) => proxies.get(id).flow(),
  account,
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

// upgrades.mjs URL TOKEN PGHOST PGPORT COUNT - stock clients that upgrade while messages flow.
//
// COUNT clients that begin with polling, 50 of them at a time, while
// rooms.emit_all('n', 1), ('n', 2), ... commit one after another.  The stock
// client probes at once, before it has joined anything; here the probe is put
// off until it has received a few messages by polling, so that the upgrade
// falls into the stream.  Each client must see every number from the first
// that was sent after its 'connect' on, once and in order, through its upgrade
// and 20 messages beyond; then it leaves.
//
// Prints one line of JSON: the upgrades, what was lost and what came twice or
// out of order, what else went wrong, and how many upgrades had a message sent
// between their probe's answer and their end, when the gateway may use neither
// transport.
import { io, NodeWebSocket, NodeXHR } from 'socket.io-client';
import pg from 'pg';

const [url, token, host, port, count] = process.argv.slice(2);
const AT_A_TIME = 50;
const BEYOND = 20;
const database = new pg.Client({ host, port, user: process.env.PGUSER ?? 'postgres', database: 'postgres' });
await database.connect();

class LateWebSocket extends NodeWebSocket {
  doOpen() { this.opts.mayUpgrade.then(() => super.doOpen()); }
}

const result = { upgraded: 0, lost: 0, disorder: 0, faults: [], during: 0 };
const open = new Set();
let sent = 0, opened = 0, left = 0;

function openOne() {
  let upgradeAfter = 1 + opened++ % 7, beyond = BEYOND;
  let startUpgrade, sentBefore, upgraded = false, expected;
  const mayUpgrade = new Promise((resolve) => { startUpgrade = resolve; });
  const socket = io(url, { auth: { token }, forceNew: true, reconnection: false, transports: [NodeXHR, LateWebSocket], mayUpgrade });
  const leave = () => {
    if (!open.delete(socket)) return;
    socket.disconnect();
    left++;
    if (opened < count) openOne();
  };
  const fault = (what) => { result.faults.push(what); leave(); };
  open.add(socket);
  socket.io.on('open', () => {
    socket.io.engine.on('upgrading', () => { sentBefore = sent; });
    socket.io.engine.on('upgrade', () => {
      upgraded = true;
      result.upgraded++;
      if (sent > sentBefore) result.during++;
    });
  });
  // What is being sent at this moment may or may not have found the socket in.
  socket.on('connect', () => { expected = { from: 1, to: sent + 1 }; });
  socket.on('connect_error', (e) => fault(e.message));
  socket.on('disconnect', (reason) => { if (open.has(socket)) fault(reason); });
  socket.on('n', (n) => {
    if (n > expected.to) result.lost += n - expected.to;
    if (n < expected.from) result.disorder++;
    expected = { from: n + 1, to: n + 1 };
    if (--upgradeAfter === 0) startUpgrade();
    if (upgraded && --beyond === 0) leave();
  });
}

while (opened < Math.min(count, AT_A_TIME)) openOne();
while (left < count) await database.query(`SELECT rooms.emit_all('n', to_jsonb(${++sent}))`);
console.log(JSON.stringify(result));
process.exit(0);

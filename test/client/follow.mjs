// follow.mjs URL TOKEN PGHOST PGPORT SOCKETS SPREAD - sockets that follow snapshots of a table of sums.
//
// At each line on stdin every socket, at a random moment within SPREAD ms, leaves its
// tenant's room, reads the table and its position in one transaction, joins again from there,
// and then adds up what the events 'add' (key, delta) tell it: a message that is missed or comes
// twice is never made up for.  Says how many have done so: {"followed":N}.  When the event 'quiet'
// has reached them all, they compare with the table: {"wrong":[...]}, what differs.
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { io } from 'socket.io-client';
import pg from 'pg';

const [url, token, host, port, count, spread] = process.argv.slice(2);
const pool = new pg.Pool({ host, port, user: process.env.PGUSER ?? 'postgres', database: 'postgres', max: 4 });
const say = (what) => console.log(JSON.stringify(what));
const sums = (rows) => new Map(rows.map(({ key, sum }) => [key, sum]));
let followed = 0, quiet = 0;

async function read() {
  const client = await pool.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const { rows: [{ position }] } = await client.query('SELECT rooms.position()');
  const { rows } = await client.query('SELECT key, sum FROM sums');
  await client.query('COMMIT');
  client.release();
  return { position, state: sums(rows) };
}

async function follow(follower) {
  await wait(Math.random() * spread);
  await follower.socket.emitWithAck('room:leave', 'tenant:1');
  const { position, state } = await read();
  follower.state = state;
  const answer = await follower.socket.emitWithAck('room:join', 'tenant:1', { since: position });
  if (answer) say({ refused: answer, position });
  say({ followed: ++followed });
}

async function compare() {
  if (++quiet < followers.length) return;
  quiet = 0;
  const { state } = await read();
  const wrong = [];
  followers.forEach((follower, i) => {
    for (const [key, sum] of state) {
      if (follower.state.get(key) !== sum) wrong.push({ socket: i, key, has: follower.state.get(key), table: sum });
    }
  });
  say({ wrong });
}

const followers = Array.from({ length: count }, () => {
  const follower = { state: null, socket: io(url, { auth: { token }, transports: ['websocket'], forceNew: true }) };
  follower.socket.on('add', (key, delta) => follower.state?.set(key, follower.state.get(key) + delta));
  follower.socket.on('quiet', compare);
  follower.socket.on('disconnect', (reason) => { say({ disconnected: reason }); process.exit(1); });
  return follower;
});
await Promise.all(followers.map(({ socket }) => new Promise((resolve) => socket.on('connect', resolve))));
createInterface({ input: process.stdin }).on('line', () => followers.forEach(follow)).on('close', () => process.exit(0));
say({ ready: true });

// gate.mjs URL TOKEN PGHOST PGPORT - on every event 'row' asks the database for that row.
//
// Uses a connection of its own, like an application that re-queries on an
// event.  What arrives while a query runs is asked together with the next one,
// so that the question never lags far behind the event.  Says "ready" when
// connected; at the event 'end' prints {"events":N,"invisible":N} and exits.
import { io } from 'socket.io-client';
import pg from 'pg';

const [url, token, host, port] = process.argv.slice(2);
const database = new pg.Client({ host, port, user: process.env.PGUSER ?? 'postgres', database: 'postgres' });
await database.connect();

let events = 0, invisible = 0, waiting = [], asking = false, ended = false;

async function ask() {
  asking = true;
  while (waiting.length) {
    const ids = waiting;
    waiting = [];
    const { rows } = await database.query({
      name: 'ask', text: 'SELECT count(*)::int AS n FROM gate WHERE id = ANY($1::bigint[])', values: [ids],
    });
    invisible += ids.length - rows[0].n;
  }
  asking = false;
  if (ended) {
    console.log(JSON.stringify({ events, invisible }));
    process.exit(0);
  }
}

const socket = io(url, { auth: { token }, transports: ['websocket'] });
socket.on('connect', () => console.log('ready'));
socket.on('disconnect', (reason) => { console.log(`disconnected: ${reason}`); process.exit(1); });
socket.on('row', (id) => { events++; waiting.push(id); if (!asking) ask(); });
socket.on('end', () => { ended = true; if (!asking) ask(); });

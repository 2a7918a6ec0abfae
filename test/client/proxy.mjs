// proxy.mjs - a TCP proxy that fails as networks do.
//
//   least, most   cuts a connection whenever the server has sent so many bytes
//   reset         ... with RST to both sides: what client and server see of `ss -K`, which needs
//                 CAP_NET_ADMIN that tests do not have, and of firewalls
//   upgrade       cuts one in place of its client's upgrade packet
//
// Until spare() is called.  sever() and stall() are for all connections that
// there are; while it stalls, those that come are accepted and hear nothing.
import net from 'node:net';

// "5", masked, in a frame of its own.
const isUpgrade = (bytes) => bytes.length === 7 && bytes[0] === 0x81 && bytes[1] === 0x81 && (bytes[6] ^ bytes[2]) === 0x35;

export class Proxy {
  constructor({ to, least, most, reset, upgrade }) {
    Object.assign(this, { to, least, most, reset, upgrade, links: new Set(), left: Infinity, stalled: false });
    this.measure();
    this.server = net.createServer((client) => this.accept(client));
  }

  listen(then) {
    this.server.listen(0, '127.0.0.1', () => then(this.server.address().port));
  }

  measure() {
    this.left = this.most ? this.least + Math.floor(Math.random() * (this.most - this.least)) : Infinity;
  }

  accept(client) {
    const upstream = net.connect(this.to, '127.0.0.1');
    const link = { client, upstream, end: (reset) => {
      for (const socket of [client, upstream]) reset === true ? socket.resetAndDestroy() : socket.destroy();
      this.links.delete(link);
    } };
    this.links.add(link);
    if (this.stalled) client.pause();
    client.on('data', (bytes) => (this.upgrade && isUpgrade(bytes) ? link.end() : upstream.write(bytes)));
    upstream.on('data', (bytes) => this.pass(link, bytes));
    for (const socket of [client, upstream]) socket.on('close', () => link.end()).on('error', () => link.end());
  }

  pass(link, bytes) {
    if (link.over) return;
    link.over = bytes.length >= this.left;
    link.client.write(bytes.subarray(0, this.left), link.over ? () => link.end(this.reset) : undefined);
    if (link.over) this.measure();
    else this.left -= bytes.length;
  }

  spare() {
    this.left = Infinity;
    this.least = this.most = this.upgrade = undefined;
  }

  // bytes: not now, but when the server has sent that many.
  sever({ bytes, reset }) {
    if (bytes) {
      this.left = bytes;
      return;
    }
    for (const link of [...this.links]) link.end(reset);
  }

  stall() {
    this.stalled = true;
    for (const { client, upstream } of this.links) {
      client.pause();
      upstream.pause();
    }
  }

  flow() {
    this.stalled = false;
    for (const { client, upstream } of this.links) {
      client.resume();
      upstream.resume();
    }
  }
}

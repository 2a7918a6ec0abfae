// proxy.mjs - a TCP proxy that fails as networks do.
//
//   least, most   cuts a connection whenever the server has sent so many bytes
//   at            cuts one behind each piece from the server that has this text
//
// Until spare() is called.  sever() and stall() are for all connections that
// there are; while it stalls, those that come are accepted and hear nothing.
import net from 'node:net';

export class Proxy {
  constructor({ to, least, most, at }) {
    Object.assign(this, { to, least, most, at, links: new Set(), left: Infinity, stalled: false });
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
    const link = { client, upstream, end: () => { client.destroy(); upstream.destroy(); this.links.delete(link); } };
    this.links.add(link);
    if (this.stalled) client.pause();
    client.on('data', (bytes) => upstream.write(bytes)).on('close', link.end).on('error', link.end);
    upstream.on('data', (bytes) => this.pass(link, bytes)).on('close', link.end).on('error', link.end);
  }

  pass(link, bytes) {
    if (link.over) return;
    link.over = bytes.length >= this.left || (this.at && bytes.includes(this.at));
    const part = bytes.subarray(0, this.left);
    if (bytes.length >= this.left) this.measure();
    else this.left -= bytes.length;
    link.client.write(part, link.over ? link.end : undefined);
  }

  spare() {
    this.left = Infinity;
    this.least = this.most = this.at = undefined;
  }

  // bytes: not now, but when the server has sent that many; reset: with RST to
  // both sides, as `ss -K` and a firewall do it.
  sever({ bytes, reset }) {
    if (bytes) {
      this.left = bytes;
      return;
    }
    for (const { client, upstream, end } of [...this.links]) {
      if (reset) {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      }
      end();
    }
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

// account.mjs - what a counting client has heard of, and what is wrong with it.
//
// Every writer numbers what it commits 1, 2, 3 ... without a hole: who rolls
// back leaves the number to the next.  So of each writer the last number is
// enough, for runs of any length.  A message is said('said', writer, number);
// what was rolled back has a number below 1.
//
// A client that is told that it was not recovered forgets what it knew and
// fetches the state, [[writer, number], ...], while messages come already:
// between the two there must be no hole either.
export class Account {
  writers = new Map();
  events = 0;
  recovered = 0;
  refused = 0;
  fetched = false;
  wrong = { missing: 0, phantom: 0, twice: 0, disorder: 0 };
  notes = []; // the first few of them

  connected(recovered) {
    if (recovered) {
      this.recovered++;
    } else {
      this.refused++;
      this.fetched = false;
      this.writers.clear();
    }
  }

  heard(writer, n) {
    this.events++;
    if (n < 1) return this.complain('phantom', 1, writer, n);
    const w = this.writer(writer);
    const after = w.last ?? (w.state !== undefined && n > w.state ? w.state : n - 1);
    if (n <= after) return this.complain(w.holes.delete(n) ? 'disorder' : 'twice', 1, writer, n);
    for (let hole = after + 1; hole < n; hole++) w.holes.add(hole);
    if (n > after + 1) this.complain('missing', n - after - 1, writer, n);
    w.first ??= n;
    w.last = n;
  }

  // What a client reads that has been told to.
  fetch(state) {
    this.fetched = true;
    for (const [writer, n] of state) {
      const w = this.writer(writer);
      w.state = n;
      if (w.first > n + 1) this.complain('missing', w.first - n - 1, writer, w.first);
    }
  }

  // At the end, when nothing more will come: is this what it knows?
  compare(state) {
    for (const [writer, n] of state) {
      const w = this.writer(writer);
      const last = w.last ?? w.state ?? 0;
      if (last < n) this.complain('missing', n - last, writer, n);
      if (last > n) this.complain('phantom', last - n, writer, last);
    }
  }

  writer(id) {
    if (!this.writers.has(id)) this.writers.set(id, { holes: new Set() });
    return this.writers.get(id);
  }

  complain(what, count, writer, n) {
    this.wrong[what] += count;
    if (what === 'disorder') this.wrong.missing--;
    if (this.notes.length < 20) this.notes.push(`${what}: ${writer} ${n}, event ${this.events}, stay ${this.refused}.${this.recovered}`);
  }

  report() {
    const { events, recovered, refused, fetched, wrong, notes } = this;
    return { events, recovered, refused, fetched, wrong, notes };
  }
}

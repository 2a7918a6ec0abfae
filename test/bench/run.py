#!/usr/bin/env python3
"""Runs benchmark scenarios against the targets of targets.json.

  run.py SCENARIO TARGET[,TARGET...] [--runs N] [--out FILE] [options]
  run.py report FILE           one table (Markdown) of a results file's medians

README.md says what each scenario measures; bench.sh prepares everything.
"""
import argparse, contextlib, json, os, resource, signal, statistics, struct, subprocess, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ap = argparse.ArgumentParser(usage=__doc__)
ap.add_argument("scenario")
ap.add_argument("targets")
ap.add_argument("--runs", type=int, default=1)
ap.add_argument("--out", default="results.jsonl")
ap.add_argument("--bin", default=HERE, help="directory of sioload and sqlpub")
ap.add_argument("--mods", default=HERE, help="directory that holds node_modules and a copy of peers")
ap.add_argument("--bun", default="bun")
ap.add_argument("--pg", default=os.environ.get("BENCH_PG", "postgres://postgres@127.0.0.1:5432/bench"))
ap.add_argument("--port", type=int, default=4000, help="of the peers")
ap.add_argument("--rooms-port", type=int, default=8080, help="of pg_rooms")
ap.add_argument("--secret", default="bench-secret-bench-secret-bench-1")
ap.add_argument("--postmaster", type=int, default=0, help="pid; its tree's CPU is reported as aux")
ap.add_argument("--clients", default="8", help="s3: pgbench clients")
ap.add_argument("--conns", type=int, default=0)
ap.add_argument("--rate", type=float, default=0)
ap.add_argument("--secs", type=float, default=0)
ap.add_argument("--pad", type=int, default=208, help="filler bytes; 208 makes {data} about 256 bytes")
ap.add_argument("--window", type=int, default=32)
ap.add_argument("--pubs", type=int, default=4)
A = ap.parse_args()

USER = "SELECT bench_notify('user:' || {user}, 'evt', ('{data}')::json)"
TENANT = "SELECT bench_notify('tenant:' || {tenant}, 'evt', ('{data}')::json)"
SILENT = "SELECT 'user:' || {user}, 'evt', ('{data}')::jsonb"       # the same statement, but nothing is sent
UPDATE = "UPDATE bench_accts SET bal = bal + 1 WHERE id = {user}"
S5_PADS = (7000, 8000, 1000000)


def psql(q):
    return subprocess.run(["psql", "-XAtq", A.pg, "-c", q], capture_output=True, text=True, check=True).stdout.strip()


def with_children(pids):
    """These processes and all their descendants, as they are now."""
    parent = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open(f"/proc/{d}/stat") as f:
                    parent[int(d)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                pass        # it has just ended
    found = set(pids)
    while True:
        more = {p for p, pp in parent.items() if pp in found} - found
        if not more:
            return sorted(found)
        found |= more


@contextlib.contextmanager
def server(name, t):
    """Starts a peer, or finds pg_rooms, and yields (port, [pids])."""
    if "cmd" not in t:
        yield A.rooms_port, with_children([int(x) for x in psql(t["pid_sql"]).split()])
        return
    env = dict(os.environ, PORT=str(A.port), JWT_SECRET=A.secret, PGURL=A.pg, NODE_ENV="production", RECOVERY="1" if A.scenario == "s7" else "")
    p = subprocess.Popen([A.bun if c == "bun" else c for c in t["cmd"]], cwd=A.mods, env=env, stdout=subprocess.PIPE, text=True)
    try:
        while True:
            line = p.stdout.readline()
            if not line:
                raise SystemExit(f"{name}: the server did not start")
            if line.startswith('{"up"'):
                break
        yield A.port, with_children([json.loads(line)["pid"]])
    finally:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


class Load:
    """One sioload process and its control file."""
    def __init__(self, t, port, pids, conns, tmp, **kw):
        self.ctl = os.path.join(tmp, "ctl")
        with open(self.ctl, "wb") as f:
            f.write(b"\0" * 64)
        cmd = [A.bin + "/sioload", "--port", str(port), "--conns", str(conns), "--jwt-secret", A.secret,
               "--control", self.ctl, "--settle", "1", "--server-pid", ",".join(map(str, pids))]
        if t["mode"] == "raw":
            cmd += ["--raw"]
        if A.postmaster:
            cmd += ["--aux-pid", str(A.postmaster)]
        for k, v in kw.items():
            cmd += ["--" + k.replace("_", "-")] + ([] if v is True else [str(v)])
        self.p = subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True)

    def expect(self, n):
        with open(self.ctl, "r+b") as f:
            f.seek(24)
            f.write(struct.pack("<Q", n))

    def phase(self, n):
        with open(self.ctl, "r+b") as f:
            f.seek(40)
            f.write(struct.pack("<Q", n))

    def wait_ready(self):
        self.wait_until(8, 1)

    def wait_received(self, n):
        self.wait_until(16, n)

    def wait_until(self, offset, least):
        while self.p.poll() is None:
            with open(self.ctl, "rb") as f:
                if struct.unpack_from("<Q", f.read(64), offset)[0] >= least:
                    return
            time.sleep(0.02)

    def result(self):
        out = self.p.communicate(timeout=180)[0]
        return json.loads(out.strip().splitlines()[-1])


def publish(t, load, *, count, tenant=False, rate=0, users=0, window=0, fanout=1, pre=False, conns=4, limit=60, pad=None, commit=None):
    sql = t.get("sql_tenant", TENANT) if tenant else t.get("sql_user", USER)
    cmd = [A.bin + "/sqlpub", "--conninfo", A.pg, "--sql", sql, "--count", str(count), "--rate", str(rate), "--conns", str(conns),
           "--users", str(users), "--pad", str(A.pad if pad is None else pad), "--window", str(window), "--fanout", str(fanout),
           "--control", load.ctl, "--limit", str(limit)]
    if pre:
        cmd += ["--pre", UPDATE]
    if commit:
        cmd += ["--commit-file", commit]
    r = subprocess.run(cmd, capture_output=True, text=True)
    try:
        j = json.loads(r.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        j = {"error": True}
    if r.stderr:
        j["stderr"] = r.stderr.strip()[-300:]
    return j


def pgbench(script, clients, secs, tmp):
    fn = os.path.join(tmp, "script.sql")
    with open(fn, "w") as f:
        f.write(script)
    r = subprocess.run(["pgbench", "-n", "-f", fn, "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(secs), A.pg],
                       capture_output=True, text=True)
    out = {}
    for line in r.stdout.splitlines():
        if line.startswith("number of transactions actually processed"):
            out["tx"] = int(line.split(":")[1].split("/")[0])
        if line.startswith("number of failed transactions"):
            out["failed"] = int(line.split(":")[1].split("(")[0])
        if line.startswith("tps ="):
            out["tps"] = float(line.split()[2])
    if "tx" not in out or "tps" not in out:
        raise SystemExit(f"pgbench: {r.stderr.strip()[-500:]}")
    return out


def s3_script(users, sql):
    # {data} becomes an expression with the server's clock, inside the template's ('{data}')
    data = "{\"t\":' || (extract(epoch from clock_timestamp()) * 1000000)::bigint || ',\"p\":\"" + "x" * A.pad + "\"}"
    s = f"\\set id random(1, {users})\nBEGIN;\n" + UPDATE.replace("{user}", ":id") + ";\n"
    if sql:
        s += sql.replace("{user}", ":id").replace("{data}", data) + ";\n"
    return s + "COMMIT;\n"


def update_and_notify(t, users, clients, secs, tmp):
    """pgbench with the UPDATE alone, with one more statement, and with that
    statement sending; twice in turn, so that the disk's drift hits all alike."""
    variants = {"plain": None, "silent": SILENT, "notify": t.get("sql_user", USER)}
    got = {k: [] for k in variants}
    for k, sql in 2 * list(variants.items()):
        got[k].append(pgbench(s3_script(users, sql), clients, secs, tmp))
    tps = {k: statistics.mean(r["tps"] for r in got[k]) for k in variants}
    return {"tps": tps["notify"], "of_plain": tps["notify"] / tps["plain"], "of_silent": tps["notify"] / tps["silent"],
            "tx": sum(r["tx"] for r in got["notify"])}


def cpu_s(pids):
    """CPU seconds of these processes so far; of one that has ended: 0."""
    total = 0
    for p in pids:
        with contextlib.suppress(OSError), open(f"/proc/{p}/stat") as f:
            total += sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def memory_kib(pids, key):
    total = 0
    for p in pids:
        with contextlib.suppress(OSError), open(f"/proc/{p}/status") as f:
            total += next((int(line.split()[1]) for line in f if line.startswith(key + ":")), 0)
    return total


def set_recovery(window):
    psql(f"ALTER SYSTEM SET pg_rooms.recovery_window = '{window}'")
    psql("SELECT pg_reload_conf()")
    time.sleep(1)       # the gateway follows at once


def stat(name):
    return int(psql(f"SELECT value FROM rooms.stats WHERE name = '{name}'"))


def come_back(t, l, pids, how, n, missed):
    """All clients lose their connection, miss some messages and come back at once."""
    ours = "pid_sql" in t
    l.wait_ready()
    more = 2 * n * missed   # than there will be: the end is told below
    publish(t, l, count=1, tenant=True, conns=1, fanout=more)   # Socket.IO recovers nobody who had no event yet
    l.wait_received(n)
    before, memory = cpu_s(pids), memory_kib(pids, "VmRSS")
    ring = stat("history_bytes") if ours else 0
    if how == "kill":
        l.phase(2)
        gateway = int(psql("SELECT pid FROM rooms.processes WHERE role = 'gateway'"))
        os.kill(gateway, signal.SIGKILL)
        before = cpu_s(p for p in pids if p != gateway)
    else:
        l.phase(1)
        time.sleep(1)   # the server has noticed
        before = cpu_s(pids)
    publish(t, l, count=missed, tenant=True, conns=1, fanout=more)
    published = cpu_s(pids) - before if how == "drop" else 0
    l.expect(n * (missed + 1))
    l.phase(2)
    r = l.result()
    now = [int(x) for x in psql(t["pid_sql"]).split()] if ours else pids
    used = cpu_s(now) - before - published
    kept = {"ring_bytes_per_msg": (stat("history_bytes") - ring) / missed} if ours and how == "drop" else {}
    return dict(r, how=how, cpu_us_per_client=used * 1e6 / n, growth=memory_kib(now, "VmHWM") / memory, **kept)


def scenario(name, t, tmp):
    s = A.scenario
    with server(name, t) as (port, pids):
        mk = lambda conns, **kw: Load(t, port, pids, conns, tmp, label=f"{s}:{name}", **kw)
        if s == "s1":       # latency at a low rate
            n, secs, rate = A.conns or 100, A.secs or 15, A.rate or 200
            cf = os.path.join(tmp, "commits")
            with open(cf, "wb") as f:
                f.truncate(int(rate * secs) * 16)
            l = mk(n, seq="global", duration=secs + 30, commit_file=cf)
            p = publish(t, l, count=int(rate * secs), rate=rate, users=n, pre=True, conns=2, commit=cf, limit=secs + 20)
            return [dict(l.result(), pub=p)]
        if s == "s2":       # fan-out, closed loop
            n, secs = A.conns or 1000, A.secs or 8
            l = mk(n, seq="conn", duration=secs + 40)
            p = publish(t, l, count=10**9, tenant=True, window=A.window, fanout=n, conns=A.pubs, limit=secs)
            return [dict(l.result(), pub=p, window=A.window)]
        if s == "s2b":      # fan-out at a fixed rate: latency while the server is not full
            n, secs, rate = A.conns or 1000, A.secs or 8, A.rate or 20
            l = mk(n, seq="conn", duration=secs + 40)
            p = publish(t, l, count=int(rate * secs), rate=rate, tenant=True, fanout=n, conns=A.pubs, limit=secs + 10)
            return [dict(l.result(), pub=p, rate=rate)]
        if s == "s3":       # many rooms; what notify costs the writers
            n, secs, out = A.conns or 2000, A.secs or 4, []
            for c in map(int, A.clients.split(",")):
                l = mk(n, duration=6 * secs + 60)
                l.wait_ready()
                p = update_and_notify(t, n, c, int(secs), tmp)
                l.expect(p["tx"])
                out.append(dict(l.result(), clients=c, pub=p))
            return out
        if s == "s4":       # idle memory, connection rate
            return [mk(A.conns or 10000, duration=A.secs or 2).result()]
        if s == "s5":       # payload sizes
            out = []
            for pad in S5_PADS:
                l = mk(1, seq="global", duration=6)
                p = publish(t, l, count=10, users=1, pre=True, conns=1, pad=pad, limit=5)
                if p.get("failed") or p.get("error"):
                    l.expect(1)         # refused: nothing will come
                out.append(dict(l.result(), pad=pad, pub=p))
            return out
        if s == "s6":       # events of clients, each with a query and an acknowledgement
            if t["mode"] == "raw":
                return []       # it has no acknowledgements
            r = mk(A.conns or 100, duration=A.secs or 8, ask='["work",{i}]').result()
            # PostgreSQL's processes but the server's own are "aux"
            all_cpu = r["server"]["cpu_us_per_msg"] + r.get("aux_cpu_run_s", 0) * 1e6 / max(r["received"], 1)
            return [dict(r, all_cpu_us_per_msg=all_cpu)]
        if s == "s7":       # all come back at once; and what recovery costs while nobody is away
            if t["mode"] == "raw":
                return []
            n, missed, out, ours = A.conns or 10000, 20, [], "pid_sql" in t
            for how in ("drop", "kill") if ours else ("drop",):
                if ours:
                    set_recovery("10min")
                    pids = with_children([int(x) for x in psql(t["pid_sql"]).split()])
                out.append(come_back(t, mk(n, duration=120, quiet=30, recover=True, inflight=1000), pids, how, n, missed))
            for on in (False, True, False, True) if ours else ():
                set_recovery("10min" if on else "0")
                pids = with_children([int(x) for x in psql(t["pid_sql"]).split()])
                l = mk(1000, seq="conn", duration=50)
                publish(t, l, count=10**9, tenant=True, window=A.window, fanout=1000, conns=A.pubs, limit=5)
                out.append(dict(l.result(), how="on" if on else "off"))
            if ours:
                psql("ALTER SYSTEM RESET pg_rooms.recovery_window")
                psql("SELECT pg_reload_conf()")
            return out
        raise SystemExit("unknown scenario")


# ---- the report ----

def value(r, path):
    for p in path.split("/"):
        r = r.get(p) if isinstance(r, dict) else None
    return r if isinstance(r, (int, float)) else None


def number(v):
    return f"{v:,.0f}" if abs(v) >= 100 else f"{v:.3g}"


# scenario, what the row says, path of the value, factor, further condition
ROWS = (
    ("s1", "one message to one user, 200/s: server CPU per message, µs", "server/cpu_us_per_msg", 1, {}),
    ("s1", "... from COMMIT's answer to the client, p50, µs", "lat_from_commit_ack_us/p50", 1, {}),
    ("s1", "... p99, µs", "lat_from_commit_ack_us/p99", 1, {}),
    ("s2", "1000 clients in a room, flat out: server CPU per delivery, µs", "server/cpu_us_per_msg", 1, {}),
    ("s2", "... deliveries per second", "msgs_per_s", 1, {}),
    ("s2b", "the same room, 20 messages/s: server CPU per delivery, µs", "server/cpu_us_per_msg", 1, {}),
    ("s2b", "... BEGIN to the client, p50, ms", "lat_us/p50", 0.001, {}),
    ("s2b", "... p99, ms", "lat_us/p99", 0.001, {}),
    ("s3", "UPDATE + notify, 8 writers, fsync on: transactions/s", "pub/tps", 1, {"clients": 8}),
    ("s3", "... as a share of UPDATE alone", "pub/of_plain", 1, {"clients": 8}),
    ("s3", "... as a share of UPDATE and a SELECT of the same data", "pub/of_silent", 1, {"clients": 8}),
    ("s4", "{conns:,} idle connections: memory of each, KiB", "server/kib_per_conn_pss", 1, {}),
    ("s4", "... handshakes with a token per second", "conn_per_s", 1, {}),
    ("s4", "... server CPU per handshake, µs", "server/cpu_us_per_conn", 1, {}),
    ("s5", "a message of 8 kB: BEGIN to the client, p50, ms", "lat_us/p50", 0.001, {"pad": 8000}),
    ("s5", "a message of 1 MB: BEGIN to the client, p50, ms", "lat_us/p50", 0.001, {"pad": 1000000}),
    ("s6", "100 clients' events, each a query and an acknowledgement: events/s", "msgs_per_s", 1, {}),
    ("s6", "... server CPU per event, µs", "server/cpu_us_per_msg", 1, {}),
    ("s6", "... with PostgreSQL's, µs", "all_cpu_us_per_msg", 1, {}),
    ("s6", "... event to acknowledgement, p50, ms", "lat_us/p50", 0.001, {}),
    ("s7", "{back:,} clients at once after a network drop, each missed 20 messages: recovered after, s", "back_s", 1, {"how": "drop"}),
    ("s7", "... server CPU per client, µs", "cpu_us_per_client", 1, {"how": "drop"}),
    ("s7", "... highest memory, times that of before", "growth", 1, {"how": "drop"}),
    ("s7", "... memory of a message that is kept, bytes", "ring_bytes_per_msg", 1, {"how": "drop"}),
    ("s7", "the same after the gateway was killed: recovered after, s", "back_s", 1, {"how": "kill"}),
    ("s7", "... server CPU per client, µs", "cpu_us_per_client", 1, {"how": "kill"}),
    ("s7", "the room of s2 with recovery: server CPU per delivery, µs", "server/cpu_us_per_msg", 1, {"how": "on"}),
    ("s7", "... without", "server/cpu_us_per_msg", 1, {"how": "off"}),
)


def report(fn):
    """Prints the table; gives the number of results with lost or repeated messages."""
    results = [json.loads(line) for line in open(fn)]
    targets = json.load(open(HERE + "/targets.json"))
    names = [n for n in targets if any(r["label"].split(":")[1] == n for r in results)]
    print("| | " + " | ".join(targets[n]["name"] for n in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    idle = max((r["conns"] for r in results if r["label"].startswith("s4:")), default=0)
    back = max((r["conns"] for r in results if r["label"].startswith("s7:")), default=0)
    for s, what, path, factor, condition in ROWS:
        cells = []
        for n in names:
            rs = [r for r in results if r["label"] == f"{s}:{n}" and all(r.get(k) == v for k, v in condition.items())]
            v = [value(r, path) for r in rs if r.get("received") or s == "s4"]
            v = [x * factor for x in v if x is not None]
            # A server that lives on has the memory of the run before: the first one counts.
            middle = max if "kib_per_conn" in path else statistics.median
            cells.append(number(middle(v)) if v else "refused" if rs and s == "s5" else "-")
        if any(c != "-" for c in cells):
            print(f"| {what.format(conns=idle, back=back)} | " + " | ".join(cells) + " |")
    wrong = [r for r in results if r.get("ready") != r.get("conns") or r.get("missing") or r.get("dup") or r.get("closed_in_run")
             or (r["label"].startswith("s3:") and r["received"] != r["pub"]["tx"])
             or ("recovered" in r and (r["recovered"] != r["conns"] or r["per_conn_min"] * r["conns"] != r["expected"] or r["per_conn_max"] * r["conns"] != r["expected"]))]
    for r in wrong:
        print("\nlost, repeated or closed:", {k: r.get(k) for k in ("label", "conns", "ready", "received", "expected", "missing", "dup", "closed_in_run", "recovered")})
    return len(wrong)


def main():
    if A.scenario == "report":
        raise SystemExit(1 if report(A.targets) else 0)
    # peers and load client inherit the limit; sioload raises its own as far as it may
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    targets = json.load(open(HERE + "/targets.json"))
    for run in range(A.runs):
        for name in A.targets.split(","):
            with tempfile.TemporaryDirectory() as tmp:
                rs = scenario(name, targets[name], tmp)
            with open(A.out, "a") as f:
                for r in rs:
                    f.write(json.dumps(dict(r, run=run)) + "\n")
                    s = r.get("server", {})
                    print(r["label"], {k: r[k] for k in ("how", "conns", "received", "missing", "dup", "msgs_per_s", "conn_per_s", "pad",
                                               "recovered", "back_s", "cpu_us_per_client", "growth", "ring_bytes_per_msg") if r.get(k)},
                          {k: s[k] for k in ("cpu_us_per_msg", "cpu_us_per_conn", "kib_per_conn_pss") if k in s},
                          {k: r["lat_us"][k] for k in ("p50", "p99", "max")} if r.get("lat_us") else "", r.get("pub", ""), flush=True)


main()

# Random kill test: while 8 writers commit in every way and roll back, every
# few seconds something dies: a client's link, the gateway, the worker, a
# backend, the server.  At the end each client knows exactly what was
# committed; where it was not recovered it was told so, and fetched the state.
#
# With SOAK=1 it is the soak test: the server lives, so that its memory can be
# watched, while clients also come and go and do not read; only the gateway or
# a backend is killed now and then.
#
#   MINUTES=n   how long (2)
#   SEED=n      repeats the choices of a run: what dies, how, after what pause
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);

my $minutes = $ENV{MINUTES} || 2;
my $soak = $ENV{SOAK};
my $seed = $ENV{SEED} // 1 + int(rand(1_000_000));
note("begins with seed $seed");

# Of its own: nobody else draws from it.
my $random = $seed % 2**31;
sub choose { my ($n) = @_; $random = ($random * 1103515245 + 12345) % 2**31; return int($random / 256) % $n }
sub pick { return $_[choose(scalar @_)] }

my $writers = 8;
my $conf = <<'CONF';
restart_after_crash = on
max_prepared_transactions = 20
pg_rooms.recovery_window = '2min'
pg_rooms.ping_interval = '2s'
pg_rooms.ping_timeout = '3s'
CONF
# A history that is full soon, and a cap that is soon reached.
$conf .= <<'CONF' if $soak;
pg_rooms.history_size = '32MB'
pg_rooms.max_queued = '256kB'
CONF
my $rooms = Rooms->new('main', handlers => 1, conf => $conf);
my $node = $rooms->node;

# Row 0 is everybody's, so its numbers show the order among writers; 101 to 108
# are for what stays prepared for a while.
$rooms->sql(<<"SQL");
CREATE TABLE writer (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO writer (id) SELECT generate_series(0, $writers) UNION ALL SELECT 100 + generate_series(1, $writers);
CREATE FUNCTION say(w int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE m int;
BEGIN
	UPDATE writer SET n = n + 1 WHERE id = w RETURNING n INTO m;
	BEGIN
		PERFORM rooms.emit_all('said', to_jsonb(w), to_jsonb(-m));
		RAISE 'rolled back to here';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	IF m % 2 = 0 THEN
		PERFORM rooms.emit_all('said', to_jsonb(w), to_jsonb(m));
	ELSE
		PERFORM rooms.emit('tenant:1', 'said', to_jsonb(w), to_jsonb(m));
	END IF;
END \$\$;
CREATE FUNCTION state(e rooms.event) RETURNS jsonb LANGUAGE sql AS 'SELECT jsonb_agg(jsonb_build_array(id, n)) FROM writer';
GRANT SELECT ON writer TO gateway;
SELECT rooms.on_event('state', 'state');
SQL
my $script = PostgreSQL::Test::Utils::tempdir() . '/say.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set fate random(0, 11)
\set id :client_id + 1
\set later :id + 100
\if :fate = 0
BEGIN;
SELECT say(:id);
ROLLBACK;
\elif :fate = 1
BEGIN;
SET LOCAL synchronous_commit = off;
SELECT say(:id);
COMMIT;
\elif :fate = 2
BEGIN;
SELECT say(:id), say(0);
PREPARE TRANSACTION 'now:id';
COMMIT PREPARED 'now:id';
\elif :fate = 3
BEGIN;
SELECT say(:id);
PREPARE TRANSACTION 'now:id';
ROLLBACK PREPARED 'now:id';
\elif :fate = 4
BEGIN;
SELECT say(:later);
PREPARE TRANSACTION 'later:id';
SELECT say(:id);
SELECT say(:id);
SELECT say(0);
COMMIT PREPARED 'later:id';
\elif :fate = 5
BEGIN;
SELECT say(:id);
SAVEPOINT a;
SELECT rooms.emit_all('said', to_jsonb(:id), '-1');
SAVEPOINT b;
SELECT rooms.emit_all('said', to_jsonb(:id), '-1');
ROLLBACK TO a;
SELECT say(:id);
COMMIT;
\elif :fate = 6
BEGIN;
SELECT say(:id) FROM generate_series(1, 20);
SELECT say(0);
COMMIT;
\else
SELECT say(:id);
\endif
SQL

my ($pgbench, @outputs);

# What a crash left prepared is decided now, or when the writers have to be
# started again; $fate 0: all of it is committed now.
my $fate = 1;

sub decide
{
	for my $gid (split /\n/, $rooms->sql('SELECT gid FROM pg_prepared_xacts ORDER BY gid'))
	{
		my $how = ('COMMIT', 'ROLLBACK', '')[$fate && $fate++ % 3];
		$rooms->sql("$how PREPARED '$gid'") if $how;
	}
}

# pgbench gives up when the server has ended its connections.
sub keep_writing
{
	$pgbench->pump_nb if $pgbench && $pgbench->pumpable;
	return if $pgbench && $pgbench->pumpable;
	$pgbench->finish if $pgbench;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	decide();
	push @outputs, \my $text;
	local $ENV{PGAPPNAME} = 'pgbench';		# PostgreSQL::Test has made it the test's name
	$pgbench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $writers, '-T', 3600 * 24, '-R', 200, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', \$text);
}

# ---- clients, each behind a proxy of its own ----
sub client
{
	my ($sub, @transports) = @_;
	my $proxy = $rooms->proxy;
	my $client = $rooms->client(claims => { sub => $sub, tenant_id => 1 }, transports => \@transports, url => $proxy->{url}, count => 1);
	$client->{name} = join(' and ', @transports) . " $sub";
	$client->{proxy} = $proxy;
	return $client;
}
my @clients = map { my $sub = $_; map { client($sub, @$_) } [ 'websocket' ], [ 'polling' ], [ 'polling', 'websocket' ] } 1, 2;
my @slow = $soak ? map { client('slow', $_) } 'websocket', 'polling' : ();
my @visitors = $soak ? map { client('visitor', $_ % 2 ? 'websocket' : 'polling') } 1 .. 10 : ();
my @all = (@clients, @slow, @visitors);
$_->wait_for('connect') for @all;

# Visitors come and go all the time: one of them, 20 times a second.
my $visited = 0;

sub visit
{
	return if !@visitors || time < $visited + 0.05;
	$visited = time;
	my $visitor = $visitors[rand @visitors];
	$visitor->{away} = !$visitor->{away};
	$visitor->{away} ? $visitor->disconnect : $visitor->connect;
	$_->{seen} = [] for @all;
}

# ---- what dies ----
my (@stalled, @stopped);
my %kill = (
	link => sub {
		my $client = pick(@clients);
		my $how = pick('cut', 'reset', 'later', 'stall');
		my $bytes = 1 + choose(3000);
		if ($how eq 'stall') { push @stalled, $client; $client->{proxy}->do('stall') }
		else { $client->{proxy}->do('sever', $how eq 'reset' ? (reset => 1) : $how eq 'later' ? (bytes => $bytes) : ()) }
		return "$client->{name} $how";
	},
	gateway => sub { return end_process('gateway', pick('KILL', 'SEGV', 'TERM', 'STOP')) },
	worker => sub { return end_process('worker', pick('TERM', 'KILL')) },
	backend => sub {
		my $which = choose($writers);
		my $writing = q{FROM pg_stat_activity WHERE application_name = 'pgbench' AND query ~ 'say|PREPARED|COMMIT'};
		my @pids = split /\n/, $rooms->sql("SELECT pid $writing ORDER BY pid");
		kill 'KILL', $pids[$which % @pids] if @pids;
		return @pids ? 'KILL' : 'none';
	},
	server => sub {
		my $mode = pick('immediate', 'immediate', 'fast');
		$node->stop($mode);
		$node->start;
		return $mode;
	},
	# More than the kernel takes for a reader that has stalled, and the cap.
	slow => sub {
		my $client = pick(@slow);
		push @stalled, $client;
		$client->{proxy}->do('stall');
		$rooms->sql(q{SELECT rooms.emit('user:slow', 'filler', to_jsonb(repeat('x', 900000))) FROM generate_series(1, 14)});
		return $client->{name};
	},
	# The backends of handlers and those that write; keep_writing starts writers again.  Some may just be connecting.
	sessions => sub {
		my $end = q{SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity WHERE application_name };
		$rooms->sql("$end <> 'pgbench' AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
		$node->poll_query_until('postgres', "$end = 'pgbench'") or die 'a backend stays';
		return 'TERM';
	});
my @kinds = $soak ? ('link', 'slow', 'sessions') : ('link', 'link', grep { !/slow|sessions/ } sort keys %kill);

sub end_process
{
	my ($role, $signal) = @_;
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM rooms.processes WHERE role = '$role')") or die "no $role";
	my $pid = $rooms->sql("SELECT pid FROM rooms.processes WHERE role = '$role'");
	kill $signal, $pid if $pid;
	push @stopped, $pid if $pid && $signal eq 'STOP';
	return $signal;
}

# ---- the soak test's memory: the most that each worker and gateway had in its warm-up, and after ----
my $life = $minutes * 20;    # so many seconds a gateway lives, half of them its warm-up
my $bound = 16 << 10;        # kB that it may grow by after that
my (%memory, $sampled);
my $begin = time;

sub sample
{
	return if !$soak || time < ($sampled // 0) + 1;
	$sampled = time;
	# Fails while the server comes back.
	my (undef, $rows) = $node->psql('postgres', "SELECT role, pid, value FROM rooms.processes, rooms.stats WHERE name = 'disconnect_slow'");
	for (split /\n/, $rows // '')
	{
		my ($role, $pid, $slow) = split /\|/;
		my ($kb) = eval { PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") } =~ /VmRSS:\s*(\d+)/ or next;
		my $process = $memory{"$role $pid"} //= { since => time, early => 0, late => 0, seconds => 0 };
		my $when = time < $process->{since} + $life / 2 ? 'early' : 'late';
		$process->{$when} = $kb if $kb > $process->{$when};
		$process->{seconds} = time - $process->{since};
		$process->{slow} = $slow if $role eq 'gateway';
	}
}

# What dies next: in the soak test a life's first faults fill the history, and its last is the gateway's or a backend's.
my ($lives, $slows) = (0, 0);

sub next_kind
{
	if ($soak && time >= $begin + $life * ($lives + 1))
	{
		$slows = 0;
		return $lives++ % 2 ? 'backend' : 'gateway';
	}
	return $soak && $slows++ < 5 ? 'slow' : pick(@kinds);
}

my (%killed, @faults);
keep_writing();
while (time < $begin + 60 * $minutes)
{
	my $what = next_kind();
	my $until = time + 0.1 + choose(4000) / 1000;
	$fate = 1 + choose(3);
	while (time < $until)
	{
		$clients[0]{driver}->pump(time + 0.05);
		visit();
		sample();
	}
	$_->{proxy}->do('flow') for splice @stalled;
	kill 'CONT', $_ for splice @stopped;
	keep_writing();
	my $how = $kill{$what}->();
	$killed{$what}++;
	push @faults, sprintf('%.1f s: %s %s', time - $begin, $what, $how);
	note($faults[-1]);
}

# ---- the account ----
for my $client (@all) { $client->{proxy}->do($_) for 'spare', 'flow' }
$_->connect for grep { $_->{away} } @visitors;
$node->poll_query_until('postgres', 'SELECT true') or die;
kill 'CONT', $_ for @stopped;
$pgbench->signal('INT') if $pgbench->pumpable;
$pgbench->finish;
$fate = 0;
decide();
$rooms->sql("SELECT say($_)") for split /\n/, $rooms->sql('SELECT id FROM writer ORDER BY id');
$rooms->wait_until_serving;
my $state = $Rooms::JSON->decode($rooms->sql('SELECT jsonb_agg(jsonb_build_array(id, n)) FROM writer'));
my ($recovered, $refused) = (0, 0);
for my $client (@all)
{
	# Who has not come back yet, and is not recovered, needs another last word.
	my $seen = { is => 'connect' };
	until ($seen->{is} eq 'event' && $seen->{args}[0] eq 'end')
	{
		$rooms->sql("SELECT rooms.emit('tenant:1', 'end')") if $seen->{is} eq 'connect';
		$seen = $client->wait_for(sub { $_[0]{is} =~ /^(event|connect)$/ });
	}
	my $account = $client->account($state);
	is_deeply($account->{wrong}, { missing => 0, phantom => 0, twice => 0, disorder => 0 },
		"$client->{name}: $account->{events} messages, recovered $account->{recovered} times, told that it was not $account->{refused} times: all, once, in order")
		or diag(join "\n", @{ $account->{notes} });
	next if $client->{name} =~ /slow|visitor/;
	$recovered += $account->{recovered};
	$refused += $account->{refused};
}
# The soak test's history is short of what a slow reader is sent, so that there many are refused.
cmp_ok($recovered, '>', $refused, 'clients mostly recover') if !$soak;
my @errors = map { /^(.*ERROR:.*)$/mg } map { $$_ // '' } @outputs;
is_deeply(\@errors, [], 'no writer was refused anything');
my @panics = grep { /PANIC|TRAP:/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
is_deeply(\@panics, [], 'nothing fell that was not pushed');
if ($soak)
{
	my $slow = 0;
	for my $name (sort { $memory{$a}{since} <=> $memory{$b}{since} } keys %memory)
	{
		my $process = $memory{$name};
		$slow += $process->{slow} // 0;
		diag(sprintf 'soak: %s: %.0f s, at most %d kB in its warm-up and %d kB after', $name, @$process{qw(seconds early late)});
		cmp_ok($process->{late} - $process->{early}, '<=', $bound, "$name has not grown") if $process->{late};
	}
	cmp_ok($slow, '>', 0, "readers that stalled were disconnected: $slow");
	my %watched = map { $memory{$_}{late} ? (s/ .*//r => 1) : () } keys %memory;
	is_deeply(\%watched, { worker => 1, gateway => 1 }, 'the memory of both was watched');
}
note("seed $seed: " . @faults . ' faults (' . join(', ', map { "$killed{$_} $_" } sort keys %killed) . "), $recovered recovered, $refused not");
diag("SEED=$seed", @faults ? "\n" . join("\n", @faults) : '') if !Test::More->builder->is_passing;
done_testing();

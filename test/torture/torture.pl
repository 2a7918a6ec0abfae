# Random kill test: while 8 writers commit in every way and roll back, every
# few seconds something dies: a client's link, the gateway, the worker, a
# backend, the server.  At the end each client knows exactly what was
# committed; where it was not recovered it was told so, and fetched the state.
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
my $seed = $ENV{SEED} // 1 + int(rand(1_000_000));
note("begins with seed $seed");

# Of its own: nobody else draws from it.
my $random = $seed % 2**31;
sub choose { my ($n) = @_; $random = ($random * 1103515245 + 12345) % 2**31; return int($random / 256) % $n }
sub pick { return $_[choose(scalar @_)] }

my $writers = 8;
my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
restart_after_crash = on
max_prepared_transactions = 20
pg_rooms.recovery_window = '2min'
pg_rooms.ping_interval = '2s'
pg_rooms.ping_timeout = '3s'
CONF
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
	$pgbench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $writers, '-T', 3600 * 24, '-R', 200, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', \$text);
}

# ---- clients, each behind a proxy of its own ----
my @clients;
for my $transports ([ 'websocket' ], [ 'polling' ], [ 'polling', 'websocket' ])
{
	for (1, 2)
	{
		my $proxy = $rooms->proxy;
		my $client = $rooms->client(claims => { sub => "$_", tenant_id => 1 }, transports => $transports, url => $proxy->{url}, count => 1);
		$client->{name} = join(' and ', @$transports) . " $_";
		$client->{proxy} = $proxy;
		push @clients, $client;
	}
}
$_->wait_for('connect') for @clients;

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
		my $pid = $rooms->sql("SELECT pid FROM pg_stat_activity WHERE query ~ 'say|PREPARED|COMMIT' AND pid <> pg_backend_pid() ORDER BY pid OFFSET $which LIMIT 1");
		kill 'KILL', $pid if $pid;
		return $pid || 'none';
	},
	server => sub {
		my $mode = pick('immediate', 'immediate', 'fast');
		$node->stop($mode);
		$node->start;
		return $mode;
	});

sub end_process
{
	my ($role, $signal) = @_;
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM rooms.processes WHERE role = '$role')") or die "no $role";
	my $pid = $rooms->sql("SELECT pid FROM rooms.processes WHERE role = '$role'");
	kill $signal, $pid if $pid;
	push @stopped, $pid if $pid && $signal eq 'STOP';
	return $signal;
}

my (%killed, @faults);
my $begin = time;
keep_writing();
while (time < $begin + 60 * $minutes)
{
	my $what = pick('link', 'link', sort keys %kill);
	my $until = time + 0.1 + choose(4000) / 1000;
	$fate = 1 + choose(3);
	while (time < $until) { $clients[0]{driver}->pump(time + 0.05) }
	$_->{proxy}->do('flow') for splice @stalled;
	kill 'CONT', $_ for splice @stopped;
	keep_writing();
	my $how = $kill{$what}->();
	$killed{$what}++;
	push @faults, sprintf('%.1f s: %s %s', time - $begin, $what, $how);
	note($faults[-1]);
}

# ---- the account ----
for my $client (@clients) { $client->{proxy}->do($_) for 'spare', 'flow' }
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
for my $client (@clients)
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
	$recovered += $account->{recovered};
	$refused += $account->{refused};
}
cmp_ok($recovered, '>', $refused, 'clients mostly recover');
my @errors = map { /^(.*ERROR:.*)$/mg } map { $$_ // '' } @outputs;
is_deeply(\@errors, [], 'no writer was refused anything');
my @panics = grep { /PANIC|TRAP:/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
is_deeply(\@panics, [], 'nothing fell that was not pushed');
note("seed $seed: " . @faults . ' faults (' . join(', ', map { "$killed{$_} $_" } sort keys %killed) . "), $recovered recovered, $refused not");
diag("SEED=$seed", @faults ? "\n" . join("\n", @faults) : '') if !Test::More->builder->is_passing;
done_testing();

# What the worker tells a new gateway of the past: every message that was
# committed within the window comes once and in order, as HISTORY up to where
# MESSAGE goes on, whatever has died; and where that cannot be, it says so.
use strict;
use warnings;
use Rooms;
use FakeGateway;
use IPC::Run ();
use Test::More;

my $rooms = FakeGateway->new('main', init => { allows_streaming => 1 }, conf => <<'CONF');
pg_rooms.recovery_window = '1h'
restart_after_crash = on
max_prepared_transactions = 10
wal_keep_size = '1GB'
CONF
my $node = $rooms->node;

sub of { return FakeGateway::of(@_) }
sub packets { return map { $_->{packet} } grep { $_->{what} =~ /^(history|message)$/ } @_ }

# Each message once, in order; the history first.  Gives what is wrong.
sub disorder
{
	my @said = grep { $_->{what} =~ /^(history|message)$/ } @_;
	my @wrong;
	for my $i (1 .. $#said)
	{
		my ($a, $b) = @said[$i - 1, $i];
		push @wrong, "$a->{packet} then $b->{packet}"
			if $a->{lsn} > $b->{lsn} || ($a->{lsn} == $b->{lsn} && $a->{index} >= $b->{index})
			|| ($a->{what} eq 'message' && $b->{what} eq 'history');
	}
	return @wrong;
}

# ---- a gateway that is killed ----
$rooms->sql(q{SELECT rooms.emit_all('a', to_jsonb(g)) FROM generate_series(1, 3) g});
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('never'); ROLLBACK});
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('b'); SAVEPOINT s; SELECT rooms.emit_all('never'); ROLLBACK TO s; COMMIT});
$rooms->heard_by_now;
my @frames = $rooms->after_kill;
is_deeply([ packets(@frames) ], [ (map { qq{2["a",$_]} } 1 .. 3), '2["b"]', '2["mark0"]', '2["mark1"]' ], 'a new gateway hears of what the one before was told');
is_deeply([ map { $_->{what} } grep { $_->{what} !~ /message|position/ } @frames ],
	[ 'config', 'timelines', 'covered', ('history') x 5, 'listen' ], '... as history, before it may listen');
is((grep { $_->{what} =~ /^(position|listen)$/ } @frames)[0]{what}, 'position', '... and is told how far WAL was read');
is_deeply([ disorder(@frames) ], [], '... in order');
my ($covered) = of('covered', @frames);
cmp_ok($covered->{lsn}, '<', (of('history', @frames))[0]{lsn}, '... which is complete from before the first of them on');
is_deeply((of('timelines', @frames))[0]{list}, [ [ 1, 0, 18446744073709551615 ] ], '... and is told the timelines');
is($rooms->stat('bus_history_messages'), 5, '... and it is counted');
my %age = map { $_->{packet} => $_->{age} } of('history', @frames);
cmp_ok($age{'2["b"]'}, '<', 600_000, '... each with its age');

# ---- a long transaction does not make a hole while the worker lives ----
my $long = $node->background_psql('postgres');
$long->query_safe('BEGIN; CREATE TABLE long ()');
$rooms->sql('CHECKPOINT');
$rooms->sql(q{SELECT rooms.emit_all('during')});
$long->query_safe('COMMIT');
$long->quit;
@frames = $rooms->after_kill;
is(scalar of('covered', @frames), 1, 'a long transaction without messages makes no hole');
is((of('covered', @frames))[0]{lsn}, $covered->{lsn}, '... and the history begins where it did');

# ---- prepared transactions ----
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('p1'); PREPARE TRANSACTION 'p1'; BEGIN; SELECT rooms.emit_all('never'); PREPARE TRANSACTION 'p2';
	BEGIN; SELECT rooms.emit_all('p3'); PREPARE TRANSACTION 'p3'});
$rooms->sql('SELECT pg_switch_wal(); CHECKPOINT');
$rooms->sql(q{COMMIT PREPARED 'p1'; ROLLBACK PREPARED 'p2'});
@frames = $rooms->after_kill;
is(scalar(grep { $_ eq '2["p1"]' } packets(@frames)), 1, 'a prepared transaction is in the history once');
is_deeply([ disorder(@frames) ], [], '... in its place');
for my $mode ('fast', 'immediate')
{
	$node->stop($mode);
	$node->start;
	@frames = $rooms->heard_by_now;
	is(scalar(grep { $_ eq '2["p1"]' } packets(@frames)), 1, "... and so after stop -m $mode");
	is_deeply([ disorder(@frames) ], [], '... in order');
	is(scalar(grep { /never/ } packets(@frames)), 0, '... and what was rolled back is not there');
	is((of('history', @frames))[0]{packet}, '2["a",1]', '... as are the first messages of all');
}
$rooms->sql(q{COMMIT PREPARED 'p3'});
@frames = $rooms->after_kill;
is_deeply([ grep { /p\d/ } packets(@frames) ], [ '2["p1"]', '2["p3"]' ], 'one that was committed after two restarts, too');

# ---- a prepared one whose WAL is not read any more ----
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('old'); PREPARE TRANSACTION 'old'});
$rooms->sql(q{ALTER SYSTEM SET wal_keep_size = 0; ALTER SYSTEM SET max_wal_size = '32MB'; ALTER SYSTEM SET min_wal_size = '32MB'});
$rooms->sql('SELECT pg_reload_conf()');
for (1 .. 6) { $rooms->sql(q{SELECT pg_switch_wal()}); $rooms->sql('CHECKPOINT') }
$rooms->sql(q{COMMIT PREPARED 'old'});
@frames = $rooms->after_kill;
is(scalar(grep { $_ eq '2["old"]' } packets(@frames)), 1, 'a prepared transaction whose WAL was removed is in the history');
isnt((of('history', @frames))[0]{packet}, '2["a",1]', '... and what was removed is not');
cmp_ok((of('covered', @frames))[-1]{lsn}, '>', $covered->{lsn}, '... which is told');
$node->stop('immediate');
$node->start;
@frames = $rooms->heard_by_now;
is(scalar(grep { $_ eq '2["old"]' } packets(@frames)), 1, '... nor after a crash');

# ---- under load ----
$rooms->sql(q{ALTER SYSTEM RESET ALL});
$rooms->sql('SELECT pg_reload_conf()');
$rooms->sql(q{
	CREATE SEQUENCE ids;
	CREATE TABLE said (id bigint);
	CREATE FUNCTION say(fate int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE n bigint := nextval('ids');
	BEGIN
		INSERT INTO said VALUES (n);
		BEGIN
			PERFORM rooms.emit_all('said', to_jsonb(-n));
			RAISE 'rolled back to here';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		PERFORM rooms.emit_all('said', to_jsonb(n));
		IF fate = 0 THEN SET LOCAL synchronous_commit = off; END IF;
		IF fate = 1 THEN PERFORM rooms.emit_all('again', to_jsonb(n)); END IF;
	END $$;
});
my $dir = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::append_to_file("$dir/say.sql", <<'SQL');
\set fate random(0, 9)
\if :fate = 9
BEGIN;
SELECT say(9);
ROLLBACK;
\elif :fate = 8
BEGIN;
SELECT say(8);
PREPARE TRANSACTION 't:client_id';
COMMIT PREPARED 't:client_id';
\else
SELECT say(:fate);
\endif
SQL
for my $round ('gateway', 'worker', 'fast', 'gateway', 'immediate', 'backend')
{
	my $out = '';
	my $count = $rooms->sql('SELECT count(*) FROM said');
	my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', 8, '-R', 500, '-T', 60, '-f', "$dir/say.sql", '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$out, IPC::Run::timer(120));
	$node->poll_query_until('postgres', "SELECT count(*) > $count + 200 FROM said") or die;
	my $gateway = $rooms->pid_of('gateway');
	if ($round eq 'gateway') { kill 'KILL', $gateway }
	elsif ($round eq 'worker') { kill 'TERM', $rooms->pid_of('worker') }
	elsif ($round eq 'backend') { kill 'KILL', $rooms->sql(q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%say(%' AND pid <> pg_backend_pid() LIMIT 1}) }
	else { $node->stop($round) }
	if ($round eq 'gateway' || $round eq 'worker')
	{
		$rooms->pid_of('gateway', $gateway);
		$node->poll_query_until('postgres', "SELECT count(*) > $count + 400 FROM said") or die;
		$writers->signal('INT');
	}
	eval { $writers->finish };
	$node->start if $round =~ /^(fast|immediate)$/;
	$node->poll_query_until('postgres', 'SELECT true') or die if $round eq 'backend';
	$rooms->pid_of('gateway', $gateway);
	# one that was prepared when all stopped
	$rooms->sql("COMMIT PREPARED '$_'") for split /\n/, $rooms->sql('SELECT gid FROM pg_prepared_xacts');
	@frames = $rooms->heard_by_now;
	my @said = map { /^2\["said",(-?\d+)\]$/ ? $1 : () } packets(@frames);
	my $all = $rooms->sql('SELECT string_agg(id::text, \' \' ORDER BY id) FROM said');
	is(join(' ', sort { $a <=> $b } @said), $all, "$round: the new gateway hears of every committed row once");
	is_deeply([ disorder(@frames) ], [], "$round: ... in order");
	cmp_ok(scalar of('history', @frames), '>', 150, "$round: ... most of it as history");
}

# ---- the window ----
$rooms->sql(q{ALTER SYSTEM SET pg_rooms.recovery_window = '1ms'});
$rooms->sql('SELECT pg_reload_conf()');
@frames = $rooms->after_kill;
cmp_ok(scalar of('history', @frames), '>', 0, 'what was sent before the loss of a connection could be noticed belongs to the window');
$rooms->sql(q{ALTER SYSTEM SET pg_rooms.ping_interval = '10ms'});
$rooms->sql(q{ALTER SYSTEM SET pg_rooms.ping_timeout = '10ms'});
$rooms->sql('SELECT pg_reload_conf()');
@frames = $rooms->after_kill;
is(scalar of('history', @frames), 0, 'what is older than the window is left out');
$rooms->sql(q{ALTER SYSTEM SET pg_rooms.recovery_window = 0});
$rooms->sql('SELECT pg_reload_conf()');
@frames = $rooms->after_kill;
is(scalar of('history', @frames), 0, 'without recovery there is no history');
is(scalar of('covered', @frames), 1, '... which is told, too');
is_deeply([ glob($node->data_dir . '/pg_rooms/*.done') ], [], '... and nothing is left of prepared transactions');
done_testing();

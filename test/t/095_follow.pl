# Clients that read a snapshot and follow it have what the table has, whatever
# 8 writers at full speed commit, and how: synchronously, asynchronously, locally,
# prepared, while a synchronous standby is missing.  ROOMS_SNAPSHOTS: how many (80).
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $sockets = 20;
my $rounds = ($ENV{ROOMS_SNAPSHOTS} // 80) / $sockets;
my $rooms = Rooms->new('main', conf => <<'CONF');
max_prepared_transactions = 20
wal_level = replica
max_wal_senders = 2
pg_rooms.recovery_window = '2min'
pg_rooms.history_size = '256MB'
pg_rooms.max_queued = '512MB'
CONF
my $node = $rooms->node;
$rooms->sql(q{
	CREATE TABLE sums (key int PRIMARY KEY, sum int);
	INSERT INTO sums SELECT g, 0 FROM generate_series(0, 799) g;
	CREATE FUNCTION add(k int, delta int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE sums SET sum = sum + delta WHERE key = k;
		PERFORM rooms.emit('tenant:1', 'add', to_jsonb(k), to_jsonb(delta));
	END $$;
});
my $script = PostgreSQL::Test::Utils::tempdir() . '/add.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set key :client_id * 100 + random(0, 99)
\set delta random(1, 9)
\set fate random(0, 7)
\if :client_id < 3
\set fate 3
\endif
BEGIN;
SELECT add(:key, :delta);
\if :fate = 0
ROLLBACK;
\elif :fate = 1
PREPARE TRANSACTION 'w:client_id';
COMMIT PREPARED 'w:client_id';
\elif :fate = 2
SET LOCAL synchronous_commit = off;
COMMIT;
\elif :fate = 3
SET LOCAL synchronous_commit = local;
COMMIT;
\elif :fate = 4
SAVEPOINT s;
SELECT add(:key, 1000);
ROLLBACK TO SAVEPOINT s;
COMMIT;
\else
COMMIT;
\endif
SQL

my ($in, $out, $err) = ('', '', '');
my $followers = IPC::Run::start(
	[ 'node', "$Rooms::CLIENT_DIR/follow.mjs", $rooms->url, Rooms::token(sub => 'a', tenant_id => 1), $node->host, $node->port, $sockets, 1500 ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($Rooms::TIMEOUT * ($rounds + 1)));

# Waits until the followers have said this.
sub said
{
	my ($what) = @_;
	$followers->pump until $out =~ $what;
	return $1;
}

sub missing_standby
{
	my ($on) = @_;
	$rooms->sql("SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '" . ($on ? 'nobody' : '') . "'");
	$node->reload;
}

said(qr/^(\{"ready")/m);
my ($wrong, $refused) = (0, 0);
for my $round (1 .. $rounds)
{
	missing_standby(1) if $round % 2 == 0;
	my $writers = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 8, '-T', 2, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \my $bench, '2>', \my $complaints, IPC::Run::timeout($Rooms::TIMEOUT));
	my ($third, $all) = map { $_ + $sockets * ($round - 1) } int($sockets / 3), $sockets;
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}) or die if $round % 2 == 0;
	$in .= "\n";
	said(qr/^(\{"followed":$third\})$/m);
	missing_standby(0) if $round % 2 == 0;
	said(qr/^(\{"followed":$all\})$/m);
	$writers->finish;
	like($bench, qr/number of failed transactions: 0 /, "round $round: 8 writers") or diag($complaints);
	$refused++, diag($_) for $out =~ /^(\{"refused".*)$/mg;
	$out = '';
	$rooms->sql(q{SELECT rooms.emit_all('quiet')});
	my $differs = said(qr/^\{"wrong":(\[.*\])\}$/m);
	is($differs, '[]', "... each of $sockets followers has what the table has");
	$out = '';
}
is($refused, 0, 'no snapshot was refused');
is($rooms->stat('follow_refused_gap'), 0, '... or counted so');
$in = '';
$followers->kill_kill;
done_testing();

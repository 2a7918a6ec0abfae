# Nothing is delivered before its commit is on disk, whatever synchronous_commit
# says; and the worker sees to it itself that an asynchronous commit gets there.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => <<'CONF');
synchronous_commit = off
wal_writer_delay = '10s'
wal_writer_flush_after = '1GB'
bgwriter_lru_maxpages = 0
autovacuum = off
restart_after_crash = on
CONF
my $node = $rooms->node;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect; CREATE TABLE t (n int)');
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');
my $session = $node->background_psql('postgres');

# Nobody but the worker is there to flush: the WAL writer is stopped.
$node->safe_psql('postgres', 'SET synchronous_commit = on; INSERT INTO t VALUES (0)');
my $walwriter = $rooms->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
kill 'STOP', $walwriter;

my ($arrived, $flushed) = (0, 0);
for my $n (1 .. 20)
{
	my ($xid, $lsn) = split ' ', $session->query_safe(
		"BEGIN; INSERT INTO t VALUES ($n); SELECT pg_current_xact_id() || ' ' || pg_current_wal_insert_lsn()");
	$session->query_safe("SELECT rooms.emit_all('row', '$n'); COMMIT");
	$arrived++ if $client->event->[1] == $n;
	$flushed += $rooms->sql(qq{SELECT count(*) FROM pg_get_wal_records_info('$lsn', pg_current_wal_flush_lsn())
		WHERE xid = '$xid' AND resource_manager = 'Transaction' AND record_type = 'COMMIT'});
}
is($arrived, 20, 'an asynchronous commit is delivered though nothing else flushes the WAL');
is($flushed, 20, '... and when its event arrives its commit record is within what has been flushed');

# ---- a crash when an event has arrived ----
my $gateway = $rooms->pid_of('gateway');
$session->query_safe(q{BEGIN; INSERT INTO t VALUES (21); SELECT rooms.emit_all('row', '21'); COMMIT});
is_deeply($client->event, [ 'row', 21 ], 'an event arrives');
$session->query_safe('INSERT INTO t VALUES (22)');
kill 'KILL', $walwriter;
$client->wait_for('disconnect');
$rooms->pid_of('gateway', $gateway);
is($rooms->sql('SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM t WHERE n > 19'), '20 21',
	'... and its row survives a crash of the server at that moment, which takes back what committed after it');
$session->{run}->kill_kill;
done_testing();

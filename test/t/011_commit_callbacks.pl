# What may happen between pg_rooms' record and the commit record: another
# extension's callback, for as long as it likes.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => "shared_preload_libraries = 'pre_commit, pg_rooms'\n");
my $node = $rooms->node;
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');

# ---- after our record a further message is an ERROR, and the transaction aborts ----
my ($rc, $out, $err) = $node->psql('postgres', <<'SQL', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
BEGIN;
SET LOCAL pre_commit.sql = 'SELECT rooms.emit_all(''late'')';
SELECT rooms.emit_all('early');
COMMIT;
SQL
like($err, qr/ERROR:  55000:.*commit/, 'emitting after the record was written is an ERROR');
$rooms->sql(q{SELECT rooms.emit_all('end')});
is_deeply([ $client->events_until('end') ], [], '... and nothing of that transaction is sent');

# ---- a callback that runs before ours may emit ----
$rooms->sql(q{ALTER SYSTEM SET shared_preload_libraries = 'pg_rooms', 'pre_commit'});
$node->restart;
$client->wait_for('disconnect');
$client->wait_for('connect');
$rooms->sql(q{BEGIN; SET LOCAL pre_commit.sql = 'SELECT rooms.emit_all(''late'')'; SELECT rooms.emit_all('early'); COMMIT});
is_deeply($client->event, [$_], "a callback that runs before ours: $_") for 'early', 'late';
$rooms->sql(q{ALTER SYSTEM RESET shared_preload_libraries});
$node->restart;
$client->wait_for('disconnect');
$client->wait_for('connect');
$rooms->sql(q{SELECT rooms.emit_all('end')});
$client->events_until('end');

# ---- the worker ends and starts between the record and the commit ----
my $keeper = $node->background_psql('postgres');
for my $end ('worker', 'gateway')
{
	$keeper->query_safe('SELECT pg_advisory_lock(4711)');
	my $writer = $node->background_psql('postgres');
	my $pid = $writer->query_safe('SELECT pg_backend_pid()');
	$writer->{stdin} .= "BEGIN; SET LOCAL pre_commit.sql = 'SELECT pg_advisory_xact_lock(4711)'; SELECT rooms.emit_all('held', '\"$end\"'); COMMIT;\n";
	$writer->{run}->pump_nb;
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid") or die;
	# other transactions commit and move the flush position on
	$rooms->sql(q{CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1); CHECKPOINT; SELECT pg_switch_wal()});
	my $old = $rooms->pid_of($end);
	kill 'TERM', $old;
	$rooms->pid_of($end, $old);
	$client->wait_for('disconnect');
	$client->wait_for('connect');
	$keeper->query_safe('SELECT pg_advisory_unlock(4711)');
	is_deeply($client->event, [ 'held', $end ], "a commit whose record was written before a new $end started");
	$writer->quit;
}
$keeper->quit;
done_testing();

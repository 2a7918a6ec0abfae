# When an event arrives, its row is visible: delivery waits for a commit that
# is on disk but whose backend still counts as running.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => <<'CONF');
shared_preload_libraries = 'pg_rooms, old_xmin'
wal_level = replica
max_connections = 12
superuser_reserved_connections = 3
max_wal_senders = 2
max_prepared_transactions = 2
CONF
my $node = $rooms->node;
$node->safe_psql('postgres', 'CREATE TABLE t (n int)');
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');

# A synchronous standby that does not exist makes every commit hang between
# its commit record and its visibility, for as long as we like.
sub hang_commits
{
	my ($on) = @_;
	$node->safe_psql('postgres', "SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '" . ($on ? 'nobody' : '') . "'");
	$node->reload;
	$node->poll_query_until('postgres', "SHOW synchronous_standby_names", $on ? 'nobody' : '') or die;
}

sub waits_for_standby
{
	my ($pid) = @_;
	$node->poll_query_until('postgres', "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $pid") or die;
}

# One session after another commits an event; none is delivered while its
# commit hangs.  The sessions are connected all the time, so each has a slot of
# the ProcArray of its own, and together they have all that are left.
sub every_slot
{
	my ($what) = @_;
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 7;
	my @pids = map { $_->query_safe('SELECT pg_backend_pid()') } @sessions;
	hang_commits(1);
	my $early = 0;
	for my $i (0 .. $#sessions)
	{
		my $gated = $rooms->stat('bus_gated');
		$sessions[$i]->{stdin} .= "SELECT rooms.emit_all('slot', '$i');\n";
		$sessions[$i]->{run}->pump_nb;
		waits_for_standby($pids[$i]);
		$node->poll_query_until('postgres', "SELECT value > $gated FROM rooms.stats WHERE name = 'bus_gated'") or die;
		$early += grep { $_->{is} eq 'event' } $client->seen;
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($pids[$i])");
		is_deeply($client->event, [ 'slot', $i ], "$what: delivered once visible (session $i)");
	}
	is($early, 0, "$what: nothing was delivered before it was visible");
	hang_commits(0);
	$_->quit for @sessions;
}

every_slot('a running transaction in every slot');

# ---- order: what commits later waits behind it ----
hang_commits(1);
my $first = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $first->query_safe('SELECT pg_backend_pid()');
$first->{stdin} .= "BEGIN; INSERT INTO t VALUES (1); SELECT rooms.emit_all('first'); COMMIT;\n";
$first->{run}->pump_nb;
waits_for_standby($pid);
# The worker has a RecentXmin that says of every xid that it is over.
my ($sent, $read) = map { $rooms->stat($_) } 'bus_messages', 'bus_transactions';
$node->append_conf('postgresql.conf', 'old_xmin.turn = 1');
$node->reload;
$node->wait_for_log(qr/old_xmin: turn 1/);
$rooms->sql(q{SET synchronous_commit = local; SELECT rooms.emit_all('second')});
$node->poll_query_until('postgres', "SELECT value > $read FROM rooms.stats WHERE name = 'bus_transactions'") or die;
is($rooms->stat('bus_messages'), $sent, 'the gate does not trust a RecentXmin that has grown old');
$node->wait_for_log(qr/pg_rooms.*not.*visible/i);
is($rooms->sql(q{SELECT count(*) FROM t}), 0, 'a commit that waits for a standby is not visible');
is_deeply([ grep { $_->{is} eq 'event' } $client->seen ], [], '... and is not delivered, nor what committed after it');
is($rooms->stat('bus_gate_blocked'), 1, '... which is counted once after 5 s, and said in the log');
hang_commits(0);
is_deeply($client->event, ['first'], 'when the standby is not wanted any more, the first');
is_deeply($client->event, ['second'], '... and then the second are delivered');
$first->quit;

# ---- COMMIT PREPARED waits for a standby, and meanwhile another worker starts ----
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('prepared'); PREPARE TRANSACTION 'p'});
hang_commits(1);
my $committer = $node->background_psql('postgres', on_error_stop => 0);
$pid = $committer->query_safe('SELECT pg_backend_pid()');
$committer->{stdin} .= "COMMIT PREPARED 'p';\n";
$committer->{run}->pump_nb;
waits_for_standby($pid);
$rooms->sql(q{SET synchronous_commit = local; INSERT INTO t SELECT generate_series(1, 1000)});	# much WAL behind its commit record
kill 'TERM', $rooms->pid_of('worker');
$client->wait_for('disconnect');
$client->wait_for('connect');
$rooms->sql(q{SET synchronous_commit = local; SELECT rooms.emit_all('behind')});
$node->poll_query_until('postgres', q{SELECT value > 0 FROM rooms.stats WHERE name = 'bus_gated'}) or die;
is_deeply([ grep { $_->{is} eq 'event' } $client->seen ], [], 'a new worker, too, waits for a COMMIT PREPARED that is not visible');
hang_commits(0);
is_deeply([ $client->event, $client->event ], [ ['prepared'], ['behind'] ], '... and then sends it, once');
$committer->quit;

# ---- once more with transaction ids beyond 2^31 ----
# Rows must be frozen, or they would be of the future.
$node->command_ok([ 'vacuumdb', '--freeze', '--all', '-q', '-h', $node->host, '-p', $node->port ], 'freeze');
$node->stop;
my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, int(3_000_000_000 / (8192 * 4 * 32)));
open my $clog, '>', $segment or die;
print $clog "\0" x (8192 * 32);
close $clog;
PostgreSQL::Test::Utils::system_or_bail('pg_resetwal', '-f', '-x', '3000000000', '-u', '2999980000', $node->data_dir);
$node->start;
$client->wait_for('disconnect');
$client->wait_for('connect');
every_slot('beyond 2^31');
cmp_ok($rooms->sql('SELECT pg_current_xact_id()::text::bigint % 4294967296'), '>=', 3_000_000_000, '... which they are');
done_testing();

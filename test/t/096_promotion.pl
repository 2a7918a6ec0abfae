# A standby is promoted that never had the last commits of its primary: its own
# clients recover, as they do when its gateway dies, and who comes with what only
# the old primary had is told.
use strict;
use warnings;
use Rooms;
use Test::More;

my $conf = "pg_rooms.recovery_window = '2min'\n";
my $rooms = Rooms->new('primary', init => { allows_streaming => 1 }, conf => $conf);
my $primary = $rooms->node;
$primary->backup('b');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($primary, 'b', has_streaming => 1);
my $standby = Rooms->adopt($node);
$node->append_conf('postgresql.conf', $conf);
$node->start;
$standby->wait_until_serving;

my $here = $rooms->client(claims => { sub => 'a', tenant_id => 1 }, transports => ['websocket']);
my $there = $standby->client(claims => { sub => 'a', tenant_id => 1 }, transports => ['websocket']);
$_->{connect} = $_->wait_for('connect') for $here, $there;
my $position = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT rooms.position(); COMMIT';
my $known = $rooms->sql($position);
$rooms->sql(q{SELECT rooms.emit('tenant:1', 'both')});
is($_->event->[0], 'both', 'both servers send it') for $here, $there;
my $replica = $standby->sql($position);

# A standby recovers its clients by itself.
my $gateway = $standby->pid_of('gateway');
kill 'KILL', $gateway;
ok($there->wait_for('connect')->{recovered}, 'a client of the standby recovers when its gateway was killed');

# From here on the standby gets nothing.
$node->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$node->reload;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver') or die;
$rooms->sql(q{SELECT rooms.emit('tenant:1', 'lost')});
my $lost = $here->event;
is($lost->[0], 'lost', 'the old primary sends what the standby never has');
my $too_new = $rooms->sql($position);
$primary->stop;
$there->cut;
$there->wait_for('disconnect');
$node->promote;
$standby->sql(q{SELECT rooms.emit('tenant:1', 'new')});
ok($there->wait_for('connect')->{recovered}, 'a client of the standby recovers after its promotion');
is($there->event->[0], 'new', '... with what the new primary has committed');

# What a client knows that the new primary does not.
for my $since ($too_new, $lost->[-1])
{
	is_deeply($there->ask('room:join', 'tenant:1', { since => $since }),
		[ { error => { code => 'gap', message => 'not all that came since is known' } } ], 'told: ' . substr($since, 0, 2));
	is($there->event->[0], 'error', '... twice');
}
ok($node->poll_query_until('postgres', q{SELECT value = 2 FROM rooms.stats WHERE name = 'follow_refused_gap'}), '... and counted');

# Clients that come back with it: one of the old primary, and one that the new one knows.
my $offset = -s $node->logfile;
for my $case ([ unknown_pid => $here->{connect} ], [ gap => $there->{connect} ])
{
	my ($why, $was) = @$case;
	my $client = $standby->client(auth => { token => Rooms::token(sub => 'a', tenant_id => 1), pid => $was->{pid}, offset => $lost->[-1] },
		transports => ['websocket']);
	my $connect = $client->wait_for('connect');
	ok(!$connect->{recovered} && $connect->{sid} ne $was->{sid}, "$why: whoever has had what is lost is told");
	ok($node->poll_query_until('postgres', "SELECT value = 1 FROM rooms.stats WHERE name = 'recovery_refused_$why'"), '... and counted');
	$client->disconnect;
}
$node->wait_for_log(qr/a client came back and was not recovered: what it has missed is not in the history/, $offset);
pass('... and logged');
$there->wait_for('connect');

for my $since ($known, $replica)
{
	$there->tell('room:join', 'tenant:1', { since => $since });
	my @events = $since eq $known ? qw(both new) : qw(new);
	is_deeply([ map { $there->event->[0] } @events ], \@events, 'a snapshot from before the promotion can be followed');
	is_deeply($there->answer, [], '... to its end');
}
done_testing();

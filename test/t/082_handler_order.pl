# Queues: order of one socket, sockets side by side, time-outs, restarts; nothing waits for SQL but what has to.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
pg_rooms.handler_connections = 2
pg_rooms.max_events_per_second = 0
pg_rooms.handler_timeout = '3s'
pg_rooms.ping_interval = '300ms'
pg_rooms.ping_timeout = '700ms'
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE sql AS $$SELECT pg_sleep((10 - n) / 200.0); SELECT n$$;
CREATE FUNCTION locked(key int) RETURNS int LANGUAGE sql AS $$SELECT pg_advisory_xact_lock(key); SELECT key$$;
CREATE FUNCTION quick(n int) RETURNS int LANGUAGE sql AS $$SELECT n$$;
CREATE FUNCTION emits(n int) RETURNS int SECURITY DEFINER LANGUAGE sql AS
	$$SELECT rooms.emit(rooms.current_sid(), 'emitted', to_jsonb(n)); SELECT n$$;
CREATE FUNCTION emits_late() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
	$$BEGIN PERFORM rooms.emit(rooms.current_sid(), 'late', to_jsonb(NEW.n)); RETURN NULL; END$$;
CREATE TABLE t (n int);
GRANT ALL ON t TO gateway;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION emits_late();
CREATE FUNCTION deferred(n int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (n) RETURNING n';
SELECT rooms.on_event(f, f) FROM unnest('{slow,locked,quick,emits,deferred}'::text[]) f;
SQL
my $ada = $rooms->client(claims => { sub => 'ada' });
my $bob = $rooms->client(claims => { sub => 'bob' });
my $cyd = $rooms->client(claims => { sub => 'cyd' });
is_deeply($_->ask('quick', 1), [1], 'a handler runs') for $ada, $bob, $cyd;

# One socket's events one after the other, whatever they take.
$ada->tell('slow', $_) for 1 .. 10;
is_deeply([map { $ada->answer->[0] } 1 .. 10], [1 .. 10], 'in the order they were sent');

# What a handler emits comes before its acknowledgement, also from a deferred trigger.
my $wrong = 0;
for my $n (1 .. 200)
{
	my $event = $n % 2 ? 'emits' : 'deferred';
	$ada->tell($event, $n);
	my $first = $ada->wait_for(sub { $_[0]{is} eq 'event' || $_[0]{is} eq 'ack' });
	$wrong++ if $first->{is} ne 'event' || $first->{args}[1] != $n;
	$ada->answer;
}
is($wrong, 0, 'what a handler emits to its own socket comes before its acknowledgement, 200 times');

# Sockets side by side; a blocked one delays nobody but itself.
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT pg_advisory_lock(1)');
$ada->tell('locked', 1);
$ada->tell('quick', 2);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)");
is_deeply($bob->ask('quick', 3), [3], 'while one waits for a lock, another runs');
is_deeply([grep { $_->{is} eq 'ack' } $ada->seen], [], '... and the next event of the first waits');
$session->query_safe('SELECT pg_advisory_unlock(1)');
is_deeply([$ada->answer, $ada->answer], [[1], [2]], '... until it is done');

# All connections busy: calls wait; heartbeats go on; time-outs fire.
$session->query_safe('SELECT pg_advisory_lock(1)');
$_->tell('locked', 1) for $ada, $bob;
$cyd->tell('quick', 4);
is($ada->answer->[0]{error}{code}, 'timeout', 'a handler that takes longer than handler_timeout is ended');
is_deeply($ada->event, ['error', { event => 'locked', message => 'the handler took too long', code => 'timeout' }], '... and an event says so');
is($bob->answer->[0]{error}{code}, 'timeout', '... the other one, too');
my $answer = $cyd->answer->[0];
ok($answer eq 4 || $answer->{error}{code} eq 'unavailable', 'what had waited for a connection was answered');
is_deeply([grep { $_->{is} eq 'disconnect' } map { $_->seen } $ada, $bob, $cyd], [], 'heartbeats went on all the time');
$session->query_safe('SELECT pg_advisory_unlock(1)');
is_deeply($ada->ask('quick', 5), [5], '... and everything works again');

# A queue that is full.
$session->query_safe('SELECT pg_advisory_lock(1)');
$ada->tell('locked', 1);
$ada->tell('quick', $_) for 1 .. 1100;
my $full = $ada->wait_for(sub { $_[0]{is} eq 'ack' && ref $_[0]{args}[0] && $_[0]{args}[0]{error}{code} eq 'queue_full' });
is($full->{args}[0]{error}{message}, 'too many events are waiting', 'a queue has a cap, and a clear error');
$session->query_safe('SELECT pg_advisory_unlock(1)');
my %count = (queue_full => 1);
$count{ ref $_ ? $_->{error}{code} : 'ran' }++ for map { $ada->answer->[0] } 1 .. 1100;
is($count{ran} + $count{queue_full}, 1101, '... every event is answered, run or not');
cmp_ok($count{ran}, '>=', 1000, '... and those that fitted have run');
$ada->seen;
@{ $ada->{seen} } = ();

# PostgreSQL is restarted while a handler runs and others wait.
$session->query_safe('SELECT pg_advisory_lock(1)');
$ada->tell('locked', 1);
$ada->tell('quick', 6);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)");
$node->restart('fast');
$ada->wait_for('disconnect');
$ada->wait_for('connect');
is_deeply($ada->ask('quick', 7), [7], 'after a restart clients are back and handlers run');

# The gateway is killed while a handler runs.
my $gateway = $rooms->pid_of('gateway');
kill 'KILL', $gateway;
$ada->wait_for('disconnect');
$rooms->pid_of('gateway', $gateway);
$ada->wait_for('connect');
is_deeply($ada->ask('quick', 8), [8], '... and after the gateway was killed');

# Idle connections are closed: a smart shutdown does not wait for clients.
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'gateway')");
pass('idle connections are closed');
$node->stop('smart');
pass('a smart shutdown is not held up by connected clients');

done_testing();

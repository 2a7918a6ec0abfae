# throttle: the first at once, then at most one per interval, the last one
# always.  volatile: dropped for a client that does not take it right away.
use strict;
use warnings;
use Rooms;
use Test::More;
use Time::HiRes qw(time);

my $rooms = Rooms->new('main', conf => "pg_rooms.max_queued = '512MB'\n");
my $node = $rooms->node;
my ($alice, $bob) = map { $rooms->client(claims => { sub => $_, tenant_id => 1 }, transports => [$_ eq 'alice' ? 'websocket' : 'polling']) } qw(alice bob);
$_->wait_for('connect') for $alice, $bob;
my $session = $node->background_psql('postgres');

# A message to one or more rooms, separated by commas.
sub emit
{
	my ($to, $event, $n, %options) = @_;
	my $more = join '', map { ", $_ => '$options{$_}'" } sort keys %options;
	$session->query_safe("SELECT rooms.emit_to('{$to}', '$event', '[$n]'$more)");
}

# ---- the interval has not passed: the first only ----
my $throttled = $rooms->stat('throttled');
emit('tenant:1', 'day', $_, throttle => '1 day') for 1 .. 3;
emit('user:alice', 'day', 4, throttle => '1 day');
emit('user:bob,user:alice', 'day', 5, throttle => '1 day');
emit('user:alice,user:bob', 'day', 6, throttle => '1 day');
emit('tenant:1', 'other', 7, throttle => '1 day');
emit('tenant:1', 'day', 8);
emit('tenant:1', 'end', 0);
is_deeply([ $alice->events_until('end') ], [ [ 'day', 1 ], [ 'day', 4 ], [ 'day', 5 ], [ 'other', 7 ], [ 'day', 8 ] ],
	'the first at once, for each combination of rooms and event; what is not throttled goes out as ever');
is_deeply([ $bob->events_until('end') ], [ [ 'day', 1 ], [ 'day', 5 ], [ 'other', 7 ], [ 'day', 8 ] ], '... by polling too');
ok($node->poll_query_until('postgres', "SELECT value = $throttled + 1 FROM rooms.stats WHERE name = 'throttled'"),
	'rooms.stats counts what was replaced');

# ---- one transaction: the first and the last; what was rolled back was never said ----
$session->query_safe(q{BEGIN; SELECT rooms.emit_to('{tenant:1}', 'batch', jsonb_build_array(n), throttle => '1 s') FROM generate_series(1, 1000) n;
	SAVEPOINT s; SELECT rooms.emit_to('{tenant:1}', 'batch', '[1001]', throttle => '1 s'); ROLLBACK TO s; COMMIT});
for my $client ($alice, $bob)
{
	is_deeply([ map { $client->event } 1 .. 2 ], [ [ 'batch', 1 ], [ 'batch', 1000 ] ], 'of a thousand messages in one transaction the first and the last arrive');
}

# ---- a stream, until five values have arrived ----
my ($interval, $sent, $start) = (0.1, 0, time);
my @got;
sub stream_seen { push @got, map { $_->{args}[1] } @{ $alice->{seen} }; @{ $alice->{seen} } = (); return scalar @got }
do { emit('user:alice', 'stream', ++$sent, throttle => '100 ms'); $alice->seen } while stream_seen() < 5 && time < $start + $Rooms::TIMEOUT;
emit('user:alice', 'stream', ++$sent, throttle => '100 ms') for 1 .. 3;
push @got, $alice->event->[1] until $got[-1] == $sent || time > $start + 2 * $Rooms::TIMEOUT;
my $took = time - $start;
note("$sent messages in $took s, " . @got . ' arrived');
is($got[0], 1, 'of a stream the first arrives');
is($got[-1], $sent, '... and the last');
is_deeply(\@got, [ sort { $a <=> $b } @got ], '... in order');
cmp_ok(scalar @got, '<=', 1 + $took / $interval, '... no more than one in each interval');
cmp_ok(scalar @got, '<', $sent, '... which is fewer than were sent');

# ---- volatile: a client that does not read ----
$alice->pause;
ok($node->poll_query_until('postgres', q{
	SELECT rooms.emit('user:alice', 'filler', to_jsonb(repeat('x', 1000000))) FROM generate_series(1, 8);
	SELECT value > 0 FROM rooms.stats WHERE name = 'queued_bytes'}, "\n" x 8 . 't'), 'messages wait for a client that does not read');
emit('tenant:1', 'volatile', 1, volatile => 'on');
emit('tenant:1', 'kept', 2);
emit('tenant:1', 'end', 0);
is_deeply([ $bob->events_until('end') ], [ [ 'volatile', 1 ], [ 'kept', 2 ] ], 'others get volatile messages');
$alice->resume;
is_deeply([ $alice->events_until('end') ], [ [ 'kept', 2 ] ],
	'it gets what waited for it when it reads again, but not the volatile message');
ok($node->poll_query_until('postgres', "SELECT value = 1 FROM rooms.stats WHERE name = 'dropped_volatile'"), '... which is counted');

# The gateway hears a moment later that nothing waits in the kernel.
my $volatile = 2;
do { emit('user:alice', 'volatile', ++$volatile, volatile => 'on') } until $alice->seen || time > $start + 3 * $Rooms::TIMEOUT;
is($alice->event->[0], 'volatile', '... and later ones again');

$session->quit;
done_testing();

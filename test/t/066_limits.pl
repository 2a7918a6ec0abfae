# Limits: what is over them is refused with a stable code and message and
# counted, and counts go down again however a connection ends.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
pg_rooms.namespaces = '/,/admin'
pg_rooms.max_connections_per_user = 2
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE FUNCTION my_address(e rooms.event) RETURNS jsonb LANGUAGE sql AS $$SELECT e.handshake->'address'$$;
CREATE TABLE ran (what text);
GRANT INSERT ON ran TO gateway;
CREATE FUNCTION run(e rooms.event) RETURNS void LANGUAGE sql AS $$INSERT INTO ran VALUES (e.args->>0)$$;
CREATE FUNCTION anybody(e rooms.event) RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT rooms.on_event('my-address', 'my_address'), rooms.on_event('run', 'run'), rooms.on_join('r:*', 'anybody');
SQL

# Waits until a counter of the gateway has this value: it reports once a second.
sub counts
{
	my ($name, $value, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT value = $value FROM rooms.stats WHERE name = '$name'"), $what);
}

# ---- connections of one user ----

my $refused = 0;

# Is one more connection of this user taken?  Then it stays.
sub taken
{
	my ($user, %o) = @_;
	my $client = $rooms->client(claims => { sub => $user }, %o);
	my $what = $client->wait_for(sub { $_[0]{is} eq 'connect' || $_[0]{is} eq 'connect_error' });
	return $client if $what->{is} eq 'connect';
	is_deeply([@$what{qw(message data)}], ['Too many connections', { code => 'too_many_connections' }], "refused for $user");
	$client->disconnect;
	$refused++;
	return;
}

# Ends one of ada's two connections: there is room for one more, and no more.
sub ends
{
	my ($how, $user, %o) = @_;
	$o{client} //= taken($user, options => { reconnection => JSON::PP::false }, %{ $o{open} // {} });
	my $other = taken($user);
	ok(!taken($user), "two connections of $user, and no third") if $o{client} && $other;
	# The counters come once a second: see both before one ends.
	$node->poll_query_until('postgres', "SELECT value = 2 FROM rooms.stats WHERE name = 'sockets'") or die 'they are not counted';
	$o{end}->($o{client});
	$node->poll_query_until('postgres', "SELECT value = 1 FROM rooms.stats WHERE name = 'sockets'") or die 'it did not end';
	my $more = taken($user);
	ok($more && !taken($user), "the count goes down: $how");
	$_->disconnect for $other, $more;
	counts('sockets', 0, '... and to nothing');
}

ends('the client disconnects', 'ada', end => sub { $_[0]->disconnect });
ends('... over polling', 'bob', open => { transports => ['polling'] }, end => sub { $_[0]->disconnect });
ends('its transport is cut', 'cyd', end => sub { $_[0]->cut });
ends('disconnect_sockets', 'dan', end => sub { $rooms->sql("SELECT rooms.disconnect_sockets(sid) FROM (VALUES ('$_[0]{sid}')) AS t (sid)") },
	client => do {
		my $dan = $rooms->client(claims => { sub => 'dan' });
		$dan->{sid} = $dan->wait_for('connect')->{sid};
		$dan;
	});
my $process = Rooms::Driver->new;
ends('its process is killed', 'eve', open => { driver => $process }, end => sub { $process->kill('KILL') });
$rooms->configure("pg_rooms.ping_interval = '300ms'\npg_rooms.ping_timeout = '300ms'\n");
my $frozen = Rooms::Driver->new;
my $gus = taken('gus', driver => $frozen);
$rooms->configure("pg_rooms.ping_interval = '25s'\npg_rooms.ping_timeout = '20s'\n");
ends('it answers no ping', 'gus', client => $gus, end => sub { $frozen->kill('STOP') });
$frozen->kill('KILL');
is($rooms->stat('disconnect_ping_timeout'), 1, '... which was the reason');

my @hals = map { taken('hal', nsp => $_, options => { forceNew => JSON::PP::false }) } '/', '/admin';
push @hals, taken('hal');
ok(@hals == 3 && !taken('hal'), 'namespaces of one connection count as one');
counts('refused_max_connections_per_user', $refused, 'each refusal is counted');

$_->disconnect for @hals;

# ---- connections of one address, and who says which it is ----

my $http = HTTP::Tiny->new(timeout => $Rooms::TIMEOUT, keep_alive => 0);
my $poll = $rooms->url . '/socket.io/?EIO=4&transport=polling';

# A handshake over polling, with this X-Forwarded-For: what its client is told.  It ends at once.
sub handshake
{
	my ($forwarded) = @_;
	my $answer = $http->get($poll, { headers => { defined $forwarded ? ('X-Forwarded-For' => $forwarded) : () } });
	return "$answer->{status} " . join ' ', @{ $Rooms::JSON->decode($answer->{content}) }{qw(code message)} if $answer->{status} =~ /^4/;
	my $sid = $Rooms::JSON->decode(substr $answer->{content}, 1)->{sid};
	$http->post("$poll&sid=$sid", { content => '1', headers => { 'Content-Type' => 'text/plain' } });
	return $answer->{status};
}

my $full = '429 4 Too many connections from this address';
sub from { my ($forwarded, %o) = @_; return $rooms->client(claims => { sub => "of $forwarded" }, options => { extraHeaders => { 'X-Forwarded-For' => $forwarded } }, %o) }

counts('connections', 0, 'nobody is there');
$rooms->configure("pg_rooms.max_connections_per_user = 0\npg_rooms.max_connections_per_ip = 3\npg_rooms.trusted_proxies = '10.0.0.0/8'\n");
my @clients = (from('192.0.2.1'), from('192.0.2.2', transports => ['polling']), from('192.0.2.3', driver => $process = Rooms::Driver->new));
$_->wait_for('connect') for @clients;
is(handshake(), $full, 'an address has so many connections');
is(handshake('192.0.2.4'), $full, '... and cannot pretend to be another one, whose X-Forwarded-For is nobody\'s business');
is(handshake('10.0.0.1'), $full, '... not even a proxy');
is_deeply($clients[0]->ask('my-address'), ['127.0.0.1'], '... nor to the handlers');
is($rooms->client(claims => { sub => 'x' }, transports => ['polling'], options => { reconnection => JSON::PP::false })
	->wait_for('connect_error')->{message}, 'xhr poll error', '... which is a connect_error to a stock client');
counts('refused_max_connections_per_ip', 4, '... and each refusal is counted');

$process->kill('KILL');
counts('connections', 2, 'a client whose process is killed is gone');
is(handshake(), 200, '... and makes room for another');
$clients[0]->disconnect;
$clients[1]->disconnect;
counts('connections', 0, 'those that leave are gone');

$rooms->configure("pg_rooms.trusted_proxies = '127.0.0.1, 10.0.0.0/8'\npg_rooms.max_connections_per_ip = 2\n");
@clients = (from('192.0.2.1'), from('198.51.100.7, 192.0.2.1'), from('192.0.2.2'));
$_->wait_for('connect') for @clients;
is(handshake('192.0.2.1'), $full, 'behind a proxy each client has its own count');
is(handshake('192.0.2.2'), 200, '... another one has room');
is(handshake('192.0.2.99, 192.0.2.1'), $full, '... and what a client claims of itself, on the left, does not count');
is(handshake('192.0.2.1, 10.1.2.3'), $full, '... nor does a further proxy');
is(handshake('::ffff:192.0.2.1'), $full, '... nor another form of it');
is_deeply($clients[1]->ask('my-address'), ['192.0.2.1'], 'handlers see the same address');
is(handshake(), 200, 'the proxy itself may connect');
$_->disconnect for @clients;
counts('connections', 0, 'all are gone');

# ---- handshakes ----

$rooms->configure("pg_rooms.max_connections_per_ip = 1000\npg_rooms.max_handshakes_per_second = 3\n");
my $before = $rooms->stat('refused_max_handshakes_per_second');
my %answers;
$answers{ handshake('192.0.2.8') }++ for 1 .. 30;
is(join(', ', sort keys %answers), '200, 429 4 Too many handshakes from this address', 'an address has so many handshakes in a second');
cmp_ok($answers{200}, '>=', 3, '... which are taken');
is(handshake('192.0.2.9'), 200, '... another address is not concerned');
counts('refused_max_handshakes_per_second', $before + 30 - $answers{200}, '... and each refusal is counted');

$rooms->configure("pg_rooms.max_handshakes_per_second = 100\npg_rooms.max_pending_handshakes = 2\n");
sub dial { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) // die $! }
my @idle = map { dial() } 1 .. 3;
is(sysread($idle[2], my $nothing, 1), 0, 'so many connections may wait for their first request, one more is closed');
counts('refused_max_pending_handshakes', 1, '... and counted');
close $idle[0];
print { $idle[1] } "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
ok(sysread($idle[1], my $answer, 4096), 'one of them asks');
is(handshake(), 200, '... and is not one of those any more');

# ---- events and bytes of one connection ----

my %too_many = map { ($_ => { event => 'run', message => "too many $_", code => 'rate_limited' }) } qw(events bytes);
my %refusal = map { ($_ => { message => "too many $_", code => 'rate_limited' }) } qw(events bytes);
$rooms->configure("pg_rooms.max_pending_handshakes = 1000\npg_rooms.max_events_per_second = 5\npg_rooms.max_bytes_per_second = 1000000\n");
my $ivy = $rooms->client(claims => { sub => 'ivy' });
$ivy->wait_for('connect');
$ivy->tell('run', $_) for 1 .. 20;
my @refused = grep { @$_ } map { $ivy->answer } 1 .. 20;
is_deeply([ map { $_->[0]{error} } @refused ], [ ($refusal{events}) x @refused ], 'events over the rate are refused');
cmp_ok(scalar @refused, '>', 5, '... of twenty at once many are');
is($rooms->sql('SELECT count(*) FROM ran'), 20 - @refused, '... and were not run');
is_deeply($ivy->event, ['error', $too_many{events}], '... which an event says, too');
counts('refused_max_events_per_second', scalar @refused, '... and a counter');
$rooms->configure("pg_rooms.max_events_per_second = 100\npg_rooms.max_bytes_per_second = 1000\n");
is_deeply($ivy->ask('run', 'x' x 30000), [], 'one large event passes');
is_deeply($ivy->ask('run', 'x'), [ { error => $refusal{bytes} } ], '... the next one would be too many bytes');
counts('refused_max_bytes_per_second', 1, '... and is counted');
$ivy->disconnect;

my $flood = $rooms->client(claims => { sub => 'flo' }, options => { reconnection => JSON::PP::false });
$flood->wait_for('connect');
$flood->emit('run', 1) for 1 .. 3000;
is($flood->wait_for('disconnect')->{reason}, 'transport close', 'ten times the rate, and the connection is closed');
counts('disconnect_flood', 1, '... and counted');
counts('connections', 0, '... and gone');

# ---- rooms, namespaces, names ----

$rooms->configure("pg_rooms.max_bytes_per_second = '4MB'\npg_rooms.max_rooms_per_socket = 4\npg_rooms.max_namespaces_per_connection = 1\n");
my %shared = (claims => { sub => 'jon' }, driver => Rooms::Driver->new, options => { forceNew => JSON::PP::false });
my $jon = $rooms->client(%shared);
my $jons = $jon->wait_for('connect')->{sid};
is_deeply([ map { $jon->ask('room:join', "r:$_") } 1, 2 ], [ [], [] ], 'rooms up to the limit');
is($jon->ask('room:join', 'r:3')->[0]{error}{code}, 'too_many_rooms', '... and no more');
$rooms->sql("SELECT rooms.sockets_join('$jons', ARRAY['given'])");
$rooms->sql("SELECT rooms.emit('given', 'hello')");
is_deeply($jon->wait_for(sub { $_[0]{is} eq 'event' && $_[0]{args}[0] ne 'error' })->{args}, ['hello'], '... but those that SQL gives');
is($rooms->client(%shared, nsp => '/admin')->wait_for('connect_error')->{data}{code}, 'too_many_namespaces', 'namespaces of one connection');
is($jon->ask('e' x 256)->[0]{error}{code}, 'name_too_long', 'names of events');
is($jon->ask('room:join', 'r:' . 'x' x 254)->[0]{error}{code}, 'name_too_long', 'names of rooms');
counts($_, 1, "counted: $_")
	for qw(refused_max_rooms_per_socket refused_max_namespaces_per_connection refused_event_name refused_room_name);

done_testing();

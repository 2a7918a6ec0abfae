# Limits: what is over them is refused with a stable code and message and
# counted, and counts go down again however a connection ends.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => <<'CONF');
pg_rooms.namespaces = '/,/admin'
pg_rooms.max_connections_per_user = 2
CONF
my $node = $rooms->node;

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

my $hal = taken('hal', options => { forceNew => JSON::PP::false });
my $admin = taken('hal', nsp => '/admin', options => { forceNew => JSON::PP::false });
ok($hal && $admin && taken('hal') && !taken('hal'), 'namespaces of one connection count as one');
counts('refused_max_connections_per_user', $refused, 'each refusal is counted');

done_testing();

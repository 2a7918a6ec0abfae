# The whole path: a committed transaction reaches the browser, and nothing else does.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main');
my $node = $rooms->node;

my $alice = $rooms->client(claims => { sub => 'alice', tenant_id => 1 }, transports => ['websocket']);
my $bob = $rooms->client(claims => { sub => 'bob', tenant_id => 1 }, transports => ['websocket']);
my $carol = $rooms->client(claims => { sub => 'carol', tenant_id => 2 }, transports => ['websocket']);
$_->wait_for('connect') for $alice, $bob, $carol;

$rooms->sql(q{SELECT rooms.notify_user('alice', '{"id": 1, "text": "grüße ☃"}')});
is_deeply($alice->event, [ 'notification:new', { id => 1, text => "gr\x{fc}\x{df}e \x{2603}" } ], 'notify_user reaches its user');

$rooms->sql(q{SELECT rooms.notify_tenant(1, '{"n": 2}')});
is_deeply($_->event, [ 'tenant:event', { n => 2 } ], 'notify_tenant reaches the tenant') for $alice, $bob;

$rooms->sql(q{BEGIN; SELECT rooms.emit_all('never'); ROLLBACK});
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('one', '1'); SAVEPOINT s; SELECT rooms.emit_all('never');
	ROLLBACK TO s; SELECT rooms.emit_all('two', '[]', 'null', '"x"'); COMMIT});
for my $client ($alice, $bob, $carol)
{
	is_deeply($client->event, [ 'one', 1 ], 'what was rolled back is not sent, what committed is');
	is_deeply($client->event, [ 'two', [], undef, 'x' ], '... in order, with any arguments');
}

# An open transaction and a session outlive the gateway's death.
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT rooms.notify_user('alice', '{"n": 3}')});
my $backend = $session->query_safe('SELECT pg_backend_pid()');
my $started = $rooms->sql('SELECT pg_postmaster_start_time()');
my $gateway = $rooms->pid_of('gateway');
# (AddressSanitizer would report a SEGV as a finding.)
for my $signal ('KILL', $ENV{ROOMS_VARIANT} eq 'asan' ? 'ABRT' : 'SEGV')
{
	kill $signal, $gateway;
	$_->wait_for('disconnect') for $alice, $bob, $carol;
	$_->wait_for('connect') for $alice, $bob, $carol;
	$gateway = $rooms->pid_of('gateway', $gateway);
}
is($session->query_safe('SELECT pg_backend_pid()'), $backend, 'backends survive a killed and a crashed gateway');
$session->query_safe('COMMIT');
is_deeply($alice->event, [ 'notification:new', { n => 3 } ], 'an event committed after the crash reaches the new gateway');
is($rooms->sql('SELECT pg_postmaster_start_time()'), $started, 'the server was not restarted');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/terminating any other active server processes/, 'no crash recovery');
$session->quit;

$rooms->sql(q{SELECT rooms.emit_all('last')});
is_deeply([ $_->events_until('last') ], [], 'nobody received anything else') for $alice, $bob, $carol;

$node->stop('fast');
ok(!kill(0, $gateway), 'no gateway is left after a fast stop');
done_testing();

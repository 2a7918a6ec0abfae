# No death of any process hurts the database or leaves anything behind.
use strict;
use warnings;
use Rooms;
use IO::Socket::INET;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time usleep);

my $rooms = Rooms->new('main');
my $node = $rooms->node;

# Waits for a process to be gone; the kernel tells, at most $seconds long.
sub gone
{
	my ($pid, $seconds) = @_;
	my $end = time + $seconds;
	while (kill 0, $pid)
	{
		return 0 if time > $end;
		usleep(10_000);
	}
	return 1;
}

# Seconds from the request of a fast stop to the end of the worker, as the log behind $from has them.
sub delay
{
	my ($from) = @_;
	my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $from);
	my ($begin, $end) = map { $log =~ /^\S+ (\d+):(\d+):(\d+\.\d+) .*$_/m ? $1 * 3600 + $2 * 60 + $3 : die "no '$_' in: $log" }
	  'received fast shutdown request', 'background worker "pg_rooms worker" .* exited with exit code 1';
	my $delay = $end - $begin + ($end < $begin ? 86400 : 0);
	note("the worker ended after $delay s");
	return $delay;
}

my $client = $rooms->client(claims => { sub => 'alice' }, transports => ['websocket']);
$client->wait_for('connect');
my ($worker, $gateway) = ($rooms->pid_of('worker'), $rooms->pid_of('gateway'));
is($rooms->sql("SELECT backend_type FROM pg_stat_activity WHERE pid = $worker"), 'pg_rooms worker',
	'the worker is visible in pg_stat_activity');

# ---- SIGTERM to the worker: it comes back with a new gateway ----
kill 'TERM', $worker;
$client->wait_for('disconnect');
$client->wait_for('connect');
isnt($rooms->pid_of('worker', $worker), $worker, 'a terminated worker is restarted');
ok(gone($gateway, 5), '... and its gateway went with it');

# ---- a hung gateway is replaced ----
$gateway = $rooms->pid_of('gateway', $gateway);
kill 'STOP', $gateway;
my $begin = time;
$rooms->pid_of('gateway', $gateway);
cmp_ok(time - $begin, '<', 15, 'a stopped gateway is replaced within 15 s');
ok(gone($gateway, 5), '... and reaped');
$client->wait_for('disconnect');
$client->wait_for('connect');

# ---- the 79 bytes that hang libwebsockets 4.1.6 ----
$gateway = $rooms->pid_of('gateway');
my $attack = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) or die;
print $attack "GET /x HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
$attack->flush;
{ local $/; my $answer = <$attack>; }    # to its end: the gateway hangs up
$rooms->sql(q{SELECT rooms.notify_user('alice', '{"still": "here"}')});
is_deeply($client->event, [ 'notification:new', { still => 'here' } ], 'a pipelined request with a body does not hang the gateway');
is($rooms->pid_of('gateway'), $gateway, '... which is the same as before');

# ---- DROP DATABASE is not delayed, with the worker busy ----
# A session commits messages without a pause until it is told to end.
my $load = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', q{DO $$ BEGIN LOOP
	PERFORM rooms.emit('nobody', 'load', to_jsonb(g)) FROM generate_series(1, 100) g; COMMIT; END LOOP; END $$} ], '<', \undef, '>&', '/dev/null');
my $delivered = q{SELECT value FROM rooms.stats WHERE name = 'bus_transactions'};
$node->poll_query_until('postgres', "SELECT ($delivered) > 1000") or die 'no load';
for my $n (1 .. 5)
{
	my $before = $rooms->sql($delivered);
	my $begin = time;
	$node->safe_psql('postgres', $_, timeout => $Rooms::TIMEOUT) for 'CREATE DATABASE other', 'DROP DATABASE other';
	cmp_ok(time - $begin, '<', 10, "CREATE and DROP DATABASE are not held up by a busy worker ($n)");
	cmp_ok($rooms->sql($delivered), '>', $before, '... which has been busy');
}
$rooms->sql(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE 'DO %'});
$load->finish;

# ---- stops ----
for my $how ('fast', 'immediate', 'fast, with a hung gateway')
{
	$gateway = $rooms->pid_of('gateway');
	kill 'STOP', $gateway if $how =~ /hung/;
	my $from = -s $node->logfile;
	$begin = time;
	$node->stop($how =~ /(\w+)/);
	cmp_ok($how =~ /fast/ ? delay($from) : time - $begin, '<', 2, "a stop ($how) is held up by a second at most");
	ok(gone($gateway, 2), '... and leaves no gateway');
	$node->start;
}
# It may connect to a server that is about to stop: the last connect counts.
$rooms->wait_until_serving;
my $back;
do { $rooms->sql(q{SELECT rooms.emit_all('back')}); $back = $client->wait_for(sub { 1 }) } until $back->{is} eq 'event';
is($back->{args}[0], 'back', 'a client came back by itself through all of it');

$gateway = $rooms->pid_of('gateway');
my ($postmaster) = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
kill 'KILL', $postmaster;
ok(gone($gateway, 5), 'kill -9 of the postmaster leaves no gateway');
$node->{_pid} = undef;    # its pid file is left, as kill -9 does
done_testing();

# Reconnect storm: a server has restarted and all of its clients come back in
# the same moment.  All of them get in, and the database sees no more than
# max_handler_calls_per_second meanwhile.
#
#   CLIENTS=n   how many (10000)
#   RATE=n      max_handler_calls_per_second (1000)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../t";
use Rooms;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);

my $clients = $ENV{CLIENTS} || 10000;
my $rate = $ENV{RATE} || 1000;
my $rooms = Rooms->new('main', handlers => 1, conf => <<"CONF");
pg_rooms.max_connections = @{[ $clients + 10 ]}
pg_rooms.max_connections_per_user = 0
pg_rooms.max_connections_per_ip = 0
pg_rooms.max_handshakes_per_second = 0
pg_rooms.max_pending_handshakes = 0
pg_rooms.max_handler_calls_per_second = $rate
pg_rooms.connect_timeout = '@{[ 45 + int(2 * $clients / $rate) ]}s'
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE FUNCTION arrive(e rooms.event) RETURNS text[] LANGUAGE sql AS $$SELECT ARRAY['team:' || e.user_id]$$;
SELECT rooms.on_connect('arrive');
SQL
my $load = PostgreSQL::Test::Utils::tempdir() . '/sioload';
system('cc', '-O2', '-w', '-o', $load, "$FindBin::RealBin/../bench/sioload.c") == 0 or die 'sioload was not built';

my $log = -s $node->logfile;
$node->restart;
$node->wait_for_log(qr/gateway is ready/, $log);
my $begin = time;
my ($out, $err) = ('', '');
my $run = IPC::Run::start([ $load, '--port', $rooms->port, '--jwt-secret', $Rooms::SECRET, '--conns', $clients, '--inflight', $clients,
		'--connect-timeout', 60 + 2 * $clients / $rate, '--duration', 0.1, '--settle', 0 ], '>', \$out, '2>', \$err);

# The counter as the gateway last told it, once a second: how far it moved.
my ($calls, $most) = (0, 0);
while ($calls < $clients && time < $begin + 120 + 4 * $clients / $rate)
{
	$run->pump_nb if $run->pumpable;
	my $now = $rooms->sql(qq{SELECT pg_sleep(0.1); SELECT value FROM rooms.stats WHERE name = 'handler_calls'}) =~ s/\s+//gr;
	next if $now == $calls;
	$most = $now - $calls if $now - $calls > $most && $calls > 0;
	$calls = $now;
}
my $all = time - $begin;
$run->finish;
note($err);
my $result = $Rooms::JSON->decode($out);
is($result->{ready}, $clients, 'all clients are back');
is($result->{auth_fail} + $result->{errors}, 0, '... none was refused');
is($calls, $clients, '... on_connect ran once for each');
cmp_ok($calls, '<=', $rate * ($all + 1), '... and no faster than the setting');
diag(sprintf 'storm: %d clients were back in %.1f s; most calls between two reports, which are a second apart: %d, of %d', $clients, $result->{connect_s}, $most, $rate);
# Two reports are a second and some scheduling apart, and a second's worth may wait.
cmp_ok($most, '<=', 2.2 * $rate, '... in no second');
done_testing();

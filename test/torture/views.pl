# The views while many clients are connected and messages go out: their rows
# are right, they are there at once, and no message waits for them.
#
#   CLIENTS=n   how many (10000)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../t";
use Rooms;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);

my $clients = $ENV{CLIENTS} || 10000;
my $rooms = Rooms->new('main', conf => <<"CONF");
pg_rooms.max_connections = @{[ $clients + 10 ]}
pg_rooms.max_connections_per_ip = 0
pg_rooms.max_handshakes_per_second = 0
pg_rooms.max_pending_handshakes = 0
CONF
my $load = PostgreSQL::Test::Utils::tempdir() . '/sioload';
system('cc', '-O2', '-w', '-o', $load, "$FindBin::RealBin/../bench/sioload.c") == 0 or die 'sioload was not built';
$rooms->wait_until_serving;
my $run = IPC::Run::start([ $load, '--port', $rooms->port, '--jwt-secret', $Rooms::SECRET, '--conns', $clients, '--duration', 3600 ],
	'>', \my $out, '2>', \my $err);
END { my $status = $?; $run->kill_kill if $run; $? = $status }
$rooms->node->poll_query_until('postgres', "SELECT value = $clients FROM rooms.stats WHERE name = 'sockets'") or die $err;

is($rooms->sql('SELECT count(*), count(DISTINCT sid), count(DISTINCT user_id), min(cardinality(rooms)), max(cardinality(rooms)) FROM rooms.sockets'),
	"$clients|$clients|$clients|3|3", 'rooms.sockets has each client once');
is($rooms->sql(q{SELECT count(*), sum(sockets), max(sockets) FROM rooms.rooms}), join('|', 2 * $clients + 1, 3 * $clients, $clients), 'rooms.rooms has all of their rooms');

# Median of 25 answers, in milliseconds.
sub median
{
	my ($sql) = @_;
	my $statements = join '', map { "SELECT clock_timestamp() AS t \\gset\nSELECT count(*) FROM ($sql) s \\g /dev/null\nSELECT extract(epoch FROM clock_timestamp() - :'t') * 1000;\n" } 1 .. 25;
	return (sort { $a <=> $b } split /\n/, $rooms->sql($statements))[12];
}

# From COMMIT to the sending of 200 messages, 100 a second: their mean in milliseconds.
sub latency
{
	my $read = q{SELECT string_agg(value::text, ' ' ORDER BY name) FROM rooms.stats WHERE name IN ('latency_count', 'latency_sum_us')};
	my ($count, $sum) = split / /, $rooms->sql($read);
	$rooms->sql(q{DO $$ BEGIN FOR i IN 1 .. 200 LOOP PERFORM rooms.notify_user(i, '{}'); COMMIT; PERFORM pg_sleep(0.01); END LOOP; END $$});
	$rooms->node->poll_query_until('postgres', "SELECT value = $count + 200 FROM rooms.stats WHERE name = 'latency_count'") or die;
	my (undef, $later) = split / /, $rooms->sql($read);
	return ($later - $sum) / 200 / 1000;
}

my %median = map { ($_ => median("SELECT * FROM rooms.$_")) } qw(sockets rooms stats);
cmp_ok($median{$_}, '<', 100, "rooms.$_ answers within 100 ms") for sort keys %median;

# One session asks without a pause.
my $quiet = latency();
$rooms->sql('CREATE TABLE enough ()');
my $asking = IPC::Run::start([ 'psql', '-XAt', '-d', $rooms->node->connstr('postgres'), '-c', q{DO $$ DECLARE n int := 0; BEGIN
	WHILE NOT EXISTS (SELECT FROM enough) LOOP PERFORM count(*) FROM rooms.sockets; COMMIT; n := n + 1; END LOOP;
	RAISE NOTICE 'asked % times', n; END $$} ], '<', \undef, '>', \my $said, '2>', \my $asked, IPC::Run::timeout(2 * $Rooms::TIMEOUT));
my $busy = latency();
$rooms->sql('INSERT INTO enough DEFAULT VALUES');
$asking->finish;
like($asked, qr/asked [1-9]\d+ times/, 'a session asks all the time');
cmp_ok($busy, '<', $quiet + 10, '... and messages do not wait for it');
diag(sprintf 'views: %d clients; sockets in %.0f ms, rooms in %.0f ms, stats in %.1f ms; COMMIT to send %.2f ms, %.2f ms with a session that %s',
	$clients, @median{qw(sockets rooms stats)}, $quiet, $busy, $asked =~ /(asked \d+ times)/);
done_testing();

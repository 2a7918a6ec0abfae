# Who is connected and what the gateway has done: the views, the log and /metrics.
use strict;
use warnings;
use Rooms;
use HTTP::Tiny;
use IPC::Run ();
use Test::More;

my $rooms = Rooms->new('main', conf => "pg_rooms.namespaces = '/, /admin'\n");
my $node = $rooms->node;
my $dir = PostgreSQL::Test::Utils::tempdir();
$rooms->wait_until_serving;

# A session of its own that runs one query.
sub background
{
	my ($sql) = @_;
	my %s = (out => '', err => '');
	$s{run} = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$s{out}, '2>', \$s{err}, IPC::Run::timeout($Rooms::TIMEOUT));
	return \%s;
}

sub finish { my ($s) = @_; $s->{run}->finish; return $s->{out} . $s->{err} }

# Waits until some sessions run a query on the views, and gives their pids.
sub asking
{
	my ($count) = @_;
	my $asking = q{FROM pg_stat_activity WHERE query LIKE '%rooms.sockets /* ask */%' AND pid <> pg_backend_pid()
		AND wait_event_type IS NOT NULL AND state = 'active'};
	$node->poll_query_until('postgres', "SELECT count(*) = $count $asking") or die 'nobody asks';
	return split /\n/, $rooms->sql("SELECT pid $asking ORDER BY query_start");
}

# ---- who is connected ----
is($rooms->sql('SELECT count(*) FROM rooms.sockets'), 0, 'nobody is connected');
my $ada = $rooms->client(claims => { sub => 'ada', tenant_id => 7 }, transports => ['websocket']);
my $bob = $rooms->client(claims => { sub => 'bob' }, transports => ['polling'], nsp => '/admin');
my %sid = (ada => $ada->wait_for('connect')->{sid}, bob => $bob->wait_for('connect')->{sid});
is($rooms->sql(q{SELECT user_id, tenant_id, namespace, transport, address, queued_bytes, array_to_string(ARRAY(SELECT r FROM unnest(rooms) r
	WHERE r <> sid ORDER BY r), ',') FROM rooms.sockets ORDER BY user_id}),
	"ada|7|/|websocket|127.0.0.1|0|tenant:7,user:ada\nbob||/admin|polling|127.0.0.1|0|user:bob", 'rooms.sockets tells of each socket');
is($rooms->sql(qq{SELECT count(*) FROM rooms.sockets WHERE (user_id, sid) IN (('ada', '$sid{ada}'), ('bob', '$sid{bob}')) AND sid = ANY (rooms)
	AND connected_at BETWEEN now() - interval '1 min' AND now() AND last_seen BETWEEN connected_at - interval '1 s' AND clock_timestamp()}),
	2, '... its sid and times');
my $before = $rooms->sql(q{SELECT messages_out, bytes_out FROM rooms.sockets WHERE user_id = 'ada'});
$rooms->sql(q{SELECT rooms.emit('tenant:7', 'x', to_jsonb(repeat('y', 1000)))});
$ada->event;
my ($messages, $bytes) = split /\|/, $before;
like($rooms->sql(q{SELECT messages_out, bytes_out FROM rooms.sockets WHERE user_id = 'ada'}),
	qr/^@{[$messages + 1]}\|@{[$bytes + 1014]}$/, '... and what it was sent');
is($rooms->sql(q{SELECT namespace, room, sockets FROM rooms.rooms WHERE room LIKE 'user:%' ORDER BY 2}),
	"/|user:ada|1\n/admin|user:bob|1", 'rooms.rooms tells of each room');

# ---- counters ----
$node->poll_query_until('postgres', q{SELECT count(*) = 5 FROM rooms.stats WHERE (name, value) IN (('emits', 1), ('deliveries', 1), ('handshakes', 2),
	('connects', 2), ('latency_count', 1))}) or die $rooms->sql('SELECT * FROM rooms.stats');
is($rooms->sql(q{SELECT string_agg(name, ',' ORDER BY name) FROM rooms.stats WHERE value NOT BETWEEN 1 AND 60000000
	AND name IN ('messages_in', 'messages_out', 'bytes_in', 'bytes_out', 'latency_p50_us', 'latency_p99_us', 'latency_sum_us', 'gateway_starts')}), '',
	'rooms.stats counts what came and went, and how long it took from COMMIT');
$node->poll_query_until('postgres', q{SELECT value < 10000000 FROM rooms.stats WHERE name = 'bus_lag_bytes'}) or die;
my %documented = map { $_ => 1 } PostgreSQL::Test::Utils::slurp_file("$Rooms::CLIENT_DIR/../../README.md") =~ /^\| `(\w+)` \|/mg;
is_deeply([ grep { !$documented{$_} } split /\n/, $rooms->sql('SELECT name FROM rooms.stats') ], [], '... and README tells what each is');

# ---- the log ----
my $log = $node->logfile;
sub log_since { my ($from) = @_; return substr PostgreSQL::Test::Utils::slurp_file($log), $from }
my $from = -s $log;
$rooms->configure("pg_rooms.log_connections = on\npg_rooms.stats_interval = '1s'\n");
my $token = Rooms::token(sub => "eve\" user=\"root", tenant_id => 3);
my $eve = $rooms->client(token => $token, transports => ['websocket'], options => { extraHeaders => { Authorization => "Bearer $token" } });
my $sid = $eve->wait_for('connect')->{sid};
$node->wait_for_log(qr/gateway: connected: sid=$sid address=127\.0\.0\.1 namespace=\/ transport=websocket user="eve\\" user=\\"root" tenant="3"/, $from);
$eve->disconnect;
$node->wait_for_log(qr/gateway: disconnected: sid=$sid address=127\.0\.0\.1 namespace=\/ reason="client namespace disconnect" duration=\d+\.\d{3} s user="eve/, $from);
$node->wait_for_log(qr/pg_rooms: room_stats: connections=\d+ .* handshakes=1 .* latency_p50_us=\d+ .*bus_lag_bytes=\d+$/m, $from);
my ($signature) = $token =~ /([^.]+)$/;
unlike(log_since($from), qr/\Q$signature\E/, 'connects, disconnects and statistics are logged, tokens are not');
$rooms->configure("pg_rooms.log_connections = off\npg_rooms.stats_interval = 0\n");
$from = -s $log;
$eve->connect;
$eve->wait_for('connect');
$eve->disconnect;
$rooms->configure("pg_rooms.jwt_leeway = '31s'\n");
unlike(log_since($from), qr/connected:|room_stats/, '... unless they are switched off');

# ---- /metrics ----
my $http = HTTP::Tiny->new(timeout => $Rooms::TIMEOUT);
my $secret = 'a-token-of-the-tests';
sub metrics { my ($authorization) = @_; return $http->get($rooms->url . '/metrics', $authorization ? { headers => { Authorization => $authorization } } : {}) }
is(metrics("Bearer $secret")->{status}, 404, 'there is no /metrics by default');
$rooms->configure("pg_rooms.metrics_token = '$secret'\n");
is(join(' ', map { metrics($_)->{status} } undef, 'Bearer ', "Bearer x$secret", "Bearer $token", "Bearer $secret"), '401 401 401 401 200', '/metrics needs its token');
my $metrics = metrics("Bearer $secret");
like($metrics->{content}, qr/^pg_rooms_sockets 2\n.*^pg_rooms_emits_total 1\n.*^pg_rooms_commit_to_send_seconds_count 1\n.*^pg_rooms_gateway_starts_total 1\n/ms,
	'... and tells of the gateway and the worker');
is($metrics->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', '... as Prometheus wants it');
is($rooms->sql('SHOW pg_rooms.metrics_token'), '********', 'the token is not shown');
unlike(log_since(0), qr/$secret/, '... nor logged');
SKIP:
{
	skip 'no promtool, which deps.sh fetches', 1 unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
	PostgreSQL::Test::Utils::append_to_file("$dir/metrics", $metrics->{content});
	is(scalar `promtool check metrics < $dir/metrics 2>&1`, '', 'promtool has nothing to say');
}
$from = -s $log;
$node->append_conf('postgresql.conf', "pg_rooms.metrics_token = 'too short'\n");
$node->reload;
$node->wait_for_log(qr/could not use pg_rooms.metrics_token, the configuration stays as it was: it is shorter/, $from);
is(metrics("Bearer $secret")->{status}, 200, 'a bad token changes nothing');
$rooms->configure("pg_rooms.metrics_token = ''\n");
is(metrics("Bearer $secret")->{status}, 404, 'without one there is no /metrics');

# ---- larger than the ring, with a socket in many rooms ----
$rooms->sql(q{SELECT rooms.sockets_join('user:ada', ARRAY(SELECT 'room:' || g || repeat('x', 180) FROM generate_series(1, 4000) g))});
$node->poll_query_until('postgres', 'SELECT count(*) > 4000 FROM rooms.rooms') or die;
is($rooms->sql(q{SELECT count(*), count(DISTINCT room) FROM rooms.rooms WHERE room LIKE 'room:%' AND sockets = 1}), '4000|4000',
	'an answer of many slices comes whole');
is($rooms->sql(q{SELECT cardinality(rooms), (SELECT count(DISTINCT r) FROM unnest(rooms) r) FROM rooms.sockets WHERE user_id = 'ada'}), '4003|4003',
	'... as does a row');

# ---- several at once, and a gateway that does not answer ----
my $ask = 'SELECT count(*) FROM rooms.sockets /* ask */';
my @sessions = map { background($ask) } 1 .. 4;
is(finish($_), "2\n", 'several sessions may ask at once') for @sessions;

my $gateway = $rooms->pid_of('gateway');
kill 'STOP', $gateway;
my @asking = map { background($ask) } 1 .. 2;
my ($first) = asking(2);
$rooms->sql("SELECT pg_terminate_backend($first)");
my ($second) = asking(1);
kill 'KILL', $gateway;
my $said = join '', map { finish($_) } @asking;
like($said, qr/canceling statement|terminating connection/, 'one that waits for the gateway can be ended');
like($said, qr/the pg_rooms gateway does not answer: it does not run, or has just ended/, '... and hears of the end of the gateway');
$gateway = $rooms->pid_of('gateway', $gateway);
kill 'STOP', $gateway;
like(finish(background($ask)), qr/the pg_rooms gateway does not answer: nothing came for 5 s/, '... or that it does not answer');
kill 'CONT', $gateway;
$node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM rooms.sockets') or die;
pass('... until it does');

done_testing();

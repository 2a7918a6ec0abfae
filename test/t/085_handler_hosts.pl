# Where handlers run: by host names, and from a standby's gateway on the primary.
use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $primary = Rooms->new('primary', handlers => 1, init => { allows_streaming => 1 }, conf => "listen_addresses = '127.0.0.1'\npg_rooms.handler_timeout = '2s'\n");
my $node = $primary->node;
$node->backup('base');
my $standby_node = PostgreSQL::Test::Cluster->new('standby');
$standby_node->init_from_backup($node, 'base', has_streaming => 1);
my $standby = Rooms->adopt($standby_node);
$standby_node->append_conf('postgresql.conf', "listen_addresses = ''\npg_rooms.handler_conninfo = '" .
	sprintf("host=%s,%s port=%s,%s user=gateway target_session_attrs=read-write'\n",
		$standby_node->host, $node->host, $standby_node->port, $node->port));
$standby_node->start;

$primary->sql(<<'SQL');
CREATE TABLE written (n int);
GRANT INSERT ON written TO gateway;
CREATE FUNCTION work(n int) RETURNS int SECURITY DEFINER LANGUAGE sql AS
	$$INSERT INTO written VALUES (n); SELECT rooms.emit(rooms.current_sid(), 'done', to_jsonb(n)); SELECT n$$;
CREATE TABLE gone (who text);
GRANT INSERT ON gone TO gateway;
CREATE FUNCTION depart(reason text) RETURNS void LANGUAGE sql AS 'INSERT INTO gone VALUES (rooms.current_user_id())';
SELECT rooms.on_event('work', 'work'), rooms.on_disconnect('depart');
SQL
$node->wait_for_catchup($standby_node);

# A standby's gateway, by way of the primary; the bus comes by replication.
my $ada = $standby->client(claims => { sub => 'ada' });
$ada->wait_for('connect');
my $wrong = 0;
for my $n (1 .. 50)
{
	$ada->tell('work', $n);
	my $first = $ada->wait_for(sub { $_[0]{is} eq 'event' || $_[0]{is} eq 'ack' });
	$wrong++ if $first->{is} ne 'event' || $first->{args}[0] ne 'done' || $first->{args}[1] != $n;
	$ada->answer;
}
is($wrong, 0, 'what a handler emits comes before its acknowledgement, on the standby too');
is($primary->sql('SELECT count(*) FROM written'), 50, '... and it has run on the primary');

# Commands to sockets reach those of a standby, at their place among the messages.
$primary->sql(<<'SQL');
SELECT rooms.emit('desk', 'early');
SELECT rooms.sockets_join('user:ada', ARRAY['desk']), rooms.emit('desk', 'in');
SELECT rooms.sockets_leave('user:ada', ARRAY['desk']), rooms.emit('desk', 'out');
SELECT rooms.emit_all('end');
SQL
is_deeply([map { $_->[0] } $ada->events_until('end')], ['in'], "sockets_join and sockets_leave reach a standby's sockets");

sub wait_for_standby
{
	my ($name) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$name'");
	$node->reload;
	$node->poll_query_until('postgres', 'SHOW synchronous_standby_names', $name) or die;
}

# A leave is replayed there while its commit still waits for another standby, and so is not visible on the primary.
$primary->sql(<<'SQL');
CREATE TABLE member (room text);
GRANT SELECT ON member TO gateway;
INSERT INTO member VALUES ('desk');
CREATE FUNCTION may_join(room text) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM member m WHERE m.room = may_join.room)';
CREATE FUNCTION arrive() RETURNS void LANGUAGE sql AS '';
SELECT rooms.on_join('*', 'may_join'), rooms.on_connect('arrive');
SQL
$node->wait_for_catchup($standby_node);
is_deeply($ada->ask('room:join', 'desk'), [], 'a member joins');
wait_for_standby('missing');
my $revoker = $node->background_psql('postgres');
$revoker->query_until(qr/begun/, <<'SQL');
\echo begun
BEGIN;
DELETE FROM member;
SELECT rooms.sockets_leave('desk', ARRAY['desk']), rooms.emit('user:ada', 'revoked');
COMMIT;
SQL
is_deeply($ada->event, ['revoked'], 'the right is taken away');
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"), '... by a commit that hangs');
is($ada->ask('room:join', 'desk')->[0]{error}{code}, 'unavailable', '... and is not checked by what was before that');
my $dee = $standby->client(claims => { sub => 'dee' });
ok($standby_node->poll_query_until('postgres', "SELECT value > 0 FROM rooms.stats WHERE name = 'disconnect_forced'"), '... who connects is hung up on');
wait_for_standby('');
$revoker->quit;
is($ada->ask('room:join', 'desk')->[0]{error}{code}, 'forbidden', '... which has not become a member');
ok($dee->wait_for('connect'), '... and is let in when it comes again');
@{ $ada->{seen} } = ();
$primary->sql('SELECT rooms.off_connect()');

# Promoted, with its own server the only one that can write.
my $cyd = $standby->client(claims => { sub => 'cyd' });
$cyd->wait_for('connect');
$node->stop('immediate');
# While it is away: all that waits is answered in time, and on_disconnect stays.
$cyd->disconnect;
my $began = time;
$ada->tell('work', $_) for 1 .. 8;
is_deeply([map { $ada->answer->[0]{error}{code} } 1 .. 8], [('unavailable') x 8], 'without a database events are answered');
cmp_ok(time - $began, '<', 12, '... all of them in about handler_timeout');
$standby_node->promote;
$standby_node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
# Asks until it is not an error any more.
sub becomes
{
	my ($client, $n) = @_;
	my $end = time + $Rooms::TIMEOUT;
	my $answer;
	do { $answer = $client->ask('work', $n)->[0] } while (ref $answer && time < $end);
	return $answer;
}
is(becomes($ada, 51), 51, 'after a promotion handlers find the new primary');
ok($standby_node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM gone WHERE who = 'cyd')"), '... and on_disconnect runs of who left before');

# By name: looked up by the gateway; one address after the other is tried.
$node->append_conf('postgresql.conf', sprintf "pg_rooms.handler_conninfo = 'host=localhost port=%s user=gateway'\n", $node->port);
$node->start;
my $bob = $primary->client(claims => { sub => 'bob' });
is_deeply($bob->ask('work', 52), [52], 'a host name');
my $at = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_rooms.handler_conninfo = 'host=nowhere.invalid user=gateway'\n");
$node->reload;
$node->wait_for_log(qr/handlers cannot reach the database: could not look up host "nowhere.invalid"/, $at);
pass('a name that leads nowhere is said in the log');
$bob->event;
is($bob->ask('work', 53)->[0]{error}{code}, 'unavailable', '... and to the client');
$node->append_conf('postgresql.conf', sprintf "pg_rooms.handler_conninfo = 'host=nowhere.invalid,127.0.0.1 port=1,%s user=gateway'\n", $node->port);
$node->reload;
is(becomes($bob, 54), 54, 'one of several hosts is enough');

# One that takes connections and says nothing.
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Timeout => $Rooms::TIMEOUT) or die;
$node->append_conf('postgresql.conf', sprintf "pg_rooms.handler_conninfo = 'host=127.0.0.1,127.0.0.1 port=%s,%s user=gateway connect_timeout=2'\n",
	$silent->sockport, $node->port);
$node->reload;
ok(my $caller = $silent->accept, 'a host that is silent is tried');
is(becomes($bob, 55), 55, '... also when another one is silent');

# By TLS, with a certificate that the sandbox has to let be read.
my $dir = PostgreSQL::Test::Utils::tempdir();
system("openssl req -x509 -nodes -days 2 -subj /CN=localhost -newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectAltName=DNS:localhost"
	  . " -out $dir/server.crt -keyout $dir/server.key 2>$dir/openssl.log") == 0 or die PostgreSQL::Test::Utils::slurp_file("$dir/openssl.log");
$primary->sql('CREATE FUNCTION tls() RETURNS boolean LANGUAGE sql AS $$SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()$$');
$primary->sql("SELECT rooms.on_event('tls', 'tls')");
$node->append_conf('postgresql.conf', "ssl = on\nssl_cert_file = '$dir/server.crt'\nssl_key_file = '$dir/server.key'\n" . sprintf
	"pg_rooms.handler_conninfo = 'host=localhost port=%s user=gateway sslmode=verify-full sslrootcert=$dir/server.crt'\n", $node->port);
$node->reload;
$bob->wait_for('disconnect');
$bob->wait_for('connect');
is_deeply($bob->ask('tls'), [JSON::PP::true], 'by TLS, and the certificate is verified');

done_testing();

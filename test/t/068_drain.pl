# rooms.drain(): clients leave one by one, in a way that they come back, and no new ones are taken.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use Rooms;
use Test::More;
use Time::HiRes qw(time);

my $rooms = Rooms->new('main', handlers => 1);
my $node = $rooms->node;
my $gateway = $rooms->wait_until_serving;
my @clients = map { $rooms->client(claims => { sub => 'ada' }, transports => [ $_ % 2 ? 'polling' : 'websocket' ]) } 1 .. 10;
$_->wait_for('connect') for @clients;

my $begin = time;
$rooms->sql(q{BEGIN; SELECT rooms.drain('2 seconds'); ROLLBACK});
is($_->wait_for('disconnect')->{reason}, 'transport close', 'a client is closed without a DISCONNECT') for @clients;
cmp_ok(time - $begin, '>', 1.9, '... the last one when the interval is over');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
like($log, qr/the gateway is draining: it closes 10 connections within 2\.0 s/, '... as the log says');
$_->wait_for('connect_error') for @clients;
ok($node->poll_query_until('postgres', "SELECT value = 0 FROM rooms.stats WHERE name = 'connections'"), 'nobody is there any more');

my $http = HTTP::Tiny->new(timeout => $Rooms::TIMEOUT);
my $url = $rooms->url . '/socket.io/?EIO=4&transport=';
my %upgrade = (Connection => 'Upgrade', Upgrade => 'websocket', 'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');
sub answer { return join ' ', @{ $_[0] }{qw(status content)} }

# What a load balancer sees.
sub is_refused
{
	my ($what) = @_;
	is(answer($http->get($url . 'polling')), '503 {"code":4,"message":"Server is draining"}', "$what: a handshake over polling is refused");
	is(answer($http->get($url . 'websocket', { headers => {%upgrade} })), '503 Server is draining', '... and one over WebSocket');
}
is_refused('draining');
kill 'KILL', $gateway;
$rooms->pid_of('gateway', $gateway);
is_refused('a new gateway');
$begin = $rooms->stat('refused_draining');
ok($node->poll_query_until('postgres', "SELECT value > $begin FROM rooms.stats WHERE name = 'refused_draining'"), '... counted');

$rooms->sql('SELECT rooms.drain(NULL)');
ok($_->wait_for('connect'), 'a client has come back by itself') for @clients;
$rooms->sql(q{SELECT rooms.emit_all('here')});
is($_->event->[0], 'here', '... and hears again') for @clients;
$rooms->sql(q{SELECT rooms.drain('1 day')});
$node->wait_for_log(qr/within 86400\.0 s/);
$rooms->sql(q{SELECT rooms.drain(NULL), rooms.emit_all('still here')});
is($_->event->[0], 'still here', 'who was not closed yet stays when it ends') for @clients;
ok(!grep({ $_->{is} eq 'disconnect' } map { $_->seen } @clients), '... all along');

# ---- the rate at which handlers begin, which is for the time after it ----
$rooms->sql(q{CREATE FUNCTION hello(e rooms.event) RETURNS text LANGUAGE sql AS 'SELECT $$hello$$'; SELECT rooms.on_event('hello', 'hello')});
$rooms->configure("pg_rooms.max_handler_calls_per_second = 1\n");
$begin = time;
$_->tell('hello') for @clients[0 .. 2];
is_deeply($_->answer, ['hello'], 'a handler runs in its turn') for @clients[0 .. 2];
cmp_ok(time - $begin, '>=', 1.5, '... one each second');
$rooms->configure("pg_rooms.max_handler_calls_per_second = 0\n");
$_->tell('hello') for @clients;
is_deeply($_->answer, ['hello'], '... and without a limit at once') for @clients;

done_testing();

# Behind nginx, as examples/nginx has it: TLS, WebSocket, long-polling and the client's address.
use strict;
use warnings;
use Rooms;
use File::Basename qw(dirname);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time usleep);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $rooms = Rooms->new('main', conf => "pg_rooms.trusted_proxies = '127.0.0.1'\n");
my $node = $rooms->node;
$rooms->wait_until_serving;
my $port = PostgreSQL::Test::Cluster::get_free_port();
system("openssl req -x509 -nodes -days 2 -subj /CN=nginx -newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectAltName=IP:127.0.0.1"
	  . " -out $dir/cert.pem -keyout $dir/cert.key 2>$dir/openssl.log") == 0 or die PostgreSQL::Test::Utils::slurp_file("$dir/openssl.log");

# The example with the ports and files of this test.
my $conf = Rooms::readme('nginx');
for (['listen 443 ssl', "listen 127.0.0.1:$port ssl"], ['127.0.0.1:8080', '127.0.0.1:' . $rooms->port],
	['/etc/ssl/certs/app.example.com.pem', "$dir/cert.pem"], ['/etc/ssl/private/app.example.com.key', "$dir/cert.key"])
{
	my ($from, $to) = @$_;
	is($conf =~ s/\Q$from\E/$to/g, 1, "the example has its place for $to");
}
my $temp = join '', map { "${_}_temp_path $dir/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);
PostgreSQL::Test::Utils::append_to_file("$dir/nginx.conf",
	"daemon off;\npid $dir/nginx.pid;\nerror_log $dir/nginx.log;\nevents {}\nhttp {\naccess_log off;\n$temp$conf}\n");
my $nginx = fork // die "fork: $!";
exec '/usr/sbin/nginx', '-p', $dir, '-e', "$dir/nginx.log", '-c', "$dir/nginx.conf" or die "nginx: $!" if $nginx == 0;
END { my $status = $?; if ($nginx) { kill 'TERM', $nginx; waitpid $nginx, 0 } $? = $status }
my $until = time + $Rooms::TIMEOUT;
until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port))
{
	die PostgreSQL::Test::Utils::slurp_file("$dir/nginx.log") if time > $until || waitpid($nginx, 1) != 0;
	usleep(10_000);
}

# A stock client that comes from 127.0.0.2, as nginx sees it.
my $ca = PostgreSQL::Test::Utils::slurp_file("$dir/cert.pem");

sub client
{
	my ($user, $transports, %options) = @_;
	my $client = $rooms->client(claims => { sub => $user }, url => "https://127.0.0.1:$port", transports => $transports,
		options => { ca => $ca, reconnection => JSON::PP::false, %options });
	$client->wait_for('connect');
	return $client;
}
sub told { my ($user) = @_; return $rooms->sql("SELECT transport, address FROM rooms.sockets WHERE user_id = '$user'") }

my %clients = (ws => client('ws', ['websocket'], localAddress => '127.0.0.2'), poll => client('poll', ['polling']),
	both => client('both', [ 'polling', 'websocket' ]),
	liar => client('liar', ['websocket'], localAddress => '127.0.0.2', extraHeaders => { 'X-Forwarded-For' => '198.51.100.1' }));
is(told('ws'), 'websocket|127.0.0.2', 'the address of a client is its own, not that of nginx');
is(told('liar'), 'websocket|127.0.0.2', '... nor one that it claims to have');
is(told('poll'), 'polling|127.0.0.1', 'long-polling');
$node->poll_query_until('postgres', q{SELECT transport = 'websocket' FROM rooms.sockets WHERE user_id = 'both'}) or die;
pass('an upgrade from long-polling to WebSocket');
$rooms->sql("SELECT rooms.notify_user(user_id, to_jsonb(g)) FROM rooms.sockets, generate_series(1, 3) g");
is_deeply([ map { $clients{$_}->event->[1] } ($_) x 3 ], [ 1, 2, 3 ], "events arrive: $_") for sort keys %clients;

is(PostgreSQL::Test::Utils::slurp_file(dirname(__FILE__) . '/../../examples/nginx/pg_rooms.conf'), Rooms::readme('nginx'),
	'README shows the example as it is');
done_testing();

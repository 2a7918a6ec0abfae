# Every setting of README's table that is marked "reload" takes effect by a
# reload, and goes back by the next.
use strict;
use warnings;
use Rooms;
use Digest::SHA qw(hmac_sha256);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $other_secret = 'another-secret-for-tests-0123456789abcdef';
my $other_port = PostgreSQL::Test::Cluster::get_free_port();
# A ping tells that a connection has been left alone until then.
my $rooms = Rooms->new('main', conf => "pg_rooms.ping_interval = '1s'\npg_rooms.allowed_origins = 'http://a.example'\npg_rooms.namespaces = '/, /more'\n");
my $node = $rooms->node;
my $log = $node->logfile;
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->psql('other', 'CREATE EXTENSION pg_rooms');
$rooms->wait_until_serving;

PostgreSQL::Test::Utils::append_to_file("$dir/page.txt", 'page');
PostgreSQL::Test::Utils::append_to_file("$dir/secret", $other_secret);
PostgreSQL::Test::Utils::append_to_file("$dir/set",
	$Rooms::JSON->encode({ keys => [ { kty => 'oct', kid => 'k', k => encode_base64url($other_secret) } ] }));
system("openssl genrsa -out $dir/rsa 2048 2>/dev/null && openssl rsa -in $dir/rsa -pubout -out $dir/rsa.pub 2>/dev/null") == 0 or die 'openssl';

# A token that another key has signed, by HS256 or RS256.
sub token_of
{
	my (%header) = @_;
	my $text = join '.', map { encode_base64url($Rooms::JSON->encode($_)) } \%header, { sub => 'a', exp => int(time) + 3600 };
	return "$text." . encode_base64url(hmac_sha256($text, $other_secret)) if $header{alg} eq 'HS256';
	unlink "$dir/text";
	PostgreSQL::Test::Utils::append_to_file("$dir/text", $text);
	return "$text." . encode_base64url(scalar `openssl dgst -sha256 -sign $dir/rsa -binary $dir/text`);
}

# ---- what a setting does, as a text ----

my $http = HTTP::Tiny->new(timeout => $Rooms::TIMEOUT, keep_alive => 0);
my $poll = '/socket.io/?EIO=4&transport=polling';
my %a_origin = (headers => { Origin => 'http://a.example' });

sub get { my ($path, %more) = @_; return $http->get($rooms->url . $path, \%more) }
sub post { my ($sid, $content) = @_; return $http->post($rooms->url . "$poll&sid=$sid", { content => $content, headers => { 'Content-Type' => 'text/plain' } })->{status} }
sub handshake { return $Rooms::JSON->decode(substr get($poll)->{content}, 1) }

# Whether anybody answers there.
sub answers { my ($url) = @_; my $status = $http->get("$url$poll")->{status}; return $status == 599 ? 'no' : $status }

# How a stock client fares; events: what it hears of these messages.
sub fares
{
	my ($sql, %client) = @_;
	my $client = $rooms->client(transports => ['websocket'], options => { reconnection => JSON::PP::false }, %client);
	my $seen = $client->wait_for(sub { $_[0]{is} =~ /^connect/ });
	my $fate = $seen->{is} eq 'connect' ? 'connected' : $seen->{data}{code} // $seen->{message};
	if ($sql && $fate eq 'connected')
	{
		$rooms->sql("SELECT $sql; SET pg_rooms.emit = on; SELECT rooms.emit_all('end')");
		$fate = join ' ', map { "$_->[0] $_->[1]" } $client->events_until('end');
	}
	$client->disconnect;
	return $fate;
}

# Whether the server closes a connection before its first ping.
sub stays_open
{
	my $sid = handshake()->{sid};
	my $answer = get("$poll&sid=$sid");
	return $answer->{status} == 200 && $answer->{content} eq '2' ? 'open' : 'closed';
}

# Whether an upgrade that is begun and not gone on with is given up between two pings.
sub upgrade_waits
{
	my $sid = handshake()->{sid};
	my $ws = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) or die;
	print $ws "GET /socket.io/?EIO=4&transport=websocket&sid=$sid HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
	  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	$ws->flush;
	sysread $ws, my $head, 4096;
	for (1, 2)
	{
		get("$poll&sid=$sid")->{content} eq '2' or die 'no ping';
		post($sid, '3') == 200 or die 'the answer is not taken';
	}
	return IO::Select->new($ws)->can_read(0) ? 'given up' : 'waits';
}

# Whether a client that does not read is still there when 200 kB wait for it.
sub slow_client
{
	my $sid = handshake()->{sid};
	my $token = Rooms::token(sub => 'slow');
	post($sid, qq(40{"token":"$token"})) == 200 or die 'the token is not taken';
	get("$poll&sid=$sid")->{content} =~ /^40/ or die 'no answer to the token';
	fares(q{rooms.notify_user('slow', to_jsonb(repeat('x', 40000))) FROM generate_series(1, 5)}, claims => { sub => 'a' });
	return get("$poll&sid=$sid")->{content} =~ /notification/ ? 'kept' : 'disconnected';
}

# The last answer to so many joins of a room, which the default rules refuse.
sub emits
{
	my ($count, $room) = @_;
	my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
	$client->wait_for('connect');
	$client->tell('room:join', $room) for 1 .. $count;
	my %codes = map { $client->answer->[0]{error}{code} => 1 } 1 .. $count;
	$client->disconnect;
	return $codes{rate_limited} ? 'rate_limited' : 'fine';
}

sub sql_says
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	return $err =~ /ERROR:  (.*)/ ? $1 : 'fine';
}

sub emitting { my ($bytes, $count) = @_; return sub { sql_says("SELECT rooms.emit('r', 'e', to_jsonb(repeat('x', $bytes))) FROM generate_series(1, $count)") } }

# ---- the settings: value, how the change is noticed, effect before, after, and what shows it ----

my %a = (claims => { sub => 'a', tenant_id => 1 });
my $expired = Rooms::token(sub => 'a', exp => int(time) - 600);
my @settings = (
	[ port => $other_port, 'sockets', 'no', '200', sub { answers("http://127.0.0.1:$other_port") } ],
	[ listen_addresses => '127.0.0.1, 127.0.0.2', 'sockets', 'no', '200', sub { answers('http://127.0.0.2:' . $rooms->port) } ],
	[ path => '/live/', 'reloaded', '404', '200', sub { get('/live/?EIO=4&transport=polling')->{status} } ],
	[ namespaces => '/, /admin', 'reloaded', 'Invalid namespace', 'connected', sub { fares('', %a, nsp => '/admin') } ],
	[ document_root => $dir, 'replaced', '404', '200', sub { get('/page.txt')->{status} } ],
	[ sandbox => 'off', 'replaced', '2', '0', sub {
		PostgreSQL::Test::Utils::slurp_file('/proc/' . $rooms->pid_of('gateway') . '/status') =~ /^Seccomp:\s*(\d)/m ? $1 : '' } ],
	[ allowed_origins => 'http://b.example', 'reloaded', '200', '403', sub { get($poll, %a_origin)->{status} } ],
	[ cors_credentials => 'on', 'reloaded', 'none', 'true', sub { get($poll, %a_origin)->{headers}{'access-control-allow-credentials'} // 'none' } ],
	[ jwt_secret => $other_secret, 'reloaded', 'bad_signature', 'connected', sub { fares('', token => token_of(alg => 'HS256')) } ],
	[ jwt_secret_file => "$dir/secret", 'reloaded', 'bad_signature', 'connected', sub { fares('', token => token_of(alg => 'HS256')) } ],
	[ jwt_public_key_file => "$dir/rsa.pub", 'reloaded', 'unsupported_algorithm', 'connected', sub { fares('', token => token_of(alg => 'RS256')) } ],
	[ jwt_jwks_file => "$dir/set", 'reloaded', 'bad_signature', 'connected', sub { fares('', token => token_of(alg => 'HS256', kid => 'k')) } ],
	[ jwt_audience => 'me', 'reloaded', 'connected', 'bad_audience', sub { fares('', %a) } ],
	[ jwt_issuer => 'me', 'reloaded', 'connected', 'bad_issuer', sub { fares('', %a) } ],
	[ jwt_leeway => '1h', 'reloaded', 'token_expired', 'connected', sub { fares('', token => $expired) } ],
	[ allow_anonymous => 'on', 'reloaded', 'Authentication required', 'connected', sub { fares('') } ],
	[ user_claim => 'nick', 'reloaded', 'notification:new 1', 'notification:new 2', sub {
		fares(q{rooms.notify_user('a', '1'), rooms.notify_user('b', '2')}, claims => { sub => 'a', nick => 'b' }) } ],
	[ tenant_claim => 'firm', 'reloaded', 'tenant:event 1', 'tenant:event 2', sub {
		fares(q{rooms.notify_tenant('a', '1'), rooms.notify_tenant('b', '2')}, claims => { sub => 'u', tenant_id => 'a', firm => 'b' }) } ],
	[ ping_interval => '2s', 'reloaded', 1000, 2000, sub { handshake()->{pingInterval} } ],
	[ ping_timeout => '3s', 'reloaded', 20000, 3000, sub { handshake()->{pingTimeout} } ],
	[ request_timeout => '50ms', 'reloaded', 'open', 'closed', sub {
		my $silent = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) or die;
		return IO::Select->new($silent)->can_read(4) ? 'closed' : 'open' } ],
	[ connect_timeout => '50ms', 'reloaded', 'open', 'closed', \&stays_open ],
	[ upgrade_timeout => '50ms', 'reloaded', 'waits', 'given up', \&upgrade_waits ],
	[ max_payload => '1000', 'reloaded', '1000000 200', '1000 413', sub {
		my $open = handshake();
		return "$open->{maxPayload} " . post($open->{sid}, '40{"pad":"' . 'x' x 2000 . '"}') } ],
	[ max_connections => '1', 'reloaded', '200', '503', sub { get($poll); get($poll)->{status} } ],
	[ max_connections_per_user => '1', 'reloaded', 'connected', 'too_many_connections', sub {
		my $first = $rooms->client(claims => { sub => 'twice' }, transports => ['websocket']);
		$first->wait_for('connect');
		my $second = fares('', claims => { sub => 'twice' });
		$first->disconnect;
		return $second } ],
	[ max_connections_per_ip => '1', 'reloaded', '200', '429', sub { get($poll); get($poll)->{status} } ],
	[ max_handshakes_per_second => '1', 'reloaded', '200', '200 429', sub {
		my ($end, %seen) = time + 20;	# what passed at the old rate is made up for at the new one
		do { $seen{ get($poll)->{status} }++ } until $seen{200} && ($seen{200} > 4 || $seen{429}) || time > $end;
		return join ' ', sort keys %seen } ],
	[ max_pending_handshakes => '1', 'reloaded', '200', 'no', sub {
		my $pending = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) or die;
		return answers($rooms->url) } ],
	[ max_events_per_second => '2', 'reloaded', 'fine', 'rate_limited', sub { emits(3, 'x') } ],
	[ max_bytes_per_second => '1000', 'reloaded', 'fine', 'rate_limited', sub { emits(2, 'x' x 2000) } ],
	[ max_namespaces_per_connection => '1', 'reloaded', 'connected', 'too_many_namespaces', sub {
		# In a process of their own, whose first two clients share a connection.
		my %shared = (%a, driver => Rooms::Driver->new, options => { forceNew => JSON::PP::false });
		my $first = $rooms->client(%shared, transports => ['websocket']);
		$first->wait_for('connect');
		my $second = fares('', %shared, nsp => '/more');
		$first->disconnect;
		return $second } ],
	[ max_queued => '16kB', 'reloaded', 'kept', 'disconnected', \&slow_client ],
	[ max_message_size => '2kB', 'sessions', 'fine', 'message is larger than pg_rooms.max_message_size (2048 bytes)', emitting(5000, 1) ],
	[ max_pending => '64kB', 'sessions', 'fine', 'too many messages in one transaction', emitting(5000, 20) ],
	[ database => 'other', 'reloaded', 'fine', 'pg_rooms does not serve this database', emitting(1, 1) ],
	[ emit => 'off', 'sessions', 'notification:new 1', '', sub { fares(q{rooms.notify_user('a', '1')}, %a) } ],
);

# Changes a setting and waits until it is said to be in force.
sub change
{
	my ($name, $value, $noticed) = @_;
	my $from = -s $log;
	my $gateway = $rooms->pid_of('gateway');
	$node->append_conf('postgresql.conf', "pg_rooms.$name = '$value'");
	$node->reload;
	if ($noticed eq 'sockets') { $node->wait_for_log(qr/pg_rooms: listening on/, $from) }
	elsif ($noticed eq 'reloaded') { $node->wait_for_log(qr/the configuration is reloaded/, $from) }
	elsif ($noticed eq 'replaced') { $rooms->pid_of('gateway', $gateway) }
	else { $node->wait_for_log(qr/parameter "pg_rooms\.$name" changed to/, $from) }
}

for (@settings)
{
	my ($name, $value, $noticed, $before, $after, $effect) = @$_;
	my $old = $name eq 'jwt_secret' ? $Rooms::SECRET : $node->safe_psql('template1', "SHOW pg_rooms.$name");
	is($effect->(), $before, "$name as it was");
	change($name, $value, $noticed);
	is($effect->(), $after, "$name = '$value' after a reload");
	change($name, $old, $noticed);
	is($effect->(), $before, '... and back');
}

is(() = PostgreSQL::Test::Utils::slurp_file($log) =~ /\Q$other_secret\E|\Q$Rooms::SECRET\E/g, 0, 'the log tells no secret, though they were changed');

# ---- none is left out; handlers, recovery, TLS and what is told of the server have tests of their own ----
my %tested = map { $_ => 1 } (map { $_->[0] } @settings),
  qw(role_claim handler_conninfo handler_connections handler_timeout max_handler_calls_per_second default_role recovery_window history_size
	tls_cert_file tls_key_file trusted_proxies max_rooms_per_socket
	log_connections stats_interval metrics_token);
my @reloadable = PostgreSQL::Test::Utils::slurp_file(dirname(__FILE__) . '/../../README.md') =~ /^\| `(\w+)` \|.*\| reload \|$/mg;
is_deeply([ grep { !$tested{$_} } @reloadable ], [], 'every reloadable setting has been reloaded');
cmp_ok(scalar @reloadable, '>', 30, '... of those in README');
done_testing();

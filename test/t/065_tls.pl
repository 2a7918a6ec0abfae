# TLS: the stock client over wss and https, and the certificate's renewal.  What
# TLS itself is made of is tried in test/client/gateway_test.py.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();

# Writes $dir/$name.pem and $dir/$name.key; gives the certificate's fingerprint.
sub certificate
{
	my ($name, $key) = @_;
	system("openssl req -x509 -nodes -days 2 -subj /CN=$name -newkey $key -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
		  . " -out $dir/$name.pem -keyout $dir/$name.key 2>$dir/openssl.log") == 0 or die PostgreSQL::Test::Utils::slurp_file("$dir/openssl.log");
	chmod 0600, "$dir/$name.key";
	return fingerprint("$dir/$name.pem");
}

sub fingerprint { my ($file) = @_; my ($print) = `openssl x509 -in $file -noout -fingerprint -sha256` =~ /=(.*)/ or die $file; return $print }

my $ec = 'ec -pkeyopt ec_paramgen_curve:P-256';
my %print = (one => certificate('one', $ec), two => certificate('two', 'rsa:2048'), three => certificate('three', $ec));
my $all = join '', map { PostgreSQL::Test::Utils::slurp_file("$dir/$_.pem") } sort keys %print;

# Puts the files of a name in place of the ones in use, by renaming.
sub install
{
	my ($certificate, $key) = @_;
	for (["$certificate.pem", 'server.crt'], [($key // $certificate) . '.key', 'server.key'])
	{
		my ($from, $to) = @$_;
		system("cp -p $dir/$from $dir/new && mv $dir/new $dir/$to") == 0 or die;
	}
}

install('one');
my $rooms = Rooms->new('main', conf => <<"CONF");
pg_rooms.tls_cert_file = '$dir/server.crt'
pg_rooms.tls_key_file = '$dir/server.key'
CONF
my $node = $rooms->node;
my $url = $rooms->url =~ s/^http:/https:/r;

sub client
{
	my ($transport, %more) = @_;
	return $rooms->client(claims => { sub => 'a' }, url => $url, transports => ref $transport ? $transport : [$transport],
		options => { ca => $all, reconnection => JSON::PP::false, %{ delete $more{options} // {} } }, %more);
}

# The certificate that a new connection is shown, by its name.
sub shown
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'openssl', 's_client', '-connect', '127.0.0.1:' . $rooms->port ], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout($Rooms::TIMEOUT));
	my ($pem) = $out =~ /(-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----)/s or return "none: $err";
	PostgreSQL::Test::Utils::append_to_file("$dir/shown", '');
	open my $f, '>', "$dir/shown" or die;
	print $f "$pem\n";
	close $f;
	my $print = fingerprint("$dir/shown");
	my ($name) = grep { $print{$_} eq $print } keys %print;
	return $name // 'another';
}

sub reload
{
	my ($conf, $pattern) = @_;
	my $position = -s $node->logfile;
	$node->append_conf('postgresql.conf', $conf);
	$node->reload;
	$node->wait_for_log($pattern, $position);
}

# ---- every transport, both ways, up to 1 MB ----
my %by = map { my $client = client($_); $client->wait_for('connect'); ($_ => $client) } 'websocket', 'polling';
my $upgraded = client([ 'polling', 'websocket' ]);
is($upgraded->wait_for('upgrade')->{transport}, 'websocket', 'polling is upgraded to WebSocket');
$by{upgraded} = $upgraded;
$upgraded->wait_for('connect');
$rooms->sql(q{SELECT rooms.notify_user('a', '{"title": "hello"}')});
is_deeply($by{$_}->event, [ 'notification:new', { title => 'hello' } ], "$_: a message") for sort keys %by;
my $large = 1024 * 1024 - 100;
$rooms->sql(qq{SELECT rooms.emit('user:a', 'large', to_jsonb(repeat('x', $large)))});
for (sort keys %by)
{
	my ($event, $text) = @{ $by{$_}->event };
	ok($event eq 'large' && $text eq 'x' x $large, "$_: a message of 1 MB");
}
$rooms->sql(q{SELECT rooms.emit_to('{user:a}', 'binary', '[{"_placeholder": true, "num": 0}]', attachments => ARRAY[decode(repeat('00ff', 100000), 'hex')])});
is($by{$_}->event->[1]{binary}, MIME::Base64::encode_base64("\0\xff" x 100000, ''), "$_: an attachment") for sort keys %by;

# What a client sends is counted when it has come whole.
my $events = $rooms->stat('packets_in');
$_->emit('large', 'y' x 900000) for values %by;
$node->poll_query_until('postgres', "SELECT value >= $events + 3 FROM rooms.stats WHERE name = 'packets_in'") or die;
pass('900 kB from each client');

# Many messages at once while one client does not read.
$by{websocket}->pause;
$rooms->sql(q{SELECT rooms.emit('user:a', 'many', to_jsonb(i), to_jsonb(repeat('z', 3000))) FROM generate_series(1, 1000) i});
my @numbers = map { $_->[1] } map { my $client = $_; map { $client->event } 1 .. 1000 } @by{qw(polling upgraded)};
is_deeply(\@numbers, [ 1 .. 1000, 1 .. 1000 ], 'many messages, in order, beside a client that does not read');
$by{websocket}->resume;
is_deeply([ map { $by{websocket}->event->[1] } 1 .. 1000 ], [ 1 .. 1000 ], '... which gets them all when it reads');

# ---- others are not served ----
my $stranger = client('websocket', options => { ca => PostgreSQL::Test::Utils::slurp_file("$dir/two.pem") });
like($stranger->wait_for('connect_error')->{message}, qr/error/, 'a client that does not know the certificate does not connect');
like(client($_, url => $rooms->url)->wait_for('connect_error')->{message}, qr/error/, "$_: plain HTTP is refused") for 'polling', 'websocket';

# ---- renewal ----
my $taken = qr/LOG:.*configuration is reloaded/;
my $kept = qr/WARNING:.*could not use the certificate for TLS, the configuration stays as it was/;
my $hint = qr/.*\n.*HINT:.*pg_rooms\.tls_cert_file and pg_rooms\.tls_key_file/;
my $not_read = qr/WARNING:.*"\Q$dir\E[^"]*".*\n(?:.*DETAIL.*\n)?.*HINT:.*pg_rooms\.tls_\w+_file.*configuration in force is kept/;

sub all_are_there
{
	my ($name, $certificate) = @_;
	is(shown(), $certificate, "$name: the certificate");
	$rooms->sql(q{SELECT rooms.emit('user:a', 'still there?')});
	is_deeply([ map { $by{$_}->event->[0] } sort keys %by ], [ ('still there?') x keys %by ], '... and the connections that are open stay');
}
is(shown(), 'one', 'the certificate that is shown');
my $gateway = $rooms->pid_of('gateway');
install('two');
reload('', $taken);
all_are_there('renewed, with a key of another type', 'two');
client('websocket')->wait_for('connect');

my %bad = (
	'the key of another' => [ sub { install('two', 'one') }, qr/$kept: the private key does not belong to the certificate$hint/ ],
	'a key for a certificate' => [ sub { system("cp $dir/one.key $dir/server.crt") }, qr/$kept: the certificate file holds no PEM certificate$hint/ ],
	'a certificate for a key' => [ sub { install('three'); system("cp $dir/one.pem $dir/server.key") }, qr/$kept: the key file holds no PEM private key$hint/ ],
	'an empty file' => [ sub { system("cp /dev/null $dir/server.crt") }, $not_read ],
	'no file' => [ sub { unlink "$dir/server.crt" }, $not_read ],
	'a key that others may read' => [ sub { install('three'); chmod 0644, "$dir/server.key" }, qr/$not_read/ ]);
for my $what (sort keys %bad)
{
	my ($break, $pattern) = @{ $bad{$what} };
	$break->();
	reload('', $pattern);
	all_are_there($what, 'two');
}
is($rooms->pid_of('gateway'), $gateway, 'all that in one gateway');

# ---- the next gateway has the old certificate, too ----
kill 'KILL', $gateway;
$rooms->pid_of('gateway', $gateway);
$_->wait_for('disconnect') for values %by;
client('websocket')->wait_for('connect');
is(shown(), 'two', 'the next gateway shows the certificate that worked');
install('three');
reload('', $taken);
is(shown(), 'three', '... and the new one when it is corrected');

# ---- both files or neither ----
my $one = qr/WARNING:.*pg_rooms\.tls_cert_file is set, but pg_rooms\.tls_key_file is not.*\n.*HINT:.*Set both, or neither.*configuration in force is kept/;
reload("pg_rooms.tls_key_file = ''\n", $one);
is(shown(), 'three', 'one setting alone changes nothing');
reload("pg_rooms.tls_cert_file = ''\n", $taken);
my $plain = client('websocket', url => $rooms->url);
$plain->wait_for('connect');
is(shown() =~ s/:.*//sr, 'none', 'without both there is no TLS');
reload("pg_rooms.tls_cert_file = '$dir/server.crt'\npg_rooms.tls_key_file = '$dir/server.key'\n", $taken);
is(shown(), 'three', '... and with both there is');
$rooms->sql(q{SELECT rooms.emit('user:a', 'on')});
is($plain->event->[0], 'on', '... for new connections');
my $key = join '', PostgreSQL::Test::Utils::slurp_file("$dir/three.key") =~ /^([A-Za-z0-9+\/]{40,})/m;
is(() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /\Q$key\E/g, 0, 'no key is in the log');

# ---- a start with files that cannot be used waits for them ----
$node->stop;
unlink "$dir/server.key";
my $position = -s $node->logfile;
$node->start;
$node->wait_for_log(qr/WARNING:.*could not open file "\Q$dir\E\/server.key".*\n.*HINT:.*tls_key_file.*does not start until/, $position);
is($rooms->sql('SELECT 1'), 1, 'a key file that is missing at the start does not hurt the database');
install('one');
client('websocket', options => { reconnection => JSON::PP::true })->wait_for('connect');
is(shown(), 'one', '... and when it is there, TLS is served without a reload');
done_testing();

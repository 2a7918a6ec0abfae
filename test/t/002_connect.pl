# The stock client's ways to connect, and who is let in.
use strict;
use warnings;
use Rooms;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url encode_base64);
use Digest::SHA qw(hmac_sha256);
use Test::More;

my $rooms = Rooms->new('main', conf => "pg_rooms.namespaces = '/,/admin'\n");
my %who = (sub => 'alice', tenant_id => 1);

# ---- transports ----
my %clients = (
	'polling then upgrade' => $rooms->client(claims => \%who),
	'websocket only' => $rooms->client(claims => \%who, transports => ['websocket']),
	'polling only' => $rooms->client(claims => \%who, transports => ['polling']));
$_->wait_for('connect') for values %clients;
is($clients{'polling then upgrade'}->wait_for('upgrade')->{transport}, 'websocket', 'the default sequence upgrades');

my $binary = encode_base64(join('', map { chr } 0 .. 255), '');
$rooms->sql("SELECT rooms.notify_user('alice', '{\"n\": 1}')");
$rooms->sql(q{SELECT rooms.emit_to(ARRAY['user:alice', 'tenant:1'], 'file',
	'["name", {"_placeholder": true, "num": 0}]', attachments => ARRAY[decode('} . $binary . q{', 'base64')])});
for my $how (sort keys %clients)
{
	is_deeply($clients{$how}->event, [ 'notification:new', { n => 1 } ], "$how: an event");
	is_deeply($clients{$how}->event, [ 'file', 'name', { binary => $binary } ], "$how: a binary event, once for two rooms");
}

# ---- except, and rooms of one's own ----
my $first = $clients{'websocket only'};
$first->disconnect;
$first->wait_for('disconnect');
$first->connect;
my $sid = $first->wait_for('connect')->{sid};
$rooms->sql("SELECT rooms.emit_to(ARRAY['user:alice'], 'others', except_rooms => ARRAY['$sid'])");
$rooms->sql("SELECT rooms.emit('$sid', 'mine')");
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([ $first->events_until('end') ], [ ['mine'] ], 'except_rooms leaves one socket out; its sid is a room');
is_deeply([ $clients{'polling only'}->events_until('end') ], [ ['others'] ], 'the others of the user get it');

# ---- namespaces ----
my $admin = $rooms->client(claims => \%who, nsp => '/admin');
$admin->wait_for('connect');
my $nowhere = $rooms->client(claims => \%who, nsp => '/nowhere');
is($nowhere->wait_for('connect_error')->{message}, 'Invalid namespace', 'an unknown namespace is refused');
$rooms->sql("SELECT rooms.emit_to(ARRAY['user:alice'], 'in admin', namespace => '/admin')");
$rooms->sql("SELECT rooms.emit_all_to('all of admin', namespace => '/admin'); SELECT rooms.emit_all('end')");
is_deeply([ $first->events_until('end') ], [], 'another namespace is another world');
is_deeply($admin->event, [$_], "... $_") for 'in admin', 'all of admin';

# ---- who is let in ----
sub refused
{
	my ($name, $message, $code, %how) = @_;
	for my $transport ('polling', 'websocket')
	{
		my $client = $rooms->client(%how, transports => [$transport]);
		my $error = $client->wait_for('connect_error');
		is($error->{message}, $message, "$name ($transport): refused");
		is($error->{data}{code}, $code, "... with code " . ($code // 'none')) ;
		$client->disconnect;
	}
}

sub token_with
{
	my ($header, $claims, $sign) = @_;
	my $text = encode_base64url(JSON::PP::encode_json($header)) . '.' . encode_base64url(JSON::PP::encode_json($claims));
	return "$text." . encode_base64url($sign->($text));
}
my $hmac = sub { hmac_sha256($_[0], $Rooms::SECRET) };
my %fresh = (%who, exp => time + 60);

refused('no token', 'Authentication required', undef);
refused('a token that is no JWT', 'Invalid token', 'malformed', token => 'x.y');
refused('an expired token', 'Invalid token', 'token_expired', claims => { %who, exp => time - 60 });
refused('a token not yet valid', 'Invalid token', 'token_not_active', claims => { %who, nbf => time + 120 });
refused('another secret', 'Invalid token', 'bad_signature',
	token => token_with({ alg => 'HS256' }, \%fresh, sub { hmac_sha256($_[0], 'x' x 32) }));
refused("alg $_", 'Invalid token', 'unsupported_algorithm', token => token_with({ alg => $_ }, \%fresh, sub { '' }))
	for 'none', 'nOnE';
refused('alg none over a valid signature', 'Invalid token', 'unsupported_algorithm',
	token => token_with({ alg => 'none' }, \%fresh, $hmac));
refused('an id that is no string or integer', 'Invalid token', 'bad_claim', claims => { sub => { a => 1 } });

# ---- keys: RSA, and its public half misused as an HMAC secret ----
my $key = PostgreSQL::Test::Utils::tempdir() . '/key';
system("openssl genrsa -out $key.pem 2048 2>/dev/null && openssl rsa -in $key.pem -pubout -out $key.pub 2>/dev/null") == 0
  or die 'openssl';
my $rsa = sub {
	open my $f, '>', "$key.text"; print $f $_[0]; close $f;
	return scalar `openssl dgst -sha256 -sign $key.pem -binary $key.text`;
};
my $pem = PostgreSQL::Test::Utils::slurp_file("$key.pub");
$rooms->node->append_conf('postgresql.conf', "pg_rooms.jwt_secret = ''\npg_rooms.jwt_public_key_file = '$key.pub'\n");
my $position = -s $rooms->node->logfile;
$rooms->node->reload;
$rooms->node->wait_for_log(qr/pg_rooms.*configuration/i, $position);
my $by_rsa = $rooms->client(token => token_with({ alg => 'RS256' }, \%fresh, $rsa));
$by_rsa->wait_for('connect');
pass('after a reload an RS256 token is taken');
refused('the RSA public key as an HMAC secret', 'Invalid token', 'unsupported_algorithm',
	token => token_with({ alg => 'HS256' }, \%fresh, sub { hmac_sha256($_[0], $pem) }));
refused('an HS256 token of the old secret', 'Invalid token', 'unsupported_algorithm', claims => \%who);

$rooms->node->append_conf('postgresql.conf', "pg_rooms.jwt_public_key_file = ''\n");
$position = -s $rooms->node->logfile;
$rooms->node->reload;
$rooms->node->wait_for_log(qr/WARNING.*no.*key/i, $position);
refused('no key at all', 'Invalid token', 'no_key', claims => \%who);
done_testing();

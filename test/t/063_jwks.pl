# A JSON Web Key Set: keys chosen by kid, rotation by reload, and a bad file
# that changes nothing.
use strict;
use warnings;
use Rooms;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Digest::SHA qw(hmac_sha256);
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $file = "$dir/jwks.json";
my $secret = "\0 a secret of 33 bytes, with a NUL";

sub openssl { my ($arguments) = @_; my $out = `openssl $arguments 2>/dev/null`; $? == 0 or die "openssl $arguments"; return $out }

sub write_file
{
	my ($name, $text) = @_;
	open my $f, '>', "$name.new" or die;
	binmode $f;
	print $f $text;
	close $f;
	rename "$name.new", $name or die;
	return $name;
}

# The public half of a key that openssl has made, as a JWK: the numbers are the
# end of its DER, but for RSA's, which openssl prints.
sub jwk
{
	my ($name, %more) = @_;
	my $der = openssl("pkey -in $dir/$name.pem -pubout -outform DER");
	if ($name =~ /^rsa/)
	{
		my ($n) = openssl("rsa -in $dir/$name.pem -noout -modulus") =~ /Modulus=([0-9A-F]+)/ or die;
		return { kty => 'RSA', n => encode_base64url(pack 'H*', $n), e => 'AQAB', %more };
	}
	return { kty => 'OKP', crv => 'Ed25519', x => encode_base64url(substr $der, -32), %more } if $name =~ /^ed/;
	return { kty => 'EC', crv => 'P-256', x => encode_base64url(substr $der, -64, 32), y => encode_base64url(substr $der, -32), %more };
}

sub signature
{
	my ($alg, $name, $text) = @_;
	return hmac_sha256($text, $name) if $alg eq 'HS256';
	write_file("$dir/text", $text);
	return openssl("pkeyutl -sign -rawin -inkey $dir/$name.pem -in $dir/text") if $alg eq 'EdDSA';
	my $options = $alg eq 'PS256' ? '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1' : '';
	my $bytes = openssl("dgst -sha256 $options -sign $dir/$name.pem -binary $dir/text");
	return $bytes if $alg ne 'ES256';
	# SEQUENCE of two INTEGERs: r and s, each with 32 bytes
	my ($r, $s) = unpack 'x3 C/a* x C/a*', $bytes;
	return join '', map { substr("\0" x 32 . $_, -32) } $r, $s;
}

# A token; key: the name of its file, or the secret.
sub token
{
	my ($alg, $kid, $key) = @_;
	my %header = (alg => $alg, defined $kid ? (kid => $kid) : ());
	my %claims = (sub => 'alice', exp => time + 600);
	my $text = join '.', map { encode_base64url(JSON::PP::encode_json($_)) } \%header, \%claims;
	return "$text." . encode_base64url(signature($alg, $key, $text));
}

openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $dir/$_.pem") for 'rsa1', 'rsa2';
openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $dir/ec.pem");
openssl("genpkey -algorithm ED25519 -out $dir/ed.pem");

my $rsa1 = jwk('rsa1', kid => 'one', alg => 'RS256', use => 'sig');
my $rsa2 = jwk('rsa2', kid => 'two');
my $ec = jwk('ec', kid => 'curve');
my $ed = jwk('ed', kid => 'edwards', key_ops => ['verify']);
my $oct = { kty => 'oct', kid => 'shared', k => encode_base64url($secret) };
sub set { return JSON::PP::encode_json({ keys => [@_] }) }

write_file($file, set($rsa1, $ec, $ed, $oct));
my $rooms = Rooms->new('main', conf => "pg_rooms.jwt_secret = ''\npg_rooms.jwt_jwks_file = '$file'\n");
my $node = $rooms->node;

sub client { my ($token) = @_; return $rooms->client(token => $token, transports => ['websocket'], options => { reconnection => JSON::PP::false }) }

sub accepted
{
	my ($name, @token) = @_;
	my $client = client(token(@token));
	$client->wait_for('connect');
	pass("$name: let in");
	return $client;
}

sub refused
{
	my ($name, $code, @token) = @_;
	my $client = client(token(@token));
	my $error = $client->wait_for('connect_error');
	is("$error->{message}, $error->{data}{code}", "Invalid token, $code", "$name: refused");
	$client->disconnect;
}

sub reload
{
	my ($conf, $pattern) = @_;
	my $position = -s $node->logfile;
	$node->append_conf('postgresql.conf', $conf);
	$node->reload;
	$node->wait_for_log($pattern, $position);
}

sub rotate
{
	my ($text, $pattern) = @_;
	write_file($file, $text);
	reload('', $pattern);
}

# ---- every type of key ----
my $by_rsa = accepted('RS256', 'RS256', 'one', 'rsa1');
my $by_ec = accepted('ES256', 'ES256', 'curve', 'ec');
my $by_ed = accepted('EdDSA', 'EdDSA', 'edwards', 'ed');
my $by_oct = accepted('HS256', 'HS256', 'shared', $secret);
accepted('RS256 without kid', 'RS256', undef, 'rsa1')->disconnect;

# ---- kid is bound to a key, and a key to its algorithms ----
my $pem = openssl("pkey -in $dir/rsa1.pem -pubout");
refused('an unknown kid', 'unknown_key', 'RS256', 'two', 'rsa2');
refused('another key of the same type', 'bad_signature', 'RS256', 'one', 'rsa2');
refused('the kid of another type', 'unsupported_algorithm', 'RS256', 'curve', 'rsa1');
refused('PS256 with a key for RS256', 'unsupported_algorithm', 'PS256', 'one', 'rsa1');
refused('the public key as an HMAC secret', 'unsupported_algorithm', 'HS256', 'one', $pem);
refused('the public key as an HMAC secret, without kid', 'bad_signature', 'HS256', undef, $pem);

# ---- rotation: the new key beside the old one, then without it ----
my $taken = qr/LOG:.*configuration is reloaded/;
rotate(set($rsa1, $rsa2, $ec, $ed, $oct), $taken);
my $by_new = accepted('the new key', 'RS256', 'two', 'rsa2');
accepted('the old key', 'RS256', 'one', 'rsa1')->disconnect;
$rooms->sql("SELECT rooms.emit_all('both')");
is($_->event->[0], 'both', 'a client stays whose key stays') for $by_rsa, $by_ec, $by_ed, $by_oct, $by_new;

rotate(set($rsa2, $ec), $taken);
$_->wait_for('disconnect') for $by_rsa, $by_ed, $by_oct;
pass('clients are hung up on whose key is gone');
refused('the old key', 'unknown_key', 'RS256', 'one', 'rsa1');
$rooms->sql("SELECT rooms.emit_all('kept')");
is($_->event->[0], 'kept', '... and the others are not') for $by_ec, $by_new;
accepted('the new key', 'RS256', 'two', 'rsa2')->disconnect;

# ---- a bad file changes nothing, also not for the next gateway ----
my $kept = qr/WARNING:.*keys for tokens, the configuration stays as it was/;
my $not_read = qr/WARNING:.*"\Q$file\E".*\n(?:.*DETAIL.*\n)?.*HINT:.*jwt_jwks_file.*configuration in force is kept/;
my %bad = (
	'a file that is cut' => [ substr(set($rsa1, $rsa2), 0, -10), qr/$kept: the JWKS file is not valid JSON.*\n.*HINT:.*jwt_jwks_file/ ],
	'a file with a private key' => [ set($rsa2, { %$ec, d => 'AA' }), qr/$kept: key 2 of the JWKS file is a private key/ ],
	'a kid twice' => [ set($rsa2, { %$ec, kid => 'two' }), qr/$kept: key 2 of the JWKS file has the kid/ ],
	'a set without keys' => [ set(), qr/$kept: the JWKS file holds no key/ ],
	'an empty file' => [ '', $not_read ],
	'a large file' => [ set($rsa1) . ' ' x 70000, $not_read ]);
for my $what (sort keys %bad)
{
	rotate(@{ $bad{$what} });
	accepted("$what: the old key", 'RS256', 'two', 'rsa2')->disconnect;
}
unlink $file;
reload('', $not_read);
my $gateway = $rooms->pid_of('gateway');
kill 'KILL', $gateway;
$_->wait_for('disconnect') for $by_ec, $by_new;
$rooms->pid_of('gateway', $gateway);
accepted('a file that is gone: the old key, in the next gateway', 'RS256', 'two', 'rsa2');
is(() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /\Q$oct->{k}\E|\Q$secret\E/g, 0, 'no secret is in the log');

# ---- a key that is too weak is left out, with a warning ----
rotate(set($rsa1, { kty => 'oct', kid => 'weak', k => encode_base64url('short') }),
	qr/WARNING:.*key 2 of the JWKS file is not used: it is shorter than 32 bytes.*\n.*HINT/);
accepted('a set with a weak key: another one', 'RS256', 'one', 'rsa1');
refused('the weak key', 'unknown_key', 'HS256', 'weak', 'short');

# ---- without the setting the set is gone ----
reload("pg_rooms.jwt_jwks_file = ''\npg_rooms.jwt_secret = '$Rooms::SECRET'\n", $taken);
refused('no set', 'unsupported_algorithm', 'RS256', 'one', 'rsa1');
accepted('no set, a secret and a kid', 'HS256', 'one', $Rooms::SECRET);
done_testing();

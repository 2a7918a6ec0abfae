# A setting that cannot work is reported once, with a hint, and retried; what
# worked before stays in force, also in the next gateway.
use strict;
use warnings;
use Rooms;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $log;
sub count_log { my ($pattern) = @_; return scalar(() = PostgreSQL::Test::Utils::slurp_file($log) =~ /$pattern/g) }

sub write_file
{
	my ($name, $text) = @_;
	open my $f, '>', "$dir/$name.new" or die;
	print $f $text;
	close $f;
	rename "$dir/$name.new", "$dir/$name" or die;
}

# ---- at the server's start, one after the other: the folder, the key file, the key in it ----
my $rooms = Rooms->new('main', start => 0, conf => <<"CONF");
pg_rooms.document_root = '$dir/pages'
pg_rooms.jwt_public_key_file = '$dir/key'
CONF
my $node = $rooms->node;
$log = $node->logfile;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_rooms');

sub wait_for_starts
{
	my ($more) = @_;
	my $before = $rooms->stat('gateway_starts');
	$node->poll_query_until('postgres', "SELECT value >= $before + $more FROM rooms.stats WHERE name = 'gateway_starts'") or die;
}

$node->wait_for_log(qr{WARNING:.*could not open file "\Q$dir\E/key".*\n.*HINT:.*jwt_public_key_file.*does not start until}, 0);
pass('a key file that is missing at the start is reported');
is($rooms->sql('SELECT 1'), 1, '... and the database works');

write_file('key', 'no key');
$node->wait_for_log(qr/WARNING:.*could not use the keys.*\n.*HINT:.*jwt_public_key_file/, 0);
pass('a key file without a key is reported');
system("openssl genrsa -out $dir/private 2048 2>/dev/null && openssl rsa -in $dir/private -pubout -out $dir/public 2>/dev/null") == 0 or die;
write_file('key', PostgreSQL::Test::Utils::slurp_file("$dir/public"));

$node->wait_for_log(qr/WARNING:.*pg_rooms\.document_root.*\n.*HINT:.*absolute path/, 0);
wait_for_starts(5);
is(count_log(qr/WARNING:.*document_root/), 1, 'a folder that is missing is reported once, though it is tried again and again');
is(count_log(qr/LOG:.*gateway \(PID \d+\) has ended/), 1, '... as is the end of the gateway');
mkdir "$dir/pages";
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], options => { reconnectionDelay => 50, reconnectionDelayMax => 200 });
$client->wait_for('connect');
pass('... and it serves when the folder is there, without a reload');

# ---- a bad reload, and then the gateway dies ----
sub reload
{
	my ($conf, $pattern) = @_;
	my $before = -s $log;
	$node->append_conf('postgresql.conf', $conf);
	$node->reload;
	$node->wait_for_log($pattern, $before);
}

sub replace_gateway
{
	my $gateway = $rooms->pid_of('gateway');
	kill 'KILL', $gateway;
	$client->wait_for('disconnect');
	$client->wait_for('connect');
	return $rooms->pid_of('gateway', $gateway);
}

my %bad = (
	'a folder that is missing' => [ "pg_rooms.document_root = '$dir/missing'", qr/WARNING:.*document_root, the configuration stays as it was/ ],
	'a key that is none' => [ "pg_rooms.jwt_public_key_file = '$dir/private.not'", qr/WARNING:.*keys for tokens, the configuration stays as it was/ ],
	'a secret file that is empty' => [ "pg_rooms.jwt_secret_file = '$dir/empty'", qr/WARNING:.*empty" cannot be used.*\n.*DETAIL:.*It is empty.*\n.*HINT:.*jwt_secret_file.*configuration in force is kept/ ],
	'a key file that is missing' => [ "pg_rooms.jwt_public_key_file = '$dir/missing'", qr/WARNING:.*missing.*\n.*HINT:.*configuration in force is kept/ ]);
write_file('private.not', 'no key');
write_file('empty', "\n");
for my $what (sort keys %bad)
{
	my ($conf, $pattern) = @{ $bad{$what} };
	reload("$conf\npg_rooms.namespaces = '/, /new'\n", $pattern);
	my $before = -s $log;
	replace_gateway() for 1 .. 2;
	pass("$what: the next gateway serves, and the next one, too");
	like(substr(PostgreSQL::Test::Utils::slurp_file($log), $before), qr/LOG:.*last configuration that worked.*\n.*DETAIL.*\n.*HINT/, '... which is logged');
	my $new = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], nsp => '/new');
	is($new->wait_for('connect_error')->{message}, 'Invalid namespace', '... of the bad configuration nothing is in force');
	$new->disconnect;

	# Corrected, it is taken, and the next gateway has it, too.
	reload("pg_rooms.document_root = '$dir/pages'\npg_rooms.jwt_public_key_file = '$dir/key'\npg_rooms.jwt_secret_file = ''\n", qr/LOG:.*configuration is reloaded/);
	replace_gateway();
	$new = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], nsp => '/new');
	$new->wait_for('connect');
	pass('... and when it is corrected, all of it is');
	$new->disconnect;
	reload("pg_rooms.namespaces = '/'\n", qr/LOG:.*configuration is reloaded/);
}

# ---- what is mended outside of the settings needs no change in them ----
reload("pg_rooms.document_root = '$dir/later'\npg_rooms.namespaces = '/, /new'\n", qr/WARNING:.*document_root/);
mkdir "$dir/later";
my $gateway = $rooms->pid_of('gateway');
$node->reload;
$rooms->pid_of('gateway', $gateway);    # another folder needs another sandbox
my $new = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], nsp => '/new');
$new->wait_for('connect');
pass('the same settings are tried again at the next reload');
done_testing();

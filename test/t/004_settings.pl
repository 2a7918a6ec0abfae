# Settings: what is wrong is said with a hint, and never hurts the database.
use strict;
use warnings;
use Rooms;
use IO::Socket::INET;
use Test::More;

# ---- without shared_preload_libraries ----
my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION pg_rooms');
my ($rc, $out, $err) = $plain->psql('postgres', q{SELECT rooms.emit_all('x')}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  55000:.*\n.*HINT:.*shared_preload_libraries.*pg_rooms/s, 'emit without preloading: an ERROR with the line to add');
is($plain->safe_psql('postgres', q{SET pg_rooms.emit = off; SELECT rooms.emit_all('x')}), '', '... and with emit off: silently nothing');
$plain->stop;

# ---- the database, the extension, the port: in any order ----
my $rooms = Rooms->new('main', conf => "pg_rooms.database = 'later'\n", extension => 0);
my $node = $rooms->node;
$node->wait_for_log(qr/pg_rooms.*listening on .*127\.0\.0\.1.*@{[$rooms->port]}/);
pass('the worker serves before its database exists');
$node->safe_psql('postgres', 'CREATE DATABASE later');
$node->safe_psql('later', 'CREATE EXTENSION pg_rooms');
($rc, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION pg_rooms');
like($err, qr/WARNING:.*later/s, 'CREATE EXTENSION in another database warns');
($rc, $out, $err) = $node->psql('postgres', q{SELECT rooms.emit_all('x')});
like($err, qr/ERROR:.*pg_rooms\.database/s, '... and emit there is an ERROR that names the setting');
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');
$node->safe_psql('later', q{SELECT rooms.emit_all('hello')});
is_deeply($client->event, ['hello'], 'the database that was created later is served');
$node->safe_psql('postgres', 'DROP DATABASE later');
pass('the served database can be dropped');
$client->disconnect;

# ---- the port can be changed by a reload, and a taken one is reported ----
my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
my $before = -s $node->logfile;
$node->append_conf('postgresql.conf', 'pg_rooms.port = ' . $taken->sockport);
$node->reload;
$node->wait_for_log(qr/could not .*@{[$taken->sockport]}.*\n.*HINT/, $before);
my $old = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$old->wait_for('connect');
pass('while the new port is taken the old one serves');
my $port = $taken->sockport;
close $taken;
my $new = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], url => "http://127.0.0.1:$port");
$new->wait_for('connect');
pass('when it is free it is taken over, without another reload');

# ---- ... and one that is taken when the server starts ----
$_->disconnect for $old, $new;
$node->stop;
$taken = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => '127.0.0.1', LocalPort => $port) or die "$port: $!";
$before = -s $node->logfile;
$node->start;
$node->wait_for_log(qr/could not listen.*$port.*\n.*HINT/, $before);
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'a port that is taken at the start is reported, and the database is there');
close $taken;
$old = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], url => "http://127.0.0.1:$port");
$old->wait_for('connect');
pass('... and it is served when it is free');

# ---- bad values ----
for my $bad ("pg_rooms.path = 'no-slash'", "pg_rooms.namespaces = 'x'", 'pg_rooms.port = 70000')
{
	my ($name, $value) = $bad =~ /(\S+) = '?([^']*)/;
	my ($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET $bad");
	like($err, qr/ERROR:.*\Q$name\E/, "$bad is refused");
}
is($node->safe_psql('postgres', 'SHOW pg_rooms.jwt_secret'), '********', 'the secret is not shown');

# ---- a bad key file keeps the old configuration ----
$before = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_rooms.jwt_public_key_file = '/nonexistent'");
$node->reload;
$node->wait_for_log(qr{WARNING:.*/nonexistent}, $before);
$old->disconnect;
my $still = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], url => "http://127.0.0.1:$port");
$still->wait_for('connect');
pass('an unreadable key file is reported, and the old keys stay');

done_testing();

# A gateway that is missing or of another version is reported, and the server goes on.
use strict;
use warnings;
use Rooms;
use Test::More;

# An installation of its own, since its gateway is taken away.
my $copy = PostgreSQL::Test::Utils::tempdir() . '/stage';
system('cp', '-a', $ENV{ROOMS_STAGE}, $copy) == 0 or die 'cp';
chomp(my $bindir = `pg_config --bindir`);
my $bin = $bindir =~ s/^\Q$ENV{ROOMS_STAGE}\E/$copy/r;
my $rooms = Rooms->new('main', install_path => $bin =~ s{/bin$}{}r);
my $node = $rooms->node;

my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');
my $gateway = $rooms->pid_of('gateway');
like(PostgreSQL::Test::Utils::slurp_file("/proc/$gateway/cmdline"), qr{^\Q$bin\E/pg_rooms_gateway\0}, 'the gateway beside the running postgres is started');

my $before = -s $node->logfile;
rename "$bin/pg_rooms_gateway", "$bin/pg_rooms_gateway.away" or die "$bin: $!";
kill 'KILL', $gateway;
$node->wait_for_log(qr{\Q$bin\E/pg_rooms_gateway.*\n.*HINT}, $before);
pass('a missing gateway is reported with its path and a hint');
is($rooms->sql('SELECT 1'), 1, '... and the database goes on');

# A gateway that says HELLO with version 0.1 and then waits for the end.
$before = -s $node->logfile;
open my $fake, '>', "$bin/pg_rooms_gateway.new" or die;
print $fake q{#!/usr/bin/perl
open my $link, '+<&=', 3;
syswrite $link, pack('V C V a3', 7, 1, 3, '0.1');
while (sysread $link, my $x, 65536) { }
};
close $fake;
chmod 0755, "$bin/pg_rooms_gateway.new";
rename "$bin/pg_rooms_gateway.new", "$bin/pg_rooms_gateway" or die;
$node->wait_for_log(qr{version[^\n]*0\.1(?:(?!LOG:|WARNING:).)*HINT}s, $before);
pass('a gateway of another version is reported with both versions and a hint');

rename "$bin/pg_rooms_gateway.away", "$bin/pg_rooms_gateway" or die;
$client->wait_for('disconnect');
$client->wait_for('connect');
pass('with the right one in place all goes on by itself');

# libwebsockets' plug-in for libuv is a package of its own.
$node->stop;
$before = -s $node->logfile;
chomp(my $library = `pg_config --pkglibdir`);
{
	local $ENV{LD_PRELOAD} = join ' ', grep { $_ } $ENV{LD_PRELOAD}, "$library/no_plugin.so";
	$node->start;
}
$node->wait_for_log(qr{WARNING:[^\n]*plugin[^\n]*\n[^\n]*HINT:[^\n]*libwebsockets-evlib-uv}, $before);
pass('a missing plug-in of libwebsockets is reported with its package');
is($rooms->sql('SELECT 1'), 1, '... and the database goes on');
$node->restart;
$client->wait_for('connect');
pass('... and with it all is well');
done_testing();

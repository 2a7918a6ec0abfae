# Whoever takes over the gateway gets neither at the data nor out of the process.
#
# test/modules/intruder.c is loaded into the real gateway and tries.  With the
# sandbox off it must succeed, or its failures would prove nothing.
use strict;
use warnings;
use Rooms;
use HTTP::Tiny;
use Test::More;

chomp(my $library = `pg_config --pkglibdir`);
my $top = PostgreSQL::Test::Utils::tempdir();
for my $folder ('one', 'two')
{
	mkdir "$top/$folder";
	PostgreSQL::Test::Utils::append_to_file("$top/$folder/page.txt", "page of $folder");
}

my $rooms = Rooms->new('main', start => 0, conf => "pg_rooms.document_root = '$top/one'\n");
my $node = $rooms->node;

# Starts the server with a library preloaded into its gateway.
sub start_with
{
	my ($module) = @_;
	local $ENV{LD_PRELOAD} = join ' ', grep { $_ } $ENV{LD_PRELOAD}, "$library/$module.so";
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_rooms');
	return $rooms->wait_until_serving;
}

sub status
{
	my ($pid, $name) = @_;
	my ($value) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /^\Q$name\E:\s*(.*)$/m;
	return $value;
}

# What the intruder in this gateway says it can do and cannot.
sub intruder
{
	my ($from) = @_;
	$rooms->client(claims => { sub => 'a' }, transports => ['websocket'])->wait_for('connect');
	$node->wait_for_log(qr/intruder: done/, $from);
	my $log = substr PostgreSQL::Test::Utils::slurp_file($node->logfile), $from;
	return { map { /intruder: (can|cannot) ([^:\n]*)/ ? ($2 => $1) : () } split /\n/, $log };
}

sub page { return HTTP::Tiny->new(timeout => 20)->get($rooms->url . '/page.txt')->{content} }

# ---- in the sandbox ----
my $before = -e $node->logfile ? -s $node->logfile : 0;
my $gateway = start_with('intruder');
my $found = intruder($before);
my @needed = ('resolve localhost');
is(delete $found->{$_}, 'can', "code in the gateway can $_") for @needed;
cmp_ok(scalar keys %$found, '>=', 20, 'the intruder has tried its tricks');
is($found->{$_}, 'cannot', "code in the gateway cannot $_") for sort keys %$found;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/no landlock|no seccomp/, 'this kernel lacks nothing');

is(page(), 'page of one', 'files below document_root are served');
is(status($gateway, 'Seccomp'), 2, 'seccomp filters');
is(status($gateway, 'NoNewPrivs'), 1, 'no new privileges');
is(status($gateway, 'CapEff'), '0' x 16, 'no capabilities');
like(PostgreSQL::Test::Utils::slurp_file("/proc/$gateway/limits"), qr/^Max core file size\s+0\s+0/m, 'no core file');
ok(!defined readlink "/proc/$gateway/cwd", 'not dumpable: others of the same user may not look into it') if $> != 0;

# ---- another folder: a new gateway ----
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');
$before = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_rooms.document_root = '$top/two'");
$node->reload;
$client->wait_for('disconnect');
my $second = $rooms->pid_of('gateway', $gateway);
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/LOG:[^\n]*gateway starts anew[^\n]*document_root/, 'the log says why');
$client->wait_for('connect');
is(page(), 'page of two', 'the new folder is served by a new gateway');

$before = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_rooms.ping_interval = '20s'");
$node->reload;
$node->wait_for_log(qr/configuration is reloaded/, $before);
is($rooms->pid_of('gateway'), $second, 'other settings need no new gateway');

# ---- off ----
$before = -s $node->logfile;
$node->append_conf('postgresql.conf', 'pg_rooms.sandbox = off');
$node->reload;
my $third = $rooms->pid_of('gateway', $second);
$client->wait_for('disconnect');
$client->wait_for('connect');
is(status($third, 'Seccomp'), 0, 'pg_rooms.sandbox = off takes effect with a reload');
is(page(), 'page of two', '... and all goes on');
$found = intruder($before);
for my $trick ('read a file of the data directory', 'read a file of the data directory by openat2', 'read postgresql.conf',
	'write a file of the data directory', 'create a file in the data directory', 'make a folder in the data directory',
	'read /etc/passwd', 'start a program', 'start a process', 'signal the worker', 'have a signal sent to the worker',
	'look at the limits of the worker', 'share memory', 'map executable memory', 'make memory executable',
	'listen on a port', 'use netlink', 'resolve localhost')
{
	is($found->{$trick}, 'can', "without the sandbox the intruder can $trick");
}
$node->stop;

# ---- a kernel without ----
$node->append_conf('postgresql.conf', 'pg_rooms.sandbox = on');
$before = -s $node->logfile;
start_with('old_kernel');
for my $part ('landlock', 'seccomp filter')
{
	$node->wait_for_log(qr/WARNING:[^\n]*no $part \([^\n]*\n[^\n]*HINT:[^\n]*pg_rooms\.sandbox/, $before);
	pass("a kernel without $part is reported");
}
$client->wait_for('connect');
is(page(), 'page of two', '... and served on');
done_testing();

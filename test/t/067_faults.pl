# Faults of the machine that the gateway runs on: no descriptors, no memory, a
# log that takes nothing, WAL that is gone.  (The database of the handlers: 080, 085.)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;
use Time::HiRes qw(time);

my $rooms = Rooms->new('main', conf => <<'CONF');
logging_collector = on
log_statement = none
log_directory = 'log'
log_filename = 'postgresql.log'
max_wal_size = '32MB'
min_wal_size = '32MB'
wal_keep_size = 0
CONF
my $node = $rooms->node;
my $log = $node->data_dir . '/log/postgresql.log';

# Waits for a line of the log behind $from.
sub logged
{
	my ($pattern, $from) = @_;
	my $end = time + $Rooms::TIMEOUT;
	my $text = '';
	while (time < $end)
	{
		$text = substr slurp_file($log), $from;
		return $text if $text =~ $pattern;
		select undef, undef, undef, 0.05;
	}
	die "no $pattern in the log:\n$text";
}
sub limit { my ($pid, $what) = @_; system('prlimit', '--pid', $pid, $what) == 0 or die "prlimit: $?" }

# The CPU time of a process in seconds.
sub cpu { my ($pid) = @_; my @fields = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr; return ($fields[11] + $fields[12]) / 100 }

my $gateway = $rooms->pid_of('gateway');
logged(qr/gateway is ready/, 0);
my $ada = $rooms->client(claims => { sub => 'ada' }, transports => ['websocket']);
$ada->wait_for('connect');

# ---- no descriptors ----
my $from = -s $log;
limit($gateway, '--nofile=40:');
my @sockets = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $rooms->port) // die "connect: $@" } 1 .. 60;
like(logged(qr/cannot accept connections/, $from), qr/cannot accept connections: .*HINT:  .*file/s, 'out of descriptors, the log says so');
my $cpu = cpu($gateway);
for my $n (1 .. 5)
{
	$rooms->sql("SELECT pg_sleep(0.2), rooms.emit_all('still', '$n')");
	is_deeply($ada->event, [ 'still', $n ], '... clients that are there are served');
}
cmp_ok(cpu($gateway) - $cpu, '<', 0.5, '... and the loop does not spin');
print { $sockets[-1] } "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
ok(!IO::Select->new($sockets[-1])->can_read(0.3), '... one that came too late waits');
close $_ for splice @sockets, 0, 50;
ok(IO::Select->new($sockets[-1])->can_read($Rooms::TIMEOUT), '... and is served when there are some again');
is(() = substr(slurp_file($log), $from) =~ /cannot accept connections/g, 1, '... it was said once');
undef @sockets;

# ---- no memory ----
$from = -s $log;
my $backend = $node->background_psql('postgres');
my $pid = $backend->query_safe('SELECT pg_backend_pid()');
limit($gateway, '--as=1:');
$rooms->sql(q{SELECT rooms.emit_all('large', to_jsonb(repeat('x', 900000)))});
is($ada->wait_for('disconnect')->{reason}, 'transport close', 'out of memory the gateway is gone');
my $next = $rooms->pid_of('gateway', $gateway);
$ada->wait_for('connect');
like(logged(qr/gateway \(PID $gateway\) has ended/, $from),
	$ENV{ROOMS_VARIANT} eq 'asan'
	? qr/Failed to mmap.*\(PID $gateway\) has ended: child process was terminated by signal 6/s    # its allocator is another
	: qr/out of memory.*\(PID $gateway\) has ended: child process exited with exit code 1/s, '... by itself, and says why');
is($backend->query_safe('SELECT pg_backend_pid()'), $pid, '... the database is unharmed');
$backend->quit;
$gateway = $next;

# ---- the log takes nothing ----
my ($logger) = map { (split)[0] } grep { /logger/ } split /\n/, `ps -o pid=,args= --ppid @{[ $node->safe_psql('postgres', 'SELECT pg_read_file($$postmaster.pid$$)') =~ /\A(\d+)/ ]}`;
kill 'STOP', $logger or die "no logger: $!";
# A backend fills the pipe until it has to wait, and so does whoever logs then.
my $full = $node->background_psql('postgres', on_error_stop => 0);
my $blocked = $full->query_safe('SELECT pg_backend_pid()');
$full->query_until(qr/go/, "\\echo go\nDO \$\$BEGIN FOR i IN 1 .. 300 LOOP RAISE LOG '%', repeat('x', 1000); END LOOP; END\$\$;\n");
my $other = $rooms->client(options => { extraHeaders => { Origin => 'http://evil.example' } });
is($other->wait_for('connect_error')->{message}, 'xhr poll error', 'the log blocked, the gateway has something to say');
my $eve = $rooms->client(claims => { sub => 'eve' });
ok($eve->wait_for('connect'), '... and serves');
is($rooms->sql("SELECT state FROM pg_stat_activity WHERE pid = $blocked"), 'active', '... while a backend waits to log');
kill 'CONT', $logger;
$rooms->sql(q{SELECT rooms.emit_all('again')});
is_deeply($_->event, ['again'], '... messages go on when the log does') for $ada, $eve;
is($rooms->pid_of('gateway'), $gateway, '... it is the same gateway');

# ---- a worker behind whose back WAL is removed: clients that are there, and one that is away meanwhile ----
$from = -s $log;
$node->append_conf('postgresql.conf', "pg_rooms.recovery_window = '10min'\n");
$node->reload;
logged(qr/the configuration is reloaded/, $from);
my $proxy = $rooms->proxy;
my ($bea, $cyd) = map { $rooms->client(claims => { sub => $_ }, transports => ['websocket'], url => $_ eq 'cyd' ? $proxy->{url} : undef) } 'bea', 'cyd';
$_->wait_for('connect') for $bea, $cyd;
$proxy->do($_) for 'stall', 'sever';
$cyd->wait_for('disconnect');
$node->poll_query_until('postgres', q{SELECT value = 1 FROM rooms.stats WHERE name = 'absent'}) or die 'it is not away';
my $worker = $rooms->pid_of('worker');
my $gaps = $rooms->stat('bus_gaps');
kill 'STOP', $worker;
$rooms->sql(q{SELECT rooms.emit_all('lost')});
for (1 .. 6) { $rooms->sql(q{SELECT pg_switch_wal()}); $rooms->sql('CHECKPOINT') }
kill 'CONT', $worker;
like(logged(qr/may have lost messages.*HINT/s, $from), qr/between [0-9A-F\/]+ and [0-9A-F\/]+\n.*That WAL was removed/, 'WAL was removed before the worker had read it: a WARNING');
is($rooms->stat('bus_gaps'), $gaps + 1, '... counted');
$rooms->sql(q{SELECT rooms.emit_all('after')});
ok(!$bea->wait_for('connect')->{recovered}, '... who was there is hung up on, and told that it is not recovered');
$proxy->do('flow');
ok(!$cyd->wait_for('connect')->{recovered}, '... and so is who was away');
ok($node->poll_query_until('postgres', q{SELECT value >= 2 FROM rooms.stats WHERE name = 'recovery_refused_gap'}), '... counted, too');
$rooms->sql(q{SELECT rooms.emit_all('behind')});
for my $client ($bea, $cyd) { is($client->wait_for(sub { $_[0]{is} eq 'event' && $_[0]{args}[0] ne 'after' })->{args}[0], 'behind', '... messages go on behind the gap, and none from before comes') }

# ---- fewer descriptors than max_connections ----
$from = -s $log;
limit($worker, '--nofile=500:500');
kill 'KILL', $gateway;
like(logged(qr/limit of open files.*HINT/s, $from), qr/WARNING:  [^\n]*the limit of open files, 500, leaves room for 436 connections, fewer than pg_rooms\.max_connections\n.*HINT:  Raise it/,
	'a gateway whose limit of open files is too low says so');

done_testing();

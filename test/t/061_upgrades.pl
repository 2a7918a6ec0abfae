# Long-polling under load: an upgrade loses nothing, and polls that wait cost nothing.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

my $rooms = Rooms->new('main', conf => "fsync = off\npg_rooms.max_connections_per_user = 0\npg_rooms.max_handshakes_per_second = 0\n");
my $node = $rooms->node;

# ---- 500 upgrades of the stock client while messages flow ----
my ($out, $err) = ('', '');
IPC::Run::run([ 'node', "$Rooms::CLIENT_DIR/upgrades.mjs", $rooms->url, Rooms::token(sub => 'a'), $node->host, $node->port, 500 ],
	'>', \$out, '2>', \$err, IPC::Run::timeout(300));
my $result = $Rooms::JSON->decode($out || '{}');
my $during = delete $result->{during} // 0;
is_deeply($result, { upgraded => 500, lost => 0, disorder => 0, faults => [] }, '500 upgrades: nothing lost, twice or out of order')
  or diag($err);
cmp_ok($during, '>=', 250, '... and most had a message committed in their midst');
note("$during of them");
$node->poll_query_until('postgres', q{SELECT value = 0 FROM rooms.stats WHERE name = 'connections'}) or die;

# ---- 1000 parked long-polls, half of them aborted ----
# The gateway's own processor time, in seconds, from the kernel.
sub cpu
{
	my ($pid) = @_;
	my @field = split / /, PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

my ($in, $answers) = ('', '');
my $polls = IPC::Run::start([ '/usr/bin/python3', "$Rooms::CLIENT_DIR/parked.py", $rooms->port, Rooms::token(sub => 'a') ],
	'<', \$in, '>', \$answers, '2>', \$err, IPC::Run::timeout(120));
$polls->pump until $answers =~ /parked/;
$node->poll_query_until('postgres', q{SELECT value = 500 FROM rooms.stats WHERE name = 'connections'}) or die;
my $gateway = $rooms->pid_of('gateway');
my ($cpu, $start) = (cpu($gateway), time);
sleep 10;    # the span that is measured
my $share = 100 * (cpu($gateway) - $cpu) / (time - $start);
cmp_ok($share, '<', 2, 'waiting polls, and what is left of aborted ones, take less than 2 % of a core');
note(sprintf '%.2f %%', $share);
is($rooms->pid_of('gateway'), $gateway, '... of the same gateway all the time');
$rooms->sql(q{SELECT rooms.emit_all('end')});
$in .= "\n";
$polls->finish;
like($answers, qr/^500$/m, 'the other half still waits, and is answered') or diag($err);
done_testing();

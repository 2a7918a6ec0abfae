# The session table outlives the gateway, the worker and the server, in a file
# that may be damaged anywhere, and that belongs to this server alone.
use strict;
use warnings;
use Rooms;
use FakeGateway;
use File::Path ();
use Test::More;

my $rooms = FakeGateway->new('main', init => { allows_streaming => 1 }, conf => "pg_rooms.recovery_window = '1h'\n");
my $node = $rooms->node;
my $folder = $node->data_dir . '/pg_rooms';
my $file = "$folder/pgsql_tmp_sessions";

# What a gateway was handed over, as one text; it is handed over before anything is heard.
sub table { return join ' ', sort map { "$_->{key}=" . length $_->{value} } FakeGateway::of('session', @_) }

# Stops and starts the server, and gives what the gateway hears.
sub restart { my ($mode) = @_; $node->stop($mode); $node->start; return $rooms->heard_by_now }

$rooms->heard_by_now;

# Ten of them, from a few bytes to many units.
my %value = map { ("k$_" => chr(ord('a') + $_) x (37 * $_ ** 2)) } 0 .. 9;
my $ten = join ' ', map { "$_=" . length $value{$_} } sort keys %value;
$rooms->will_send((map { [ $_, 'old' ] } sort keys %value), [ 'gone', 'x' ], (map { [ $_, $value{$_} ] } sort keys %value), [ 'gone', undef ], [ 'never', undef ]);
is(table($rooms->after_kill), '', 'at first there is no session');

# This gateway has sent them; the one after it does not.
sub wait_for_file
{
	my $end = time + $Rooms::TIMEOUT;
	for (;;)
	{
		my $bytes = PostgreSQL::Test::Utils::slurp_file($file);
		return $bytes if $bytes =~ /\Q$value{k9}\E/ && $bytes !~ /gone/;
		die 'the sessions do not arrive' if time > $end;
		select undef, undef, undef, 0.02;
	}
}
wait_for_file();
$rooms->will_send();
is(table($rooms->after_kill), $ten, 'a new gateway is handed over the sessions of the one before');
my @frames = $rooms->after_kill;
my @order = map { $_->{what} } grep { $_->{what} !~ /history|message|position/ } @frames;
is("@order", "config timelines @{[ ('session') x 10 ]} covered listen", '... before the history');
is_deeply({ map { ($_->{key} => $_->{value}) } FakeGateway::of('session', @frames) }, \%value, '... byte for byte');

for my $mode ('fast', 'immediate') { is(table(restart($mode)), $ten, "... and after stop -m $mode") }
my $worker = $rooms->pid_of('worker');
kill 'TERM', $worker;
$rooms->pid_of('worker', $worker);
is(table($rooms->heard_by_now), $ten, '... and after the end of the worker');

# ---- the file ----
my $bytes = PostgreSQL::Test::Utils::slurp_file($file);
is(sprintf('%o', (stat $file)[2] & 07777), '600', 'the file is the server\'s alone');
is(() = $bytes =~ /\0[^\0]*(?:old|gone)/g, 0, '... and has nothing that was removed');
my %place = map { my $at = index($bytes, "$_" . pack('V', length $value{$_})); ($_ => int($at / 256)) } keys %value;
my %units = map { ($_ => int((4 + 4 + 24 + 8 + 4 + 2 + 4 + length($value{$_}) + 255) / 256)) } keys %value;

sub intact
{
	my ($cut, @flipped) = @_;
	return join ' ', map { "$_=" . length $value{$_} } grep {
		my $k = $_;
		my ($from, $to) = ($place{$k} * 256, ($place{$k} + $units{$k}) * 256);
		$to <= $cut && !grep { $_ >= $from && $_ < $to } @flipped
	} sort keys %value;
}

# The server is started on damaged ones.
my $size = length $bytes;
my @cases = ((map { [ $_ ] } 0, 1, 255, 256, int($size / 2), $size - 256, $size - 1),
	(map { [ $size, $_ ] } 0, 9, 40, int($size / 3), $size - 1), [ $size, map { $_ * 256 + 7 } grep { $_ % 2 } 0 .. $size / 256 - 1 ]);
for my $case (@cases)
{
	my ($cut, @flipped) = @$case;
	my $damaged = $bytes;
	substr($damaged, $_, 1) ^= "\x10" for @flipped;
	$node->stop('immediate');
	open my $out, '>:raw', $file or die;
	print $out substr($damaged, 0, $cut);
	close $out;
	$node->start;
	is(table($rooms->heard_by_now), intact($cut, @flipped), "cut at $cut, flipped at " . (@flipped > 3 ? scalar @flipped : "@flipped"));
}
$node->stop('immediate');
open my $out, '>:raw', $file or die;
print $out join '', map { chr rand 256 } 1 .. 100_000;
close $out;
$node->start;
is(table($rooms->heard_by_now), '', 'junk gives none');
ok(!$node->log_contains(qr/pgsql_tmp/), '... and none of all this is worth a warning');

# ---- another server ----
$node->stop('fast');
open $out, '>:raw', $file or die;
print $out $bytes;
close $out;
$node->start;
is(table($rooms->heard_by_now), $ten, 'they are back');
$node->backup('b');
is_deeply([ glob($node->backup_dir . '/b/pg_rooms/*') ], [], 'a base backup has none of it');
$node->stop('fast');
my $data = $node->data_dir;
rename $data, "$data.away" or die;
system('cp', '-a', "$data.away", $data) == 0 or die;
$node->start;
is(table($rooms->heard_by_now), '', 'a copy of the data directory does not know the sessions');
$node->stop('fast');
File::Path::rmtree($data);
rename "$data.away", $data or die;
$node->start;
is(table($rooms->heard_by_now), $ten, '... and the server itself still does');

# ---- what a gateway said last ----
my $starts = $rooms->stat('gateway_starts');
$rooms->will_send((map { [ "m$_", 'x' ] } 1 .. 4000), undef);
kill 'KILL', $rooms->pid_of('gateway');
$node->poll_query_until('postgres', "SELECT value >= $starts + 2 FROM rooms.stats WHERE name = 'gateway_starts'") or die;
is(scalar FakeGateway::of('session', $rooms->heard_by_now), 10 + 4000, 'what a gateway said before it died is not lost, however much');
$rooms->will_say_at_last((map { [ "m$_", undef ] } 1 .. 4000), [ "late", "12345" ]);
is(table(restart('fast')) =~ s/ m\d+=1//gr, "$ten late=5", '... nor before it was stopped');

# ---- off ----
$rooms->sql('ALTER SYSTEM SET pg_rooms.recovery_window = 0');
$rooms->sql('SELECT pg_reload_conf()');
is(table($rooms->after_kill), '', 'without recovery there are no sessions');
ok(!-e $file, '... and no file');
done_testing();

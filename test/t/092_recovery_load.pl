# Clients behind proxies that cut their connections at any byte, in frames,
# answers and upgrades, and clients that are stopped, while 8 writers commit and
# roll back.  Each client gets
# what one gets that was never cut off: all, once, in order; unless it is told
# that it was not recovered.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $writers = 8;
my $seconds = $ENV{ROOMS_VARIANT} eq 'asan' ? 5 : 10;
my $rooms = Rooms->new('main', conf => "max_prepared_transactions = 20\npg_rooms.recovery_window = '2min'\npg_rooms.max_queued = '512MB'\n"
	. "pg_rooms.ping_interval = '2s'\npg_rooms.ping_timeout = '2s'\n");
my $node = $rooms->node;
$rooms->sql(q{
	CREATE TABLE said (writer int, n int GENERATED ALWAYS AS IDENTITY);
	CREATE FUNCTION say(w int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE m int;
	BEGIN
		INSERT INTO said VALUES (w) RETURNING n INTO m;
		BEGIN
			PERFORM rooms.emit_all('said', to_jsonb(-m));
			RAISE 'rolled back to here';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		PERFORM rooms.emit('tenant:1', 'said', to_jsonb(m));
	END $$;
});
my $script = PostgreSQL::Test::Utils::tempdir() . '/say.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set fate random(0, 9)
BEGIN;
SELECT say(:client_id);
\if :fate = 0
ROLLBACK;
\elif :fate = 1
SET LOCAL synchronous_commit = off;
COMMIT;
\elif :fate = 2
PREPARE TRANSACTION 'w:client_id';
COMMIT PREPARED 'w:client_id';
\else
COMMIT;
\endif
SQL

# Who fails, and how.  The last ones are stopped until the server has given them up.
my %through = (
	'cut at any byte' => $rooms->proxy(least => 100, most => 6000),
	'reset' => $rooms->proxy(least => 100, most => 6000, reset => JSON::PP::true),
	'cut in the upgrade' => $rooms->proxy(upgrade => JSON::PP::true));
my $stopped = Rooms::Driver->new;
my $whole = $rooms->client(claims => { sub => 'whole', tenant_id => 1 }, transports => ['websocket']);
my @failing = map {
	my ($how, @transports) = @$_;
	my $client = $rooms->client(claims => { sub => $through{$how} ? 'failing' : 'stopped', tenant_id => 1 }, transports => \@transports,
		$through{$how} ? (url => $through{$how}{url}) : (driver => $stopped));
	$client->{name} = "$how, " . join(' and ', @transports);
	$client;
} (map { my $how = $_; map { [ $how, @$_ ] } [ 'polling', 'websocket' ], ['websocket'], ['polling'] } 'cut at any byte', 'reset'),
	[ 'cut in the upgrade', 'polling', 'websocket' ], [ 'stopped', 'websocket' ], [ 'stopped', 'polling' ];
$_->wait_for('connect') for $whole, @failing;

my $pgbench = IPC::Run::start(
	['pgbench', '-n', '-c', $writers, '-T', $seconds, '-R', 200, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres'], '>', \my $out, '2>&1');
$stopped->kill('STOP');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM rooms.sockets WHERE user_id = 'stopped'"), 'clients that are stopped are given up');
$stopped->kill('CONT');
ok($pgbench->finish, "$writers writers for $seconds s") or diag($out);
$_->do('spare') for values %through;
$rooms->sql("SELECT rooms.emit_all('end')");

my @all = map { $_->[1] } $whole->events_until('end');
is(join(' ', sort { $a <=> $b } @all), $rooms->sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM said"), scalar(@all) . ' messages: what was committed');
my $recovered_all = 0;
my %place = map { $all[$_] => $_ } 0 .. $#all;
for my $client (@failing)
{
	my ($next, $recovered, $refused, $told, @wrong) = (0, 0, 0, 0);
	for (;;)
	{
		my $seen = $client->wait_for(sub { $_[0]{is} =~ /^(event|connect)$/ });
		if ($seen->{is} eq 'connect')
		{
			$seen->{recovered} ? $recovered++ : $refused++;
			$told = !$seen->{recovered};
			next;
		}
		my $place = $seen->{args}[0] eq 'end' ? @all : $place{ $seen->{args}[1] } // -1;
		push @wrong, "at $next: " . $Rooms::JSON->encode($seen->{args}) if $place < $next || ($place > $next && !$told);
		$told = 0;
		$next = $place + 1;
		last if $seen->{args}[0] eq 'end';
	}
	is_deeply(\@wrong, [], "$client->{name}: nothing missing, phantom, twice or out of order");
	# How many depends on the machine, and on where the connection is cut while it recovers; the others were told.
	note("$recovered recoveries, $refused refused and told");
	$recovered_all += $recovered;
	cmp_ok($recovered, '>', 0, '... recovered') if $client->{name} =~ /stopped|upgrade/;
}
cmp_ok($recovered_all, '>', 4, "$recovered_all recoveries in all");
done_testing();

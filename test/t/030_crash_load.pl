# Crashes and restarts under load: clients count. Within every stay of a client
# nothing is phantom, twice, out of order or missing.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $rooms = Rooms->new('main', conf => "restart_after_crash = on\nmax_prepared_transactions = 20\npg_rooms.max_queued = '1GB'\n");
my $node = $rooms->node;
# Each writer numbers its transactions; a rolled-back one gives its number to the next.
$node->safe_psql('postgres', q{
	CREATE TABLE writer (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
	INSERT INTO writer SELECT generate_series(1, 4);
	CREATE TABLE said (writer int, n int, PRIMARY KEY (writer, n));
	CREATE FUNCTION say(w int, fate int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE m int;
	BEGIN
		UPDATE writer SET n = n + 1 WHERE id = w RETURNING n INTO m;
		INSERT INTO said VALUES (w, m);
		BEGIN
			PERFORM rooms.emit_all('said', to_jsonb(w), to_jsonb(-m));
			RAISE 'rolled back to here';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		PERFORM rooms.emit_all('said', to_jsonb(w), to_jsonb(m));
		IF fate = 0 THEN SET LOCAL synchronous_commit = off; END IF;
	END $$;
});
my $dir = PostgreSQL::Test::Utils::tempdir();
for my $w (1 .. 4)
{
	PostgreSQL::Test::Utils::append_to_file("$dir/$w.sql", <<"SQL");
\\set fate random(0, 9)
\\if :fate = 9
BEGIN;
SELECT say($w, 9);
ROLLBACK;
\\else
SELECT say($w, :fate);
\\endif
SQL
}
my @clients = map { $rooms->client(claims => { sub => $_ }, transports => ['websocket']) } 1 .. 2;

sub start_writers
{
	return map {
		my $out = '';
		IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-T', 120, '-f', "$dir/$_.sql", '-h', $node->host, '-p', $node->port, 'postgres' ],
			'>', \$out, '2>', \$out, IPC::Run::timer(240));
	} 1 .. 4;
}

# The clients' own pauses set the pace: each round ends after so many events.
my %log = map { $_->{id} => [] } @clients;
sub take
{
	my ($client, $count) = @_;
	while ($count > 0)
	{
		my $seen = $client->wait_for(sub { $_[0]{is} =~ /^(event|connect|disconnect)$/ });
		push @{ $log{ $client->{id} } }, $seen;
		$count-- if $seen->{is} eq 'event';
	}
}

for my $round ('immediate', 'gateway', 'fast', 'worker', 'immediate', 'backend')
{
	my @writers = start_writers();
	take($_, 300) for @clients;
	if ($round eq 'gateway') { kill 'KILL', $rooms->pid_of('gateway') }
	elsif ($round eq 'worker') { kill 'TERM', $rooms->pid_of('worker') }
	elsif ($round eq 'backend')
	{
		my $backend = $rooms->sql(q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%say(%' AND pid <> pg_backend_pid() LIMIT 1});
		kill 'KILL', $backend;
	}
	else { $node->stop($round) }
	if ($round eq 'gateway' || $round eq 'worker') { take($_, 300) for @clients; $_->signal('INT') for @writers }
	$_->finish for @writers;
	if ($round eq 'backend') { $node->poll_query_until('postgres', 'SELECT true') or die }
	elsif ($round ne 'gateway' && $round ne 'worker') { $node->start }
}
$rooms->wait_until_serving;
for my $client (@clients)
{
	# Whoever has not come back yet needs another last word.
	my $seen = { is => 'connect' };
	until ($seen->{is} eq 'event' && $seen->{args}[0] eq 'end')
	{
		$rooms->sql(q{SELECT rooms.emit_all('end')}) if $seen->{is} eq 'connect';
		$seen = $client->wait_for(sub { $_[0]{is} =~ /^(event|connect|disconnect)$/ });
		push @{ $log{ $client->{id} } }, $seen;
	}
}

my %committed = map { $_ => 1 } split /\n/, $rooms->sql(q{SELECT writer || ' ' || n FROM said});
for my $client (@clients)
{
	my (%last, %seen);
	my ($events, $phantom, $twice, $disorder, $missing, $stays) = (0) x 6;
	for my $what (@{ $log{ $client->{id} } })
	{
		if ($what->{is} eq 'connect') { %last = (); $stays++; next }
		next if $what->{is} ne 'event' || $what->{args}[0] ne 'said';
		my (undef, $w, $n) = @{ $what->{args} };
		$events++;
		$phantom++ if !$committed{"$w $n"};
		$twice++ if $seen{"$w $n"}++;
		$disorder++ if defined $last{$w} && $n < $last{$w};
		$missing += grep { $committed{"$w $_"} } $last{$w} + 1 .. $n - 1 if defined $last{$w};
		$last{$w} = $n;
	}
	note("$events events in $stays stays");
	cmp_ok($stays, '>=', 6, 'the client came back after each fault');
	is($phantom, 0, '... saw nothing that was not committed');
	is($twice, 0, '... nothing twice');
	is($disorder, 0, '... nothing out of order');
	is($missing, 0, '... and missed nothing between the first and the last of a stay');
}
done_testing();

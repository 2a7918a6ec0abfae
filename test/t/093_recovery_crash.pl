# Whatever dies, clients come back as the same sockets, with all that was committed meanwhile.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, init => { allows_streaming => 1 }, conf => "restart_after_crash = on\nmax_prepared_transactions = 2\npg_rooms.recovery_window = '10s'\n");
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
GRANT INSERT ON log TO gateway;
CREATE FUNCTION arrive(e rooms.event) RETURNS void LANGUAGE sql AS
	$$INSERT INTO log (what) VALUES (e.user_id || ' ' || (e.handshake->>'recovered'))$$;
CREATE FUNCTION depart(e rooms.event) RETURNS void LANGUAGE sql AS
	$$INSERT INTO log (what) VALUES (e.user_id || ' left ' || (e.handshake->>'address'))$$;
CREATE FUNCTION may_join(e rooms.event) RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT rooms.on_connect('arrive'), rooms.on_disconnect('depart'), rooms.on_join('team:*', 'may_join');
SQL

my %clients = map { $_ => $rooms->client(claims => { sub => $_, tenant_id => 1 }, transports => [$_]) } 'websocket', 'polling';
my %sid = map { $_ => $clients{$_}->wait_for('connect')->{sid} } keys %clients;
is_deeply($_->ask('room:join', 'team:1'), [], 'in a room') for values %clients;

# One that will not come back.
sub lose
{
	my ($name) = @_;
	$rooms->client(claims => { sub => $name, tenant_id => 1 }, transports => ['websocket'], options => { reconnection => JSON::PP::false })->wait_for('connect');
}

sub departs
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM log WHERE what = '$what left 127.0.0.1')"), "$what: on_disconnect runs for who is not back in time");
}

my $n = 0;
sub say { my ($room) = @_; $n++; $rooms->sql("SELECT rooms.emit('$room', 'n', to_jsonb($n))"); return $n }

# The postmaster's children have to notice before there can be another one.
sub kill_postmaster
{
	my @pids = split /\n/, $rooms->sql('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() UNION SELECT pid FROM rooms.processes');
	my $end = time + $Rooms::TIMEOUT;
	$node->kill9;
	for my $pid (@pids)
	{
		while (kill 0, $pid)
		{
			die "$pid survives its postmaster" if time > $end;
			select undef, undef, undef, 0.02;
		}
	}
	$node->start;
}

# What a client hears until it has connected again, and of so many messages.
sub heard
{
	my ($client, $count) = @_;
	my ($connect, @heard);
	while (@heard < $count || !$connect)
	{
		my $seen = $client->wait_for(sub { $_[0]{is} =~ /^(event|connect)$/ });
		if ($seen->{is} eq 'connect') { $connect = $seen }
		elsif ($seen->{args}[0] eq 'throttled') { $client->{last} = $seen->{args}[2] }
		else { push @heard, $seen->{args}[1] }
	}
	return ($connect, @heard);
}

# AddressSanitizer would report a SEGV as a finding.
my $crash = $ENV{ROOMS_VARIANT} eq 'asan' ? 'ABRT' : 'SEGV';
for my $what ('gateway KILL', "gateway $crash", 'worker TERM', 'worker KILL', 'server fast', 'server immediate', 'server KILL', 'checkpointer KILL')
{
	my ($who, $how) = split / /, $what;
	lose($what) if $what =~ /^(gateway KILL|server immediate)$/;
	my $prepared = ++$n;
	$rooms->sql("BEGIN; SELECT rooms.emit('tenant:1', 'n', to_jsonb($n)); PREPARE TRANSACTION 'p'");
	my $waits = $what =~ /^(gateway|server) KILL$/;
	$rooms->sql("SELECT rooms.emit_to('{tenant:1}', 'throttled', to_jsonb(ARRAY[$n, v]), throttle => '1 s') FROM generate_series(1, 3) v") if $waits;
	my @said = say('tenant:1');
	my $gateway = $rooms->pid_of('gateway');
	if ($what eq 'server KILL') { kill_postmaster() }
	elsif ($who eq 'server') { $node->stop($how); $node->start }
	elsif ($who eq 'checkpointer' || $what eq 'worker KILL')
	{
		my $offset = -s $node->logfile;
		my $pid = $rooms->sql("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('$who', 'pg_rooms $who')");
		die unless $pid =~ /^\d+$/;
		kill $how, $pid;
		$node->wait_for_log(qr/database system is ready to accept connections/, $offset);
		$node->poll_query_until('postgres', 'SELECT true');
	}
	else { kill $how, $rooms->pid_of($who) }
	push @said, say('team:1');
	$rooms->sql("COMMIT PREPARED 'p'");		# of before; now it counts
	push @said, $prepared, say('tenant:1');
	for my $transport (sort keys %clients)
	{
		my $client = $clients{$transport};
		my ($connect, @heard) = heard($client, scalar @said);
		is_deeply(\@heard, \@said, "$what, $transport: all that was committed, once, in order");
		ok($connect->{recovered}, '... recovered');
		is($connect->{sid}, $sid{$transport}, '... as the same socket');
		next if !$waits;
		$client->wait_for(sub { $_[0]{is} eq 'event' && $_[0]{args}[2] == 3 }) if $client->{last} != 3;
		pass('... and it has the throttled value that waited, though it knew a later message');
	}
	departs($what) if $what eq 'gateway KILL';
}

# ---- on a standby ----
$node->backup('b');
my $copy = PostgreSQL::Test::Cluster->new('standby');
$copy->init_from_backup($node, 'b', has_streaming => 1);
my $standby = Rooms->adopt($copy);
$copy->start;
my $client = $standby->client(claims => { sub => 'standby', tenant_id => 1 }, transports => ['websocket']);
my $sid = $client->wait_for('connect')->{sid};
for my $what ('gateway', 'worker', 'immediate')
{
	my @said = say('tenant:1');
	if ($what eq 'immediate') { $copy->stop('immediate') }
	else { kill $what eq 'gateway' ? 'KILL' : 'TERM', $standby->pid_of($what) }
	push @said, say('tenant:1');
	$copy->start if $what eq 'immediate';
	push @said, say('tenant:1');
	my ($connect, @heard) = heard($client, scalar @said);
	is_deeply(\@heard, \@said, "standby, $what: all that was committed, once, in order");
	is_deeply([ $connect->{recovered}, $connect->{sid} ], [ JSON::PP::true, $sid ], '... recovered as the same socket');
}

departs('server immediate');
is($rooms->sql("SELECT count(*) FROM log WHERE what ~ '^(gateway KILL|server immediate) left'"), 2, '... once for each');
done_testing();

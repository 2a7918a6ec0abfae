# Stock clients that lose their connection and come back: they get what was
# committed meanwhile, once and in order, or are told that they were not recovered.
use strict;
use warnings;

use Rooms;
use IPC::Run ();
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => "pg_rooms.recovery_window = '60s'\n");
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE member (user_id text, room text);
INSERT INTO member VALUES ('rob', 'team:1'), ('rob', 'team:2');
GRANT INSERT ON log TO gateway;
GRANT SELECT ON member TO gateway;
CREATE FUNCTION arrive(e rooms.event) RETURNS void LANGUAGE sql AS
	$$INSERT INTO log (what) VALUES (e.user_id || ' ' || e.sid || ' ' || coalesce(e.handshake->>'recovered', '?'))$$;
CREATE FUNCTION depart(e rooms.event) RETURNS void LANGUAGE sql AS
	$$INSERT INTO log (what) VALUES (e.user_id || ' ' || e.sid || ' ' || (e.args->>0))$$;
CREATE FUNCTION may_join(e rooms.event) RETURNS boolean LANGUAGE sql AS
	$$SELECT EXISTS (SELECT FROM member m WHERE m.user_id = e.user_id AND m.room = e.args->>0)$$;
SELECT rooms.on_connect('arrive'), rooms.on_disconnect('depart'), rooms.on_join('team:*', 'may_join');
SQL

my %no_reconnection = (reconnection => JSON::PP::false);

sub stat_is
{
	my ($name, $value) = @_;
	return $node->poll_query_until('postgres', "SELECT value = $value FROM rooms.stats WHERE name = '$name'");
}

# Events without their offsets, which must be there.
sub plain
{
	return [map { my @event = @$_; (pop @event) =~ /^[0-9a-f.]+$/ ? \@event : ['no offset', @event] } @_];
}

# A client of one transport, not coming back by itself.
sub arrive
{
	my ($user, $transport, %auth) = @_;
	my $client = $rooms->client(
		auth => { token => Rooms::token(sub => $user, tenant_id => 1), %auth },
		transports => [$transport], options => \%no_reconnection);
	$client->{was} = $client->wait_for('connect');
	return $client;
}

sub leave
{
	my ($client) = @_;
	$client->cut;
	$client->wait_for('disconnect');
}

# Reconnects; gives what came before "connect", and that.
sub back
{
	my ($client) = @_;
	$client->connect;
	my $connect = $client->wait_for('connect');
	my @events = map { $_->{args} } grep { $_->{is} eq 'event' } $client->seen;
	@{ $client->{seen} } = ();
	return ($connect, @events);
}

for my $transport ('websocket', 'polling')
{
	my $user = "ann-$transport";
	my $ann = arrive($user, $transport);
	ok(!$ann->{was}{recovered} && $ann->{was}{pid} =~ /^[\w-]{22}$/, "$transport: a new client has a pid");
	$rooms->sql("SELECT rooms.notify_user('$user', '1')");
	is_deeply(plain($ann->event), [['notification:new', 1]], '... its events end in an offset');
	leave($ann);
	ok(stat_is('absent', 1), '... and it is waited for when its connection is lost');
	$rooms->sql("SELECT rooms.sockets_join('user:$user', '{ann-s}'), rooms.notify_user('$user', '2')");
	$rooms->sql("BEGIN; SELECT rooms.notify_user('$user', '-1'); ROLLBACK");
	$rooms->sql("BEGIN; SELECT rooms.emit('ann-s', 's', '3'); SAVEPOINT x; SELECT rooms.emit_all('no'); ROLLBACK TO x; SELECT rooms.emit_all('all', '4'); COMMIT");
	$rooms->sql("SELECT rooms.emit('other', 'no'), rooms.emit_to('{user:$user}', 'no', except_rooms => '{ann-s}')");
	$rooms->sql("SELECT rooms.emit_to('{tenant:1}', 'file', '[{\"_placeholder\": true, \"num\": 0}]', attachments => ARRAY['abc'::bytea])");
	my ($connect, @missed) = back($ann);
	ok($connect->{recovered}, '... it is back');
	is($connect->{sid}, $ann->{was}{sid}, '... as the same socket');
	is_deeply(plain(@missed), [['notification:new', 2], ['s', 3], ['all', 4], ['file', { binary => 'YWJj' }]], '... and has what it missed, once, in order, and nothing else');
	$rooms->sql("SELECT rooms.emit('ann-s', 's', '5')");
	is_deeply(plain($ann->event), [['s', 5]], '... and goes on from there');
	leave($ann);
	($connect, @missed) = back($ann);
	ok($connect->{recovered} && !@missed, '... having missed nothing, it gets nothing');

	leave($ann);
	$rooms->sql("SELECT rooms.emit('ann-s', 's', '6')");
	$rooms->sql("SELECT rooms.sockets_leave('user:$user', '{ann-s}')");
	$rooms->sql("SELECT rooms.emit('ann-s', 's', '7')");
	($connect, @missed) = back($ann);
	is_deeply(plain(@missed), [['s', 6]], '... nothing of a room that it was taken out of, from there on');
	leave($ann);
	$rooms->sql("SELECT rooms.disconnect_sockets('user:$user')");
	ok(stat_is('absent', 0), '... disconnect_sockets reaches it');
	($connect, @missed) = back($ann);
	ok(!$connect->{recovered} && !@missed, '... it comes back as another');
	$ann->disconnect;
}
ok(stat_is('recovered', 6), 'recoveries are counted');

# Handlers: the life cycle, and rules.
my $rob = arrive('rob', 'websocket');
my $sid = $rob->{was}{sid};
is_deeply($rob->ask('room:join', $_), [], "rob joins $_") for 'team:1', 'team:2';
leave($rob);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM log WHERE what = 'rob $sid transport close')") or die;
$rooms->sql("DELETE FROM member WHERE room = 'team:2'");
$rooms->sql("SELECT rooms.emit('team:1', 'one'), rooms.emit('team:2', 'two')");
my ($connect, @missed) = back($rob);
ok($connect->{recovered}, 'on_connect lets it come back');
is_deeply(plain(@missed), [['one']], 'rules are asked again, before anything is sent');
$rooms->sql("SELECT rooms.emit('team:2', 'two'), rooms.emit('team:1', 'one'), rooms.emit_all('end')");
is_deeply(plain($rob->events_until('end')), [['one']], '... and hold from then on');
is($rooms->sql("SELECT string_agg(what, ', ' ORDER BY n) FROM log WHERE what LIKE 'rob %'"),
	"rob $sid false, rob $sid transport close, rob $sid true", 'on_disconnect and on_connect ran, which knows of the recovery');
$rob->emit('room:join', 'team:2');
my $error = $rob->event;
is_deeply(plain($error), [['error', { event => 'room:join', message => 'not allowed', code => 'forbidden' }]], 'an error ends in an offset, too');

# Who is not taken back.
my $eve = $rooms->client(auth => { token => Rooms::token(sub => 'eve', tenant_id => 1), pid => $rob->{was}{pid} }, transports => ['websocket']);
my $was = $eve->wait_for('connect');
ok($was->{pid} ne $rob->{was}{pid} && $was->{sid} ne $sid, "another's pid is of no use");
ok(stat_is('recovery_refused_identity', 1), '... and that is counted');
my $bad = $rooms->client(auth => { token => 'bad', pid => $rob->{was}{pid} }, transports => ['websocket']);
is($bad->wait_for('connect_error')->{data}{code}, 'malformed', 'nor is it of any without a good token');
is_deeply([grep { $_->{is} eq 'disconnect' } $rob->seen], [], '... and whose it is does not notice');

# Two tabs of one user, one pid: the second has it.
my %tab = (token => Rooms::token(sub => 'rob', tenant_id => 1), pid => $rob->{was}{pid}, offset => $error->[-1]);
my $tab = $rooms->client(auth => \%tab, transports => ['websocket']);
is($tab->wait_for('connect')->{sid}, $sid, 'a pid in use is taken over');
is($rob->wait_for('disconnect')->{reason}, 'transport close', '... from whoever had it');

# Clients that want nothing of it.
my $kim = arrive('kim', 'websocket', recovery => JSON::PP::false);
ok(!exists $kim->{was}{pid}, 'recovery: false: no pid');
$rooms->sql("SELECT rooms.notify_user('kim', '1')");
is_deeply($kim->event, ['notification:new', 1], '... and no offset');
for my $case (map { my $transport = $_; map { [ $transport, $_ ] } '{"recovery": false}', '{}' } 'polling', 'websocket')
{
	my ($transport, $auth) = @$case;
	my ($out, $err) = ('', '');
	my $client = IPC::Run::start(['/usr/bin/python3', "$Rooms::CLIENT_DIR/client.py", $rooms->url, Rooms::token(sub => 'py'), $transport, $auth],
		'>', \$out, '2>', \$err, IPC::Run::timeout(60));
	$client->pump until $out =~ /connect/;
	$rooms->sql("SELECT rooms.notify_user('py', '1'), rooms.emit('user:py', 'end')");
	$client->finish;
	my @said = map { $Rooms::JSON->decode($_) } split /\n/, $out;
	like(pop @{ $said[1]{event} }, qr/^[0-9a-f.]+$/, "python3-socketio by $transport, on the same server: an offset") if $auth eq '{}';
	is_deeply(\@said, [{ connect => JSON::PP::true }, { event => ['notification:new', 1] }],
		"... python3-socketio by $transport, on the same server, with auth $auth") or diag($err);
}

# Not all of it is known.
my $gil = arrive('gil', 'websocket');
leave($gil);
$node->append_conf('postgresql.conf', "pg_rooms.history_size = '64kB'\n");
my $offset = -s $node->logfile;
$node->reload;
$node->wait_for_log(qr/the configuration is reloaded/, $offset);
$rooms->sql("SELECT rooms.notify_user('nobody', to_jsonb(repeat('x', 10000))) FROM generate_series(1, 10)");
($connect) = back($gil);
ok(!$connect->{recovered}, 'a gap in the history: not recovered');
ok(stat_is('recovery_refused_gap', 1), '... counted');
$node->wait_for_log(qr/a client came back and was not recovered/, $offset);
pass('... and logged');

# Off again.
$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "pg_rooms.recovery_window = 0\n");
$node->reload;
$node->wait_for_log(qr/the configuration is reloaded/, $offset);
ok(stat_is('history_bytes', 0), 'recovery_window = 0: nothing is kept');
leave($gil);
($connect) = back($gil);
$rooms->sql("SELECT rooms.notify_user('gil', '1')");
is_deeply([$gil->event, $connect->{recovered}, $rooms->stat('absent')], [['notification:new', 1], undef, 0], 'recovery_window = 0: the plain protocol');

done_testing();

# Connect, disconnect, tokens over time, and what must not get into SQL.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
pg_rooms.namespaces = '/,/admin'
pg_rooms.jwt_leeway = 0
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
GRANT INSERT ON log TO gateway;
CREATE FUNCTION arrive(e rooms.event) RETURNS SETOF text SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
	IF e.user_id = 'eve' THEN RAISE EXCEPTION 'You are banned' USING ERRCODE = 'PT403'; END IF;
	IF e.user_id = 'err' THEN PERFORM 1 / 0; END IF;
	PERFORM rooms.emit(e.sid, 'auth', e.handshake->'auth');
	PERFORM rooms.emit(e.sid, 'welcome', to_jsonb(e.user_id));
	RETURN QUERY VALUES ('team:red'), ('team:' || e.user_id);
END $$;
CREATE FUNCTION depart(e rooms.event) RETURNS void LANGUAGE sql AS
	$$INSERT INTO log (what) VALUES (e.user_id || ' left ' || e.namespace || ': ' || (e.args->>0))$$;
CREATE FUNCTION mark_read(id int) RETURNS void SECURITY DEFINER LANGUAGE sql AS $$
	SELECT rooms.emit_to(ARRAY['user:' || rooms.current_user_id()], 'read', jsonb_build_array(id), except_rooms => ARRAY[rooms.current_sid()]) $$;
CREATE FUNCTION echo(e rooms.event) RETURNS rooms.reply LANGUAGE sql AS 'SELECT (e.args, e.attachments)::rooms.reply';
CREATE FUNCTION admins_only() RETURNS void LANGUAGE plpgsql AS
	$$BEGIN IF rooms.claims()->>'admin' IS DISTINCT FROM 'true' THEN RAISE EXCEPTION 'admins only'; END IF; END$$;
SELECT rooms.on_connect('arrive'), rooms.on_disconnect('depart'), rooms.on_event('read', 'mark_read'), rooms.on_event('echo', 'echo'),
	rooms.on_connect('admins_only', '/admin'), rooms.on_event('__proto__', 'echo'), rooms.on_event('it''s "quoted"', 'echo');
SQL

# Connect.
my $ada = $rooms->client(auth => { token => Rooms::token(sub => 'ada'), device => 'phone' });
my $sid = $ada->wait_for('connect')->{sid};
is_deeply($ada->event, ['auth', { device => 'phone' }], 'the auth payload comes back as the first packet, without the token');
is_deeply($ada->event, ['welcome', 'ada'], '... and what follows in order');
is_deeply([grep { $_->{is} eq 'event' } $ada->seen], [], '... and nothing else');
$rooms->sql("SELECT rooms.emit('team:red', 'red'), rooms.emit('team:ada', 'own'), rooms.emit('team:bob', 'other'), rooms.emit_all('end')");
is_deeply([$ada->events_until('end')], [['red'], ['own']], 'on_connect gives further rooms');
my $eve = $rooms->client(claims => { sub => 'eve' });
my $refusal = $eve->wait_for('connect_error');
is_deeply([@$refusal{qw(message data)}], ['You are banned', { code => 'PT403' }], 'on_connect refuses, with what it raised');
$refusal = $rooms->client(claims => { sub => 'err' })->wait_for('connect_error');
is($refusal->{message}, 'internal error', '... and says nothing of what it did not raise on purpose');
like($refusal->{data}{id}, qr/^[0-9a-f]{12}$/, '... but an id');
is($rooms->client(claims => { sub => 'ada' }, nsp => '/admin')->wait_for('connect_error')->{message}, 'admins only', 'a namespace has handlers of its own');
ok($rooms->client(claims => { sub => 'ada', admin => JSON::PP::true }, nsp => '/admin')->wait_for('connect'), '... which let others in');

# The user's other devices.
my $second = $rooms->client(claims => { sub => 'ada' });
$second->wait_for('connect');
is_deeply($ada->ask('read', 5), [], 'marked as read on one device');
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([map { $_->[0] } $ada->events_until('end')], [], '... which is not told');
is_deeply([map { $_->[0] } $second->events_until('end')], ['auth', 'welcome', 'read'], '... but the other one');

# Disconnect, with the reason.
sub left { my ($what) = @_; return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM log WHERE what = '$what')") }
my $cyd = $rooms->client(claims => { sub => 'cyd' });
$cyd->wait_for('connect');
$cyd->disconnect;
ok(left('cyd left /: client namespace disconnect'), 'on_disconnect: the client left');
my $dan = $rooms->client(claims => { sub => 'dan' }, options => { reconnection => JSON::PP::false });
$dan->wait_for('connect');
$dan->cut;
ok(left('dan left /: transport close'), '... its transport closed');
my $fay = $rooms->client(claims => { sub => 'fay' });
$fay->wait_for('connect');
$rooms->sql("SELECT rooms.disconnect_sockets('user:fay')");
ok(left('fay left /: server namespace disconnect'), '... the server disconnected it');
is($rooms->sql("SELECT count(*) FROM log WHERE what LIKE 'eve%'"), 0, '... and not for whom on_connect refused');

# Tokens over time.
my $soon = sub { Rooms::token(sub => 'gus', exp => int(Time::HiRes::time()) + $_[0]) };
my $gus = $rooms->client(token => $soon->(3));
$gus->wait_for('connect');
is_deeply($gus->ask('auth:refresh', $soon->(3600)), [], 'auth:refresh renews a token in place');
my $error = $gus->ask('auth:refresh', Rooms::token(sub => 'ada'))->[0]{error};
is($error->{code}, 'identity_mismatch', '... not for another user');
$error = $gus->ask('auth:refresh', Rooms::token(sub => 'gus', tenant_id => 2))->[0]{error};
is($error->{code}, 'identity_mismatch', '... nor another tenant');
$error = $gus->ask('auth:refresh', 'x.y.z')->[0]{error};
is($error->{code}, 'malformed', '... nor by a bad one');
my $hal = $rooms->client(token => $soon->(2));
$hal->wait_for('connect');
is($hal->wait_for('disconnect')->{reason}, 'transport close', 'an expired token closes the transport, without a DISCONNECT packet');
is($hal->wait_for('connect_error')->{data}{code}, 'token_expired', '... the client comes back by itself, and its old token is refused');
is_deeply($gus->ask('echo', 1), [1], '... the renewed one goes on');
ok(!grep({ $_->{is} eq 'disconnect' } $gus->seen), '... and was never disconnected');

# ... with a tolerance for clocks that differ.
$rooms->configure("pg_rooms.jwt_leeway = '2s'\n");
my $exp = int(Time::HiRes::time()) + 1;
my $ida = $rooms->client(token => Rooms::token(sub => 'ida', exp => $exp), options => { reconnection => JSON::PP::false });
$ida->wait_for('connect');
$ida->wait_for('disconnect');
cmp_ok(Time::HiRes::time(), '>=', $exp + 2, 'jwt_leeway holds for clients that are connected, too');

# What must not get into SQL, and must not break anything.
my $nested = 1;
$nested = [$nested] for 1 .. 90;
for my $case (["'; DROP TABLE log; --", '"', '\\', "\x{2028}"], [{ "a'b" => "c\"d" }], [$nested], ["\x{1f600}"], [{ __proto__ => 1, constructor => 2 }])
{
	is_deeply($ada->ask('echo', @$case), $case, 'as it was: ' . substr($Rooms::JSON->encode($case), 0, 40));
}
is_deeply($ada->ask('__proto__', 1), [1], 'an event named __proto__');
is_deeply($ada->ask(q(it's "quoted"), 1), [1], 'quotes in a name');
is($ada->ask('echo', "a\x{0}b")->[0]{error}{code}, 'PT400', 'NUL: an error, as text cannot hold it');
# ... what the stock client would not send, as frames of its connection.
$rooms->sql(<<'SQL');
CREATE FUNCTION twice(n float8) RETURNS float8 LANGUAGE sql AS 'SELECT 2 * n';
SELECT rooms.on_event('twice', 'twice');
SQL
$rooms->settle($ada, 'ada');
is_deeply($ada->ask('twice', 2), [4], 'a function of a number');
my $raw = $rooms->client(claims => { sub => 'raw' }, transports => ['websocket']);
$raw->wait_for('connect');
$raw->event for 1 .. 2;
my $deep = sub { ('[' x $_[0]) . (']' x $_[0]) };
for my $case (['a lone surrogate', 'echo', '"\ud800"', 'PT400'], ['another, in a key', 'echo', '{"\udc00x":1}', 'PT400'],
	['NUL', 'echo', '"\u0000"', 'PT400'], ['1e400', 'twice', '1e400', 'PT400'], ['a number beyond numeric', 'echo', '1e999999', 'PT400'],
	['a lone surrogate as a room', 'room:join', '"\ud800"', 'invalid_arguments'], ['NUL in one', 'room:join', '"a\u0000b"', 'invalid_arguments'])
{
	my ($what, $event, $json, $code) = @$case;
	$raw->frame(qq(42["$event",$json]));
	my $e = $raw->event;
	is_deeply([$e->[0], $e->[1]{event}, $e->[1]{code}], ['error', $event, $code], "$what: an error");
}
$raw->frame('4217["echo",' . $deep->(100) . ']');
is_deeply($raw->ask('echo', 'here'), ['here'], '100 levels of nesting are no trouble');
for my $case (['invalid UTF-8', qq(42["echo","\xff"])], ['... an overlong form', qq(42["echo","\xc0\x80"])], ['a surrogate as UTF-8', qq(42["echo","\xed\xa0\x80"])],
	['a bare NUL', qq(42["echo","\x00"])], ['nesting without end', '42["echo",' . $deep->(100000) . ']'], ['1e', '42["echo",1e]'], ['a namespace with a quote', q(42/a'b,["echo",1])])
{
	my ($what, $bytes) = @$case;
	$raw->frame($bytes);
	$raw->wait_for('disconnect');
	$raw->wait_for('connect');
	is_deeply($raw->ask('echo', 'back'), ['back'], "$what ends the connection, and the client is back");
}
my @children = $node->psql('postgres', 'SELECT count(*) FROM log');
is($children[0], 0, '... the server lives');

$ada->emit("no\x{0}such", 1);
$ada->emit("'; DROP TABLE log; --", 1);
is_deeply($ada->ask('echo', 2), [2], 'unknown events are ignored');
is($rooms->sql("SELECT count(*) > 0 FROM log"), 't', 'the table is still there');

done_testing();

# Rooms: who may join, what members may send each other, and that a right that is taken away is gone.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
pg_rooms.handler_connections = 4
pg_rooms.max_events_per_second = 0
pg_rooms.max_rooms_per_socket = 0
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE TABLE membership (user_id text, room text, PRIMARY KEY (user_id, room));
GRANT SELECT ON membership TO gateway;
INSERT INTO membership VALUES ('ada', 'ticket:1'), ('bob', 'ticket:1'), ('bob', 'ticket:2');
CREATE FUNCTION may_join(room text) RETURNS boolean LANGUAGE sql AS
	$$SELECT EXISTS (SELECT FROM membership m WHERE m.user_id = rooms.claims()->>'sub' AND m.room = may_join.room)$$;
CREATE FUNCTION anywhere(room text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION expel() RETURNS trigger SECURITY DEFINER SET search_path = pg_catalog, pg_temp LANGUAGE plpgsql AS
	$$BEGIN PERFORM rooms.sockets_leave('user:' || OLD.user_id, ARRAY[OLD.room]); RETURN NULL; END$$;
CREATE TRIGGER expel AFTER DELETE ON membership FOR EACH ROW EXECUTE FUNCTION expel();
SELECT rooms.on_join('ticket:*', 'may_join', relay => ARRAY['cursor', 'typing']), rooms.on_join('open:*', 'anywhere');
SQL
my $ada = $rooms->client(claims => { sub => 'ada', tenant_id => 1 });
my $bob = $rooms->client(claims => { sub => 'bob', tenant_id => 1 });
my $ada_sid = $ada->wait_for('connect')->{sid};
my $bob_sid = $bob->wait_for('connect')->{sid};

sub code { my ($client, @ask) = @_; my $e = $client->ask(@ask)->[0]; return 'ok' unless $e; $client->event; return $e->{error}{code} }

# Who may join.
is(code($ada, 'room:join', 'ticket:1'), 'ok', 'the function decides: yes');
is(code($ada, 'room:join', 'ticket:2'), 'forbidden', '... no');
is(code($ada, 'room:join', 'board'), 'forbidden', 'no rule, no entry');
is(code($bob, 'room:join', 'ticket:1'), 'ok', 'another member');
$rooms->sql("SELECT rooms.emit('ticket:1', 'changed', '1'), rooms.emit('ticket:2', 'changed', '2')");
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([$ada->events_until('end')], [['changed', 1]], 'a member hears of its room, and of no other');
is_deeply([$bob->events_until('end')], [['changed', 1]], '... each');
is(code($ada, 'room:leave', 'ticket:1'), 'ok', 'leave');
$rooms->sql("SELECT rooms.emit('ticket:1', 'changed', '3')");
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([$ada->events_until('end')], [], '... and hear no more');
$bob->events_until('end');

# Never by request, whatever a rule says.
$rooms->sql("INSERT INTO rooms.handlers SELECT 'j', '/', '*', 'public.anywhere(pg_catalog.text)', '{}'");
$rooms->settle($ada, 'ada');
is(code($ada, 'room:join', 'anything'), 'ok', 'a rule for everything');
is(code($ada, 'room:join', $_), 'forbidden', "... does not open $_") for 'user:bob', 'tenant:2', 'user:', $bob_sid, $ada_sid;
is(code($ada, 'room:join', @$_), 'invalid_arguments', 'not a room: ' . $Rooms::JSON->encode($_))
	for [], [''], [5], ['a', 'b'], [undef], [{}], ["a\x{0}b"], ["a\nb"];
is(code($ada, 'room:join', 'x' x 256), 'name_too_long', '... a name that is too long');
is(code($ada, 'room:join', "caf\x{e9} '; DROP TABLE membership; --"), 'ok', 'any other name is a name');
$rooms->sql("DELETE FROM rooms.handlers WHERE name = '*'");

# What members send each other, without the database.
is(code($ada, 'room:join', 'ticket:1'), 'ok', 'in again');
is(code($ada, 'room:emit', 'ticket:1', 'cursor', { x => 1 }, 2), 'ok', 'a relayed event');
is_deeply($bob->event, ['cursor', { x => 1 }, 2, { userId => 'ada', sid => $ada_sid }], '... reaches the others, with who sent it');
is(code($ada, 'room:emit', 'ticket:1', 'typing', { binary => 'AAE=' }), 'ok', '... binary, too');
is_deeply($bob->event, ['typing', { binary => 'AAE=' }, { userId => 'ada', sid => $ada_sid }], '... as it was');
my $calls = $rooms->stat('handler_calls');
is(code($ada, 'room:emit', 'ticket:1', $_, 1), 'forbidden', "... but not $_") for 'ticket:updated', 'error', 'connect', 'disconnect', 'CURSOR';
is(code($ada, 'room:emit', 'ticket:2', 'cursor', 1), 'not_in_room', '... nor to a room one is not in');
is(code($ada, 'room:emit', 'user:ada', 'cursor', 1), 'forbidden', '... nor to a room without a rule');
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([$bob->events_until('end')], [], '... nothing of it arrived');
is_deeply([$ada->events_until('end')], [], '... and nothing came back to the sender');

# A handler of the same name replaces the built-in event.
$rooms->sql(<<'SQL');
CREATE FUNCTION own_join(room text) RETURNS text LANGUAGE sql AS $$SELECT 'own ' || room$$;
SELECT rooms.on_event('room:join', 'own_join');
SQL
$rooms->settle($ada, 'ada');
is_deeply($ada->ask('room:join', 'ticket:1'), ['own ticket:1'], 'a registered handler replaces the built-in');
$rooms->sql("SELECT rooms.off_event('room:join')");
$rooms->settle($ada, 'ada');
is(code($ada, 'room:join', 'ticket:1'), 'ok', '... and is replaced by it');

# Taken away at the commit.
$rooms->sql(<<'SQL');
BEGIN;
SELECT rooms.emit('ticket:1', 'before');
DELETE FROM membership WHERE user_id = 'ada' AND room = 'ticket:1';
SELECT rooms.emit('ticket:1', 'after');
COMMIT;
SELECT rooms.emit('ticket:1', 'later');
SELECT rooms.emit_all('end');
SQL
is_deeply([map { $_->[0] } $ada->events_until('end')], ['before'], 'out of the room at that commit');
is_deeply([map { $_->[0] } $bob->events_until('end')], ['before', 'after', 'later'], '... the others stay');
is(code($ada, 'room:emit', 'ticket:1', 'cursor', 1), 'not_in_room', '... and cannot send there any more');
$rooms->sql("SELECT rooms.disconnect_sockets('user:bob')");
is($bob->wait_for('disconnect')->{reason}, 'io server disconnect', 'disconnect_sockets');

# Races: a join is checked while the right is taken away.  After both nobody may be in the room.
$rooms->sql(<<'SQL');
CREATE SEQUENCE progress;
GRANT ALL ON SEQUENCE progress TO gateway;
INSERT INTO membership SELECT 'ada', 'race:' || i FROM generate_series(1, 1000) i;
CREATE FUNCTION may_race(room text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	ok boolean := may_join(room);
BEGIN
	PERFORM nextval('progress');
	PERFORM pg_sleep(random() * 0.003);
	RETURN ok;
END $$;
CREATE PROCEDURE revoke_all() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		WHILE (SELECT last_value FROM progress) < i OR (SELECT NOT is_called FROM progress) LOOP
			PERFORM pg_sleep(0.0002);
			COMMIT;
		END LOOP;
		PERFORM pg_sleep(random() * 0.003);
		DELETE FROM membership WHERE user_id = 'ada' AND membership.room = 'race:' || i;
		COMMIT;
	END LOOP;
END $$;
SELECT rooms.on_join('race:*', 'may_race');
SQL
$rooms->settle($ada, 'ada');
my $before = $rooms->stat('handler_calls');
my $revoker = $node->background_psql('postgres');
$revoker->query_until(qr/started/, "\\echo started\nCALL revoke_all();\n");
$ada->tell('room:join', "race:$_") for 1 .. 900;
my %answers;
$answers{ $_->[0] ? $_->[0]{error}{code} : 'ok' }++ for map { $ada->answer } 1 .. 900;
$ada->tell('room:join', "race:$_") for 901 .. 1000;
$answers{ $_->[0] ? $_->[0]{error}{code} : 'ok' }++ for map { $ada->answer } 901 .. 1000;
$revoker->quit;
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM membership WHERE room LIKE 'race:%')");
note($Rooms::JSON->encode(\%answers));
$rooms->sql("SELECT rooms.emit('race:' || i, 'probe', to_jsonb(i)) FROM generate_series(1, 1000) i");
$rooms->sql("SELECT rooms.emit_all('end')");
is_deeply([grep { $_->[0] eq 'probe' } $ada->events_until('end')], [], '1000 races: nobody is in a room whose right is gone');
is($answers{ok} + $answers{forbidden}, 1000, '... every join was answered');
ok($answers{ok} > 0 && $answers{forbidden} > 0, '... some before and some after the right was taken');
ok($node->poll_query_until('postgres', "SELECT value > $before + 1000 FROM rooms.stats WHERE name = 'handler_calls'"),
	'... and some checks were repeated');

done_testing();

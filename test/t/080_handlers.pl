# Clients' events as SQL functions: from the stock client to the database and back.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => "pg_rooms.handler_connections = 4\npg_rooms.namespaces = '/,/admin'\n");
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway;
SET search_path = app, public;
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT a + b';
CREATE FUNCTION echo(e rooms.event) RETURNS rooms.reply LANGUAGE sql AS 'SELECT (e.args, e.attachments)::rooms.reply';
CREATE FUNCTION echo_event(e rooms.event) RETURNS void SECURITY DEFINER LANGUAGE sql AS
	$$SELECT rooms.emit_to(ARRAY[e.sid], 'echoed', e.args, attachments => e.attachments, namespace => e.namespace)$$;
CREATE FUNCTION whole(e rooms.event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(e)';
CREATE FUNCTION bytes(a bytea) RETURNS bytea LANGUAGE sql AS $$SELECT a || '\xff'$$;
SELECT rooms.on_event('add', 'add'), rooms.on_event('echo', 'echo'), rooms.on_event('echo_event', 'echo_event'),
	rooms.on_event('whole', 'whole'), rooms.on_event('bytes', 'bytes'), rooms.on_event('echo', 'echo', '/admin'),
	rooms.on_event('echo_event', 'echo_event', '/admin');
SQL

my $ada = $rooms->client(claims => { sub => 'ada', tenant_id => 7 });
my $sid = $ada->wait_for('connect')->{sid};

is_deeply($ada->ask('add', 2, 3), [5], 'parameters by position and a value as the acknowledgement');
is_deeply($ada->ask('add', 2), [3], 'a default');
is_deeply($ada->ask('echo', 'x', 1.5, { a => [1, undef] }), ['x', 1.5, { a => [1, undef] }], 'any arguments, with rooms.reply');
is_deeply($ada->ask('echo'), [], '... and none');
my $binary = { binary => 'AAECAw==' };
is_deeply($ada->ask('echo', 'b', $binary, { nested => $binary }), ['b', $binary, { nested => $binary }], 'binary arguments');
is_deeply($ada->ask('bytes', { binary => 'AAE=' }), [{ binary => 'AAH/' }], 'bytea in and out');
my $there = $rooms->client(claims => { sub => 'bob' }, nsp => '/admin');
is_deeply($there->ask('echo', 'there'), ['there'], 'another namespace');
$there->tell('echo_event', 'there', $binary);
is_deeply($there->event, ['echoed', 'there', $binary], '... and an event to the sender there');
is_deeply($there->answer, [], '... before the acknowledgement');

# What a stock server's test would do: echo to the sender, and order.
$ada->tell('echo_event', 'first', $binary);
is_deeply($ada->event, ['echoed', 'first', $binary], 'an event to the sender');
is_deeply($ada->answer, [], '... whose handler is acknowledged');

my $event = $ada->ask('whole', 'x', 2)->[0];
is($event->{sid}, $sid, 'rooms.event: sid');
is_deeply([@$event{qw(name args user_id tenant_id namespace)}], ['whole', ['x', 2], 'ada', '7', '/'], '... name, args, ids, namespace');
is($event->{handshake}{address}, '127.0.0.1', '... address');
is_deeply($event->{handshake}{auth}, {}, '... auth without the token');
is($event->{handshake}{query}{EIO}, '4', '... query');
is($event->{handshake}{headers}{host}, '127.0.0.1:' . $rooms->port, '... header fields');
like($event->{handshake}{time}, qr/^\w{3} \w{3} \d\d \d{4} .* GMT\+0000/, '... time');

# errors
my $error = $ada->ask('add', 'one')->[0]{error};
is_deeply($error, { message => 'argument 1: invalid input syntax for type integer: "one"', code => 'PT400' }, 'unconvertible: an error in the acknowledgement');
is_deeply($ada->event, ['error', { event => 'add', %$error }], '... and as an event');
$rooms->sql(<<'SQL');
CREATE FUNCTION app.raise(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF how = 'plain' THEN RAISE EXCEPTION 'not now' USING DETAIL = 'a secret', HINT = 'another'; END IF;
	IF how = 'class' THEN RAISE EXCEPTION 'gone' USING ERRCODE = 'PT410'; END IF;
	IF how = 'other' THEN PERFORM 1 / 0; END IF;
	IF how = 'long' THEN RAISE EXCEPTION 'inside' USING ERRCODE = '23514', DETAIL = repeat('x', 4000) || ' to here', HINT = 'and on'; END IF;
END $$;
SELECT rooms.on_event('raise', 'app.raise');
SQL
$rooms->settle($ada, 'ada');
is_deeply($ada->ask('raise', 'plain'), [{ error => { message => 'not now', code => 'P0001' } }], 'a raised message is shown');
is_deeply($ada->event, ['error', { event => 'raise', message => 'not now', code => 'P0001' }], '... without detail');
is_deeply($ada->ask('raise', 'class'), [{ error => { message => 'gone', code => 'PT410' } }], 'class PT');
$ada->event;
my $internal = $ada->ask('raise', 'other')->[0]{error};
like($internal->{id}, qr/^[0-9a-f]{12}$/, 'any other error has an id');
is_deeply([@$internal{qw(message code)}], ['internal error', 'internal_error'], '... and says nothing');
$node->wait_for_log(qr/error $internal->{id} in the handler of event "raise" in namespace "\/": 22012: division by zero/);
pass('... which the log explains');
$ada->event;
$ada->emit('raise', 'plain');
is_deeply($ada->event, ['error', { event => 'raise', message => 'not now', code => 'P0001' }], 'without an acknowledgement');

$internal = $ada->ask('raise', 'long')->[0]{error};
$node->wait_for_log(qr/error $internal->{id} in the handler of event "raise" in namespace "\/": 23514: inside; detail: x+ to here; hint: and on; context: PL\/pgSQL function/);
pass('... with all its parts');
$ada->event;

# A log that one client cannot fill: so many in a second have an id and the lines that belong to it.
$ada->tell('raise', 'other') for 1 .. 60;
my @ids = grep { defined } map { $ada->answer->[0]{error}{id} } 1 .. 60;
$ada->event for 1 .. 60;
cmp_ok(scalar(@ids), '>=', 1, 'the first internal errors of a second have ids');
cmp_ok(scalar(@ids), '<', 60, '... those beyond have none');
if (@ids < 60)
{
	$node->wait_for_log(qr/\d+ more errors in handlers were not logged/);
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
	is(scalar(grep { $log !~ /error $_ in the handler/ } @ids), 0, '... all that have one are in the log, and so is how many are not');
}
# ... nor many of them.
my @many = map { $rooms->client(claims => { sub => "many$_" }) } 1 .. 6;
for (1 .. 5) { $_->tell('raise', 'other') for @many }
@ids = map { my $client = $_; grep { defined } map { $client->answer->[0]{error}{id} } 1 .. 5 } @many;
$node->wait_for_log(qr/error $_ in the handler/) for @ids;
cmp_ok(scalar(@ids), '<', 30, '... also of many users all errors that have an id are in the log');

# an error at commit
$rooms->sql(<<'SQL');
CREATE TABLE app.parent (id int PRIMARY KEY);
CREATE TABLE app.child (id int REFERENCES app.parent DEFERRABLE INITIALLY DEFERRED);
GRANT ALL ON app.parent, app.child TO gateway;
CREATE FUNCTION app.orphan() RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO app.child VALUES (1); RETURN 'done'; END$$;
SELECT rooms.on_event('orphan', 'app.orphan');
SQL
$rooms->settle($ada, 'ada');
is($ada->ask('orphan')->[0]{error}{code}, 'internal_error', 'what fails at commit has failed');
$ada->event;
is_deeply($ada->ask('add', 1, 1), [2], '... and the connection goes on');

# dropped, changed, there again
$rooms->sql('DROP FUNCTION app.add');
is($ada->ask('add', 1)->[0]{error}{code}, 'internal_error', 'a dropped function is an error');
$ada->event;
$rooms->sql("CREATE FUNCTION app.add(a int, b int DEFAULT 1) RETURNS text LANGUAGE sql AS \$\$SELECT 'again ' || a + b\$\$");
is_deeply($ada->ask('add', 1), ['again 2'], '... and there again');
is($rooms->sql("SELECT rooms.off_event('add')"), 't', 'removed');
$rooms->settle($ada, 'ada');
$ada->emit('add', 1);
is_deeply($ada->ask('echo', 1), [1], '... it is an unknown event, which is ignored');
ok(!grep({ $_->{is} eq 'event' } $ada->seen), '... without an error');

done_testing();

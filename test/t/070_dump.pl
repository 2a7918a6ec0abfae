# Dumps, restores and upgrades keep what the extension keeps in a database:
# handlers, triggers and grants.
use strict;
use warnings;
use Rooms;
use Test::More;

my $conf = "pg_rooms.database = 'app'\n";
my $source = Rooms->new('source', conf => $conf, extension => 0);
my $node = $source->node;
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE DATABASE app');
$node->safe_psql('app', <<'SQL');
CREATE EXTENSION pg_rooms;
GRANT EXECUTE ON FUNCTION rooms.sign_token(jsonb, interval) TO app;
REVOKE SELECT ON rooms.stats FROM pg_monitor;
CREATE TABLE ticket (id int PRIMARY KEY, tenant_id int, title text);
CREATE TRIGGER ticket_live AFTER INSERT OR UPDATE OR DELETE ON ticket
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket', 'id,title');
INSERT INTO ticket VALUES (1, 7, 'one'), (2, 7, 'two');
CREATE FUNCTION on_save(e rooms.event) RETURNS rooms.reply LANGUAGE sql AS 'SELECT (e.args, e.attachments)::rooms.reply';
CREATE FUNCTION may_join(room text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION on_arrival(e rooms.event) RETURNS SETOF text LANGUAGE sql AS $$SELECT 'lobby'$$;
CREATE FUNCTION on_leaving(reason text) RETURNS void LANGUAGE sql AS '';
SELECT rooms.on_event('save', 'on_save'), rooms.on_event('save', 'on_save', '/admin'),
	rooms.on_join('ticket:*', 'may_join', relay => ARRAY['typing', 'a "quoted", name']),
	rooms.on_connect('on_arrival'), rooms.on_disconnect('on_leaving');
SQL

# All of the database that this test is about, as text.
sub state_of
{
	my ($of) = @_;
	return $of->safe_psql('app', <<'SQL');
SELECT * FROM rooms.handlers ORDER BY kind, namespace, name;
SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension ORDER BY extname;
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' ORDER BY 1;
SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2;
SELECT oid::regprocedure, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE pronamespace = 'rooms'::regnamespace ORDER BY oid::regprocedure::text;
SELECT oid::regclass, coalesce(relacl, acldefault('r', relowner)) FROM pg_class WHERE relnamespace = 'rooms'::regnamespace ORDER BY oid::regclass::text;
SELECT * FROM ticket ORDER BY id;
SQL
}
my $state = state_of($node);
like($state, qr/^e\|\/admin\|save\|public\.on_save\(rooms\.event\)\|\{\}$/m, 'there is something to dump');

my $dir = PostgreSQL::Test::Utils::tempdir();
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", 'app' ], 'pg_dump, custom');
$node->command_ok([ 'pg_dump', '-f', "$dir/plain", 'app' ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '--clean', '--if-exists', '-f', "$dir/plain-clean", 'app' ], 'pg_dump, plain with --clean');
my $plain = PostgreSQL::Test::Utils::slurp_file("$dir/plain");
$node->safe_psql('app', 'CREATE ROLE dumper LOGIN IN ROLE pg_read_all_data');
$node->command_ok([ 'pg_dump', '-U', 'dumper', '-f', "$dir/dumper", 'app' ], 'a role that may read all data can dump');
is(scalar(() = $plain =~ /^CREATE EXTENSION .*\bpg_rooms\b/mg), 1, 'a dump makes the extension');
unlike($plain, qr/^CREATE (OR REPLACE )?(\w+ rooms\b|TRIGGER changed)/m, '... and none of its members');
is(scalar(() = $plain =~ /^COPY rooms\./mg), 1, '... and fills its one table');

my @psql = ('psql', '-qXAt', '-o', '/dev/null', '-d', 'app');
my @ways = (
	[ 'custom', [ 'pg_restore', '-d', 'app', "$dir/custom" ],
		[ 'pg_restore', '--clean', '--if-exists', '-d', 'app', "$dir/custom" ] ],
	[ 'custom in one transaction', [ 'pg_restore', '-1', '-d', 'app', "$dir/custom" ],
		[ 'pg_restore', '-1', '--clean', '--if-exists', '-d', 'app', "$dir/custom" ] ],
	[ 'plain', [ @psql, '-f', "$dir/plain" ], [ @psql, '-f', "$dir/plain-clean" ] ]);

# Restores, and again over what is there; nothing may be said on stderr.
sub restore_all_ways
{
	my ($to, $where) = @_;
	for my $emit ('on', 'off')
	{
		local $ENV{PGOPTIONS} = "-c pg_rooms.emit=$emit";
		for my $way (@ways)
		{
			my ($name, @commands) = @$way;
			$to->safe_psql('postgres', 'DROP DATABASE IF EXISTS app');
			$to->safe_psql('postgres', 'CREATE DATABASE app');
			for my $again ('', ', again with --clean')
			{
				my $what = "$name$again, emit $emit, $where";
				$to->command_checks_all(shift @commands, 0, [qr/\A\z/], [qr/\A\z/], "$what: restored without a word");
				is(state_of($to), $state, "$what: all is as it was");
			}
		}
	}
}

# ---- into a server without the library ----
my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init;
$bare->start;
$bare->safe_psql('postgres', 'CREATE ROLE app');
restore_all_ways($bare, 'not preloaded');
my ($rc, $out, $err) = $bare->psql('app', q{INSERT INTO ticket VALUES (3, 7, 'three')});
like($err, qr/ERROR:.*\n.*HINT:.*shared_preload_libraries/, 'the restored trigger asks for the library');
$bare->safe_psql('app', q{SET pg_rooms.emit = off; INSERT INTO ticket VALUES (3, 7, 'three'); DELETE FROM ticket WHERE id = 3});
is(state_of($bare), $state, '... unless emit is off');
# Rows alone, into tables whose triggers are there already.
$bare->safe_psql('app', q{SET pg_rooms.emit = off; TRUNCATE ticket; DELETE FROM rooms.handlers});
{
	local $ENV{PGOPTIONS} = '-c pg_rooms.emit=off';
	$bare->command_checks_all([ 'pg_restore', '--data-only', '-d', 'app', "$dir/custom" ], 0, [qr/\A\z/], [qr/\A\z/],
		'with emit off the data alone can be restored, too');
}
is(state_of($bare), $state, '... all of it');

# ---- into one that serves the database ----
my $target = Rooms->new('target', conf => $conf, extension => 0);
my $served = $target->node;
$served->safe_psql('postgres', 'CREATE ROLE app');
my $client = $target->client(claims => { sub => 'a', tenant_id => 7 }, transports => ['websocket']);
$client->wait_for('connect');
restore_all_ways($served, 'preloaded');
my $rules = 'SELECT rooms.handler_rules()';
is($served->safe_psql('app', $rules), $node->safe_psql('app', $rules), 'the gateway gets the same rules there');
$served->safe_psql('app', q{INSERT INTO ticket VALUES (3, 7, 'three'); DELETE FROM ticket WHERE id = 3});
is_deeply([ $client->event, $client->event ],
	[ [ 'ticket:created', { id => 3, title => 'three' } ], [ 'ticket:deleted', { id => 3, title => 'three' } ] ],
	'the restored trigger works, and the restored rows have been no news');

for my $emit ('off', 'on')
{
	$served->safe_psql('app', q{TRUNCATE ticket, rooms.handlers});
	local $ENV{PGOPTIONS} = "-c pg_rooms.emit=$emit";
	$served->command_ok([ 'pg_restore', '--data-only', '-d', 'app', "$dir/custom" ], "the data alone, emit $emit");
	is(state_of($served), $state, '... all of it');
	local $ENV{PGOPTIONS} = '';
	$served->safe_psql('app', q{SELECT rooms.emit_all('end')});
	is_deeply([ map { $_->[1]{id} } $client->events_until('end') ], $emit eq 'on' ? [ 1, 2 ] : [],
		$emit eq 'on' ? '... is announced' : '... is not announced');
}

# ---- into a database that is not served ----
$served->safe_psql('postgres', 'CREATE DATABASE copy');
$served->command_checks_all([ 'pg_restore', '-d', 'copy', "$dir/custom" ], 0, [qr/\A\z/], [qr/\A\z/], 'restored where it is not served');
is($served->safe_psql('copy', 'SELECT count(*) FROM rooms.handlers'), 5, '... with the handlers');

# ---- pg_upgrade ----
my $upgraded = Rooms->new('upgraded', conf => $conf, start => 0);
my $new = $upgraded->node;
$node->stop;
chdir $dir or die;
chomp(my $bindir = `pg_config --bindir`);
my @upgrade = ('pg_upgrade', '--no-sync', '--retain', '-b', $bindir, '-B', $bindir, '-d', $node->data_dir, '-D', $new->data_dir,
	'-s', $new->host, '-p', $node->port, '-P', $new->port);
PostgreSQL::Test::Utils::command_checks_all([ @upgrade, '--check' ], 0, [qr/Clusters are compatible/], [qr/\A\z/], 'pg_upgrade --check');
PostgreSQL::Test::Utils::command_checks_all([@upgrade], 0, [qr/Upgrade Complete/], [qr/\A\z/], 'pg_upgrade');
my @logs = glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log');
isnt(scalar @logs, 0, 'pg_upgrade has left the logs of its servers');
unlike(join('', map { PostgreSQL::Test::Utils::slurp_file($_) } @logs), qr/pg_rooms: listening/, '... which served no client');
$new->start;
is(state_of($new), $state, 'all is as it was');
$client = $upgraded->client(claims => { sub => 'a', tenant_id => 7 }, transports => ['websocket']);
$client->wait_for('connect');
$new->safe_psql('app', q{INSERT INTO ticket VALUES (3, 7, 'three')});
is_deeply($client->event, [ 'ticket:created', { id => 3, title => 'three' } ], 'the trigger works in the upgraded server');
is($new->safe_psql('app', q{SET ROLE app; SELECT length(rooms.sign_token('{"sub": "a"}', '1 hour')) > 0}), 't', '... and so does the grant');
done_testing();

# Who a handler runs as, and that nothing of one event is left for the next.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', handlers => 1, conf => <<'CONF');
pg_rooms.handler_connections = 1
pg_rooms.handler_timeout = '2s'
CONF
my $node = $rooms->node;
$rooms->sql(<<'SQL');
CREATE ROLE member;
CREATE ROLE guest;
CREATE ROLE stranger;
GRANT member, guest TO gateway;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway, member, guest;

CREATE TABLE app.note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner text NOT NULL, body text NOT NULL);
ALTER TABLE app.note ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.note USING (owner = current_setting('request.jwt.claims', true)::json->>'sub');
GRANT SELECT, INSERT, UPDATE ON app.note TO member;
CREATE FUNCTION app.note_add(body text) RETURNS int LANGUAGE sql AS
	$$INSERT INTO app.note (owner, body) VALUES (rooms.current_user_id(), body) RETURNING id$$;
CREATE FUNCTION app.note_list() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT body FROM app.note ORDER BY id';
CREATE FUNCTION app.note_change(which int, new_body text) RETURNS boolean LANGUAGE plpgsql AS
	$$BEGIN UPDATE app.note SET body = new_body WHERE id = which; RETURN FOUND; END$$;
CREATE FUNCTION app.note_steal(other text) RETURNS void LANGUAGE sql AS
	$$INSERT INTO app.note (owner, body) VALUES (other, 'forged')$$;
CREATE SEQUENCE app.ran;
GRANT USAGE ON SEQUENCE app.ran TO PUBLIC;
CREATE FUNCTION app.who() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('app.ran');
	RETURN concat_ws(' ', current_user, session_user, current_setting('request.jwt.claim.sub'),
		current_setting('request.jwt.claim.role'), current_setting('request.jwt.claims')::jsonb->>'sub',
		rooms.claims()->>'sub', current_setting('request.headers')::jsonb ? 'host', rooms.current_tenant_id());
END $$;
SELECT rooms.on_event('note:add', 'app.note_add'), rooms.on_event('note:list', 'app.note_list'),
	rooms.on_event('note:change', 'app.note_change'), rooms.on_event('note:steal', 'app.note_steal'),
	rooms.on_event('who', 'app.who');
SQL

# Asks until the answer is right: a reload has no end that could be waited for.
sub becomes
{
	my ($right) = @_;
	my $end = time + $Rooms::TIMEOUT;
	while (time < $end) { return 1 if $right->() }
	return 0;
}
sub error { my ($client, @ask) = @_; my $e = $client->ask(@ask)->[0]{error}; $client->event; return $e->{code} }

# Row-level security: each sees and changes only its own.
my $ada = $rooms->client(claims => { sub => 'ada', tenant_id => 1, role => 'member' });
my $bob = $rooms->client(claims => { sub => 'bob', tenant_id => 1, role => 'member' });
my ($ada_note, $bob_note) = ($ada->ask('note:add', "ada's")->[0], $bob->ask('note:add', "bob's")->[0]);
is_deeply($ada->ask('note:list'), [["ada's"]], 'ada sees hers');
is_deeply($bob->ask('note:list'), [["bob's"]], 'bob sees his');
is_deeply($ada->ask('note:change', $bob_note, 'x'), [JSON::PP::false], "ada cannot change bob's");
is_deeply($ada->ask('note:change', $ada_note, 'mine'), [JSON::PP::true], '... but hers');
is(error($ada, 'note:steal', 'bob'), 'internal_error', '... nor write in his name');
is_deeply($bob->ask('note:list'), [["bob's"]], '... and bob has what he had');

# Which role.
is_deeply($ada->ask('who'), ['member gateway ada member ada ada t 1'], 'the role and the claims of the token');
my $plain = $rooms->client(claims => { sub => 'cyd' });
is_deeply($plain->ask('who'), ['gateway gateway cyd  cyd cyd t'], 'without a role: the session user itself');
my $ran = $rooms->sql('SELECT last_value FROM app.ran');
for my $role ('none', 'pg_monitor', 'nobody-of-this-name', 'stranger', $rooms->sql('SELECT current_user'), 5, ['member'], { a => 1 },
	'member; RESET ROLE', "member' --", '')
{
	my $bad = $rooms->client(claims => { sub => 'eve', role => $role });
	is(error($bad, 'who'), 'PT403', 'a role that is refused: ' . $Rooms::JSON->encode($role));
}
is($rooms->sql('SELECT last_value FROM app.ran'), $ran, 'no SQL of the application has run for them');
$node->append_conf('postgresql.conf', "pg_rooms.default_role = 'guest'");
$node->reload;
ok(becomes(sub { $plain->ask('who')->[0] =~ /^guest gateway cyd guest/ }), 'default_role, by reload');
is_deeply($ada->ask('who'), ['member gateway ada member ada ada t 1'], '... is not for those with a role');
$node->append_conf('postgresql.conf', "pg_rooms.default_role = ''");
$node->reload;

# Nothing is left behind, however the event ended.
$rooms->sql(<<'SQL');
CREATE FUNCTION app.die() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'SELECT pg_terminate_backend(pg_backend_pid())';
GRANT TEMP ON DATABASE postgres TO gateway;
CREATE FUNCTION app.litter(what text, how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE what
		WHEN 'SET ROLE' THEN SET ROLE member;
		WHEN 'set_config role' THEN PERFORM set_config('role', 'member', false);
		WHEN 'search_path' THEN PERFORM set_config('search_path', 'pg_temp', false);
		WHEN 'LISTEN' THEN LISTEN litter;
		WHEN 'advisory lock' THEN PERFORM pg_advisory_lock(4711);
		WHEN 'temp table' THEN CREATE TEMP TABLE litter (a int);
		WHEN 'open cursor' THEN EXECUTE 'DECLARE litter CURSOR WITH HOLD FOR SELECT 1';
		WHEN 'prepared statement' THEN EXECUTE 'PREPARE litter AS SELECT 1';
		WHEN 'statement_timeout' THEN PERFORM set_config('statement_timeout', '0', false);
	END CASE;
	CASE how
		WHEN 'ok' THEN NULL;
		WHEN 'error' THEN RAISE EXCEPTION 'on purpose';
		WHEN 'timeout' THEN PERFORM pg_sleep(60);
		WHEN 'killed' THEN PERFORM app.die();
	END CASE;
END $$;
CREATE FUNCTION app.fresh() RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('user', current_user, 'role', current_setting('role'), 'path', current_setting('search_path'),
		'timeout', current_setting('statement_timeout'),
		'channels', (SELECT count(*) FROM pg_listening_channels()),
		'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
		'tables', (SELECT count(*) FROM pg_class WHERE relname = 'litter'),
		'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable),
		'prepared', (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)) $$;
SELECT rooms.on_event('litter', 'app.litter'), rooms.on_event('fresh', 'app.fresh');
ALTER ROLE gateway SET session_preload_libraries = 'audit';
SQL
$rooms->settle($plain, 'cyd');
my %code = (error => 'P0001', timeout => 'timeout', killed => 'unavailable');
my $clean = { user => 'gateway', role => 'none', path => '"$user", public', timeout => '2s', channels => 0, locks => 0, tables => 0,
	cursors => 0, prepared => 0 };
is_deeply($plain->ask('fresh'), [$clean], 'a fresh session');
for my $how (qw(ok error timeout killed))
{
	for my $what ('SET ROLE', 'set_config role', 'search_path', 'LISTEN', 'advisory lock', 'temp table', 'open cursor',
		'prepared statement', 'statement_timeout')
	{
		my $answer = $plain->ask('litter', $what, $how);
		$plain->event unless $how eq 'ok';
		is($answer->[0]{error}{code}, $code{$how}, "$what, $how");
		is_deeply($plain->ask('fresh'), [$clean], '... leaves nothing behind');
	}
}

# Extensions that watch what runs are told: the last of those backends that were killed has been replaced since.
is_deeply($ada->ask('who'), ['member gateway ada member ada ada t 1'], 'by a backend with another extension');
$node->wait_for_log(qr/audit: who as member/);
pass('... which hears of the handler');

# Which connections are refused.
sub conninfo
{
	my ($info, $message) = @_;
	my $at = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pg_rooms.handler_conninfo = '$info'");
	$node->reload;
	$node->wait_for_log($message, $at);
	pass("refused: $message");
}
my $local = sprintf 'host=%s port=%s', $node->host, $node->port;
my $superuser = $rooms->sql('SELECT current_user');
conninfo("$local user=$superuser", qr/handlers cannot reach the database: the user "$superuser" of pg_rooms.handler_conninfo is a superuser/);
is(error($plain, 'who'), 'unavailable', '... events are answered, nothing runs');
$rooms->sql("CREATE ROLE middle; CREATE ROLE indirect LOGIN; GRANT $superuser TO middle; GRANT middle TO indirect");
conninfo("$local user=indirect", qr/the user "indirect" of pg_rooms.handler_conninfo is a superuser or a member of one/);
conninfo("$local user=gateway dbname=template1", qr/handler_conninfo leads to the database "template1", not to "postgres"/);
$rooms->sql('CREATE ROLE bare LOGIN');
conninfo("$local user=bare", qr/the user "bare" of pg_rooms.handler_conninfo may not run handlers/);
conninfo("$local user=missing", qr/role "missing" does not exist/);
conninfo('no connection string', qr/could not use pg_rooms.handler_conninfo, the configuration stays as it was: it is not a connection string/);
my $here = $rooms->conninfo;
$node->append_conf('postgresql.conf', "pg_rooms.handler_conninfo = '$here'");
$node->reload;
ok(becomes(sub { my $answer = $plain->ask('who')->[0]; $plain->event if ref $answer; return !ref $answer }), 'put right, handlers run again');
my $uri = sprintf 'postgresql://gateway@localhost:%s/postgres?host=%s', $node->port, $node->host;
$node->append_conf('postgresql.conf', "pg_rooms.handler_conninfo = '$uri'");
$node->reload;
is_deeply($ada->ask('who'), ['member gateway ada member ada ada t 1'], 'a URI');
is($rooms->sql("SHOW pg_rooms.handler_conninfo"), '********', 'which is not shown');

done_testing();

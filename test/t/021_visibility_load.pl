# On every event of 100 000 commits by 8 writers the client finds the row.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $commits = $ENV{ROOMS_VARIANT} eq 'asan' ? 10_000 : 100_000;
my $rooms = Rooms->new('main', conf => "fsync = off\npg_rooms.max_queued = '1GB'\n");
my $node = $rooms->node;
$node->safe_psql('postgres', q{
	CREATE TABLE gate (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM rooms.emit_all('row', to_jsonb(NEW.id)); RETURN NULL; END $$;
	CREATE TRIGGER tell AFTER INSERT ON gate FOR EACH ROW EXECUTE FUNCTION tell();
});

my $url = $rooms->url;
my ($out, $err) = ('', '');
my $asker = IPC::Run::start(
	[ 'node', "$Rooms::CLIENT_DIR/gate.mjs", $url, Rooms::token(sub => 'a'), $node->host, $node->port ],
	'>', \$out, '2>', \$err, my $timeout = IPC::Run::timer(300));
$asker->pump until $out =~ /ready/ || $timeout->is_expired;

my $script = PostgreSQL::Test::Utils::tempdir() . '/insert.sql';
PostgreSQL::Test::Utils::append_to_file($script, "INSERT INTO gate DEFAULT VALUES;\n");
my $each = $commits / 8;
$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $each, '-M', 'prepared', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	"$commits commits by 8 writers");
$rooms->sql(q{SELECT rooms.emit_all('end')});
$asker->finish;
my ($result) = $out =~ /^(\{.*\})$/m;
is_deeply($Rooms::JSON->decode($result // '{}'), { events => $commits, invisible => 0 }, 'every event came once, and its row was visible')
  or diag($out . $err);
done_testing();

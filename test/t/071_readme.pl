# What README.md shows works as it stands there.  Only the port is another.
use strict;
use warnings;
use Rooms;
use File::Basename qw(dirname);
use IPC::Run ();
use Test::More;

my $rooms = Rooms->new('main', settings => Rooms::readme('conf'), start => 0);
my $node = $rooms->node;
$node->append_conf('postgresql.conf', 'pg_rooms.port = ' . $rooms->port);
my $here = 'localhost:' . $rooms->port;
$node->start;

# Runs a block in psql; gives what it prints.
sub psql
{
	my ($database, $sql) = @_;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ], '<', \$sql, '>', \$out, '2>', \$err);
	is($err, '', 'psql has no complaint');
	chomp $out;
	return $out;
}

# ---- Settings: units, defaults and when a change takes effect ----
my %table = map { /^\| `(\w+)` \| (\S+) \| (\w*) ?\| .* \| (\w+) \|$/ ? ($1 => [ $2, $3, $4 ]) : () }
  split /\n/, PostgreSQL::Test::Utils::slurp_file(dirname(__FILE__) . '/../../README.md');
my $settings = $node->safe_psql('postgres', q{SELECT substr(name, 10), current_setting(name), source, coalesce(unit, ''), context
	FROM pg_settings WHERE name LIKE 'pg\_rooms.%' ORDER BY name});
for (split /\n/, $settings)
{
	my ($name, $value, $source, $unit, $context) = split /\|/;
	my ($default, $documented_unit, $when) = @{ $table{$name} // [ 'not', 'in', 'the table' ] };
	is($default, $value eq '' ? 'none' : '`' . $value =~ s/^(\d+)B$/$1/r . '`', "$name: the default") if $source eq 'default';
	is($documented_unit, $unit eq 'B' ? 'bytes' : $unit, "$name: the unit");
	is($when, $context eq 'user' ? 'session' : 'reload', "$name: takes effect");
}

# ---- Quick start ----
my $token = psql('postgres', Rooms::readme('database'));
like($token, qr/\A[\w-]+\.[\w-]+\.[\w-]+\z/, 'the last line of step 3 prints a token');

# The page, in Node: without an Origin, and so without the check of it.
my $dir = PostgreSQL::Test::Utils::tempdir();
symlink "$Rooms::CLIENT_DIR/node_modules", "$dir/node_modules" or die;
my $page = Rooms::readme('page');
is($page =~ s/the token of step 3/$token/g, 1, 'the page has a place for the token');
is($page =~ s/localhost:8080/$here/g, 1, '... and one address');
open my $f, '>', "$dir/page.mjs" or die;
print $f $page;
close $f;
my ($console, $complaints) = ('', '');
my $browser = IPC::Run::start([ 'node', "$dir/page.mjs" ], '<', \undef, '>', \$console, '2>', \$complaints, IPC::Run::timeout($Rooms::TIMEOUT));
$node->poll_query_until('app', q{SELECT value = 1 FROM rooms.stats WHERE name = 'connections'}) or die "the page does not connect: $console$complaints";

# A stock client whose page comes from $origin.
sub page_of
{
	my ($origin, %more) = @_;
	return $rooms->client(auth => { token => $token, recovery => JSON::PP::false }, url => "http://$here", options => { extraHeaders => { origin => $origin } }, %more);
}
my ($allowed) = Rooms::readme('conf') =~ /allowed_origins = '([^']*)'/;
for my $transport ('polling', 'websocket')
{
	page_of($allowed, transports => [$transport])->wait_for('connect');
	pass("a page of $allowed may connect by $transport");
	like(page_of('http://localhost:3001', transports => [$transport])->wait_for('connect_error')->{message},
		qr/error/, '... one of another port may not');
}
my $client = page_of($allowed, transports => ['websocket']);
$client->wait_for('connect');

my ($until, $commit) = Rooms::readme('commit') =~ /\A(BEGIN;\n.*)^(COMMIT;.*)\z/ms;
my $session = $node->background_psql('app');
$session->query_safe($until);
is(psql('app', q{SELECT rooms.notify_user('ada', '{"title": "before"}')}), '', 'another transaction commits before');
$session->query_safe($commit);
$session->quit;
$browser->pump until $console =~ /hello/;
is($console, "before\nhello\n", 'the page shows the notification when it is committed, and not before');
is($complaints, '', '... and has no complaint');
is(psql('app', 'SELECT * FROM message'), 'ada|hello', '... and the row is there');
$browser->kill_kill;
is_deeply([ $client->event, $client->event ], [ map { [ 'notification:new', { title => $_ } ] } 'before', 'hello' ], 'the browser has heard the same');

is(psql('app', Rooms::readme('trigger')), '', 'the trigger is made');
is_deeply($client->event, [ 'ticket:created', { id => 1, tenant_id => 1, title => 'Printer on fire', assignee => undef } ],
	'... and a row reaches the tenant');

# ---- Snapshot and follow ----
my $follow = Rooms::readme('follow');
is($follow =~ s/(\{ since: position \}\);)/$1 console.log('following', [...tickets.values()].map((row) => row.title));/, 1, 'the page joins since its snapshot');
open $f, '>', "$dir/follow.mjs" or die;
print $f 'import { io } from "socket.io-client"; import pg from "pg";
const [url, token, host, port, sql] = process.argv.slice(2);
const client = new pg.Client({ host, port, database: "app" });
await client.connect();
async function read() {
	const [, position, rows] = await client.query(sql);
	return { ...position.rows[0], rows: rows.rows };
}
const socket = io(url, { auth: { token } });
', $follow, 'socket.on("ticket:created", () => console.log("then", [...tickets.values()].map((row) => row.title)));';
close $f;
$console = $complaints = '';
$browser = IPC::Run::start([ 'node', "$dir/follow.mjs", "http://$here", $token, $node->host, $node->port, Rooms::readme('position') ],
	'<', \undef, '>', \$console, '2>', \$complaints, IPC::Run::timeout($Rooms::TIMEOUT));
$browser->pump until $console =~ /following.*\n/ || !$browser->pumpable;
is($console, "following [ 'Printer on fire' ]\n", 'a page has the rows of its snapshot');
psql('app', q{INSERT INTO ticket VALUES (2, 1, 'Paper is out')});
$browser->pump until $console =~ /then.*\n/ || !$browser->pumpable;
is($console, "following [ 'Printer on fire' ]\nthen [ 'Printer on fire', 'Paper is out' ]\n", '... and those that come after it');
is($complaints, '', '... and has no complaint');
$browser->kill_kill;
is($client->event->[1]{id}, 2, 'others hear of it as well');

# ---- What is guaranteed: numbers ----
psql('app', q{CREATE TABLE number (tenant_id int DEFAULT 1, b jsonb, n numeric, d float8, j json);
	CREATE TRIGGER t AFTER INSERT ON number FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'n', 'b,n,d,j');
	INSERT INTO number (b, n, d, j) VALUES ('1e5', 1e20, 1e300, '1e400')});
my $numbers = $client->event->[1];
is_deeply([ @$numbers{qw(b n)} ], [ 100000, '1' . '0' x 20 ], 'jsonb and numeric have no exponents');
is($Rooms::JSON->encode($numbers), '{"b":100000,"d":1e+300,"j":null,"n":"' . '1' . '0' x 20 . '"}',
	'numbers that have one are left to JavaScript (of whose Infinity the driver makes null)');

# ---- Security ----
psql('app', 'CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE ON ticket TO app');
my $as_app = sub { my ($sql) = @_; my ($rc, $out, $err) = $node->psql('app', "SET ROLE app; $sql"); return $err };
my $notify = q{SELECT rooms.notify_user('ada', '{"from": "app"}')};
like($as_app->($notify), qr/permission denied/, 'a role may not emit');
psql('app', Rooms::readme('grant'));
is($as_app->($notify), '', '... until it is granted');
is_deeply($client->event, [ 'notification:new', { from => 'app' } ], '... and then it does');
psql('app', 'REVOKE EXECUTE ON FUNCTION rooms.notify_user(text, jsonb) FROM app');

psql('app', Rooms::readme('definer'));
is($as_app->(q{UPDATE ticket SET assignee = 'ada'}), '', 'the role may write the table');
is_deeply([ map { $client->event->[0] } 1 .. 2 ], [ 'notification:new', 'ticket:updated' ], '... and so notifies the assignee');
like($as_app->($notify), qr/permission denied/, '... and may notify in no other way');
like($as_app->(q{CREATE TEMP TABLE mine (id int, assignee text);
	CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION notify_assignee()}),
	qr/permission denied for function notify_assignee/, '... not by a table of its own');
done_testing();

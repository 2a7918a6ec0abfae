# examples/migrate.md: the old server and pg_rooms, both made of its blocks, are the same to a page.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use File::Basename qw(dirname);
use IPC::Run ();
use Rooms;
use Test::More;

# Every block has a runner.
my $text = PostgreSQL::Test::Utils::slurp_file(dirname(__FILE__) . '/../../examples/migrate.md');
my %block;
my %kinds = map { $_ => 1 } qw(before after conf page bridge);
while ($text =~ /^(?:<!-- run: (\w+) -->\n)?```(\w*)\n(.*?)^```$/msg)
{
	my ($kind, $code) = ($1 // '', $3);
	ok($kinds{$kind}, "a block has a runner: $kind") or diag($code);
	push @{ $block{$kind} }, $code;
}
is(scalar(my @fences = $text =~ /^\s*```/mg), 2 * map({ @$_ } values %block), 'every fence is one of a block');
my %code = map { $_ => join "\n", @{ $block{$_} } } keys %block;

my $rooms = Rooms->new('main', start => 0, extension => 0, settings => "shared_preload_libraries = 'pg_rooms'\npg_rooms.listen_addresses = '127.0.0.1'\n");
my $node = $rooms->node;
my $here = sprintf 'host=%s port=%s', $node->host, $node->port;
is($code{conf} =~ s{host=/var/run/postgresql}{$here}, 1, 'the settings have one host');
my ($secret) = $code{conf} =~ /jwt_secret = '([^']*)'/;
$node->append_conf('postgresql.conf', $code{conf} . 'pg_rooms.port = ' . $rooms->port);
$node->start;

# The database as the old server has it.
my $tables = <<'SQL';
CREATE TABLE tenant (id int PRIMARY KEY);
CREATE TABLE ticket (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id int, title text, assignee text);
CREATE TABLE notification (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text, title text, read boolean DEFAULT false);
INSERT INTO tenant VALUES (1), (2);
INSERT INTO notification (user_id, title) VALUES ('ada', 'one'), ('ben', 'two');
SQL
$node->safe_psql('postgres', "CREATE DATABASE old");
$node->safe_psql('old', $tables);
$node->safe_psql('postgres', "CREATE EXTENSION pg_rooms; $tables");
is($node->psql('postgres', $code{after}, on_error_die => 1), 0, 'the SQL of the page');

my $dir = PostgreSQL::Test::Utils::tempdir();
symlink "$Rooms::CLIENT_DIR/node_modules", "$dir/node_modules" or die;
sub write_file { my ($name, $content) = @_; open my $f, '>', "$dir/$name" or die; print $f $content; close $f }
sub token { local $Rooms::SECRET = $secret; return Rooms::token(@_) }

# The old server, which tells when it listens; with the bridge, whose events are not its own any more.
my $old_port = PostgreSQL::Test::Cluster::get_free_port();
my $bridge_port = PostgreSQL::Test::Cluster::get_free_port();
my $listening = q{io.httpServer.on('listening', () => console.log('listening'));};
write_file('old.mjs', "$code{before}\n$listening");
(my $moved = $code{before}) =~ s/^\s*io\.to\(`tenant:\$\{tenantId\}`\)\.emit\('ticket:created', ticket\);\n//m or die 'no emit to take away';
write_file('bridge.mjs', "$moved\n$code{bridge}\n$listening\nbridge.on('connect', () => console.log('bridged'));");
my @servers;
sub serve
{
	my ($file, $port, $database, $ready) = @_;
	my $out = '';
	my %env = (PORT => $port, JWT_SECRET => $secret, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'postgres', PGDATABASE => $database,
		ROOMS_URL => $rooms->url, BRIDGE_TOKEN => token(userId => 'old-server'));
	my $server = IPC::Run::start([ 'env', (map { "$_=$env{$_}" } keys %env), 'node', "$dir/$file" ], '<', \undef, '>&', \$out, IPC::Run::timeout($Rooms::TIMEOUT));
	push @servers, $server;
	$server->pump until $out =~ /$ready/;
}
END { my $status = $?; $_->kill_kill for @servers; $? = $status }
# postgres is the superuser of the cluster, whatever its name.
$node->safe_psql('postgres', q{DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN CREATE ROLE postgres SUPERUSER LOGIN; END IF; END $$});
serve('old.mjs', $old_port, 'old', qr/listening/);

# The page as it stands there, and then what each part has to say, in any order.
write_file('page.mjs', "$code{page}\n" . q{
await new Promise((done) => socket.on('metrics:update', (value) => { if (value === 50) done(); }));
const many = [];
for (let i = 0; i < 5; i++) many.push(io(process.env.ROOMS_URL, { auth: { token: process.env.TOKEN }, forceNew: true, reconnection: false }));
const refused = await Promise.any(many.map((s) => new Promise((done) => s.on('connect_error', (e) => done(e.message)))));
console.log('the sixth:', refused);
for (const [auth, what] of [[{}, 'no token'], [{ token: 'x.y.z' }, 'a bad one']]) {
  const s = io(process.env.ROOMS_URL, { auth, forceNew: true });
  console.log(what + ':', await new Promise((done) => s.on('connect_error', (e) => done(e.message))));
}
process.exit();
});
# The user's other device, and a colleague in the ticket's room, look on.
write_file('others.mjs', q{
import { io } from 'socket.io-client';
const device = io(process.env.ROOMS_URL, { auth: { token: process.env.TOKEN } });
const ben = io(process.env.ROOMS_URL, { auth: { token: process.env.BEN } });
const cleo = io(process.env.ROOMS_URL, { auth: { token: process.env.CLEO } });
await Promise.all([device, ben, cleo].map((s) => new Promise((done) => s.on('connect', done))));
device.on('notification:updated', ({ id }) => console.log('device: read', id));
ben.on('ticket:created', async (ticket) => {
  console.log('ben:', ticket.title, 'joined:', !(await ben.emitWithAck('room:join', 'ticket:' + ticket.id))?.error);
  ben.emit('room:emit', 'ticket:' + ticket.id, 'typing', 'ben');
});
ben.on('typing', (what, { userId }) => console.log('ben:', userId, 'types', what));
cleo.onAny((event) => console.log('cleo hears', event));
console.log('cleo joined:', !(await cleo.emitWithAck('room:join', 'ticket:1'))?.error);
console.log('ready');
process.stdin.on('data', () => process.exit());
});
sub visit
{
	my ($url) = @_;
	my %env = (ROOMS_URL => $url, TOKEN => token(userId => 'ada', tenantId => 1), BEN => token(userId => 'ben', tenantId => 1), CLEO => token(userId => 'cleo', tenantId => 2));
	my @env = ('env', map { "$_=$env{$_}" } keys %env);
	my ($others, $page, $in) = ('', '', '');
	my $watch = IPC::Run::start([ @env, 'node', "$dir/others.mjs" ], '<', \$in, '>&', \$others, IPC::Run::timeout($Rooms::TIMEOUT));
	$watch->pump until $others =~ /ready\n/;
	IPC::Run::run([ @env, 'node', "$dir/page.mjs" ], '<', \undef, '>&', \$page, IPC::Run::timeout($Rooms::TIMEOUT));
	$watch->pump until $others =~ /ben: Printer on fire joined/ && $others =~ /device: read/;
	$in = 'end';
	$watch->finish;
	return [ sort split /\n/, $page ], [ sort grep { !/types/ } split /\n/, $others ];
}

my @wanted = sort 'acknowledged: true', 'notification:read failed: No such notification', 'ticket Printer on fire for ada',
	'notification: Printer on fire is yours now', 'joined: true', 'metrics: 1', 'metrics: 50', 'the sixth: Too many connections',
	'no token: Authentication required', 'a bad one: Invalid token';
for ([ 'before', "http://127.0.0.1:$old_port" ], [ 'after', $rooms->url ])
{
	my ($when, $url) = @$_;
	my ($page, $others) = visit($url);
	# A slow machine may take longer than a second for 50 of them.
	cmp_ok(scalar(grep { /^metrics: / } @$page), '<', 25, "$when: of 50 values, few");
	is_deeply([ grep { !/types|^metrics: (?!1$|50$)/ } @$page ], \@wanted, "$when: what the page sees") or diag(explain($page));
	# That pg_rooms sends an error event as well is among "What is different".
	my @refused = $when eq 'after' ? ('cleo hears error') : ();
	is_deeply($others, [ sort 'ben: Printer on fire joined: true', 'cleo joined: false', 'device: read 1', 'ready', @refused ], "$when: what the others see") or diag(explain($others));
}

# Both at the same time: a ticket that is committed reaches the pages of both servers, once.
serve('bridge.mjs', $bridge_port, 'postgres', qr/listening.*bridged|bridged.*listening/s);
local $Rooms::SECRET = $secret;
my @pages = map { $rooms->client(claims => { userId => 'ben', tenantId => 1 }, url => $_) } $rooms->url, "http://127.0.0.1:$bridge_port";
$_->wait_for('connect') for @pages;
$rooms->sql("INSERT INTO ticket (tenant_id, title) VALUES (1, 'For both'), (1, 'end')");
for my $page (@pages)
{
	is_deeply([ map { $page->event->[1]{title} } 1 .. 2 ], [ 'For both', 'end' ], 'both at the same time: a page hears of it, once');
}
done_testing();

# README's chapter "Handling client events" works as it stands there.  Only the
# address of the database is another.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main');
my $node = $rooms->node;
my $conf = Rooms::readme('handler-conf');
my $here = sprintf 'host=%s port=%s', $node->host, $node->port;
is($conf =~ s{host=/var/run/postgresql}{$here}g, 1, 'the conninfo has one host');
$rooms->sql(Rooms::readme('handler-role'));
$node->append_conf('postgresql.conf', $conf);
$node->reload;
$rooms->sql(Rooms::readme("handler-$_")) for qw(function event rooms connect);
$rooms->sql(<<'SQL');
INSERT INTO notification (owner, title) VALUES ('ada', 'hello'), ('bob', 'not hers');
INSERT INTO ticket_member VALUES (1, 'ada'), (1, 'bob');
SQL

my @ada = map { $rooms->client(claims => { sub => 'ada', tenant_id => 1 }) } 1, 2;
my $bob = $rooms->client(claims => { sub => 'bob', tenant_id => 1, role => 'app_user' });
$_->wait_for('connect') for @ada, $bob;
is_deeply($ada[0]->ask('notification:read', 1), [JSON::PP::true], 'the handler runs');
is_deeply($ada[1]->event, ['notification:updated', { id => 1, read => JSON::PP::true }], '... the other device hears of it');
is_deeply($ada[0]->ask('notification:read', 2), [{ error => { message => 'no such notification', code => 'P0001' } }], "... another's is not found");
is_deeply($ada[0]->event, ['error', { event => 'notification:read', message => 'no such notification', code => 'P0001' }], '... which an event says, too');
ok(!grep({ $_->{is} eq 'event' } $ada[0]->seen), '... and the device itself was told by the acknowledgement only');
is_deeply($bob->ask('echo', 1, { binary => 'AAE=' }), [1, { binary => 'AAE=' }], 'rooms.event and rooms.reply');

is_deeply($_->ask('room:join', 'ticket:1'), [], 'members join') for $ada[0], $bob;
is_deeply($bob->ask('room:emit', 'ticket:1', 'typing', 'x'), [], 'a relay');
my $typing = $ada[0]->event;
is_deeply([@$typing[0, 1], $typing->[2]{userId}], ['typing', 'x', 'bob'], '... to the others');
$rooms->sql("DELETE FROM ticket_member WHERE user_id = 'ada'; SELECT rooms.emit('ticket:1', 'changed'), rooms.emit('team:1', 'end')");
is_deeply([$ada[0]->events_until('end')], [], 'out of the room at that commit; in the rooms that on_connect gave');
is_deeply([$bob->events_until('end')], [['changed']], '... the others stay');
is($rooms->client(claims => { sub => 'mallory' })->wait_for('connect_error')->{message}, 'banned', 'on_connect refuses');

# The lines of the page, with a client that is connected.
my $dir = PostgreSQL::Test::Utils::tempdir();
symlink "$Rooms::CLIENT_DIR/node_modules", "$dir/node_modules" or die;
my $token = Rooms::token(sub => 'ada');
open my $f, '>', "$dir/page.mjs" or die;
print $f "import { io } from 'socket.io-client';\n",
	"const socket = io('" . $rooms->url . "', { auth: { token: '$token' } });\n",
	Rooms::readme('handler-client'), "console.log(answer); socket.close();\n";
close $f;
my ($out, $err) = ('', '');
IPC::Run::run(['node', "$dir/page.mjs"], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($Rooms::TIMEOUT));
is($out, "true\n", 'the lines of the page') or diag($err);

done_testing();

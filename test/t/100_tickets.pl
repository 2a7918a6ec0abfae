# examples/tickets/sql: what the application's tables, triggers and handlers promise, with the stock client.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', extension => 0);
my $node = $rooms->node;
my $conninfo = sprintf 'host=%s port=%s dbname=postgres user=tickets_gateway', $node->host, $node->port;
for my $file (qw(schema live gateway seed))
{
	my $path = "$FindBin::RealBin/../../examples/tickets/sql/$file.sql";
	is($node->psql('postgres', PostgreSQL::Test::Utils::slurp_file($path), on_error_die => 1), 0, "$file.sql");
}
$rooms->configure(<<"CONF");
pg_rooms.handler_conninfo = '$conninfo'
pg_rooms.default_role = 'tickets_user'
pg_rooms.max_connections_per_user = 5
CONF

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my %tenant = (ada => 1, ben => 1, cleo => 2);
sub page { my ($who) = @_; my $c = $rooms->client(claims => { sub => $who, tenant_id => $tenant{$who} }); $c->{sid} = $c->wait_for('connect')->{sid}; return $c }

# As an API route does it: as tickets_web, with a person's claims.
sub api
{
	my ($who, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', qq{\\set QUIET on
		BEGIN; SET LOCAL ROLE tickets_user;
		SELECT set_config('request.jwt.claims', '{"sub": "$who", "tenant_id": $tenant{$who}}', true) \\g /dev/null
		$sql; COMMIT}, extra_params => [ '-U', 'tickets_web' ]);
	return $err =~ /ERROR:\s+([^\n]*)/ ? $1 : $out;
}
# Everything that has come to a client when this returns, as it came; events of others and "left" apart.
my $ends = 0;
sub events
{
	my ($client) = @_;
	my $end = 'end' . ++$ends;
	$rooms->sql("SELECT rooms.emit_all('$end')");
	return grep { $_->[0] ne 'user:left' && $_->[0] !~ /^end\d/ } $client->events_until($end);
}
sub names { return join ' ', map { $_->[0] } events($_[0]) }

my ($ada, $phone, $ben, $cleo) = map { page($_) } qw(ada ada ben cleo);
my @all = ($ada, $phone, $ben, $cleo);

# Rights.
my $web = sub { my ($rc, $out, $err) = $node->psql('postgres', $_[0], extra_params => [ '-U', 'tickets_web' ]); return $err || $out };
like($web->($_), qr/permission denied/, "tickets_web may not: $_")
	for 'SELECT * FROM ticket', q{SELECT rooms.notify_user('ada', '{}')}, 'SELECT * FROM app_user';
is($web->("SELECT * FROM login('Ada ', 'rooms')"), 'ada|1', 'the right password');
is($web->("SELECT * FROM login('ada', 'Rooms')"), '', '... a wrong one');
is($rooms->sql("SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname ~ 'tickets_'"), 'f', 'no role is a superuser');
is(api(cleo => 'SELECT string_agg(title, $$,$$) FROM ticket'), 'Move the lab to the east wing', 'one sees the tickets of one\'s tenant');
like(api(ada => 'SELECT password FROM app_user'), qr/permission denied/, '... and no password');
like(api(ada => 'UPDATE ticket SET tenant_id = 2'), qr/permission denied/, '... and moves none to another');
is(api(ada => "INSERT INTO comment (ticket_id, body) VALUES (5, 'hi')"), 'new row violates row-level security policy for table "comment"', '... and writes to none of another');

# Create and assign.
my $made = $ada->ask('ticket:create', { title => ' Fire ', assignee => 'ben' })->[0];
is_deeply([ @$made{qw(title status assignee created_by tenant_id)} ], [ 'Fire', 'open', 'ben', 'ada', 1 ], 'ticket:create is acknowledged with the ticket');
is(names($_), 'ticket:created', '... the tenant hears of it') for $ada, $phone;
my ($notice, $created) = sort { $a->[0] cmp $b->[0] } events($ben);
is_deeply($created, [ 'ticket:created', $made ], '... with the same row');
is_deeply([ sort keys %{ $notice->[1] } ], [ sort qw(id title message read createdAt ticketId) ], '... and its assignee gets notification:new');
is_deeply([ $notice->[0], @{ $notice->[1] }{qw(read ticketId message)} ], [ 'notification:new', $false, $made->{id}, "#$made->{id} Fire" ], '... with what there is to say');
is(names($cleo), '', '... another tenant hears nothing');
for ([ { title => ' ' }, 'A ticket needs a title' ], [ { title => 'x', assignee => 'cleo' }, 'Nobody here is called cleo' ])
{
	is_deeply($ada->ask('ticket:create', $_->[0]), [ { error => { message => $_->[1], code => 'PT400' } } ], "no ticket: $_->[1]");
	is_deeply([ events($ada) ], [ [ 'error', { event => 'ticket:create', message => $_->[1], code => 'PT400' } ] ], '... which an error event says, too');
}
api(ben => "INSERT INTO ticket (title, assignee) VALUES ('By SQL', 'ada')");
is(names($_), 'notification:new ticket:created', 'a row that SQL writes: the same') for $ada, $phone;
api(ben => "UPDATE ticket SET status = 'done' WHERE title = 'By SQL'");
is(names($phone), 'ticket:updated tenant:event', 'solved: the tenant is told');
$_->{seen} = [] for @all;

# Read on one device.
my $id = $notice->[1]{id};
is($ada->ask('notification:read', $id)->[0]{error}{message}, 'No such notification', "another's notification is not found");
is_deeply([ events($ada) ], [ [ 'error', { event => 'notification:read', message => 'No such notification', code => 'PT404' } ] ], '... nor marked');
my $mine = $rooms->sql("SELECT max(id) FROM notification WHERE user_id = 'ada'");
is_deeply($ada->ask('notification:read', $mine), [$true], 'one\'s own is read');
is_deeply([ events($phone) ], [ [ 'notification:updated', { id => $mine + 0, read => $true } ] ], '... which the other device hears');
is(names($ada), '', '... and the one that asked does not');
is_deeply($phone->ask('notification:read', $mine), [$true], 'read again:');
is(names($ada), '', '... is no news');

# Rooms.
sub may { my ($c, $room) = @_; my $e = $c->ask('room:join', $room)->[0]; events($c); return $e ? $e->{error}{code} : 'yes' }
is(may($_->[0], $_->[1]), $_->[2], "may join $_->[1]: $_->[2]")
	for [ $ada, 'ticket:1', 'yes' ], [ $ben, 'ticket:1', 'yes' ], [ $cleo, 'ticket:1', 'forbidden' ], [ $ada, 'ticket:5', 'forbidden' ],
	[ $ada, 'document:1', 'yes' ], [ $ben, 'document:1', 'yes' ], [ $cleo, 'document:1', 'forbidden' ],
	[ $ada, 'dashboard:1', 'yes' ], [ $cleo, 'dashboard:1', 'forbidden' ], [ $ada, 'ticket:01', 'forbidden' ];
api(ben => "INSERT INTO comment (ticket_id, body) VALUES (1, 'Paper jam')");
is_deeply([ map { [ $_->[0], $_->[1]{body} ] } events($ada) ], [ [ 'comment:created', 'Paper jam' ] ], 'who looks at the ticket sees the comment');
is(names($ben), 'comment:created', '... each of them');
is(names($phone), '', '... and nobody else');
$rooms->sql('UPDATE ticket SET tenant_id = 2 WHERE id = 1');
$rooms->sql("SELECT rooms.emit('ticket:1', 'after the move')");
is(names($ada), 'ticket:deleted', 'a ticket that moves takes its room away');
is(names($cleo), 'ticket:created', '... and appears at its new tenant');
is(may($cleo, 'ticket:1'), 'yes', '... whose people may join');

# Documents.
$_->{seen} = [] for $ada, $ben;
$ben->ask('room:emit', 'document:1', 'cursor', { from => 3, to => 3 });
is_deeply([ events($ada) ], [ [ 'cursor', { from => 3, to => 3 }, { userId => 'ben', sid => $ben->{sid} } ] ], 'cursors are shared');
is_deeply($ada->ask('document:edit', 1, 1, 'by ada'), [2], 'an edit of the version at hand is saved');
my ($edit) = events($ben);
is_deeply([ $edit->[0], @{ $edit->[1] }{qw(body version updated_by)} ], [ 'document:updated', 'by ada', 2, 'ada' ], '... and the others see it');
is(names($ada), '', '... but who made it');
is($ben->ask('document:edit', 1, 1, 'by ben')->[0]{error}{code}, 'PT409', 'an edit of an old version is refused');
is_deeply([ map { [ $_->[0], $_->[1]{event} ] } events($ben) ], [ [ 'error', 'document:edit' ] ], '... with an error');
is(api(ada => 'SELECT body FROM document'), 'by ada', '... and nothing is overwritten');
is($cleo->ask('document:edit', 1, 2, 'x')->[0]{error}{code}, 'PT409', "another tenant's cannot be edited");

# The dashboard: the first at once, few of many, the last in any case.
$ada->{seen} = [];
api(ben => "INSERT INTO metric (requests, latency_ms) SELECT n, 1 FROM generate_series(1, 30) n ORDER BY n");
my @got;
push @got, $ada->event->[1]{requests} until @got && $got[-1] == 30;
is($got[0], 1, 'the first sample arrives');
cmp_ok(scalar @got, '<', 15, '... of many, few') or diag("@got");
is($got[-1], 30, '... the last in any case');

# Five connections; blocked people are out.
my @more = map { page('ada') } 3 .. 5;
my $refused = $rooms->client(claims => { sub => 'ada', tenant_id => 1 })->wait_for('connect_error');
is_deeply([ $refused->{message}, $refused->{data}{code} ], [ 'Too many connections', 'too_many_connections' ], 'the sixth connection is refused');
my $gone = $more[0]{sid};
$more[0]->disconnect;
is_deeply($ben->wait_for(sub { ($_[0]{args} // [''])->[0] eq 'user:left' })->{args}, [ 'user:left', { userId => 'ada', sid => $gone } ], 'the others hear who has left');
$rooms->sql("UPDATE app_user SET blocked = true WHERE id = 'ada'");
is($_->wait_for('disconnect')->{reason}, 'io server disconnect', 'blocked: disconnected') for $ada, $phone;
is($rooms->client(claims => { sub => 'ada', tenant_id => 1 })->wait_for('connect_error')->{message}, 'Your account is blocked', '... and kept out');
is($web->("SELECT * FROM login('ada', 'rooms')"), '', '... on the web as well');

done_testing();

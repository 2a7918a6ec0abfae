# Commands to the sockets: part of the transaction, in order with its messages.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => "pg_rooms.namespaces = '/,/admin'\n");
my ($alice, $bob) = map { $rooms->client(claims => { sub => $_, tenant_id => 1 }, transports => ['websocket']) } qw(alice bob);
my $admin = $rooms->client(claims => { sub => 'alice', tenant_id => 1 }, nsp => '/admin', transports => ['polling']);
$_->wait_for('connect') for $alice, $bob, $admin;

$rooms->sql(<<'SQL');
BEGIN;
SELECT rooms.emit('ticket', 'early');
SELECT rooms.sockets_join('user:alice', ARRAY['ticket', 'other']);
SELECT rooms.emit('ticket', 'joined');
COMMIT;
BEGIN; SELECT rooms.sockets_leave('user:alice', ARRAY['ticket']); ROLLBACK;
SELECT rooms.emit_to(ARRAY['ticket', 'other'], 'still');
BEGIN; SELECT rooms.sockets_leave('tenant:1', ARRAY['ticket']); SELECT rooms.emit('ticket', 'secret'); COMMIT;
SELECT rooms.emit('ticket', 'secret');
SELECT rooms.emit('other', 'other');
SELECT rooms.emit_all('end'), rooms.emit_all_to('end', namespace => '/admin');
SQL
is_deeply([ $alice->events_until('end') ], [ ['joined'], ['still'], ['other'] ], 'joins and leaves count at their place in the order of commits');
is_deeply([ $_->events_until('end') ], [], '... and for nobody else') for $bob, $admin;

$rooms->sql("SET pg_rooms.emit = off; SELECT rooms.sockets_leave('user:alice', ARRAY['other'])");
$rooms->sql("SELECT rooms.emit('other', 'secret'), rooms.emit_all('end')");
is_deeply([ $alice->events_until('end') ], [], 'a leave counts with emit = off too');

$rooms->sql("SELECT rooms.disconnect_sockets('user:alice', namespace => '/admin')");
is($admin->wait_for('disconnect')->{reason}, 'io server disconnect', 'disconnect_sockets, in a namespace');
$rooms->sql("SELECT rooms.disconnect_sockets('tenant:1', close => true)");
is($_->wait_for('disconnect')->{reason}, 'io server disconnect', '... with the connection') for $alice, $bob;
done_testing();

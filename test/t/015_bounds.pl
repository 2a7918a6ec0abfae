# What the worker must keep is bounded; WAL that is gone is told; others do not see its records.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('main', conf => <<'CONF');
fsync = off
wal_level = logical
max_prepared_transactions = 5
max_wal_size = 4GB
min_wal_size = 32MB
CONF
my $node = $rooms->node;
my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
$client->wait_for('connect');
my $worker = $rooms->pid_of('worker');

sub mib_of_worker { return (PostgreSQL::Test::Utils::slurp_file("/proc/$worker/status") =~ /^RssAnon:\s*(\d+)/m)[0] / 1024 }

# 40 times a megabyte that nobody hears and a word that all do, kept until COMMIT PREPARED.
sub prepare
{
	my ($i) = @_;
	$rooms->sql(qq{BEGIN; SELECT rooms.emit('nobody', 'x', to_jsonb(repeat('x', 1000000))), rooms.emit_all('x', to_jsonb($i * 100 + n))
		FROM generate_series(1, 40) n; PREPARE TRANSACTION 'p$i'});
}

sub of_prepared { return map { my $i = $_; map { $i * 100 + $_ } 1 .. 40 } @_ }

sub until_end
{
	$rooms->sql(q{SELECT rooms.emit_all('end')});
	return map { $_->[0] eq 'x' ? $_->[1] : () } $client->events_until('end');
}

# ---- logical decoding ----
$rooms->sql(q{CREATE PUBLICATION all_of_it FOR ALL TABLES});
$rooms->sql(q{SELECT pg_create_logical_replication_slot('decoded', 'pgoutput')});
$rooms->sql(q{SELECT rooms.emit_all('end')});
$client->events_until('end');
is($rooms->sql(q{SELECT count(*) FROM pg_logical_slot_peek_binary_changes('decoded', NULL, NULL,
	'proto_version', '1', 'publication_names', 'all_of_it', 'messages', 'true') WHERE get_byte(data, 0) = ascii('M')}), 0,
	'logical decoding passes over the messages');
$rooms->sql(q{SELECT pg_drop_replication_slot('decoded')});

# ---- more than 64 MB of open transactions ----
prepare($_) for 1, 2;
is_deeply([ until_end() ], [], 'a prepared transaction is not sent');
cmp_ok($rooms->stat('bus_spilled_bytes'), '>', 10e6, 'beyond 64 MB messages are kept in a file');
$rooms->sql("COMMIT PREPARED 'p$_'") for 2, 1;
is_deeply([ until_end() ], [ of_prepared(2, 1) ], 'all are delivered, in the order of the commits');
is($rooms->stat('bus_spilled_bytes'), 0, '... and the file is given back');

# ---- a large record of somebody else ----
$rooms->sql(q{SELECT pg_logical_emit_message(true, 'other', repeat('x', 150000000))});
is_deeply([ until_end() ], [], 'a record of 150 MB is passed over');
SKIP: {
	skip 'the allocator of the sanitizers keeps what was freed', 1 if $ENV{ROOMS_VARIANT} eq 'asan';
	cmp_ok(mib_of_worker(), '<', 110, '... and its memory given back');
}

# ---- WAL that is gone ----
$rooms->sql(q{ALTER SYSTEM SET max_wal_size = '32MB'});
$rooms->sql('SELECT pg_reload_conf()');
my $before = -s $node->logfile;
kill 'STOP', $worker;
$rooms->sql(q{SELECT rooms.emit_all('lost')});
prepare(3);
for (1 .. 4)
{
	$rooms->sql($_) for 'SELECT pg_switch_wal()', 'CHECKPOINT';
}
kill 'CONT', $worker;
$node->wait_for_log(qr/WARNING:  pg_rooms may have lost messages[^\n]*\n[^\n]*DETAIL[^\n]*\n[^\n]*HINT:[^\n]*wal_keep_size/, $before);
$rooms->sql(q{COMMIT PREPARED 'p3'});
is_deeply([ until_end() ], [ of_prepared(3) ], 'what was prepared in WAL that is gone is delivered all the same');
cmp_ok($rooms->stat('bus_gaps'), '>=', 1, '... and the gap is counted');
done_testing();

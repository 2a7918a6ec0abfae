# A hot standby sends what was committed on its primary, before and after a promotion.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('primary', init => { allows_streaming => 1 }, conf => "max_prepared_transactions = 10\n");
my $primary = $rooms->node;
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('in the backup'); PREPARE TRANSACTION 'backup'});
$primary->backup('b');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($primary, 'b', has_streaming => 1);
my $standby = Rooms->adopt($node);
$node->start;
$standby->wait_until_serving;

my $here = $rooms->client(claims => { sub => 'a' }, transports => ['websocket']);
my $there = $standby->client(claims => { sub => 'a' }, transports => ['websocket']);
$_->wait_for('connect') for $here, $there;

$rooms->sql(q{SELECT rooms.notify_user('a', to_jsonb(g)) FROM generate_series(1, 100) g});
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('never'); ROLLBACK});
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('prepared'); PREPARE TRANSACTION 'p'});
$rooms->sql(q{SELECT rooms.emit_all('next'); COMMIT PREPARED 'p'; SELECT rooms.emit_all('end')});
my @all = ((map { [ 'notification:new', $_ ] } 1 .. 100), ['next'], ['prepared']);
is_deeply([ $here->events_until('end') ], \@all, 'the primary sends');
is_deeply([ $there->events_until('end') ], \@all, '... and the standby sends the same');

$rooms->sql(q{COMMIT PREPARED 'backup'});
is_deeply($_->event, ['in the backup'], 'prepared before the base backup, committed after it') for $here, $there;

my ($rc, $out, $err) = $node->psql('postgres', q{SELECT rooms.emit_all('x')}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  25006/, 'emitting on a standby is an ERROR');

# ---- a server is emptied for itself, a standby too ----
$standby->sql(q{SELECT rooms.drain('0')});
is($there->wait_for('disconnect')->{reason}, 'transport close', 'a standby is drained');
$there->wait_for('connect_error');
ok(!grep({ $_->{is} eq 'disconnect' } $here->seen), '... and its primary is not');
$standby->sql(q{SELECT rooms.drain(NULL)});
$there->wait_for('connect');

# ---- the row is there when the event is ----
$rooms->sql('CREATE TABLE t (n int)');
for my $n (1 .. 20)
{
	$rooms->sql(qq{BEGIN; INSERT INTO t VALUES ($n); SELECT rooms.emit_all('row', '$n'); COMMIT});
	is($there->event->[1], $n, "row $n is announced") if $n % 10 == 0;
	$there->event if $n % 10;
	die "row $n is not visible" if $standby->sql("SELECT count(*) FROM t WHERE n = $n") != 1;
}
pass('every announced row was visible on the standby');

# ---- a worker that starts on a standby after the PREPARE cannot know its messages, and says so ----
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('unknown'); PREPARE TRANSACTION 'early'; CHECKPOINT});
$primary->wait_for_catchup($node);
$standby->sql('CHECKPOINT');
my $worker = $standby->pid_of('worker');
kill 'TERM', $worker;
$there->wait_for('disconnect');
$there->wait_for('connect');
isnt($standby->pid_of('worker', $worker), $worker, 'the worker of the standby is restarted');
$rooms->sql(q{CREATE TABLE two_phase ()});
$rooms->sql(q{BEGIN; INSERT INTO two_phase DEFAULT VALUES; PREPARE TRANSACTION 'silent'});
$rooms->sql(q{COMMIT PREPARED 'silent'; SELECT rooms.emit_all('end')});
$there->events_until('end');
is($standby->stat('bus_gaps'), 0, 'a prepared transaction without messages is no gap');
$rooms->sql(q{COMMIT PREPARED 'early'; SELECT rooms.emit_all('end')});
is_deeply([ $there->events_until('end') ], [], 'messages of a transaction prepared before the start of the worker are lost');
is($standby->stat('bus_gaps'), 1, '... which is counted');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/WARNING:.*may have lost messages of prepared transaction/, '... and logged');

# ---- promotion: the same worker and the same connections go on ----
my $gateway = $standby->pid_of('gateway');
$rooms->sql(qq{BEGIN; SELECT rooms.emit_all('across', '$_'); PREPARE TRANSACTION 'p$_'}) for 1 .. 4;
$rooms->sql(q{SELECT rooms.emit_all('before the promotion')});
is_deeply($there->event, ['before the promotion'], 'the last message of the old primary');
# One PREPARE is read after the promotion only.
$worker = $standby->pid_of('worker');
kill 'STOP', $worker;
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('across', '5'); PREPARE TRANSACTION 'p5'});
$primary->wait_for_catchup($node);
$primary->stop;
$node->promote;
kill 'CONT', $worker;
$standby->sql(q{SELECT rooms.emit_all('after')});
is_deeply($there->event, ['after'], 'the first message of the new primary, over the same connection');
$standby->sql(q{COMMIT PREPARED 'p1'});
is_deeply($there->event, [ 'across', 1 ], 'prepared before, committed after the promotion');
is($standby->pid_of('gateway'), $gateway, 'the gateway stayed');

# ---- the new primary keeps what was prepared on the old one ----
kill 'TERM', $worker;
$there->wait_for('disconnect');
$there->wait_for('connect');
$standby->sql(q{ROLLBACK PREPARED 'p2'; COMMIT PREPARED 'p3'});
is_deeply($there->event, [ 'across', 3 ], '... committed after a restart of the worker');
$node->restart;
$there->wait_for('disconnect');
$there->wait_for('connect');
$standby->sql(q{COMMIT PREPARED 'p4'; COMMIT PREPARED 'p5'; SELECT rooms.emit_all('again')});
is_deeply([ map { $there->event } 1 .. 3 ], [ [ 'across', 4 ], [ 'across', 5 ], ['again'] ],
	'... and after a restart of the server, on the new timeline');
is_deeply([ glob($node->data_dir . '/pg_rooms/*') ], [], '... and no file is left');
is($standby->stat('bus_gaps'), 0, '... and nothing is missed');
done_testing();

# A hot standby sends what was committed on its primary, before and after a promotion.
use strict;
use warnings;
use Rooms;
use Test::More;

my $rooms = Rooms->new('primary', init => { allows_streaming => 1 }, conf => "max_prepared_transactions = 5\n");
my $primary = $rooms->node;
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

my ($rc, $out, $err) = $node->psql('postgres', q{SELECT rooms.emit_all('x')}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  25006/, 'emitting on a standby is an ERROR');

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

# ---- promotion: the same worker and the same connections go on ----
my $gateway = $standby->pid_of('gateway');
$rooms->sql(q{BEGIN; SELECT rooms.emit_all('across'); PREPARE TRANSACTION 'q'});
$rooms->sql(q{SELECT rooms.emit_all('before the promotion')});
is_deeply($there->event, ['before the promotion'], 'the last message of the old primary');
$primary->wait_for_catchup($node);
$primary->stop;
$node->promote;
$standby->sql(q{SELECT rooms.emit_all('after')});
is_deeply($there->event, ['after'], 'the first message of the new primary, over the same connection');
$standby->sql(q{COMMIT PREPARED 'q'});
is_deeply($there->event, ['across'], 'prepared before, committed after the promotion');
is($standby->pid_of('gateway'), $gateway, 'the gateway stayed');
$node->restart;
$there->wait_for('disconnect');
$there->wait_for('connect');
$standby->sql(q{SELECT rooms.emit_all('again')});
is_deeply($there->event, ['again'], 'after a restart on the new timeline it goes on');
done_testing();

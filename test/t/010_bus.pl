# What a transaction says is sent as one, at its commit, whatever happened inside it.
use strict;
use warnings;
use Rooms;
use Test::More;

for my $level ('replica', 'minimal')
{
	my $rooms = Rooms->new($level, conf => <<"CONF");
wal_level = $level
max_wal_senders = @{[ $level eq 'minimal' ? 0 : 5 ]}
max_prepared_transactions = 5
pg_rooms.max_message_size = '2MB'
max_parallel_workers_per_gather = 2
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
CONF
	my $node = $rooms->node;
	my $client = $rooms->client(claims => { sub => 'a' }, transports => ['websocket'], options => {});
	$client->wait_for('connect');
	my $until_end = sub { $rooms->sql(q{SELECT rooms.emit_all('end')}); return [ map { $_->[1] } $client->events_until('end') ] };

	# ---- sub-transactions ----
	my @sql = ('BEGIN;');
	my @expected;
	for my $i (1 .. 150)
	{
		push @sql, "SAVEPOINT s$i; SELECT rooms.emit_all('x', '$i');";
		if ($i % 3 == 0) { push @sql, "ROLLBACK TO s$i;" }
		else { push @sql, "RELEASE s$i;" if $i % 2; push @expected, $i }
	}
	$rooms->sql(join ' ', @sql, 'COMMIT;');
	is_deeply($until_end->(), \@expected, "$level: 150 sub-transactions, every third rolled back");

	$rooms->sql(q{BEGIN; SELECT rooms.emit_all('x', '1'); SAVEPOINT a; SELECT rooms.emit_all('x', '2'); SAVEPOINT b;
		SELECT rooms.emit_all('x', '3'); RELEASE b; ROLLBACK TO a; SELECT rooms.emit_all('x', '4');
		SAVEPOINT a; SELECT rooms.emit_all('x', '5'); RELEASE a; COMMIT});
	is_deeply($until_end->(), [ 1, 4, 5 ], "$level: nested, released and re-used savepoints");

	$rooms->sql(q{DO $$ BEGIN
		PERFORM rooms.emit_all('x', '1');
		BEGIN PERFORM rooms.emit_all('x', '2'); RAISE 'no'; EXCEPTION WHEN OTHERS THEN PERFORM rooms.emit_all('x', '3'); END;
	END $$});
	is_deeply($until_end->(), [ 1, 3 ], "$level: PL/pgSQL exception blocks");

	$rooms->sql(q{CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN
		FOR i IN 1..5 LOOP
			PERFORM rooms.emit_all('x', to_jsonb(i));
			IF i % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
		END LOOP;
	END $$; CALL p()});
	is_deeply($until_end->(), [ 1, 3, 5 ], "$level: a procedure that commits and rolls back");

	# ---- the order is that of the commits, not of the calls ----
	my @sessions = map { $node->background_psql('postgres') } 1 .. 3;
	$sessions[$_]->query_safe("BEGIN; SELECT rooms.emit_all('x', '$_')") for 0 .. 2;
	$sessions[$_]->query_safe("SELECT rooms.emit_all('x', '1$_')") for 0 .. 2;
	for my $n (2, 0, 1) { $sessions[$n]->query_safe('COMMIT'); $sessions[$n]->quit }
	is_deeply($until_end->(), [ 2, 12, 0, 10, 1, 11 ], "$level: interleaved transactions come one after the other, in the order of their commits");

	# ---- deferred triggers and holdable cursors speak before the commit too ----
	$rooms->sql(q{CREATE TABLE d (n int);
		CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM rooms.emit_all('x', to_jsonb(NEW.n)); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER late AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
		BEGIN; INSERT INTO d VALUES (7); SELECT rooms.emit_all('x', '6'); COMMIT;
		BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT rooms.emit_all('x', '8'); COMMIT});
	is_deeply($until_end->(), [ 6, 7, 8 ], "$level: deferred triggers and holdable cursors");

	# ---- READ ONLY, parallel query ----
	$rooms->sql(q{BEGIN READ ONLY; SELECT rooms.emit_all('x', '9'); COMMIT});
	is_deeply($until_end->(), [9], "$level: a READ ONLY transaction may emit");
	$rooms->sql(q{CREATE TABLE big AS SELECT g FROM generate_series(1, 20000) g; ANALYZE big;
		CREATE FUNCTION unsafe(g int) RETURNS void LANGUAGE sql PARALLEL SAFE AS $$ SELECT rooms.emit_all('x', to_jsonb(g)) $$});
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT count(unsafe(g)) FROM big', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  25000/, "$level: in a parallel query emitting is an ERROR");
	is_deeply($until_end->(), [], "$level: ... of which nothing is sent");

	# ---- size and place in the WAL ----
	$rooms->sql(q{SELECT rooms.emit_all('x', to_jsonb(repeat('ä', 500000)))});
	is_deeply([ map { length } @{ $until_end->() } ], [500000], "$level: a message of 1 MB");
	my $session = $node->background_psql('postgres');
	$session->query_safe(q{BEGIN; SELECT rooms.emit_all('x', '10')});
	$rooms->sql('CHECKPOINT');
	$rooms->sql('SELECT pg_switch_wal()');
	$session->query_safe('COMMIT');
	is_deeply($until_end->(), [10], "$level: a checkpoint and a segment switch in between");

	# ---- asynchronous commits are delivered, though nobody else flushes ----
	$rooms->sql(q{SET synchronous_commit = off; SELECT rooms.emit_all('x', '11')});
	is_deeply($client->event, [ 'x', 11 ], "$level: an asynchronous commit is flushed and delivered");

	# ---- two-phase commit ----
	$rooms->sql(q{BEGIN; SELECT rooms.emit_all('x', '12'); PREPARE TRANSACTION 'a';
		BEGIN; SELECT rooms.emit_all('x', '13'); PREPARE TRANSACTION 'b';
		SELECT rooms.emit_all('x', '14')});
	$rooms->sql('CHECKPOINT') for 1 .. 3;
	is_deeply($until_end->(), [14], "$level: a prepared transaction is not sent");
	$rooms->sql(q{COMMIT PREPARED 'a'});
	$rooms->sql(q{ROLLBACK PREPARED 'b'});
	is_deeply($until_end->(), [12], "$level: COMMIT PREPARED by another backend sends it once");

	$rooms->sql(q{BEGIN; SELECT rooms.emit_all('x', '15'); PREPARE TRANSACTION 'c';
		BEGIN; SELECT rooms.emit_all('x', '16'); PREPARE TRANSACTION 'd'});
	for my $mode ('fast', 'immediate')
	{
		$node->stop($mode);
		$node->start;
		$rooms->sql('SELECT pg_switch_wal(); CHECKPOINT');
		$client->wait_for('connect');
	}
	$rooms->wait_until_serving;
	# it may have connected to a server about to stop
	$rooms->sql(q{SELECT rooms.emit_all('hello')});
	$client->wait_for(sub { $_[0]{is} eq 'event' && $_[0]{args}[0] eq 'hello' });
	$rooms->sql(q{COMMIT PREPARED 'c'; ROLLBACK PREPARED 'd'});
	is_deeply($until_end->(), [15], "$level: prepared before a restart and a crash, committed after them");
	is_deeply([ glob($node->data_dir . '/pg_rooms/*') ], [], "$level: no spool file is left");

	# ---- not forgeable ----
	$rooms->sql(q{SELECT pg_logical_emit_message(true, 'pg_rooms', m) FROM (VALUES ('PGRM'), (''), (repeat('x', 100))) v(m)});
	# ... not even with a record that is right to the last byte (wire/envelope.h)
	my $packet = '2["x","forged"]';
	my $envelope = pack('C C v V V/a* V V V/a* V', 1, 2, 0, 0, '/', 0, 0, $packet, 0);
	my $record = unpack('H*', pack('a4 C x3 V V V/a*', 'PGRM', 1, $rooms->sql(q{SELECT oid FROM pg_database WHERE datname = 'postgres'}), 1, $envelope));
	$rooms->sql("SELECT pg_logical_emit_message(true, 'pg_rooms', '\\x$record'::bytea)");
	is_deeply($until_end->(), [], "$level: pg_logical_emit_message cannot forge a message");
	$node->stop;
}
done_testing();

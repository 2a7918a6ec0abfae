# A second, independent client: Debian's python3-socketio.
use strict;
use warnings;
use Rooms;
use IPC::Run ();
use Test::More;

my $rooms = Rooms->new('main');
for my $transport ('polling', 'websocket')
{
	my ($out, $err) = ('', '');
	my @command = ('/usr/bin/python3', "$Rooms::CLIENT_DIR/client.py", $rooms->url);
	my $client = IPC::Run::start([ @command, Rooms::token(sub => 'a'), $transport ], '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	$client->pump until $out =~ /connect/;
	$rooms->sql(q{SELECT rooms.notify_user('a', '{"n": 1}'); SELECT rooms.emit_all('three', '1', '"b"', 'null');
		SELECT rooms.emit_to(ARRAY['user:a'], 'file', '[{"_placeholder": true, "num": 0}]', attachments => ARRAY['\x00ff'::bytea]);
		SELECT rooms.emit_all('end')});
	$client->finish;
	is_deeply([ map { $Rooms::JSON->decode($_) } split /\n/, $out ],
		[
			{ connect => JSON::PP::true },
			{ event => [ 'notification:new', { n => 1 } ] },
			{ event => [ 'three', 1, 'b', undef ] },
			{ event => [ 'file', '00ff' ] }
		],
		"$transport: connects and receives") or diag($err);

	IPC::Run::run([ @command, 'bad', $transport ], '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	like($out, qr/Invalid token/, "$transport: a bad token is refused") or diag($err);
}
done_testing();

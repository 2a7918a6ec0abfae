# Rooms.pm - what the TAP tests share: a cluster that serves pg_rooms, and
# stock socket.io-clients that talk to it.
#
#   my $rooms = Rooms->new('main', conf => "pg_rooms.ping_interval = '1s'");
#   my $alice = $rooms->client(claims => { sub => 'alice', tenant_id => 1 });
#   $alice->wait_for('connect');
#   $rooms->sql("SELECT rooms.notify_user('alice', '{}')");
#   is_deeply($alice->event, ['notification:new', {}]);
#
# Nothing here sleeps: every wait is for a line of the driver, a log line or
# the end of a process, and fails the test after $Rooms::TIMEOUT seconds.
package Rooms;

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256);
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{ROOMS_TEST_TIMEOUT} // 60;
our $SECRET = 'a-secret-for-tests-only-0123456789abcdef';
our $CLIENT_DIR = abs_path(dirname(__FILE__) . '/../client');
our $JSON = JSON::PP->new->utf8->allow_nonref->canonical;

# The role that handlers run as.
our $GATEWAY_ROLE = <<'SQL';
CREATE ROLE gateway LOGIN;
GRANT EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset, rooms.handler_rules TO gateway;
SQL

# For test/tools/mutants.sh: the first failure is enough.
if ($ENV{ROOMS_STOP_AT_FAILURE})
{
	require Test2::API;
	Test2::API::test2_stack()->top->listen(sub { exit 1 if $_[1]->causes_fail });
}

# Starts a cluster with the extension in database postgres.  Options: conf
# (appended to postgresql.conf), init (arguments of PostgreSQL::Test::Cluster's
# init), start (0: leave it stopped), extension (0: do not create it), handlers
# (1: with a role "gateway" that runs them), settings (instead of those below),
# install_path (another installation of PostgreSQL than the first in PATH).
sub new
{
	my ($class, $name, %o) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, $o{install_path} ? (install_path => $o{install_path}) : ());
	$node->init(%{ $o{init} // {} });
	my $self = bless { node => $node, port => PostgreSQL::Test::Cluster::get_free_port() }, $class;
	my $conf = $o{settings} // $self->settings;
	$conf .= "pg_rooms.handler_conninfo = '" . $self->conninfo . "'\n" if $o{handlers};
	$node->append_conf('postgresql.conf', $conf . ($o{conf} // ''));
	if ($o{start} // 1)
	{
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION pg_rooms') if $o{extension} // 1;
		$node->safe_psql('postgres', $GATEWAY_ROLE) if $o{handlers};
	}
	return $self;
}

# Leads handlers to this cluster.
sub conninfo
{
	my ($self) = @_;
	return sprintf 'host=%s port=%s user=gateway', $self->{node}->host, $self->{node}->port;
}

# Wraps a node made by other means (init_from_backup), on a port of its own.
sub adopt
{
	my ($class, $node) = @_;
	my $self = bless { node => $node, port => PostgreSQL::Test::Cluster::get_free_port() }, $class;
	$node->append_conf('postgresql.conf', $self->settings);
	return $self;
}

sub settings
{
	my ($self) = @_;
	return <<"CONF";
shared_preload_libraries = 'pg_rooms'
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.port = $self->{port}
pg_rooms.jwt_secret = '$SECRET'
CONF
}

sub node { return $_[0]{node} }
sub port { return $_[0]{port} }
sub url { return "http://127.0.0.1:$_[0]{port}" }
sub sql { my ($self, $sql) = @_; return $self->{node}->safe_psql('postgres', $sql) }

# The text of the code block in README.md that stands under the line
# "<!-- test: NAME -->", without its indentation; dies if there is not exactly one.
sub readme
{
	my ($name) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file(dirname(__FILE__) . '/../../README.md');
	my @blocks = $text =~ /^([ ]*<!-- test: \Q$name\E -->\n+[ ]*```\w*\n.*?\n)[ ]*```$/msg;
	die 'README.md has ' . scalar(@blocks) . " blocks of the name $name" if @blocks != 1;
	my ($indent, $code) = $blocks[0] =~ /\A.*?\n+([ ]*)```\w*\n(.*)\z/s;
	return $code =~ s/^$indent//mgr;
}

# An HS256 token; exp is an hour away unless given.
sub token
{
	my (%claims) = @_;
	$claims{exp} //= int(time) + 3600;
	my $text = encode_base64url('{"alg":"HS256","typ":"JWT"}') . '.' . encode_base64url($JSON->encode(\%claims));
	return "$text." . encode_base64url(hmac_sha256($text, $SECRET));
}

# A client.  Options: claims (hash; makes the token), token (text), auth (whole
# auth hash), transports, nsp, options (more of io()'s), driver (a process of
# its own, Rooms::Driver->new, which can be killed), count (1: it keeps an
# account of "said" events, test/client/account.mjs).
my $next_client = 0;

sub client
{
	my ($self, %o) = @_;
	my $auth = $o{auth} // {
		defined $o{token}    ? (token => $o{token})
		: defined $o{claims} ? (token => token(%{ $o{claims} }))
		: ()
	};
	my $client = bless { id => 'c' . $next_client++, driver => $o{driver} // driver(), seen => [] }, 'Rooms::Client';
	$client->{driver}{clients}{ $client->{id} } = $client;
	$client->{driver}->command(
		op => 'open', id => $client->{id}, url => ($o{url} // $self->url) . ($o{nsp} // '/'), count => $o{count},
		options => { auth => $auth, ($o{transports} ? (transports => $o{transports}) : ()), %{ $o{options} // {} } });
	return $client;
}

# A TCP proxy to this server in the driver; options of test/client/proxy.mjs.
# $proxy->{url} is for clients; $proxy->do('sever', reset => 1).
my $next_proxy = 0;

sub proxy
{
	my ($self, %o) = @_;
	my $proxy = bless { id => 'p' . $next_proxy++, driver => driver(), seen => [] }, 'Rooms::Client';
	$proxy->{driver}{clients}{ $proxy->{id} } = $proxy;
	$proxy->do('proxy', to => $self->port, %o);
	$proxy->{url} = 'http://127.0.0.1:' . $proxy->wait_for('proxy')->{port};
	return $proxy;
}

my $driver;
sub driver { return $driver //= Rooms::Driver->new }
END { undef $driver }

# The gateway's (or the worker's) pid, once there is one other than $not.
sub pid_of
{
	my ($self, $role, $not) = @_;
	my $sql = "SELECT pid FROM rooms.processes WHERE role = '$role'" . ($not ? " AND pid <> $not" : '');
	$self->{node}->poll_query_until('postgres', "SELECT EXISTS ($sql)") or die "no $role appeared";
	return $self->sql($sql);
}

# Waits until the worker has listened and a gateway runs; gives its pid.
sub wait_until_serving
{
	my ($self) = @_;
	$self->{node}->wait_for_log(qr/pg_rooms.*listening on/i);
	return $self->pid_of('gateway');
}

# Appends to postgresql.conf, reloads, and waits until the gateway has taken it.
sub configure
{
	my ($self, $conf) = @_;
	my $before = -s $self->{node}->logfile;
	$self->{node}->append_conf('postgresql.conf', $conf);
	$self->{node}->reload;
	$self->{node}->wait_for_log(qr/pg_rooms.*the configuration is reloaded/, $before);
}

# Waits until the gateway has heard of all that is committed, such as handlers that were registered: $client, of this user, is told.
sub settle
{
	my ($self, $client, $user) = @_;
	$self->sql("SELECT rooms.emit('user:$user', 'settled')");
	$client->wait_for(sub { $_[0]{is} eq 'event' && $_[0]{args}[0] eq 'settled' });
}

sub stat
{
	my ($self, $name) = @_;
	return $self->sql("SELECT value FROM rooms.stats WHERE name = '$name'");
}

package Rooms::Client;

# The oldest thing seen and not yet taken that $match accepts (a name of "is",
# or a code reference); waits for it.  What came before it stays.
sub wait_for
{
	my ($self, $match, $timeout) = @_;
	my $accept = ref $match eq 'CODE' ? $match : sub { $_[0]{is} eq $match };
	my $end = Time::HiRes::time() + ($timeout // $Rooms::TIMEOUT);
	my $at = 0;
	for (;;)
	{
		for (; $at < @{ $self->{seen} }; $at++)
		{
			return splice @{ $self->{seen} }, $at, 1 if $accept->($self->{seen}[$at]);
		}
		if (!$self->{driver}->pump($end))
		{
			my $seen = join "\n", map { $Rooms::JSON->encode($_) } @{ $self->{seen} };
			die 'client ' . $self->{id} . ' saw no ' . (ref $match ? 'match' : $match) . "; it saw:\n$seen\n";
		}
	}
}

# The next event's [name, args...].
sub event { my ($self, $timeout) = @_; return $self->wait_for('event', $timeout)->{args} }

# Everything received up to and without the event named $name.
sub events_until
{
	my ($self, $name) = @_;
	my @events;
	for (;;)
	{
		my $event = $self->event;
		return @events if $event->[0] eq $name;
		push @events, $event;
	}
}

sub emit { my ($self, @args) = @_; $self->{driver}->command(op => 'emit', id => $self->{id}, args => \@args) }

# Emits with an acknowledgement; gives its arguments.  tell() does not wait for it.
sub tell { my ($self, @args) = @_; $self->{driver}->command(op => 'ack', id => $self->{id}, args => \@args) }
sub answer { my ($self, $timeout) = @_; return $self->wait_for('ack', $timeout)->{args} }
sub ask { my ($self, @args) = @_; $self->tell(@args); return $self->answer }

# Any command of the driver.
sub do { my ($self, $op, @more) = @_; $self->{driver}->command(op => $op, id => $self->{id}, @more) }

# What a client that counts has heard; $state: what it should know now.
sub account { my ($self, $state) = @_; $self->do('account', state => $state); return $self->wait_for('account') }

sub disconnect { my ($self) = @_; $self->{driver}->command(op => 'disconnect', id => $self->{id}) }
sub connect { my ($self) = @_; $self->{driver}->command(op => 'connect', id => $self->{id}) }
sub pause { my ($self) = @_; $self->{driver}->command(op => 'pause', id => $self->{id}) }
sub resume { my ($self) = @_; $self->{driver}->command(op => 'resume', id => $self->{id}) }
sub cut { my ($self) = @_; $self->{driver}->command(op => 'cut', id => $self->{id}) }

# Sends one WebSocket frame of these bytes, which the stock client would not send.
sub frame { my ($self, $bytes) = @_; $self->{driver}->command(op => 'frame', id => $self->{id}, hex => unpack('H*', $bytes)) }

# What has been seen and not taken, after the driver has handled everything that arrived so far.
sub seen { my ($self) = @_; $self->{driver}->sync; return @{ $self->{seen} } }

package Rooms::Driver;

use IO::Select;
use IPC::Open2;

sub new
{
	my ($class) = @_;
	my $pid = open2(my $out, my $in, 'node', "$Rooms::CLIENT_DIR/driver.mjs");
	$in->autoflush(1);
	my $self = bless { pid => $pid, in => $in, out => $out, buffer => '', clients => {}, syncs => 0 }, $class;
	$self->pump(Time::HiRes::time() + $Rooms::TIMEOUT) or die 'the client driver did not start';
	return $self;
}

# Sends the process, and so its clients, a signal.
sub kill
{
	my ($self, $signal) = @_;
	CORE::kill($signal, $self->{pid});
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close $self->{in};
	waitpid $self->{pid}, 0;
}

sub command
{
	my ($self, %command) = @_;
	print { $self->{in} } $Rooms::JSON->encode(\%command) . "\n" or die "client driver: $!";
}

# Reads what there is, waiting until $end for the first of it; false when nothing came.
sub pump
{
	my ($self, $end) = @_;
	my $wait = $end - Time::HiRes::time();
	return 0 if $wait <= 0 || !IO::Select->new($self->{out})->can_read($wait);
	sysread($self->{out}, $self->{buffer}, 1 << 20, length $self->{buffer}) or die 'the client driver has ended';
	while ($self->{buffer} =~ s/\A([^\n]*)\n//)
	{
		my $what = $Rooms::JSON->decode($1);
		if ($what->{is} eq 'synced') { $self->{synced} = $what->{n} }
		elsif (defined $what->{id}) { push @{ $self->{clients}{ $what->{id} }{seen} }, $what }
	}
	return 1;
}

sub sync
{
	my ($self) = @_;
	my $n = ++$self->{syncs};
	my $end = Time::HiRes::time() + $Rooms::TIMEOUT;
	$self->command(op => 'sync', n => $n);
	while (($self->{synced} // 0) < $n) { $self->pump($end) or die 'the client driver does not answer' }
}

1;

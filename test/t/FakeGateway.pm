# FakeGateway.pm - a cluster with a gateway that only writes down what the
# worker tells it (test/client/fake_gateway.py), in an installation of its own.
package FakeGateway;

use strict;
use warnings;
use Rooms;
use File::Copy ();
use PostgreSQL::Test::Utils;

our @ISA = ('Rooms');

my $marks = 0;

# As Rooms->new.
sub new
{
	my ($class, $name, %o) = @_;
	my $copy = PostgreSQL::Test::Utils::tempdir() . '/stage';
	system('cp', '-a', $ENV{ROOMS_STAGE}, $copy) == 0 or die 'cp';
	chomp(my $bindir = `pg_config --bindir`);
	my $bin = $bindir =~ s/^\Q$ENV{ROOMS_STAGE}\E/$copy/r;
	unlink "$bin/pg_rooms_gateway";
	File::Copy::copy("$Rooms::CLIENT_DIR/fake_gateway.py", "$bin/pg_rooms_gateway") or die "copy: $!";
	chmod 0755, "$bin/pg_rooms_gateway";
	my $self = Rooms::new($class, $name, install_path => $bin =~ s{/bin$}{}r, %o);
	$self->{bin} = $bin;
	return $self;
}

# What the newest gateway has heard; waits until a line of it matches $until.
sub heard
{
	my ($self, $until) = @_;
	my $pid = $self->pid_of('gateway');
	my $log;
	my $end = time + $Rooms::TIMEOUT;
	do
	{
		die "gateway $pid did not hear of $until" if time > $end;
		select undef, undef, undef, 0.02;
		$log = -e "$self->{bin}/frames.log" ? PostgreSQL::Test::Utils::slurp_file("$self->{bin}/frames.log") : '';
		$log =~ s/[^\n]*\z//;
	} until ($log =~ /^\{"pid": $pid, .*$until/m);
	return map { $Rooms::JSON->decode($_) } grep { /^\{"pid": $pid,/ } split /\n/, $log;
}

# ... until it has heard of a message that is sent now.
sub heard_by_now
{
	my ($self) = @_;
	my $name = 'mark' . $marks++;
	$self->sql("SELECT rooms.emit_all('$name')");
	return $self->heard(qr/\[\\"$name\\"\]/);
}

# Kills the gateway and gives what the next one hears, up to a message of now.
sub after_kill
{
	my ($self) = @_;
	my $gateway = $self->pid_of('gateway');
	kill 'KILL', $gateway;
	$self->pid_of('gateway', $gateway);
	return $self->heard_by_now;
}

# Those of one kind.
sub of { my ($what, @frames) = @_; return grep { $_->{what} eq $what } @frames }

# What the next gateway sends as SESSION frames: pairs of key and value; value undef: remove.
# With undef as the last one it dies of it.
sub will_send { my ($self, @pairs) = @_; write_pairs("$self->{bin}/sessions.json", @pairs) }

# What it sends when it is stopped.
sub will_say_at_last { my ($self, @pairs) = @_; write_pairs("$self->{bin}/parting.json", @pairs) }

sub write_pairs
{
	my ($name, @pairs) = @_;
	open my $file, '>', $name or die;
	print $file $Rooms::JSON->encode(\@pairs);
	close $file;
}

1;

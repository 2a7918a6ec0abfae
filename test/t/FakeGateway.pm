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
	my ($file, @lines);
	my $line = '';
	my $end = time + $Rooms::TIMEOUT;
	for (;;)
	{
		if ($file || open $file, '<:raw', "$self->{bin}/frames.log")
		{
			seek $file, 0, 1;	# more may have come behind its end
			while (defined(my $more = readline $file))
			{
				$line .= $more;
				next if $line !~ /\n\z/;
				push @lines, $line if $line =~ /^\{"pid": $pid,/;
				$line = '';
			}
		}
		last if grep { /$until/ } @lines;
		die "gateway $pid did not hear of $until" if time > $end;
		select undef, undef, undef, 0.02;
	}
	return map { $Rooms::JSON->decode($_) } @lines;
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

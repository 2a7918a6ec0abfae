# The gateway's transports without PostgreSQL: a fake worker in Python starts
# it and plays the other end of the link.  The tests are in
# test/client/gateway_test.py; this only runs them (they speak TAP).
use strict;
use warnings;
use FindBin;

exec '/usr/bin/python3', "$FindBin::Bin/../client/gateway_test.py"
  or die "could not run python3: $!";

# Hostile clients against the gateway, without PostgreSQL: each row of
# test/hostile/cases.tsv is an attack.  test/hostile/run.py does it all and
# speaks TAP.
use strict;
use warnings;
use FindBin;

exec '/usr/bin/python3', "$FindBin::Bin/../hostile/run.py"
  or die "could not run python3: $!";

# pg_rooms: `make && make install` builds and installs with PGXS.
# `make demo`, `make test`: see README.md.  Test and demo targets: test/targets.mk.

EXTENSION = pg_rooms
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pg_rooms.control)
MODULE_big = pg_rooms
DATA = $(wildcard sql/pg_rooms--*.sql)

# The wire/ codecs are shared by the library and the gateway.
WIRE_SOURCES    := $(wildcard src/wire/*.c)
BACKEND_SOURCES := $(wildcard src/backend/*.c)
CORE_SOURCES    := $(wildcard src/core/*.c)
GATEWAY_SOURCES := $(wildcard src/gateway/*.c)

OBJS = $(BACKEND_SOURCES:.c=.o) $(WIRE_SOURCES:.c=.o)
GATEWAY = pg_rooms_gateway
GATEWAY_OBJS = $(GATEWAY_SOURCES:.c=.o) $(CORE_SOURCES:.c=.o) $(WIRE_SOURCES:.c=.o)
GATEWAY_LIBS = -lwebsockets -luv -ljwt -ljansson -lssl -lcrypto -lseccomp -lpq

# Only what PGDLLEXPORT marks leaves the library: core loads modules with
# RTLD_GLOBAL, and on PostgreSQL 15 every non-static symbol would be visible.
PG_CPPFLAGS = -I$(srcdir)/src -DROOMS_VERSION='"$(EXTVERSION)"' -MMD -MP -D_GNU_SOURCE
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-declaration-after-statement \
	-Wno-missing-field-initializers
EXTRA_CLEAN = $(GATEWAY) $(GATEWAY_OBJS) $(patsubst %.o,%.d,$(OBJS) $(GATEWAY_OBJS)) $(OBJS:.o=.bc)

# Debian's build asks for clang to make bitcode nobody needs here.
override with_llvm = no

PG_CONFIG ?= pg_config
PG_CPPFLAGS += -I$(shell $(PG_CONFIG) --includedir 2>/dev/null)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

all: $(GATEWAY)

ifneq ($(PGXS),)
include $(PGXS)

$(OBJS): override CFLAGS += -fvisibility=hidden '-DPGDLLEXPORT=__attribute__((visibility("default")))'

$(GATEWAY): $(GATEWAY_OBJS)
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_EX) -rdynamic $(GATEWAY_LIBS) -o $@

install: install-gateway
install-gateway: $(GATEWAY)
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(GATEWAY) '$(DESTDIR)$(bindir)/$(GATEWAY)'
uninstall: uninstall-gateway
uninstall-gateway:
	rm -f '$(DESTDIR)$(bindir)/$(GATEWAY)'

-include $(patsubst %.o,%.d,$(OBJS) $(GATEWAY_OBJS))
else
$(GATEWAY):
	@echo "pg_config was not found: install postgresql-server-dev-15, or set PG_CONFIG (see README.md)" >&2; exit 1
endif

include test/targets.mk

# retentiond: one Makefile, not recursive.  Targets: all demo check lint bench install uninstall clean deps.
# SANITIZE=1 builds and tests with ASan and UBSan.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BINDIR = $(PREFIX)/sbin
LIBEXECDIR = $(PREFIX)/libexec/retentiond
MANDIR = $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d

# release: what is installed.  test: the same with fault points.  sanitize: test under ASan and UBSan.
VARIANT ?= release
B = build/$(VARIANT)

CC ?= cc
CFLAGS ?= -O2 -g
WERROR ?=
PACKAGES = libevent libpq libconfig libsystemd talloc libcrypto
# Each warning is there for a class of defect that data safety cannot afford:
# -Wconversion: lengths cut short; -Wshadow: the wrong err; -Wvla: stack size from outside;
# -Wformat=2: a format from outside; -Wjump-misses-init: AUTO past its initialiser.
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wcast-qual -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wwrite-strings -Wundef -Wpointer-arith $(GCC_WARNINGS)
GCC_WARNINGS ?= -Wjump-misses-init -Wlogical-op -Wduplicated-cond
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LDHARDENING = -pie -Wl,-z,relro,-z,now
FLAGS.release = $(HARDENING)
FLAGS.test = $(HARDENING) -DRETENTION_FAILPOINTS
FLAGS.sanitize = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	-O1 -DRETENTION_FAILPOINTS
ifneq ($(MAKECMDGOALS),deps)
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
endif
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -pthread $(WARNINGS) $(WERROR) $(CFLAGS) $(FLAGS.$(VARIANT)) \
	$(PKG_CFLAGS) -Idaemon -DLIBEXECDIR='"$(LIBEXECDIR)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' -MMD -MP
ALL_LDFLAGS = -pthread $(LDFLAGS) $(if $(filter sanitize,$(VARIANT)),-fsanitize=address$(comma)undefined,$(LDHARDENING))
comma := ,

UNDER = error log units schedule model config config_text config_setting config_model config_print
RETENTIOND = retentiond supervisor child pgwatch clock notify $(UNDER)
JOB = retention-job job job_finish worker batch keys throttle stop report check catalog catalog_check \
	plan plan_due fate sql archive manifest journal db failpoint $(UNDER)
CTL = retentionctl ctl_migrate ctl_action ctl_journal ctl_archive ctl_policy output migrations \
	manifest journal db $(UNDER)
PROGRAMS = $(B)/retentiond $(B)/retention-job $(B)/retentionctl

all: $(PROGRAMS)

$(B)/retentiond: $(RETENTIOND:%=$(B)/%.o)
$(B)/retention-job: $(JOB:%=$(B)/%.o)
$(B)/retentionctl: $(CTL:%=$(B)/%.o)
$(PROGRAMS):
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(B)/%.o: daemon/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The migrations travel inside retentionctl: a binary always knows its own schema.
MIGRATIONS = $(sort $(wildcard migrations/[0-9]*.sql))
$(B)/migrations.c: $(MIGRATIONS) migrations/embed.sh Makefile
	@mkdir -p $(@D)
	sh migrations/embed.sh $(MIGRATIONS) >$@
$(B)/migrations.o: $(B)/migrations.c
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

-include $(wildcard build/*/*.d)
.PHONY: all

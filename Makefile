# retentiond: one Makefile, not recursive.  Targets: all demo check check-readme mutants lint bench deb install uninstall clean deps.
# SANITIZE=1 builds and tests with ASan and UBSan.

# The newest version that NEWS names, as all programs print it.  The commit is git's, unless COMMIT names it.
VERSION := $(shell sed -n 's/^retentiond \([0-9][0-9.]*\),.*/\1/p' conf/NEWS | head -n 1)
COMMIT ?=
$(if $(VERSION),,$(error conf/NEWS names no version))

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BINDIR = $(PREFIX)/bin
SBINDIR = $(PREFIX)/sbin
LIBEXECDIR = $(PREFIX)/libexec/retentiond
MANDIR = $(PREFIX)/share/man
LOCALEDIR = $(PREFIX)/share/locale
DOCDIR = $(PREFIX)/share/doc/retentiond
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
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
# clang does not know these.
GCC_WARNINGS ?= $(if $(findstring clang,$(CC)),,-Wjump-misses-init -Wlogical-op -Wduplicated-cond)
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
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -pthread $(WARNINGS) $(WERROR) $(CPPFLAGS) $(CFLAGS) $(FLAGS.$(VARIANT)) \
	$(PKG_CFLAGS) -Idaemon -DLIBEXECDIR='"$(LIBEXECDIR)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' \
	-DLOCALEDIR='"$(LOCALEDIR)"' -MMD -MP
ALL_LDFLAGS = -pthread $(LDFLAGS) $(if $(filter sanitize,$(VARIANT)),-fsanitize=address$(comma)undefined,$(LDHARDENING))
comma := ,

# All folders of daemon/ go into one library; each program takes from it what it calls.
SOURCES = $(sort $(wildcard daemon/*/*.c))
OBJECTS = $(SOURCES:daemon/%.c=$(B)/%.o) $(B)/migrations.o $(B)/embedded.o
PROGRAMS = $(B)/retentiond $(B)/retention-job $(B)/retentionctl $(B)/retentiond-web

# Catalogues of retentionctl; msgfmt finds a format that does not fit its original.
CATALOGUES = $(patsubst daemon/po/%.po,$(B)/locale/%/LC_MESSAGES/retentionctl.mo,$(wildcard daemon/po/*.po))
$(B)/locale/%/LC_MESSAGES/retentionctl.mo: daemon/po/%.po
	@mkdir -p $(@D)
	msgfmt --check -o $@ $<

all: $(PROGRAMS) $(CATALOGUES)

$(B)/lib.a: $(OBJECTS)
	rm -f $@ && ar rcs $@ $^
$(PROGRAMS): $(B)/%: $(B)/%.o $(B)/version.o $(B)/lib.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Where things are installed is compiled in: other paths than the last time mean other objects.
$(B)/paths: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(SYSCONFDIR)' | cmp -s - $@ || echo '$(PREFIX) $(SYSCONFDIR)' >$@
FORCE:

$(B)/%.o: daemon/%.c Makefile $(B)/paths
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The migrations travel inside retentionctl: a binary always knows its own schema.
MIGRATIONS = $(sort $(wildcard migrations/[0-9]*.sql))
$(B)/migrations.c: $(MIGRATIONS) migrations/embed.sh Makefile
	@mkdir -p $(@D)
	sh migrations/embed.sh $(MIGRATIONS) >$@
# Not in the library: another commit links the programs anew, and no unit test.
$(B)/version.c: FORCE
	@mkdir -p $(@D)
	@sh daemon/base/version.sh '$(VERSION)' '$(COMMIT)' $@
$(B)/migrations.o $(B)/embedded.o $(B)/version.o: %.o: %.c
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The page's templates, style, script and French travel inside retentiond-web.  Refusals come from the catalogue of
# retentionctl, in the spelling of the page.
$(B)/page.mo: daemon/web/fr.po daemon/po/fr.po daemon/web/french.sed Makefile
	@mkdir -p $(@D)
	LC_ALL=C sed -f daemon/web/french.sed daemon/po/fr.po | msgcat --use-first daemon/web/fr.po - | \
		msgfmt --check-format --endianness=little -o $@ -
EMBEDDED = $(sort $(wildcard daemon/web/pages/*.html)) daemon/web/page.css daemon/web/page.js $(B)/page.mo
$(B)/embedded.c: $(EMBEDDED) daemon/web/embed.sh Makefile
	sh daemon/web/embed.sh $(EMBEDDED) >$@

# --- tests ---------------------------------------------------------------------------------------

PARALLEL = --no-print-directory -j$(shell nproc)
TESTVARIANT = $(if $(SANITIZE),sanitize,test)
PYTHON ?= /usr/bin/python3
UNIT = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*/test_*.c))

# A unit test includes the .c that it tests; what that needs besides comes from the library.
$(B)/unit/%: tests/unit/%.c $(B)/lib.a | $(B)/version.o
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -Wno-format-truncation $(ALL_LDFLAGS) -o $@ $< $(B)/version.o $(B)/lib.a -lcmocka $(PKG_LIBS)

# Each unit test is run by a target of its own: make -j runs them side by side, and each one's words stay together.
unit: $(UNIT:%=%.passed)
%.passed: % FORCE
	@if $< >$@ 2>&1; then echo "$<: $$(sed -n 's/.*PASSED.*] //p' $@)"; else cat $@; rm $@; exit 1; fi

deps:
	@sh tests/setup.sh build

# REST=1 leaves out what SANITIZE=1 runs, so that both together run everything once.
# Many tests wait for something most of their time, hence two workers a processor.
PYTEST_RUN = RETENTION_BUILD=build/$(TESTVARIANT) RETENTION_REST=$(REST) $(PYTHON) -m pytest -q -n $(shell expr 2 '*' $$(nproc)) --dist load tests/integration
check:
	@sh tests/setup.sh check
	@$(MAKE) $(PARALLEL) VARIANT=$(TESTVARIANT) WERROR=-Werror all unit
	$(PYTEST_RUN) $(PYTEST)

# The tests marked "safety" with 1, 2 and 4 workers under each integrity; make check runs each of them in two of these ways.
check-set:
	@sh tests/setup.sh check
	@$(MAKE) $(PARALLEL) VARIANT=$(TESTVARIANT) WERROR=-Werror all
	RETENTION_WAYS=all $(PYTEST_RUN) -m safety $(PYTEST)

# Each patch of tests/mutants/ breaks a promise, and the tests that its head names have to notice.  MUTANTS="NAME NAME": these.
mutants:
	@sh tests/setup.sh mutants
	@bash tests/mutants.sh $(MUTANTS)

demo:
	@sh tests/setup.sh demo
	@$(MAKE) $(PARALLEL) all
	@bash tests/demo.sh

bench:
	@sh tests/setup.sh bench
	@$(MAKE) $(PARALLEL) all
	@bash tests/bench/bench.sh

bench-idle:
	@sh tests/setup.sh bench
	@$(MAKE) $(PARALLEL) all
	@$(PYTHON) tests/bench/idle.py

bench-instructions:
	@sh tests/setup.sh bench
	@$(MAKE) $(PARALLEL) all
	@$(PYTHON) tests/bench/instructions.py

bench-page:
	@sh tests/setup.sh bench
	@$(MAKE) $(PARALLEL) all
	@$(PYTHON) tests/bench/page.py

C_FILES = $(wildcard daemon/*.c daemon/*/*.[ch] tests/unit/*/*.c tests/fuzz/*/*.c tests/preload/*.c)
SHELL_FILES = $(shell git ls-files '*.sh' '*.bash' .ci/run 2>/dev/null)
# With clang's own warnings, so that it compiles without one.
TIDY_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(filter-out $(GCC_WARNINGS),$(WARNINGS)) -Idaemon $(PKG_CFLAGS) -DLIBEXECDIR= -DSYSCONFDIR= -DLOCALEDIR=
# How many states the analyzer looks at in a function: a third of clang's default, in a third of its time.
ANALYZER_NODES = 75000
lint:
	@sh tests/setup.sh lint
	@$(MAKE) --no-print-directory run-lint # anew: pkg-config may not have been there
# Every sentence of retentionctl has its translation, and no translation has lost its sentence.
build/retentionctl.pot: $(wildcard daemon/*.c daemon/*/*.[ch] migrations/*.sql) tests/lint-refusals.py
	@mkdir -p $(@D)
	@xgettext -k_ -kN_ --from-code=UTF-8 --no-location --omit-header -o $@ $(sort $(wildcard daemon/command/*.c daemon/report/*.c)) \
		daemon/retentionctl.c daemon/base/schema_version.c
	@python3 tests/lint-refusals.py --pot >>$@
# The objects say which file calls which.
run-lint: all build/retentionctl.pot
	@for po in daemon/po/*.po; do msgcmp $$po build/retentionctl.pot || exit; done
	@clang-format --dry-run -Werror $(C_FILES)
	bash tests/lint.sh
	bash tests/lint-cycles.sh $(B)
	shellcheck -x $(SHELL_FILES) conf/notify-* conf/check-service
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE -Idaemon \
		--enable=warning,performance,portability --suppress=missingInclude daemon
	@printf '%s\n' $(wildcard daemon/*.c daemon/*/*.c) | xargs -n 3 -P $(shell nproc) sh -c 'clang-tidy --quiet --extra-arg=-Xclang \
		--extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=$(ANALYZER_NODES) "$$@" -- $(TIDY_CFLAGS) 2>/dev/null' tidy

FUZZ = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*/fuzz_*.c))
build/fuzz/%: tests/fuzz/%.c $(wildcard daemon/*/*.[ch])
	@mkdir -p $(@D)
	clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Idaemon \
		-DSYSCONFDIR='"$(SYSCONFDIR)"' $(shell pkg-config --cflags $(PACKAGES)) \
		-o $@ $< $(wildcard daemon/base/*.c daemon/model/*.c daemon/config/*.c) $(FUZZED) $(PKG_LIBS)
# The page whole, and what is compiled into it.
build/fuzz/web/%: FUZZED = $(wildcard daemon/http/*.c daemon/database/*.c daemon/web/*.c) $(B)/embedded.c $(B)/version.c
build/fuzz/web/fuzz_request: $(B)/embedded.c $(B)/version.c
fuzz: $(FUZZ)
	@set -e; for f in $(FUZZ); do echo "== $$f"; $$f -max_total_time=$(or $(SECONDS),60) -print_final_stats=0; done

# --- installation --------------------------------------------------------------------------------

# Each unit is a template, too: one file, so that the two cannot differ.
UNITS = retentiond.service retentiond@.service retentiond-web.service retentiond-web@.service
# An image, the proxy, what watches the figures, and drop-ins of the daemon's unit.
EXAMPLES = conf/Containerfile conf/nginx-retentiond-web.conf conf/retentiond.rules.yml conf/grafana-retentiond.json $(addprefix systemd/retentiond-,downloads.conf database.conf password.conf failure.conf failure@.service notify.conf)
# Of a fleet: to be copied to $(SYSCONFDIR)/retentiond, with their folder.
FLEET = $(patsubst conf/%,%,$(wildcard conf/fleet/*.conf conf/fleet/*/*.conf))
KUBERNETES = $(patsubst conf/%,%,$(wildcard conf/kubernetes/*.yaml))

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MANDIR)/man1 \
		$(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(TMPFILESDIR) $(DESTDIR)$(SYSCONFDIR)/retentiond/models \
		$(DESTDIR)$(DOCDIR)
	install $(B)/retentiond $(B)/retentiond-web $(DESTDIR)$(SBINDIR)
	install $(B)/retentionctl $(DESTDIR)$(BINDIR)
	install $(B)/retention-job conf/notify-mail conf/notify-webhook conf/check-service $(DESTDIR)$(LIBEXECDIR)
	for page in $(wildcard daemon/*.[158] conf/*.[158]); do \
		install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/; done
	for language in $(patsubst daemon/po/%.po,%,$(wildcard daemon/po/*.po)); do \
		install -D -m 644 $(B)/locale/$$language/LC_MESSAGES/retentionctl.mo \
			$(DESTDIR)$(LOCALEDIR)/$$language/LC_MESSAGES/retentionctl.mo; done
	install -d $(DESTDIR)$(COMPLETIONDIR)
	sed 's|/etc/|$(SYSCONFDIR)/|g' daemon/retentionctl.bash >$(DESTDIR)$(COMPLETIONDIR)/retentionctl
	chmod 644 $(DESTDIR)$(COMPLETIONDIR)/retentionctl
	for unit in $(UNITS); do \
		sed 's|/usr/sbin/|$(SBINDIR)/|g' "systemd/$$(echo $$unit | tr -d @)" >$(DESTDIR)$(UNITDIR)/$$unit; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; done
	install -m 644 $(EXAMPLES) conf/NEWS $(DESTDIR)$(DOCDIR)
	for file in $(FLEET) $(KUBERNETES); do install -D -m 644 conf/$$file $(DESTDIR)$(DOCDIR)/$$file || exit; done
	for name in retentiond retentiond-web; do install -m 644 systemd/$$name.sysusers $(DESTDIR)$(SYSUSERSDIR)/$$name.conf || exit; done
	install -m 644 systemd/retentiond.tmpfiles $(DESTDIR)$(TMPFILESDIR)/retentiond.conf
	cd conf && for file in retentiond.conf web.conf models/*.conf; do \
		test -e "$(DESTDIR)$(SYSCONFDIR)/retentiond/$$file" || \
			install -m 644 "$$file" "$(DESTDIR)$(SYSCONFDIR)/retentiond/$$file" || exit; done

# The configuration and the archives are yours: they stay.
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/retentiond $(DESTDIR)$(SBINDIR)/retentiond-web $(DESTDIR)$(BINDIR)/retentionctl
	rm -rf $(DESTDIR)$(LIBEXECDIR)
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(notdir $(EXAMPLES)) NEWS)
	rm -rf $(DESTDIR)$(DOCDIR)/fleet $(DESTDIR)$(DOCDIR)/kubernetes
	rm -f $(DESTDIR)$(LOCALEDIR)/*/LC_MESSAGES/retentionctl.mo $(DESTDIR)$(COMPLETIONDIR)/retentionctl
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS)) $(DESTDIR)$(SYSUSERSDIR)/retentiond.conf \
		$(DESTDIR)$(SYSUSERSDIR)/retentiond-web.conf $(DESTDIR)$(TMPFILESDIR)/retentiond.conf
	for page in $(notdir $(wildcard daemon/*.[158] conf/*.[158])); do \
		rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$$page; done

# The Debian packages: build/deb/*.deb.
deb:
	@sh tests/setup.sh deb
	@bash conf/debian/build.sh build/deb

# The packages installed, upgraded, removed and purged in a Debian of their own; OLDER=FOLDER has the version before.
check-deb: deb
	@sh tests/setup.sh check-deb
	@bash tests/deb/check.sh build/deb build/check-deb/root $(OLDER)

# README's steps, in order and as they stand there, in the same Debian.
check-readme:
	@sh tests/setup.sh check-deb
	@bash tests/readme/check.sh build/check-deb/root

clean:
	rm -rf build

-include $(wildcard build/*/*.d build/*/*/*.d build/*/unit/*/*.d)
# FORCE is no file either.
.PHONY: FORCE all unit deps check check-set mutants demo bench bench-idle bench-instructions bench-page deb check-deb check-readme lint run-lint fuzz install uninstall clean
.SECONDARY:

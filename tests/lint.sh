#!/bin/bash
# What no compiler checks: which module may know which, that every key is documented, and the rest
# of the house rules that a machine can hold.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failed=0
complain() {
	echo "lint: $*" >&2
	failed=1
}

# Includes point downwards only: FILES never include HEADERS.
never() {
	local files=$1 headers=$2 file header
	for file in $files; do
		for header in $headers; do
			grep -nE "^#include [<\"]${header}[>\"]" "daemon/$file" 2>/dev/null |
				sed "s|^|lint: daemon/$file may not know $header: |" && failed=1
		done
	done
}
pure="config.c config_model.c config_rules.c config_text.c config_setting.c config_print.c schedule.c units.c model.c fate.c"
never "$pure" "db.h journal.h archive.h event2/event.h"
never "supervisor.c supervisor_state.c caretaker.c dispatch.c child.c pgwatch.c clock.c notify.c modelcheck.c" "catalog.h plan.h batch.h archive.h db.h journal.h"
never "job.c job_finish.c worker.c worker_keys.c batch.c keys.c throttle.c check.c catalog.c plan.c archive.c journal.c db.c" "event2/event.h event.h"
never "archive.c archive_encrypt.c archive_remove.c crypt.c manifest.c ledger.c" "db.h journal.h libpq-fe.h plan.h"
never "plan.c plan_steps.c plan_rules.c plan_shared.c plan_due.c plan_guard.c plan_along.c plan_walk.c fate.c sql.c" "libevent.h journal.h"
never "db.c log.c error.c" "config.h model.h journal.h plan.h"

# atoi knows no error; sprintf and strcpy know no bound.
grep -nE '\b(atoi|atol|sprintf|strcpy|strcat|gets)\(' daemon/*.c && complain "an unbounded or unchecked call"

# No function is longer than a screen and a half, no file longer than a chapter.
awk 'FNR == 1 { open = 0 }
     /^\{/ { open = FNR }
     /^\}/ { if (open && FNR - open > 61) { printf "lint: %s:%d: a function of %d lines\n", FILENAME, open, FNR - open; bad = 1 } open = 0 }
     END { exit bad }' daemon/*.c || failed=1
for file in daemon/*.c; do
	[ "$(wc -l <"$file")" -le 620 ] || complain "$file is longer than 620 lines"
done

# Every key that the configuration knows stands in the sample or the models, and in the man page.
for key in $(grep -hoE '\{?\.?(key|name) ?= ?"[a-z_]+"|KEY\("[a-z_]+"' daemon/config.c daemon/config_model.c 2>/dev/null |
	grep -oE '"[a-z_]+"' | tr -d '"' | sort -u); do
	grep -q "\b$key\b" conf/retentiond.conf.5 || complain "key $key is not in retentiond.conf(5)"
done
for page in daemon/*.[158] conf/*.[158]; do
	[ -e "$page" ] || continue
	mandoc -Tlint -Wwarning "$page" || complain "$page"
done

# Nothing half done, nothing of one machine.
grep -nE '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' daemon/*.[ch] migrations/*.sql tests/*.sh Makefile && complain "left to do"
exit $failed

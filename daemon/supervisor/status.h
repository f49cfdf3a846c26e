/*
 * What the supervisor knows, shared by supervisor/supervisor.c, which changes it, and supervisor/status.c, which
 * tells it.
 */
#ifndef RETENTION_SUPERVISOR_STATUS_H
#define RETENTION_SUPERVISOR_STATUS_H

#include "supervisor/expiry.h"
#include "supervisor/clock.h"
#include "supervisor/dispatch.h"
#include "supervisor/notify.h"
#include "supervisor/connection.h"
#include "supervisor/model_check.h"
#include "supervisor/metrics.h"

#include <event2/event.h>

#define SIGNALS 4

enum model_state { MODEL_UNKNOWN, MODEL_GOOD, MODEL_REFUSED };

struct supervisor {
	struct event_base *base;
	struct event *signals[SIGNALS];
	struct event *refresh; /* each minute */
	struct event *patience; /* the end of START_S, or of ONCE_AWAY_S */
	struct event *stop_timer;
	struct notify *notify;
	struct children *children;
	struct connection *watch;
	struct clock *clock;
	struct dispatch *dispatch;
	struct expiry *expiry;
	struct surveyor *surveyor;

	struct config *config; /* in force */
	int64_t loaded_at;
	struct config *candidate; /* of the reload that waits for its check; NULL: none does */
	bool reload_wanted;

	struct model_check *check; /* of the candidate, else of config */
	enum model_state model; /* of config */
	char *remark; /* what the last check that held had to say; "": nothing */
	char *remark_now; /* of the check that is under way */
	bool schema_good;
	bool policies_asked; /* what was last, of each */

	bool away; /* said in the log, and not yet said to be over */
	char *away_why;
	char *trouble; /* what the database last refused; "": nothing */

	bool once;
	bool restored; /* an archive was, since the ledger's file was last compared */
	bool ran; /* --once: an action has ended since policies were last tried */
	bool failed; /* --once: something did */
	bool ready; /* told to systemd: from here on only a signal ends us */
	bool stopping;
	int status;
};

/* STATUS: the most important thing to know, in one line; arg is the struct supervisor. */
void supervisor_tell(void *arg);

/* Metrics: what this process knows. */
void supervisor_measure(void *arg, struct metrics *metrics);

/* NULL: all is well; else the reason, the caller's to free. */
char *supervisor_health(void *arg);

/* SIGUSR1: all of it, logged. */
void supervisor_log_state(evutil_socket_t fd, short what, void *arg);

/* What a NOTIFY says that is to be remembered. */
void supervisor_hear(struct supervisor *s, const char *payload);

/* After an archive was restored: its lines go to the ledger's file with the next check of the model. */
void supervisor_compare_ledger(struct supervisor *s);

#endif

/*
 * The state of the supervisor.  supervisor.c owns it, proceed.c and reload.c change it, and status.c reads it.
 */
#pragma once

#include "supervisor/clock.h"
#include "supervisor/connection.h"
#include "supervisor/dispatch.h"
#include "supervisor/errand.h"
#include "supervisor/metrics.h"
#include "supervisor/notify.h"

#include <event2/event.h>

#define SIGNALS 4
#define ONCE_AWAY_S 30 /* --once: how long the database may be away */

enum model_state { MODEL_UNKNOWN, MODEL_GOOD, MODEL_REFUSED };

struct supervisor {
	struct event_base *base;
	struct event *signals[SIGNALS];
	struct event *refresh; /* each minute */
	struct event
		*patience; /* the end of the time for a start, or for a database that is away */
	struct event *stop_timer;
	struct event *reload; /* triggered by hand: a reload is wanted, and may begin */
	struct notify *notify;
	struct children *children;
	struct connection *connection;
	struct clock *clock;
	struct dispatch *dispatch;
	struct errand *check; /* of the model of candidate, else of config */
	struct errand *expiry;
	struct supervisor_metrics *metrics;

	struct config *config; /* in force */
	int64_t loaded_at;
	struct config *candidate; /* of the reload that waits for its check; NULL: none does */
	bool reload_wanted;

	enum model_state model; /* of config */
	char *remark; /* the complaint of the last check that held; "": none */
	char *remark_now; /* the complaint of the check that is under way */
	bool schema_good;
	bool policies_asked; /* the database was asked for the last occurrence of each */

	bool away; /* the log says that the database is away, and not yet that it is back */
	char *away_why;
	char *trouble; /* the last refusal of the database; "": none */

	bool once;
	bool restored; /* an archive was restored since the ledger's file was last compared */
	bool ran; /* --once: an action has ended since policies were last tried */
	bool failed; /* --once: something has failed */
	bool ready; /* systemd was told: from here on only a signal ends the process */
	bool stopping;
	int status; /* of the process */
};

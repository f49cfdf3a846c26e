/*
 * The state of the supervisor, which is a talloc context, too: it owns its texts and the parts of the loop.
 * supervisor.c makes it, proceed.c, reload.c and metrics.c change it, and status.c reads it.
 */
#pragma once

#include "supervisor/clock.h"
#include "supervisor/connection.h"
#include "supervisor/dispatch.h"
#include "supervisor/errand.h"
#include "supervisor/gate.h"
#include "supervisor/notifier.h"

#define ONCE_AWAY_S 30 /* --once: how long the database may be away */

enum model_state { MODEL_UNKNOWN, MODEL_GOOD, MODEL_REFUSED };

struct supervisor {
	struct event_base *base;
	/* The end of the time for a start, or for a database that is away. */
	struct event *patience;
	struct event *stop_timer;
	struct event *reload; /* triggered by hand: a reload is wanted, and may begin */
	struct children *children;
	struct connection *connection;
	struct page_asker *page; /* asks for the policies of the page */
	struct clock *clock;
	struct dispatch *dispatch;
	struct errand *check; /* of the model of candidate, else of config */
	struct errand *expiry;
	struct errand *answer; /* to the requests of people */
	struct errand *survey; /* for the metrics */
	struct notifier *notifier;
	struct gate *gate; /* where the web page fetches files */
	struct metrics *figures;
	struct http_server *http; /* NULL: HTTP is off */

	struct config *config; /* in force */
	int64_t loaded_at;
	struct config *candidate; /* of the reload that waits for its check; NULL: none does */
	bool reload_wanted;
	char *reload_asked_by; /* who has sent the last SIGHUP; NULL: nobody yet */

	enum model_state model; /* of config */
	char *remark; /* the complaint of the last check that held; NULL: none */
	char *remark_now; /* the complaint of the check that is under way; NULL: none yet */
	char *unchecked; /* why the last check of the model was not finished; NULL: it was */
	bool schema_good;
	bool policies_asked; /* the database was asked for the last occurrence of each */

	char *away; /* why the database is away, as the log says; NULL: it is not known to be */
	char *trouble; /* the last refusal of the database; NULL: none */

	char *survey_refusal; /* the figures of the last survey are old, and why; NULL: they are not */
	char *textfile_failure; /* why metrics.textfile was not written; NULL: it was */
	char *status_text; /* systemd's status line, as it was last sent; at first "" */

	bool once;
	/* An archive was restored, or a policy of the page validated or retired, since the files were last compared. */
	bool check_wanted;
	bool ran; /* --once: an action has ended since policies were last tried */
	bool failed; /* --once: something has failed */
	bool ready; /* systemd was told: from here on only a signal ends the process */
	bool ends; /* the model was refused at the start: the process ends when somebody was told */
	bool stopping;
	int status; /* exit status of the process */
};

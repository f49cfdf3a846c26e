#include "supervisor/model_check.h"

#include "base/mem.h"
#include "base/migrations.h"
#include "supervisor/connection.h"

#include <assert.h>

struct model_check {
	struct model_check_handlers handlers;
	struct children *children;
	struct child *child; /* NULL: none runs */
	struct event *timer;
	int patience_ms;
	bool too_long;
	char *note;
};

const char model_check_schema_sql[] =
	"SELECT coalesce(max(version), 0) FROM retention.schema_version";

char *model_check_schema(const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *why = NULL;
	char *text = NULL;
	const long wanted = (long)migrations_count;
	long version = 0;

	if (connection_ok(res, &why))
		version = strtol(PQgetvalue(res, 0, 0), NULL, 10); /* an int, always */
	else if (!sqlstate || (strcmp(sqlstate, "42P01") != 0 && strcmp(sqlstate, "3F000") != 0))
		return xstrdup(why); /* neither undefined_table nor invalid_schema_name */
	if (version == wanted)
		return NULL;
	if (version == 0)
		return xstrdup("schema retention is missing: run retentionctl migrate");
	if (asprintf(&text, "schema retention is at version %ld, this program is for %ld: %s",
		     version, wanted,
		     version < wanted ? "run retentionctl migrate"
				      : "install the newer retentiond") < 0)
		must_alloc(NULL);
	return text;
}

static void on_message(void *arg, const struct job_message *message)
{
	struct model_check *check = arg;

	if (message->word == WORD_COMPLAINT) {
		check->handlers.on_complaint(check->handlers.arg, message->text);
	} else if (message->word == WORD_NOTE) {
		free(check->note);
		check->note = xstrdup(message->text);
	}
}

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct model_check *check = arg;
	AUTO(char_p) char *text = NULL;

	if (asprintf(&text, "%s%s%s", how, check->note ? ": " : "",
		     check->note ? check->note : "") < 0)
		must_alloc(NULL);
	(void)event_del(check->timer); /* not pending is fine */
	check->child = NULL;
	check->handlers.on_end(check->handlers.arg, check->too_long ? JOB_AWAY : end, text);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct model_check *check = arg;

	(void)fd, (void)what; /* a timer */
	check->too_long = true;
	model_check_stop(check);
}

struct model_check *model_check_new(struct event_base *base, struct children *children,
				    int patience_ms, const struct model_check_handlers *handlers)
{
	struct model_check *check = xcalloc(1, sizeof(*check));

	check->handlers = *handlers;
	check->children = children;
	check->patience_ms = patience_ms;
	check->timer = must_alloc(evtimer_new(base, on_timer, check));
	return check;
}

void model_check_free(struct model_check *check)
{
	if (!check)
		return;
	event_free(check->timer);
	free(check->note);
	free(check);
}

void model_check_start(struct model_check *check, const struct config *config)
{
	AUTO(error) struct error err = {0};
	const struct timeval patience = {.tv_sec = check->patience_ms / 1000,
					 .tv_usec = check->patience_ms % 1000 * 1000};
	const struct child_opts opts = {
		.config = config,
		.handlers = {.on_message = on_message, .on_end = on_end, .arg = check},
	};

	assert(!check->child);
	free(check->note);
	check->note = NULL;
	check->too_long = false;
	if (event_add(check->timer, &patience) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
	if (!child_start(check->children, &opts, &check->child, &err))
		on_end(check, JOB_CRASHED, err.text);
}

bool model_check_busy(const struct model_check *check)
{
	return check->child;
}

void model_check_stop(struct model_check *check)
{
	if (check->child)
		child_stop(check->child, true);
}

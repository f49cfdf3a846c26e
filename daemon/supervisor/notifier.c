/*
 * The queue is the journal, and a mark in the database says up to where it was told (retention.told).  So nothing is
 * kept here that a crash could lose.  What may die on each line, and what then:
 *
 *   ask       the database names the oldest event behind the mark.  Where the connection is lost, it is asked again.
 *   run       the command gets the event.  If it fails, or its time is over, the same is asked for again after a pause,
 *             which grows.  If this process dies now, the next one tells the event again, although the command may have
 *             done its work: an event is told at least once.
 *   mark      the next question tells that the command has ended well, and moves the mark.  Until its answer, the event
 *             is in `told` here, and in the journal.
 *
 * Events that nobody can be told for long are dropped by the database, the oldest first, when more than PENDING_MOST
 * wait, and the next event says how many they were.
 */
#include "supervisor/notifier.h"

#include "base/file.h"
#include "base/log.h"
#include "supervisor/loop.h"

#define PENDING_MOST "1000"

enum {
	PAUSE_MIN_MS = 1000,
	PAUSE_MAX_MS = 10 * 60 * 1000,
	ONCE_TRIES = 3,
};

struct notifier {
	struct notifier_opts opts;
	const struct config *config;
	struct connection *connection;
	struct event *retry; /* the end of a pause */
	struct event *patience; /* the end of the command's time */

	bool wanted; /* there may be an event that the database was not asked for */
	bool asking;
	int recording; /* answers that are outstanding */
	int64_t generation; /* of the connection: answers of an earlier one do not come */
	int64_t told; /* the event that the mark does not have yet; 0: none */

	struct child *child; /* NULL: none runs */
	char *program;
	int64_t event; /* that it tells */
	bool too_long;
	int failures; /* in a row */
	int64_t pause_ms;
	bool given_up; /* --once */
	bool stopping;
	char *refusal; /* of the database, as the log says */
};

static const char next_sql[] =
	"SELECT n.event, n.content::text AS content\n"
	"  FROM retention.next_notice($1::bigint, $2::text[], " PENDING_MOST ") AS n";
static const char record_sql[] = "SELECT retention.record_trouble($1, nullif($2::int, 0))";

static bool is_on(const struct notifier *n)
{
	return n->config && n->config->has_notify;
}

/* The events of notify.on as an array of PostgreSQL: their names need no quotes. */
static char *wanted_array(void *ctx, const struct config *config)
{
	const bool all = config->n_notify_on == 0;
	const char *const *names = all ? notice_names : config->notify_on;
	char *text = t_strdup(ctx, "{");

	for (size_t i = 0; i < (all ? NOTICE_COUNT : config->n_notify_on); i++)
		t_append(&text, "%s%s", i > 0 ? "," : "", names[i]);
	return t_append(&text, "}");
}

bool notifier_settled(const struct notifier *n)
{
	if (n->child)
		return false;
	if (n->stopping)
		return !n->asking || n->told == 0;
	return !is_on(n) || n->given_up ||
	       (!n->wanted && !n->asking && n->recording == 0 && !evtimer_pending(n->retry, NULL));
}

bool notifier_has_failed(const struct notifier *n)
{
	return n->given_up;
}

int notifier_failures(const struct notifier *n)
{
	return n->failures;
}

static void settle(const struct notifier *n)
{
	if (notifier_settled(n))
		n->opts.on_settled(n->opts.arg);
}

/* The event was not told.  The log has the first failure of a row, and each that comes after a pause of full length. */
static void fail_event(struct notifier *n, const char *why)
{
	bool loud;

	n->failures++;
	n->pause_ms = n->failures == 1                 ? PAUSE_MIN_MS
		      : n->pause_ms * 2 < PAUSE_MAX_MS ? n->pause_ms * 2
						       : PAUSE_MAX_MS;
	n->given_up = n->opts.once && n->failures >= ONCE_TRIES;
	loud = n->failures == 1 || n->given_up || n->pause_ms == PAUSE_MAX_MS;
	log_event(loud ? LOG_WARNING : LOG_DEBUG, KIND_GENERAL, NULL,
		  "nobody was told of event %lld, because %s %s%s", (long long)n->event, n->program,
		  why,
		  n->given_up ? ": --once tells it when it is called again"
			      : ": it is told again later");
	n->wanted = true;
	if (!n->given_up && !n->stopping)
		loop_arm(n->retry, n->pause_ms);
}

static void next(struct notifier *n);

static void on_end(void *arg, enum job_exit end, const char *how)
{
	struct notifier *n = arg;
	AUTO(char_p) char *why = xprintf("has ended with %s", how);

	(void)event_del(n->patience); /* not pending is fine */
	n->child = NULL;
	if (n->too_long || end != JOB_DONE) {
		fail_event(n,
			   n->too_long ? "took longer than notify.timeout, and was killed" : why);
	} else {
		if (n->failures > 0)
			log_info("event %lld was told", (long long)n->event);
		n->failures = 0;
		n->told = n->event;
		n->wanted = true;
		next(n);
	}
	settle(n);
}

static void run(struct notifier *n, int64_t event, const char *content)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *why = NULL;
	const size_t words = n->config->n_notify_command;
	const char **argv = t_array(ctx, const char *, words + 1);
	const struct child_handlers handlers = {.on_end = on_end, .arg = n};

	for (size_t i = 0; i < words; i++)
		argv[i] = n->config->notify_command[i];
	n->event = event;
	n->too_long = false;
	t_replace(n, &n->program, argv[0]);
	/* It may be another file than that of the last check. */
	if (file_check_program(argv[0], &err) &&
	    child_start_program(n->opts.children, argv, t_printf(ctx, "%s\n", content), &handlers,
				&n->child, &err)) {
		loop_arm(n->patience, n->config->notify_timeout_ms);
		return;
	}
	why = xprintf("was not run (%s)", err.text);
	fail_event(n, why);
}

/* The database does not answer the question, as one that is a standby. */
static void take_refusal(struct notifier *n, const char *why)
{
	if (!(n->refusal && strcmp(n->refusal, why) == 0))
		log_err("nobody can be told of events: %s", why);
	t_replace(n, &n->refusal, why);
	n->given_up = n->opts.once;
}

static void on_next(void *arg, int64_t tag, const PGresult *res)
{
	struct notifier *n = arg;
	const char *why = connection_failure(res);

	if (tag != n->generation)
		return;
	n->asking = false;
	if (why) {
		n->wanted =
			n->wanted || !res; /* a connection that was lost asks again when it is up */
		if (res) /* else it is lost, which on_down() logs */
			take_refusal(n, why);
	} else {
		n->told = 0;
		t_replace(n, &n->refusal, NULL);
		if (PQntuples(res) > 0 && is_on(n) && !n->stopping)
			run(n, strtoll(PQgetvalue(res, 0, 0), NULL, 10), /* a bigint, always */
			    PQgetvalue(res, 0, 1));
		else
			next(n);
	}
	settle(n);
}

/* Asks, if something is wanted and nothing under way.  While it stops, only to move the mark. */
static void next(struct notifier *n)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!n->wanted || !is_on(n) || (n->stopping && n->told == 0) || n->asking || n->child ||
	    n->given_up || evtimer_pending(n->retry, NULL) || !connection_up(n->connection))
		return;
	n->wanted = false;
	n->asking = true;
	connection_ask(
		n->connection,
		&(struct connection_query){
			.sql = next_sql,
			.n = 2,
			.values = (const char *const[]){n->told > 0 ? t_printf(ctx, "%lld",
									       (long long)n->told)
								    : NULL,
							wanted_array(ctx, n->config)},
			.on_answer = on_next,
			.arg = n,
			.tag = n->generation});
}

void notifier_proceed(struct notifier *n)
{
	n->wanted = true;
	next(n);
}

static void on_recorded(void *arg, int64_t tag, const PGresult *res)
{
	struct notifier *n = arg;
	const char *why = connection_failure(res);

	if (tag != n->generation)
		return;
	n->recording--;
	if (res && why)
		take_refusal(n, why);
	notifier_proceed(n);
	settle(n);
}

void notifier_record(struct notifier *n, const char *trouble, int64_t job)
{
	AUTO(char_p) char *number = xprintf("%lld", (long long)job);

	if (!is_on(n) || !connection_up(n->connection))
		return;
	n->recording++;
	connection_ask(n->connection,
		       &(struct connection_query){.sql = record_sql,
						  .n = 2,
						  .values = (const char *const[]){trouble, number},
						  .on_answer = on_recorded,
						  .arg = n,
						  .tag = n->generation});
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what; /* a timer */
	next(arg);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct notifier *n = arg;

	(void)fd, (void)what; /* a timer */
	n->too_long = true;
	child_stop(n->child, true);
}

struct notifier *notifier_new(void *ctx, const struct notifier_opts *opts)
{
	struct notifier *n = t_zero(ctx, struct notifier);

	n->opts = *opts;
	n->retry = loop_event(n, opts->base, -1, 0, on_retry);
	n->patience = loop_event(n, opts->base, -1, 0, on_patience);
	return n;
}

void notifier_set(struct notifier *n, const struct config *config, struct connection *connection)
{
	if (connection != n->connection) {
		n->generation++;
		n->asking = false;
		n->recording = 0;
	}
	n->config = config;
	n->connection = connection;
	/* A person may have mended what was wrong. */
	(void)event_del(n->retry); /* not pending is fine */
	n->failures = 0;
	n->wanted = true;
}

void notifier_stop(struct notifier *n, bool now)
{
	n->stopping = true;
	(void)event_del(n->retry); /* not pending is fine */
	if (now)
		n->told = 0; /* told again by the next daemon */
	if (n->child && now)
		child_stop(n->child, true);
}

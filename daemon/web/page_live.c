/*
 * GET /actions/N/flux: a stream of events (text/event-stream) by which page.js follows an action.  The database is asked
 * once a second, and only while somebody looks: the statements end with the stream, and the stream with the tab.
 *
 *	event: progress		once a second at most, when something has changed
 *	: .			every 15 seconds without one, so that no proxy thinks the connection dead
 *	event: end		the action is in another state than that of the page, which then loads itself again
 *	retry: 2000		after 10 minutes the stream ends, and the browser comes back by itself
 *
 * The query's "etape" says which state the page shows.  So a change between the page and its stream is noticed, too.
 */
#include "web/route.h"

#include "base/sql.h"
#include "web/session.h"
#include "web/words.h"

#include <event2/event.h>

enum {
	STREAMS_MAX = 3, /* of a session */
	TICKS_MAX = 600,
	TICKS_QUIET = 15, /* between two signs of life */
	SAMPLES = 30, /* the rate is that of the last 30 seconds */
};

/* A stream under way: v->data. */
struct live {
	struct visit *v;
	struct event *timer;
	const char *phase; /* the state that the page shows */
	char *last; /* what was sent last */
	int ticks, quiet;
	int64_t left[SAMPLES]; /* of the list, tick by tick, in a ring */
	int n_left;
};

/* Counts the list of an action that runs, and of no other, because a list can be long. */
static const char tick_sql[] =
	"SELECT CASE WHEN j.status = 'saved' THEN CASE WHEN j.frozen_at IS NULL THEN 'listing' ELSE 'saved' END\n"
	"            ELSE j.status END AS phase,\n"
	"       CASE WHEN j.waiting IS NOT NULL THEN j.waiting_for END AS waiting_for,\n"
	"       coalesce(p.due, 0) AS due, coalesce(p.keys_left, 0) AS keys_left,\n"
	"       NOT EXISTS (SELECT FROM retention.daemons) AS no_daemon\n"
	"  FROM retention.archive_journal AS j\n"
	"  LEFT JOIN retention.progress AS p ON p.id = j.id AND p.status = 'running'\n"
	" WHERE j.id = $1::int";

static int on_live_free(struct live *l)
{
	event_free(l->timer);
	(void)session_streams(l->v->session, -1);
	session_release(l->v->session);
	return 0;
}

/* Appends "name":"text" with what stands before it; text NULL: null. */
static void add_text(char **json, const char *before, const char *name, const char *text)
{
	t_append(json, "%s\"%s\":", before, name);
	if (!text) {
		t_append(json, "null");
		return;
	}
	t_append(json, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			t_append(json, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			t_append(json, "\\u%04x", (unsigned char)*text);
		else
			t_append(json, "%c", *text);
	}
	t_append(json, "\"");
}

/* How many keys have left the list each second, on the average of the last ticks; 0: not known. */
static double rate_of(struct live *l, int64_t left)
{
	const int n = l->n_left < SAMPLES ? l->n_left : SAMPLES;
	const int64_t first = n > 0 ? l->left[(l->n_left - n) % SAMPLES] : left;

	l->left[l->n_left++ % SAMPLES] = left;
	return n > 0 && first > left ? (double)(first - left) / n : 0;
}

static const char *number(void *ctx, const struct language *language, int64_t n)
{
	return words_filter(ctx, language, "number", t_printf(ctx, "%lld", (long long)n));
}

/* The event's data: numbers for the bar, and words in the reader's language for everything else. */
static char *progress_json(struct live *l, const PGresult *res, void *ctx)
{
	const struct language *language = l->v->language;
	const int64_t due = strtoll(values_column(res, 0, "due"), NULL, 10);
	const int64_t left = strtoll(values_column(res, 0, "keys_left"), NULL, 10);
	const int64_t done = due > left ? due - left : 0;
	const double rate = rate_of(l, left);
	const char *waiting_for = values_column(res, 0, "waiting_for");
	char *percent = t_printf(ctx, "%d", due > 0 ? (int)(100 * done / due) : 0);
	const char *rest = rate > 0 ? words_filter(ctx, language, "span",
						   t_printf(ctx, "%.0f", (double)left / rate))
				    : NULL;
	char *json = t_printf(ctx, "{\"done\":%lld,\"due\":%lld,\"demon\":%s", (long long)done,
			      (long long)due,
			      values_column(res, 0, "no_daemon")[0] == 't' ? "true" : "false");

	add_text(&json, ",", "fait", number(ctx, language, done));
	add_text(&json, ",", "total", number(ctx, language, due));
	add_text(&json, ",", "reste", rest);
	add_text(&json, ",", "debit",
		 rate >= 1 ? sql_fill(ctx, language_text(language, _("{rate} per second")),
				      {"rate", number(ctx, language, (int64_t)rate)})
			   : NULL);
	add_text(&json, ",", "attend",
		 waiting_for ? words_filter(ctx, language, "waiting", waiting_for) : NULL);
	add_text(&json, ",", "annonce",
		 due == 0 ? NULL
		 : rest   ? sql_fill(ctx, language_text(language, _("{percent} %, {left}")),
				     {"percent", percent}, {"left", rest})
			  : sql_fill(ctx, language_text(language, _("{percent} %")),
				     {"percent", percent}));
	t_append(&json, "}");
	return json;
}

/* Sends a field of the stream, and the empty line behind it. */
static void send_field(struct visit *v, const char *field, const char *text)
{
	struct evbuffer *part = evbuffer_new();

	if (!part) /* out of memory: the browser comes back */
		return;
	evbuffer_add_printf(part, "%s: %s\n\n", field, text);
	visit_chunk(v, part, NULL);
	evbuffer_free(part);
}

/* Sends what is new, and arms the timer for the next second. */
static void on_tick(struct visit *v)
{
	static const struct timeval second = {.tv_sec = 1};
	const PGresult *res = visit_rows(v, "tick");
	struct live *l = v->data;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(l));
	char *json;

	if (PQntuples(res) == 0 || strcmp(values_column(res, 0, "phase"), l->phase) != 0) {
		send_field(v, "event: end\ndata", "{}");
		visit_end(v);
		return;
	}
	if (++l->ticks > TICKS_MAX) {
		send_field(v, "retry", "2000");
		visit_end(v);
		return;
	}
	json = progress_json(l, res, ctx);
	if (!l->last || strcmp(json, l->last) != 0) {
		send_field(v, "event: progress\ndata", json);
		talloc_free(l->last);
		l->last = talloc_steal(l, json);
		l->quiet = 0;
	} else if (++l->quiet % TICKS_QUIET == 0) {
		send_field(v, "", ".");
	}
	(void)evtimer_add(l->timer, &second);
}

static void ask_tick(struct visit *v)
{
	visit_ask(v, "tick", tick_sql, 1, v->part);
	visit_then(v, on_tick);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct live *l = arg;

	(void)fd;
	(void)what;
	visit_run(l->v, ask_tick);
}

static bool is_full(struct visit *v)
{
	if (session_streams(v->session, 0) < STREAMS_MAX)
		return false;
	visit_fail(v, 429, language_text(v->language, _("Three tabs follow an action already.")));
	return true;
}

static void begin(struct visit *v)
{
	struct live *l;

	if (is_full(v)) /* others have begun while this one asked */
		return;
	if (PQntuples(visit_rows(v, "tick")) == 0) {
		visit_fail(v, 404, language_text(v->language, _("There is no such action.")));
		return;
	}
	l = t_zero(visit_ctx(v), struct live);
	l->v = v;
	l->phase = form_get(v->query, "etape");
	if (!l->phase)
		l->phase = t_strdup(l, values_column(visit_rows(v, "tick"), 0, "phase"));
	l->timer = evtimer_new(visit_base(v), on_timer, l);
	if (!l->timer) {
		visit_fail(v, 503, NULL);
		return;
	}
	session_hold(v->session); /* beyond the visit's own hold */
	(void)session_streams(v->session, 1);
	talloc_set_destructor(l, on_live_free);
	v->data = l;
	visit_stream(v, "text/event-stream", NULL);
	on_tick(v);
}

void page_live(struct visit *v)
{
	if (is_full(v))
		return;
	visit_ask(v, "tick", tick_sql, 1, v->part);
	visit_then(v, begin);
}

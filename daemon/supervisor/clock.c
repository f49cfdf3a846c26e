/*
 * libevent's timers are monotonic: one that is set for the first of the month would ring a day late on a machine
 * that was asleep for a day, or whose clock was set.  So the wall clock has a timerfd of its own, and
 * TFD_TIMER_CANCEL_ON_SET makes it ring when somebody sets the clock.  The four cases:
 *
 *	time passes		the timer rings at the earliest occurrence
 *	a step forward		the timer rings at once; what was jumped over is due, once
 *	a step back		nothing is due twice, because the database has the last occurrence
 *	another schedule	a new generation: occurrences are computed anew, as after a change of the zone
 *
 * entry_due() and next_ring() decide this from an entry and an instant alone.
 */
#include "supervisor/clock.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

struct entry {
	const struct policy *policy;
	char schedule[512]; /* canonical */
	bool known; /* the database has answered */
	bool never; /* --once: it has never run */
	int64_t last; /* occurrence that the database has */
	int64_t occurrence; /* that was last sent to the database */
	bool beginning; /* the answer to that is outstanding */
	bool blocked; /* the database has put it off: another daemon has it, or an earlier pass goes on */
};

struct clock {
	struct clock_opts opts;
	int fd;
	struct event *rings;
	struct connection *connection;
	struct entry
		*entries; /* n: each policy that is enabled, in the file's order; then the page's */
	size_t n;
	int generation; /* of the entries */
	int outstanding; /* answers of this generation */
	bool begun; /* an occurrence has become an action since they settled */
};

/* An answer finds its entry by a tag, whose generation tells an answer that comes too late. */
enum { TAG_ENTRIES = 1 << 24 };

static const char watch_sql[] = "SELECT floor(extract(epoch FROM retention.watch_policy($1, $2,"
				"              to_timestamp($3::float8))))::int8 AS last";

/* The same for a policy of the page.  Its occurrences count from its validation, so that none is missed before. */
static const char watch_page_sql[] =
	"SELECT floor(extract(epoch FROM retention.watch_page_policy($1, $4::int, $2,"
	"              to_timestamp($3::float8))))::int8 AS last";

/* --once: no row for a policy that has never run.  One of the page has its validation. */
static const char state_sql[] =
	"SELECT floor(extract(epoch FROM x.last))::int8 AS last"
	"  FROM (SELECT greatest((SELECT s.last_occurrence FROM retention.policy_state AS s"
	"                          WHERE s.policy = $1),"
	"                        (SELECT retention.page_policy_since(p) FROM retention.page_policy AS p"
	"                          WHERE p.name = $1 AND p.version = $2::int)) AS last) AS x"
	" WHERE x.last IS NOT NULL";

static const char begin_sql[] =
	"SELECT retention.begin_occurrence($1, $2, to_timestamp($3::float8),"
	"              to_timestamp($4::float8), $5, $6::interval, $7, $8::int) AS job";

static void tick(struct clock *clock);

int64_t clock_now(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now); /* time(2) lags: it may be before the ring */
	return now.tv_sec;
}

void clock_print(int64_t at, char *ret_text, size_t size)
{
	const time_t seconds = (time_t)at;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(ret_text, size, "%Y-%m-%d %H:%M", &tm) == 0)
		(void)snprintf(ret_text, size, "never");
}

static bool entry_next(const struct entry *entry, int64_t *ret_at)
{
	return entry->known && !entry->never &&
	       schedule_next(&entry->policy->schedule, entry->last, ret_at);
}

/* Whether an occurrence is due, and which: the latest, so that several that were missed run once. */
static bool entry_due(const struct entry *entry, int64_t now, int64_t *ret_occurrence)
{
	int64_t next;

	if (!entry->known || entry->beginning || entry->blocked)
		return false;
	if (!entry->never && (!entry_next(entry, &next) || next > now))
		return false;
	return schedule_previous(&entry->policy->schedule, now, ret_occurrence);
}

/* The earliest occurrence after now; 0: none.  One that is due already waits for the database, not for the clock. */
static int64_t next_ring(const struct entry *entries, size_t n, int64_t now)
{
	int64_t earliest = 0, at;

	for (size_t i = 0; i < n; i++)
		if (entry_next(&entries[i], &at) && at > now && (!earliest || at < earliest))
			earliest = at;
	return earliest;
}

/*
 * The entry that an answer is about; NULL: the answer is of an earlier generation.  *ret_good: the database has done
 * what it was asked.
 */
static struct entry *answered(struct clock *clock, int64_t tag, const PGresult *res, bool *ret_good)
{
	const char *why = connection_failure(res);

	*ret_good = !why;
	if (tag / TAG_ENTRIES != clock->generation)
		return NULL;
	clock->outstanding--;
	if (why && res) /* else the connection is lost, which on_down() logs */
		clock->opts.on_trouble(clock->opts.arg, why);
	return &clock->entries[tag % TAG_ENTRIES];
}

static void settle(struct clock *clock)
{
	const bool begun = clock->begun;

	tick(clock);
	if (clock->outstanding > 0)
		return;
	clock->begun = false;
	clock->opts.on_settled(clock->opts.arg, begun);
}

static void ask(struct clock *clock, const struct entry *entry,
		const struct connection_query *query)
{
	struct connection_query tagged = *query;

	if (!connection_up(clock->connection))
		return;
	clock->outstanding++;
	tagged.arg = clock;
	tagged.tag = (int64_t)clock->generation * TAG_ENTRIES + (entry - clock->entries);
	connection_ask(clock->connection, &tagged);
}

/* The occurrence after now, as a parameter of a query; NULL: none. */
static const char *next_text(void *ctx, const struct entry *entry, int64_t now)
{
	int64_t next;

	return schedule_next(&entry->policy->schedule, now, &next)
		       ? t_printf(ctx, "%lld", (long long)next)
		       : NULL;
}

static void on_watched(void *arg, int64_t tag, const PGresult *res)
{
	struct clock *clock = arg;
	bool good;
	struct entry *entry = answered(clock, tag, res, &good);

	if (entry && good) {
		entry->known = true;
		entry->never = PQntuples(res) == 0;
		if (!entry->never)
			entry->last = strtoll(PQgetvalue(res, 0, 0), NULL, 10); /* ::int8, always */
	}
	settle(clock);
}

/* The version of a policy of the page, as a parameter of a query; NULL: it is of the file. */
static const char *version_text(void *ctx, const struct policy *policy)
{
	return policy->version > 0 ? t_printf(ctx, "%d", policy->version) : NULL;
}

static void watch(struct clock *clock, const struct entry *entry)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	const char *name = entry->policy->name, *version = version_text(ctx, entry->policy);
	const char *const state[] = {name, version};
	const char *const watched[] = {name, entry->schedule, next_text(ctx, entry, clock_now()),
				       version};

	ask(clock, entry,
	    &(struct connection_query){.sql = clock->opts.once ? state_sql
					      : version        ? watch_page_sql
							       : watch_sql,
				       .n = clock->opts.once ? 2
					    : version        ? 4
							     : 3,
				       .values = clock->opts.once ? state : watched,
				       .on_answer = on_watched});
}

static void on_begun(void *arg, int64_t tag, const PGresult *res)
{
	struct clock *clock = arg;
	bool good;
	struct entry *entry = answered(clock, tag, res, &good);

	/* Without an answer it stays as it was, because the next connection asks for everything again. */
	if (entry && res) {
		entry->beginning = false;
		entry->blocked = !good || PQgetisnull(res, 0, 0); /* refused: see clock_retry() */
		if (!entry->blocked) {
			entry->never = false;
			entry->last = entry->occurrence;
			clock->begun = true;
		} else if (good && !clock->opts.once) {
			/* Another daemon may have begun it: then the database has a later one. */
			watch(clock, entry);
		}
	}
	settle(clock);
}

static void begin(struct clock *clock, struct entry *entry, int64_t occurrence, int64_t now)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	const struct policy *policy = entry->policy;
	char depth[24];

	period_print(&policy->depth, depth, sizeof(depth));
	entry->occurrence = occurrence;
	entry->beginning = true;
	ask(clock, entry,
	    &(struct connection_query){
		    .sql = begin_sql,
		    .n = 8,
		    .values = (const char *const[]){policy->name, entry->schedule,
						    t_printf(ctx, "%lld", (long long)occurrence),
						    next_text(ctx, entry, now),
						    action_names[policy->action], depth,
						    archive_mode_names[policy->archive],
						    version_text(ctx, policy)},
		    .on_answer = on_begun});
}

/* Rings at the instant, and whenever the clock is set.  0: only when it is set. */
static void arm(struct clock *clock, int64_t at)
{
	/* The year 9999, because a step of the clock rings only a timer that is set. */
	const struct itimerspec when = {.it_value.tv_sec = at ? (time_t)at : 253402300799};

	if (timerfd_settime(clock->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) <
	    0)
		log_err("the wall clock's timer cannot be set: %s", strerror(errno));
}

/* Begins the occurrences that are due, and sets the timer for the next one. */
static void tick(struct clock *clock)
{
	const int64_t now = clock_now();
	int64_t at;

	assert(clock->entries || clock->n == 0);
	for (size_t i = 0; i < clock->n && connection_up(clock->connection); i++)
		if (entry_due(&clock->entries[i], now, &at))
			begin(clock, &clock->entries[i], at, now);
	arm(clock, next_ring(clock->entries, clock->n, now));
}

static void on_rings(evutil_socket_t fd, short what, void *arg)
{
	uint64_t times;

	(void)what; /* EV_READ */
	if (read(fd, &times, sizeof(times)) < 0 && errno == ECANCELED)
		log_info("the clock was set: the policies' next occurrences are computed anew");
	tick(arg);
}

static int on_clock_free(struct clock *clock)
{
	talloc_free(clock->rings); /* before its descriptor is closed */
	(void)close(clock->fd); /* a timer: nothing is lost */
	return 0;
}

struct clock *clock_new(void *ctx, const struct clock_opts *opts)
{
	struct clock *clock = t_zero(ctx, struct clock);

	clock->opts = *opts;
	clock->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (clock->fd < 0)
		must_alloc(NULL); /* no memory, or no descriptors right at the start */
	clock->rings = loop_event(clock, opts->base, clock->fd, EV_READ | EV_PERSIST, on_rings);
	talloc_set_destructor(clock, on_clock_free);
	arm(clock, 0);
	return clock;
}

static void add_entry(struct clock *clock, const struct policy *policy)
{
	struct entry *entry = &clock->entries[clock->n];

	if (!policy->enabled)
		return;
	clock->n++;
	entry->policy = policy;
	schedule_print(&policy->schedule, entry->schedule, sizeof(entry->schedule));
}

void clock_set(struct clock *clock, const struct config *config, const struct page_policies *page,
	       struct connection *connection)
{
	talloc_free(clock->entries);
	clock->entries = t_array(clock, struct entry, config->n_policies + page->n + 1);
	clock->n = 0;
	clock->connection = connection;
	clock->generation++;
	clock->outstanding = 0;
	for (size_t i = 0; i < config->n_policies; i++)
		add_entry(clock, &config->policies[i]);
	for (size_t i = 0; i < page->n; i++)
		add_entry(clock, &page->policies[i]);
	arm(clock, 0);
}

void clock_ask(struct clock *clock)
{
	clock->generation++; /* answers to earlier questions are dropped */
	clock->outstanding = 0;
	for (size_t i = 0; i < clock->n; i++) {
		clock->entries[i].beginning = clock->entries[i].blocked = false;
		watch(clock, &clock->entries[i]);
	}
}

void clock_retry(struct clock *clock)
{
	for (size_t i = 0; i < clock->n; i++)
		clock->entries[i].blocked = false;
	tick(clock);
}

bool clock_settled(const struct clock *clock)
{
	return clock->outstanding == 0;
}

bool clock_has_blocked(const struct clock *clock)
{
	for (size_t i = 0; i < clock->n; i++)
		if (clock->entries[i].blocked)
			return true;
	return false;
}

const struct policy *clock_next(const struct clock *clock, int64_t *ret_at)
{
	const struct policy *first = NULL;
	int64_t at;

	for (size_t i = 0; i < clock->n; i++)
		if (entry_next(&clock->entries[i], &at) && (!first || at < *ret_at)) {
			first = clock->entries[i].policy;
			*ret_at = at;
		}
	return first;
}

void clock_log_state(const struct clock *clock)
{
	for (size_t i = 0; i < clock->n; i++) {
		const struct entry *entry = &clock->entries[i];
		const struct policy *policy = entry->policy;
		char last[32] = "never", next[32] = "not known";
		int64_t at;

		if (!entry->known)
			(void)snprintf(last, sizeof(last), "not known");
		else if (!entry->never)
			clock_print(entry->last, last, sizeof(last));
		if (entry_next(entry, &at))
			clock_print(at, next, sizeof(next));
		log_event(LOG_INFO, KIND_STATE,
			  &(struct log_fields){.policy = policy->name,
					       .action = action_names[policy->action]},
			  "state: policy %s (%s, %s): last %s, next %s%s", policy->name,
			  action_names[policy->action], policy->schedule_text, last, next,
			  entry->blocked ? ", put off until an earlier pass has ended" : "");
	}
}

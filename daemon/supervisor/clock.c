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

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

struct entry {
	const struct policy *policy; /* enabled */
	char schedule[512]; /* canonical */
	bool known; /* the database has answered */
	bool never; /* --once: it has never run */
	int64_t last; /* occurrence that the database has */
	int64_t occurrence; /* that was last sent to the database */
	bool beginning; /* the answer to that is outstanding */
	bool blocked; /* the database has put it off: another daemon has it, or an earlier pass goes on */
};

struct clock {
	struct clock_handlers handlers;
	bool once;
	int fd;
	struct event *rings;
	struct connection *connection;
	struct entry *
		entries; /* n: one for each policy, in the file's order; policy NULL: not enabled */
	size_t n;
	int generation; /* of the entries */
	int outstanding; /* answers of this generation */
	bool begun; /* an occurrence has become an action since they settled */
};

/* An answer finds its entry by a tag, whose generation tells an answer that comes too late. */
enum { TAG_ENTRIES = 1 << 24 };

static const char watch_sql[] = "SELECT floor(extract(epoch FROM retention.watch_policy($1, $2,"
				"              to_timestamp($3::float8))))::int8 AS last";

static const char states_sql[] =
	"SELECT policy, floor(extract(epoch FROM last_occurrence))::int8 AS last"
	"  FROM retention.policy_state";

static const char begin_sql[] =
	"SELECT retention.begin_occurrence($1, $2, to_timestamp($3::float8),"
	"              to_timestamp($4::float8), $5, $6::interval, $7) AS job";

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
	return entry->policy && entry->known && !entry->never &&
	       schedule_next(&entry->policy->schedule, entry->last, ret_at);
}

/* Whether an occurrence is due, and which: the latest, so that several that were missed run once. */
static bool entry_due(const struct entry *entry, int64_t now, int64_t *ret_occurrence)
{
	int64_t next;

	if (!entry->policy || !entry->known || entry->beginning || entry->blocked)
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

static int64_t answer_number(const PGresult *res, int row, const char *column)
{
	const int field = PQfnumber(res, column);

	return field < 0 ? 0 : strtoll(PQgetvalue(res, row, field), NULL, 10); /* ::int8, always */
}

/* The entry of an answer; NULL: the answer is of an earlier generation, or a failure. */
static struct entry *answered(struct clock *clock, int64_t tag, const PGresult *res)
{
	const char *why = NULL;

	if (tag / TAG_ENTRIES != clock->generation)
		return NULL;
	clock->outstanding--;
	if (!connection_ok(res, &why)) {
		if (res) /* else the connection is lost, which on_down() logs */
			clock->handlers.on_trouble(clock->handlers.arg, why);
		return NULL;
	}
	return &clock->entries[tag % TAG_ENTRIES];
}

static void settle(struct clock *clock)
{
	const bool begun = clock->begun;

	tick(clock);
	if (clock->outstanding > 0)
		return;
	clock->begun = false;
	clock->handlers.on_settled(clock->handlers.arg, begun);
}

/* The query is about that entry. */
static void ask(struct clock *clock, size_t entry, const struct connection_query *query)
{
	struct connection_query tagged = *query;

	if (!connection_up(clock->connection))
		return;
	clock->outstanding++;
	tagged.arg = clock;
	tagged.tag = (int64_t)clock->generation * TAG_ENTRIES + (int64_t)entry;
	connection_ask(clock->connection, &tagged);
}

static void on_watched(void *arg, int64_t tag, const PGresult *res)
{
	struct clock *clock = arg;
	struct entry *entry = answered(clock, tag, res);

	if (entry && PQntuples(res) == 1) {
		entry->last = answer_number(res, 0, "last");
		entry->known = true;
	}
	settle(clock);
}

/* --once: the last occurrence of all policies.  A policy that the database does not have has never run. */
static void on_states(void *arg, int64_t tag, const PGresult *res)
{
	struct clock *clock = arg;

	if (!answered(clock, tag, res))
		return;
	for (size_t i = 0; i < clock->n; i++) {
		struct entry *entry = &clock->entries[i];

		entry->known = entry->never = entry->policy;
		for (int row = 0; entry->policy && row < PQntuples(res); row++)
			if (strcmp(PQgetvalue(res, row, 0), entry->policy->name) == 0) {
				entry->never = false;
				entry->last = answer_number(res, row, "last");
			}
	}
	settle(clock);
}

static void watch_entry(struct clock *clock, size_t i)
{
	struct entry *entry = &clock->entries[i];
	AUTO(char_p) char *next_text = NULL;
	int64_t next;
	bool has_next = schedule_next(&entry->policy->schedule, clock_now(), &next);

	if (has_next)
		next_text = xprintf("%lld", (long long)next);
	ask(clock, i,
	    &(struct connection_query){.sql = watch_sql,
				       .n = 3,
				       .values = (const char *const[]){entry->policy->name,
								       entry->schedule, next_text},
				       .on_answer = on_watched});
}

static void on_begun(void *arg, int64_t tag, const PGresult *res)
{
	struct clock *clock = arg;
	struct entry *entry = answered(clock, tag, res);

	/* Without an answer it stays as it was, because the next connection asks for everything again. */
	if (entry) {
		entry->beginning = false;
		entry->blocked = PQgetisnull(res, 0, 0);
		if (!entry->blocked) {
			entry->never = false;
			entry->last = entry->occurrence;
			clock->begun = true;
		} else if (!clock->once) {
			/* Another daemon may have begun it: then the database has a later one. */
			watch_entry(clock, (size_t)(tag % TAG_ENTRIES));
		}
	} else if (res && clock->entries && tag / TAG_ENTRIES == clock->generation) {
		entry = &clock->entries[tag % TAG_ENTRIES];
		entry->beginning = false;
		entry->blocked = true; /* refused: asked again with clock_retry() */
	}
	settle(clock);
}

static void begin(struct clock *clock, size_t i, int64_t occurrence, int64_t now)
{
	struct entry *entry = &clock->entries[i];
	const struct policy *policy = entry->policy;
	AUTO(char_p) char *at = xprintf("%lld", (long long)occurrence);
	AUTO(char_p) char *next_text = NULL;
	char depth[24];
	int64_t next;

	if (schedule_next(&policy->schedule, now, &next))
		next_text = xprintf("%lld", (long long)next);
	period_print(&policy->depth, depth, sizeof(depth));
	entry->occurrence = occurrence;
	entry->beginning = true;
	ask(clock, i,
	    &(struct connection_query){
		    .sql = begin_sql,
		    .n = 7,
		    .values = (const char *const[]){policy->name, entry->schedule, at, next_text,
						    action_name(policy->action), depth,
						    archive_mode_name(policy->archive)},
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
			begin(clock, i, at, now);
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

struct clock *clock_new(struct event_base *base, const struct clock_handlers *handlers, bool once)
{
	const int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	struct clock *clock = xcalloc(1, sizeof(*clock));

	if (fd < 0)
		must_alloc(NULL); /* no memory, or no descriptors right at the start */
	clock->handlers = *handlers;
	clock->once = once;
	clock->fd = fd;
	clock->rings = must_alloc(event_new(base, fd, EV_READ | EV_PERSIST, on_rings, clock));
	if (event_add(clock->rings, NULL) < 0)
		must_alloc(NULL); /* epoll takes any timerfd: it can only lack memory */
	arm(clock, 0);
	return clock;
}

void clock_free(struct clock *clock)
{
	if (!clock)
		return;
	event_free(clock->rings);
	(void)close(clock->fd); /* a timer: nothing is lost */
	free(clock->entries);
	free(clock);
}

void clock_set(struct clock *clock, const struct config *config, struct connection *connection)
{
	free(clock->entries);
	clock->n = config->n_policies;
	clock->entries = xcalloc(clock->n + 1, sizeof(*clock->entries));
	clock->connection = connection;
	clock->generation++;
	clock->outstanding = 0;
	for (size_t i = 0; i < clock->n; i++) {
		struct entry *entry = &clock->entries[i];

		if (!config->policies[i].enabled)
			continue;
		entry->policy = &config->policies[i];
		schedule_print(&entry->policy->schedule, entry->schedule, sizeof(entry->schedule));
	}
	arm(clock, 0);
}

void clock_ask(struct clock *clock)
{
	clock->generation++; /* answers to earlier questions are dropped */
	clock->outstanding = 0;
	for (size_t i = 0; i < clock->n; i++)
		clock->entries[i].beginning = clock->entries[i].blocked = false;
	if (clock->once)
		ask(clock, 0,
		    &(struct connection_query){.sql = states_sql, .on_answer = on_states});
	for (size_t i = 0; !clock->once && i < clock->n; i++)
		if (clock->entries[i].policy)
			watch_entry(clock, i);
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

		if (!policy)
			continue;
		if (!entry->known)
			(void)snprintf(last, sizeof(last), "not known");
		else if (!entry->never)
			clock_print(entry->last, last, sizeof(last));
		if (entry_next(entry, &at))
			clock_print(at, next, sizeof(next));
		log_event(LOG_INFO, KIND_STATE,
			  &(struct log_fields){.policy = policy->name,
					       .action = action_name(policy->action)},
			  "state: policy %s (%s, %s): last %s, next %s%s", policy->name,
			  action_name(policy->action), policy->schedule_text, last, next,
			  entry->blocked ? ", put off until an earlier pass has ended" : "");
	}
}

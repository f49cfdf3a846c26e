/*
 * The load is measured by transactions, not by sessions, because only a role with pg_read_all_stats sees what other
 * roles' sessions do, and because an idle pool of connections is not load.  The counter lags by about a second, which is
 * soon enough.
 *
 * Few long batches are better than many short ones.  What slows other sessions is the number of interruptions, more
 * than the share of a processor, which the kernel divides.  With the same share of rest, bursts of 20 ms delay the
 * slowest statements of other sessions more than bursts of 200 ms.  Sessions that wait for a lock are not treated here:
 * the next batch is halved.
 *
 * A worker keeps the turn while it rests, so that all workers rest together.  No transaction is open during the rest,
 * and a stop ends it.
 */
#include "batch/courtesy.h"

#include "base/units.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOOK_MS 500
/* Transactions, on average.  Monitoring, autovacuum and the daemon itself make a few, at times in a burst. */
#define MANY_A_SECOND 30
#define FORGOTTEN_PART 16 /* of what the counter does not show, with each look */
#define WEIGHT 0.2 /* of the latest count in the average */
/* A session tells its count once a second at most, so that single looks find nothing. */
#define QUIET_MS 3000
#define AIM_MS 150
#define REST_PER_WORK 4
#define LONGEST_REST_MS 2000

struct courtesy {
	bool on;
	pthread_mutex_t lock; /* of the next four */
	int64_t looked_ms; /* 0: never */
	int64_t ended; /* transactions of all, then */
	double others; /* transactions a second of others */
	int64_t busy_ms; /* when others were last seen at work; 0: never */
	atomic_llong ours; /* the job's transactions that the counter may not show yet */
	atomic_bool asked;
	pthread_mutex_t turn;
};

struct courtesy *courtesy_new(bool on)
{
	struct courtesy *c = xcalloc(1, sizeof(*c));

	c->on = on;
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_mutex_init(&c->turn, NULL);
	return c;
}

void courtesy_free(struct courtesy *c)
{
	if (!c)
		return;
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_mutex_destroy(&c->turn);
	free(c);
}

/*
 * What the counter does not show within some looks, it had shown before the first one: it is forgotten a part at a
 * time, or it would hide as many transactions of others.
 */
static void count(struct courtesy *c, int64_t now, int64_t ended)
{
	const double seconds = (double)(now - c->looked_ms) / 1000;
	const int64_t own = atomic_load(&c->ours), seen = ended - c->ended;
	const int64_t ours = own < seen ? own : seen;

	if (c->looked_ms > 0 &&
	    seen < 0) { /* the statistics were reset: both counts begin at zero */
		atomic_store(&c->ours, 0);
		c->others *= 1 - WEIGHT;
	} else if (c->looked_ms > 0) {
		(void)atomic_fetch_sub(&c->ours, ours + (own - ours) / FORGOTTEN_PART);
		c->others = (1 - WEIGHT) * c->others + WEIGHT * (double)(seen - ours) / seconds;
	}
	if (c->others > MANY_A_SECOND)
		c->busy_ms = now;
	atomic_store(&c->asked, c->busy_ms > 0 && now - c->busy_ms < QUIET_MS);
	c->looked_ms = now;
	c->ended = ended;
}

static bool look(struct courtesy *c, struct db *db, int64_t now, struct error *err)
{
	static const char sql[] = "SELECT (xact_commit + xact_rollback)::bigint AS ended\n"
				  "  FROM pg_stat_database WHERE datname = current_database()";
	int64_t ended;

	if (!db_query_int(db, sql, 0, NULL, &ended, err))
		return false;
	count(c, now, ended);
	return true;
}

void courtesy_own(struct courtesy *c, struct db *db)
{
	if (db) /* the control session may be lost at the moment */
		(void)atomic_fetch_add(&c->ours, db_take_ended(db));
}

bool courtesy_look(struct courtesy *c, struct db *db, struct error *err)
{
	const int64_t now = monotonic_ms();
	bool ok = true;

	if (!c->on)
		return true;
	courtesy_own(c, db);
	(void)pthread_mutex_lock(&c->lock);
	if (c->looked_ms == 0 || now - c->looked_ms >= LOOK_MS)
		ok = look(c, db, now, err);
	(void)pthread_mutex_unlock(&c->lock);
	return ok;
}

const char *courtesy_reason(struct courtesy *c)
{
	return atomic_load(&c->asked)
		       ? "other users of the database: short batches, one at a time, with rests"
		       : NULL;
}

int64_t courtesy_aim_ms(struct courtesy *c, int64_t aim_ms)
{
	return atomic_load(&c->asked) && aim_ms > AIM_MS ? AIM_MS : aim_ms;
}

bool courtesy_enter(struct courtesy *c)
{
	return atomic_load(&c->asked) && pthread_mutex_lock(&c->turn) == 0;
}

void courtesy_leave(struct courtesy *c, bool turn, int64_t took_ms, struct stop *stop)
{
	const int64_t rest_ms = took_ms * REST_PER_WORK;

	if (!turn)
		return;
	if (atomic_load(&c->asked)) /* a stop is noticed before the next batch */
		(void)stop_sleep_ms(stop, rest_ms < LONGEST_REST_MS ? rest_ms : LONGEST_REST_MS);
	(void)pthread_mutex_unlock(&c->turn);
}

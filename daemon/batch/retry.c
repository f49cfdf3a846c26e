/*
 * A worker's keys, batch by batch.  Sets of keys that are still to be run lie on a stack.  The top one is run as a
 * batch.  When it fails, the remedy (batch/remedy.c) says what becomes of it, mostly smaller sets:
 *
 *   DATA         halve the batch until the key at fault stands alone.  That one is journalled, the others
 *                go on.  Where a foreign key refuses, ask the database first which subjects can go.
 *   memory       halve as for DATA: one value may be too large to be read.  Where the server was short of memory for
 *                a moment, a later sweep succeeds, so that a key is journalled in the last sweep only.
 *   BUSY         the same halving.  A single key that is busy is left for a later sweep.
 *   ENVIRONMENT, CONFIG, STOPPED  the stack is dropped; the sweep decides (batch/worker.c).
 *
 * Nothing on the stack has to survive: its keys are in the list until a batch removes them.
 *
 * A foreign key lets subjects that refer to one another go only in one transaction.  From STAGE_TOGETHER on they are
 * brought together as their keys are taken.  The list is not ordered by such groups when it is written, for
 * three reasons.  To find the groups among all subjects, all of their rows would have to be read once more.  Nearly
 * all subjects go in the first sweep without groups.  And the groups change when rows change while the pass runs.
 */
#include "batch/worker_state.h"

#include "base/text.h"
#include "batch/remedy.h"
#include "journal/journal.h"

#define LONGEST_STATEMENT_MS 3600000
#define MOST_OTHERS 5000 /* subjects that are added to those of the list */
#define SMALL_GROUP 16 /* so many are tried together again after a larger group has failed */
#define FAILURES_IN_A_ROW 100

enum manner {
	RUN_LISTED, /* as the list deals them; from STAGE_TOGETHER on with those that refer to them */
	RUN_CHECKED, /* nothing that remains refers to these: one batch; its halves are RUN_LISTED */
	RUN_GROUP, /* keys, and others that refer to them, in one batch */
	RUN_KEPT, /* remaining rows refer to these */
	RUN_PLAIN, /* one batch, and so are its halves: nothing is asked */
};

struct work {
	struct work *below;
	struct keys keys;
	enum manner manner;
	bool small_groups; /* a group with these has failed: only small ones are tried */
	struct keys listed; /* RUN_GROUP: the keys as the list had them */
};

struct run {
	struct worker_state *w;
	void *ctx;
	struct work *top; /* of the stack */
	bool begun; /* a batch has been tried */
	bool measure; /* one was too large: count the rows of the next ones first */
	enum slice_state slice; /* of the batch under way */
	int64_t slice_rows; /* SLICE_UNDER_WAY: rows of one table for the next slice */
};

/* Puts keys on the stack; NULL where there are none.  from: the work that they come from. */
static struct work *push(struct run *r, const struct work *from, const struct keys *keys,
			 enum manner manner)
{
	struct work *work;

	if (keys->n == 0)
		return NULL;
	work = t_array(r->ctx, struct work, 1);
	*work = (struct work){.below = r->top,
			      .keys = *keys,
			      .manner = manner,
			      .small_groups = from->small_groups || from->manner == RUN_GROUP};
	r->top = work;
	return work;
}

static bool push_halves(struct run *r, const struct work *from, const struct keys *keys,
			enum manner manner, struct error *err)
{
	struct keys half[2];

	if (!keys_halve(r->w->session.db, keys, r->ctx, half, err))
		return false;
	(void)push(r, from, &half[1], manner);
	(void)push(r, from, &half[0], manner);
	return true;
}

#define REFUSED                                                                                     \
	"; a remaining row, or one that could not be deleted with it, refers to it: to clear such " \
	"references, map the row's table once more with delete = \"detach\""

#define TOO_LARGE                                                                                  \
	"; a value of its rows is too large for the server to read (as text, above 1 GB; bytea "   \
	"takes two characters a byte): shorten it, or give the server memory"

static bool record_failure(struct run *r, const struct keys *keys, const struct error *cause,
			   bool refused, struct error *err)
{
	struct worker_pool *pool = r->w->pool;
	struct session *session = &r->w->session;
	AUTO(char_p)
	char *text = xprintf("%s%s", cause->text,
			     refused         ? REFUSED
			     : cause->memory ? TOO_LARGE
					     : "");

	if (!journal_key_failed(session->db, pool->batch->id, keys->array, text, cause->sqlstate,
				err))
		return false;
	if (atomic_fetch_add(&pool->failed, 1) + 1 >= FAILURES_IN_A_ROW &&
	    atomic_load(&pool->treated) + pool->done_before == 0)
		return fail(err, ERR_CONFIG,
			    "the first %d keys failed, each by itself, and none succeeded: %s",
			    FAILURES_IN_A_ROW, text);
	return true;
}

static void leave(struct run *r, int64_t n, bool refused)
{
	r->w->sweep.left += n;
	if (refused)
		r->w->sweep.refused += n;
}

/* The server that has this group's shard is away: leaves all of its keys that are under way. */
static void leave_shard(struct run *r, const struct work *work, const struct error *cause)
{
	struct sweep *s = &r->w->sweep;

	free(s->away);
	free(s->away_group);
	s->away = xstrdup(cause->text);
	s->away_group = xstrdup(work->keys.group);
	r->top = NULL;
}

/*
 * Is a server away over which Citus has spread the rows, but not the one that the session is on?  All statements of the
 * batch went there.
 */
static bool is_elsewhere(const struct run *r, const struct error *cause)
{
	const struct plan *plan = r->w->pool->batch->plan;

	return cause->class == ERR_ENVIRONMENT && db_alive(r->w->session.db) &&
	       plan->catalog->relations[plan->model->contact->index].spread == SPREAD_ROWS &&
	       (strncmp(cause->sqlstate, "08", 2) == 0 || strncmp(cause->sqlstate, "57P", 3) == 0);
}

/* A refusal is a failure now, unless the row that refers to the subject may be one that another session has locked. */
static bool is_last_chance(const struct run *r)
{
	return r->w->sweep.stage == STAGE_LAST && !r->w->sweep.met_locks;
}

static void note_key(const struct run *r, const struct keys *keys, const char *what,
		     const char *why)
{
	report_note(r->w->pool->report, "key %s %s%s", keys->array, what, why);
}

static int64_t slice_rows(const struct run *r)
{
	return r->slice == SLICE_UNDER_WAY ? r->slice_rows : batch_size_first_slice(&r->w->size);
}

/* A statement has timed out: fewer rows next time.  A single key that cannot be cut gets more time. */
static void ease(struct run *r, const struct keys *keys, bool sliced)
{
	struct session *session = &r->w->session;

	if (keys->n > 1) {
		batch_size_ease(&r->w->size, keys->weight);
		return;
	}
	if (sliced && batch_size_ease_slice(&r->w->size, slice_rows(r)))
		return;
	if (session->statement_timeout_ms < LONGEST_STATEMENT_MS)
		session->statement_timeout_ms *= 2;
	session_close(session); /* the new time-out comes with the new session */
}

static bool may_ask(const struct worker_state *w)
{
	return w->pool->batch->plan->crossref_sql && !w->cannot_ask;
}

/*
 * Asks which subjects refer to these.  When that fails (a statement that takes too long, a right that is missing), the
 * sweep begins anew and never asks again: halving finds the same, in more steps.
 */
static bool ask_references(struct run *r, const struct keys *keys, int64_t most_others,
			   struct references *ret, struct error *err)
{
	const struct batch_job *batch = r->w->pool->batch;
	const struct reference_question question = {
		.plan = batch->plan, .job = batch->id, .keys = keys, .most_others = most_others};
	AUTO(error) struct error one = {0};

	if (keys_ask_references(r->w->session.db, &question, r->ctx, ret, &one))
		return true;
	if (one.class == ERR_STOPPED || one.class == ERR_BUSY)
		return fail(err, one.class, "%s", one.text);
	r->w->cannot_ask = db_alive(r->w->session.db);
	return fail(err, ERR_ENVIRONMENT, "%s", one.text);
}

/* Splits keys that a foreign key has refused: those that nothing else refers to go now, the others in a later sweep. */
static bool split_by_reference(struct run *r, const struct work *work, struct error *err)
{
	struct references found;

	if (!ask_references(r, &work->keys, 0, &found, err))
		return false;
	if (found.kept.n == 0)
		return push_halves(r, work, &work->keys, RUN_LISTED, err);
	(void)push(r, work, &found.kept, RUN_KEPT);
	(void)push(r, work, &found.together, RUN_CHECKED);
	return true;
}

/* Adds the subjects that refer to these.  Some of the keys may have gone with others already, and are dropped. */
static bool bring_together(struct run *r, const struct work *work, struct error *err)
{
	struct references found;

	if (!ask_references(r, &work->keys, MOST_OTHERS, &found, err))
		return false;
	(void)push(r, work, &found.kept, RUN_KEPT);
	if (found.own.n == 0)
		return true;
	if (found.together.n == found.own.n) {
		(void)push(r, work, &found.together, RUN_CHECKED);
	} else if (work->small_groups && found.together.n > 2 * found.own.n + SMALL_GROUP) {
		(void)push(r, work, &found.own, RUN_PLAIN);
	} else {
		struct work *group = push(r, work, &found.together, RUN_GROUP);

		if (group)
			group->listed = found.own;
	}
	return true;
}

/* Leaves these keys.  In the last sweep each is tried by itself, so that the server says which foreign key refuses it. */
static bool run_kept(struct run *r, const struct work *work, struct error *err)
{
	if (is_last_chance(r))
		return push_halves(r, work, &work->keys, RUN_KEPT, err);
	leave(r, work->keys.n, true);
	return true;
}

/* Runs the keys as the list had them, without the subjects that were added. */
static bool ungroup(struct run *r, const struct work *work, struct error *err)
{
	if (work->listed.n > 1)
		return push_halves(r, work, &work->listed, RUN_LISTED, err);
	(void)push(r, work, &work->listed, RUN_PLAIN);
	return true;
}

/* Lets a single key go in slices, unless its own row would be refused in the end, after all its other rows. */
static bool clear_for_slices(struct run *r, const struct work *work, bool *ret_again,
			     struct error *err)
{
	AUTO(error) struct error refusal = {0};
	struct references found;

	if (!ask_references(r, &work->keys, MOST_OTHERS, &found, err))
		return false;
	if (found.kept.n == 0) {
		r->slice = SLICE_CLEARED;
		*ret_again = true;
		return true;
	}
	if (!is_last_chance(r)) {
		leave(r, 1, true);
		return true;
	}
	(void)fail(&refusal, ERR_DATA,
		   "rows of %s refer to it: it has too many rows for one transaction, and nothing "
		   "of it was deleted",
		   found.via);
	(void)snprintf(refusal.sqlstate, sizeof(refusal.sqlstate), "23503"); /* 5 + NUL */
	return record_failure(r, &work->keys, &refusal, true, err);
}

/* Says whether a table, a column or a function is gone, or has another type than when the model was checked. */
static bool is_change(const struct error *err)
{
	static const char *const states[] = {"42P01", "42703", "42704", "42804", "42883", "0A000"};

	return err->class == ERR_CHANGED ||
	       (err->class == ERR_CONFIG &&
		text_index(err->sqlstate, states, LENGTH(states)) < LENGTH(states));
}

static struct failure failure_of(const struct run *r, const struct work *work,
				 const struct batch_result *result, const struct error *cause)
{
	return (struct failure){
		.class = is_change(cause) ? ERR_CHANGED
			 : cause->memory  ? ERR_DATA
					  : cause->class,
		.timed_out = strcmp(cause->sqlstate, "57014") == 0,
		.refused = cause->class == ERR_DATA && strcmp(cause->sqlstate, "23503") == 0,
		.memory = cause->memory,
		.too_large = result->fit == BATCH_TOO_LARGE && db_alive(r->w->session.db),
		.measured = r->measure,
		.needs_slices = result->fit == BATCH_NEEDS_SLICES,
		.single = work->keys.n == 1,
		.slice = result->sliced && r->slice != SLICE_GIVEN_UP,
		.grouped = work->manner == RUN_GROUP,
		.may_ask = may_ask(r->w) && r->w->sweep.stage < STAGE_TOGETHER,
		.last_sweep = is_last_chance(r),
		.elsewhere = is_elsewhere(r, cause),
	};
}

/* After a rollback.  *ret_again: the same keys once more.  false: err says what the sweep has to do. */
static bool apply_remedy(struct run *r, const struct work *work, const struct batch_result *result,
			 const struct error *cause, bool *ret_again, struct error *err)
{
	const struct failure f = failure_of(r, work, result, cause);
	const enum remedy remedy = remedy_for(&f);
	const enum manner halves = work->manner == RUN_PLAIN ? RUN_PLAIN : RUN_LISTED;
	struct session *session = &r->w->session;

	if (remedy == REMEDY_PLAN_AGAIN || remedy == REMEDY_GIVE_UP)
		return fail(err, f.class, "%s", cause->text);
	if (f.class == ERR_BUSY && result->fit == BATCH_FITS)
		r->w->sweep.met_locks = true;
	if (session->writer && db_alive(session->db) && !archive_rollback(session->writer, err))
		return false;
	if (f.timed_out && (remedy == REMEDY_HALVE_MEASURED || remedy == REMEDY_BACK_OFF))
		ease(r, &work->keys, result->sliced);
	switch (remedy) {
	case REMEDY_CLEAR_FOR_SLICES:
		return clear_for_slices(r, work, ret_again, err);
	case REMEDY_MEASURE:
		r->measure = true;
		*ret_again = true;
		return true;
	case REMEDY_UNGROUP:
		return ungroup(r, work, err);
	case REMEDY_SPLIT_BY_REFERENCE:
		return split_by_reference(r, work, err);
	case REMEDY_HALVE_MEASURED:
		r->measure = true;
		return push_halves(r, work, &work->keys, halves, err);
	case REMEDY_HALVE:
		return push_halves(r, work, &work->keys, halves, err);
	case REMEDY_WORK_WHOLE: /* a row that points from one slice to another, perhaps */
		note_key(r, &work->keys,
			 "goes in one transaction, however large, because slices fail: ",
			 cause->text);
		r->slice = SLICE_GIVEN_UP;
		*ret_again = true;
		return true;
	case REMEDY_LEAVE:
		leave(r, 1, f.refused || f.memory);
		return true;
	case REMEDY_LEAVE_SHARD:
		leave_shard(r, work, cause);
		return true;
	case REMEDY_RECORD:
		return record_failure(r, &work->keys, cause, f.refused, err);
	case REMEDY_PLAN_AGAIN:
	case REMEDY_GIVE_UP:
	case REMEDY_BACK_OFF:
		break;
	}
	return fail(err, cause->class, "%s", cause->text);
}

/* Accounts for a batch that has committed, and sizes the next one. */
static void account(struct run *r, const struct keys *keys, const struct batch_result *result,
		    int64_t took_ms)
{
	struct worker_pool *pool = r->w->pool;
	const int64_t aim_ms = courtesy_aim_ms(pool->courtesy, pool->config->batch_time_ms);
	int64_t next_rows;

	if (result->sliced && r->slice != SLICE_UNDER_WAY)
		note_key(r, keys, "has too many rows for one transaction and goes in slices", "");
	if (result->sliced) {
		r->slice_rows = batch_size_next_slice(&r->w->size, slice_rows(r), took_ms, aim_ms);
		r->slice = SLICE_UNDER_WAY;
	} else if (r->slice < SLICE_UNDER_WAY) {
		batch_size_adapt(&r->w->size, &(struct batch_took){.ms = took_ms,
								   .aim_ms = aim_ms,
								   .weight = keys->weight,
								   .rows = result->rows,
								   .blocked = result->blocked > 0});
	}
	next_rows = r->slice == SLICE_UNDER_WAY ? r->slice_rows : batch_size_rows(&r->w->size);
	report_batch(pool->report, &(struct metrics_batch){.ms = took_ms,
							   .rows = result->rows,
							   .next_rows = next_rows,
							   .most_rows = pool->config->batch_rows,
							   .blocked = result->blocked});
	throttle_spend(pool->throttle, result->rows);
	(void)atomic_fetch_add(&pool->treated, result->treated);
	(void)atomic_fetch_add(&pool->rows, result->rows);
	r->w->sweep.left += result->left;
}

static struct batch_worker batch_worker_of(const struct run *r, const struct work *work)
{
	const bool last_group = work->manner == RUN_GROUP && r->w->sweep.stage == STAGE_LAST;
	const bool single = work->keys.n == 1;
	struct batch_worker worker = {
		.number = r->w->session.worker,
		.db = r->w->session.db,
		.writer = r->w->session.writer,
		.most_rows = single ? slice_rows(r) : batch_size_table_rows(&r->w->size),
		.slice = r->slice,
		.measure = r->measure || last_group || single,
		.statement_timeout_ms = r->w->session.statement_timeout_ms,
	};

	/* In the last sweep a group goes in one transaction however large. */
	if (r->slice == SLICE_GIVEN_UP || last_group)
		worker.most_rows = 0;
	return worker;
}

/* Tries one batch.  *ret_again: the same keys once more, for another slice or by a remedy. */
static bool run_batch(struct run *r, const struct work *work, bool *ret_again, struct error *err)
{
	struct worker_pool *pool = r->w->pool;
	struct batch_worker worker = batch_worker_of(r, work);
	struct batch_result result = {0};
	AUTO(error) struct error cause = {0};
	const bool turn = courtesy_enter(pool->courtesy);
	int64_t begun_ms, took_ms;
	bool ok;

	if (stop_asked(pool->stop)) { /* perhaps while it waited for its turn */
		courtesy_leave(pool->courtesy, turn, 0, pool->stop);
		return fail(err, ERR_STOPPED, "asked to stop");
	}
	begun_ms = monotonic_ms();
	ok = batch_run(pool->batch, &worker, &work->keys, &result, &cause);
	took_ms = monotonic_ms() - begun_ms;
	courtesy_leave(pool->courtesy, turn, took_ms, pool->stop);
	*ret_again = ok && result.sliced;
	if (result.paused) {
		throttle_expect_pause(pool->throttle);
		*ret_again = true;
		return true;
	}
	if (!ok)
		return apply_remedy(r, work, &result, &cause, ret_again, err);
	account(r, &work->keys, &result, took_ms);
	return true;
}

/* Runs one batch, or the slices of a single subject. */
static bool run_batches(struct run *r, const struct work *work, struct error *err)
{
	bool again = true;

	r->slice = may_ask(r->w) ? SLICE_NOT_CLEARED : SLICE_CLEARED;
	while (again) {
		/* The sweep has waited before the first one. */
		if (r->begun && !session_wait_for_throttle(&r->w->session, err))
			return false;
		r->begun = true;
		if (!run_batch(r, work, &again, err))
			return false;
	}
	if (r->slice >= SLICE_UNDER_WAY)
		r->w->size.first_slice_rows = 0;
	return true;
}

static bool run_work(struct run *r, const struct work *work, struct error *err)
{
	if (work->manner == RUN_LISTED && r->w->sweep.stage >= STAGE_TOGETHER && may_ask(r->w))
		return bring_together(r, work, err);
	if (work->manner == RUN_KEPT && (work->keys.n > 1 || !is_last_chance(r)))
		return run_kept(r, work, err);
	return run_batches(r, work, err);
}

bool retry_run(struct worker_state *w, const struct keys *keys, void *ctx, struct error *err)
{
	struct run r = {.w = w, .ctx = ctx};

	(void)push(&r, &(struct work){0}, keys, RUN_LISTED);
	while (r.top) {
		const struct work *work = r.top;

		r.top = work->below;
		if (!run_work(&r, work, err))
			return false;
	}
	return true;
}

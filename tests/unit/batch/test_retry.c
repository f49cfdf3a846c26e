/*
 * A list of subjects from its first batch to its end.  The subjects are drawn at random: they refer to one another, are
 * locked for a while, are kept by a trigger, or have too many rows for a batch.  A small model stands in for the
 * database.  A subject has to stay exactly when a trigger keeps it or a row that stays refers to it, and each that
 * stays is journalled as failed.
 */
#define session_open model_open
#define session_open_archive model_open
#define session_close model_close
#define session_wait_for_throttle model_open
#define session_back_off model_back_off
#define keys_take model_take
#define keys_rewind model_rewind
#define keys_halve model_halve
#define keys_ask_references model_ask_references
#define batch_run model_run
#define journal_key_failed model_key_failed
#define db_alive model_alive
#define stop_asked model_stop_asked
#define stop_sleep_ms model_sleep_ms
#define stop_ask model_stop_ask
#include "batch/retry.c"
#include "batch/worker.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* a macro of cmocka, a function of base/error.h */

#define MOST 60 /* subjects */
#define WORLDS 4000
#define NONE (-1)

struct subject {
	bool listed, exists, failed, sliced;
	int refers_to; /* a row of it refers to this subject; NONE */
	bool referred; /* a row that remains refers to it */
	bool broken; /* a trigger keeps it */
	int busy; /* locked by others now and then, up to this batch */
	int64_t rows;
};

static struct subject world[MOST];
static int n_subjects;
static int64_t batches;

struct set {
	bool has[MOST];
	int n;
};

static struct set parse(const char *array)
{
	struct set set = {0};

	for (const char *p = array; *p; p++) {
		char *end;

		if (*p < '0' || *p > '9')
			continue;
		set.has[strtol(p, &end, 10)] = true;
		set.n++;
		p = end - 1;
	}
	return set;
}

static struct keys print(void *ctx, const struct set *set)
{
	struct keys keys = {.array = t_strdup(ctx, "{")};

	for (int i = 0; i < n_subjects; i++)
		if (set->has[i]) {
			t_append(&keys.array, "%s%d", keys.n ? "," : "", i);
			keys.n++;
		}
	t_append(&keys.array, "}");
	keys.weight = keys.n;
	keys.last_n = n_subjects;
	return keys;
}

bool model_open(struct session *s, struct error *err)
{
	(void)s;
	(void)err;
	return true;
}

void model_close(struct session *s)
{
	(void)s;
}

bool model_back_off(struct session *s, const struct error *cause, struct error *err)
{
	(void)s;
	return fail(err, cause->class, "%s", cause->text);
}

bool model_alive(const struct db *db)
{
	(void)db;
	return true;
}

bool model_stop_asked(struct stop *stop)
{
	(void)stop;
	return false;
}

bool model_sleep_ms(struct stop *stop, int64_t ms)
{
	(void)stop;
	(void)ms;
	return false;
}

void model_stop_ask(struct stop *stop)
{
	(void)stop;
}

bool model_take(struct db *db, struct key_page *page, int64_t weight, void *ctx, struct keys *ret,
		struct error *err)
{
	struct set set = {0};

	(void)db;
	(void)err;
	while (page->after_n + 1 < n_subjects && set.n < weight) {
		page->after_n++;
		if (!world[page->after_n].listed)
			continue;
		set.has[page->after_n] = true;
		set.n++;
	}
	*ret = print(ctx, &set);
	return true;
}

void model_rewind(struct key_page *page)
{
	page->after_n = -1;
}

bool model_halve(struct db *db, const struct keys *whole, void *ctx, struct keys ret[2],
		 struct error *err)
{
	const struct set set = parse(whole->array);
	struct set halves[2] = {0};

	(void)db;
	(void)err;
	for (int i = 0, seen = 0; i < n_subjects; i++)
		if (set.has[i]) {
			struct set *half = &halves[seen++ >= set.n / 2];

			half->has[i] = true;
			half->n++;
		}
	ret[0] = print(ctx, &halves[0]);
	ret[1] = print(ctx, &halves[1]);
	return true;
}

/* As plan/crossref.c says. */
bool model_ask_references(struct db *db, const struct reference_question *question, void *ctx,
			  struct references *ret, struct error *err)
{
	const bool add = question->most_others > 0;
	struct set own = parse(question->keys->array), together, kept = {0}, own_kept = {0};
	bool more = true;

	(void)db;
	(void)err;
	for (int i = 0; i < n_subjects; i++)
		own.has[i] = own.has[i] && world[i].listed;
	for (together = own; add && more;) {
		more = false;
		for (int i = 0; i < n_subjects; i++) {
			const int to = world[i].refers_to;

			if (to != NONE && world[i].listed && together.has[to] && !together.has[i])
				more = together.has[i] = true;
		}
	}
	for (more = true; more;) {
		more = false;
		for (int i = 0; i < n_subjects; i++) {
			const int to = world[i].refers_to;
			const bool goes = world[i].listed && (add || own.has[i]) && !kept.has[i];

			if (together.has[i] && world[i].referred && !kept.has[i])
				more = kept.has[i] = true;
			if (to != NONE && to != i && world[i].exists && !goes && together.has[to] &&
			    !kept.has[to])
				more = kept.has[to] = true;
		}
	}
	for (int i = 0; i < n_subjects; i++) {
		own_kept.has[i] = own.has[i] && kept.has[i];
		own.has[i] = own.has[i] && !kept.has[i];
		together.has[i] = together.has[i] && !kept.has[i];
	}
	*ret = (struct references){.kept = print(ctx, &own_kept),
				   .via = "a_key",
				   .own = print(ctx, &own),
				   .together = print(ctx, &together)};
	return true;
}

bool model_key_failed(struct db *db, int id, const char *keys, const char *message,
		      const char *sqlstate, struct error *err)
{
	const struct set set = parse(keys);

	(void)db;
	(void)id;
	(void)message;
	(void)sqlstate;
	(void)err;
	assert_int_equal(set.n, 1);
	for (int i = 0; i < n_subjects; i++)
		if (set.has[i]) {
			assert_true(world[i].listed);
			world[i].failed = true;
			world[i].listed = false;
		}
	return true;
}

static bool refuse(struct error *err, enum error_class class, const char *sqlstate)
{
	(void)fail(err, class, "the model refuses");
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
	return false;
}

/* true: a slice has committed.  *ret_fits: the batch is small enough. */
static bool cut(const struct batch_worker *worker, const struct set *set, struct batch_result *ret,
		bool *ret_fits)
{
	int64_t rows = 0;
	int last = 0;

	for (int i = 0; i < n_subjects; i++)
		if (set->has[i]) {
			rows += world[i].rows;
			last = i;
		}
	*ret_fits = worker->most_rows == 0 || rows <= worker->most_rows;
	if (*ret_fits || set->n > 1) {
		ret->fit = *ret_fits ? BATCH_FITS : BATCH_TOO_LARGE;
		return false;
	}
	assert_true(worker->measure);
	assert_int_not_equal(worker->slice, SLICE_GIVEN_UP);
	if (worker->slice == SLICE_NOT_CLEARED) {
		ret->fit = BATCH_NEEDS_SLICES;
		return false;
	}
	world[last].rows -= worker->most_rows;
	world[last].sliced = ret->sliced = true;
	return true;
}

bool model_run(const struct batch_job *job, struct batch_worker *worker, const struct keys *keys,
	       struct batch_result *ret, struct error *err)
{
	struct set set = parse(keys->array);
	bool fits;

	(void)job;
	batches++;
	*ret = (struct batch_result){.paused = batches % 17 == 0};
	if (ret->paused)
		return refuse(err, ERR_STOPPED, "");
	for (int i = 0; i < n_subjects; i++)
		if (set.has[i] && !world[i].listed) {
			set.has[i] = false;
			set.n--;
		}
	for (int i = 0; i < n_subjects; i++)
		if (set.has[i] && batches < world[i].busy && (batches / 4 + i) % 3 == 0)
			return refuse(err, ERR_BUSY, "55P03");
	for (int i = 0; i < n_subjects; i++)
		if (set.has[i] && world[i].broken)
			return refuse(err, ERR_DATA, "P0001");
	if (cut(worker, &set, ret, &fits))
		return true;
	if (!fits)
		return refuse(err, ERR_BUSY, "");
	for (int i = 0; i < n_subjects; i++) {
		const int to = world[i].refers_to;

		if (set.has[i] && world[i].referred)
			return refuse(err, ERR_DATA, "23503");
		if (to != NONE && world[i].exists && !set.has[i] && set.has[to])
			return refuse(err, ERR_DATA, "23503");
	}
	for (int i = 0; i < n_subjects; i++)
		if (set.has[i])
			world[i].listed = world[i].exists = false;
	ret->treated = ret->rows = set.n;
	return true;
}

static int below(unsigned int *seed, int n)
{
	return rand_r(seed) % n;
}

static void make_world(unsigned int *seed)
{
	const int references = below(seed, 3), large = below(seed, 3), locked = below(seed, 3);

	n_subjects = 1 + below(seed, below(seed, 4) ? 12 : MOST);
	for (int i = 0; i < n_subjects; i++) {
		const bool refers = references > 0 && below(seed, 3) < references;

		world[i] = (struct subject){
			.listed = true,
			.exists = true,
			.refers_to = refers ? below(seed, n_subjects) : NONE,
			.referred = below(seed, n_subjects + 2) == 0,
			.broken = below(seed, n_subjects + 4) == 0,
			.busy = below(seed, 8) < locked ? below(seed, 300) : 0,
			.rows = large > 1 && below(seed, 5) == 0 ? 2500 : 1 + 400 * large,
		};
	}
	if (references > 1 && below(seed, 2)) /* rings */
		for (int i = 0; i < n_subjects; i++)
			world[i].refers_to = (i + n_subjects / 2) % n_subjects;
}

/* by_rows: only because of rows that remain in any case, not because of subjects that a trigger keeps. */
static struct set those_who_stay(bool by_rows)
{
	struct set stay = {0};
	bool more = true;

	for (int i = 0; i < n_subjects; i++)
		stay.has[i] = world[i].referred || (world[i].broken && !by_rows);
	while (more) {
		more = false;
		for (int i = 0; i < n_subjects; i++) {
			const int to = world[i].refers_to;

			if (to != NONE && stay.has[i] && !stay.has[to])
				more = stay.has[to] = true;
		}
	}
	return stay;
}

static void run_world(void)
{
	const struct plan plan = {.crossref_sql = "asked"};
	const struct config config = {.batch_rows = 60, .batch_time_ms = 250};
	const struct batch_job job = {.plan = &plan};
	struct worker_pool pool = {.config = &config,
				   .batch = &job,
				   .workers = 1,
				   .report = report_new(-1),
				   .throttle = throttle_new(&config, 1, false),
				   .courtesy = courtesy_new(false),
				   .running = 1};
	struct worker_state w = {.pool = &pool,
				 .session = {.pool = &pool},
				 .size = batch_size_new(config.batch_rows, 0),
				 .sweep = {.stage = STAGE_ALONE,
					   .page = {.after_n = -1},
					   .pause_ms = SWEEPS_MIN_PAUSE_MS}};
	AUTO(error) struct error err = {0};

	batches = 0;
	assert_true(run_sweeps(&w, &err));
	report_free(pool.report);
	throttle_free(pool.throttle);
	courtesy_free(pool.courtesy);
}

static void test_worlds(void **state)
{
	(void)state;
	for (unsigned int number = 1; number <= WORLDS; number++) {
		unsigned int seed = number;
		struct set stay, by_rows;

		make_world(&seed);
		stay = those_who_stay(false);
		by_rows = those_who_stay(true);
		run_world();
		for (int i = 0; i < n_subjects; i++) {
			if (world[i].exists != stay.has[i] || world[i].failed != stay.has[i] ||
			    world[i].listed || (by_rows.has[i] && world[i].sliced))
				print_error("world %u, subject %d of %d\n", number, i, n_subjects);
			assert_int_equal(world[i].exists, stay.has[i]);
			assert_int_equal(world[i].failed, stay.has[i]);
			assert_false(world[i].listed);
			assert_false(by_rows.has[i] && world[i].sliced);
		}
		assert_in_range(batches, 1, 40 * n_subjects + 400);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worlds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

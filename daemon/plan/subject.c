/*
 * The statements on the subjects themselves: which are due, whether they still are, which are held.
 * Keys come back as one array.  Each key is cast to text by itself, because a char(8) in an array
 * would bring its padding along.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/due.h"

#define KEYS "coalesce(array_agg(x.k::text), '{}')::text AS keys, count(*) AS n"

static const char list_sql[] =
	"INSERT INTO retention.candidate (job, n, key, weight)\n"
	"SELECT $3::int, row_number() OVER (ORDER BY due.k), due.k::text, due.weight\n"
	"  FROM ({due}) AS due";

static const char selected_sql[] =
	"ARRAY(SELECT s.key::{type} FROM retention.selection AS s WHERE s.job = $3::int)";

static const char recheck_sql[] = "SELECT " KEYS " FROM ({due}) AS x";

static const char present_sql[] =
	"SELECT " KEYS " FROM (SELECT {key} AS k FROM {table} AS t WHERE {selection}) AS x";

/* SKIP LOCKED: a row that somebody works on is left for a later sweep, never waited for. */
static const char lock_sql[] =
	"SELECT " KEYS " FROM (SELECT {key} AS k FROM {table} AS t WHERE {selection}\n"
	" ORDER BY 1 FOR UPDATE SKIP LOCKED) AS x";

static const char held_sql[] =
	"SELECT " KEYS " FROM (SELECT {key} AS k FROM {table} AS t{contact}\n"
	"  JOIN retention.holds_in_force AS h ON h.contact_key = {contact_key}::text\n"
	" WHERE {selection}) AS x";

/* The query of the due, among the keys (NULL: all). */
static const char *due(const struct builder *b, const char *keys)
{
	return plan_due_query(b->ctx, b->model, b->catalog, b->opts, keys);
}

void plan_subject(const struct builder *b, struct plan *plan)
{
	const struct table *t = plan->subject, *c = b->model->contact;
	const char *selected =
		sql_fill(b->ctx, selected_sql, {"type", plan_type(b->catalog, t, t->key)});
	const struct sql_part parts[] = {
		{"key", plan_column(b->ctx, "t", t->key)},
		{"table", plan_table(b->ctx, t)},
		{"selection", plan_selection(b, t, "$1", true)},
		{"contact", t == c ? ""
				   : t_printf(b->ctx, " JOIN %s AS c ON %s", plan_table(b->ctx, c),
					      plan_link(b->ctx, b->catalog, t, "t", "c"))},
		{"contact_key", plan_column(b->ctx, t == c ? "t" : "c", c->key)},
		{NULL, NULL},
	};

	plan->list_sql =
		sql_fill(b->ctx, list_sql, {"due", due(b, b->opts->by_key ? selected : NULL)});
	plan->recheck_sql =
		sql_fill(b->ctx, recheck_sql, {"due", due(b, plan_array(b, t, t->key, "$3"))});
	plan->present_sql = sql_fill_parts(b->ctx, present_sql, parts);
	plan->lock_sql = b->opts->action == ACTION_EXPORT ? plan->present_sql
							  : sql_fill_parts(b->ctx, lock_sql, parts);
	plan->held_sql = sql_fill_parts(b->ctx, held_sql, parts);
	plan->total_sql = sql_fill_parts(b->ctx, "SELECT count(*) AS n FROM {table} AS t", parts);
}

/*
 * The statements on the subjects themselves: which are due, whether they still are, which are held.
 * Keys come back as one array.  Each key is cast to text by itself, because a char(8) in an array
 * would bring its padding along.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

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

void plan_subject(struct plan *p)
{
	const struct table *t = p->subject, *c = p->model->contact;
	const char *selected =
		sql_fill(p, selected_sql, {"type", plan_type(p->catalog, t, t->key)});
	const struct sql_part parts[] = {
		{"key", plan_column(p, "t", t->key)},
		{"table", plan_table(p, t)},
		{"selection", plan_selection(p, t, "$1", true)},
		{"contact", t == c ? ""
				   : t_printf(p, " JOIN %s AS c ON %s", plan_table(p, c),
					      plan_link(p, t, "t", "c"))},
		{"contact_key", plan_column(p, t == c ? "t" : "c", c->key)},
		{NULL, NULL},
	};

	p->list_sql = sql_fill(p, list_sql, {"due", plan_due(p, p->opts.by_key ? selected : NULL)});
	p->recheck_sql =
		sql_fill(p, recheck_sql, {"due", plan_due(p, plan_array(p, t, t->key, "$3"))});
	p->present_sql = sql_fill_parts(p, present_sql, parts);
	p->lock_sql = p->opts.action == ACTION_EXPORT ? p->present_sql
						      : sql_fill_parts(p, lock_sql, parts);
	p->held_sql = sql_fill_parts(p, held_sql, parts);
	p->total_sql = sql_fill_parts(p, "SELECT count(*) AS n FROM {table} AS t", parts);
}

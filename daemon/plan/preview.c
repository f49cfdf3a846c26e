#include "plan/preview.h"

#include "base/mem.h"
#include "plan/due.h"
#include "plan/shared.h"
#include "plan/rule.h"
#include "base/sql.h"

struct walk {
	void *ctx;
	const struct plan *plan;
	const struct catalog *catalog;
};

static const struct collect *collected(const struct walk *w, size_t table)
{
	for (size_t i = 0; i < w->plan->n_collects; i++)
		if (w->plan->collects[i].table->index == table)
			return &w->plan->collects[i];
	return NULL;
}

/* The values that column of t has to be among, as a subquery of the column's type. */
static char *values_of(const struct walk *w, const struct table *t, const char *column,
		       const struct source *from)
{
	const struct table *source = &w->plan->model->tables[from->table];
	const struct collect *c = collected(w, from->table);
	const bool own = source == w->plan->subject && (!c || from->slot == 0);
	const char *name = own ? source->key : c->slots[from->slot];
	const char *type = plan_type(w->catalog, t, column);
	const bool alike = strcmp(plan_type(w->catalog, source, name), type) == 0;
	const char *value = own ? "x.k" : t_printf(w->ctx, "x.c%zu", from->slot);

	return t_printf(w->ctx, "SELECT %s%s%s FROM %s AS x", value,
			alike ? "" : "::text::", alike ? "" : type,
			own ? "due" : t_printf(w->ctx, "s%zu", from->table));
}

/* t's rows that a source reaches: as the batch's own selection (plan/build.c). */
static char *selection(const struct walk *w, const struct table *t, const struct source *from)
{
	const bool own = from->table == t->index;
	const char *column = own ? t->key : t->by;

	return t_printf(w->ctx, "%s IN (%s)%s%s%s%s%s", plan_column(w->ctx, "t", column),
			values_of(w, t, column, from), !own && t->match ? " AND " : "",
			!own && t->match ? t_printf(w->ctx, "%s::text <> ''",
						    plan_column(w->ctx, "t", t->by))
					 : "",
			!own && t->where ? " AND (" : "", !own && t->where ? t->where : "",
			!own && t->where ? "\n)" : "");
}

struct walk_own {
	const struct walk *w;
	const struct table *t;
};

/* As others_own() of plan/build.c, over the common table expressions. */
static char *walk_own(void *arg, const struct table *x, const char *u)
{
	const struct walk_own *o = arg;
	const struct walk *w = o->w;
	const struct collect *c = collected(w, x->index);
	const bool subject = x == w->plan->subject;
	const struct source own = {.table = x->index};
	const char *column = x->key && (subject || c) ? x->key : x->by;

	if (x == o->t)
		return t_printf(w->ctx, "%s IN (%s)%s", plan_column(w->ctx, u, x->by),
				values_of(w, x, x->by, &c->from), plan_within(w->ctx, x, u));
	if (!plan_goes_along(o->t, x, w->plan->subject, w->plan->action) ||
	    (!subject && (!c || (!x->key && x->where))))
		return NULL;
	return t_printf(w->ctx, "%s IN (%s)", plan_column(w->ctx, u, column),
			values_of(w, x, column, x->key ? &own : &c->from));
}

/* Rows of an inner table: by its parent's, or by the subjects. */
static void append_collect(const struct walk *w, const struct collect *c, char **sql)
{
	t_append(sql, ",\ns%zu AS MATERIALIZED (SELECT ", c->table->index);
	for (size_t i = 0; i < c->n_slots; i++)
		t_append(sql, "%s%s AS c%zu", i ? ", " : "",
			 c->slots[i] ? plan_column(w->ctx, "t", c->slots[i]) : "NULL", i);
	t_append(sql, "\n  FROM %s AS t WHERE %s",
		 sql_table(w->ctx, c->table->schema, c->table->table),
		 selection(w, c->table, &c->from));
	if (c->lock_sql)
		t_append(sql, "\n   AND %s",
			 plan_unused(w->ctx, w->plan->model, w->catalog, c->table, "t",
				     w->plan->action, walk_own,
				     &(struct walk_own){.w = w, .t = c->table}));
	t_append(sql, ")");
}

static char *with_clause(const struct walk *w, const char *due)
{
	char *sql = t_printf(w->ctx, "WITH due AS MATERIALIZED (%s)", due);

	for (size_t i = 0; i < w->plan->n_collects; i++)
		append_collect(w, &w->plan->collects[i], &sql);
	return t_printf(w->ctx, "%s\n", sql);
}

static bool same_rows(const struct walk *w, const struct step *earlier, const struct step *s)
{
	return w->catalog->relations[earlier->table->index].oid ==
		       w->catalog->relations[s->table->index].oid &&
	       (earlier->disposition == DISPOSITION_DELETE ||
		(earlier->disposition == DISPOSITION_UPDATE &&
		 s->disposition == DISPOSITION_UPDATE));
}

static const char *what_of(enum disposition disposition)
{
	switch (disposition) {
	case DISPOSITION_COPY:
		return "exported";
	case DISPOSITION_UPDATE:
		return "anonymized";
	case DISPOSITION_DETACH:
		return "detached";
	case DISPOSITION_DELETE:
		return "deleted";
	case DISPOSITION_NONE:
	case DISPOSITION_KEEP:
		break;
	}
	return "kept";
}

char *plan_count_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
		     const char *due)
{
	const struct walk w = {.ctx = ctx, .plan = plan, .catalog = catalog};
	char *sql = with_clause(&w, due);

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];
		const struct table *t = s->table;

		t_append(&sql,
			 "%sSELECT %s AS \"table\", '%s' AS what, count(*) AS rows,\n"
			 "       coalesce(sum(pg_column_size(t.*)), 0)::bigint AS bytes\n"
			 "  FROM %s AS t WHERE %s",
			 i ? "\nUNION ALL\n" : "", sql_literal(ctx, t->name),
			 what_of(s->disposition), sql_table(ctx, t->schema, t->table),
			 selection(&w, t, &s->from));
		if (s->disposition == DISPOSITION_UPDATE)
			t_append(&sql, " AND (%s)", plan_dirty_row(ctx, catalog, t, "t", true));
		for (size_t j = 0; j < i; j++)
			if (same_rows(&w, &plan->steps[j], s))
				t_append(&sql, " AND (%s) IS NOT TRUE",
					 selection(&w, plan->steps[j].table, &plan->steps[j].from));
	}
	return sql;
}

/* Another contact who points at this one is another person, of whom it gets no more than the link. */
static char *document_row(const struct walk *w, const struct table *t)
{
	const struct table *c = w->plan->model->contact;
	const struct relation *relations = w->catalog->relations;

	if (t == c || relations[t->index].oid != relations[c->index].oid)
		return t_strdup(w->ctx, "to_jsonb(t)");
	return t_printf(w->ctx, "jsonb_build_object(%s, %s, %s, %s)", sql_literal(w->ctx, c->key),
			plan_column(w->ctx, "t", c->key), sql_literal(w->ctx, t->by),
			plan_column(w->ctx, "t", t->by));
}

char *plan_document_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
			const char *due)
{
	const struct walk w = {.ctx = ctx, .plan = plan, .catalog = catalog};
	char *sql = t_printf(ctx, "%sSELECT jsonb_object_agg(d.name, d.rows) AS document FROM (",
			     with_clause(&w, due));

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		t_append(&sql,
			 "%s\nSELECT %s AS name, coalesce((SELECT jsonb_agg(%s) FROM %s AS t\n"
			 " WHERE %s), '[]') AS rows",
			 i ? " UNION ALL" : "", sql_literal(ctx, t->name), document_row(&w, t),
			 sql_table(ctx, t->schema, t->table),
			 selection(&w, t, &plan->steps[i].from));
	}
	t_append(&sql, ") AS d");
	return sql;
}

/* "c.name" is a column that the rules write. */
static char *written_columns(void *ctx, const struct table *t)
{
	char *sql = t_strdup(ctx, "c.name IN (NULL");

	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			t_append(&sql, ", %s", sql_literal(ctx, t->rules[i].column));
	t_append(&sql, ")");
	return sql;
}

char *plan_reach_sql(void *ctx, const struct plan *plan, const struct catalog *catalog,
		     const char *due, unsigned int oid, const char **ret_reached,
		     const char **ret_covered)
{
	const struct walk w = {.ctx = ctx, .plan = plan, .catalog = catalog};
	char *reached = t_strdup(ctx, "SELECT false AS none"), *covered = t_strdup(ctx, "x.none");

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		if (catalog->relations[s->table->index].oid != oid ||
		    (s->disposition != DISPOSITION_DELETE && s->disposition != DISPOSITION_UPDATE))
			continue;
		t_append(&reached, ",\n  (%s) AS r%zu", selection(&w, s->table, &s->from), i);
		t_append(&covered, "\n  OR x.r%zu AND %s", i,
			 s->disposition == DISPOSITION_DELETE ? "true"
							      : written_columns(ctx, s->table));
	}
	*ret_reached = reached;
	*ret_covered = covered;
	return with_clause(&w, due);
}

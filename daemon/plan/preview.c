#include "plan/preview.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/builder.h"

/* A builder for a plan that stands; *opts must live as long. */
static struct builder builder_of(void *ctx, const struct plan *plan, struct plan_opts *opts)
{
	*opts = (struct plan_opts){.action = plan->action, .archive = plan->archive};
	return (struct builder){.ctx = ctx,
				.model = plan->model,
				.catalog = plan->catalog,
				.opts = opts,
				.plan = plan};
}

static const struct collect *collected(const struct builder *b, size_t table)
{
	for (size_t i = 0; i < b->plan->n_collects; i++)
		if (b->plan->collects[i].table->index == table)
			return &b->plan->collects[i];
	return NULL;
}

/* The values that column of t has to be among, as a subquery of the column's type. */
static char *values_of(const struct builder *b, const struct table *t, const char *column,
		       const struct source *from)
{
	const struct table *source = &b->model->tables[from->table];
	const struct collect *c = collected(b, from->table);
	const bool own = source == b->plan->subject && (!c || from->slot == 0);
	const char *name = own ? source->key : c->slots[from->slot];
	const char *type = plan_type(b->catalog, t, column);
	const bool alike = strcmp(plan_type(b->catalog, source, name), type) == 0;
	const char *value = own ? "x.k" : t_printf(b->ctx, "x.c%zu", from->slot);

	return t_printf(b->ctx, "SELECT %s%s%s FROM %s AS x", value,
			alike ? "" : "::text::", alike ? "" : type,
			own ? "due" : t_printf(b->ctx, "s%zu", from->table));
}

/* The rows of t that a source reaches, as the batch's own selection finds them (plan/builder.c). */
static char *selection(const struct builder *b, const struct table *t, const struct source *from)
{
	const bool own = from->table == t->index;
	const char *column = own ? t->key : t->by;

	return t_printf(b->ctx, "%s IN (%s)%s", plan_column(b->ctx, "t", column),
			values_of(b, t, column, from), own ? "" : plan_beside_link(b->ctx, t));
}

struct walk_own {
	const struct builder *b;
	const struct table *t;
};

/* As others_own() of plan/collect.c, over the common table expressions. */
static char *walk_own(void *arg, const struct table *x, const char *u)
{
	const struct walk_own *o = arg;
	const struct builder *b = o->b;
	const struct collect *c = collected(b, x->index);
	const bool subject = x == b->plan->subject;
	const struct source own = {.table = x->index};
	const char *column = x->key && (subject || c) ? x->key : x->by;

	if (x == o->t)
		return t_printf(b->ctx, "%s IN (%s)%s", plan_column(b->ctx, u, x->by),
				values_of(b, x, x->by, &c->from), plan_within(b->ctx, x, u));
	if (!plan_goes_along(b, o->t, x) || (!subject && (!c || (!x->key && x->where))))
		return NULL;
	return t_printf(b->ctx, "%s IN (%s)", plan_column(b->ctx, u, column),
			values_of(b, x, column, x->key ? &own : &c->from));
}

/* Rows of an inner table, by its parent's or by the subjects' keys. */
static void append_collect(const struct builder *b, const struct collect *c, char **sql)
{
	struct walk_own own = {.b = b, .t = c->table};

	t_append(sql, ",\ns%zu AS MATERIALIZED (SELECT ", c->table->index);
	for (size_t i = 0; i < c->n_slots; i++)
		t_append(sql, "%s%s AS c%zu", i ? ", " : "",
			 c->slots[i] ? plan_column(b->ctx, "t", c->slots[i]) : "NULL", i);
	t_append(sql, "\n  FROM %s AS t WHERE %s", plan_table(b->ctx, c->table),
		 selection(b, c->table, &c->from));
	if (c->lock_sql)
		t_append(sql, "\n   AND %s", plan_unused(b, c->table, "t", walk_own, &own));
	t_append(sql, ")");
}

static char *with_clause(const struct builder *b, const char *due)
{
	char *sql = t_printf(b->ctx, "WITH due AS MATERIALIZED (%s)", due);

	for (size_t i = 0; i < b->plan->n_collects; i++)
		append_collect(b, &b->plan->collects[i], &sql);
	return t_printf(b->ctx, "%s\n", sql);
}

static bool same_rows(const struct builder *b, const struct step *earlier, const struct step *s)
{
	return plan_relation(b, earlier->table)->oid == plan_relation(b, s->table)->oid &&
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

static const char count_sql[] = "SELECT {name} AS \"table\", {what} AS what, count(*) AS rows,\n"
				"       coalesce(sum(pg_column_size(t.*)), 0)::bigint AS bytes\n"
				"  FROM {table} AS t WHERE {selection} AND ({dirty})";

char *plan_count_sql(void *ctx, const struct plan *plan, const char *due)
{
	struct plan_opts opts;
	const struct builder b = builder_of(ctx, plan, &opts);
	char *sql = with_clause(&b, due);

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];
		const struct table *t = s->table;

		t_append(&sql, "%s%s", i ? "\nUNION ALL\n" : "",
			 sql_fill(ctx, count_sql, {"name", sql_literal(ctx, t->name)},
				  {"what", sql_literal(ctx, what_of(s->disposition))},
				  {"table", plan_table(ctx, t)},
				  {"selection", selection(&b, t, &s->from)},
				  {"dirty", s->disposition == DISPOSITION_UPDATE
						    ? plan_dirty_row(&b, t, "t", true)
						    : "true"}));
		for (size_t j = 0; j < i; j++)
			if (same_rows(&b, &plan->steps[j], s))
				t_append(&sql, " AND (%s) IS NOT TRUE",
					 selection(&b, plan->steps[j].table, &plan->steps[j].from));
	}
	return sql;
}

/*
 * A contact that points at this one is another person: the document gets no more of it than the
 * link.
 */
static char *document_row(const struct builder *b, const struct table *t)
{
	const struct table *c = b->model->contact;

	if (t == c || plan_relation(b, t)->oid != plan_relation(b, c)->oid)
		return t_strdup(b->ctx, "to_jsonb(t)");
	return t_printf(b->ctx, "jsonb_build_object(%s, %s, %s, %s)", sql_literal(b->ctx, c->key),
			plan_column(b->ctx, "t", c->key), sql_literal(b->ctx, t->by),
			plan_column(b->ctx, "t", t->by));
}

static const char document_sql[] =
	"SELECT {name} AS name, coalesce((\n"
	"  SELECT jsonb_agg({row}) FROM {table} AS t WHERE {selection}), '[]') AS rows";

char *plan_document_sql(void *ctx, const struct plan *plan, const char *due)
{
	struct plan_opts opts;
	const struct builder b = builder_of(ctx, plan, &opts);
	char *tables = t_strdup(ctx, "");

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;

		t_append(&tables, "%s%s", i ? "\nUNION ALL\n" : "",
			 sql_fill(ctx, document_sql, {"name", sql_literal(ctx, t->name)},
				  {"row", document_row(&b, t)}, {"table", plan_table(ctx, t)},
				  {"selection", selection(&b, t, &plan->steps[i].from)}));
	}
	return t_printf(ctx, "%sSELECT jsonb_object_agg(d.name, d.rows) AS document FROM (%s) AS d",
			with_clause(&b, due), tables);
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

char *plan_reach_sql(void *ctx, const struct plan *plan, const char *due, unsigned int oid,
		     const char **ret_reached, const char **ret_covered)
{
	struct plan_opts opts;
	const struct builder b = builder_of(ctx, plan, &opts);
	char *reached = t_strdup(ctx, "SELECT false AS none"), *covered = t_strdup(ctx, "x.none");

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		if (plan_relation(&b, s->table)->oid != oid ||
		    (s->disposition != DISPOSITION_DELETE && s->disposition != DISPOSITION_UPDATE))
			continue;
		t_append(&reached, ",\n  (%s) AS r%zu", selection(&b, s->table, &s->from), i);
		t_append(&covered, "\n  OR x.r%zu AND %s", i,
			 s->disposition == DISPOSITION_DELETE ? "true"
							      : written_columns(ctx, s->table));
	}
	*ret_reached = reached;
	*ret_covered = covered;
	return with_clause(&b, due);
}

char *plan_personal_sql(void *ctx, const struct plan *plan, const struct table *t,
			const char *alias)
{
	struct plan_opts opts;
	const struct builder b = builder_of(ctx, plan, &opts);

	return plan_dirty_row(&b, t, alias, false);
}

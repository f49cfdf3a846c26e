#include "plan/preview.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/path.h"
#include "plan/build.h"

static const struct collect *collected(const struct plan *p, size_t table)
{
	for (size_t i = 0; i < p->n_collects; i++)
		if (p->collects[i].table->index == table)
			return &p->collects[i];
	return NULL;
}

/* The values that column of t has to be among, as a subquery of the column's type. */
static char *values_of(const struct plan *p, const struct table *t, const struct columns *columns,
		       const struct source *from)
{
	const struct table *source = &p->model->tables[from->table];
	const struct collect *c = collected(p, from->table);
	const bool own = source == p->subject && (!c || from->slot == 0);
	const struct columns *of = own ? source->key : p->slots[from->table][from->slot];
	const struct columns *names =
		plan_names(p, own ? "k" : t_printf(p, "c%zu", from->slot), of->n);
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < columns->n; i++) {
		const char *type = plan_type(p->catalog, t, columns->names[i]);
		const bool alike = strcmp(plan_type(p->catalog, source, of->names[i]), type) == 0;

		t_list(&list, ", ", "x.%s%s%s", names->names[i],
		       alike ? "" : "::text::", alike ? "" : type);
	}
	return t_printf(p, "SELECT %s FROM %s AS x", list,
			own ? "due" : t_printf(p, "s%zu", from->table));
}

/* The rows of t that a source reaches, as the batch's own selection finds them (plan/table.c). */
static char *selection(const struct plan *p, const struct table *t, const struct source *from)
{
	const bool own = from->table == t->index;
	const struct columns *columns = own ? t->key : t->by;

	return t_printf(p, "%s IN (%s)%s", plan_key(p, "t", columns),
			values_of(p, t, columns, from), own ? "" : plan_beside_link(p, t));
}

/* As others_own() of plan/collect.c, over the common table expressions. */
static char *walk_own(const struct plan *p, const struct table *t, const struct table *x,
		      const char *u, void *arg)
{
	const struct collect *c = collected(p, x->index);
	const bool subject = x == p->subject;
	const struct source own = {.table = x->index};
	const struct columns *columns = x->key && (subject || c) ? x->key : x->by;

	(void)arg;
	if (x == t)
		return t_printf(p, "%s IN (%s)%s", plan_key(p, u, x->by),
				values_of(p, x, x->by, &c->from), plan_within(p, x, u));
	if (!plan_goes_along(p, t, x) || (!subject && (!c || (!x->key && x->where))))
		return NULL;
	return t_printf(p, "%s IN (%s)", plan_key(p, u, columns),
			values_of(p, x, columns, x->key ? &own : &c->from));
}

/* The subjects, and the rows of the inner tables, each by its parent's or by the subjects' keys. */
static char *with_clause(const struct plan *p, const char *due)
{
	char *sql = t_printf(p, "WITH due AS MATERIALIZED (%s)", due);

	for (size_t i = 0; i < p->n_collects; i++) {
		const struct collect *c = &p->collects[i];
		const struct table *t = c->table;

		t_append(&sql, ",\ns%zu AS MATERIALIZED (SELECT ", t->index);
		for (size_t s = 0; s < p->n_slots[t->index]; s++) {
			const struct columns *columns = p->slots[t->index][s];
			const char *name = t_printf(p, "c%zu", s);

			t_append(&sql, "%s%s", s ? ", " : "",
				 columns ? plan_named(p, "t", columns, name)
					 : t_printf(p, "NULL AS %s", name));
		}
		t_append(&sql, "\n  FROM %s AS t WHERE %s", plan_table(p, t),
			 selection(p, t, &c->from));
		if (c->lock_sql)
			t_append(&sql, "\n   AND %s", plan_unused(p, t, "t", walk_own, NULL));
		t_append(&sql, ")");
	}
	return t_printf(p, "%s\n", sql);
}

static bool same_rows(const struct plan *p, const struct step *earlier, const struct step *s)
{
	return plan_oid(p, earlier->table) == plan_oid(p, s->table) &&
	       (earlier->disposition == DISPOSITION_DELETE ||
		(earlier->disposition == DISPOSITION_UPDATE &&
		 s->disposition == DISPOSITION_UPDATE));
}

static const char *const done_names[] = {
	[DISPOSITION_COPY] = "exported",
	[DISPOSITION_UPDATE] = "anonymized",
	[DISPOSITION_DETACH] = "detached",
	[DISPOSITION_DELETE] = "deleted",
};

static const char count_sql[] = "SELECT {name} AS \"table\", {what} AS what, count(*) AS rows,\n"
				"       coalesce(sum(pg_column_size(t.*)), 0)::bigint AS bytes\n"
				"  FROM {table} AS t WHERE {selection} AND ({dirty})";

static char *count_step(const struct plan *p, size_t i)
{
	const struct step *s = &p->steps[i];
	const struct table *t = s->table;
	const bool updates = s->disposition == DISPOSITION_UPDATE;
	char *sql = sql_fill(p, count_sql, {"name", sql_literal(p, t->name)},
			     {"what", sql_literal(p, plan_done_name(s))},
			     {"table", plan_table(p, t)}, {"selection", selection(p, t, &s->from)},
			     {"dirty", updates ? plan_dirty_row(p, t, "t", true) : "true"});

	for (size_t j = 0; j < i; j++)
		if (same_rows(p, &p->steps[j], s))
			t_append(&sql, " AND (%s) IS NOT TRUE",
				 selection(p, p->steps[j].table, &p->steps[j].from));
	return sql;
}

const char *plan_done_name(const struct step *s)
{
	return s->disposition == DISPOSITION_DETACH && s->table->on_detach.n > 0
		       ? "detached, cleared"
		       : done_names[s->disposition];
}

char *plan_count_step_sql(const struct plan *p, const char *due, size_t step)
{
	return t_printf(p, "%s%s", with_clause(p, due), count_step(p, step));
}

char *plan_count_sql(const struct plan *p, const char *due)
{
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < p->n_steps; i++)
		t_list(&sql, "\nUNION ALL\n", "%s", count_step(p, i));
	return t_printf(p, "%s%s", with_clause(p, due), sql);
}

/* Does an entry of the model for t's table leave the column out of copies for the person? */
static bool is_left_out(const struct plan *p, const struct table *t, const char *column)
{
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *x = &p->model->tables[i];

		for (size_t j = 0; plan_oid(p, x) == plan_oid(p, t) && j < x->n_export_without; j++)
			if (strcmp(x->export_without[j], column) == 0)
				return true;
	}
	return false;
}

/*
 * Returns the row as jsonb, without the columns of export_without.  That uses the casts to json that the types have: of one
 * that would run somebody's function with the rights of this session, the text is taken instead.
 */
static char *row_as_json(const struct plan *p, const struct table *t)
{
	const struct relation *r = plan_relation(p, t);
	char *cells = t_strdup(p, "");
	bool whole = true;

	for (size_t i = 0; i < r->n_columns; i++) {
		const struct column *column = &r->columns[i];
		const char *at = plan_column(p, "t", column->name);

		if (path_is(column->name))
			continue;
		if (is_left_out(p, t, column->name)) {
			whole = false;
			continue;
		}
		whole = whole && !column->foreign_cast;
		t_list(&cells, ", ", "(%s, to_jsonb(%s))", sql_literal(p, column->name),
		       column->foreign_cast ? plan_text(p, column, at) : at);
	}
	if (whole)
		return t_strdup(p, "to_jsonb(t.*)"); /* t alone can be a column */
	return *cells ? t_printf(p,
				 "(SELECT jsonb_object_agg(v.name, v.value)\n"
				 "    FROM (VALUES %s) AS v(name, value))",
				 cells)
		      : t_strdup(p, "jsonb '{}'");
}

static void add_member(char **list, const char *column)
{
	t_list(list, ", ", "%s, %s", sql_literal(*list, column), plan_column(*list, "t", column));
}

/*
 * Returns the entry that says whose the rows of t are, if t is not that entry: a contact that points at this one is another
 * person, and a ticket that is detached from its assignee goes with its customer.  So does what hangs off such a row.
 */
static const struct table *owned_by(const struct plan *p, const struct table *t)
{
	const struct table *c = p->model->contact;

	if (t == c)
		return NULL;
	if (plan_oid(p, t) == plan_oid(p, c))
		return c;
	for (size_t i = 0; t->on_delete != ON_DELETE_DELETE && i < p->model->n_tables; i++) {
		const struct table *x = &p->model->tables[i];

		if (x != t && x->on_delete == ON_DELETE_DELETE && plan_oid(p, x) == plan_oid(p, t))
			return x;
	}
	return t->of && owned_by(p, t->of) ? t : NULL;
}

/* The document gets no more of other people's rows than the key and the link. */
static char *document_row(const struct plan *p, const struct table *t)
{
	const struct table *owner = owned_by(p, t);
	const struct columns *key = owner && owner->key ? owner->key : t->key;
	char *list = t_strdup(p, "");

	if (!owner)
		return row_as_json(p, t);
	for (size_t i = 0; key && i < key->n; i++)
		add_member(&list, key->names[i]);
	for (size_t i = 0; i < t->by->n; i++)
		if (!key || !columns_have(key, t->by->names[i]))
			add_member(&list, t->by->names[i]);
	return t_printf(p, "jsonb_build_object(%s)", list);
}

static const char document_sql[] =
	"SELECT {name} AS name, coalesce((\n"
	"  SELECT jsonb_agg({row}) FROM {table} AS t WHERE {selection}), '[]') AS rows";

char *plan_document_sql(const struct plan *p, const char *due)
{
	char *tables = t_strdup(p, "");

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct table *t = p->steps[i].table;

		t_list(&tables, "\nUNION ALL\n", "%s",
		       sql_fill(p, document_sql, {"name", sql_literal(p, t->name)},
				{"row", document_row(p, t)}, {"table", plan_table(p, t)},
				{"selection", selection(p, t, &p->steps[i].from)}));
	}
	return t_printf(p, "%sSELECT jsonb_object_agg(d.name, d.rows) AS document FROM (%s) AS d",
			with_clause(p, due), tables);
}

/* "c.name" is a column that the step empties or writes: by a rule, or as the link of a row that is detached. */
static const char *erased_columns(const struct plan *p, const struct step *s)
{
	const struct table *t = s->table;
	const struct column_rules rules = plan_rules(p, t);
	char *sql = t_strdup(p, "c.name IN (NULL");

	if (s->disposition == DISPOSITION_DELETE)
		return "true";
	for (size_t i = 0; s->disposition == DISPOSITION_DETACH && i < t->by->n; i++)
		if (catalog_is_detached(t, plan_relation(p, t), t->by->names[i]))
			t_append(&sql, ", %s", sql_literal(p, t->by->names[i]));
	for (size_t i = 0; i < rules.n; i++)
		if (rules.list[i].kind != RULE_KEEP)
			t_append(&sql, ", %s", sql_literal(p, rules.list[i].column));
	t_append(&sql, ")");
	return sql;
}

static bool erases(const struct step *s)
{
	return s->disposition == DISPOSITION_DELETE || s->disposition == DISPOSITION_UPDATE ||
	       s->disposition == DISPOSITION_DETACH;
}

char *plan_reach_sql(const struct plan *p, const char *due, unsigned int oid,
		     const char **ret_reached, const char **ret_covered)
{
	char *reached = t_strdup(p, "SELECT false AS none"), *covered = t_strdup(p, "x.none");

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		if (plan_oid(p, s->table) != oid || !erases(s))
			continue;
		t_append(&reached, ",\n  (%s) AS r%zu", selection(p, s->table, &s->from), i);
		t_append(&covered, "\n  OR x.r%zu AND %s", i, erased_columns(p, s));
	}
	*ret_reached = reached;
	*ret_covered = covered;
	return with_clause(p, due);
}

char *plan_covered_sql(const struct plan *p, unsigned int oid)
{
	char *covered = t_strdup(p, "false");

	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		if (plan_oid(p, s->table) == oid && erases(s))
			t_append(&covered, "\n  OR (%s) AND %s", selection(p, s->table, &s->from),
				 erased_columns(p, s));
	}
	return covered;
}

#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

const struct arrays plan_parameters = {"$1", "$2"};
const struct arrays plan_marks = {(const char[]){PLAN_KEYS, '\0'}, (const char[]){PLAN_OWN, '\0'}};

const struct relation *plan_relation(const struct plan *p, const struct table *t)
{
	return &p->catalog->relations[t->index];
}

enum disposition plan_disposition(const struct plan *p, const struct table *t)
{
	return disposition_of(t, p->opts.action, p->opts.archive);
}

unsigned int plan_oid(const struct plan *p, const struct table *t)
{
	return plan_relation(p, t)->oid;
}

bool plan_has_step(const struct plan *p, const struct table *t)
{
	return plan_disposition(p, t) >= DISPOSITION_COPY;
}

bool plan_is_deleted(const struct plan *p, const struct table *t)
{
	return plan_disposition(p, t) == DISPOSITION_DELETE;
}

bool plan_is_inner(const struct plan *p, const struct table *t)
{
	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *child = &p->model->tables[i];

		if (child != t && model_is_under(child, t) && plan_has_step(p, child))
			return true;
	}
	return false;
}

bool plan_is_asked(const struct plan *p, const struct table *t)
{
	return p->opts.by_set && catalog_next_key(p->catalog, NULL, 0, plan_oid(p, t)) &&
	       plan_is_deleted(p, t);
}

bool plan_has_key_to_parent(const struct plan *p, const struct table *t)
{
	for (const struct foreign_key *k = NULL; (k = catalog_next_key(p->catalog, k, 0, 0));)
		if (k->n_columns == 1 && catalog_link_covers(p->catalog, t, k))
			return true;
	return false;
}

/* Do rows of x's table use a shared table's?  Then x's own keys have to be known. */
static bool is_user(const struct plan *p, const struct table *x)
{
	const unsigned int oid = plan_oid(p, x);

	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *t = &p->model->tables[i];

		if (t->shared && (plan_oid(p, t->of) == oid ||
				  catalog_next_key(p->catalog, NULL, oid, plan_oid(p, t))))
			return true;
	}
	return false;
}

bool plan_is_numbered(const struct plan *p, const struct table *t)
{
	for (size_t i = 0; plan_disposition(p, t) == DISPOSITION_UPDATE && i < t->n_rules; i++)
		if (t->rules[i].kind == RULE_SET && strstr(t->rules[i].value, "{number}"))
			return true;
	return false;
}

/*
 * Requests that no foreign key keeps out: a contact that has more of them than were locked is not
 * due now.
 */
static bool may_come_back(const struct plan *p, const struct table *t)
{
	return t == p->model->request && t != p->subject && !plan_has_key_to_parent(p, t) &&
	       plan_is_deleted(p, t);
}

bool plan_is_collected(const struct plan *p, const struct table *t)
{
	const bool changes = p->opts.action != ACTION_EXPORT && plan_has_step(p, t);

	return plan_is_inner(p, t) || plan_is_asked(p, t) ||
	       (changes && (t->shared || t->file.column || may_come_back(p, t) ||
			    (t->key && is_user(p, t)) || plan_is_numbered(p, t)));
}

bool plan_is_own(const struct plan *p, const struct table *t)
{
	return t == p->subject || (t->key && plan_is_collected(p, t));
}

char *plan_column(const void *ctx, const char *alias, const char *column)
{
	return t_printf(ctx, "%s.%s", alias, sql_ident(ctx, column));
}

char *plan_columns(const void *ctx, const char *alias, const char *const *columns, size_t n)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_list(&list, ", ", "%s", plan_column(ctx, alias, columns[i]));
	return list;
}

char *plan_text(const void *ctx, const struct column *column, const char *value)
{
	return t_printf(ctx,
			column->foreign_cast ? "CASE WHEN num_nulls(%s) = 0 THEN concat(%s) END"
					     : "(%s)::text",
			value, value);
}

char *plan_texts(const void *ctx, const struct column *column, const char *value, const char *name)
{
	if (column->category != 'A')
		return t_printf(ctx, "SELECT %s%s", name, plan_text(ctx, column, value));
	return t_printf(ctx,
			column->foreign_cast
				? "SELECT %sconcat(element) FROM unnest(%s) AS element"
				: "SELECT %selement FROM unnest(%s::text[]) AS element",
			name, value);
}

const char *plan_type(const struct catalog *catalog, const struct table *t, const char *column)
{
	return catalog_column(&catalog->relations[t->index], column)->compared;
}

char *plan_table(const void *ctx, const struct table *t)
{
	return sql_table(ctx, t->schema, t->table);
}

char *plan_filtered(const void *ctx, const struct table *t, const char *a, const char *b)
{
	char *sql = t_printf(ctx, "(SELECT * FROM %s", plan_table(ctx, t));

	if (a)
		t_append(&sql, " WHERE (%s\n)", a);
	if (b)
		t_append(&sql, " %s (%s\n)", a ? "AND" : "WHERE", b);
	t_append(&sql, ")");
	return sql;
}

const char *plan_and(const void *ctx, const char *predicate)
{
	return predicate ? t_printf(ctx, " AND (%s\n)", predicate) : "";
}

const char *plan_within(const void *ctx, const struct table *t, const char *alias)
{
	return t->where ? t_printf(ctx, " AND %s IN (SELECT %s FROM %s AS w)",
				   plan_column(ctx, alias, t->key), plan_column(ctx, "w", t->key),
				   plan_filtered(ctx, t, t->where, NULL))
			: "";
}

char *plan_beside_link(const void *ctx, const struct table *t)
{
	return t_printf(
		ctx, "%s%s",
		t->match ? t_printf(ctx, " AND %s::text <> ''", plan_column(ctx, "t", t->by)) : "",
		plan_and(ctx, t->where));
}

char *plan_link(const struct plan *p, const struct table *t, const char *alias,
		const char *parent_alias)
{
	const struct column *by = catalog_column(&p->catalog->relations[t->index], t->by);
	const struct column *parent =
		catalog_column(&p->catalog->relations[t->of->index], model_parent_column(t));
	const bool alike = by->category == parent->category;

	return t_printf(p, "%s = %s%s%s", plan_column(p, alias, t->by),
			plan_column(p, parent_alias, parent->name),
			alike ? "" : "::", alike ? "" : by->type);
}

char *plan_key_name(const void *ctx, const struct foreign_key *k)
{
	return sql_literal(ctx, t_printf(ctx, "%s (%s)", k->from_name, k->name));
}

char *plan_key_match(const void *ctx, const struct foreign_key *k, const char *from_alias,
		     const char *to_alias)
{
	char *sql = t_strdup(ctx, "");

	for (size_t i = 0; i < k->n_columns; i++)
		t_list(&sql, " AND ", "%s = %s", plan_column(ctx, from_alias, k->from_columns[i]),
		       plan_column(ctx, to_alias, k->to_columns[i]));
	return sql;
}

char *plan_array(const struct plan *p, const struct table *t, const char *column, const char *keys)
{
	return t_printf(p, "%s::%s[]", keys, plan_type(p->catalog, t, column));
}

char *plan_slot_columns(const struct plan *p, const struct table *t)
{
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < p->n_slots[t->index]; i++) {
		const char *column = p->slots[t->index][i];
		const bool padded =
			column &&
			strcmp(catalog_column(plan_relation(p, t), column)->base, "bpchar") == 0;

		t_list(&list, ", ", "%s%s AS c%zu",
		       column ? plan_column(p, "t", column) : "NULL::text", padded ? "::text" : "",
		       i);
	}
	return list;
}

/*
 * The array of a slot, whose rows are in x.  Keys come back as text.  The values of other columns can be personal, and
 * a parameter stands in the server's log where the statement is slow: they stay in a setting of the transaction, and
 * the setting's name comes back.
 */
char *plan_slot_array(const struct plan *p, const struct table *t, size_t slot,
		      const char *condition)
{
	char *array = t_printf(
		p, "coalesce(array_agg(x.c%zu) FILTER (WHERE x.c%zu IS NOT NULL), '{}')::text",
		slot, slot);
	const char *name = t_printf(p, "retention.slot_%zu_%zu", t->index, slot);

	if (condition)
		array = t_printf(p, "CASE WHEN %s\n     THEN %s\n     ELSE '{}' END", condition,
				 array);
	return slot == 0 ? array
			 : t_printf(p,
				    "CASE WHEN set_config('%s', %s, true) IS NOT NULL\n"
				    "     THEN '%s' END",
				    name, array, name);
}

char *plan_kept_array(const struct plan *p, const struct table *t, const char *column,
		      const char *keys, size_t slot)
{
	const char *type = plan_type(p->catalog, t, column);

	/* The cast on the outside keeps ANY from taking the query for its rows.  The query runs once. */
	return slot == 0
		       ? plan_array(p, t, column, keys)
		       : t_printf(p, "(SELECT current_setting(%s)::%s[])::%s[]", keys, type, type);
}

size_t plan_slot_of(const struct plan *p, const struct table *t, const char *column)
{
	const char *const *slots = p->slots[t->index];
	size_t i = 0;

	while (i < p->n_slots[t->index] && (!slots[i] || strcmp(slots[i], column) != 0))
		i++;
	return i;
}

struct source plan_source(const struct plan *p, const struct table *t, bool own)
{
	if (own)
		return (struct source){.table = t->index};
	return (struct source){.table = t->of->index,
			       .slot = plan_slot_of(p, t->of, model_parent_column(t))};
}

char *plan_selection(const struct plan *p, const struct table *t, const char *keys, bool own)
{
	const char *column = own ? t->key : t->by;

	return t_printf(p, "%s = ANY (%s)%s", plan_column(p, "t", column),
			plan_kept_array(p, t, column, keys, plan_source(p, t, own).slot),
			own ? "" : plan_beside_link(p, t));
}

char *plan_fires(const struct plan *p, const char *returning, const char *fmt, ...)
{
	AUTO(char_p) char *sql = NULL;
	va_list args;

	va_start(args, fmt);
	sql = xvprintf(fmt, args);
	va_end(args);
	if (p->catalog->runs_code)
		return t_printf(p,
				"WITH fired AS (\n%s RETURNING %s)\n"
				"SELECT %s FROM fired WHERE " SQL_UNDER_PATH,
				sql, returning ? returning : "1",
				returning ? "*" : "count(*) AS n");
	return returning ? t_printf(p, "%s RETURNING %s", sql, returning) : t_strdup(p, sql);
}

char *plan_copy(const struct plan *p, const char *query)
{
	return t_printf(p, "COPY (%s) TO STDOUT (FORMAT csv, DELIMITER %s)", query,
			sql_literal(p, t_printf(p, "%c", p->opts.delimiter)));
}

struct step *plan_step_of(const struct plan *p, const struct table *t)
{
	for (size_t i = 0; i < p->n_steps; i++)
		if (p->steps[i].table == t)
			return &p->steps[i];
	return NULL;
}

size_t plan_phase(const struct table *t)
{
	size_t n = 0;

	for (; t; t = t->of)
		n += t->shared ? 1 : 0;
	return n;
}

struct plan *plan_new(void *ctx, const struct model *model, const struct catalog *catalog,
		      const struct plan_opts *opts)
{
	struct plan *p = t_zero(ctx, struct plan);

	p->opts = *opts;
	p->model = model;
	p->catalog = catalog;
	p->subject = model_subject(model, opts->action);
	return p;
}

#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

const struct arrays plan_parameters = {"$1", "$2"};
const struct arrays plan_marks = {(const char[]){PLAN_KEYS, '\0'}, (const char[]){PLAN_OWN, '\0'}};

enum disposition plan_disposition(const struct plan *p, const struct table *t)
{
	return disposition_of(t, p->opts.action, p->opts.archive);
}

struct column_rules plan_rules(const struct plan *p, const struct table *t)
{
	return disposition_rules(t, plan_disposition(p, t));
}

bool plan_is_cleared(const struct plan *p, const struct table *t)
{
	return plan_disposition(p, t) == DISPOSITION_DETACH && t->on_detach.n > 0;
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
		if (t->by && k->n_columns == t->by->n && catalog_link_covers(p->catalog, t, k))
			return true;
	return false;
}

/* Do rows of x's table use a shared table's?  Then x's own keys have to be known. */
static bool is_user(const struct plan *p, const struct table *x)
{
	const unsigned int oid = plan_oid(p, x);

	for (size_t i = 0; i < p->model->n_tables; i++) {
		const struct table *t = &p->model->tables[i];
		const bool points = t->shared && t != p->model->request &&
				    catalog_next_key(p->catalog, NULL, oid, plan_oid(p, t));

		if (points || (t->shared && plan_oid(p, t->of) == oid))
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
			    (t->key && is_user(p, t)) || plan_is_numbered(p, t) ||
			    (plan_is_cleared(p, t) && plan_relation(p, t)->update_triggers)));
}

bool plan_is_own(const struct plan *p, const struct table *t)
{
	return t == p->subject || (t->key && plan_is_collected(p, t));
}

/* The columns' values, cast to their types, of a row's literal whose fields are in the array fields. */
static char *typed_fields(const void *ctx, const struct catalog *catalog, const struct table *t,
			  const struct columns *columns, const char *fields)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < columns->n; i++)
		t_list(&list, ", ", "(%s)[%zu]::%s", fields, i + 1,
		       plan_type(catalog, t, columns->names[i]));
	return list;
}

char *plan_is_key(const void *ctx, const struct catalog *catalog, const struct table *t,
		  const char *alias, const char *text)
{
	const char *fields = t_printf(ctx, "retention.key_fields(%s)", text);

	if (t->key->n == 1)
		return t_printf(ctx, "%s = %s::%s", plan_key(ctx, alias, t->key), text,
				plan_key_type(catalog, t, t->key));
	return t_printf(ctx, "%s = ROW(%s)", plan_key(ctx, alias, t->key),
			typed_fields(ctx, catalog, t, t->key, fields));
}

char *plan_chosen_query(const void *ctx, const struct catalog *catalog, const struct table *t,
			const char *text, const char *from)
{
	const struct columns *names = plan_names(ctx, "k", t->key->n);
	char *list = t_strdup(ctx, "");

	if (t->key->n == 1)
		return t_printf(ctx, "SELECT %s::%s AS k%s", text,
				plan_key_type(catalog, t, t->key), from);
	for (size_t i = 0; i < t->key->n; i++)
		t_list(&list, ", ", "(retention.key_fields(%s))[%zu]::%s AS %s", text, i + 1,
		       plan_type(catalog, t, t->key->names[i]), names->names[i]);
	return t_printf(ctx, "SELECT %s%s", list, from);
}

char *plan_contact_query(const void *ctx, const struct catalog *catalog,
			 const struct table *contact, const char *text)
{
	return t_printf(ctx, "SELECT %s FROM %s AS c WHERE %s",
			plan_named(ctx, "c", contact->key, "k"),
			plan_filtered(ctx, contact, contact->where, NULL),
			plan_is_key(ctx, catalog, contact, "c", text));
}

/* OFFSET 0 keeps the planner from taking each literal apart once for each column. */
static const char fields_sql[] = "SELECT {fields} FROM (SELECT retention.key_fields(u.key) AS f\n"
				 "         FROM unnest({array}) AS u(key) OFFSET 0) AS k";

char *plan_among(const struct plan *p, const struct table *t, const char *alias,
		 const struct columns *columns, const char *array)
{
	return plan_is_among(p, t, columns, plan_key(p, alias, columns), array);
}

char *plan_is_among(const struct plan *p, const struct table *t, const struct columns *columns,
		    const char *value, const char *array)
{
	if (columns->n == 1)
		return t_printf(p, "%s = ANY (%s)", value, array);
	return t_printf(p, "%s IN (%s)", value, plan_unnested(p, t, columns, array));
}

char *plan_unnested(const struct plan *p, const struct table *t, const struct columns *columns,
		    const char *array)
{
	if (columns->n == 1)
		return t_printf(p, "SELECT unnest(%s)", array);
	return sql_fill(p, fields_sql, {"fields", typed_fields(p, p->catalog, t, columns, "k.f")},
			{"array", array});
}

char *plan_numbered_keys(const struct plan *p, const struct table *t, const char *keys,
			 const char *numbers, const char **ret_is_row)
{
	const char *array = plan_array(p, t, t->key, keys);

	*ret_is_row = t->key->n == 1 ? t_printf(p, "%s = b.key", plan_key(p, "t", t->key))
				     : t_printf(p, "%s = ROW(%s)", plan_key(p, "t", t->key),
						typed_fields(p, p->catalog, t, t->key, "b.key"));
	if (t->key->n == 1)
		return t_printf(p, "unnest(%s, %s::bigint[]) AS b(key, fresh_number)", array,
				numbers);
	return t_printf(
		p,
		"(SELECT retention.key_fields(u.key) AS key, u.fresh_number\n"
		"            FROM unnest(%s, %s::bigint[]) AS u(key, fresh_number) OFFSET 0) AS b",
		array, numbers);
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
				   plan_key(ctx, alias, t->key),
				   plan_columns(ctx, "w", t->key->names, t->key->n),
				   plan_filtered(ctx, t, t->where, NULL))
			: "";
}

char *plan_beside_link(const void *ctx, const struct table *t)
{
	return t_printf(ctx, "%s%s",
			t->match ? t_printf(ctx, " AND %s <> ''", plan_key_text(ctx, "t", t->by))
				 : "",
			plan_and(ctx, t->where));
}

char *plan_link(const struct plan *p, const struct table *t, const char *alias,
		const char *parent_alias)
{
	const struct columns *from = model_parent_columns(t);
	char *sql = t_strdup(p, "");

	for (size_t i = 0; i < t->by->n; i++) {
		const struct column *by = catalog_column(plan_relation(p, t), t->by->names[i]);
		const struct column *parent =
			catalog_column(plan_relation(p, t->of), from->names[i]);
		const bool alike = by->category == parent->category;

		t_list(&sql, " AND ", "%s = %s%s%s", plan_column(p, alias, by->name),
		       plan_column(p, parent_alias, parent->name),
		       alike ? "" : "::", alike ? "" : by->type);
	}
	t_append(&sql, "%s", plan_shard_link(p, t, alias, parent_alias));
	return sql;
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

char *plan_array(const struct plan *p, const struct table *t, const struct columns *columns,
		 const char *keys)
{
	return t_printf(p, "%s::%s[]", keys, plan_key_type(p->catalog, t, columns));
}

/* The value of the columns in t's row, as it is collected; NULL where one of them is. */
static char *slot_value(const struct plan *p, const struct table *t, const struct columns *columns)
{
	const struct column *first = catalog_column(plan_relation(p, t), columns->names[0]);

	if (columns->n > 1)
		return t_printf(p, "CASE WHEN %s IS NOT NULL THEN %s END",
				plan_key(p, "t", columns), plan_key_text(p, "t", columns));
	return t_printf(p, "%s%s", plan_key(p, "t", columns),
			strcmp(first->base, "bpchar") == 0 ? "::text" : "");
}

char *plan_slot_columns(const struct plan *p, const struct table *t)
{
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < p->n_slots[t->index]; i++) {
		const struct columns *columns = p->slots[t->index][i];

		t_list(&list, ", ", "%s AS c%zu",
		       columns ? slot_value(p, t, columns) : "NULL::text", i);
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

char *plan_kept_array(const struct plan *p, const struct table *t, const struct columns *columns,
		      const char *keys, size_t slot)
{
	const char *type = plan_key_type(p->catalog, t, columns);

	/* The cast on the outside keeps ANY from taking the query for its rows.  The query runs once. */
	return slot == 0
		       ? plan_array(p, t, columns, keys)
		       : t_printf(p, "(SELECT current_setting(%s)::%s[])::%s[]", keys, type, type);
}

size_t plan_slot_of(const struct plan *p, const struct table *t, const struct columns *columns)
{
	const struct columns **slots = p->slots[t->index];
	size_t i = 0;

	while (i < p->n_slots[t->index] && !columns_equal(slots[i], columns))
		i++;
	return i;
}

struct source plan_source(const struct plan *p, const struct table *t, bool own)
{
	if (own)
		return (struct source){.table = t->index};
	return (struct source){.table = t->of->index,
			       .slot = plan_slot_of(p, t->of, model_parent_columns(t))};
}

char *plan_selection(const struct plan *p, const struct table *t, const char *keys, bool own)
{
	const struct columns *columns = own ? t->key : t->by;
	const char *array = plan_kept_array(p, t, columns, keys, plan_source(p, t, own).slot);

	return t_printf(p, "%s%s%s", plan_among(p, t, "t", columns, array),
			own ? "" : plan_beside_link(p, t), plan_in_shards(p, t, "t"));
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

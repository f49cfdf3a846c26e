/*
 * One table's statement in a batch: copied, changed by rules, detached or deleted, with what it leaves in
 * an archive.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "plan/due.h"
#include "plan/by_set.h"
#include "plan/rule.h"
#include "plan/shared.h"
#include "base/sql.h"

/* The arrays of a statement: its rows' parents' keys or their own, and where both count, the latter. */
struct arrays {
	const char *keys;
	const char *own;
};

static const char keys_mark[] = {PLAN_KEYS, '\0'}, own_mark[] = {PLAN_OWN, '\0'};

const struct relation *plan_relation(const struct builder *b, const struct table *t)
{
	return &b->catalog->relations[t->index];
}

char *plan_array(const struct builder *b, const struct table *t, const char *column,
		 const char *keys)
{
	return t_printf(b->ctx, "%s::%s[]", keys, plan_type(b->catalog, t, column));
}

char *plan_slot(const struct builder *b, const struct table *t, const char *column)
{
	if (!column)
		return t_strdup(b->ctx, "NULL::text");
	return t_printf(b->ctx, "%s%s", plan_column(b->ctx, "t", column),
			strcmp(catalog_column(plan_relation(b, t), column)->base, "bpchar") == 0
				? "::text"
				: "");
}

/* The array that t's rows are found by: its parent's, unless t's own keys were collected. */
struct source plan_source(const struct builder *b, const struct table *t, bool own)
{
	struct source source = {.table = t->index};

	if (own)
		return source;
	source.table = t->of->index;
	while (strcmp(b->slots[source.table][source.slot] ? b->slots[source.table][source.slot]
							  : "",
		      model_parent_column(t)) != 0)
		source.slot++;
	return source;
}

bool plan_has_step(const struct builder *b, const struct table *t)
{
	return disposition_has_step(t, b->opts->action, b->opts->archive);
}

static bool uses_number(const struct table *t)
{
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind == RULE_SET && model_value_uses(t->rules[i].value, "{number}"))
			return true;
	return false;
}

bool plan_is_asked(const struct builder *b, const struct table *t)
{
	return b->opts->by_set && plan_is_referenced(b->catalog, t) && plan_has_step(b, t) &&
	       disposition_of(t, b->opts->action, b->opts->archive) == DISPOSITION_DELETE;
}

/* Is t's link a foreign key?  Of one with more columns, one may be NULL. */
static bool has_key_to_parent(const struct builder *b, const struct table *t)
{
	for (size_t i = 0; i < b->catalog->n_keys; i++)
		if (b->catalog->keys[i].n_columns == 1 &&
		    catalog_link_covers(b->catalog, t, &b->catalog->keys[i]))
			return true;
	return false;
}

/* Requests that no foreign key keeps out: who has one more than were locked is another by now. */
static bool may_come_back(const struct builder *b, const struct table *t)
{
	return t == b->model->request && t != b->plan->subject && !has_key_to_parent(b, t) &&
	       disposition_of(t, b->opts->action, b->opts->archive) == DISPOSITION_DELETE;
}

bool plan_is_collected(const struct builder *b, const struct table *t)
{
	const bool changes = b->opts->action != ACTION_EXPORT && plan_has_step(b, t);

	return disposition_is_inner(b->model, t, b->opts->action, b->opts->archive) ||
	       plan_is_asked(b, t) || (changes && may_come_back(b, t)) || (changes && t->shared) ||
	       (changes && t->file.column) ||
	       (changes && t->key && plan_is_user(b->model, b->catalog, t)) ||
	       (changes && uses_number(t) &&
		disposition_of(t, b->opts->action, b->opts->archive) == DISPOSITION_UPDATE);
}

bool plan_is_own(const struct builder *b, const struct table *t)
{
	return t == b->plan->subject || (t->key && plan_is_collected(b, t));
}

/* t.key = ANY (own keys), or t.by = ANY (parent's) AND (where). */
char *plan_selection(const struct builder *b, const struct table *t, const char *keys, bool own)
{
	if (own)
		return t_printf(b->ctx, "%s = ANY (%s)", plan_column(b->ctx, "t", t->key),
				plan_array(b, t, t->key, keys));
	return t_printf(
		b->ctx, "%s = ANY (%s)%s%s%s%s%s", plan_column(b->ctx, "t", t->by),
		plan_array(b, t, t->by, keys), t->match ? " AND " : "",
		t->match ? t_printf(b->ctx, "%s::text <> ''", plan_column(b->ctx, "t", t->by)) : "",
		t->where ? " AND (" : "", t->where ? t->where : "", t->where ? "\n)" : "");
}

const char *plan_header(void *ctx, const char *const *columns, size_t n, char delimiter)
{
	char *line = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++) {
		const char *name = columns[i];
		const bool quote = strchr(name, delimiter) || strpbrk(name, "\"\r\n");

		if (i > 0)
			t_append(&line, "%c", delimiter);
		t_append(&line, "%s", quote ? sql_ident(ctx, name) : name);
	}
	t_append(&line, "\n");
	return line;
}

static const char **archive_reader_columns(const struct builder *b, const struct table *t,
					   size_t *ret_n)
{
	const struct relation *r = plan_relation(b, t);
	const char **columns = t_array(b->ctx, const char *, r->n_columns);

	*ret_n = 0;
	for (size_t i = 0; i < r->n_columns; i++)
		if (!r->columns[i].generated) /* derived from the others: restore makes it again */
			columns[(*ret_n)++] = r->columns[i].name;
	return columns;
}

static char *column_list(const struct builder *b, const char *alias, const char *const *columns,
			 size_t n)
{
	char *list = t_strdup(b->ctx, "");

	for (size_t i = 0; i < n; i++)
		t_append(&list, "%s%s", i ? ", " : "", plan_column(b->ctx, alias, columns[i]));
	return list;
}

/*
 * UPDATE by rules; returns how many rows it changed, and how many a trigger made dirty again.  By then the
 * contact's own row is known by what the rules have written, which its texts may well hold.
 */
static char *update_statement(const struct builder *b, const struct table *t, bool own)
{
	char *list = t_strdup(b->ctx, "");
	const bool numbered = uses_number(t);

	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			t_append(&list, "%s%s = %s", *list ? ",\n       " : "",
				 sql_ident(b->ctx, t->rules[i].column),
				 plan_rule_value(b->ctx, b->catalog, t, &t->rules[i], "t",
						 "b.fresh_number"));
	return t_printf(
		b->ctx,
		"WITH changed AS (\n"
		"  UPDATE %s AS t\n"
		"     SET %s\n"
		"%s"
		"   WHERE %s AND (%s)\n"
		"  RETURNING (%s) AS dirty)\n"
		"SELECT count(*) AS rows, count(*) FILTER (WHERE changed.dirty) AS dirty FROM "
		"changed",
		sql_table(b->ctx, t->schema, t->table), list,
		numbered
			? t_printf(
				  b->ctx,
				  "    FROM unnest(%s, $2::bigint[]) AS b(row_key, fresh_number)\n",
				  plan_array(b, t, t->key, "$1"))
			: "",
		numbered ? t_printf(b->ctx, "%s = b.row_key", plan_column(b->ctx, "t", t->key))
			 : plan_selection(b, t, "$1", own),
		plan_dirty_row(b->ctx, b->catalog, t, "t", true),
		plan_dirty_row(b->ctx, b->catalog, t, "t", t->of));
}

static char *detach_statement(const struct builder *b, const struct table *t, bool archived,
			      bool own, const char *keys)
{
	const char *table = sql_table(b->ctx, t->schema, t->table);
	const char *by = sql_ident(b->ctx, t->by);

	if (!archived)
		return t_printf(b->ctx, "UPDATE %s AS t SET %s = NULL WHERE %s", table, by,
				plan_selection(b, t, keys, own));
	/* What the link was has to be read before it goes: RETURNING has only the new row. */
	return t_printf(
		b->ctx,
		"WITH old AS (SELECT t.%s AS row_key, t.%s AS link FROM %s AS t WHERE %s FOR "
		"UPDATE)\n"
		"UPDATE %s AS t SET %s = NULL FROM old WHERE t.%s = old.row_key\n"
		"RETURNING old.row_key, old.link",
		sql_ident(b->ctx, t->key), by, table, plan_selection(b, t, keys, own), table, by,
		sql_ident(b->ctx, t->key));
}

/* As a filter over a hash, which = ANY is only where the array is a constant. */
static char *among_own(const struct builder *b, const struct table *t, const char *keys)
{
	return t_printf(b->ctx, " AND (%s IN (SELECT unnest(%s))) IS TRUE",
			plan_column(b->ctx, "t", t->key), plan_array(b, t, t->key, keys));
}

static char *statement(const struct builder *b, const struct step *s, bool own,
		       const struct arrays *arrays)
{
	const char *keys = arrays->keys;
	const struct table *t = s->table;
	const char *table = sql_table(b->ctx, t->schema, t->table);

	switch (s->disposition) {
	case DISPOSITION_COPY:
		return t_printf(b->ctx, "SELECT %s FROM %s AS t WHERE %s",
				column_list(b, "t", s->columns, s->n_columns), table,
				plan_selection(b, t, keys, own));
	case DISPOSITION_UPDATE:
		return update_statement(b, t, own);
	case DISPOSITION_DETACH:
		return detach_statement(b, t, s->archived, own, keys);
	case DISPOSITION_DELETE:
		return t_printf(b->ctx, "DELETE FROM %s AS t WHERE %s%s%s%s", table,
				plan_selection(b, t, keys, own && !s->linked),
				s->by_own ? among_own(b, t, arrays->own) : "",
				s->archived ? " RETURNING " : "",
				s->archived ? column_list(b, "t", s->columns, s->n_columns) : "");
	case DISPOSITION_NONE:
	case DISPOSITION_KEEP:
		break;
	}
	return NULL;
}

static const char *column_types(const struct builder *b, const struct step *s)
{
	char *types = t_strdup(b->ctx, "");

	for (size_t i = 0; i < s->n_columns; i++)
		t_append(&types, "%s%s", i ? ", " : "",
			 catalog_column(plan_relation(b, s->table), s->columns[i])->type);
	return types;
}

static void archive_columns(const struct builder *b, struct step *s)
{
	const struct table *t = s->table;

	if (s->disposition == DISPOSITION_DETACH) {
		const char **columns = t_array(b->ctx, const char *, 2);

		columns[0] = t->key;
		columns[1] = t->by;
		s->columns = columns;
		s->n_columns = 2;
	} else {
		s->columns = archive_reader_columns(b, t, &s->n_columns);
	}
	s->header = plan_header(b->ctx, s->columns, s->n_columns, b->opts->delimiter);
	s->types = column_types(b, s);
}

/* Does the step take the value that names the file, with the row or by a rule? */
static bool loses_file(const struct table *t, enum disposition disposition)
{
	bool written = disposition == DISPOSITION_DELETE;

	for (size_t i = 0; disposition == DISPOSITION_UPDATE && i < t->n_rules; i++)
		written = written || (t->rules[i].kind != RULE_KEEP && t->file.column &&
				      strcmp(t->rules[i].column, t->file.column) == 0);
	return t->file.column && written;
}

/* The rows are locked: what is queued is what goes. */
static char *outbox_statement(const struct builder *b, const struct table *t, bool own, bool dirty)
{
	const char *location = plan_column(b->ctx, "t", t->file.column);

	return t_printf(
		b->ctx,
		"INSERT INTO retention.file_outbox (job, host, table_name, location)\n"
		"SELECT DISTINCT j.id, j.host, %s, x.location FROM retention.archive_journal AS j,\n"
		"  (SELECT %s::text AS location FROM %s AS t WHERE %s AND %s::text <> ''\n"
		"      AND (%s) FOR UPDATE) AS x\n"
		" WHERE j.id = $2::int",
		sql_literal(b->ctx, t->name), location, sql_table(b->ctx, t->schema, t->table),
		plan_selection(b, t, "$1", own), location,
		dirty ? plan_dirty_row(b->ctx, b->catalog, t, "t", false) : "true");
}

/* By a foreign key, can nothing be added to the parent's rows in hand, or not without failing the batch? */
static bool keeps_out(const struct builder *b, const struct table *parent)
{
	return parent == b->plan->subject || parent == b->model->request ||
	       (plan_has_step(b, parent) &&
		disposition_of(parent, b->opts->action, b->opts->archive) == DISPOSITION_DELETE);
}

void plan_step(const struct builder *b, const struct table *t, struct step *s)
{
	const bool own = plan_is_own(b, t);

	*s = (struct step){
		.table = t,
		.disposition = disposition_of(t, b->opts->action, b->opts->archive),
		.archived = disposition_is_archived(t, b->opts->action, b->opts->archive),
		.from = plan_source(b, t, own),
	};
	/* A client may move a row to another's request meanwhile: then it is not ours any more. */
	s->linked = t != b->plan->subject && !t->shared && plan_is_collected(b, t) &&
		    s->disposition == DISPOSITION_DELETE;
	if (s->linked)
		s->parent = plan_source(b, t, false);
	s->by_own = s->linked && own && t != b->model->request &&
		    catalog_column(plan_relation(b, t), t->key)->not_null;
	s->exact = s->by_own || (s->linked && own && has_key_to_parent(b, t));
	if (s->by_own && !(has_key_to_parent(b, t) && keeps_out(b, t->of)))
		s->link_sql = t_printf(b->ctx, "SELECT count(*) AS n FROM %s AS t WHERE %s",
				       sql_table(b->ctx, t->schema, t->table),
				       plan_selection(b, t, "$1", false));
	if (loses_file(t, s->disposition))
		s->outbox_sql = outbox_statement(b, t, own, s->disposition == DISPOSITION_UPDATE);
	s->numbered = s->disposition == DISPOSITION_UPDATE && uses_number(t);
	s->verify = s->disposition == DISPOSITION_DELETE   ? plan_relation(b, t)->delete_triggers
		    : s->disposition == DISPOSITION_UPDATE ? plan_relation(b, t)->update_triggers
							   : false;
	s->left_sql =
		t_printf(b->ctx, "SELECT count(*) AS n FROM %s AS t WHERE %s AND (%s)",
			 sql_table(b->ctx, t->schema, t->table), plan_selection(b, t, "$1", own),
			 s->disposition == DISPOSITION_UPDATE
				 ? plan_dirty_row(b->ctx, b->catalog, t, "t", t->of)
				 : "true");
	if (s->archived)
		archive_columns(b, s);
	s->sql = statement(
		b, s, own,
		&(struct arrays){"$1", "$2"}); /* archived: for the probe, PREPARE takes no COPY */
	if (s->archived)
		s->copy_sql =
			t_printf(b->ctx, "COPY (%s) TO STDOUT (FORMAT csv, DELIMITER %s)",
				 statement(b, s, own, &(struct arrays){keys_mark, own_mark}),
				 sql_literal(b->ctx, t_printf(b->ctx, "%c", b->opts->delimiter)));
}

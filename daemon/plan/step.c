/*
 * One table's statement in a batch.  It copies rows, changes them by rules, detaches or deletes them,
 * and returns what goes into the archive.
 */
#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

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

/*
 * Returns how many rows the rules changed, and how many of them a trigger made dirty again.  The
 * contact's own row then holds what the rules have written, and its texts may well hold that too.
 */
static const char update_sql[] =
	"WITH changed AS (\n"
	"  UPDATE {table} AS t\n"
	"     SET {assignments}{numbers}\n"
	"   WHERE {selection} AND ({dirty})\n"
	"  RETURNING ({dirty_again}) AS dirty)\n"
	"SELECT count(*) AS rows, count(*) FILTER (WHERE changed.dirty) AS dirty FROM changed";

static char *update_statement(const struct builder *b, const struct table *t, bool own)
{
	const bool numbered = plan_is_numbered(b, t);
	char *list = t_strdup(b->ctx, "");

	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			t_append(&list, "%s%s = %s", *list ? ",\n       " : "",
				 sql_ident(b->ctx, t->rules[i].column),
				 plan_rule_value(b, t, &t->rules[i], "t", "b.fresh_number"));
	return sql_fill(b->ctx, update_sql, {"table", plan_table(b->ctx, t)}, {"assignments", list},
			{"numbers", numbered ? t_printf(b->ctx,
							"\n    FROM unnest(%s, $2::bigint[])"
							" AS b(row_key, fresh_number)",
							plan_array(b, t, t->key, "$1"))
					     : ""},
			{"selection", numbered ? t_printf(b->ctx, "%s = b.row_key",
							  plan_column(b->ctx, "t", t->key))
					       : plan_selection(b, t, "$1", own)},
			{"dirty", plan_dirty_row(b, t, "t", true)},
			{"dirty_again", plan_dirty_row(b, t, "t", t->of != NULL)});
}

/* For the archive the link has to be read before it is cleared: RETURNING has only the new row. */
static const char detach_archived_sql[] =
	"WITH old AS (\n"
	"  SELECT t.{key} AS row_key, t.{by} AS link FROM {table} AS t WHERE {selection} FOR UPDATE)\n"
	"UPDATE {table} AS t SET {by} = NULL FROM old WHERE t.{key} = old.row_key\n"
	"RETURNING old.row_key, old.link";

static char *detach_statement(const struct builder *b, const struct step *s, bool own,
			      const char *keys)
{
	const struct table *t = s->table;
	const char *by = sql_ident(b->ctx, t->by);
	const char *selection = plan_selection(b, t, keys, own);

	if (!s->archived)
		return t_printf(b->ctx, "UPDATE %s AS t SET %s = NULL WHERE %s",
				plan_table(b->ctx, t), by, selection);
	return sql_fill(b->ctx, detach_archived_sql, {"table", plan_table(b->ctx, t)},
			{"key", sql_ident(b->ctx, t->key)}, {"by", by}, {"selection", selection});
}

/*
 * IN (SELECT ...) IS TRUE is a filter over a hash, which = ANY is only where the array is a
 * constant.
 */
static char *among_own(const struct builder *b, const struct table *t, const char *keys)
{
	return t_printf(b->ctx, " AND (%s IN (SELECT unnest(%s))) IS TRUE",
			plan_column(b->ctx, "t", t->key), plan_array(b, t, t->key, keys));
}

static char *statement(const struct builder *b, const struct step *s, const struct arrays *arrays)
{
	const struct table *t = s->table;
	const char *columns = plan_columns(b->ctx, "t", s->columns, s->n_columns);
	const bool own = plan_is_own(b, t);

	switch (s->disposition) {
	case DISPOSITION_COPY:
		return t_printf(b->ctx, "SELECT %s FROM %s AS t WHERE %s", columns,
				plan_table(b->ctx, t), plan_selection(b, t, arrays->keys, own));
	case DISPOSITION_UPDATE:
		return update_statement(b, t, own);
	case DISPOSITION_DETACH:
		return detach_statement(b, s, own, arrays->keys);
	case DISPOSITION_DELETE:
		return t_printf(b->ctx, "DELETE FROM %s AS t WHERE %s%s%s%s", plan_table(b->ctx, t),
				plan_selection(b, t, arrays->keys, own && !s->linked),
				s->by_own ? among_own(b, t, arrays->own) : "",
				s->archived ? " RETURNING " : "", s->archived ? columns : "");
	case DISPOSITION_NONE:
	case DISPOSITION_KEEP:
		break;
	}
	return NULL;
}

/* A generated column is left out: it derives from the others, and a restore makes it again. */
static const char **written_columns(const struct builder *b, const struct table *t, size_t *ret_n)
{
	const struct relation *r = plan_relation(b, t);
	const char **columns = t_array(b->ctx, const char *, r->n_columns);

	*ret_n = 0;
	for (size_t i = 0; i < r->n_columns; i++)
		if (!r->columns[i].generated)
			columns[(*ret_n)++] = r->columns[i].name;
	return columns;
}

static void archive_columns(const struct builder *b, struct step *s)
{
	const struct table *t = s->table;
	const char **columns;
	char *types = t_strdup(b->ctx, "");

	if (s->disposition == DISPOSITION_DETACH) {
		columns = t_array(b->ctx, const char *, 2);
		columns[0] = t->key;
		columns[1] = t->by;
		s->n_columns = 2;
	} else {
		columns = written_columns(b, t, &s->n_columns);
	}
	for (size_t i = 0; i < s->n_columns; i++)
		t_append(&types, "%s%s", i ? ", " : "",
			 catalog_column(plan_relation(b, t), columns[i])->type);
	s->columns = columns;
	s->header = plan_header(b->ctx, columns, s->n_columns, b->opts->delimiter);
	s->types = types;
}

/* Does the step erase the value that names the file, with the row or by a rule? */
static bool loses_file(const struct table *t, enum disposition disposition)
{
	bool written = disposition == DISPOSITION_DELETE;

	for (size_t i = 0; disposition == DISPOSITION_UPDATE && i < t->n_rules; i++)
		written = written || (t->rules[i].kind != RULE_KEEP && t->file.column &&
				      strcmp(t->rules[i].column, t->file.column) == 0);
	return t->file.column && written;
}

/*
 * Queues the files of the rows.  It locks the rows, so that the files are those of the rows that
 * are erased.
 */
static const char outbox_sql[] =
	"INSERT INTO retention.file_outbox (job, host, table_name, location)\n"
	"SELECT DISTINCT j.id, j.host, {name}, x.location FROM retention.archive_journal AS j,\n"
	"  (SELECT {location}::text AS location FROM {table} AS t\n"
	"    WHERE {selection} AND {location}::text <> '' AND ({dirty}) FOR UPDATE) AS x\n"
	" WHERE j.id = $2::int";

static char *outbox_statement(const struct builder *b, const struct step *s)
{
	const struct table *t = s->table;

	return sql_fill(b->ctx, outbox_sql, {"name", sql_literal(b->ctx, t->name)},
			{"location", plan_column(b->ctx, "t", t->file.column)},
			{"table", plan_table(b->ctx, t)},
			{"selection", plan_selection(b, t, "$1", plan_is_own(b, t))},
			{"dirty", s->disposition == DISPOSITION_UPDATE
					  ? plan_dirty_row(b, t, "t", false)
					  : "true"});
}

/*
 * Does a foreign key keep a client from adding rows to those of the parent, or fail the batch where
 * one does?
 */
static bool keeps_out(const struct builder *b, const struct table *parent)
{
	return parent == b->plan->subject || parent == b->model->request ||
	       plan_disposition(b, parent) == DISPOSITION_DELETE;
}

static char *count_rows(const struct builder *b, const struct table *t, const char *selection,
			const char *condition)
{
	return t_printf(b->ctx, "SELECT count(*) AS n FROM %s AS t WHERE %s AND (%s)",
			plan_table(b->ctx, t), selection, condition);
}

/*
 * How a DELETE finds rows that were collected: a client may move one to another's parent meanwhile.
 */
static void link_step(const struct builder *b, struct step *s)
{
	const struct table *t = s->table;
	const bool own = plan_is_own(b, t);

	s->linked = t != b->plan->subject && !t->shared && plan_is_collected(b, t) &&
		    s->disposition == DISPOSITION_DELETE;
	if (!s->linked)
		return;
	s->parent = plan_source(b, t, false);
	s->by_own = own && t != b->model->request &&
		    catalog_column(plan_relation(b, t), t->key)->not_null;
	s->exact = s->by_own || (own && plan_has_key_to_parent(b, t));
	if (s->by_own && !(plan_has_key_to_parent(b, t) && keeps_out(b, t->of)))
		s->link_sql = count_rows(b, t, plan_selection(b, t, "$1", false), "true");
}

struct step plan_step(const struct builder *b, const struct table *t)
{
	const bool own = plan_is_own(b, t);
	struct step s = {
		.table = t,
		.disposition = plan_disposition(b, t),
		.archived = disposition_is_archived(t, b->opts->action, b->opts->archive),
		.from = plan_source(b, t, own),
		.numbered = plan_is_numbered(b, t),
	};
	const bool updates = s.disposition == DISPOSITION_UPDATE;

	link_step(b, &s);
	if (loses_file(t, s.disposition))
		s.outbox_sql = outbox_statement(b, &s);
	s.verify = updates ? plan_relation(b, t)->update_triggers
			   : s.disposition == DISPOSITION_DELETE &&
				     plan_relation(b, t)->delete_triggers;
	s.left_sql = count_rows(b, t, plan_selection(b, t, "$1", own),
				updates ? plan_dirty_row(b, t, "t", t->of != NULL) : "true");
	if (s.archived) {
		archive_columns(b, &s);
		s.copy_sql = plan_copy(b, statement(b, &s, &plan_marks));
	}
	/* Where the rows are archived it is for the probe alone, because PREPARE takes no COPY. */
	s.sql = statement(b, &s, &plan_parameters);
	return s;
}

/*
 * One table's statement in a batch.  It copies rows, changes them by rules, detaches or deletes them,
 * and returns what goes into the archive.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/path.h"

const char *plan_header(const void *ctx, const char *const *columns, size_t n, char delimiter)
{
	const char separator[] = {delimiter, '\0'};
	char *line = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++) {
		const char *name = columns[i];
		const bool quote = strchr(name, delimiter) || strpbrk(name, "\"\r\n");

		t_list(&line, separator, "%s", quote ? sql_ident(ctx, name) : name);
	}
	return t_printf(ctx, "%s\n", line);
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
	"SELECT count(*) AS rows, count(*) FILTER (WHERE changed.dirty) AS dirty FROM changed\n"
	" WHERE " SQL_UNDER_PATH;

static char *update_statement(const struct plan *p, const struct table *t, bool own)
{
	const char *numbers = "", *selection = NULL;
	char *list = t_strdup(p, "");

	if (plan_is_numbered(p, t)) {
		numbers = t_printf(p, "\n    FROM %s",
				   plan_numbered_keys(p, t, "$1", "$2", &selection));
		selection = t_printf(p, "%s%s", selection, plan_in_shards(p, t, "t"));
	} else {
		selection = plan_selection(p, t, "$1", own);
	}
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind != RULE_KEEP)
			t_list(&list, ",\n       ", "%s = %s", sql_ident(p, t->rules[i].column),
			       plan_rule_value(p, t, &t->rules[i], "t", "b.fresh_number"));
	return sql_fill(p, update_sql, {"table", plan_table(p, t)}, {"assignments", list},
			{"numbers", numbers}, {"selection", selection},
			{"dirty", plan_dirty_row(p, t, "t", true)},
			{"dirty_again", plan_dirty_row(p, t, "t", t->of != NULL)});
}

/* For the archive the values have to be read before they are cleared: RETURNING has only the new row. */
static const char detach_archived_sql[] =
	"WITH old AS (\n"
	"  SELECT {columns} FROM {table} AS t WHERE {selection} FOR UPDATE)\n"
	"UPDATE {table} AS t SET {cleared} FROM old WHERE {key} = {old_key}{shards}";

/* The digest of what a rule has written, by which a restore knows that it still stands; NULL: it changed nothing. */
static const char written_sql[] = "CASE WHEN {new} IS DISTINCT FROM {old} THEN {new} END";

/* What goes into the archive of a detached row: the columns as they were, and with rules what was written. */
static char *detached_columns(const struct plan *p, const struct step *s)
{
	const struct column_rules rules = plan_rules(p, s->table);
	const bool cleared = plan_is_cleared(p, s->table);
	char *list = plan_columns(p, "old", s->columns, s->n_columns - (cleared ? 1 : 0));
	char *written = t_strdup(p, "");

	for (size_t i = 0; cleared && i < rules.n; i++) {
		const char *column = rules.list[i].column;

		if (rules.list[i].kind != RULE_KEEP)
			t_list(&written, ",\n  ", "%s",
			       sql_fill(p, written_sql,
					{"new", t_printf(p, SQL_DIGEST("%s"),
							 plan_column(p, "t", column))},
					{"old", t_printf(p, SQL_DIGEST("%s"),
							 plan_column(p, "old", column))}));
	}
	return cleared ? t_printf(p, "%s, ARRAY[%s] AS " SQL_WRITTEN, list, written) : list;
}

static char *detach_assignments(const struct plan *p, const struct table *t)
{
	const struct column_rules rules = plan_rules(p, t);
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < t->by->n; i++)
		if (catalog_is_detached(t, plan_relation(p, t), t->by->names[i]))
			t_list(&list, ", ", "%s = NULL", sql_ident(p, t->by->names[i]));
	for (size_t i = 0; i < rules.n; i++)
		if (rules.list[i].kind != RULE_KEEP)
			t_list(&list, ",\n       ", "%s = %s", sql_ident(p, rules.list[i].column),
			       plan_rule_value(p, t, &rules.list[i], "t", NULL));
	return list;
}

static char *detach_statement(const struct plan *p, const struct step *s, bool own,
			      const char *keys)
{
	const struct table *t = s->table;
	const char *selection = plan_selection(p, t, keys, own && !s->by_parent);
	const size_t n_read = s->n_columns - (plan_is_cleared(p, t) ? 1 : 0);
	const char *cleared = detach_assignments(p, t);

	if (!s->archived)
		return plan_fires(p, NULL, "UPDATE %s AS t SET %s WHERE %s", plan_table(p, t),
				  cleared, selection);
	return plan_fires(p, detached_columns(p, s), "%s",
			  sql_fill(p, detach_archived_sql, {"table", plan_table(p, t)},
				   {"columns", plan_columns(p, "t", s->columns, n_read)},
				   {"cleared", cleared}, {"key", plan_key(p, "t", t->key)},
				   {"old_key", plan_key(p, "old", t->key)},
				   {"selection", selection},
				   {"shards", plan_in_shards(p, t, "t")}));
}

/*
 * IN (SELECT ...) IS TRUE is a filter over a hash, which = ANY is only where the array is a
 * constant.
 */
static char *among_own(const struct plan *p, const struct table *t, const char *keys)
{
	return t_printf(p, " AND (%s IN (%s)) IS TRUE", plan_key(p, "t", t->key),
			plan_unnested(p, t, t->key, plan_array(p, t, t->key, keys)));
}

/*
 * A spreadsheet takes a cell for a formula that begins with one of = + - @, also of full width or behind
 * blanks.  A tab or the end of a line is refused as the first character, too.  A plain number (-5,
 * +33123456789) stays as it is.  Looks at the first characters alone, because a regular expression needs
 * several times a value's memory.
 */
static const char formula_sql[] =
	"pg_catalog.left(pg_catalog.concat({column}), 64) OPERATOR(pg_catalog.~)\n"
	"  '^(?![+-][0-9]{1,40}([.,][0-9]{1,20})?$)"
	"([\\t\\r\\n]|[\\s\\ufeff]*[=+@\\uff1d\\uff0b\\uff0d\\uff20-])'";

/* concat() writes a value as COPY does, and runs no cast.  An apostrophe makes the cell a text. */
static const char inert_sql[] =
	"CASE WHEN {formula} THEN pg_catalog.concat('''', {column})\n"
	"     WHEN {column} IS NOT NULL THEN pg_catalog.concat({column}) END";

/* No value of these categories (arrays, numbers, dates, ...; pg_type.typcategory) is a formula. */
static const char inert_categories[] = "ABCDGINRTV";

static bool is_made_inert(const struct plan *p, const struct column *column)
{
	return p->opts.inert && !strchr(inert_categories, column->category);
}

/* The columns as an export writes them. */
static char *export_columns(const struct plan *p, const struct step *s)
{
	const struct relation *r = plan_relation(p, s->table);
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < s->n_columns; i++) {
		const char *at = plan_column(p, "t", s->columns[i]);

		if (is_made_inert(p, catalog_column(r, s->columns[i])))
			at = sql_fill(p, inert_sql,
				      {"formula", sql_fill(p, formula_sql, {"column", at})},
				      {"column", at});
		t_list(&list, ", ", "%s", at);
	}
	return list;
}

static char *statement(const struct plan *p, const struct step *s, const struct arrays *arrays)
{
	const struct table *t = s->table;
	const char *columns = plan_columns(p, "t", s->columns, s->n_columns);
	const bool own = plan_is_own(p, t);

	switch (s->disposition) {
	case DISPOSITION_COPY:
		return t_printf(p, "SELECT %s FROM %s AS t WHERE %s", export_columns(p, s),
				plan_table(p, t), plan_selection(p, t, arrays->keys, own));
	case DISPOSITION_UPDATE:
		return update_statement(p, t, own);
	case DISPOSITION_DETACH:
		return detach_statement(p, s, own, arrays->keys);
	case DISPOSITION_DELETE:
		return plan_fires(p, s->archived ? columns : NULL, "DELETE FROM %s AS t WHERE %s%s",
				  plan_table(p, t),
				  plan_selection(p, t, arrays->keys, own && !s->linked),
				  s->by_own ? among_own(p, t, arrays->own) : "");
	case DISPOSITION_NONE:
	case DISPOSITION_KEEP:
		break;
	}
	return NULL;
}

/* Lists the key, the link, and what the rules change; a restore knows them by this order. */
static size_t list_detached(const struct plan *p, const struct table *t, const char **columns)
{
	const struct column_rules rules = plan_rules(p, t);
	size_t n = 0;

	for (size_t i = 0; i < t->key->n; i++)
		columns[n++] = t->key->names[i];
	for (size_t i = 0; i < t->by->n; i++)
		if (!columns_have(t->key, t->by->names[i]) && !path_is(t->by->names[i]))
			columns[n++] = t->by->names[i];
	for (size_t i = 0; i < rules.n; i++)
		if (rules.list[i].kind != RULE_KEEP)
			columns[n++] = rules.list[i].column;
	if (plan_is_cleared(p, t))
		columns[n++] = SQL_WRITTEN;
	return n;
}

static void archive_columns(const struct plan *p, struct step *s)
{
	const struct table *t = s->table;
	const struct relation *r = plan_relation(p, t);
	const char **columns = t_array(p, const char *, r->n_columns + 1);
	char *types = t_strdup(p, "");

	if (s->disposition == DISPOSITION_DETACH) {
		s->n_columns = list_detached(p, t, columns);
	} else { /* A generated column derives from the others, and a restore makes it again. */
		for (size_t i = 0; i < r->n_columns; i++)
			if (!r->columns[i].generated)
				columns[s->n_columns++] = r->columns[i].name;
	}
	/* No file is written in both ways: a job that resumes under another one ends there. */
	for (size_t i = 0; i < s->n_columns; i++) {
		const struct column *column = catalog_column(r, columns[i]);

		t_list(&types, ", ", "%s%s", column ? column->type : "text[]",
		       column && is_made_inert(p, column) ? " made inert" : "");
	}
	s->columns = columns;
	s->header = plan_header(p, columns, s->n_columns, p->opts.delimiter);
	s->types = types;
}

/* Does the step erase the value that names the file, with the row or by a rule? */
static bool loses_file(const struct table *t, enum disposition disposition)
{
	const struct column_rules rules = disposition_rules(t, disposition);
	const struct column_rule *rule =
		t->file.column ? column_rules_find(&rules, t->file.column) : NULL;

	return (t->file.column && disposition == DISPOSITION_DELETE) ||
	       (rule && rule->kind != RULE_KEEP &&
		(disposition == DISPOSITION_UPDATE || disposition == DISPOSITION_DETACH));
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

static char *outbox_statement(const struct plan *p, const struct step *s)
{
	const struct table *t = s->table;

	return sql_fill(p, outbox_sql, {"name", sql_literal(p, t->name)},
			{"location", plan_column(p, "t", t->file.column)},
			{"table", plan_table(p, t)},
			{"selection", plan_selection(p, t, "$1", plan_is_own(p, t))},
			{"dirty", s->disposition == DISPOSITION_UPDATE || plan_is_cleared(p, t)
					  ? plan_dirty_row(p, t, "t", false)
					  : "true"});
}

static char *count_rows(const struct plan *p, const struct table *t, const char *selection,
			const char *condition)
{
	return t_printf(p, "SELECT count(*) AS n FROM %s AS t WHERE %s AND (%s)", plan_table(p, t),
			selection, condition);
}

/* How a DELETE finds rows that were collected: a client may move one to another's parent meanwhile. */
static void link_step(const struct plan *p, struct step *s)
{
	const struct table *t = s->table;
	const bool own = plan_is_own(p, t), has_key = plan_has_key_to_parent(p, t);
	bool kept_out;

	s->linked = t != p->subject && !t->shared && plan_is_collected(p, t) &&
		    s->disposition == DISPOSITION_DELETE;
	if (!s->linked)
		return;
	s->by_own =
		own && t != p->model->request && catalog_is_not_null(plan_relation(p, t), t->key);
	s->exact = s->by_own || (own && has_key);
	/* The foreign key keeps a client from adding rows, or fails the batch where one does. */
	kept_out = has_key &&
		   (t->of == p->subject || t->of == p->model->request || plan_is_deleted(p, t->of));
	if (s->by_own && !kept_out)
		s->link_sql = count_rows(p, t, plan_selection(p, t, "$1", false), "true");
}

struct step plan_step(const struct plan *p, const struct table *t)
{
	const bool own = plan_is_own(p, t);
	struct step s = {
		.table = t,
		.disposition = plan_disposition(p, t),
		.archived = disposition_is_archived(t, p->opts.action, p->opts.archive),
		.from = plan_source(p, t, own),
		.numbered = plan_is_numbered(p, t),
	};
	const bool cleared = plan_is_cleared(p, t);
	const bool updates = s.disposition == DISPOSITION_UPDATE || cleared;

	if (t->of)
		s.parent = plan_source(p, t, false);
	s.by_parent = cleared && own;
	link_step(p, &s);
	if (loses_file(t, s.disposition))
		s.outbox_sql = outbox_statement(p, &s);
	s.verify = updates ? plan_relation(p, t)->update_triggers
			   : s.disposition == DISPOSITION_DELETE &&
				     plan_relation(p, t)->delete_triggers;
	s.left_sql = count_rows(p, t, plan_selection(p, t, "$1", own),
				updates ? plan_dirty_row(p, t, "t", t->of != NULL) : "true");
	if (s.archived) {
		archive_columns(p, &s);
		s.copy_sql = plan_copy(p, statement(p, &s, &plan_marks));
	}
	/* Where the rows are archived it is for the probe alone, because PREPARE takes no COPY. */
	s.sql = statement(p, &s, &plan_parameters);
	return s;
}

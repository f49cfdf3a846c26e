/*
 * model check: compares the model with the database.  Prints what the actions do with every table that
 * can be reached from a contact, what the daemon refuses, and what a person should look at.  Reads in one
 * snapshot, and writes nothing to the database.
 */
#include "command/model_check_state.h"

#include "base/sql.h"
#include "base/text.h"
#include "command/output.h"
#include "discover/joins.h"
#include "discover/keys.h"
#include "discover/links.h"
#include "discover/names.h"
#include "discover/verdict.h"
#include "model/disposition.h"
#include "preflight/check_plan.h"
#include "preflight/views.h"

/* Answers of links_left_out(), for the catalogue of translations. */
static const char *const lookups[] __attribute__((unused)) = {
	N_("the company's own people, by its name"),
	N_("a list that others choose from, by its name"),
	N_("nothing in it looks personal"),
	N_("the tenant's: it has many contacts"),
	N_("many tables reference it: it is not one person's"),
	/* Reasons why the daemon refuses a table, of discover/schema.c. */
	N_("other tables inherit from it"),
	N_("it has a rule on UPDATE or DELETE"),
	N_("it has row-level security: the daemon needs BYPASSRLS"),
};

/* What an action does with a table, by its disposition; NULL: nothing. */
static const char *const effects[] = {
	[DISPOSITION_KEEP] = N_("kept"),
	[DISPOSITION_UPDATE] = N_("anonymized"),
	[DISPOSITION_DETACH] = N_("detached"),
	[DISPOSITION_DELETE] = N_("deleted"),
};

static const char *effect_of(const struct table *t, enum action action)
{
	const enum disposition d = disposition_of(t, action, ARCHIVE_NONE);

	return d == DISPOSITION_DETACH && t->on_detach.n > 0 ? N_("detached, cleared") : effects[d];
}

static bool is_table(const struct table *t, const struct schema_table *table)
{
	return strcmp(t->schema, table->schema) == 0 && strcmp(t->table, table->name) == 0;
}

/* Adds a row for a table, which the model names t; NULL: it does not name it. */
static void add_row(struct model_check *m, const struct schema_table *table, const struct table *t,
		    const char *remark)
{
	model_check_add(m, &m->cells[TABLE], t_printf(m->ctx, "%s.%s", table->schema, table->name));
	model_check_add(m, &m->cells[NAME], t ? t->name : "");
	for (enum action a = ACTION_DELETE_CONTACTS; a < ACTION_COUNT; a++)
		model_check_add(m, &m->cells[DELETE + a - ACTION_DELETE_CONTACTS],
				t ? model_check_word(m, effect_of(t, a)) : "");
	model_check_add(m, &m->cells[REMARK], remark);
}

/* Why an action cannot, or does not, reach the rows. */
static const char *remark_of(const struct model_check *m, const struct schema_table *table,
			     const struct table *t)
{
	const struct table *shield = model_check_shield(t);

	return table->trouble || !shield
		       ? model_check_word(m, table->trouble)
		       : t_printf(
				 m->ctx,
				 model_check_word(m, N_("not reached by a deletion: \"%s\" stays")),
				 shield->name);
}

/* Adds a row for each name of the table in the model; false: it has none. */
static bool add_mapped(struct model_check *m, const struct schema_table *table)
{
	bool mapped = false;

	for (size_t i = 0; i < m->model->n_tables; i++) {
		if (!is_table(&m->model->tables[i], table))
			continue;
		mapped = true;
		add_row(m, table, &m->model->tables[i], remark_of(m, table, &m->model->tables[i]));
	}
	return mapped;
}

/* Adds a table that the model does not name, with the way in which it is reached. */
static void add_overlooked(struct model_check *m, const struct links *links,
			   const struct link *item)
{
	const struct schema_table *t = &m->schema->tables[item->table];
	const struct schema_table *parent = &m->schema->tables[links->items[item->of].table];
	const char *why;

	if (item->how == LINKS_REVERSE)
		why = t_printf(m->ctx,
			       model_check_word(m, N_("not mapped, and %s.%s references it")),
			       parent->name, columns_text(m->ctx, item->from));
	else
		why = t_printf(m->ctx,
			       model_check_word(m, N_("not mapped, and its %s references %s")),
			       columns_text(m->ctx, item->by), parent->name);
	add_row(m, t, NULL, why);
	HINT(m, N_("table %s.%s: %s"), t->schema, t->name, why);
}

static bool is_referenced(const struct model_check *m, const struct links *links, size_t table)
{
	for (size_t i = 0; i < m->schema->n_keys; i++)
		if (m->schema->keys[i].to == table && links_of(links, m->schema->keys[i].from))
			return true;
	return false;
}

/* Adds a hint on a table that no key reaches, such as a mail log with a copy of the address; false: it seems to have none. */
static bool find_unlinked(struct model_check *m, const struct schema_table *table)
{
	if (names_of_table(table->name) == NAME_TABLE_STAFF)
		return false;
	for (size_t i = 0; i < table->n_columns; i++) {
		const struct schema_column *c = &table->columns[i];
		const char *why;

		if (c->foreign || c->primary || names_of(c->name).kind != NAME_PERSON ||
		    verdict_of(m->ctx, table, c, &why) != VERDICT_CLEAR)
			continue;
		HINT(m,
		     N_("table %s.%s: no foreign key reaches it, and its \"%s\" looks personal: match "
			"can find copies, retentionctl residue shows which contacts are in it"),
		     table->schema, table->name, c->name);
		return true;
	}
	return false;
}

/* Adds a hint on a table that names a mapped one by a part of its key; false: it does not. */
static bool find_lacking(struct model_check *m, const struct links *links, size_t table)
{
	const struct schema_table *t = &m->schema->tables[table];
	const struct link *of;
	const char *column = links_without_tenant(links, m->schema, table, &of);

	if (column)
		HINT(m,
		     N_("table %s.%s: its %s references %s, and no link can say so, because the key "
			"there has %s too: add such a column to the table"),
		     t->schema, t->name, column, m->schema->tables[of->table].name,
		     keys_missing(t, &m->schema->tables[of->table]));
	return column != NULL;
}

/* Adds a hint for each mark that is still in the model: a question without an answer. */
static void find_marks(struct model_check *m)
{
	for (size_t i = 0; i < m->model->n_marks; i++)
		HINT(m, N_("%s:%d: a %s of the draft is still there"), m->model->marks[i].file,
		     m->model->marks[i].line, MODEL_MARK);
}

/* A contact that a join table alone names is kept by no request, however open it is. */
static void find_others(struct model_check *m, const struct links *links)
{
	const char *joins = joins_text(m->ctx, m->schema, links);

	if (*joins)
		HINT(m,
		     N_("table \"request\": a request keeps only its own contact, and others may be named "
			"by %s: see through in retentiond.conf(5)"),
		     joins);
}

static void find_coverage(struct model_check *m)
{
	size_t roots[2] = {LINKS_NONE, LINKS_NONE};
	char *texts = t_strdup(m->ctx, "");
	struct links *links;

	for (size_t i = 0; i < m->schema->n_tables; i++) {
		if (is_table(m->model->contact, &m->schema->tables[i]))
			roots[0] = i;
		if (is_table(m->model->request, &m->schema->tables[i]))
			roots[1] = i;
	}
	if (roots[0] == LINKS_NONE || roots[1] == LINKS_NONE)
		return; /* has been refused for that */
	links = links_walk(m->ctx, m->schema, roots[0], roots[1], m->model->request->by, NULL);
	if (!m->model->through)
		find_others(m, links);
	for (size_t t = 0; t < m->schema->n_tables; t++) {
		const struct link *item = links_of(links, t);
		const struct schema_table *table = &m->schema->tables[t];
		const char *lookup = links_is_lookup(table);

		if (add_mapped(m, table))
			continue;
		/* Leaves out a guess that nothing supports. */
		if (item && !(item->how == LINKS_TYPE && item->value_guessed && lookup))
			add_overlooked(m, links, item);
		else if (is_referenced(m, links, t))
			add_row(m, table, NULL,
				model_check_word(m, links_left_out(links, m->schema, t)));
		else if (find_lacking(m, links, t))
			continue;
		else if ((lookup || !find_unlinked(m, table)) && model_check_has_texts(m, table))
			t_list(&texts, ", ", "%s.%s", table->schema, table->name);
	}
	if (*texts)
		HINT(m, N_("not mapped, and hold text: %s"), texts);
}

static bool has_rules(const struct model_check *m, unsigned int oid)
{
	for (size_t i = 0; i < m->model->n_tables; i++)
		if (m->catalog->relations[i].oid == oid &&
		    (m->model->tables[i].on_anonymize == ON_ANONYMIZE_RULES ||
		     m->model->tables[i].on_anonymize == ON_ANONYMIZE_DELETE))
			return true;
	return false;
}

/* Does the model keep this column on purpose, by a rule or together with its table? */
static bool is_kept(const struct model_check *m, const struct table *t, const char *column)
{
	const struct column_rule *rule = model_rule(t, column);
	const struct column_rule *detached = column_rules_find(&t->on_detach, column);

	if (detached && detached->kind == RULE_KEEP)
		return true;
	return t->on_anonymize == ON_ANONYMIZE_KEEP
		       ? !has_rules(m, m->catalog->relations[t->index].oid)
		       : rule && rule->kind == RULE_KEEP;
}

static void find_kept(struct model_check *m, const struct table *t,
		      const struct schema_table *table)
{
	const char *const dates[] = {t->date, t->created};

	for (size_t i = 0; i < table->n_columns; i++) {
		const struct schema_column *c = &table->columns[i];
		bool link = c->foreign || c->primary || c->generated ||
			    columns_have(t->key, c->name) || columns_have(t->by, c->name);
		const char *why;

		for (size_t d = 0; d < LENGTH(dates); d++)
			link = link || (dates[d] && strcmp(dates[d], c->name) == 0);
		if (!link && is_kept(m, t, c->name) &&
		    verdict_of(m->ctx, table, c, &why) == VERDICT_CLEAR)
			HINT(m, N_("table \"%s\": column \"%s\" is kept and looks personal"),
			     t->name, c->name);
	}
}

/* Adds hints on foreign keys from tables that the model does not name. */
static void find_outside(struct model_check *m)
{
	for (size_t i = 0; i < m->catalog->n_keys; i++) {
		const struct foreign_key *k = &m->catalog->keys[i];
		const struct table *to = NULL;
		bool inside = false;

		for (size_t t = 0; t < m->model->n_tables; t++) {
			inside = inside || m->catalog->relations[t].oid == k->from_oid;
			if (!to && m->catalog->relations[t].oid == k->to_oid)
				to = &m->model->tables[t];
		}
		if (!inside && to)
			HINT(m,
			     N_("foreign key \"%s\" of %s (%s) references \"%s\" from outside the "
				"model"),
			     k->name, k->from_name,
			     columns_text(m->ctx, &(struct columns){.names = k->from_columns,
								    .n = k->n_columns}),
			     to->name);
	}
}

/* Adds hints on rows that a foreign key would delete, and the model keeps. */
static void find_guarded(struct model_check *m)
{
	for (size_t i = 0; i < m->catalog->n_keys; i++)
		for (size_t t = 0; t < m->model->n_tables; t++)
			if (catalog_key_is_guarded(m->catalog, &m->model->tables[t],
						   &m->catalog->keys[i]))
				HINT(m,
				     N_("table \"%s\": foreign key \"%s\" would delete its rows; a "
					"contact that has some is not deleted, and recorded as failed"),
				     m->model->tables[t].name, m->catalog->keys[i].name);
}

/*
 * Which function of a trigger that fires when an action changes a table ($1) writes to which table outside the model, as
 * far as the catalog tells: its text names the table behind INSERT INTO, UPDATE or MERGE INTO, or it puts its
 * statements together, and the table has most columns of the trigger's.
 */
static const char copies_sql[] =
	"WITH mapped AS (\n"
	"  SELECT r.oid AS root, p.oid FROM unnest($1::text[]) AS m(name),\n"
	"         LATERAL (SELECT to_regclass(m.name)::oid) AS r(oid), LATERAL (SELECT r.oid\n"
	"         UNION SELECT t.relid FROM pg_partition_tree(r.oid) AS t) AS p(oid)),\n"
	"fired AS (\n"
	"  SELECT DISTINCT g.tgname, m.root AS relid, f.oid, lower(f.prosrc) AS text\n"
	"    FROM pg_trigger AS g JOIN mapped AS m ON m.oid = g.tgrelid JOIN pg_proc AS f ON f.oid = g.tgfoid\n"
	"   WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 24 <> 0),\n"
	"outside AS (\n"
	"  SELECT c.oid, lower(c.relname) AS name, regexp_replace(lower(c.relname), '(\\W)', '\\\\\\1', 'g') AS safe\n"
	"    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
	"   WHERE c.relkind IN ('r', 'p') AND c.oid NOT IN (SELECT oid FROM mapped)\n"
	"     AND NOT c.relispartition\n"
	"     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retention') AND n.nspname !~ '^pg_')\n"
	"SELECT f.tgname AS trigger, f.relid::regclass::text AS of, f.oid::regprocedure::text AS function,\n"
	"       string_agg(o.oid::regclass::text, ', ' ORDER BY o.oid::regclass::text) AS tables\n"
	"  FROM fired AS f JOIN outside AS o ON strpos(f.text, o.name) > 0\n"
	"        AND f.text ~ ('\\m(insert\\s+into|update|merge\\s+into)\\s+(only\\s+)?(\"?[\\w$]+\"?\\s*\\.\\s*)?\"?'\n"
	"                      || o.safe || '\"?(\\W|$)')\n"
	"     OR (f.text ~ '\\mexecute\\M' AND (\n"
	"         SELECT count(*) FILTER (WHERE b.attname IS NOT NULL) * 3 >= count(*) * 2 AND count(*) > 2\n"
	"           FROM pg_attribute AS a LEFT JOIN pg_attribute AS b ON b.attrelid = o.oid\n"
	"            AND b.attname = a.attname AND b.attnum > 0 AND NOT b.attisdropped\n"
	"          WHERE a.attrelid = f.relid AND a.attnum > 0 AND NOT a.attisdropped))\n"
	" GROUP BY f.tgname, f.relid, f.oid ORDER BY 2, 1";

static bool find_copies(struct model_check *m, struct error *err)
{
	const size_t n = m->model->n_tables;
	const char **names = t_array(m->ctx, const char *, n + 1);
	AUTO(result) PGresult *res = NULL;
	const char *values;

	for (size_t i = 0; i < n; i++)
		names[i] = sql_table(m->ctx, m->model->tables[i].schema, m->model->tables[i].table);
	values = sql_array(m->ctx, names, n);
	if (!db_query(m->cmd->db, copies_sql, 1, &values, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++)
		HINT(m,
		     N_("trigger \"%s\" of %s runs %s, which may copy what is erased into a table outside "
			"the model: %s"),
		     db_text(res, row, "trigger"), db_text(res, row, "of"),
		     db_text(res, row, "function"), db_text(res, row, "tables"));
	return true;
}

static void find_fold(struct model_check *m)
{
	for (size_t i = 0; m->catalog->folds_ascii && i < m->model->n_tables; i++)
		if (model_redacts(&m->model->tables[i]))
			HINT(m,
			     N_("table \"%s\": redact overlooks a name with an accent that is written in "
				"other capitals, because the database's LC_CTYPE is C, and the server has "
				"no collation und-x-icu or C.utf8 for it"),
			     m->model->tables[i].name);
}

/* Adds hints on materialized views that nothing refreshes.  Whether the daemon may, retentiond -t tells. */
static bool find_views(struct model_check *m, struct error *err)
{
	struct view *views;
	size_t n;

	if (!views_read(m->cmd->db, m->model, m->ctx, &views, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (views[i].lacking)
			HINT(m,
			     N_("materialized view %s reads %s and keeps what is erased there until it "
				"is refreshed: say refresh = true for the table, or T0 of retentionctl "
				"show waits for it"),
			     views[i].name, views[i].lacking);
	return true;
}

/* Collects what the daemon refuses, as retentiond -t does. */
static bool find_refusals(struct model_check *m, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};
	struct check check = {
		.db = m->cmd->db, .config = m->cmd->config, .ctx = m->ctx, .complaints = &c};

	if (!check_config(&check, err) && err->class != ERR_NONE)
		return false;
	m->catalog = check.catalog;
	for (size_t i = 0; i < c.n; i++)
		model_check_add(m, &m->refused, t_strdup(m->ctx, c.lines[i]));
	return true;
}

static const char cells_sql[] =
	"SELECT c.t AS table, nullif(c.n, '') AS name, nullif(c.d, '') AS delete_contacts,\n"
	"       nullif(c.a, '') AS anonymize_contacts, nullif(c.r, '') AS anonymize_requests,\n"
	"       nullif(c.w, '') AS remark\n"
	"  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])\n"
	"         WITH ORDINALITY AS c(t, n, d, a, r, w, i) ORDER BY c.i";

static bool print_check(struct model_check *m, struct error *err)
{
	const char *values[CELLS + 2];
	AUTO(result) PGresult *res = NULL;

	for (int i = 0; i < CELLS; i++)
		values[i] = sql_array(m->ctx, m->cells[i].items, m->cells[i].n);
	values[CELLS] = sql_array(m->ctx, m->refused.items, m->refused.n);
	values[CELLS + 1] = sql_array(m->ctx, m->hints.items, m->hints.n);
	if (m->cmd->options.json) {
		const char *sql = t_printf(
			m->ctx,
			"SELECT jsonb_pretty(jsonb_build_object('tables',\n"
			"  (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM (%s) AS s),\n"
			"  'refused', to_jsonb($7::text[]), 'hints', to_jsonb($8::text[]))) AS json",
			cells_sql);

		return command_print_json(m->cmd, sql, CELLS + 2, values, err);
	}
	if (!db_query(m->cmd->db, cells_sql, CELLS, values, &res, err))
		return false;
	output_table(res);
	puts("");
	for (size_t i = 0; i < m->refused.n; i++)
		printf(_("refused: %s\n"), m->refused.items[i]);
	for (size_t i = 0; i < m->hints.n; i++)
		printf(_("look at: %s\n"), m->hints.items[i]);
	printf(_("refused by the daemon: %zu; to look at: %zu\n"), m->refused.n, m->hints.n);
	return true;
}

static bool check_model(struct model_check *m, struct error *err)
{
	if (!find_refusals(m, err) || !schema_read(m->cmd->db, true, m->ctx, &m->schema, err))
		return false;
	keys_settle(m->ctx, m->schema);
	find_coverage(m);
	find_marks(m);
	for (size_t i = 0; m->catalog && i < m->model->n_tables; i++)
		for (size_t t = 0; t < m->schema->n_tables; t++)
			if (is_table(&m->model->tables[i], &m->schema->tables[t])) {
				find_kept(m, &m->model->tables[i], &m->schema->tables[t]);
				model_check_stays(m, &m->model->tables[i], &m->schema->tables[t]);
			}
	if (m->catalog) {
		find_outside(m);
		find_guarded(m);
		find_fold(m);
		model_check_speed(m);
		if (!find_views(m, err) || !find_copies(m, err) ||
		    (m->refused.n == 0 && !model_check_dates(m, err)))
			return false;
	}
	return print_check(m, err);
}

bool command_model_check(struct command *cmd, struct error *err)
{
	struct model_check m = {.cmd = cmd, .ctx = cmd->ctx, .model = &cmd->config->model};

	return check_model(&m, err) && m.refused.n == 0;
}

/*
 * residue: searches every text of the database for the values of a contact's personal columns, to show
 * that the model misses nothing.  Never prints the values, because they are personal data.
 */
#include "command/command.h"
#include "command/residue_objects.h"
#include "command/residue_spread.h"

#include "preflight/check_plan.h"
#include "preflight/foreign_code.h"
#include "plan/preview.h"
#include "base/sql.h"
#include "base/text.h"
#include "database/citus.h"
#include "command/output.h"

struct residue {
	struct command *cmd;
	void *ctx;
	const struct command_options *options;
	enum action action;
	struct catalog *catalog;
	struct plan *plan;
	const char *keys; /* text[]: of the contacts */
	FILE *file; /* of --values */
	char *brought; /* with Citus: the values as COPY has them */
	int64_t n_contacts, n_values, n_found, n_tables, n_not_searched;
	char *findings; /* rows of a VALUES list */
};

/* Characters of a value: shorter ones occur in half of all texts. */
#define LEAST "4"
/* So many bytes of a bytea value are searched. */
#define BYTES "67108864"
/* A value that more contacts have does not identify one of them: a city, a language. */
#define MOST_CONTACTS "5"

/*
 * The values never travel as parameters, which would stand in the server's log.  They are settings of the transaction:
 *
 *   retention.given, .given_names  text[]: what was found or given, and the column of each
 *   retention.values, .names       text[]: the same as it is searched for
 *   retention.pattern              a regular expression that matches any of the values
 */

/* Finds the contact, or so many at random. */
static bool find_contacts(struct residue *r, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(array_agg(x.k), '{}')::text AS keys, count(*) AS n\n"
		"  FROM (SELECT {key} AS k FROM {contacts} AS c {which}) AS x";
	const struct table *c = r->cmd->config->model.contact;
	const char *key = plan_key_text(r->ctx, "c", c->key);
	const char *sample = r->options->sample;
	const char *contacts = sample ? plan_filtered(r->ctx, c, c->where, NULL)
				      : sql_table(r->ctx, c->schema, c->table);
	const char *which = sample ? "ORDER BY random() LIMIT $1::bigint"
				   : t_printf(r->ctx, "WHERE %s",
					      plan_is_key(r->ctx, r->catalog, c, "c", "$1::text"));
	const char *const values[] = {sample ? sample : r->cmd->argument};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(r->cmd->db,
		      sql_fill(r->ctx, sql, {"key", key}, {"contacts", contacts}, {"which", which}),
		      1, values, &res, err))
		return false;
	r->keys = db_text_copy(r->ctx, res, 0, "keys");
	r->n_contacts = db_int(res, 0, "n");
	if (r->n_contacts == 0 && !r->options->values)
		return fail(err, ERR_CONFIG,
			    sample ? _("there are no contacts") : _("there is no contact %s"),
			    r->cmd->argument);
	return true;
}

/* The values of the contacts {keys} that are in few other contacts. */
static const char own_sql[] =
	"WITH every AS (\n"
	"  SELECT {key} = ANY ({keys}::text[]) AND ({personal}) AS wanted, v.name,\n"
	"         btrim(v.value) AS value\n"
	"    FROM {contacts} AS c CROSS JOIN LATERAL {columns} AS v(name, value)\n"
	"   WHERE length(btrim(v.value)) >= " LEAST "),\n"
	"own AS (SELECT e.name, e.value FROM every AS e GROUP BY 1, 2\n"
	"  HAVING bool_or(e.wanted) AND count(*) <= " MOST_CONTACTS ")\n"
	"{take}";

/* Takes the values of the relation behind it into the transaction. */
#define TAKE                                                                                       \
	"SELECT set_config('retention.given_names',\n"                                             \
	"         coalesce(array_agg(o.name), '{}')::text, true),\n"                               \
	"       set_config('retention.given', coalesce(array_agg(o.value), '{}')::text, true)\n"   \
	"  FROM "
static const char take_table_sql[] = TAKE "pg_temp.retention_values AS o";

static bool keep_line(void *arg, const char *bytes, size_t n, struct error *err)
{
	struct residue *r = arg;

	(void)err; /* t_append() cannot fail */
	t_append(&r->brought, "%.*s", (int)n, bytes);
	return true;
}

static bool put_brought(void *arg, struct error *err)
{
	struct residue *r = arg;

	return db_copy_put(r->cmd->db, r->brought, strlen(r->brought), err);
}

/* With Citus the query runs on another server, and what it would set there is not set here. */
static bool bring_values(struct residue *r, const char *sql, struct error *err)
{
	struct db *db = r->cmd->db;
	int64_t rows;

	r->brought = t_strdup(r->ctx, "");
	return db_copy_out(db, t_printf(r->ctx, "COPY (%s) TO STDOUT", sql), keep_line, r, &rows,
			   err) &&
	       db_copy_in(db, "COPY pg_temp.retention_values (value, name) FROM STDIN", put_brought,
			  r, &rows, err) &&
	       db_exec(db, take_table_sql, err);
}

/* Reads the contacts' values; leaves out values that an anonymization has written. */
static bool find_values(struct residue *r, struct error *err)
{
	const struct table *c = r->cmd->config->model.contact;
	const char *columns = residue_columns(r->ctx, c, &r->catalog->relations[c->index]);
	AUTO(result) PGresult *res = NULL;
	const bool citus = db_citus(r->cmd->db);
	const char *sql = sql_fill(
		r->ctx, own_sql, {"key", plan_key_text(r->ctx, "c", c->key)},
		{"keys", citus ? sql_literal(r->ctx, r->keys) : "$1"},
		{"personal", plan_dirty_row(r->plan, c, "c", false)},
		{"contacts", plan_table(r->ctx, c)}, {"columns", columns},
		{"take", citus ? "SELECT o.value, o.name FROM own AS o" : TAKE "own AS o"});

	if (!*columns)
		return fail(err, ERR_CONFIG,
			    _("\"contact\" has no column rules, so that its personal columns are "
			      "unknown"));
	return citus ? bring_values(r, sql, err)
		     : db_query(r->cmd->db, sql, 1, &r->keys, &res, err);
}

static const char values_table_sql[] =
	"CREATE TEMP TABLE retention_values (value text, name text NOT NULL DEFAULT 'value')";

static bool put_lines(void *arg, struct error *err)
{
	struct residue *r = arg;
	AUTO(char_p) char *line = NULL;
	size_t size = 0;
	ssize_t length;

	while ((length = getline(&line, &size, r->file)) >= 0) {
		const char *cell;

		if (length > 0 && line[length - 1] == '\n')
			line[--length] = '\0';
		if (strlen(line) < 4) /* LEAST bytes: the query below leaves out shorter ones too */
			continue;
		/* A cell of CSV is quoted as a name is. */
		cell = t_printf(r->ctx, "%s\n", sql_ident(r->ctx, line));
		if (!db_copy_put(r->cmd->db, cell, strlen(cell), err))
			return false;
	}
	return !ferror(r->file) || fail(err, ERR_CONFIG, _("cannot read %s"), r->options->values);
}

/* Reads the values from a file, one per line, into a temporary table, because COPY leaves none in the server's log. */
static bool read_values(struct residue *r, struct error *err)
{
	const bool standard = strcmp(r->options->values, "-") == 0;
	int64_t rows;
	bool ok;

	r->file = standard ? stdin : fopen(r->options->values, "re");
	if (!r->file)
		return fail_errno(err, ERR_CONFIG, _("cannot read %s"), r->options->values);
	ok = db_exec(r->cmd->db, values_table_sql, err) &&
	     db_copy_in(r->cmd->db, "COPY pg_temp.retention_values (value) FROM STDIN (FORMAT csv)",
			put_lines, r, &rows, err);
	if (!standard)
		(void)fclose(r->file); /* read only */
	return ok;
}

/* " COLLATE ..." by which texts are folded: one for all columns, because two may have different ones. */
static const char *fold_of(const struct residue *r)
{
	return *r->catalog->fold ? r->catalog->fold : " COLLATE pg_catalog.\"default\"";
}

/*
 * Makes one expression for all values, as they are and as they are written in JSON, in a row and in bytes.  A short
 * value matches as a whole word, a longer one anywhere.
 */
static bool make_pattern(struct residue *r, struct error *err)
{
	static const char sql[] =
		"WITH v AS (SELECT DISTINCT u.name, lower(w.value{fold}) AS value\n"
		"  FROM unnest((SELECT current_setting('retention.given_names')::text[]),\n"
		"              (SELECT current_setting('retention.given')::text[])) AS u(name, value), LATERAL (\n"
		"       VALUES (u.value), (btrim(to_json(u.value)::text, '\"')),\n"
		"              (replace(replace(u.value, '\\', '\\\\'), '\"', '\"\"')),\n"
		"              (encode(convert_to(u.value, 'UTF8'), 'escape')),\n"
		"              (encode(convert_to(lower(u.value{fold}), 'UTF8'), 'escape'))) AS w(value)\n"
		" WHERE length(btrim(w.value)) >= " LEAST "),\n"
		"p AS (SELECT DISTINCT v.value, regexp_replace(v.value,\n"
		"         '([^[:alnum:]_[:space:]])', '\\\\\\1', 'g') AS safe FROM v),\n"
		"kept AS MATERIALIZED (\n"
		"  SELECT set_config('retention.names', (SELECT coalesce(array_agg(v.name), '{}')::text FROM v), true),\n"
		"         set_config('retention.values', (SELECT coalesce(array_agg(v.value), '{}')::text FROM v), true),\n"
		"         set_config('retention.pattern', coalesce(string_agg(CASE WHEN length(p.value) < 6\n"
		"           THEN '(?<!\\w)' || p.safe || '(?!\\w)' ELSE p.safe END, '|'), ''), true) FROM p)\n"
		"SELECT (SELECT count(DISTINCT lower(u.value{fold}))\n"
		"          FROM unnest(current_setting('retention.given')::text[]) AS u(value)\n"
		"         WHERE length(btrim(u.value)) >= " LEAST ") AS n FROM kept";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(r->cmd->db, sql_fill(r->ctx, sql, {"fold", fold_of(r)}), 0, NULL, &res, err))
		return false;
	r->n_values = db_int(res, 0, "n");
	if (r->n_values == 0)
		return fail(
			err, ERR_CONFIG,
			_("nothing to search for: the contact has no value of 4 or more characters of its "
			  "own; give values with --values FILE"));
	return true;
}

static bool prepare(struct residue *r, struct error *err)
{
	const struct plan_opts opts = check_opts(r->cmd->config, NULL, r->action, ARCHIVE_NONE);

	/* A transaction that only reads may fill a temporary table, and make none. */
	return (r->options->values
			? read_values(r, err)
			: !db_citus(r->cmd->db) || db_exec(r->cmd->db, values_table_sql, err)) &&
	       db_exec(r->cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
	       command_plan(r->cmd, &opts, &r->catalog, &r->plan, err) && find_contacts(r, err) &&
	       (r->options->values ? db_exec(r->cmd->db, take_table_sql, err)
				   : find_values(r, err)) &&
	       make_pattern(r, err) &&
	       (!db_citus(r->cmd->db) || db_exec(r->cmd->db, citus_values_sql, err));
}

#define CODE_OF_C FOREIGN_CODE("c.oid", "")

/*
 * A row for each table and materialized view with texts: its columns as rows of c(name, text), the first column that
 * the caller may not read, and the first function of FOREIGN_CODE().  A type that is not PostgreSQL's own becomes text
 * by its output function, because its cast may be anybody's, and would run with the caller's rights.
 */
static const char tables_sql[] =
	"SELECT c.oid, n.nspname AS schema, c.relname AS name,\n"
	"       string_agg(format(CASE\n"
	"         WHEN 'bytea'::regtype IN (t.oid, t.typbasetype)\n"
	"         THEN '(%L::text, encode(substring(t.%I FOR " BYTES "), ''escape''))'\n"
	"         WHEN e.oid = 'bytea'::regtype\n"
	"         THEN '(%L::text, (SELECT string_agg(encode(b, ''escape''), '' '') FROM unnest(t.%I) AS b))'\n"
	"         WHEN t.oid < 16384 THEN '(%L::text, t.%I::text)' ELSE '(%L::text, concat(t.%I))' END,\n"
	"         a.attname, a.attname), ', ' ORDER BY a.attnum) AS texts,\n"
	"       " CODE_OF_C " AS foreign_code,\n"
	"       min(a.attname::text) FILTER (WHERE NOT has_schema_privilege(n.oid, 'USAGE')\n"
	"         OR NOT has_column_privilege(c.oid, a.attnum, 'SELECT')) AS closed\n"
	"  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace\n"
	"  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
	"  JOIN pg_type AS t ON t.oid = a.atttypid\n"
	"  LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'\n"
	" WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND c.relispopulated\n"
	/* A generated column is made of others, and changes with them. */
	"   AND a.attgenerated = ''\n"
	"   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retention')\n"
	"   AND n.nspname !~ '^pg_(toast|temp)'\n"
	/* Numbers, dates, booleans, intervals, shapes, bits, words of a list, and PostgreSQL's ranges hold no value. */
	"   AND coalesce(e.typcategory, t.typcategory) NOT IN ('N', 'D', 'B', 'T', 'G', 'V', 'E')\n"
	"   AND (coalesce(e.typcategory, t.typcategory) <> 'R' OR coalesce(e.oid, t.oid) >= 16384)\n"
	" GROUP BY c.oid, n.nspname, c.relname ORDER BY n.nspname, c.relname";

/* Searches one table; $1 are the contacts. */
static char *search_sql(struct residue *r, const PGresult *tables, int row)
{
	const unsigned int oid = (unsigned int)db_int(tables, row, "oid");
	const struct table *c = r->cmd->config->model.contact;
	const char *due =
		plan_chosen_query(r->ctx, r->catalog, c, "x.k", " FROM unnest($1::text[]) AS x(k)");
	const char *reached = NULL, *covered = NULL;
	const char *with = plan_reach_sql(r->plan, due, oid, &reached, &covered);
	const char *table =
		sql_table(r->ctx, db_text(tables, row, "schema"), db_text(tables, row, "name"));

	if (r->catalog->relations[c->index].spread == SPREAD_ROWS)
		return residue_spread_search(
			r->ctx, &(struct residue_spread){.with = with,
							 .table = table,
							 .texts = db_text(tables, row, "texts"),
							 .covered = plan_covered_sql(r->plan, oid),
							 .fold = fold_of(r)});
	return t_printf(
		r->ctx,
		"%sSELECT c.name AS column, v.name AS of,\n"
		"       count(*) FILTER (WHERE NOT y.covered AND v.exact) AS exact,\n"
		"       count(*) FILTER (WHERE NOT y.covered AND NOT v.exact) AS inside,\n"
		"       count(*) FILTER (WHERE y.covered) AS covered\n"
		"  FROM %s AS t CROSS JOIN LATERAL (%s) AS x\n"
		" CROSS JOIN LATERAL (SELECT s.name, s.text%s FROM (VALUES %s) AS s(name, text)) AS c(name, text)\n"
		" CROSS JOIN LATERAL (SELECT coalesce(%s, false) AS covered) AS y\n"
		"  JOIN LATERAL (SELECT u.name, bool_or(lower(c.text) = u.value) AS exact\n"
		"         FROM unnest((SELECT current_setting('retention.values')::text[]),\n"
		"                     (SELECT current_setting('retention.names')::text[])) AS u(value, name)\n"
		"        WHERE strpos(lower(c.text), u.value) > 0 GROUP BY 1) AS v ON true\n"
		" WHERE c.text ~* (SELECT current_setting('retention.pattern'))\n"
		" GROUP BY 1, 2 ORDER BY 1, 2",
		with, table, reached, fold_of(r), db_text(tables, row, "texts"), covered);
}

static void add_finding(struct residue *r, const char *table, const PGresult *res, int row)
{
	const int64_t left = db_int(res, row, "exact") + db_int(res, row, "inside");

	r->n_found += left > 0 ? 1 : 0;
	t_list(&r->findings, ",", "(%s,%s,%s,%s,%s,%s)", sql_literal(r->ctx, table),
	       sql_literal(r->ctx, db_text(res, row, "column")),
	       sql_literal(r->ctx, db_text(res, row, "of")), db_text(res, row, "exact"),
	       db_text(res, row, "inside"), db_text(res, row, "covered"));
}

/* Reports a table that cannot be searched, because of a timeout, a lock or a right; the search goes on. */
static bool not_searched(struct residue *r, const char *table, const char *why, struct error *err)
{
	r->n_not_searched++;
	output_line(stderr, _("not searched: %s: %s"), table, why);
	return !err || db_exec(r->cmd->db, "ROLLBACK TO SAVEPOINT residue", err);
}

static bool search_table(struct residue *r, const PGresult *tables, int row, struct error *err)
{
	const char *table = text_one_line(t_printf(r->ctx, "%s.%s", db_text(tables, row, "schema"),
						   db_text(tables, row, "name")));
	const char *const values[] = {r->keys};
	const char *foreign = db_text(tables, row, "foreign_code");
	AUTO(error) struct error one = {0};
	AUTO(result) PGresult *res = NULL;

	if (db_text(tables, row, "closed"))
		return not_searched(r, table, _("this role may not read it"), NULL);
	if (foreign)
		return not_searched(
			r, table,
			t_printf(
				r->ctx,
				_("an index or a constraint of it uses function %s, which would run "
				  "with the rights of a superuser: ask as another role"),
				foreign),
			NULL);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%d/%d %s", row + 1, PQntuples(tables), table);
	if (!db_exec(r->cmd->db, "SAVEPOINT residue", err))
		return false;
	if (!db_query(r->cmd->db, search_sql(r, tables, row), 1, values, &res, &one)) {
		if (!db_alive(r->cmd->db))
			return fail(err, one.class, "%s", one.text);
		return not_searched(r, table, one.text, err);
	}
	for (int i = 0; i < PQntuples(res); i++)
		add_finding(r, table, res, i);
	r->n_tables++;
	return true;
}

/* Searches the bytes of large objects as a table of its own. */
static bool search_objects(struct residue *r, struct error *err)
{
	static const char table[] = "pg_largeobject";
	AUTO(error) struct error one = {0};
	AUTO(result) PGresult *res = NULL;
	int64_t n_closed = 0;

	if (!db_exec(r->cmd->db, "SAVEPOINT residue", err))
		return false;
	if (!residue_search_objects(r->cmd->db, r->plan, r->keys, &res, &n_closed, &one)) {
		if (!db_alive(r->cmd->db))
			return fail(err, one.class, "%s", one.text);
		return not_searched(r, table, one.text, err);
	}
	for (int i = 0; i < PQntuples(res); i++)
		add_finding(r, table, res, i);
	return n_closed == 0 || not_searched(r, table, _("this role may not read it"), NULL);
}

static bool search(struct residue *r, struct error *err)
{
	AUTO(result) PGresult *tables = NULL;

	if ((r->options->timeout &&
	     !db_execf(r->cmd->db, err, "SET LOCAL statement_timeout = '%ss'",
		       r->options->timeout)) ||
	    !db_query(r->cmd->db, tables_sql, 0, NULL, &tables, err))
		return false;
	r->findings = t_strdup(r->ctx, "");
	for (int row = 0; row < PQntuples(tables); row++)
		if (!search_table(r, tables, row, err))
			return false;
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	return search_objects(r, err);
}

#define FINDINGS "(VALUES %s) AS x(\"table\", \"column\", of, exact, inside, covered)"

/*
 * Records what was found.  The transaction that has read the tables of others is over: what their functions have set or
 * prepared is undone.
 */
static bool record(struct residue *r, struct error *err)
{
	const char *found =
		*r->findings ? t_printf(r->ctx, "(SELECT jsonb_agg(to_jsonb(x)) FROM " FINDINGS ")",
					r->findings)
			     : "'[]'";
	const char *sql = t_printf(
		r->ctx,
		"SELECT retention.record_residue(jsonb_build_object('action', '%s', 'contacts', %lld,\n"
		"  'values', %lld, 'tables', %lld, 'not_searched', %lld, 'findings', %s))",
		action_names[r->action], (long long)r->n_contacts, (long long)r->n_values,
		(long long)r->n_tables, (long long)r->n_not_searched, found);

	db_rollback(r->cmd->db);
	db_forget_prepared(r->cmd->db);
	return command_call(r->cmd, sql, 0, NULL, NULL, err);
}

static bool print_findings(struct residue *r, struct error *err)
{
	const char *sql =
		t_printf(r->ctx,
			 "SELECT x.* FROM " FINDINGS "\n"
			 " ORDER BY x.exact + x.inside = 0, x.\"table\", x.\"column\", x.of",
			 r->findings);

	if (*r->findings && !command_list(r->cmd, &(struct command_listing){.sql = sql}, err))
		return false;
	if (!r->options->json)
		printf(_("searched %lld tables for %lld values of %lld contacts: %s would leave "
			 "values in %lld columns\n"),
		       (long long)r->n_tables, (long long)r->n_values, (long long)r->n_contacts,
		       action_names[r->action], (long long)r->n_found);
	else if (!*r->findings)
		puts("[]");
	return r->n_found == 0 && r->n_not_searched == 0;
}

bool command_check_residue(struct command *cmd, struct error *err)
{
	const struct command_options *options = &cmd->options;

	if (!cmd->argument == !options->sample || (options->sample && options->values))
		return fail(err, ERR_USAGE, "%s", _(cmd->spec->give));
	if (options->action && strcmp(options->action, "delete_contacts") != 0 &&
	    strcmp(options->action, "anonymize_contacts") != 0)
		return fail(err, ERR_USAGE,
			    _("--action must be delete_contacts or anonymize_contacts"));
	return true;
}

bool command_residue(struct command *cmd, struct error *err)
{
	struct residue r = {.cmd = cmd, .ctx = cmd->ctx, .options = &cmd->options};

	r.action = cmd->options.action ? action_parse(cmd->options.action)
		   : model_can_anonymize(&cmd->config->model, ACTION_ANONYMIZE_CONTACTS)
			   ? ACTION_ANONYMIZE_CONTACTS
			   : ACTION_DELETE_CONTACTS;
	return prepare(&r, err) && search(&r, err) && (!cmd->options.record || record(&r, err)) &&
	       print_findings(&r, err);
}

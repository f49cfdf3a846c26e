/*
 * model draft: a model to start from, out of the catalog.  model check: what the model that there is
 * does with every table that can be reached, what the daemon refuses of it, and what a person should
 * look at.  Both read, in one snapshot, and write nothing.
 */
#include "command/command.h"

#include "preflight/check_plan.h"
#include "discover/draft.h"
#include "model/disposition.h"
#include "base/mem.h"
#include "discover/names.h"
#include "command/output.h"
#include "base/sql.h"

/* --- model draft --- */

struct draft_words {
	const char *contact, *request, *date;
	bool samples;
};

static bool find_table(const struct schema *found, const char *name, size_t *ret, struct error *err)
{
	size_t n;
	const struct schema_table *t = schema_table(found, name, &n);

	if (!t && n > 1)
		return fail(err, ERR_CONFIG,
			    _("%zu tables are called \"%s\": name the schema too, schema.table"), n,
			    name);
	if (!t)
		return fail(err, ERR_CONFIG,
			    _("there is no table \"%s\": names are exact, as the catalog has them"),
			    name);
	if (!t->key)
		return fail(err, ERR_CONFIG,
			    _("table %s.%s has no key of one column (a whole number, a uuid or a "
			      "text, NOT NULL, with a unique index): give it one"),
			    t->schema, t->name);
	*ret = (size_t)(t - found->tables);
	return true;
}

static bool find_date(const struct schema_table *request, const char *wanted, const char **ret,
		      struct error *err)
{
	if (wanted && !schema_column(request, wanted))
		return fail(err, ERR_CONFIG, _("table %s.%s has no column \"%s\""), request->schema,
			    request->name, wanted);
	*ret = wanted ? wanted : draft_date(request);
	return *ret ? true
		    : fail(err, ERR_CONFIG,
			   _("table %s.%s has no date that ages could be counted from: name its "
			     "column with --date"),
			   request->schema, request->name);
}

static bool draft(struct command *cmd, void *ctx, const struct draft_words *words,
		  struct error *err)
{
	struct draft_opts opts = {.database = PQdb(db_conn(cmd->db)), .samples = words->samples};
	struct schema *found;
	size_t contact = 0, request = 0;
	const char *by;
	int open;

	if (!db_exec(cmd->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) ||
	    !schema_read(cmd->db, words->samples, ctx, &found, err) || !db_commit(cmd->db, err) ||
	    !find_table(found, words->contact, &contact, err) ||
	    !find_table(found, words->request, &request, err) ||
	    !find_date(&found->tables[request], words->date, &opts.date, err))
		return false;
	by = links_request_by(found, contact, request);
	if (!by || contact == request)
		return fail(err, ERR_CONFIG,
			    _("no column of %s points at %s: neither a foreign key, nor a name "
			      "like contact_id"),
			    words->request, words->contact);
	opts.found = found;
	opts.reach = links_walk(ctx, found, contact, request, by);
	fputs(draft_text(ctx, &opts, &open), stdout);
	return true;
}

int command_model_draft(struct command *cmd, int argc, char **argv)
{
	static const struct option longs[] = {{"contact", required_argument, NULL, 'c'},
					      {"request", required_argument, NULL, 'r'},
					      {"date", required_argument, NULL, 'd'},
					      {"samples", no_argument, NULL, 's'},
					      {NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct draft_words words = {0};
	int c;

	while ((c = command_option(cmd, argc, argv, longs)) != -1) {
		if (c == '?')
			return 2;
		if (c == 's')
			words.samples = true;
		else
			*(c == 'c'   ? &words.contact
			  : c == 'r' ? &words.request
				     : &words.date) = optarg;
	}
	if (argc != optind || !words.contact || !words.request)
		return command_wrong_use(cmd, _("--contact TABLE and --request TABLE are needed"));
	if (!command_open(cmd))
		return 1;
	return draft(cmd, ctx, &words, &err) ? 0 : command_failed(&err);
}

/* --- model check --- */

enum { TABLE, NAME, DELETE, ANONYMIZE, REQUESTS, REMARK, CELLS };

struct list {
	const char **items;
	size_t n;
};

struct model_check {
	struct command *cmd;
	void *ctx;
	const struct model *model;
	struct schema *found;
	struct catalog *catalog; /* NULL: the model speaks of what is not there */
	struct list cells[CELLS];
	struct list refused;
	struct list hints;
};

static void push(struct model_check *m, struct list *list, const char *text)
{
	list->items = t_grow(m->ctx, list->items, const char *, list->n + 1);
	list->items[list->n++] = text;
}

/* For a person in the person's language; for a program as it is. */
static const char *word(const struct model_check *m, const char *text)
	__attribute__((format_arg(2)));
static const char *word(const struct model_check *m, const char *text)
{
	return m->cmd->json ? text : gettext(text);
}

/* What links_is_lookup() answers, for the catalogue. */
static const char *const lookups[] __attribute__((unused)) = {
	N_("the company's own people, by its name"),
	N_("a list that others choose from, by its name"),
	N_("nothing in it looks personal"),
	/* And why the daemon refuses a table: discover/schema.c. */
	N_("other tables inherit from it"),
	N_("it has a rule on UPDATE or DELETE"),
	N_("it has row-level security: the daemon needs BYPASSRLS"),
};

#define HINT(m, text, ...)                                                                         \
	push((m), &(m)->hints, t_printf((m)->ctx, word((m), (text)), __VA_ARGS__))

static const char *disposition_word(const struct model_check *m, const struct table *t,
				    enum action action)
{
	switch (disposition_of(t, action, ARCHIVE_NONE)) {
	case DISPOSITION_KEEP:
		return word(m, N_("kept"));
	case DISPOSITION_UPDATE:
		return word(m, N_("anonymized"));
	case DISPOSITION_DETACH:
		return word(m, N_("detached"));
	case DISPOSITION_DELETE:
		return word(m, N_("deleted"));
	case DISPOSITION_NONE:
	case DISPOSITION_COPY:
		break;
	}
	return "";
}

static bool is_table(const struct table *t, const struct schema_table *found)
{
	return strcmp(t->schema, found->schema) == 0 && strcmp(t->table, found->name) == 0;
}

/* A row for each of its names in the model; false: it has none. */
static bool add_mapped(struct model_check *m, const struct schema_table *found)
{
	bool mapped = false;

	for (size_t i = 0; i < m->model->n_tables; i++) {
		const struct table *t = &m->model->tables[i];

		if (!is_table(t, found))
			continue;
		mapped = true;
		push(m, &m->cells[TABLE], t_printf(m->ctx, "%s.%s", found->schema, found->name));
		push(m, &m->cells[NAME], t->name);
		push(m, &m->cells[DELETE], disposition_word(m, t, ACTION_DELETE_CONTACTS));
		push(m, &m->cells[ANONYMIZE], disposition_word(m, t, ACTION_ANONYMIZE_CONTACTS));
		push(m, &m->cells[REQUESTS], disposition_word(m, t, ACTION_ANONYMIZE_REQUESTS));
		push(m, &m->cells[REMARK], found->trouble ? word(m, found->trouble) : "");
	}
	return mapped;
}

static void add_unmapped(struct model_check *m, const struct schema_table *found, const char *why)
{
	push(m, &m->cells[TABLE], t_printf(m->ctx, "%s.%s", found->schema, found->name));
	for (int i = NAME; i < REMARK; i++)
		push(m, &m->cells[i], "");
	push(m, &m->cells[REMARK], why);
}

/* How it is reached, where the model does not name it. */
static void add_overlooked(struct model_check *m, const struct links *reach,
			   const struct reached *item)
{
	const struct schema_table *t = &m->found->tables[item->table];
	const struct schema_table *parent = &m->found->tables[reach->items[item->of].table];
	const char *why;

	if (item->how == LINKS_REVERSE)
		why = t_printf(m->ctx, word(m, N_("not mapped, and %s.%s points there")),
			       parent->name, item->from);
	else
		why = t_printf(m->ctx, word(m, N_("not mapped, and its %s points at %s")), item->by,
			       parent->name);
	add_unmapped(m, t, why);
	HINT(m, N_("table %s.%s: %s"), t->schema, t->name, why);
}

static bool is_pointed_at(const struct model_check *m, const struct links *reach, size_t table)
{
	for (size_t i = 0; i < m->found->n_keys; i++)
		if (m->found->keys[i].to == table && links_of(reach, m->found->keys[i].from))
			return true;
	return false;
}

/* Nothing leads there: a log of mails, say, that knows its people by a copy of their address. */
static void find_stranger(struct model_check *m, const struct schema_table *table)
{
	if (names_of_table(table->name) == NAME_TABLE_STAFF)
		return;
	for (size_t i = 0; i < table->n_columns; i++) {
		const struct schema_column *c = &table->columns[i];

		if (c->foreign || c->primary || names_of(c->name, NULL) != NAME_PERSON)
			continue;
		HINT(m,
		     N_("table %s.%s: no key leads there, and its \"%s\" looks personal: match finds "
			"copies, retentionctl residue says whose are there"),
		     table->schema, table->name, c->name);
		return;
	}
}

/* Questions that the draft has left to a person, unanswered: on their lines as long as they stand there. */
static void find_marks(struct model_check *m)
{
	static const char mark[] = "TO"
				   "DO";
	const char *path = m->model->place.file;
	FILE *file = fopen(path, "re");
	AUTO(char_p) char *line = NULL;
	size_t size = 0;

	for (int n = 1; file && getline(&line, &size, file) >= 0; n++) {
		const char *comment = strchr(line, '#');

		if (comment && comment > line &&
		    strstr(comment, mark)) /* the head only speaks of them */
			HINT(m, N_("%s:%d: a mark of the draft, %s, is still there"), path, n,
			     mark);
	}
	if (file)
		(void)fclose(file); /* was only read */
}

static void find_coverage(struct model_check *m)
{
	size_t roots[2] = {LINKS_NONE, LINKS_NONE};
	struct links *reach;

	for (size_t i = 0; i < m->found->n_tables; i++) {
		if (is_table(m->model->contact, &m->found->tables[i]))
			roots[0] = i;
		if (is_table(m->model->request, &m->found->tables[i]))
			roots[1] = i;
	}
	if (roots[0] == LINKS_NONE || roots[1] == LINKS_NONE)
		return; /* refused for that already */
	reach = links_walk(m->ctx, m->found, roots[0], roots[1], m->model->request->by);
	for (size_t t = 0; t < m->found->n_tables; t++) {
		const struct reached *item = links_of(reach, t);
		const struct schema_table *table = &m->found->tables[t];
		const char *lookup = links_is_lookup(table);

		if (add_mapped(m, table))
			continue;
		/* A guess that nothing backs is not worth a warning. */
		if (item && !(item->how == LINKS_TYPE && item->value_guessed && lookup))
			add_overlooked(m, reach, item);
		else if (is_pointed_at(m, reach, t))
			add_unmapped(m, table, lookup ? word(m, lookup) : "");
		else if (!lookup)
			find_stranger(m, table);
	}
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

/* Does the model keep this column on purpose: by a rule, or with its whole table? */
static bool is_kept(const struct model_check *m, const struct table *t, const char *column)
{
	if (t->on_anonymize == ON_ANONYMIZE_KEEP)
		return !has_rules(m, m->catalog->relations[t->index].oid);
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].kind == RULE_KEEP && strcmp(t->rules[i].column, column) == 0)
			return true;
	return false;
}

static void find_kept(struct model_check *m, const struct table *t,
		      const struct schema_table *found)
{
	const char *const links[] = {t->key, t->by, t->date, t->created};

	for (size_t i = 0; i < found->n_columns; i++) {
		const struct schema_column *c = &found->columns[i];
		bool link = c->foreign || c->primary || c->generated;
		const char *why;

		for (int l = 0; l < 4; l++)
			link = link || (links[l] && strcmp(links[l], c->name) == 0);
		if (!link && is_kept(m, t, c->name) &&
		    schema_verdict(m->ctx, c, &why) == VERDICT_CLEAR)
			HINT(m, N_("table \"%s\": column \"%s\" is kept, and looks personal"),
			     t->name, c->name);
	}
}

static bool key_says_it(const struct model_check *m, const struct table *t)
{
	for (size_t i = 0; i < m->catalog->n_keys; i++) {
		const struct foreign_key *k = &m->catalog->keys[i];

		if (!k->indexed && k->from_oid == m->catalog->relations[t->index].oid &&
		    strcmp(k->column, t->by) == 0)
			return true;
	}
	return false;
}

static void find_indexes(struct model_check *m)
{
	for (size_t i = 0; i < m->model->n_tables; i++) {
		const struct table *t = &m->model->tables[i];

		if (t->by && !m->catalog->relations[i].by_indexed && !key_says_it(m, t))
			HINT(m,
			     N_("table \"%s\": no index behind its link: CREATE INDEX CONCURRENTLY "
				"ON %s (%s);"),
			     t->name, sql_table(m->ctx, t->schema, t->table),
			     sql_ident(m->ctx, t->by));
	}
	for (size_t i = 0; i < m->catalog->n_keys; i++) {
		const struct foreign_key *k = &m->catalog->keys[i];

		if (!k->indexed)
			HINT(m,
			     N_("foreign key \"%s\": no index behind it: CREATE INDEX CONCURRENTLY "
				"ON %s (%s);"),
			     k->name, k->from_sql, k->columns_sql);
	}
}

/* Foreign keys from tables that the model does not name. */
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
			     N_("foreign key \"%s\" of %s (%s) points at \"%s\" from outside the "
				"model"),
			     k->name, k->from_name, k->column, to->name);
	}
}

/* What the daemon says of it, as retentiond -t would. */
static bool find_refusals(struct model_check *m, struct error *err)
{
	AUTO(complaints) struct complaints c = {0};

	if (!check_config(m->cmd->db, m->cmd->config, m->ctx, &m->catalog, &c, err) &&
	    err->class != ERR_NONE)
		return false;
	for (size_t i = 0; i < c.n; i++)
		push(m, &m->refused, t_strdup(m->ctx, c.lines[i]));
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
	if (m->cmd->json) {
		const char *sql = t_printf(
			m->ctx,
			"SELECT jsonb_pretty(jsonb_build_object('tables',\n"
			"  (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM (%s) AS s),\n"
			"  'refused', to_jsonb($7::text[]), 'hints', to_jsonb($8::text[]))) AS json",
			cells_sql);

		if (!db_query(m->cmd->db, sql, CELLS + 2, values, &res, err))
			return false;
		puts(db_text(res, 0, "json"));
		return true;
	}
	if (!db_query(m->cmd->db, cells_sql, CELLS, values, &res, err))
		return false;
	output_table(res);
	puts("");
	for (size_t i = 0; i < m->refused.n; i++)
		printf(_("refused: %s\n"), m->refused.items[i]);
	for (size_t i = 0; i < m->hints.n; i++)
		printf(_("look at: %s\n"), m->hints.items[i]);
	printf(_("%zu refused by the daemon, %zu to look at\n"), m->refused.n, m->hints.n);
	return true;
}

static bool check_model(struct model_check *m, struct error *err)
{
	if (!find_refusals(m, err) || !schema_read(m->cmd->db, true, m->ctx, &m->found, err))
		return false;
	find_coverage(m);
	find_marks(m);
	for (size_t i = 0; m->catalog && i < m->model->n_tables; i++)
		for (size_t t = 0; t < m->found->n_tables; t++)
			if (is_table(&m->model->tables[i], &m->found->tables[t]))
				find_kept(m, &m->model->tables[i], &m->found->tables[t]);
	if (m->catalog) {
		find_indexes(m);
		find_outside(m);
	}
	return print_check(m, err);
}

int command_model_check(struct command *cmd, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct model_check m = {.cmd = cmd, .ctx = ctx};

	if (!command_list_options(cmd, argc, argv))
		return 2;
	if (!command_open(cmd))
		return 1;
	m.model = &cmd->config->model;
	if (!check_model(&m, &err))
		return command_failed(&err);
	return m.refused.n ? 1 : 0;
}

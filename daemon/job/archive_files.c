/*
 * A job's archive as the database knows it, and whether that is what is there and what the model would write now.
 */
#include "job/job_state.h"

#include "archive/finish.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/sql.h"

static const char *relation_of(const struct job *j, const struct table *t)
{
	return t_printf(j->ctx, "%s.%s", t->schema, t->table);
}

static struct job_part part_of(const struct job *j, const struct step *s)
{
	return (struct job_part){.label = s->disposition == DISPOSITION_DETACH
						  ? t_printf(j->ctx, "%s.detached", s->table->name)
						  : s->table->name,
				 .relation = relation_of(j, s->table),
				 .types = s->types,
				 .columns = s->columns,
				 .n_columns = s->n_columns};
}

static void add_file(struct job *j, const struct job_part *part, const char *header, bool bom)
{
	j->files = t_grow(j->ctx, j->files, struct archive_file, j->archive.n_files + 1);
	j->parts = t_grow(j->ctx, j->parts, struct job_part, j->archive.n_files + 1);
	j->files[j->archive.n_files] = (struct archive_file){
		.name = t_printf(j->ctx, "%s.csv", part->label), .header = header, .bom = bom};
	j->parts[j->archive.n_files++] = *part;
	j->archive.files = j->files;
}

/* What the journal is told of each step, and asked. */
static void name_steps(struct job *j)
{
	const size_t n = j->plan->n_steps;
	const char **labels = t_array(j->ctx, const char *, n + 1);
	const char **headers = t_array(j->ctx, const char *, n + 1);
	const char **columns = t_array(j->ctx, const char *, n + 1);
	const char **types = t_array(j->ctx, const char *, n + 1);
	const char **relations = t_array(j->ctx, const char *, n + 1);
	const char **bases = t_array(j->ctx, const char *, n + 1);
	const char **tables = t_array(j->ctx, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &j->plan->steps[i];
		const struct job_part part = part_of(j, s);

		bases[i] = part.label;
		tables[i] = sql_table(j->ctx, s->table->schema, s->table->table);
		relations[i] = part.relation;
		/* Where the files are kept no batch will run any more. */
		labels[i] =
			s->archived && !j->files_kept ? j->parts[s->file_number].label : part.label;
		headers[i] = s->archived ? s->header : "";
		types[i] = s->archived ? s->types : "";
		columns[i] = s->archived ? sql_array(j->ctx, s->columns, s->n_columns) : "";
	}
	j->batch.labels = sql_array(j->ctx, labels, n);
	j->batch.headers = sql_array(j->ctx, headers, n);
	j->batch.columns = sql_array(j->ctx, columns, n);
	j->batch.types = sql_array(j->ctx, types, n);
	j->batch.relations = sql_array(j->ctx, relations, n);
	j->step_tables.labels = sql_array(j->ctx, bases, n);
	j->step_tables.names = sql_array(j->ctx, tables, n);
}

void job_name_files(struct job *j)
{
	j->files = NULL;
	j->parts = NULL;
	j->archive.n_files = 0;
	j->files_kept = false;
	for (size_t i = 0; i < j->plan->n_steps; i++) {
		const struct step *s = &j->plan->steps[i];
		const struct job_part part = part_of(j, s);

		if (s->archived)
			add_file(j, &part, s->header, j->opts->config->bom);
	}
	name_steps(j);
}

const char *job_labels(const struct job *j)
{
	const char **labels = t_array(j->ctx, const char *, j->archive.n_files + 1);

	for (size_t i = 0; i < j->archive.n_files; i++)
		labels[i] = j->parts[i].label;
	return sql_array(j->ctx, labels, j->archive.n_files);
}

/* What was archived before, or is kept for the archive's end, in the order of the parts, a row for each column of each. */
static bool read_begun(struct job *j, PGresult **ret, struct error *err)
{
	static const char sql[] =
		"SELECT b.*, c.name\n"
		"  FROM (SELECT f.table_name AS label, " JOURNAL_BASE_LABEL " AS base,\n"
		"               min(f.header) AS header, min(f.columns) AS columns, min(f.types) AS types,\n"
		"               min(f.relation) AS relation, bool_or(f.bom) AS bom, min(f.place) AS place\n"
		"          FROM retention.archive_file AS f\n"
		"         WHERE f.job = $1::int AND (f.bytes > 0 OR f.place IS NOT NULL) GROUP BY 1, 2) AS b\n"
		"  LEFT JOIN LATERAL unnest(b.columns) WITH ORDINALITY AS c(name, n) ON true\n"
		" ORDER BY b.place, length(b.label), b.label, c.n";
	const char *const values[] = {t_printf(j->ctx, "%d", j->row.id)};

	return db_query(j->db, sql, 1, values, ret, err);
}

struct begun {
	struct job_part part;
	const char *base; /* its label, without the number behind a dot */
	const char *header; /* NULL: an earlier version did not tell */
	bool bom;
	bool kept;
};

/* Of read_begun()'s rows. */
static struct begun *list_begun(struct job *j, const PGresult *rows, size_t *ret_n)
{
	struct begun *list = t_array(j->ctx, struct begun, (size_t)PQntuples(rows) + 1);
	struct begun *b = NULL;
	const char **columns = NULL;

	*ret_n = 0;
	for (int row = 0; row < PQntuples(rows); row++) {
		const char *name = db_text(rows, row, "name");

		if (!b || strcmp(b->part.label, db_text(rows, row, "label")) != 0) {
			b = &list[(*ret_n)++];
			*b = (struct begun){
				.part = {.label = t_strdup(j->ctx, db_text(rows, row, "label")),
					 .relation = db_text_copy(j->ctx, rows, row, "relation"),
					 .types = db_text_copy(j->ctx, rows, row, "types")},
				.base = t_strdup(j->ctx, db_text(rows, row, "base")),
				.header = db_text_copy(j->ctx, rows, row, "header"),
				.bom = db_bool(rows, row, "bom"),
				.kept = db_text(rows, row, "place"),
			};
			columns = NULL;
		}
		if (!name)
			continue;
		columns = t_grow(j->ctx, columns, const char *, b->part.n_columns + 1);
		columns[b->part.n_columns++] = t_strdup(j->ctx, name);
		b->part.columns = columns;
	}
	return list;
}

/* Would b's file hold the rows as they would be written now?  What an earlier version did not tell is taken to be so. */
static bool goes_on(const struct begun *b, const struct job_part *part, const char *header)
{
	return (!b->header || strcmp(b->header, header) == 0) &&
	       (!b->part.types || strcmp(b->part.types, part->types) == 0) &&
	       (!b->part.relation || strcmp(b->part.relation, part->relation) == 0);
}

/* relation: where an earlier version did not tell. */
static void add_begun(struct job *j, const struct begun *b, const char *relation)
{
	struct job_part part = b->part;

	if (!part.relation)
		part.relation = relation;
	add_file(j, &part, b->header, j->opts->config->bom);
}

/* One that was begun goes on in the step's place, the others behind all; where none does, a new one is begun. */
static void continue_file(struct job *j, size_t file, const struct begun *list, size_t n)
{
	const struct job_part now = j->parts[file];
	const char *header = j->files[file].header;
	const struct begun *chosen = NULL;
	const char *label;
	size_t parts = 0;

	for (size_t i = 0; i < n; i++) {
		const struct begun *b = &list[i];

		if (strcmp(b->base, now.label) != 0)
			continue;
		parts++;
		if (!chosen && goes_on(b, &now, header))
			chosen = b;
		else
			add_begun(j, b, now.relation);
	}
	label = chosen      ? chosen->part.label
		: parts > 0 ? t_printf(j->ctx, "%s.%zu", now.label, parts + 1)
			    : now.label;
	j->parts[file].label = label;
	j->files[file].name = t_printf(j->ctx, "%s.csv", label);
}

/* Is it the label of one of the first n_steps files, as the model has them? */
static bool has_file(const struct job *j, size_t n_steps, const char *base)
{
	for (size_t i = 0; i < n_steps; i++)
		if (strcmp(j->parts[i].label, base) == 0)
			return true;
	return false;
}

static bool has_table(const struct job *j, const char *relation)
{
	const struct model *m = j->plan->model;

	for (size_t i = 0; i < m->n_tables; i++)
		if (strcmp(relation_of(j, &m->tables[i]), relation) == 0)
			return true;
	return false;
}

/* A table that the database has no more, nor the model: what was archived of it stays in the archive. */
static bool is_of_a_dropped_table(const struct job *j, const struct begun *b)
{
	return b->header && b->part.relation && !has_table(j, b->part.relation);
}

static bool check_names(struct job *j, const struct begun *list, size_t n, struct error *err)
{
	char *unknown = t_strdup(j->ctx, "");

	for (size_t i = 0; i < n; i++)
		if (!has_file(j, j->archive.n_files, list[i].base) &&
		    !is_of_a_dropped_table(j, &list[i]))
			t_append(&unknown, "%s%s", *unknown ? ", " : "", list[i].part.label);
	return !*unknown ||
	       fail(err, ERR_CONFIG,
		    "action %d has archived rows of %s, which the model does not archive under that "
		    "name any more: undo that, end the job, and change it then",
		    j->row.id, unknown);
}

static bool check_delimiter(const struct job *j, const struct begun *list, size_t n,
			    struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].header &&
		    strcmp(list[i].header,
			   plan_header(j->ctx, list[i].part.columns, list[i].part.n_columns,
				       j->opts->config->delimiter)) != 0)
			return archive_fail_head(list[i].part.label, err);
	return true;
}

static void take_kept(struct job *j, const struct begun *list, size_t n)
{
	j->archive.n_files = 0;
	j->files_kept = true;
	for (size_t i = 0; i < n; i++)
		if (list[i].kept)
			add_file(j, &list[i].part, list[i].header, list[i].bom);
}

bool job_continue_files(struct job *j, struct error *err)
{
	const size_t n_steps = j->archive.n_files;
	AUTO(result) PGresult *rows = NULL;
	struct begun *list;
	size_t n;

	if (!read_begun(j, &rows, err))
		return false;
	list = list_begun(j, rows, &n);
	if (!check_delimiter(j, list, n, err))
		return false;
	if (n > 0 && list[0].kept) { /* NULLs last */
		take_kept(j, list, n);
	} else {
		if (!check_names(j, list, n, err))
			return false;
		for (size_t i = 0; i < n; i++)
			if (!has_file(j, n_steps, list[i].base))
				add_begun(j, &list[i], NULL);
		for (size_t file = 0; file < n_steps; file++)
			continue_file(j, file, list, n);
	}
	name_steps(j);
	return true;
}

bool job_keep_files(struct job *j, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.archive_file AS f (job, worker, table_name, bytes, rows,\n"
		"       header, columns, types, relation, bom, place)\n"
		"SELECT $1::int, 0, u.label, 0, 0, u.header, u.columns::text[], nullif(u.types, ''),\n"
		"       u.relation, $7::bool, u.place\n"
		"  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY\n"
		"       AS u(label, header, columns, types, relation, place)\n"
		"    ON CONFLICT ON CONSTRAINT archive_file_pkey DO UPDATE\n"
		"   SET header = excluded.header, columns = excluded.columns, types = excluded.types,\n"
		"       relation = excluded.relation, bom = excluded.bom, place = excluded.place";
	const size_t n = j->archive.n_files;
	const char **headers = t_array(j->ctx, const char *, n + 1);
	const char **columns = t_array(j->ctx, const char *, n + 1);
	const char **types = t_array(j->ctx, const char *, n + 1);
	const char **relations = t_array(j->ctx, const char *, n + 1);

	if (j->files_kept)
		return true;
	for (size_t i = 0; i < n; i++) {
		const struct job_part *part = &j->parts[i];

		headers[i] = j->files[i].header;
		columns[i] = sql_array(j->ctx, part->columns, part->n_columns);
		types[i] = part->types ? part->types : "";
		relations[i] = part->relation;
	}
	{
		const char *const values[] = {t_printf(j->ctx, "%d", j->row.id),
					      job_labels(j),
					      sql_array(j->ctx, headers, n),
					      sql_array(j->ctx, columns, n),
					      sql_array(j->ctx, types, n),
					      sql_array(j->ctx, relations, n),
					      j->opts->config->bom ? "true" : "false"};

		if (!db_command(j->db, sql, 7, values, NULL, err))
			return false;
	}
	j->files_kept = true;
	failpoint("finish-after-keep");
	return true;
}

bool job_check_segments(struct job *j, struct error *err)
{
	struct committed committed;

	return j->done_before >= j->row.candidates ||
	       (journal_committed(j->db, j->row.id, job_labels(j), j->ctx, &committed, err) &&
		archive_check(&j->archive, committed.workers, committed.bytes, err));
}

/*
 * A job's archive as the database knows it, and whether that is what is there and what the model would write now.
 */
#include "job_run.h"

#include "mem.h"
#include "sql.h"

static struct job_part part_of(const struct job *j, const struct step *s)
{
	return (struct job_part){.label = s->fate == FATE_DETACH
						  ? t_printf(j->ctx, "%s.detached", s->table->name)
						  : s->table->name,
				 .step = s,
				 .columns = s->columns,
				 .n_columns = s->n_columns};
}

static void add_file(struct job *j, const struct job_part *part, const char *header)
{
	j->files = t_grow(j->ctx, j->files, struct archive_file, j->n_files + 1);
	j->parts = t_grow(j->ctx, j->parts, struct job_part, j->n_files + 1);
	j->files[j->n_files] =
		(struct archive_file){.name = t_printf(j->ctx, "%s.csv", part->label),
				      .header = header,
				      .bom = j->opts->config->bom};
	j->parts[j->n_files++] = *part;
}

/* What the journal is told of each step, and asked. */
static void name_steps(struct job *j)
{
	const size_t n = j->plan->n_steps;
	const char **labels = t_array(j->ctx, const char *, n + 1);
	const char **headers = t_array(j->ctx, const char *, n + 1);
	const char **columns = t_array(j->ctx, const char *, n + 1);
	const char **bases = t_array(j->ctx, const char *, n + 1);
	const char **tables = t_array(j->ctx, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &j->plan->steps[i];

		bases[i] = part_of(j, s).label;
		tables[i] = sql_table(j->ctx, s->table->schema, s->table->table);
		labels[i] = s->archived ? j->parts[s->file_number].label : bases[i];
		headers[i] = s->archived ? s->header : "";
		columns[i] = s->archived ? sql_array(j->ctx, s->columns, s->n_columns) : "";
	}
	j->batch.labels = sql_array(j->ctx, labels, n);
	j->batch.headers = sql_array(j->ctx, headers, n);
	j->batch.columns = sql_array(j->ctx, columns, n);
	j->step_labels = sql_array(j->ctx, bases, n);
	j->step_tables = sql_array(j->ctx, tables, n);
}

void job_name_files(struct job *j)
{
	j->files = NULL;
	j->parts = NULL;
	j->n_files = 0;
	for (size_t i = 0; i < j->plan->n_steps; i++) {
		const struct step *s = &j->plan->steps[i];
		const struct job_part part = part_of(j, s);

		if (s->archived)
			add_file(j, &part, s->header);
	}
	name_steps(j);
}

const char *const *job_labels(const struct job *j)
{
	const char **labels = t_array(j->ctx, const char *, j->n_files + 1);

	for (size_t i = 0; i < j->n_files; i++)
		labels[i] = j->parts[i].label;
	return labels;
}

bool job_committed(struct job *j, struct job_lengths *ret, struct error *err)
{
	const char *const *labels = job_labels(j);
	const size_t n = j->n_files;
	int workers = 0;

	if (!journal_workers(j->db, j->row.id, &workers, err))
		return false;
	if (workers < 1)
		workers = 1;
	ret->workers = workers;
	ret->bytes = t_array(j->ctx, int64_t, (size_t)workers * (n + 1));
	ret->rows = t_array(j->ctx, int64_t, (size_t)workers * (n + 1));
	for (int w = 0; w < workers; w++)
		if (!journal_lengths(j->db, j->row.id, w, labels, n, ret->bytes + (size_t)w * n,
				     ret->rows + (size_t)w * n, err))
			return false;
	return true;
}

/* What was archived before, in the order of the parts, a row for each column of each. */
static bool read_begun(struct job *j, PGresult **ret, struct error *err)
{
	static const char sql[] =
		"SELECT b.label, b.base, b.header, c.name\n"
		"  FROM (SELECT f.table_name AS label, " JOURNAL_BASE_LABEL " AS base,\n"
		"               min(f.header) AS header, min(f.columns) AS columns\n"
		"          FROM retention.archive_file AS f\n"
		"         WHERE f.job = $1::int AND f.bytes > 0 GROUP BY 1, 2) AS b\n"
		"  LEFT JOIN LATERAL unnest(b.columns) WITH ORDINALITY AS c(name, n) ON true\n"
		" ORDER BY length(b.label), b.label, c.n";
	const char *const values[] = {t_printf(j->ctx, "%d", j->row.id)};

	return db_query(j->db, sql, 1, values, ret, err);
}

struct begun {
	struct job_part part;
	const char *base; /* its label, without the number behind a dot */
	const char *header; /* NULL: an earlier version did not tell */
};

/* Of read_begun()'s rows. */
static struct begun *list_begun(struct job *j, const PGresult *rows, size_t *ret_n)
{
	struct begun *list = t_array(j->ctx, struct begun, (size_t)PQntuples(rows) + 1);
	struct begun *b = NULL;
	const char **columns = NULL;

	*ret_n = 0;
	for (int row = 0; row < PQntuples(rows); row++) {
		const char *label = db_text(rows, row, "label"), *name = db_text(rows, row, "name");
		const char *header = db_text(rows, row, "header");

		if (!b || strcmp(b->part.label, label) != 0) {
			b = &list[(*ret_n)++];
			b->part.label = t_strdup(j->ctx, label);
			b->base = t_strdup(j->ctx, db_text(rows, row, "base"));
			b->header = header ? t_strdup(j->ctx, header) : NULL;
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

/* Which of what was begun for the file goes on: the one with its columns; at the job's end, the last; NULL: a new one does. */
static const struct begun *choose(const char *base, const char *header, const struct begun *list,
				  size_t n, bool ends)
{
	const struct begun *last = NULL;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].base, base) != 0)
			continue;
		if (!list[i].header || strcmp(list[i].header, header) == 0)
			return &list[i];
		last = &list[i];
	}
	return ends ? last : NULL;
}

static void rename_file(struct job *j, size_t file, const char *label)
{
	j->parts[file].label = label;
	j->files[file].name = t_printf(j->ctx, "%s.csv", label);
}

static void continue_file(struct job *j, size_t file, const struct begun *list, size_t n, bool ends)
{
	const char *base = j->parts[file].label;
	const struct step *s = j->parts[file].step;
	const struct begun *chosen = choose(base, s->header, list, n, ends);
	size_t parts = 0;

	for (size_t i = 0; i < n; i++) {
		struct job_part part = list[i].part;

		if (strcmp(list[i].base, base) != 0)
			continue;
		parts++;
		part.step = s;
		if (&list[i] != chosen)
			add_file(j, &part, list[i].header);
	}
	if (chosen) {
		rename_file(j, file, chosen->part.label);
		if (chosen->header) { /* at its end, another than the table has */
			j->files[file].header = chosen->header;
			j->parts[file].columns = chosen->part.columns;
			j->parts[file].n_columns = chosen->part.n_columns;
		}
	} else if (parts > 0) {
		rename_file(j, file, t_printf(j->ctx, "%s.%zu", base, parts + 1));
	}
}

static bool has_file(const struct job *j, const char *base)
{
	for (size_t i = 0; i < j->n_files; i++)
		if (strcmp(j->parts[i].label, base) == 0)
			return true;
	return false;
}

static bool check_begun(struct job *j, const struct begun *list, size_t n, struct error *err)
{
	const char delimiter = j->opts->config->delimiter;
	char *unknown = t_strdup(j->ctx, "");

	for (size_t i = 0; i < n; i++)
		if (!has_file(j, list[i].base))
			t_append(&unknown, "%s%s", *unknown ? ", " : "", list[i].part.label);
	if (*unknown)
		return fail(
			err, ERR_CONFIG,
			"action %d has archived rows of %s, which the model does not archive under that "
			"name any more: undo that, end the job, and change it then",
			j->row.id, unknown);
	for (size_t i = 0; i < n; i++)
		if (list[i].header &&
		    strcmp(list[i].header, plan_header(j->ctx, list[i].part.columns,
						       list[i].part.n_columns, delimiter)) != 0)
			return archive_fail_head(list[i].part.label, err);
	return true;
}

bool job_has_manifest(const struct job *j)
{
	const char *path = t_printf(j->ctx, "%s/%s.partial/manifest.json",
				    j->opts->config->directory, j->archive_name);

	return access(path, F_OK) == 0;
}

bool job_continue_files(struct job *j, struct error *err)
{
	const size_t n_steps = j->n_files;
	/* The manifest says what there is: nothing is begun any more. */
	const bool ends = job_has_manifest(j) ||
			  archive_is_finished(j->opts->config->directory, j->archive_name);
	AUTO(result) PGresult *rows = NULL;
	struct begun *list;
	size_t n;

	if (!read_begun(j, &rows, err))
		return false;
	list = list_begun(j, rows, &n);
	if (!check_begun(j, list, n, err))
		return false;
	for (size_t file = 0; file < n_steps; file++)
		continue_file(j, file, list, n, ends);
	name_steps(j);
	return true;
}

bool job_check_segments(struct job *j, struct error *err)
{
	struct job_lengths lengths;

	return j->done_before >= j->row.candidates ||
	       (job_committed(j, &lengths, err) &&
		archive_check(j->opts->config->directory, j->archive_name, j->files, j->n_files,
			      lengths.workers, lengths.bytes, err));
}

/*
 * The files of a job's archive.  They are written to the journal before the first batch, and are the
 * archive's from the first row on, whatever the tables or the model become: no file has two headers.  When
 * a table has changed while keys are left, the job ends there, with the files as they are (job/finish.c).
 * A job that has archived nothing writes them anew instead.  So each action that ends early has made
 * progress, and a table that changes again and again does not call forth one empty action after another.
 */
#include "job/job_state.h"

#include "archive/finish.h"
#include "archive/layout.h"
#include "base/failpoint.h"
#include "base/sql.h"

static const char *relation_of(const struct job *j, const struct table *t)
{
	return t_printf(j->ctx, "%s.%s", t->schema, t->table);
}

static const char *label_of(const struct job *j, const struct step *s)
{
	return s->disposition == DISPOSITION_DETACH
		       ? t_printf(j->ctx, "%s.detached", s->table->name)
		       : s->table->name;
}

static void add_file(struct job *j, const struct job_file *file)
{
	const size_t n = j->archive.n_files++;

	j->archive.files = t_grow(j->ctx, j->archive.files, struct archive_file, n + 1);
	j->files = t_grow(j->ctx, j->files, struct job_file, n + 1);
	j->archive.files[n] = (struct archive_file){
		.name = t_printf(j->ctx, "%s.csv", file->label),
		.head = t_printf(j->ctx, "%s%s", file->bom ? ARCHIVE_BOM : "", file->header)};
	j->files[n] = *file;
}

static void forget_files(struct job *j)
{
	j->files = NULL;
	j->archive.files = NULL;
	j->archive.n_files = 0;
}

/* The mark says that UTF-8 follows, which of bytes nobody knows. */
static bool has_bom(const struct job *j)
{
	return j->opts->config->bom && db_knows_characters(j->db);
}

void job_name_files(struct job *j)
{
	const size_t n = j->plan->n_steps;
	const char **labels = t_array(j->ctx, const char *, n + 1);

	forget_files(j);
	for (size_t i = 0; i < n; i++) {
		const struct step *s = &j->plan->steps[i];
		const struct job_file file = {.label = label_of(j, s),
					      .relation = relation_of(j, s->table),
					      .header = s->header,
					      .bom = has_bom(j),
					      .types = s->types,
					      .columns = s->columns,
					      .n_columns = s->n_columns};

		labels[i] = file.label;
		if (s->archived)
			add_file(j, &file);
	}
	j->batch.labels = sql_array(j->ctx, labels, n);
}

const char *job_labels(const struct job *j)
{
	const char **labels = t_array(j->ctx, const char *, j->archive.n_files + 1);

	for (size_t i = 0; i < j->archive.n_files; i++)
		labels[i] = j->files[i].label;
	return sql_array(j->ctx, labels, j->archive.n_files);
}

/*
 * Takes the files back as long as no batch has committed a row of theirs; the fence keeps an older claim's
 * batch out.  Segments that are begun are cut back to nothing, or removed when the archive is sealed.
 */
static bool take_back_files(struct job *j, struct error *err)
{
	static const char sql[] =
		"UPDATE retention.archive_file\n"
		"   SET header = NULL, columns = NULL, types = NULL, bom = NULL, place = NULL\n"
		" WHERE job = $1::int AND place IS NOT NULL\n"
		"   AND NOT EXISTS (SELECT FROM retention.archive_file\n"
		"                    WHERE job = $1::int AND (bytes > 0 OR rows > 0))";

	return db_command(j->db, sql, 1, &j->id, NULL, err);
}

/*
 * Writes the files to the journal, and for what is only counted its table.  Killed before it, the next try
 * does it, because no batch has run; killed after it, the next try takes them back and writes them again.
 */
static bool record_files(struct job *j, struct error *err)
{
	static const char sql[] =
		"INSERT INTO retention.archive_file AS f (job, worker, table_name, relation,\n"
		"       header, columns, types, bom, place)\n"
		"SELECT $1::int, 0, u.label, u.relation, nullif(u.header, ''),\n"
		"       nullif(u.columns, '')::text[], nullif(u.types, ''),\n"
		"       CASE WHEN u.header <> '' THEN $7::boolean END,\n"
		"       CASE WHEN u.header <> '' THEN u.place END\n"
		"  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])\n"
		"       WITH ORDINALITY AS u(label, relation, header, columns, types, place)\n"
		"    ON CONFLICT ON CONSTRAINT archive_file_pkey DO UPDATE\n"
		"   SET relation = excluded.relation, header = excluded.header,\n"
		"       columns = excluded.columns, types = excluded.types, bom = excluded.bom,\n"
		"       place = excluded.place\n"
		" WHERE f.place IS NULL AND (excluded.place IS NOT NULL\n"
		"                            OR f.relation IS DISTINCT FROM excluded.relation)";
	const size_t n = j->plan->n_steps;
	const char **relations = t_array(j->ctx, const char *, n + 1);
	const char **headers = t_array(j->ctx, const char *, n + 1);
	const char **columns = t_array(j->ctx, const char *, n + 1);
	const char **types = t_array(j->ctx, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &j->plan->steps[i];

		relations[i] = relation_of(j, s->table);
		headers[i] = s->archived ? s->header : "";
		columns[i] = s->archived ? sql_array(j->ctx, s->columns, s->n_columns) : "";
		types[i] = s->archived ? s->types : "";
	}
	if (!db_command(j->db, sql, 7,
			(const char *const[]){
				j->id, j->batch.labels, sql_array(j->ctx, relations, n),
				sql_array(j->ctx, headers, n), sql_array(j->ctx, columns, n),
				sql_array(j->ctx, types, n), has_bom(j) ? "true" : "false"},
			NULL, err))
		return false;
	failpoint("job-after-files");
	return true;
}

/* Reads the files that the journal has, in the archive's order, a row for each column of each. */
static bool read_files(struct job *j, PGresult **ret, struct error *err)
{
	static const char sql[] =
		"SELECT f.table_name AS label, f.relation, f.header, f.types, f.bom, c.name\n"
		"  FROM retention.archive_file AS f\n"
		" CROSS JOIN LATERAL unnest(f.columns) WITH ORDINALITY AS c(name, n)\n"
		" WHERE f.job = $1::int AND f.place IS NOT NULL\n"
		" ORDER BY f.place, c.n";

	return db_query(j->db, sql, 1, &j->id, ret, err);
}

/* Makes the rows of read_files() the job's files. */
static void take_files(struct job *j, const PGresult *rows)
{
	const int n = PQntuples(rows);

	forget_files(j);
	for (int row = 0; row < n;) {
		struct job_file file = {.label = db_text_copy(j->ctx, rows, row, "label"),
					.relation = db_text_copy(j->ctx, rows, row, "relation"),
					.header = db_text_copy(j->ctx, rows, row, "header"),
					.bom = db_bool(rows, row, "bom"),
					.types = db_text_copy(j->ctx, rows, row, "types")};
		const char **columns = NULL;

		for (; row < n && strcmp(db_value(rows, row, "label"), file.label) == 0; row++) {
			columns = t_grow(j->ctx, columns, const char *, file.n_columns + 1);
			columns[file.n_columns++] = db_text_copy(j->ctx, rows, row, "name");
		}
		file.columns = columns;
		add_file(j, &file);
	}
}

/* The manifest names one delimiter: that of the configuration has to be the one that the files have. */
static bool check_delimiter(const struct job *j, struct error *err)
{
	for (size_t i = 0; i < j->archive.n_files; i++)
		if (strcmp(j->files[i].header,
			   plan_header(j->ctx, j->files[i].columns, j->files[i].n_columns,
				       j->opts->config->delimiter)) != 0)
			return archive_fail_head(j->files[i].label, err);
	return true;
}

static bool has_table(const struct job *j, const char *relation)
{
	const struct model *m = j->plan->model;

	for (size_t i = 0; i < m->n_tables; i++)
		if (strcmp(relation_of(j, &m->tables[i]), relation) == 0)
			return true;
	return false;
}

static size_t find_file(const struct job *j, const char *label)
{
	size_t i = 0;

	while (i < j->archive.n_files && strcmp(j->files[i].label, label) != 0)
		i++;
	return i;
}

/*
 * Compares one of the plan's files with those of the journal.  CHANGED: the journal has not got it, or got
 * it in another form.
 */
static bool check_file(const struct job *kept, const struct job *j, size_t i, struct error *err)
{
	const struct job_file *file = &j->files[i];
	const size_t k = find_file(kept, file->label);

	if (k < kept->archive.n_files && strcmp(kept->files[k].header, file->header) == 0 &&
	    strcmp(kept->files[k].types, file->types) == 0 &&
	    strcmp(kept->files[k].relation, file->relation) == 0) {
		j->files[i].bom = kept->files[k].bom;
		j->archive.files[i].head = kept->archive.files[k].head;
		return true;
	}
	return fail(err, ERR_CHANGED, "table %s is not what it was when the archive began",
		    file->relation);
}

/*
 * Looks for the journal's files among those of the plan.  CHANGED: a table has left the database and the
 * model.  CONFIG: the model has the table still, but archives it under another name or not at all.
 */
static bool check_kept(const struct job *kept, const struct job *j, struct error *err)
{
	char *lost = t_strdup(j->ctx, "");
	const char *left = NULL;

	for (size_t k = 0; k < kept->archive.n_files; k++) {
		const struct job_file *file = &kept->files[k];

		if (find_file(j, file->label) < j->archive.n_files)
			continue;
		if (has_table(j, file->relation))
			t_append(&lost, "%s%s", *lost ? ", " : "", file->label);
		else
			left = file->relation;
	}
	if (*lost)
		return fail(err, ERR_CONFIG,
			    "action %d archives rows of %s, which the model does not archive "
			    "under that name now: undo that, end the job, and change it then",
			    j->row.id, lost);
	return !left || fail(err, ERR_CHANGED, "table %s has left the model", left);
}

bool job_settle_files(struct job *j, struct error *err)
{
	/* Without a key that is left, nothing more is written: the files are what they are. */
	const bool ends = j->changed.why || j->done_before >= j->row.candidates;
	AUTO(result) PGresult *rows = NULL;
	struct job kept = *j;
	bool ok;

	if ((!ends && !take_back_files(j, err)) || !read_files(j, &rows, err))
		return false;
	if (PQntuples(rows) == 0)
		return !j->plan || record_files(j, err);
	take_files(&kept, rows);
	if (!check_delimiter(&kept, err))
		return false;
	if (ends) {
		*j = kept;
		return true;
	}
	ok = check_kept(&kept, j, err);
	for (size_t i = 0; ok && i < j->archive.n_files; i++)
		ok = check_file(&kept, j, i, err);
	/* A table that is only counted may be new in the model, or have another name. */
	return ok && record_files(j, err);
}

bool job_check_segments(struct job *j, struct error *err)
{
	struct committed committed;

	return j->changed.why || j->done_before >= j->row.candidates ||
	       (journal_committed(j->db, j->row.id, job_labels(j), j->ctx, &committed, err) &&
		archive_check(&j->archive, committed.workers, committed.bytes, err));
}

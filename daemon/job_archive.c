/*
 * A job's archive as the database knows it, and whether that is what is there and what the model would write now.
 */
#include "job_run.h"

#include "mem.h"
#include "sql.h"

static const char *label_of(const struct job *j, size_t i)
{
	const struct step *s = &j->plan->steps[i];

	return s->fate == FATE_DETACH ? t_printf(j->ctx, "%s.detached", s->table->name)
				      : s->table->name;
}

void job_name_files(struct job *j)
{
	const struct plan *plan = j->plan;
	const char **tables = t_array(j->ctx, const char *, plan->n_steps + 1);

	j->files = t_array(j->ctx, struct archive_file, plan->n_steps + 1);
	j->archived = t_array(j->ctx, const struct step *, plan->n_steps + 1);
	j->n_files = 0;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *s = &plan->steps[i];

		tables[i] = label_of(j, i);
		if (!s->archived)
			continue;
		j->archived[j->n_files] = s;
		j->files[j->n_files++] = (struct archive_file){
			.name = s->file, .header = s->header, .bom = j->opts->config->bom};
	}
	j->batch.tables = tables;
}

bool job_committed(struct job *j, struct job_lengths *ret, struct error *err)
{
	const char **tables = t_array(j->ctx, const char *, j->n_files + 1);
	int workers = 0;
	size_t n = 0;

	if (!journal_workers(j->db, j->row.id, &workers, err))
		return false;
	if (workers < 1)
		workers = 1;
	ret->workers = workers;
	ret->bytes = t_array(j->ctx, int64_t, (size_t)workers * (j->n_files + 1));
	ret->rows = t_array(j->ctx, int64_t, (size_t)workers * (j->n_files + 1));
	for (size_t i = 0; i < j->plan->n_steps; i++)
		if (j->plan->steps[i].archived)
			tables[n++] = j->batch.tables[i];
	for (int w = 0; w < workers; w++)
		if (!journal_lengths(j->db, j->row.id, w, tables, n, ret->bytes + (size_t)w * n,
				     ret->rows + (size_t)w * n, err))
			return false;
	return true;
}

bool job_check_names(struct job *j, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(DISTINCT f.table_name, ', ') FILTER (WHERE n.name IS NULL) AS names,\n"
		"       min(f.table_name) FILTER (WHERE f.header <> n.header) AS changed\n"
		"  FROM retention.archive_file AS f\n"
		"  LEFT JOIN unnest($2::text[], $3::text[]) AS n(name, header) ON n.name = f.table_name\n"
		" WHERE f.job = $1::int AND f.bytes > 0";
	const size_t n = j->plan->n_steps;
	const char **names = t_array(j->ctx, const char *, n + 1);
	const char **headers = t_array(j->ctx, const char *, n + 1);
	const char *values[3] = {t_printf(j->ctx, "%d", j->row.id)};
	AUTO(result) PGresult *res = NULL;
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (j->plan->steps[i].archived) {
			names[found] = j->batch.tables[i];
			headers[found++] = j->plan->steps[i].header;
		}
	values[1] = sql_array(j->ctx, names, found);
	values[2] = sql_array(j->ctx, headers, found);
	if (!db_query(j->db, sql, 3, values, &res, err))
		return false;
	if (db_text(res, 0, "names"))
		return fail(
			err, ERR_CONFIG,
			"action %d has archived rows of %s, which the model does not archive under that "
			"name any more: undo that, end the job, and change it then",
			j->row.id, db_text(res, 0, "names"));
	return !db_text(res, 0, "changed") || archive_fail_head(db_text(res, 0, "changed"), err);
}

bool job_check_segments(struct job *j, struct error *err)
{
	struct job_lengths lengths;

	return j->done_before >= j->row.candidates ||
	       (job_committed(j, &lengths, err) &&
		archive_check(j->opts->config->directory, j->archive_name, j->files, j->n_files,
			      lengths.workers, lengths.bytes, err));
}

/*
 * Answers the requests of people, one after the other, until none is left that this host can answer.
 *
 *	asked	retention.ask() in the person's session commits the request and its event, and notifies the daemon.  A lost
 *		notification is made up for: a daemon looks when it starts, when its connection comes up, and each hour.
 *	taken	take_request() commits that this session has it.  Dying after it: the session ends, and with it the claim, so
 *		that the next process takes the request again.  After five tries it is given up.
 *	done	verify_archive reads, and leaves nothing behind.  subject_export leaves an encrypted file under the request's
 *		name; dying before the rename leaves NAME.tmp.  The next try writes both anew, --expire removes what no
 *		request names.  find_contact reads, too.
 *	ended	end_request() commits the answer and its event.  A second answer to the same request changes nothing.
 *
 * The answer holds sentences and counts.  Rows of the CRM are in the document only, and the document is never plain on the
 * disk.  What the CRM's owner has written (functions in indexes, in a policy's scope) runs in a READ ONLY transaction that
 * is rolled back, as in a survey.
 */
#include "job/mode.h"

#include "archive/reader.h"
#include "base/failpoint.h"
#include "base/sql.h"
#include "job/document.h"
#include "journal/fits.h"
#include "journal/identity.h"
#include "journal/manifest_check.h"
#include "plan/preview.h"
#include "preflight/check_plan.h"

#define TIMEOUT_MS 300000
#define LINES_MAX 100

enum outcome { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_REFUSED };

/* A request that is being answered. */
struct request {
	const struct job_opts *opts;
	struct db *db;
	void *ctx;
	const char *id, *job, *subject, *document; /* a find_contact has neither job nor document */
	bool counts_only;

	/* The answer. */
	enum outcome outcome;
	const char *text;
	const char *files[LINES_MAX], *faults[LINES_MAX]; /* n_faults, but no more than these */
	int n_files, n_faults;
	const char *counts; /* rows of each table of the document, as JSON; NULL */
	int64_t bytes;
};

static void answer_with(struct request *r, enum outcome outcome, const char *text)
{
	r->outcome = outcome;
	r->text = t_strdup(r->ctx, text);
}

/* --- verify_archive --------------------------------------------------------------------------- */

static void take_finding(void *arg, const char *file, const char *fault)
{
	struct request *r = arg;

	r->n_files += fault ? 0 : 1;
	if (!fault)
		return;
	if (r->n_faults < LINES_MAX) {
		r->files[r->n_faults] = t_strdup(r->ctx, file);
		r->faults[r->n_faults] = t_strdup(r->ctx, fault);
	}
	r->n_faults++;
}

/* false: the database fails.  A file that cannot be read is a finding. */
static bool verify_opened(struct request *r, const struct archive_reader *archive,
			  struct error *err)
{
	const struct manifest_claim claim = {
		.job = r->job, .manifest = archive->manifest, .sums = archive->sums};

	if (!archive_reader_verify_files(archive, take_finding, r, err) ||
	    !manifest_check(r->db, &claim, take_finding, r, err))
		return false;
	answer_with(r, r->n_faults ? OUTCOME_FAILED : OUTCOME_OK,
		    r->n_faults ? "the archive is not intact" : "the archive is intact");
	if (r->n_faults)
		report_complaint(r->opts->report,
				 "the archive of action %s is not intact: %d finding%s", r->job,
				 r->n_faults, r->n_faults == 1 ? "" : "s");
	return true;
}

static bool verify(struct request *r, struct error *err)
{
	static const char sql[] =
		"SELECT j.archive_path, j.archive_deleted_at IS NOT NULL AS deleted\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	struct archive_reader *archive = NULL;
	AUTO(result) PGresult *res = NULL;

	if (!db_query(r->db, sql, 1, &r->job, &res, err))
		return false;
	if (db_bool(res, 0, "deleted")) {
		answer_with(r, OUTCOME_REFUSED, "the archive was deleted meanwhile");
		return true;
	}
	return archive_reader_open(r->opts->config->directory, db_value(res, 0, "archive_path"),
				   r->ctx, &archive, err) &&
	       verify_opened(r, archive, err);
}

/* --- subject_export --------------------------------------------------------------------------- */

static bool build_plan(struct request *r, const char **ret_sql, struct error *err)
{
	const struct config *config = r->opts->config;
	const struct plan_opts opts = check_opts(config, NULL, ACTION_EXPORT, ARCHIVE_FULL);
	AUTO(complaints) struct complaints c = {0};
	struct check check = {.db = r->db, .config = config, .ctx = r->ctx, .complaints = &c};
	const struct table *contact = config->model.contact;
	const struct plan *plan = NULL;

	if (check_model_for(&check, ACTION_EXPORT, err))
		plan = plan_build(r->ctx, &config->model, check.catalog, &opts, &c);
	if (!plan || !check_predicates(&check, plan, err))
		return c.n > 0 ? fail(err, ERR_CONFIG, "%s", c.lines[0]) : false;
	*ret_sql = t_printf(r->ctx,
			    "SELECT jsonb_pretty(x.document) AS json,\n"
			    "       jsonb_array_length(x.document->'contact') AS n,\n"
			    "       (SELECT jsonb_object_agg(t.key, jsonb_array_length(t.value))\n"
			    "          FROM jsonb_each(x.document) AS t) AS counts\n"
			    "  FROM (%s) AS x",
			    plan_document_sql(plan, plan_contact_query(r->ctx, check.catalog,
								       contact, "$1::text")));
	return true;
}

/* Reads the document in a transaction that can write nothing, and undoes what foreign functions have left. */
static bool read_document(struct request *r, PGresult **ret, struct error *err)
{
	const char *sql = NULL;
	bool ok = db_exec(r->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
		  build_plan(r, &sql, err);

	if (ok && r->counts_only)
		sql = t_printf(r->ctx, "SELECT y.n FROM (%s) AS y", sql);
	ok = ok && db_query(r->db, sql, 1, &r->subject, ret, err);

	db_rollback(r->db);
	if (ok && !db_alive(r->db))
		return fail(err, ERR_ENVIRONMENT, "the session was lost");
	if (ok)
		db_forget_prepared(r->db);
	return ok;
}

static bool export_subject(struct request *r, struct error *err)
{
	const struct config *config = r->opts->config;
	AUTO(result) PGresult *res = NULL;

	if (!config->recipients) {
		answer_with(r, OUTCOME_REFUSED,
			    "archives.recipients is not set in retentiond.conf: the document would "
			    "not be encrypted");
		return true;
	}
	if (!identity_bind(r->db, config->directory, err) || !read_document(r, &res, err))
		return false;
	if (db_int(res, 0, "n") == 0) {
		answer_with(r, OUTCOME_FAILED, "there is no such contact");
		return true;
	}
	if (!document_write(config, r->document, db_value(res, 0, "json"), &r->bytes, err))
		return false;
	r->counts = db_text_copy(r->ctx, res, 0, "counts");
	answer_with(r, OUTCOME_OK, "the document is written");
	return true;
}

/* --- find_contact ----------------------------------------------------------------------------- */

/* Counts by the query of the document, whose text does not leave the server. */
static bool find_contact(struct request *r, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	r->counts_only = true;
	if (!read_document(r, &res, err))
		return false;
	r->counts = t_printf(r->ctx, "{\"contact\": %lld}", (long long)db_int(res, 0, "n"));
	answer_with(r, OUTCOME_OK,
		    db_int(res, 0, "n") == 0 ? "no contact has this key"
					     : "a contact has this key");
	return true;
}

/* --- All of them ------------------------------------------------------------------------------ */

static bool end(const struct request *r, struct error *err)
{
	static const char *const outcomes[] = {"ok", "failed", "refused"};
	static const char sql[] =
		"SELECT retention.end_request($1::int, $2, jsonb_strip_nulls(jsonb_build_object(\n"
		"  'text', $3::text, 'files', $4::int, 'findings', $5::int, 'bytes', $6::bigint,\n"
		"  'tables', $7::jsonb,\n"
		"  'lines', (SELECT jsonb_agg(jsonb_build_object('file', u.file, 'text', u.text))\n"
		"              FROM unnest($8::text[], $9::text[]) AS u(file, text)))))";
	const size_t lines = (size_t)(r->n_faults < LINES_MAX ? r->n_faults : LINES_MAX);
	const char *const values[] = {
		r->id,
		outcomes[r->outcome],
		r->text,
		r->job ? t_printf(r->ctx, "%d", r->n_files) : NULL,
		r->job ? t_printf(r->ctx, "%d", r->n_faults) : NULL,
		r->bytes ? t_printf(r->ctx, "%lld", (long long)r->bytes) : NULL,
		r->counts,
		sql_array(r->ctx, r->files, lines),
		sql_array(r->ctx, r->faults, lines),
	};

	return db_command(r->db, sql, LENGTH(values), values, NULL, err);
}

/*
 * false: the database fails, or the process is to stop, and the request is left for the next one.  Any other failure is
 * the answer.
 */
static bool answer_one(struct request *r, struct error *err)
{
	AUTO(error) struct error cause = {0};

	if (!(r->job ? verify : r->document ? export_subject : find_contact)(r, &cause)) {
		if (!db_alive(r->db) || cause.class == ERR_STOPPED || stop_asked(r->opts->stop))
			return fail(err, cause.class, "%s", cause.text);
		answer_with(r, OUTCOME_FAILED, cause.text);
		report_complaint(r->opts->report, "request %s: %s", r->id, cause.text);
	}
	failpoint("answer-before-end");
	return end(r, err);
}

static bool answer(const struct job_opts *opts, void *arg, struct db *db, struct error *err)
{
	static const char take_sql[] =
		"SELECT * FROM retention.take_request($1, retention.session_start())";
	int answered = 0;

	(void)arg;
	/* A copy of the database knows archives that are not its own. */
	if (!schema_fits(db, err) || !identity_check(db, opts->config->directory, err))
		return false;
	for (;;) {
		AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
		AUTO(result) PGresult *res = NULL;
		struct request r = {.opts = opts, .db = db, .ctx = ctx};

		if (stop_asked(opts->stop))
			return fail(err, ERR_STOPPED, "stopped");
		if (!db_query(db, take_sql, 1, &opts->host, &res, err))
			return false;
		if (PQntuples(res) == 0)
			break;
		r.id = db_value(res, 0, "id");
		r.job = db_text(res, 0, "job");
		r.subject = db_text(res, 0, "subject");
		r.document = db_text(res, 0, "document");
		failpoint("answer-after-take");
		if (!answer_one(&r, err))
			return false;
		answered++;
	}
	if (answered > 0)
		report_note(opts->report, "%d request%s answered", answered,
			    answered == 1 ? " was" : "s were");
	return true;
}

enum job_exit mode_answer_run(const struct job_opts *opts)
{
	AUTO(error) struct error err = {0};
	const enum job_exit status = mode_run(opts, TIMEOUT_MS, answer, NULL, &err);

	if (status != JOB_DONE && status != JOB_STOPPED)
		report_complaint(opts->report, "requests are not answered: %s", err.text);
	return status;
}

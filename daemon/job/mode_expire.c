/*
 * Works archive by archive:
 *
 *   claim     the advisory lock of its action, so that two daemons do not remove one folder together.
 *   mark      an archive that has expired becomes deleted in the journal, by "expiry".  From here on it is
 *             treated as if a person had deleted it, and dying anywhere leaves work for the next run.
 *   remove    archive/remove.c, which says what may die there.
 *   record    archive_removed_at, in the journal; an archive that the journal does not know leaves
 *             retention.unknown_archive (job/unknown.c), which writes an event.
 *   folders   removes the empty ones.
 *
 * No path of the journal is opened: archives_to_remove() makes the folder's name anew, and this looks for it
 * under archives.directory and nowhere else.  An archive that cannot be reached from here is left alone,
 * because it may lie on another host, in the directory of an older configuration, or on a file system that
 * is not mounted.  When it is not where this host wrote it, the journal notes that; it never counts as "its
 * files are gone".
 */
#include "job/mode.h"

#include "archive/remove.h"
#include "base/failpoint.h"
#include "journal/fits.h"
#include "journal/identity.h"
#include "journal/journal.h"
#include "base/mem.h"
#include "job/document.h"
#include "job/outbox.h"
#include "job/unknown.h"

#define TIMEOUT_MS 30000

struct expiry {
	const struct job_opts *opts;
	struct db *db;
	int removed;
	int documents; /* that were removed */
	bool hindered; /* an archive's removal */
	enum job_exit worst;
};

struct doomed {
	int id;
	const char *id_text;
	const char *name;
	bool deleted; /* in the journal; else it has expired */
	bool here; /* this host wrote it, into this directory */
	bool unknown; /* to the journal: id is the number in its name */
};

/* Runs sql with the archive's number, or its name where the journal does not know it, and $2. */
static bool change(struct db *db, const struct doomed *d, const char *const sql[2],
		   const char *value, int64_t *ret_rows, struct error *err)
{
	const char *const values[] = {d->unknown ? d->name : d->id_text, value};

	return db_command(db, sql[d->unknown], value ? 2 : 1, values, ret_rows, err);
}

static bool mark_expired(struct db *db, const struct doomed *d, struct error *err)
{
	static const char *const sql[2] = {
		"UPDATE retention.archive_journal\n"
		"   SET archive_deleted_at = clock_timestamp(), archive_deleted_by = 'expiry'\n"
		" WHERE id = $1::int AND archive_deleted_at IS NULL",
		"UPDATE retention.unknown_archive\n"
		"   SET deleted_at = clock_timestamp(), deleted_by = 'expiry'\n"
		" WHERE name = $1 AND deleted_at IS NULL"};

	return change(db, d, sql, NULL, NULL, err);
}

static bool record(struct db *db, const struct doomed *d, struct error *err)
{
	static const char *const sql[2] = {
		"UPDATE retention.archive_journal\n"
		"   SET archive_removed_at = clock_timestamp(), archive_remark = NULL\n"
		" WHERE id = $1::int AND archive_removed_at IS NULL",
		"DELETE FROM retention.unknown_archive WHERE name = $1"};

	failpoint("tidy-before-record");
	return change(db, d, sql, NULL, NULL, err);
}

/* Notes in the journal what stands in the way, and complains when it is news. */
static bool remark(struct expiry *t, const struct doomed *d, const char *why, struct error *err)
{
	static const char *const sql[2] = {
		"UPDATE retention.archive_journal SET archive_remark = $2\n"
		" WHERE id = $1::int AND archive_removed_at IS NULL\n"
		"   AND archive_remark IS DISTINCT FROM $2",
		"UPDATE retention.unknown_archive SET remark = $2\n"
		" WHERE name = $1 AND remark IS DISTINCT FROM $2"};
	int64_t rows = 0;

	if (!change(t->db, d, sql, why, &rows, err))
		return false;
	if (rows > 0 && d->unknown)
		report_complaint(t->opts->report,
				 "archive \"%s\" is deleted, and its files are not: %s", d->name,
				 why);
	else if (rows > 0)
		report_complaint(t->opts->report,
				 "the archive of action %d is deleted, and its files are not: %s",
				 d->id, why);
	t->worst = JOB_REFUSED;
	t->hindered = true;
	return true;
}

static bool remove_claimed(struct expiry *t, const struct doomed *d, struct error *err)
{
	const char *directory = t->opts->config->directory;
	AUTO(error) struct error cause = {0};
	bool found = false;

	if (!d->deleted && !mark_expired(t->db, d, err))
		return false;
	failpoint("tidy-after-mark");
	if (!archive_remove(directory, d->name, &found, &cause))
		return remark(t, d, cause.text, err);
	if (!found && d->here && !d->unknown) {
		AUTO(char_p)
		char *why = xprintf(
			"its folder is not there: put it back, or, if its files are gone for good, make the "
			"empty folder \"%s/%s.deleted\"",
			directory, d->name);

		return remark(t, d, why, err);
	}
	if (!found && !d->unknown)
		return true; /* gone between two looks: it was another daemon's */
	if (!record(t->db, d, err))
		return false;
	failpoint("tidy-after-record");
	t->removed++;
	return true;
}

static bool expire_one(struct expiry *t, const struct doomed *d, struct error *err)
{
	int64_t still = 0;
	bool mine = false;

	if (!d->here && !archive_is_there(t->opts->config->directory, d->name))
		return true;
	if (!journal_claim(t->db, d->id, &mine, err))
		return false;
	if (!mine)
		return true;
	/* The list may be older than the claim. */
	return db_query_int(
		       t->db,
		       d->unknown ? "SELECT count(*) FROM retention.unknown_archive WHERE name = $1"
				  : "SELECT count(*) FROM retention.archive_journal\n"
				    " WHERE id = $1::int AND archive_removed_at IS NULL",
		       1, d->unknown ? &d->name : &d->id_text, &still, err) &&
	       (!still || remove_claimed(t, d, err));
}

/* archives.keep as text; NULL: nothing expires, by the configuration or because a clock is wrong. */
static const char *keep_of(struct expiry *t, char *text, unsigned long size)
{
	const struct config *config = t->opts->config;
	AUTO(error) struct error err = {0};

	if (!config->has_keep)
		return NULL;
	if (!mode_check_clocks(t->db, &err)) {
		report_complaint(t->opts->report, "%s", err.text);
		t->worst = JOB_REFUSED;
		return NULL;
	}
	period_print(&config->keep, text, size);
	return text;
}

static bool pass(struct expiry *t, void *ctx, struct error *err)
{
	const struct config *config = t->opts->config;
	char keep[24];
	const char *const values[] = {t->opts->host, config->directory,
				      keep_of(t, keep, sizeof(keep)), config->timezone};
	AUTO(result) PGresult *res = NULL;

	/* The journal lets nothing expire before this has passed. */
	if ((values[2] || !config->has_keep) &&
	    !db_command(t->db, "SELECT retention.configure_keep($1::interval)", 1, &values[2], NULL,
			err))
		return false;
	if (!unknown_record(t->db, t->opts, err))
		return false;
	if (!db_query(t->db,
		      "SELECT id, name, deleted, here, unknown\n"
		      "  FROM retention.archives_to_remove($1, $2, $3::interval, $4)",
		      4, values, &res, err))
		return false;
	for (int i = 0; i < PQntuples(res); i++) {
		const struct doomed d = {.id = (int)db_int(res, i, "id"),
					 .id_text = db_text(res, i, "id"),
					 .name = t_strdup(ctx, db_value(res, i, "name")),
					 .deleted = db_bool(res, i, "deleted"),
					 .here = db_bool(res, i, "here"),
					 .unknown = db_bool(res, i, "unknown")};

		if (stop_asked(t->opts->stop))
			return fail(err, ERR_STOPPED, "stopped");
		if (!expire_one(t, &d, err))
			return false;
	}
	/* An empty folder may be all that tells the next pass that the files of a hindered archive are gone. */
	return t->hindered || archive_remove_folders(config->directory, err);
}

/* Removes the files that earlier jobs have left outside the database. */
static bool work_outbox(struct expiry *t, void *ctx, struct error *err)
{
	struct outbox_result files = {0};

	if (!outbox_work(t->db, t->opts, 0, ctx, &files, err))
		return false;
	if (files.failed > 0) {
		report_complaint(t->opts->report,
				 "%lld files of erased rows cannot be removed: %s; they are tried "
				 "again: retention.file_outbox",
				 (long long)files.failed, files.why);
		t->worst = JOB_REFUSED;
	}
	if (files.removed > 0)
		report_note(t->opts->report, "%lld files of erased rows were removed",
			    (long long)files.removed);
	return true;
}

static bool run(const struct job_opts *opts, void *arg, struct db *db, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct expiry *t = arg;
	bool ok;

	t->opts = opts;
	t->db = db;
	/* A copy of the database knows archives and files that are not its own to remove. */
	ok = schema_fits(db, err) && identity_check(db, opts->config->directory, err) &&
	     pass(t, ctx, err) && work_outbox(t, ctx, err);
	if (t->removed > 0)
		report_note(t->opts->report, "the files of %d archive%s were removed", t->removed,
			    t->removed == 1 ? "" : "s");
	ok = ok && document_expire(db, opts, &t->documents, err);
	if (t->documents > 0)
		report_note(t->opts->report, "%d document%s removed whose time was over",
			    t->documents, t->documents == 1 ? " was" : "s were");
	return ok;
}

enum job_exit mode_expire_run(const struct job_opts *opts)
{
	struct expiry t = {.worst = JOB_DONE};
	AUTO(error) struct error err = {0};
	const enum job_exit end = mode_run(opts, TIMEOUT_MS, run, &t, &err);

	if (end != JOB_DONE && end != JOB_STOPPED)
		report_complaint(opts->report, "%s", err.text);
	return end == JOB_DONE ? t.worst : end;
}

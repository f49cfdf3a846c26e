/*
 * A job in a database that was restored from a backup of an earlier moment, or whose server has lost its last
 * transactions.  The archive holds more than the database knows, and what it holds was erased once.  So nothing of it
 * is cut back: the job ends with the archive as the disk has it.  The ledger's file knows the keys, and a replay
 * erases those again that the backup has brought back, into an archive of its own.
 *
 * How it is found, and what may die on each line:
 *
 *   ledger    journal/ledger.c: the file has lines of a job that runs.  The event "changed" is written in the
 *             transaction that finds the lines, because the replay settles them.  This job begins only after the
 *             replay.
 *   started   the backup knows a job as validated, or has given its number again: its folder is there and is not
 *             empty.  The event, then the start.  Killed between them, the next attempt finds the folder again.
 *   finished  the folder has its final name and the list has keys: an end takes the list away before it seals.  An
 *             export is found by this alone, because it leaves no lines.
 *   list      the keys that the ledger knows leave it, in one statement; of a finished export all, because its
 *             archive has them.
 *   lengths   one statement, from archive/found.c, which only reads.  Repeated, it finds the same, or what joining
 *             has noted.
 *   end       job/finish.c: an early end like any other.
 */
#include "job/job_state.h"

#include "archive/found.h"
#include "base/failpoint.h"
#include "base/mem.h"

bool job_read_changed(struct job *j, struct error *err)
{
	return strcmp(j->row.status, "running") != 0 ||
	       journal_changed(j->db, j->row.id, j->ctx, &j->changed, err);
}

static bool mark(struct job *j, struct error *err)
{
	if (!journal_mark_restored(j->db, j->row.id, err))
		return false;
	failpoint("restored-after-mark");
	return true;
}

/*
 * Does what was found speak of this action?  Segments were compared with its files.  A manifest names it, with its
 * cutoff, which may be another where the ledger knows the action: it was listed again, on a later day.
 */
static bool is_ours(struct job *j, const char *found, bool *ret, struct error *err)
{
	static const char sql[] =
		"SELECT (coalesce((f->>'job')::int = $2::int, true)\n"
		"        AND coalesce(f->>'action' = $3, true)\n"
		"        AND (f->>'job' IS NULL OR f->>'cutoff' IS NOT DISTINCT FROM $4\n"
		"             OR EXISTS (SELECT FROM retention.ledger AS l WHERE l.job = $2::int)))::int\n"
		"  FROM CAST($1 AS json) AS f";
	const char *const values[] = {found, j->id, action_names[j->row.action], j->row.cutoff_iso};
	int64_t ours = 0;

	if (!db_query_int(j->db, sql, 4, values, &ours, err))
		return false;
	*ret = ours == 1;
	return true;
}

bool job_begin_folder(struct job *j, const struct archive *a, struct error *err)
{
	AUTO(error) struct error unknown = {0};
	const char *found = archive_is_used(a) ? archive_found(a, j->ctx, &unknown) : NULL;
	bool ours = false;

	if (unknown.class == ERR_ENVIRONMENT)
		return fail(err, unknown.class, "%s", unknown.text);
	if (found && !is_ours(j, found, &ours, err))
		return false;
	return ours ? mark(j, err) : archive_create(a, false, err);
}

bool job_settle_list(struct job *j, int64_t *left, struct error *err)
{
	const bool finished = *left > 0 && j->archive.name && archive_is_finished(&j->archive);

	if (!j->changed.why && finished && (!mark(j, err) || !job_read_changed(j, err)))
		return false;
	return !j->changed.restored ||
	       journal_forget_treated(j->db, j->row.id, finished && j->row.action == ACTION_EXPORT,
				      left, err);
}

bool job_settle_lengths(struct job *j, struct error *err)
{
	const char *found;

	if (!j->changed.restored)
		return true;
	found = archive_found(&j->archive, j->ctx, err);
	if (!found || !journal_take_lengths(j->db, j->row.id, job_labels(j), found,
					    j->opts->config->model.contact->name, err))
		return false;
	failpoint("restored-after-lengths");
	return true;
}

/*
 * The end of a job, with an empty list, or early, because a table has changed under it or a person has abandoned it.
 * What may die on each line, and what then:
 *
 *   changed   an early end only: the event "changed" (job/job.c, or retention.abandon_action()) stands before
 *             anything here is done.
 *             From it on no batch runs, and nothing here needs the model, which may not hold now.
 *   lengths   the lengths that the joining starts from, for a database restored later from an earlier moment.
 *   join      can be repeated: it starts from the committed lengths, and the files are those that the
 *             journal has (job/archive_files.c).
 *   encrypt   has a mark of its own, an earlier one than the manifest (archive/encrypt.c).
 *   manifest  is the mark that joining and encrypting are over.
 *   seal      the renamed folder is the mark that the archive is whole.
 *   refresh   can be repeated: job/refresh.c.
 *   done      one transaction: the journal's status and counters, the list dropped, and after an early
 *             end of a policy's action the new action for the rest.  Killed before its COMMIT, the next
 *             attempt finds the folder sealed and the list as it was, and does it; killed after it, the
 *             daemon finds the new action like any other that was saved.  The rest is never lost, and
 *             never begun twice.
 *   note      the ledger's file and the journal get each other's last hash (journal/ledger_check.c).  Killed before
 *             it, the next check of the configuration does it.
 */
#include "job/job_state.h"

#include "archive/finish.h"
#include "archive/layout.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "journal/horizon.h"
#include "job/outbox.h"

#include <inttypes.h>

/* Ends what was begun under some recipients under them, whatever the configuration says now. */
static bool join_and_encrypt(struct job *j, const struct committed *committed, struct manifest *m,
			     struct error *err)
{
	if (!archive_encryption_begun(&j->archive, j->ctx, &m->recipients, &m->n_recipients, err))
		return false;
	if (m->n_recipients == 0) {
		m->recipients = j->opts->config->recipients;
		m->n_recipients = j->opts->config->n_recipients;
		if (!archive_write_file(&j->archive, ARCHIVE_LENGTHS,
					manifest_lengths(j->ctx, &j->archive, committed->workers,
							 committed->bytes, committed->rows),
					err))
			return false;
		failpoint("finish-after-lengths");
		if (!archive_join(&j->archive, committed->workers, committed->bytes, m->files, err))
			return false;
		failpoint("finish-after-join");
	}
	return m->n_recipients == 0 ||
	       archive_encrypt(&j->archive, m->recipients, m->n_recipients, m->files, err);
}

static bool write_manifest(struct job *j, const struct committed *committed, struct manifest *m,
			   struct error *err)
{
	AUTO(result) PGresult *now = NULL;

	if (!db_query(j->db,
		      "SELECT to_json(date_trunc('second', clock_timestamp()) AT TIME ZONE 'UTC')\n"
		      "       #>> '{}' || 'Z' AS now",
		      0, NULL, &now, err))
		return false;
	m->finished = t_strdup(j->ctx, db_value(now, 0, "now"));
	for (size_t i = 0; i < m->n_files; i++) {
		struct manifest_file *f = &m->files[i];

		f->name = t_printf(j->ctx, "%s%s", j->archive.files[i].name,
				   m->n_recipients > 0 ? ARCHIVE_ENCRYPTED : "");
		f->table = j->files[i].relation;
		f->columns = j->files[i].columns;
		f->n_columns = j->files[i].n_columns;
		for (int w = 0; w < committed->workers; w++)
			f->rows += committed->rows[(size_t)w * m->n_files + i];
		if (!archive_digest(&j->archive, f->name, f->sha256, err))
			return false;
	}
	return archive_write_file(&j->archive, ARCHIVE_SUMS, manifest_sums(j->ctx, m), err) &&
	       archive_write_file(&j->archive, ARCHIVE_MANIFEST, manifest_json(j->ctx, m), err);
}

static bool seal(struct job *j, const struct committed *committed, struct error *err)
{
	const struct config *config = j->opts->config;
	struct manifest m = {
		.job = j->row.id,
		.replay_of = j->row.replay_of,
		.action = action_names[j->row.action],
		.policy = j->row.policy,
		.requested_by = j->row.requested_by,
		.validated_by = j->row.validated_by,
		.archive = archive_mode_names[j->row.archive],
		.cutoff = j->row.cutoff_iso,
		.database_system = j->batch.system,
		.delimiter = config->delimiter,
		.bom = j->archive.n_files > 0 ? j->files[0].bom : config->bom,
		.bytes = !db_knows_characters(j->db),
		.files = t_array(j->ctx, struct manifest_file, j->archive.n_files + 1),
		.n_files = j->archive.n_files,
	};

	/* An earlier attempt may have renamed it and died, or failed, before the name was on the disk. */
	if (archive_is_finished(&j->archive))
		return file_sync_folder(j->archive.directory, err);
	if (!archive_is_whole(&j->archive, committed->workers, committed->bytes) &&
	    (!join_and_encrypt(j, committed, &m, err) || !write_manifest(j, committed, &m, err)))
		return false;
	failpoint("finish-after-manifest");
	return archive_seal(&j->archive, err);
}

static const char *verb_of(enum action action)
{
	return action == ACTION_EXPORT            ? "exported"
	       : action == ACTION_DELETE_CONTACTS ? "deleted"
						  : "anonymized";
}

/*
 * Tells of contacts that the backup brought back and the replay leaves: a person has to know of them,
 * because only the policies would erase them again.
 */
static bool tell_kept(struct job *j, char **remarks, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const char *keys = NULL;

	if (!j->row.replay || !j->plan)
		return true;
	if (!journal_not_listed(j->db, j->row.id, j->ctx, &keys, err) ||
	    !db_query_apart(j->db, j->plan->present_sql, 1, &keys, &res, err))
		return false;
	if (db_int(res, 0, "n") == 0)
		return true;
	t_append(remarks,
		 "; %s more are in the database and stay: on hold, %swith something newer "
		 "than the erasure%s: see the event \"kept\" of action %d",
		 db_text(res, 0, "n"),
		 j->row.action == ACTION_DELETE_CONTACTS ? "" : "anonymized already, ",
		 j->plan->model->contact->created
			 ? ""
			 : ", or without requests, where only created would tell them "
			   "from others",
		 j->row.id);
	return journal_kept(j->db, j->row.id, db_text(res, 0, "keys"), err);
}

static const char *noun_of(enum action action)
{
	return action == ACTION_ANONYMIZE_REQUESTS ? "requests" : "contacts";
}

/* After an early end, saves the rest of a policy's occurrence as a new action, and says who does the rest. */
static bool begin_rest(struct job *j, char **remarks, struct error *err)
{
	const int64_t rest = j->row.candidates - j->done_before;
	int id = 0;

	if (!j->changed.why || (rest == 0 && !j->changed.restored))
		return true;
	t_append(remarks, "; ended early, because %s: %" PRId64 " %s of the list are left",
		 j->changed.why, rest, noun_of(j->row.action));
	if (rest == 0 || j->changed.abandoned)
		return true;
	if (!j->row.policy) {
		t_append(remarks, j->row.replay ? ": run retentionctl replay for them"
						: ": save the action anew for them");
		return true;
	}
	if (!journal_begin_rest(j->db, j->row.id, &id, err))
		return false;
	t_append(remarks, ", for action %d", id);
	return true;
}

/* remarks: each with "; " before it. */
static bool end_in_transaction(struct job *j, struct journal_end *end, char **remarks,
			       int64_t *ret_treated, struct error *err)
{
	const char *xid = NULL;

	/* A person who has abandoned the action waits for no server. */
	if (!horizon_mark(j->db, j->row.id, j->row.action != ACTION_EXPORT && !j->changed.abandoned,
			  j->ctx, &xid, err) ||
	    !db_exec(j->db, "BEGIN", err))
		return false;
	/* What is needed later to tell when the data is gone everywhere; an export erases none. */
	if (j->row.action != ACTION_EXPORT) {
		end->horizon = horizon_record(j->db, j->row.id, xid, j->ctx, err);
		if (!end->horizon)
			return false;
	}
	if (!tell_kept(j, remarks, err) || !begin_rest(j, remarks, err))
		return false;
	end->error = **remarks ? *remarks + strlen("; ") : NULL;
	if (!journal_finish(j->db, j->row.id, end, ret_treated, err))
		return false;
	failpoint("finish-before-commit");
	return db_commit(j->db, err);
}

/* For the note: into which tables triggers have copied rows, as the event "copied" has it; "": none. */
static bool read_copied(struct job *j, const char **ret, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(t.name, ', ') AS tables\n"
		"  FROM retention.journal_event AS e, jsonb_array_elements_text(e.details->'tables') AS t(name)\n"
		" WHERE e.job = $1::int AND e.kind = 'copied'";
	AUTO(result) PGresult *res = NULL;

	if (!db_query(j->db, sql, 1, &j->id, &res, err))
		return false;
	*ret = db_text(res, 0, "tables")
		       ? t_printf(
				 j->ctx,
				 "; triggers have inserted rows into tables outside the model, which "
				 "may be copies of what was erased: %s",
				 db_text(res, 0, "tables"))
		       : "";
	return true;
}

static bool end_row(struct job *j, int64_t archive_bytes, int64_t left, char **ret_note,
		    bool *ret_failures, struct error *err)
{
	struct journal_end end = {
		.replay = j->row.replay, .status = "done", .archive_bytes = archive_bytes};
	const char *noun = noun_of(j->row.action), *verb = verb_of(j->row.action);
	char *remarks = t_strdup(j->ctx, "");
	const char *copied = "";
	int64_t failures = 0, treated = 0, held;

	if (j->archive.name) {
		end.sums = archive_read_file(&j->archive, ARCHIVE_SUMS, j->ctx, err);
		end.manifest = archive_read_file(&j->archive, ARCHIVE_MANIFEST, j->ctx, err);
		if (!end.sums || !end.manifest)
			return false;
	}
	if (!journal_failures(j->db, j->row.id, &failures, err) || !read_copied(j, &copied, err))
		return false;
	if (failures + left > 0)
		t_append(&remarks,
			 "; %" PRId64 " %s could not be %s, and %" PRId64
			 " stayed locked: see the events of action %d",
			 failures, noun, verb, left, j->row.id);
	if (!end_in_transaction(j, &end, &remarks, &treated, err)) {
		db_rollback(j->db);
		return false;
	}
	*ret_failures = failures > 0 ||
			(j->changed.why && !j->row.policy && j->done_before < j->row.candidates);
	held = job_count_held(j);
	*ret_note = t_printf(j->ctx, "%" PRId64 " %s listed, %" PRId64 " %s%s%s%s",
			     j->row.candidates, noun, treated, verb,
			     held > 0 ? t_printf(j->ctx, ", %" PRId64 " on hold", held) : "",
			     remarks, copied);
	return true;
}

bool job_finish(struct job *j, char **ret_note, bool *ret_failures, struct error *err)
{
	struct committed committed;
	struct ledger_found found = {0};
	AUTO(error) struct error later = {0};
	int64_t total = 0, left = 0;

	/* Off the list before the files are joined: a worker would look for segments once more. */
	if (!j->changed.why && !journal_left_over(j->db, j->row.id, &left, err))
		return false;
	failpoint("finish-begin");
	if (j->archive.name) {
		/* Not the sum of the lengths: a file that worker 0 never wrote to has its header. */
		if (!journal_committed(j->db, j->row.id, job_labels(j), j->ctx, &committed, err) ||
		    !seal(j, &committed, err) || !archive_size(&j->archive, &total, err))
			return false;
	}
	failpoint("finish-after-seal");
	if (!job_refresh(j, err))
		return false;
	/* Before the journal says done: the file knows all that was erased. */
	if ((j->ledger && !ledger_check(j->db, j->ledger, &found, err)) ||
	    !end_row(j, total, left, ret_note, ret_failures, err))
		return false;
	if (j->ledger)
		(void)ledger_check_note(j->db, j->ledger, j->opts->host, &later);
	return true;
}

void job_remove_files(struct job *j, char **note)
{
	struct outbox_result files = {0};
	AUTO(error) struct error err = {0};

	/* The job is done: what goes wrong here is told, and tried again by the daemon. */
	if (!outbox_work(j->db, j->opts, j->row.id, j->ctx, &files, &err))
		t_append(note, "; its files are removed later: %s", err.text);
	else if (files.failed > 0)
		t_append(note, "; %" PRId64 " files removed, %" PRId64 " are tried again: %s",
			 files.removed, files.failed, files.why);
	else if (files.removed > 0)
		t_append(note, "; %" PRId64 " files removed", files.removed);
}

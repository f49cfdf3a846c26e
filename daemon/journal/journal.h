/*
 * Reads and writes the rows of schema retention for a job.  Knows no table of the CRM.
 */
#pragma once

#include "config/config.h"
#include "database/db.h"

/* One action, as the journal has it; strings are owned by the context it was loaded into. */
struct journal_row {
	int id;
	enum action action;
	bool automatic;
	bool replay; /* erases again what a restored backup has undone */
	int replay_of; /* of which action; 0: no replay */
	int part; /* of its occurrence: 2 and more are the rest of an action that ended early */
	bool by_person; /* is the rest of an action that a person validated */
	bool by_key; /* restricted to the keys of retention.selection: a replay, or one contact's request */
	enum archive_mode archive;
	const char *status;
	const char *policy; /* NULL: manual, or a replay */
	int policy_version; /* of a policy of the page; 0: the file's */
	const char *requested_by;
	const char *validated_by; /* NULL: nobody yet */
	const char *from; /* timestamptz as text, or NULL: the interval's first instant */
	const char *cutoff; /* timestamptz as text: the first instant that is not due */
	const char *cutoff_iso;
	const char *host; /* where it began; NULL: nowhere yet */
	const char *system; /* the server that it began on; NULL */
	const char *archive_path;
	const char *day; /* YYYYMMDD of its request, for the archive's name */
	bool frozen;
	int64_t candidates;
	int claim;
};

/* Reads the row.  CONFIG: there is none. */
bool journal_load(struct db *db, int id, const char *timezone, void *ctx, struct journal_row *ret,
		  struct error *err);

/* Takes the job for this session, which keeps it while it lives.  *ret: is it ours? */
bool journal_claim(struct db *db, int id, bool *ret, struct error *err);

/*
 * Raises the claim, and waits until every batch of an older claim has ended: after this none of them can
 * commit.  Batches compare with *ret_claim.  From here on the job belongs to host, and works under the configuration with
 * this SHA-256.
 * Why an earlier attempt ended is forgotten.
 */
bool journal_fence(struct db *db, int id, const char *host, const char *configuration,
		   int *ret_claim, struct error *err);

/* Has any batch committed bytes of an archive? */
bool journal_has_archived(struct db *db, int id, bool *ret, struct error *err);

/* The instants a job works between, by the database's clock; owned by ctx. */
struct journal_interval {
	const char *from; /* timestamptz as text, or NULL */
	const char *cutoff;
};
bool journal_interval(struct db *db, int id, const char *timezone, void *ctx,
		      struct journal_interval *ret, struct error *err);

/*
 * Gets a replay's keys that were never on its list, as a text[] owned by ctx: they are under a hold, have
 * something newer than the erasure, or are not there at all.
 */
bool journal_not_listed(struct db *db, int id, void *ctx, const char **ret_keys, struct error *err);

/* Writes the event "kept": of those keys, the ones that are there, and so stay. */
bool journal_kept(struct db *db, int id, const char *keys, struct error *err);

/* How a list was made. */
struct journal_list {
	const char *cutoff;
	const char *preview; /* a jsonb, or NULL */
	const char *configuration; /* SHA-256 of the one under which it was made */
};

/* Freezes the list: writes count (*ret_n) and digest of retention.candidate into the row, with the list's. In a transaction. */
bool journal_freeze(struct db *db, int id, const struct journal_list *list, int64_t *ret_n,
		    struct error *err);

/* Does the list still have the digest that was frozen? */
bool journal_list_is_intact(struct db *db, int id, bool *ret, struct error *err);

/* saved -> validated; by: the policy itself, or a replay's approver. */
bool journal_approve(struct db *db, int id, const char *by, struct error *err);

/* validated -> running. */
bool journal_start(struct db *db, int id, const char *host, const char *archive_path,
		   struct error *err);

/* Records how a running job keeps the foreign keys: "set", or "triggers, because ...". */
bool journal_integrity(struct db *db, int id, const char *integrity, struct error *err);

/* How an action ends. */
struct journal_end {
	/*
	 * Puts the ledger's lines that it has made true again back into the ledger.  Lines of keys that failed
	 * or stayed locked wait for another replay.
	 */
	bool replay;
	const char *status; /* "done" or "failed" */
	const char *error; /* NULL: nothing to remark */
	int64_t archive_bytes;
	/*
	 * The texts of the archive's SHA256SUMS and manifest.json, or NULL.  Their digests go into the counters, and
	 * with them into the chain of events, so that an archive that was rewritten with its own sums is found.
	 */
	const char *sums, *manifest;
	const char *horizon; /* horizon_record()'s, or NULL */
};

/*
 * running -> done or failed.  Counts what the batches committed, and what is left on the list, and drops the
 * list.  *ret_treated: the subjects that were exported, deleted or anonymized.
 */
bool journal_finish(struct db *db, int id, const struct journal_end *end, int64_t *ret_treated,
		    struct error *err);

/*
 * Sets the row's waiting, its waiting_for (a word of wait_words, or NULL) and, when error is not NULL, its error.
 */
bool journal_note(struct db *db, int id, const char *waiting, const char *reason, const char *error,
		  struct error *err);

/* Before the policy's name in validated_by, where the policy itself has validated its action. */
#define JOURNAL_BY_POLICY "policy "

/*
 * SQL: the tables that job $1 took rows from, as a relation (oid).  A table that was dropped since is not
 * among them.
 */
#define JOURNAL_TABLES                                                                             \
	"SELECT DISTINCT c.oid\n"                                                                  \
	"  FROM (SELECT max(f.relation) AS relation FROM retention.archive_file AS f\n"            \
	"         WHERE f.job = $1::int GROUP BY f.table_name HAVING sum(f.rows) > 0) AS r\n"      \
	"  JOIN pg_namespace AS n ON starts_with(r.relation, n.nspname || '.')\n"                  \
	"  JOIN pg_class AS c ON c.relnamespace = n.oid\n"                                         \
	"   AND n.nspname || '.' || c.relname = r.relation"

/* What all workers of a job, of this attempt and of earlier ones, have committed to each file. */
struct committed {
	int workers; /* 1 at least */
	size_t n_files;
	int64_t *bytes; /* [worker * n_files + file] */
	int64_t *rows; /* the same */
};

/* labels: table_name of each file, as the text of a text[]; what is in *ret is owned by ctx. */
bool journal_committed(struct db *db, int id, const char *labels, void *ctx, struct committed *ret,
		       struct error *err);

/* A worker's lengths, n_files; zeros, owned by ctx, where it has committed nothing. */
const int64_t *journal_bytes_of(const struct committed *c, int worker, void *ctx);

/* Removes keys that could not be treated from the list, with their event, in one transaction. */
bool journal_key_failed(struct db *db, int id, const char *keys, const char *message,
			const char *sqlstate, struct error *err);

/*
 * Writes the event "changed", once: a table has changed under the job, which therefore ends early.  A job
 * that has archived nothing gets no event, because it can go on with the table as it is now.
 */
bool journal_mark_changed(struct db *db, int id, const char *why, struct error *err);

/* Whether a job ends early. */
struct journal_changed {
	const char *why; /* NULL: it does not; owned by ctx */
	bool restored; /* its archive holds more than the database knew when it was restored */
	bool abandoned; /* a person has ended it: nothing begins for what is left */
	bool has_files; /* the journal knows the archive's files */
};
bool journal_changed(struct db *db, int id, void *ctx, struct journal_changed *ret,
		     struct error *err);

/* Writes the event "changed", once: the archive holds more than the database, which was restored, knows. */
bool journal_mark_restored(struct db *db, int id, struct error *err);

/*
 * Takes from found (archive_found()'s) what the archive holds of the files called labels, and writes the event
 * "settled" with it, once.  contact is the label of the contacts' file: it should have as many rows as the ledger.
 */
bool journal_take_lengths(struct db *db, int id, const char *labels, const char *found,
			  const char *contact, struct error *err);

/* Takes the keys off the list that the ledger knows as erased by this action, or all; *ret_left is what is left. */
bool journal_forget_treated(struct db *db, int id, bool all, int64_t *ret_left, struct error *err);

/*
 * Saves the rest of a policy's occurrence as a new action with the same cutoff; *ret_id is its number.  Before
 * journal_finish(), in its transaction.
 */
bool journal_begin_rest(struct db *db, int id, int *ret_id, struct error *err);

/* Removes keys that stayed locked to the end from the list, with one event; *ret_n counts earlier ones too. */
bool journal_left_over(struct db *db, int id, int64_t *ret_n, struct error *err);

/* How many keys failed. */
bool journal_failures(struct db *db, int id, int64_t *ret, struct error *err);

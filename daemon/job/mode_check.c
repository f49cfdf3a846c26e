/*
 * --check: the configuration against the database, and whatever else must be right before a job may
 * begin: age and its recipients, the ledger's file.  Complaints are told line by line.
 */
#include "job/job_state.h"

#include "preflight/check_plan.h"
#include "archive/age.h"
#include "journal/ledger_sync.h"
#include "batch/session.h"
#include "base/mem.h"
#include "job/outbox.h"
#include "batch/throttle.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <sys/stat.h>

#define CONTROL_SLOT 0

/* Not at once after one that failed, or that could not erase everybody: it would only do so again. */
static bool may_replay(struct db *db, bool *ret, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(
		    db,
		    "SELECT NOT EXISTS (SELECT FROM retention.archive_journal AS j\n"
		    "                    WHERE j.replay AND j.finished_at > now() - interval '1 hour'\n"
		    "                      AND (j.error IS NOT NULL OR j.status IN ('failed', "
		    "'cancelled'))) AS may",
		    0, NULL, &res, err))
		return false;
	*ret = db_bool(res, 0, "may");
	return true;
}

/*
 * A database that was restored from an older backup has forgotten erasures that the ledger's file
 * knows.  That refuses nothing here (a reload must still be possible): it is said loudly, and what is
 * in retention.replay keeps the SQL functions from giving out anything but the replay.
 */
static bool check_ledger(const struct job_opts *opts, struct db *db, struct error *err)
{
	AUTO(ledger) struct ledger *ledger = NULL;
	AUTO(char_p) char *text = NULL;
	AUTO(error) struct error busy = {0};
	const char *what = "retentionctl replay has erased them again";
	bool automatic = false;
	int64_t ahead = 0;

	if (!ledger_sync_open(db, opts->config->directory, false, &ledger, err))
		return false;
	/* No file: nothing was ever erased, or on another host; or it is gone since it was found to be ahead. */
	if (ledger ? !ledger_sync_check(db, ledger, &ahead, err)
		   : !ledger_ahead(db, &ahead, NULL, err))
		return false;
	if (ahead == 0)
		return true;
	if (opts->config->replay_automatic && !may_replay(db, &automatic, err))
		return false;
	if (automatic)
		what = "they are replayed, which begins now";
	else if (opts->config->replay_automatic)
		what = "retentionctl replay has erased them again: the last replay left some behind "
		       "(see retentionctl show for why), and is not repeated for an hour";
	if (asprintf(&text,
		     "the database was restored from a backup: it has forgotten %" PRId64
		     " erasures that \"%s/" LEDGER_FILE "\" %s; no policy runs until %s (legal "
		     "holds that were placed since are missing, too: place them first)",
		     ahead, opts->config->directory,
		     ledger ? "knows" : "knew, which is not there any more", what) < 0)
		must_alloc(NULL);
	report_complaint(opts->report, text);
	if (automatic && /* refused where one is under way already */
	    !db_exec(db, "SELECT retention.replay_ledger('automatic')", &busy) && !db_alive(db))
		return fail(err, busy.class, "%s", busy.text);
	return true;
}

static bool check_recipients(const struct config *config, struct complaints *c, struct error *err)
{
	AUTO(error) struct error cause = {0};

	if (config->n_recipients == 0 ||
	    age_check(config->recipients, config->n_recipients, &cause))
		return true;
	if (cause.class != ERR_CONFIG)
		return fail(err, cause.class, "%s", cause.text);
	complain(c, &config->archives_place, "%s", cause.text);
	return false;
}

/* Said before anything is asked of the schema; its version is the daemon's to compare (supervisor/model_check.c). */
static bool check_schema(struct db *db, struct complaints *c, const struct config *config,
			 struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, "SELECT to_regnamespace('retention') IS NOT NULL AS there", 0, NULL, &res,
		      err))
		return false;
	if (!db_bool(res, 0, "there"))
		complain(c, &config->database_place,
			 "schema retention is missing: run retentionctl migrate");
	return db_bool(res, 0, "there");
}

static bool check_directory(struct complaints *c, const struct config *config)
{
	if (access(config->directory, R_OK | W_OK | X_OK) == 0)
		return true;
	complain(c, &config->archives_place, "archives: directory \"%s\" cannot be used: %s",
		 config->directory, strerror(errno));
	return false;
}

/* Refuses nothing: the right can be granted, and the session can go, while a pass waits. */
static bool check_throttle(const struct job_opts *opts, struct db *db, struct error *err)
{
	AUTO(char_p) char *why = NULL;
	AUTO(char_p) char *text = NULL;

	if (!throttle_blind(opts->config, db, &why, err))
		return false;
	if (!why)
		return true;
	if (asprintf(&text, "%s; until then, passes wait", why) < 0)
		must_alloc(NULL);
	report_complaint(opts->report, text);
	return true;
}

static bool check_and_configure(const struct job_opts *opts, struct db *db, struct complaints *c,
				struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct table *t = opts->config->model.contact;
	struct check check = {.db = db,
			      .config = opts->config,
			      .ctx = ctx,
			      .complaints = c,
			      .report = opts->report};
	const char *type;

	if (!check_schema(db, c, opts->config, err) || !check_directory(c, opts->config) ||
	    !check_config(&check, err))
		return false;
	if (!check_recipients(opts->config, c, err) || !outbox_check(opts->config, c))
		return false;
	/* By which place_hold writes a key as the table does. */
	type = catalog_column(&check.catalog->relations[t->index], t->key)->type;
	return journal_configure(db, opts->config, type, err) && check_throttle(opts, db, err) &&
	       check_ledger(opts, db, err);
}

enum job_exit mode_check_run(const struct job_opts *opts)
{
	const struct db_opts db_opts = session_opts(opts->config, 30000);
	AUTO(complaints) struct complaints c = {0};
	AUTO(error) struct error err = {0};
	AUTO(db) struct db *db = NULL;

	if (db_open(&db_opts, &db, &err)) {
		stop_watch(opts->stop, CONTROL_SLOT, db_conn(db));
		if (check_and_configure(opts, db, &c, &err))
			return JOB_DONE;
		stop_watch(opts->stop, CONTROL_SLOT, NULL);
	}
	for (size_t i = 0; i < c.n; i++)
		report_complaint(opts->report, c.lines[i]);
	if (c.n > 0)
		return JOB_REFUSED;
	if (err.class == ERR_ENVIRONMENT || err.class == ERR_BUSY) {
		report_note(opts->report, err.text);
		return JOB_AWAY;
	}
	report_complaint(opts->report, err.text);
	return JOB_REFUSED;
}

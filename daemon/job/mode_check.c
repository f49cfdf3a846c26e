/*
 * --check, --test: compares the configuration with the database, and checks what else must be right before a job
 * may begin: age and its recipients, the ledger's file.  Tells complaints line by line.
 */
#include "job/mode.h"

#include "preflight/check_plan.h"
#include "preflight/date_triggers.h"
#include "preflight/views.h"
#include "archive/age.h"
#include "journal/configuration.h"
#include "journal/identity.h"
#include "journal/page_policies.h"
#include "journal/policies.h"
#include "journal/ledger_check.h"
#include "base/file.h"
#include "job/outbox.h"
#include "job/unknown.h"
#include "batch/throttle.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#define TIMEOUT_MS 30000
/* How long the check waits for a table that another session has locked, and how often it tries. */
#define LOCKED_MS 15000
#define LOCKED_PAUSE_MS 100

/* A check under way. */
struct look {
	bool begins; /* the daemon's: its settings are in force from now on, and a replay may begin */
	struct complaints complaints;
	bool answered; /* by the database, last */
};

/* May a replay begin by itself?  Not soon after one that failed or left somebody: it would do so again. */
static const char may_replay_sql[] =
	"SELECT (NOT EXISTS (SELECT FROM retention.archive_journal AS j\n"
	"                     WHERE j.replay AND j.finished_at > now() - interval '1 hour'\n"
	"                       AND NOT EXISTS (SELECT FROM retention.journal_event AS e\n"
	"                                        WHERE e.job = j.id AND e.kind = 'changed'\n"
	"                                          AND e.details ? 'restored')\n"
	"                       AND (j.error IS NOT NULL\n"
	"                            OR j.status IN ('failed', 'cancelled'))))::int";

/*
 * The file and the journal note each other's last hash, where a job could not, or a restored backup has lost one.  A full
 * disk, or a lock, must not keep the daemon from what makes room; the check is repeated after a complaint.
 */
static bool note_ledger(const struct job_opts *opts, struct db *db, struct ledger *ledger,
			const struct ledger_found *found, struct error *err)
{
	AUTO(error) struct error why = {0};

	if (found->lost_events)
		report_complaint(
			opts->report,
			"the journal lacks events of which the ledger's file has the hash: the "
			"database was restored from a backup, or the journal's end was removed "
			"(legal holds that were placed since are missing, too: place them again)");
	if (found->noted || found->lines == 0 || ledger_check_note(db, ledger, opts->host, &why))
		return true;
	if (!db_alive(db))
		return fail(err, why.class, "%s", why.text);
	report_complaint(
		opts->report,
		"the journal cannot note the last line of the ledger's file, which is tried "
		"again: %s",
		why.text);
	return true;
}

/* A file that is gone is written anew by the next pass.  Until then it can be put back. */
static bool tell_missing(const struct job_opts *opts, struct db *db, struct error *err)
{
	bool known = false;

	if (!ledger_check_known(db, opts->host, &known, err))
		return false;
	if (known)
		report_complaint(
			opts->report,
			"\"%s/" LEDGER_FILE
			"\" is gone: put it back from its backup, because the next pass writes it anew "
			"from the database, which does not know what it has forgotten",
			opts->config->directory);
	return true;
}

/*
 * A database that was restored from an older backup has forgotten erasures that the ledger's file knows.
 * This refuses nothing, because a reload must still be possible.  It complains loudly, and the rows of
 * retention.replay keep the SQL functions from giving out anything but the replay.
 */
static bool check_ledger(const struct job_opts *opts, struct db *db, bool begins, struct error *err)
{
	AUTO(ledger) struct ledger *ledger = NULL;
	AUTO(error) struct error busy = {0};
	const char *what = "retentionctl replay has erased them again";
	struct ledger_found found = {0};
	int64_t automatic = 0;

	if (!(begins ? identity_bind_adopted : identity_check)(db, opts->config->directory, err) ||
	    !ledger_open(db, opts->config->directory, LEDGER_APPEND, &ledger, err))
		return false;
	/* Without a file: nothing was erased on this host, or the file is gone since it was found to be ahead. */
	if (ledger ? !ledger_check(db, ledger, &found, err) : !ledger_check_ahead(db, &found, err))
		return false;
	if (found.ahead == 0)
		return ledger ? note_ledger(opts, db, ledger, &found, err)
			      : tell_missing(opts, db, err);
	if (opts->config->replay_automatic &&
	    !db_query_int(db, may_replay_sql, 0, NULL, &automatic, err))
		return false;
	if (automatic)
		what = begins ? "they are replayed, which begins now"
			      : "they are replayed, which begins with the daemon";
	else if (opts->config->replay_automatic)
		what = "retentionctl replay has erased them again: the last replay left some behind "
		       "(see retentionctl show for why), and is not repeated for an hour";
	report_complaint(
		opts->report,
		"the database was restored from a backup: it has forgotten %" PRId64
		" erasures that \"%s/" LEDGER_FILE "\" %s; no policy runs until %s (legal "
		"holds that were placed since are missing, too: place them first; if these "
		"contacts were to come back, retentionctl waive leaves them)",
		found.ahead, opts->config->directory, ledger ? "knows" : "knew, which is gone",
		what);
	if (automatic && begins && /* the function refuses it while a replay is under way */
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

/*
 * Whether notify.command can be run.  A test says no.  The daemon warns only: that nobody is told is no reason to let
 * data stay that has to go.
 */
static void check_notify(const struct job_opts *opts, bool begins, struct complaints *c)
{
	const struct place *at = &opts->config->notify_place;
	AUTO(error) struct error err = {0};

	if (!opts->config->has_notify || file_check_program(opts->config->notify_command[0], &err))
		return;
	if (begins)
		report_warning(opts->report, "%s:%d: notify.command: %s", at->file, at->line,
			       err.text);
	else
		complain(c, at, "notify.command: %s", err.text);
}

/* Checks that the schema is there, before any query of it; supervisor/model_check.c compares its version. */
static bool check_schema(struct db *db, struct complaints *c, const struct config *config,
			 struct error *err)
{
	int64_t there = 0;

	if (!db_query_int(db, "SELECT (to_regnamespace('retention') IS NOT NULL)::int", 0, NULL,
			  &there, err))
		return false;
	if (!there)
		complain(c, &config->database_place,
			 "schema retention is missing: run retentionctl migrate");
	return there;
}

static bool check_directory(struct complaints *c, const struct config *config)
{
	AUTO(error) struct error err = {0};

	if (file_check_private_folder(config->directory, &err) &&
	    access(config->directory, R_OK | W_OK | X_OK) == 0)
		return true;
	if (err.class == ERR_NONE)
		(void)fail_errno(&err, ERR_CONFIG, "\"%s\" cannot be used", config->directory);
	complain(c, &config->archives_place, "archives: directory %s", err.text);
	return false;
}

/* With group_readable the folder of the archives says to which group: they inherit it. */
static bool check_readers(struct complaints *c, const struct config *config)
{
	struct stat st = {.st_mode = 0};

	if (!config->group_readable)
		return true;
	if (stat(config->directory, &st) == 0 &&
	    (st.st_mode & (S_ISGID | S_IRGRP | S_IXGRP)) == (S_ISGID | S_IRGRP | S_IXGRP))
		return true;
	complain(c, &config->archives_place,
		 "archives: group_readable opens archives to the group of \"%s\", which has mode "
		 "%04o: chgrp it to the group of its readers, and chmod 2750 it",
		 config->directory, st.st_mode & 07777);
	return false;
}

static void warn_of_fold(const struct job_opts *opts, const struct catalog *catalog)
{
	const struct model *model = &opts->config->model;

	for (size_t i = 0; catalog->folds_ascii && i < model->n_tables; i++)
		if (model_redacts(&model->tables[i]))
			report_warning(
				opts->report,
				"table \"%s\": redact overlooks a name with an accent that is "
				"written in other capitals, because the database's LC_CTYPE is C, "
				"and the server has no collation und-x-icu or C.utf8 for it",
				model->tables[i].name);
}

/* Refuses nothing: an erasure must not wait because somebody has made a view. */
static bool warn_of_views(const struct job_opts *opts, void *ctx, struct db *db, struct error *err)
{
	struct view *views;
	size_t n;

	if (!views_read(db, &opts->config->model, ctx, &views, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (views[i].lacking)
			report_warning(
				opts->report,
				"materialized view %s reads %s and keeps what is erased there "
				"until it is refreshed: say refresh = true for the table, or "
				"T0 of retentionctl show waits for it",
				views[i].name, views[i].lacking);
		if (views[i].refreshed && !views[i].may)
			report_warning(
				opts->report,
				"materialized view %s is to be refreshed (refresh = true), and "
				"only its owner %s may: retentionctl grants prints what the role "
				"needs",
				views[i].name, views[i].owner);
	}
	return true;
}

/* Refuses nothing: what the function does with the date, only its text says. */
static bool warn_of_dates(const struct job_opts *opts, void *ctx, struct db *db, struct error *err)
{
	const struct table *r = opts->config->model.request;
	const char *const *names = NULL;
	size_t n;

	if (!date_triggers_read(db, &opts->config->model, ctx, &names, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		report_warning(
			opts->report,
			"trigger %s of %s.%s can set \"%s\" when the daemon writes a request that stays: its other "
			"contacts, and later policies, would count from that day; count from another date, or "
			"let the trigger leave alone what the daemon writes",
			names[i], r->schema, r->table, r->date);
	return true;
}

/* The setting of the connection in force, from conninfo, a service or the environment; "": it has none. */
static const char *setting_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val ? options->val : "";
	return "";
}

/*
 * Warns where another server could take the place of the database's on the network.  It would be given the password,
 * and all that is erased from it stays elsewhere.  address: the server's, or its name; "" or a path: none.
 */
static void warn_of_network(const struct job_opts *opts, const char *address, const char *sslmode)
{
	const struct place *at = &opts->config->database_place;

	if (*address && !strchr("/@", *address) && strncmp(address, "127.", 4) != 0 &&
	    strcmp(address, "::1") != 0 && strcmp(address, "localhost") != 0 &&
	    strcmp(sslmode, "verify-full") != 0)
		report_warning(opts->report,
			       "%s:%d: database: conninfo reaches the server over the network with "
			       "sslmode=%s, so that another server could take its place, and get "
			       "the password: say sslmode=verify-full, and sslrootcert=",
			       at->file, at->line, sslmode);
}

static void check_network(const struct job_opts *opts, struct db *db)
{
	PQconninfoOption *options = PQconninfo(db_conn(db));

	warn_of_network(opts, PQhostaddr(db_conn(db)), setting_of(options, "sslmode"));
	PQconninfoFree(options);
}

/* Nobody has answered as a database does.  So it is asked of conninfo; what a service says is unknown. */
static void check_network_unanswered(const struct job_opts *opts)
{
	static const char *const keywords[] = {"hostaddr", "host", "sslmode"};
	PQconninfoOption *options = PQconninfoParse(opts->config->conninfo, NULL);
	PQconninfoOption *defaults = PQconndefaults();
	const char *values[LENGTH(keywords)];

	for (size_t i = 0; i < LENGTH(keywords); i++) {
		values[i] = setting_of(options, keywords[i]);
		if (!*values[i])
			values[i] = setting_of(defaults, keywords[i]);
	}
	warn_of_network(opts, *values[0] ? values[0] : values[1], values[2]);
	PQconninfoFree(options);
	PQconninfoFree(defaults);
}

/* Refuses nothing, because the right can be granted, or the session can end, while an action waits. */
static bool check_throttle(const struct job_opts *opts, const struct catalog *catalog,
			   struct db *db, struct error *err)
{
	AUTO(char_p) char *why = NULL;

	if (!throttle_blind(opts->config, catalog_is_spread(&opts->config->model, catalog), db,
			    &why, err))
		return false;
	if (why)
		report_complaint(opts->report, "%s; until then, passes wait", why);
	return true;
}

/*
 * The policies of the page, within the bounds that are in force from now on, and the list of all that is in force.  A
 * policy that a restored backup has brought back is retired before the daemon asks for them.
 */
static bool configure_policies(const struct job_opts *opts, struct db *db, void *ctx, bool begins,
			       struct error *err)
{
	const struct config *joined;

	if (!begins)
		return page_policies_compare(db, opts->config, false, opts->report, err);
	return page_policies_configure(db, opts->config, err) &&
	       page_policies_compare(db, opts->config, true, opts->report, err) &&
	       (joined = page_policies_join(db, opts->config, ctx, err)) &&
	       policies_configure(db, joined, err);
}

/* A test changes no setting: what it looks at is not in force.  The first one lets people begin before the daemon does. */
static bool configure(const struct job_opts *opts, struct db *db, const char *type, bool begins,
		      void *ctx, struct error *err)
{
	static const char sql[] =
		"SELECT count(*) FROM retention.setting AS s WHERE s.name = 'contact_key_type'";
	static const char backups_sql[] = "SELECT retention.configure_backups($1::interval)";
	int64_t known = 0;
	char keep[32];
	const char *backups = NULL;

	if (opts->config->has_backups_keep) {
		period_print(&opts->config->backups_keep, keep, sizeof(keep));
		backups = keep;
	}
	return (begins || db_query_int(db, sql, 0, NULL, &known, err)) &&
	       (known > 0 || configuration_store(db, opts->config, type, err)) &&
	       (!begins || db_command(db, backups_sql, 1, &backups, NULL, err)) &&
	       configure_policies(opts, db, ctx, begins, err) &&
	       (!begins || configuration_accept(db, opts->config, opts->host, opts->asked_by, err));
}

static bool check_and_configure(const struct job_opts *opts, struct look *look, struct db *db,
				struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct table *t = opts->config->model.contact;
	AUTO(result) PGresult *unknown = NULL;
	struct complaints *c = &look->complaints;
	struct check check = {.db = db,
			      .config = opts->config,
			      .ctx = ctx,
			      .complaints = c,
			      .report = opts->report};
	const char *type;

	if (!check_schema(db, c, opts->config, err) || !check_directory(c, opts->config) ||
	    !check_readers(c, opts->config) || !check_config(&check, err))
		return false;
	if (!check_recipients(opts->config, c, err) || !outbox_check(opts->config, c))
		return false;
	check_network(opts, db);
	/* By this type place_hold writes a key as the table does. */
	type = check_key_types(ctx, t, &check.catalog->relations[t->index]);
	if (!db_knows_characters(db))
		report_warning(
			opts->report,
			"the database has the encoding SQL_ASCII, so that its texts can be anything: archives "
			"have their bytes as they are; redact and residue know no letters but those of ASCII");
	/* Last: the settings of a configuration that is refused must not act. */
	warn_of_fold(opts, check.catalog);
	return warn_of_views(opts, ctx, db, err) && warn_of_dates(opts, ctx, db, err) &&
	       check_throttle(opts, check.catalog, db, err) &&
	       check_ledger(opts, db, look->begins, err) &&
	       unknown_find(db, opts->config->directory, &unknown, err) &&
	       configure(opts, db, type, look->begins, ctx, err);
}

/* Adds the tables that other sessions have locked: a query of the catalog that waits for one does not name it. */
static void tell_locks(const struct job_opts *opts, struct db *db, const char *why)
{
	static const char sql[] =
		"SELECT string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables\n"
		"  FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p')\n"
		"  JOIN pg_database AS d ON d.oid = l.database AND d.datname = current_database()\n"
		" WHERE l.granted AND l.pid <> pg_backend_pid() AND l.mode LIKE '%Exclusive%'\n"
		"   AND l.mode NOT LIKE 'Row%'";
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error ignored = {0}; /* only the names are missing then */
	const char *tables =
		db_query(db, sql, 0, NULL, &res, &ignored) ? db_text(res, 0, "tables") : NULL;
	AUTO(char_p)
	char *text = xprintf("%s%s%s", why, tables ? "; locked by other sessions: " : "",
			     tables ? tables : "");

	report_waiting(opts->report, WAIT_LOCKS, text);
}

/* A client that changes a table has it locked, for a moment as a rule: begins again until it is free. */
static bool check_patiently(const struct job_opts *opts, void *arg, struct db *db,
			    struct error *err)
{
	const int64_t end_ms = monotonic_ms() + LOCKED_MS;
	struct look *look = arg;

	while (!check_and_configure(opts, look, db, err)) {
		look->answered = db_alive(db);
		if (err->class != ERR_BUSY || !look->answered || monotonic_ms() > end_ms ||
		    stop_sleep_ms(opts->stop, LOCKED_PAUSE_MS))
			return false;
		db_rollback(db);
		tell_locks(opts, db, err->text);
		error_clear(err);
		complaints_clear(&look->complaints);
	}
	report_waiting(opts->report, WAIT_NONE, NULL);
	return true;
}

static enum job_exit run(const struct job_opts *opts, bool begins)
{
	struct look look = {.begins = begins};
	AUTO(error) struct error err = {0};
	enum job_exit end = mode_run(opts, TIMEOUT_MS, check_patiently, &look, &err);

	check_notify(opts, begins, &look.complaints);
	for (size_t i = 0; i < look.complaints.n; i++)
		report_complaint(opts->report, "%s", look.complaints.lines[i]);
	if (look.complaints.n > 0)
		end = JOB_REFUSED;
	else if (end == JOB_AWAY) {
		report_note(opts->report, "%s", err.text);
		if (!look.answered)
			check_network_unanswered(opts);
	} else if (end == JOB_REFUSED)
		report_complaint(opts->report, "%s", err.text);
	complaints_clear(&look.complaints);
	return end == JOB_AWAY && look.answered ? JOB_INCOMPLETE : end;
}

enum job_exit mode_check_run(const struct job_opts *opts)
{
	return run(opts, true);
}

enum job_exit mode_test_run(const struct job_opts *opts)
{
	return run(opts, false);
}

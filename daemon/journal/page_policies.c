/*
 * The file and a restored backup.  A backup knows a policy as it was then: in force, although somebody has retired it
 * since.  It would erase what nobody wants erased, and the ledger does not show that, because nothing was erased.  So
 * the file beside the ledger has, of each policy, the version that was validated last, and whether it was retired.  The
 * check of the model compares them before anything is started, after a start, a reload, a new connection, and after each
 * validation and retirement.  What may die on each line of the comparison, and what then:
 *
 *   retire    what the file knows to be retired; with the events of lost policies one transaction.
 *   file      to a temporary name, synced, renamed.  Killed before the rename: the next comparison finds the same, tells
 *             a lost policy again, and ends like this one.
 *
 * Not found are a policy that was retired while no daemon ran and brought back before one did, and a file that is gone
 * together with the archives: the policies that the database has in force run then.
 */
#include "journal/page_policies.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

bool page_policies_configure(struct db *db, const struct config *config, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *bounds = page_bounds(ctx, config);

	return db_command(db, "SELECT retention.configure_page($1::jsonb)", 1, &bounds, NULL, err);
}

/* Makes a policy of a row; returns why it is not allowed, or NULL. */
static const char *policy_of_row(void *ctx, const struct config *config, const PGresult *res,
				 int row, struct policy *ret)
{
	const struct page_text text = {.name = db_value(res, row, "name"),
				       .version = db_value(res, row, "version"),
				       .action = db_value(res, row, "action"),
				       .months = db_text(res, row, "months"),
				       .schedule = db_value(res, row, "schedule"),
				       .archive = db_value(res, row, "archive")};

	if (!text.months) {
		*ret = (struct policy){.name = t_strdup(ctx, text.name)};
		return "its depth is not a number of months";
	}
	return page_policy(ctx, config, &text, ret);
}

struct config *page_policies_join(struct db *db, const struct config *config, void *ctx,
				  struct error *err)
{
	static const char sql[] =
		"SELECT name, version, action, months, schedule, archive, status = 'saved' AS saved\n"
		"  FROM retention.page_policies WHERE status <> 'retired' ORDER BY name, version";
	struct config *joined = t_zero(ctx, struct config);
	AUTO(result) PGresult *res = NULL;

	*joined = *config;
	if (!config->pages)
		return joined;
	if (!db_query(db, sql, 0, NULL, &res, err))
		return NULL;
	joined->policies =
		t_array(joined, struct policy, config->n_policies + (size_t)PQntuples(res) + 1);
	for (size_t i = 0; i < config->n_policies; i++)
		joined->policies[i] = config->policies[i];
	for (int row = 0; row < PQntuples(res); row++) {
		struct policy *p = &joined->policies[joined->n_policies];

		if (policy_of_row(joined, config, res, row, p))
			continue; /* the supervisor tells it, and the view has it */
		p->saved = db_bool(res, row, "saved");
		joined->n_policies++;
	}
	return joined;
}

const struct policy *page_policies_find(struct db *db, const struct config *config,
					const struct journal_row *row, void *ctx, struct error *err)
{
	static const char sql[] =
		"SELECT name, version, action, months, schedule, archive, status\n"
		"  FROM retention.page_policies WHERE name = $1 AND version = $2::int";
	struct policy *policy = t_zero(ctx, struct policy);
	const char *const values[] = {row->policy, t_printf(policy, "%d", row->policy_version)};
	const bool runs = strcmp(row->status, "running") == 0;
	AUTO(result) PGresult *res = NULL;
	const char *why = "the database does not know it";

	if (!db_query(db, sql, 2, values, &res, err))
		return NULL;
	if (PQntuples(res) == 1) {
		why = policy_of_row(policy, config, res, 0, policy);
		if (!why && !runs && strcmp(db_value(res, 0, "status"), "in force") != 0)
			why = "it is no longer in force: cancel the action";
	}
	if (!why)
		return policy;
	(void)fail(err, ERR_CONFIG, "version %d of policy \"%s\", which was made on the page: %s",
		   row->policy_version, row->policy, why);
	return NULL;
}

/* --- The file --------------------------------------------------------------------------------- */

struct look {
	const struct config *config;
	int folder; /* open, and locked where the file system has locks */
	const char *known; /* the file's text, "{}" where there is none */
	bool begins;
	struct report *report;
	void *ctx;
};

static bool open_file(struct look *look, struct error *err)
{
	const char *directory = look->config->directory;

	look->folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (look->folder < 0)
		return fail_errno(err, errno == EIO ? ERR_ENVIRONMENT : ERR_CONFIG,
				  "cannot open archives.directory \"%s\"", directory);
	(void)flock(look->folder, LOCK_EX); /* a file system without locks goes without */
	look->known = file_read_small(look->folder, PAGE_POLICIES_FILE, look->ctx, err);
	if (err->class != ERR_NONE)
		return false;
	if (!look->known)
		look->known = "{}";
	return true;
}

/* Tells and settles one difference; row: of page_policies_forgotten(). */
static bool settle(struct db *db, const struct look *look, const PGresult *res, int row,
		   struct error *err)
{
	static const char retire_sql[] =
		"UPDATE retention.page_policy AS p\n"
		"   SET retired_by = session_user, retired_at = clock_timestamp(),\n"
		"       retired_as = 'restored'\n"
		" WHERE p.name = $1 AND p.version = $2::int AND p.retired_at IS NULL";
	static const char event_sql[] =
		"INSERT INTO retention.journal_event (kind, details) VALUES ('forgotten_policy', $1::jsonb)";
	const char *const values[] = {db_value(res, row, "name"), db_value(res, row, "version")};
	const char *content = db_value(res, row, "content");

	if (strcmp(db_value(res, row, "fault"), "stale") == 0) {
		report_warning(
			look->report,
			"the database was restored from a backup: policy \"%s\", version %s, "
			"was retired since, and is retired again; save and validate it anew "
			"if it is to run",
			values[0], values[1]);
		return !look->begins || db_command(db, retire_sql, 2, values, NULL, err);
	}
	report_warning(look->report,
		       "the database was restored from a backup: it has forgotten policy \"%s\", "
		       "version %s, which does not run: save and validate it anew (%s)",
		       values[0], values[1], content);
	return !look->begins || db_command(db, event_sql, 1, &content, NULL, err);
}

static bool settle_all(struct db *db, const struct look *look, struct error *err)
{
	AUTO(error) struct error why = {0};
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db,
		      "SELECT name, version, fault, content\n"
		      "  FROM retention.page_policies_forgotten($1::jsonb)",
		      1, &look->known, &res, &why))
		return fail(
			err, strncmp(why.sqlstate, "22", 2) == 0 ? ERR_CONFIG : why.class,
			"the file \"%s/" PAGE_POLICIES_FILE
			"\" cannot be compared with the policies of the database (%s): put it "
			"back from its backup, or look which policies of the page are in force, "
			"and move it away",
			look->config->directory, why.text);
	for (int row = 0; row < PQntuples(res); row++)
		if (!settle(db, look, res, row, err))
			return false;
	return true;
}

static bool write_file(struct db *db, const struct look *look, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	const char *wanted;

	if (!db_query(db, "SELECT retention.page_policies_known($1::jsonb) AS wanted", 1,
		      &look->known, &res, err))
		return false;
	wanted = db_value(res, 0, "wanted");
	if (strcmp(wanted, look->known) == 0)
		return true;
	failpoint("check-before-policies");
	return file_replace(look->folder, PAGE_POLICIES_FILE, wanted, err);
}

bool page_policies_compare(struct db *db, const struct config *config, bool begins,
			   struct report *report, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct look look = {.config = config, .begins = begins, .report = report, .ctx = ctx};
	const bool opened = !config->pages || open_file(&look, err);
	AUTO(fd) int folder = config->pages ? look.folder : -1;

	if (!config->pages || !opened)
		return opened;
	if (!db_exec(db, "BEGIN", err))
		return false;
	if (!settle_all(db, &look, err) || !db_commit(db, err)) {
		db_rollback(db);
		return false;
	}
	return !begins || write_file(db, &look, err);
}

bool page_policies_counted(struct db *db, const struct policy *policy,
			   const struct page_count *count, struct error *err)
{
	static const char sql[] =
		"UPDATE retention.page_policy AS p\n"
		"   SET counted = $3::bigint, held = $4::bigint, cutoff = $5::timestamptz, remark = $6,\n"
		"       counted_at = clock_timestamp()\n"
		" WHERE p.name = $1 AND p.version = $2::int AND p.validated_at IS NULL\n"
		"   AND p.retired_at IS NULL";
	char version[16];
	const char *const values[] = {policy->name, version,       count->due,
				      count->held,  count->cutoff, count->remark};

	(void)snprintf(version, sizeof(version), "%d", policy->version); /* fits */
	return db_command(db, sql, 6, values, NULL, err);
}

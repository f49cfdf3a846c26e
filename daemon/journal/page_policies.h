/*
 * Policies that people make on the page, as the database has them (migrations/0009_page_policies.sql).  Each is compared
 * with the configuration when it is read (config/page.h).
 */
#pragma once

#include "base/job_protocol.h"
#include "config/config.h"
#include "database/db.h"
#include "journal/journal.h"

/* The file in archives.directory that remembers which were in force. */
#define PAGE_POLICIES_FILE "policies"

/* Tells the SQL functions the bounds of the configuration. */
bool page_policies_configure(struct db *db, const struct config *config, struct error *err);

/*
 * Returns, owned by ctx, the configuration with the policies of the page behind the file's: those in force, and those
 * that are only saved, which have the flag.  Leaves out what the configuration does not allow.
 */
struct config *page_policies_join(struct db *db, const struct config *config, void *ctx,
				  struct error *err);

/*
 * The version that began the action of the row, owned by ctx.  CONFIG: it is not in force any longer, and the action does
 * not run yet; or the configuration does not allow it.
 */
const struct policy *page_policies_find(struct db *db, const struct config *config,
					const struct journal_row *row, void *ctx,
					struct error *err);

/*
 * Compares the file with the database, which may have been restored from a backup.  Retires a policy that the backup has
 * brought back, warns of it and of one that is lost, and brings the file up to date.  begins false: only warns.
 */
bool page_policies_compare(struct db *db, const struct config *config, bool begins,
			   struct report *report, struct error *err);

/* Stores what the survey has counted for a saved policy, or why it cannot run (remark). */
struct page_count {
	const char *due, *held, *cutoff, *remark;
};
bool page_policies_counted(struct db *db, const struct policy *policy,
			   const struct page_count *count, struct error *err);

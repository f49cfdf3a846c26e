/*
 * Policies that people make on the page (migrations/0009_page_policies.sql), and the bounds of the configuration for
 * them.  The database keeps the policies and compares each with the bounds that the daemon has stored.  The daemon and
 * its jobs compare again, each with its own configuration, and take nothing that does not pass.
 */
#pragma once

#include "config/config.h"

enum { PAGE_MOST = 100, PAGE_MONTHS_MAX = 1200 };

/* A period of months or years in months, 1 to PAGE_MONTHS_MAX; 0: it is another one. */
int page_months(const struct period *period);

/* The bounds as JSON for retention.configure_page(), owned by ctx; NULL: policies_from = "file". */
char *page_bounds(void *ctx, const struct config *config);

/* A version of a policy, as the database has it. */
struct page_text {
	const char *name;
	const char *version; /* a number */
	const char *action;
	const char *months; /* its depth */
	const char *schedule;
	const char *archive;
};

/*
 * Makes a policy of it, which ctx owns.  Returns NULL, or why the configuration does not allow it, or it makes no
 * sense; ctx owns that text, too, and the policy then has its name and version alone.
 */
const char *page_policy(void *ctx, const struct config *config, const struct page_text *text,
			struct policy *ret);

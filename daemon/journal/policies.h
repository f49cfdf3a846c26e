/*
 * The policies in force, as the database keeps them for people who cannot read the configuration's file
 * (retention.policy): the file's, and those of the page behind them (journal/page_policies.h).  Each function writes in transactions of its own.
 */
#pragma once

#include "base/error.h"
#include "config/config.h"
#include "database/db.h"

/* What a survey has found of a policy, as text; NULL: not counted. */
struct policy_figures {
	bool known; /* else the last survey's figures stay */
	const char *cutoff_next;
	const char *due_next;
	const char *held_next;
	const char *overdue;
	const char *overdue_since;
	const char *refused; /* NULL: the policy can run */
};

/* Stores the policies of a configuration that is in force, and forgets all others. */
bool policies_configure(struct db *db, const struct config *config, struct error *err);

/* Stores the figures of the configuration's policies, also of those that are only saved: figures[i] is of config->policies[i]. */
bool policies_measured(struct db *db, const struct config *config,
		       const struct policy_figures *figures, struct error *err);

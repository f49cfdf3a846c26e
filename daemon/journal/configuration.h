/*
 * The configuration in the database: the settings that the SQL functions read, and the canonical text, kept once for ever
 * (retention.configuration), so that an action can show what it was done by.
 */
#pragma once

#include "config/config.h"
#include "database/db.h"

/* Tells the SQL functions what they have to know of the configuration. */
bool configuration_store(struct db *db, const struct config *config, const char *contact_key_type,
			 struct error *err);

/*
 * Keeps the configuration that is in force from now on; a change is an event.  host may be NULL.  asked_by: the user of the
 * host who has asked for the reload; NULL: the daemon has started.
 */
bool configuration_accept(struct db *db, const struct config *config, const char *host,
			  const char *asked_by, struct error *err);

/* Keeps the configuration that a job works under; *ret_sha256 is owned by ctx. */
bool configuration_keep(struct db *db, const struct config *config, void *ctx,
			const char **ret_sha256, struct error *err);

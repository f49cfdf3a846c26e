/*
 * Does the schema retention in a database fit the program that meets it?  The daemon, retentionctl and the page ask by the
 * same query, each through its own connection, and say the same.
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* The version of the schema: an int, never NULL. */
#define SCHEMA_VERSION_SQL "SELECT coalesce(max(version), 0) FROM retention.schema_version"

/* A failure of that query by its SQLSTATE, which may be NULL: there is no schema, so its version is 0. */
bool schema_version_is_missing(const char *sqlstate);

/* What is the matter, and which of the programs in package has to be run or upgraded; talloc.  NULL: the schema fits. */
char *schema_version_judge(void *ctx, int64_t version, const char *package);

/* Below 0: the schema is older than this program; 0: it fits; above 0: it is newer. */
int schema_version_compare(int64_t version);

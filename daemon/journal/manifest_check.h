/*
 * Compares what an archive's manifest.json, its SHA256SUMS and the journal say of each other.  Knows texts, no files.
 */
#pragma once

#include "database/db.h"

struct manifest_claim {
	const char *job; /* the action's number; NULL: the journal does not know the archive */
	const char *name; /* of the folder, where job is NULL */
	const char *manifest, *sums; /* the texts of the two files */
};

/* Tells each fault.  CONFIG: the manifest is not a text that retentiond wrote. */
bool manifest_check(struct db *db, const struct manifest_claim *claim,
		    void (*tell)(void *arg, const char *file, const char *fault), void *arg,
		    struct error *err);

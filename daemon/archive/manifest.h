/*
 * Writes what an archive says of itself: SHA256SUMS, which sha256sum -c verifies, and manifest.json.
 */
#pragma once

#include "archive/writer.h"

struct manifest_file {
	const char *name; /* "contact.csv", "contact.csv.age" */
	const char *table; /* "crm.contact" */
	const char *const *columns;
	size_t n_columns;
	int64_t rows;
	int64_t bytes;
	char sha256[65];
	/* What an encrypted file was before; else "" and 0. */
	char plain_sha256[65];
	int64_t plain_bytes;
};

struct manifest {
	int64_t job;
	int64_t replay_of; /* the action whose erasures it did again; 0: none */
	const char *action;
	const char *policy; /* NULL: a manual action */
	const char *requested_by, *validated_by; /* roles; validated_by can be "policy NAME" */
	const char *archive;
	const char *cutoff; /* ISO 8601, with its offset from UTC */
	const char *finished; /* the same: when the manifest was written, by the database's clock */
	const char *database_system; /* the server's system identifier */
	char delimiter;
	bool bom;
	bool bytes; /* the texts are bytes of an unknown encoding */
	const char *const *recipients; /* of age; n_recipients, 0: not encrypted */
	size_t n_recipients;
	struct manifest_file *files;
	size_t n_files;
};

/* The text of manifest.json; owned by ctx. */
char *manifest_json(void *ctx, const struct manifest *m);

/* The text of lengths.json; owned by ctx.  What each worker has committed: [worker * n_files + file]. */
char *manifest_lengths(void *ctx, const struct archive *a, int workers, const int64_t *bytes,
		       const int64_t *rows);

/* The text of SHA256SUMS; owned by ctx. */
char *manifest_sums(void *ctx, const struct manifest *m);

/*
 * Plans a restore: compares each file of an archive's manifest with the model (which table it is) and the
 * catalog (whether its rows still fit there, and whether the caller may put them there), and finds the order
 * in which the rows can come back.
 */
#pragma once

#include "config/config.h"
#include "database/db.h"

/* One file of the archive. */
struct restore_file {
	const char *name; /* "contact.csv" */
	const char *stored; /* the same, or "contact.csv.age" */
	const char *label; /* "contact", "note.detached": as the journal counts it */
	bool detached; /* has the columns of the row's key, and of the link that it had */
	bool cleared; /* ... and of what its rules changed, with SQL_WRITTEN as the last one */
	const char *table; /* "crm.contact", for messages */
	const char *table_sql; /* quoted */
	const char *temporary; /* the table that holds its rows until they are put back */
	unsigned int oid;
	const char *columns_sql; /* all of the file, quoted, a comma between */
	const char *row_sql; /* the same columns of an alias t: ROW(t.a, t.b)::text */
	const char
		*match_sql; /* quoted: the columns by which its rows are found, a comma between */
	const char *same_sql; /* t and r have the same key: a condition; NULL: there is no key */
	const char *set_sql; /* the columns that a detachment has cleared, set to those of r */
	/* cleared: columns of r become those of t that somebody has written to since, or that no rule changed */
	const char *kept_sql;
	const char *changed_sql; /* cleared: somebody has written to t since: a condition */
	const char *unlinked_sql; /* t is still as it was detached: a condition */
	const char *link_sql; /* quoted: the columns of the link, a comma between; NULL: none */
	const char *head; /* the file's header, which a byte order mark may precede */
	const char *sha256; /* of what was archived, decrypted */
	const char *triggers; /* user triggers that may fire: "a, b"; NULL: none */
	int64_t rows;
	int64_t bytes;
};

struct restore_plan {
	char delimiter;
	struct restore_file *files; /* n_files: parents first, detached ones last */
	size_t n_files;
	const char *oids; /* of their tables: "{16384,16390}" */
};

/*
 * Reads manifest (JSON) and the catalog.  CONFIG, naming the table and what is wrong with it: a table
 * or column that is gone, a new column that cannot be empty, a file that the model does not know, a
 * missing right.  *ret is owned by ctx.
 */
bool restore_plan_read(struct db *db, const struct config *config, const char *manifest, void *ctx,
		       struct restore_plan *ret, struct error *err);

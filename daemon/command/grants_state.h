/*
 * The state of grants, which prints rights as SQL for psql, shared by its files: grants.c, grants_print.c and
 * grants_daemon.c.
 */
#pragma once

#include "command/command.h"

/* The holder of the rights. */
enum grantee { GRANTEE_DAEMON, GRANTEE_AUDITOR, GRANTEE_OPERATOR };

/* State of the command; the arrays are parameters of the queries. */
struct grants {
	struct command *cmd;
	void *ctx;
	enum grantee grantee;
	struct catalog *catalog;
	const char *name; /* of the role */
	const char *role; /* the same, quoted */
	char *tables; /* oid[]: of the model */
	char *columns; /* text[]: columns that are written, or found by value */
	char *owners; /* oid[]: the table of each of the columns */
	const char **
		heading; /* of the lines that follow, printed above the first of them; NULL: none */
	char *schemas; /* text[]: of the model's tables; USAGE is granted on each */
};

/* Prints a comment.  On one line, because a name of the catalog must not become a statement for psql. */
void grants_comment(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line for each row of the query, and adds the role. */
bool grants_rows(const struct grants *g, const char *sql, int n, const char *const values[],
		 struct error *err);

/* The rights of the daemon beside reading: its groups and settings, to maintain the tables, to change one, to fire triggers. */
void grants_daemon_groups(const struct grants *g);
bool grants_daemon_maintain(const struct grants *g, struct error *err);
bool grants_daemon_table(const struct grants *g, const struct table *t, struct error *err);
bool grants_daemon_triggers(const struct grants *g, struct error *err);

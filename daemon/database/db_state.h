/*
 * A session's state.  Private to database/db.c and database/copy.c.
 */
#pragma once

#include "database/db.h"

struct db {
	PGconn *conn;
	bool pooled; /* the server's session outlives ours */
	const char **kept; /* n_kept: the prepared statements, the i-th as "k<i>" */
	size_t n_kept;
	int64_t ended; /* transactions since the last call of db_take_ended() */
	PGresult *settings; /* of settings_sql, as db_open() made them */
	bool citus; /* the extension may have a statement run on another server */
};

/* The failure of a connection that is lost; always false. */
bool db_lost(struct db *db, struct error *err);

/* Takes all results of what was sent; the last one that failed fills err, or else the last one is *ret_res. */
bool db_drain(struct db *db, PGresult **ret_res, struct error *err);

/* Notes the number of rows affected, where ret_rows is not NULL.; always true. */
bool db_count_rows(PGresult *res, int64_t *ret_rows);

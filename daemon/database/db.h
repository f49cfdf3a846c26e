/*
 * A thin layer over libpq for straight blocking code: jobs and commands.  (The supervisor, which
 * never blocks, has supervisor/connection.h.)  Sessions are opened one way, here: search_path = pg_catalog, every
 * time-out set, row_security off (a hidden row is an error, not a row that silently stays).
 */
#ifndef RETENTION_DATABASE_DB_H
#define RETENTION_DATABASE_DB_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

struct db; /* one session */

struct db_opts {
	const char *conninfo; /* any libpq string */
	const char *timezone; /* the session's TimeZone: what a day is */
	const char *application_name; /* NULL: "retentiond" */
	int lock_timeout_ms; /* 0: none */
	int statement_timeout_ms; /* 0: none */
};

static inline void auto_result(PGresult **res)
{
	PQclear(*res);
}

/* Opens a session.  ENVIRONMENT when the server is away, CONFIG when it refuses us. */
bool db_open(const struct db_opts *opts, struct db **ret_db, struct error *err);

/* Closes it; NULL is fine. */
void db_close(struct db *db);

static inline void auto_db(struct db **db)
{
	db_close(*db);
}

/* Is the connection usable?  false after any failure that lost it. */
bool db_alive(const struct db *db);

/* The server's version as libpq has it: 150018. */
int db_server_version(const struct db *db);

/* How many transactions the session has ended, well or not, since the last call. */
int64_t db_take_ended(struct db *db);

/* The connection itself, for PQgetCancel and PQescapeLiteral. */
PGconn *db_conn(struct db *db);

/* One statement, or several, whose rows nobody wants. */
bool db_exec(struct db *db, const char *sql, struct error *err);

/* As db_exec, formatted; for identifiers and numbers that plan/build.c or the caller has made safe. */
bool db_execf(struct db *db, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* One statement with n text parameters (NULL: SQL NULL); *ret_res is the caller's to PQclear. */
bool db_query(struct db *db, const char *sql, int n, const char *const values[], PGresult **ret_res,
	      struct error *err);

/* db_query whose rows nobody wants; ret_rows (may be NULL) gets the number of rows affected. */
bool db_command(struct db *db, const char *sql, int n, const char *const values[],
		int64_t *ret_rows, struct error *err);

/*
 * The same for a statement that is run again and again: the session plans it once.  It is known by the
 * address of sql, which must stay what it is as long as db.
 */
bool db_query_kept(struct db *db, const char *sql, int n, const char *const values[],
		   PGresult **ret_res, struct error *err);
bool db_command_kept(struct db *db, const char *sql, int n, const char *const values[],
		     int64_t *ret_rows, struct error *err);

/* COMMIT, and a server that answers ROLLBACK (the transaction had failed) is a failure. */
bool db_commit(struct db *db, struct error *err);

/* Rolls back whatever is open; a lost connection is no failure: the server rolls back by itself. */
void db_rollback(struct db *db);

/* Where COPY's bytes go, untouched. false with err filled ends the copy. */
typedef bool (*db_copy_sink)(void *arg, const char *bytes, size_t n, struct error *err);

/* Runs COPY ... TO STDOUT; every byte goes to sink.  *ret_rows is the server's count. */
bool db_copy_out(struct db *db, const char *sql, db_copy_sink sink, void *arg, int64_t *ret_rows,
		 struct error *err);

/* Hands the copy its bytes, by calls of db_copy_put; false with err filled ends it. */
typedef bool (*db_copy_source)(void *arg, struct error *err);

/* Runs COPY ... FROM STDIN over what source puts; *ret_rows is the server's count. */
bool db_copy_in(struct db *db, const char *sql, db_copy_source source, void *arg, int64_t *ret_rows,
		struct error *err);

/* Within a source: n bytes more. */
bool db_copy_put(struct db *db, const char *bytes, size_t n, struct error *err);

/* Result readers, by column name.  A missing column or a bad number is a programmer's error. */
const char *db_text(const PGresult *res, int row, const char *column); /* NULL for SQL NULL */
const char *db_text_copy(void *ctx, const PGresult *res, int row, const char *column); /* ctx's */
int64_t db_int(const PGresult *res, int row, const char *column); /* 0 for SQL NULL */
bool db_bool(const PGresult *res, int row, const char *column); /* false for SQL NULL */

/*
 * Fills err from a failed result: class by SQLSTATE, the server's primary message and, never the
 * DETAIL (it quotes rows), the names of table and constraint.
 */
bool db_fail(struct db *db, const PGresult *res, struct error *err);

#endif

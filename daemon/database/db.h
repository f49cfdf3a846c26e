/*
 * A thin layer over libpq for code that blocks: jobs and commands.  (The supervisor, which never blocks, has
 * supervisor/connection.h.)  All sessions are opened here, with search_path = pg_catalog, every time-out set, and
 * row_security off, so that a hidden row is an error and not a row that silently stays.
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

struct db; /* one session */

struct db_opts {
	const char *conninfo; /* any libpq string */
	const char *timezone; /* the session's TimeZone, which says where a day begins */
	const char *application_name; /* NULL: "retentiond" */
	int lock_timeout_ms; /* 0: none */
	int statement_timeout_ms; /* 0: none */
};

DEFINE_AUTO(result, PGresult, PQclear)

/* Opens a session.  ENVIRONMENT: the server is away.  CONFIG: it refuses the role or the database. */
bool db_open(const struct db_opts *opts, struct db **ret_db, struct error *err);

/*
 * Closes it; NULL is fine.  The server's session ends, too, even where a pooler would give it to another client: entries of
 * retention.claimed and retention.erasing count as long as it lives.
 */
void db_close(struct db *db);

DEFINE_AUTO(db, struct db, db_close)

/* The connection is usable; false after a failure that lost it. */
bool db_alive(const struct db *db);

/* The words of a job that waits until the server is a primary. */
#define DB_STANDBY "the server is a standby: waiting for the primary"

/* The server's version as libpq has it: 150018. */
int db_server_version(const struct db *db);

/* false: the database has the encoding SQL_ASCII.  Its texts are bytes, which need not be UTF-8. */
bool db_knows_characters(const struct db *db);

/* The database has the extension citus: a statement may run on another server, which has settings of its own. */
bool db_citus(const struct db *db);

/* How many transactions the session has ended since the last call, by COMMIT or ROLLBACK. */
int64_t db_take_ended(struct db *db);

/* The connection itself, for PQgetCancel and PQescapeLiteral.  What is run past this module is not counted. */
PGconn *db_conn(struct db *db);

/* Runs one statement or several, and drops their rows. */
bool db_exec(struct db *db, const char *sql, struct error *err);

/* As db_exec(), formatted, for identifiers and numbers that plan/build.c or the caller has made safe. */
bool db_execf(struct db *db, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs one statement with n text parameters (NULL: SQL NULL); the caller clears *ret_res. */
bool db_query(struct db *db, const char *sql, int n, const char *const values[], PGresult **ret_res,
	      struct error *err);

/* As db_query(), but drops the rows; ret_rows (may be NULL) gets the number of rows affected. */
bool db_command(struct db *db, const char *sql, int n, const char *const values[],
		int64_t *ret_rows, struct error *err);

/* Runs a query of one row and one column, a number.  *ret is 0 for SQL NULL. */
bool db_query_int(struct db *db, const char *sql, int n, const char *const values[], int64_t *ret,
		  struct error *err);

/*
 * The same for a statement that is run often: the session plans it once.  It is known by the address of sql, whose
 * text must not change as long as db lives.
 */
bool db_query_kept(struct db *db, const char *sql, int n, const char *const values[],
		   PGresult **ret_res, struct error *err);
bool db_command_kept(struct db *db, const char *sql, int n, const char *const values[],
		     int64_t *ret_rows, struct error *err);

/*
 * db_query() of a table of the CRM in a session that may change more than that table.  PostgreSQL's planner runs IMMUTABLE
 * functions of constants that stand in a table's indexes and constraints, and a policy's functions run, too: they can
 * write nothing here, and all that they have set or prepared is undone.
 */
bool db_query_apart(struct db *db, const char *sql, int n, const char *const values[],
		    PGresult **ret_res, struct error *err);

/*
 * After a statement that fired triggers of the CRM: runs sql, a command or "", then checks that the session's settings are
 * what db_open() made them, because an archive would have another form, and a date would mean another day.  A time zone is
 * put back.  CONFIG: another setting, by name.
 */
bool db_check_settings(struct db *db, const char *sql, struct error *err);

/* Prepares one statement under the name; *ret_parameters: how many values it needs. */
bool db_describe(struct db *db, const char *name, const char *sql, int *ret_parameters,
		 struct error *err);

/* Undoes what foreign functions may have left in a session behind their transaction, which has ended: prepared statements. */
void db_forget_prepared(struct db *db);

/* Commits.  An answer of ROLLBACK, because the transaction had failed, is a failure. */
bool db_commit(struct db *db, struct error *err);

/* Rolls back.  Ignores a lost connection, because the server then rolls back by itself. */
void db_rollback(struct db *db);

/* Takes COPY's bytes, unchanged.  false, with err filled, ends the copy. */
typedef bool (*db_copy_sink)(void *arg, const char *bytes, size_t n, struct error *err);

/* Runs COPY ... TO STDOUT and hands each byte to sink.  *ret_rows is the server's count. */
bool db_copy_out(struct db *db, const char *sql, db_copy_sink sink, void *arg, int64_t *ret_rows,
		 struct error *err);

/* Gives the copy its bytes by calls of db_copy_put().  false, with err filled, ends the copy. */
typedef bool (*db_copy_source)(void *arg, struct error *err);

/* Runs COPY ... FROM STDIN over what source puts; *ret_rows is the server's count. */
bool db_copy_in(struct db *db, const char *sql, db_copy_source source, void *arg, int64_t *ret_rows,
		struct error *err);

/* Adds n bytes, within a source. */
bool db_copy_put(struct db *db, const char *bytes, size_t n, struct error *err);

/*
 * Result readers, by column name.  A missing column is a programmer's error.  An answer that no PostgreSQL gives (a bad
 * number, NULL for db_value(), an index that is not below n for db_index()) ends the process with a message and
 * EXIT_FAILURE, and without a core dump.
 */
const char *db_value(const PGresult *res, int row, const char *column); /* never NULL */
size_t db_index(const PGresult *res, int row, const char *column, size_t n);
const char *db_text(const PGresult *res, int row, const char *column); /* NULL for SQL NULL */
const char *db_text_copy(void *ctx, const PGresult *res, int row,
			 const char *column); /* allocated under ctx */
int64_t db_int(const PGresult *res, int row, const char *column); /* 0 for SQL NULL */
bool db_bool(const PGresult *res, int row, const char *column); /* false for SQL NULL */

/* Fills err from a failed result: the class by SQLSTATE, and the text of database/refusal.h. */
bool db_fail(struct db *db, const PGresult *res, struct error *err);

/*
 * Blocking libpq, with a struct for each session.  Every failure leaves here with its class, so that a job knows
 * whether the rows, a lock, the server or a person has to change.
 *
 * A statement that fails aborts its transaction, and the caller rolls back with db_rollback().  A connection that is
 * lost stays lost: the caller opens a new one and asks the server what it has committed, because the answer to a COMMIT
 * may have been lost with it.
 */
#include "database/db_state.h"

#include "base/text.h"
#include "database/citus.h"
#include "database/connect.h"
#include "database/refusal.h"

#include <errno.h>

#define SQL_ASCII "SQL_ASCII" /* the encoding of a database that takes any bytes */

/*
 * search_path: so that a table of the CRM with the name of a catalog cannot stand in for it, nor a temporary one that a
 * trigger has made, which comes first unless it is named.
 * row_security off: so that a row that a policy hides is an error, not a row that silently stays.
 * DateStyle, IntervalStyle, bytea_output, extra_float_digits, xmloption, lc_monetary, array_nulls: so that an archive
 * reads back to the same row, because these sessions write it and put it back.
 * transform_null_equals off: so that a predicate means the same in each session.
 * synchronous_commit: so that what the journal calls done survives a power loss of the server.
 * idle_in_transaction_session_timeout off: because a job that waits for the disk must not lose its locks between
 * fdatasync and COMMIT; tcp_user_timeout and keepalives detect a dead client instead.
 * jit off: because it compiles the long questions to the catalog for half a second, and they take ten milliseconds.
 * client_min_messages: because notices of the CRM's triggers are not to be printed.
 * log_parameter_max_length_on_error: so that the server's log gets no parameter of a statement that fails.
 */
static const char session_sql[] =
	"SET search_path = pg_catalog, pg_temp;"
	"SET row_security = off;"
	"SET DateStyle = 'ISO, YMD';"
	"SET IntervalStyle = postgres;"
	"SET bytea_output = hex;"
	"SET extra_float_digits = 1;"
	"SET xmloption = content;"
	"SET lc_monetary = 'C';"
	"SET array_nulls = on;"
	"SET transform_null_equals = off;"
	"SET standard_conforming_strings = on;"
	"SET default_transaction_isolation = 'read committed';"
	"SET default_transaction_read_only = off;"
	"SET default_transaction_deferrable = off;"
	"SET idle_in_transaction_session_timeout = 0;"
	"SET jit = off;"
	"SET client_min_messages = error;"
	"SET log_parameter_max_length_on_error = 0;"
	"SELECT set_config('synchronous_commit', 'on', false)"
	" WHERE current_setting('synchronous_commit') IN ('off', 'local');";

/*
 * Settings that need a right, which a role may lack.
 * lc_messages: so that db_fail() finds the function in the context.
 * log_parameter_max_length: so that the server's log gets no parameter of a statement that is slow.  Without the right
 * it gets keys, but nothing personal, because values stay in the server (plan/table.c, command/residue.c).
 */
#define PRIVILEGED                                                                                    \
	"SELECT set_config(s.name, s.value, false)\n"                                                 \
	"  FROM (VALUES ('lc_messages', 'C'), ('log_parameter_max_length', '0')) AS s(name, value)\n" \
	" WHERE "
static const char privileged_sql[] = PRIVILEGED "has_parameter_privilege(s.name, 'SET')";
static const char privileged_old_sql[] = PRIVILEGED "current_setting('is_superuser') = 'on'";

/* What triggers must not leave changed.  TIME_ZONE is the first. */
#define TIME_ZONE 0
static const char settings_sql[] =
	"SELECT current_setting('TimeZone') AS \"TimeZone\", current_setting('DateStyle') AS \"DateStyle\",\n"
	"       current_setting('IntervalStyle') AS \"IntervalStyle\",\n"
	"       current_setting('bytea_output') AS bytea_output,\n"
	"       current_setting('extra_float_digits') AS extra_float_digits,\n"
	"       current_setting('lc_monetary') AS lc_monetary,\n"
	"       current_setting('client_encoding') AS client_encoding,\n"
	"       current_setting('row_security') AS row_security,\n"
	"       current_setting('synchronous_commit') AS synchronous_commit,\n"
	"       current_setting('transform_null_equals') AS transform_null_equals,\n"
	"       to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS citus";

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg; /* a notice may quote a row, so it is not logged */
	(void)res;
}

bool db_lost(struct db *db, struct error *err)
{
	AUTO(char_p) char *text = connect_message(db->conn);

	return fail(err, ERR_ENVIRONMENT, "connection lost: %s", *text ? text : "no answer");
}

/* The log-in, the question for the server's process and that for the encoding are transactions, too. */
#define OPENING 3

static const char set_time_zone[] = "SELECT set_config('TimeZone', $1, false)";

static bool prepare_session(struct db *db, const struct db_opts *opts, struct error *err)
{
	const char *const values[] = {opts->timezone};
	AUTO(result) PGresult *res = NULL;

	(void)PQsetNoticeReceiver(db->conn, ignore_notice, NULL); /* returns the old one */
	/* Without an encoding of its own the server would refuse a text that is not UTF-8: its bytes pass as they are. */
	if (PQsetClientEncoding(db->conn, db_knows_characters(db) ? "UTF8" : SQL_ASCII) != 0)
		return fail(err, PQstatus(db->conn) == CONNECTION_OK ? ERR_CONFIG : ERR_ENVIRONMENT,
			    "the server cannot speak UTF-8 to us: %s", PQerrorMessage(db->conn));
	if (!db_exec(db, session_sql, err) ||
	    !db_exec(db, db_server_version(db) < 150000 ? privileged_old_sql : privileged_sql, err))
		return false;
	if (!db_execf(db, err, "SET lock_timeout = %d; SET statement_timeout = %d",
		      opts->lock_timeout_ms, opts->statement_timeout_ms))
		return false;
	if (opts->timezone && !db_query(db, set_time_zone, 1, values, &res, err))
		return false;
	if (!db_query(db, settings_sql, 0, NULL, &db->settings, err))
		return false;
	db->citus = db_bool(db->settings, 0, "citus");
	return true;
}

bool db_open(const struct db_opts *opts, struct db **ret_db, struct error *err)
{
	AUTO(db) struct db *db = xcalloc(1, sizeof(*db));

	if (!connect_open(opts, &db->conn, &db->pooled, err))
		return false;
	if (!prepare_session(db, opts, err))
		return false;
	db->ended += OPENING;
	*ret_db = db;
	db = NULL;
	return true;
}

void db_close(struct db *db)
{
	AUTO(error) struct error ended = {0};

	if (!db)
		return;
	if (db_alive(db) && db->pooled)
		(void)db_exec(db, "SELECT pg_terminate_backend(pg_backend_pid())", &ended);
	PQfinish(db->conn);
	PQclear(db->settings);
	free(db->kept);
	free(db);
}

bool db_alive(const struct db *db)
{
	return db && PQstatus(db->conn) == CONNECTION_OK;
}

int db_server_version(const struct db *db)
{
	return PQserverVersion(db->conn);
}

bool db_knows_characters(const struct db *db)
{
	const char *encoding = PQparameterStatus(db->conn, "server_encoding");

	return !encoding || strcmp(encoding, SQL_ASCII) != 0;
}

int64_t db_take_ended(struct db *db)
{
	const int64_t ended = db->ended;

	db->ended = 0;
	return ended;
}

PGconn *db_conn(struct db *db)
{
	return db->conn;
}

bool db_fail(struct db *db, const PGresult *res, struct error *err)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	AUTO(char_p) char *text = NULL;

	if (!sqlstate)
		return db_lost(db, err);
	text = refusal_text(res);
	if (err->class == ERR_NONE) {
		(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate); /* 5 + NUL */
		err->memory = db_alive(db) && refusal_is_memory(res, sqlstate);
	}
	return fail(err, db_alive(db) ? error_class_of_sqlstate(sqlstate) : ERR_ENVIRONMENT,
		    "%s (SQLSTATE %s)", text, sqlstate);
}

/* Drops all results that are still to come. */
bool db_drain(struct db *db, PGresult **ret_res, struct error *err)
{
	AUTO(result) PGresult *last = NULL;
	bool failed = false;
	PGresult *res;

	while ((res = PQgetResult(db->conn))) {
		const ExecStatusType status = PQresultStatus(res);

		if (failed) {
			PQclear(res);
			continue;
		}
		PQclear(last);
		last = res;
		failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
		if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN)
			return fail(err, ERR_CONFIG, "a statement turned out to be a COPY");
	}
	db->ended += PQtransactionStatus(db->conn) == PQTRANS_IDLE ? 1 : 0;
	if (!last)
		return fail(err, ERR_ENVIRONMENT, "connection lost: no answer");
	if (failed)
		return db_fail(db, last, err);
	*ret_res = last;
	last = NULL;
	return true;
}

bool db_exec(struct db *db, const char *sql, struct error *err)
{
	AUTO(char_p) char *with = db->citus ? citus_begin(sql) : NULL;
	AUTO(result) PGresult *res = NULL;

	return (PQsendQuery(db->conn, with ? with : sql) || db_lost(db, err)) &&
	       db_drain(db, &res, err);
}

bool db_citus(const struct db *db)
{
	return db->citus;
}

bool db_execf(struct db *db, struct error *err, const char *fmt, ...)
{
	AUTO(char_p) char *sql = NULL;
	va_list args;

	va_start(args, fmt);
	sql = xvprintf(fmt, args);
	va_end(args);
	return db_exec(db, sql, err);
}

bool db_query(struct db *db, const char *sql, int n, const char *const values[], PGresult **ret_res,
	      struct error *err)
{
	return (PQsendQueryParams(db->conn, sql, n, NULL, values, NULL, NULL, 0) ||
		db_lost(db, err)) &&
	       db_drain(db, ret_res, err);
}

bool db_count_rows(PGresult *res, int64_t *ret_rows)
{
	if (ret_rows)
		*ret_rows = strtoll(PQcmdTuples(res), NULL, 10); /* "" is 0: nothing is counted */
	return true;
}

bool db_command(struct db *db, const char *sql, int n, const char *const values[],
		int64_t *ret_rows, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	return db_query(db, sql, n, values, &res, err) && db_count_rows(res, ret_rows);
}

bool db_query_int(struct db *db, const char *sql, int n, const char *const values[], int64_t *ret,
		  struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, sql, n, values, &res, err))
		return false;
	*ret = db_int(res, 0, PQfname(res, 0));
	return true;
}

typedef char kept_name[32];

/* Keeps a statement whose transaction is rolled back, but not one that the server refuses. */
static bool keep(struct db *db, const char *sql, kept_name name, struct error *err)
{
	AUTO(result) PGresult *res = NULL;
	size_t i = 0;

	while (i < db->n_kept && db->kept[i] != sql)
		i++;
	(void)snprintf(name, sizeof(kept_name), "k%zu", i); /* fits */
	if (i < db->n_kept)
		return true;
	if (!(PQsendPrepare(db->conn, name, sql, 0, NULL) || db_lost(db, err)) ||
	    !db_drain(db, &res, err))
		return false;
	db->kept = must_alloc(realloc(db->kept, (i + 1) * sizeof(*db->kept)));
	db->kept[db->n_kept++] = sql;
	return true;
}

bool db_describe(struct db *db, const char *name, const char *sql, int *ret_parameters,
		 struct error *err)
{
	AUTO(result) PGresult *prepared = NULL, *described = NULL;

	if (!(PQsendPrepare(db->conn, name, sql, 0, NULL) || db_lost(db, err)) ||
	    !db_drain(db, &prepared, err) ||
	    !(PQsendDescribePrepared(db->conn, name) || db_lost(db, err)) ||
	    !db_drain(db, &described, err))
		return false;
	*ret_parameters = PQnparams(described);
	return true;
}

bool db_query_kept(struct db *db, const char *sql, int n, const char *const values[],
		   PGresult **ret_res, struct error *err)
{
	kept_name name;

	return keep(db, sql, name, err) &&
	       (PQsendQueryPrepared(db->conn, name, n, values, NULL, NULL, 0) ||
		db_lost(db, err)) &&
	       db_drain(db, ret_res, err);
}

bool db_command_kept(struct db *db, const char *sql, int n, const char *const values[],
		     int64_t *ret_rows, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	return db_query_kept(db, sql, n, values, &res, err) && db_count_rows(res, ret_rows);
}

static bool fail_setting(const PGresult *now, int i, struct error *err)
{
	return fail(
		err, ERR_CONFIG,
		"a trigger has set %s to %s for the whole session, which must not be: let its function put it "
		"back (ALTER FUNCTION ... SET %s FROM CURRENT, and SET LOCAL in it)",
		PQfname(now, i), PQgetvalue(now, 0, i), PQfname(now, i));
}

bool db_check_settings(struct db *db, const char *sql, struct error *err)
{
	AUTO(char_p) char *both = xprintf("%s%s%s", sql, *sql ? "; " : "", settings_sql);
	const char *const zone[] = {PQgetvalue(db->settings, 0, TIME_ZONE)};
	AUTO(result) PGresult *now = NULL;
	AUTO(result) PGresult *set = NULL;

	if (!(PQsendQuery(db->conn, both) || db_lost(db, err)) || !db_drain(db, &now, err))
		return false;
	for (int i = TIME_ZONE + 1; i < PQnfields(now); i++)
		if (strcmp(PQgetvalue(now, 0, i), PQgetvalue(db->settings, 0, i)) != 0)
			return fail_setting(now, i, err);
	return strcmp(PQgetvalue(now, 0, TIME_ZONE), *zone) == 0 ||
	       db_query(db, set_time_zone, 1, zone, &set, err);
}

void db_forget_prepared(struct db *db)
{
	AUTO(error) struct error ignored = {0}; /* a lost connection, which has none */

	(void)db_exec(db, "DEALLOCATE ALL", &ignored);
	db->n_kept = 0;
}

bool db_query_apart(struct db *db, const char *sql, int n, const char *const values[],
		    PGresult **ret_res, struct error *err)
{
	const bool own = PQtransactionStatus(db->conn) == PQTRANS_IDLE;
	const char *begin = own ? "BEGIN READ ONLY" : "SAVEPOINT apart; SET TRANSACTION READ ONLY";

	if (!db_exec(db, begin, err) || !db_query(db, sql, n, values, ret_res, err))
		return false;
	/* A savepoint that is rolled back takes its READ ONLY with it, and nothing within it can. */
	if (!db_exec(db, own ? "ROLLBACK" : "ROLLBACK TO SAVEPOINT apart; RELEASE SAVEPOINT apart",
		     err))
		return false;
	db_forget_prepared(db);
	return true;
}

bool db_commit(struct db *db, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	return (PQsendQuery(db->conn, "COMMIT") || db_lost(db, err)) && db_drain(db, &res, err) &&
	       (strcmp(PQcmdStatus(res), "COMMIT") == 0 ||
		fail(err, ERR_ENVIRONMENT, "the server answered COMMIT with %s", PQcmdStatus(res)));
}

void db_rollback(struct db *db)
{
	AUTO(error) struct error ignored = {0};

	/* Fails when the connection is lost: then the server rolls back by itself. */
	if (db_alive(db) && PQtransactionStatus(db->conn) != PQTRANS_IDLE)
		(void)db_exec(db, "ROLLBACK", &ignored);
}

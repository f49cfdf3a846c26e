/* COPY, both ways: bytes pass as the server has them, and either end may break it off. */
#include "database/db_state.h"

static void drop_results(struct db *db)
{
	PGresult *res;

	while ((res = PQgetResult(db->conn)))
		PQclear(res);
}

/* Ends a copy early: cancels it on the server, and drops the rest. */
static void abandon_copy(struct db *db)
{
	PGcancel *cancel = PQgetCancel(db->conn);
	char why[256];
	char *bytes = NULL;

	if (cancel)
		(void)PQcancel(cancel, why, sizeof(why)); /* too late to matter if it fails */
	PQfreeCancel(cancel);
	while (PQgetCopyData(db->conn, &bytes, 0) > 0)
		PQfreemem(bytes);
	drop_results(db);
}

/* Sends a COPY and takes its first answer, which has to be wanted. */
static bool begin_copy(struct db *db, const char *sql, ExecStatusType wanted, struct error *err)
{
	AUTO(result) PGresult *start = NULL;

	if (!PQsendQuery(db->conn, sql))
		return db_lost(db, err);
	start = PQgetResult(db->conn);
	if (PQresultStatus(start) == wanted)
		return true;
	(void)db_fail(db, start, err);
	drop_results(db);
	return false;
}

bool db_copy_out(struct db *db, const char *sql, db_copy_sink sink, void *arg, int64_t *ret_rows,
		 struct error *err)
{
	AUTO(result) PGresult *end = NULL;
	char *bytes = NULL;

	if (!begin_copy(db, sql, PGRES_COPY_OUT, err))
		return false;
	for (;;) {
		const int n = PQgetCopyData(db->conn, &bytes, 0);
		bool taken;

		if (n <= 0) /* -1: the command's status follows; -2: the connection's end */
			break;
		taken = sink(arg, bytes, (size_t)n, err);
		PQfreemem(bytes);
		if (!taken) {
			abandon_copy(db);
			return false;
		}
	}
	return db_drain(db, &end, err) && db_count_rows(end, ret_rows);
}

bool db_copy_put(struct db *db, const char *bytes, size_t n, struct error *err)
{
	static const size_t most = 1 << 20; /* PQputCopyData takes an int */

	while (n > 0) {
		const size_t part = n < most ? n : most;

		if (PQputCopyData(db->conn, bytes, (int)part) != 1)
			return db_lost(db, err);
		bytes += part;
		n -= part;
	}
	return true;
}

bool db_copy_in(struct db *db, const char *sql, db_copy_source source, void *arg, int64_t *ret_rows,
		struct error *err)
{
	AUTO(result) PGresult *end = NULL;
	bool given, ended;

	if (!begin_copy(db, sql, PGRES_COPY_IN, err))
		return false;
	given = source(arg, err);
	ended = PQputCopyEnd(db->conn, given ? NULL : "the source failed") == 1;
	if (!given || !ended) {
		AUTO(error) struct error ignored = {0};

		(void)db_lost(db, err);
		(void)db_drain(db, &end, &ignored); /* the first failure counts */
		return false;
	}
	return db_drain(db, &end, err) && db_count_rows(end, ret_rows);
}

/*
 * How a session begins: libpq's options, what a failure to connect means, in any language of the server, and the refusal of
 * a pooler that gives the session to other clients between two transactions.
 */
#include "database/connect.h"

#include "base/text.h"

#define POOLER_ROUNDS 20
#define N_OPTIONS 9 /* of a connection, with the NULL at their end */

DEFINE_AUTO(connection, PGconn, PQfinish)

char *connect_message(PGconn *conn)
{
	AUTO(char_p) char *message = xstrdup(PQerrorMessage(conn));

	text_trim(message);
	return xprintf("%s%s", message, text_forbidden(message));
}

/*
 * The class of a failure by the SQLSTATE in its verbose message: "FATAL:  28000: ...", in any language.  Without one
 * nobody has answered.
 */
static enum error_class class_of(const char *text)
{
	while ((text = strstr(text, ":  "))) {
		text += 3;
		if (strspn(text, DIGITS LETTERS) == 5 && text[5] == ':') {
			const enum error_class class = error_class_of_sqlstate(text);

			return class == ERR_DATA ? ERR_CONFIG : class;
		}
	}
	return ERR_ENVIRONMENT;
}

/*
 * Are the options of a connection wrong by themselves, such as a service that no file defines?  libpq judges them before
 * it connects, and the port that is asked has no server.
 */
static bool options_are_wrong(const char *const names[], const char *const values[])
{
	static const char *const nowhere[][2] = {
		{"host", "localhost"}, {"hostaddr", "127.0.0.1"}, {"port", "1"}};
	const char *all_names[N_OPTIONS + LENGTH(nowhere) + 1] = {0};
	const char *all_values[LENGTH(all_names)] = {0};
	size_t n = 0;

	for (; names[n]; n++) {
		all_names[n] = names[n];
		all_values[n] = values[n];
	}
	for (size_t i = 0; i < LENGTH(nowhere); i++, n++) {
		all_names[n] = nowhere[i][0];
		all_values[n] = nowhere[i][1];
	}
	return PQpingParams(all_names, all_values, 1) == PQPING_NO_ATTEMPT;
}

/*
 * Tries once more, so that libpq's message has the SQLSTATE: PGconn has no field for it, and the message is verbose only
 * if that was ordered before the attempt.  true: now the server accepts the connection.
 */
static bool connect_again(PGconn *conn, const char *const names[], const char *const values[],
			  struct error *err)
{
	AUTO(char_p) char *text = connect_message(conn);

	if (!strstr(text, ":  ")) /* a server's message has a severity */
		return fail(err, options_are_wrong(names, values) ? ERR_CONFIG : ERR_ENVIRONMENT,
			    "cannot connect to the database: %s", text);
	(void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); /* returns the old one */
	PQreset(conn);
	(void)PQsetErrorVerbosity(conn, PQERRORS_DEFAULT); /* likewise */
	return PQstatus(conn) == CONNECTION_OK || fail(err, class_of(PQerrorMessage(conn)),
						       "cannot connect to the database: %s", text);
}

/* The server's process behind the connection. */
static bool read_pid(PGconn *conn, int *ret_pid, struct error *err)
{
	AUTO(result) PGresult *res = PQexec(conn, "SELECT pg_catalog.pg_backend_pid() AS pid");
	AUTO(char_p) char *text = NULL;

	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		*ret_pid = (int)db_int(res, 0, "pid");
		return true;
	}
	text = connect_message(conn);
	return fail(err, ERR_ENVIRONMENT, "cannot ask the server for its process: %s", text);
}

/*
 * A pooler has told libpq another process than the server has.  In session mode each client keeps a process of its own.
 * In the other modes two clients that ask in turn meet in one sooner or later, mostly at once: nothing of the
 * session was changed before, and nothing may be, because it is the session of others.
 */
static bool check_pooler(PGconn *conn, const char *const names[], const char *const values[],
			 bool *ret_pooled, struct error *err)
{
	AUTO(connection) PGconn *other = NULL;
	int first = 0, pid = 0, others = 0;

	if (!read_pid(conn, &first, err))
		return false;
	*ret_pooled = first != PQbackendPID(conn);
	if (!*ret_pooled)
		return true;
	other = must_alloc(PQconnectdbParams(names, values, 1));
	if (PQstatus(other) != CONNECTION_OK) {
		AUTO(char_p) char *text = connect_message(other);

		return fail(err, ERR_ENVIRONMENT,
			    "a second connection, to tell the mode of the pooler, fails: %s", text);
	}
	for (int i = 0; i < POOLER_ROUNDS; i++) {
		if (!read_pid(other, &others, err) || !read_pid(conn, &pid, err))
			return false;
		if (pid != first || others == first)
			return fail(err, ERR_CONFIG,
				    "the connection goes through a pooler that does not keep a "
				    "session for each client (pool_mode = transaction of "
				    "PgBouncer): settings and locks would reach other clients; "
				    "connect to the server itself, or to a pool in session mode");
	}
	return true;
}

bool connect_open(const struct db_opts *opts, PGconn **ret_conn, bool *ret_pooled,
		  struct error *err)
{
	const char *application = opts->application_name ? opts->application_name : "retentiond";
	/* dbname, which is expanded, stands behind the others, so that conninfo can override them. */
	const char *const options[N_OPTIONS][2] = {{"fallback_application_name", application},
						   {"connect_timeout", "15"},
						   {"keepalives_idle", "30"},
						   {"keepalives_interval", "10"},
						   {"keepalives_count", "3"},
						   {"tcp_user_timeout", "60000"},
						   {"dbname", opts->conninfo},
						   {"client_encoding", "UTF8"},
						   {NULL, NULL}};
	const char *names[N_OPTIONS];
	const char *values[N_OPTIONS];
	AUTO(connection) PGconn *conn = NULL;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		names[i] = options[i][0];
		values[i] = options[i][1];
	}
	conn = must_alloc(PQconnectdbParams(names, values, 1));
	if (PQstatus(conn) != CONNECTION_OK && !connect_again(conn, names, values, err))
		return false;
	if (PQserverVersion(conn) < 130000)
		return fail(err, ERR_CONFIG, "the server is PostgreSQL %d: 13 or later is needed",
			    PQserverVersion(conn) / 10000);
	if (!check_pooler(conn, names, values, ret_pooled, err))
		return false;
	*ret_conn = conn;
	conn = NULL;
	return true;
}

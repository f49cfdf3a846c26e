#include "web/link_start.h"

#include "base/text.h"

enum { OPTIONS_MAX = 64 }; /* libpq 15 has 44 */

/* The options of conninfo, then ours, which libpq prefers because they come later. */
PGconn *link_start(const struct link_opts *opts)
{
	const char *const ours[][2] = {{"user", opts->user},
				       {"password", opts->password},
				       {"application_name", "retentiond-web"},
				       {"client_encoding", "UTF8"},
				       {"keepalives_idle", "30"},
				       {"keepalives_interval", "10"},
				       {"keepalives_count", "3"},
				       {"tcp_user_timeout", "20000"}};
	const char *names[OPTIONS_MAX + LENGTH(ours) + 1] = {0};
	const char *values[LENGTH(names)] = {0};
	PQconninfoOption *options = PQconninfoParse(opts->conninfo, NULL);
	PGconn *conn;
	size_t n = 0;

	for (const PQconninfoOption *o = options; o && o->keyword && n < OPTIONS_MAX; o++) {
		if (!o->val)
			continue;
		names[n] = o->keyword;
		values[n++] = o->val;
	}
	for (size_t i = 0; options && i < LENGTH(ours); i++) {
		if (!ours[i][1])
			continue;
		names[n] = ours[i][0];
		values[n++] = ours[i][1];
	}
	conn = options ? must_alloc(PQconnectStartParams(names, values, 0)) : NULL;
	PQconninfoFree(options);
	if (conn)
		(void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); /* returns the old one */
	return conn;
}

/* The class of a failure to connect by the SQLSTATE in a message such as "FATAL:  28P01: ...". */
enum link_end link_start_failure(const char *message)
{
	for (; (message = strstr(message, ":  ")); message += 3) {
		if (strspn(message + 3, DIGITS LETTERS) != 5 || message[8] != ':')
			continue;
		if (strncmp(message + 3, "28", 2) == 0)
			return LINK_REFUSED;
		return strncmp(message + 3, "42501", 5) == 0 ? LINK_FORBIDDEN : LINK_AWAY;
	}
	return LINK_AWAY;
}

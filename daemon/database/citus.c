#include "database/citus.h"

#include "base/mem.h"
#include "base/text.h"

/*
 * Follows each BEGIN in a database with the extension citus, whose other servers take a session's settings from SET LOCAL
 * alone, and run each in the text that it came in: a string of several statements would run there as a whole.  So each
 * has a text of its own here, and the extension is told so for these only.
 *
 * In the zone of another server a cutoff is another moment, without lock_timeout a batch waits for ever, and without
 * row_security = off a hidden row stays silently.  Of the search_path there only pg_catalog counts, because triggers
 * are refused (preflight/check_citus.c); the statements that set the path of the CRM's triggers set that.
 */
#define CITUS_SAY(settings, others)                                                                \
	"DO $settings$\n"                                                                          \
	"DECLARE s text;\n"                                                                        \
	"BEGIN\n"                                                                                  \
	"  SET LOCAL citus.propagate_set_commands = 'local';\n"                                    \
	"  FOREACH s IN ARRAY '{" settings "}'::text[]\n"                                          \
	"  LOOP\n"                                                                                 \
	"    CONTINUE WHEN s = 'session_replication_role' AND current_setting(s) = 'origin';\n"    \
	"    EXECUTE format('SET LOCAL %I = %L', s, current_setting(s));\n"                        \
	"  END LOOP;\n" others "  SET LOCAL citus.propagate_set_commands = 'none';\n"              \
	"END $settings$"
static const char citus_sql[] = CITUS_SAY(
	"TimeZone,DateStyle,IntervalStyle,bytea_output,extra_float_digits,xmloption,lc_monetary,"
	"array_nulls,transform_null_equals,row_security,lock_timeout,statement_timeout,"
	"idle_in_transaction_session_timeout,log_parameter_max_length_on_error,enable_seqscan,"
	"session_replication_role",
	"  SET LOCAL search_path = pg_catalog, pg_temp;\n"
	"  SET LOCAL retention.search_path = 'pg_catalog, pg_temp';\n");

const char citus_values_sql[] = CITUS_SAY("retention.values,retention.names,retention.pattern", "");

char *citus_begin(const char *sql)
{
	const size_t n = strcspn(sql, ";");

	return strncmp(sql, "BEGIN", strlen("BEGIN")) == 0
		       ? xprintf("%.*s; %s%s", (int)n, sql, citus_sql, sql + n)
		       : NULL;
}

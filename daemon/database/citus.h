/* How the other servers of a database with the extension citus get a session's settings. */
#pragma once

/*
 * Returns the statements sql with the session's settings after their BEGIN, for the transaction's statements on other
 * servers.  NULL: sql begins no transaction.  The caller frees it.
 */
char *citus_begin(const char *sql);

/*
 * Tells the other servers the settings retention.values, retention.names and retention.pattern of the transaction
 * (command/residue.c).
 */
extern const char citus_values_sql[];

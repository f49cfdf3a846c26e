/* Opens libpq's connections, for database/db.c. */
#pragma once

#include "database/db.h"

/*
 * Opens a connection, and changes nothing of its session.  *ret_pooled: a pooler stands between.  The classes are those of db_open(); CONFIG, too: a pooler that
 * is not in session mode.
 */
bool connect_open(const struct db_opts *opts, PGconn **ret_conn, bool *ret_pooled,
		  struct error *err);

/* The connection's last message without its newlines; the caller frees it. */
char *connect_message(PGconn *conn);

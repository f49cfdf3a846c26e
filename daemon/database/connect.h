/* Opens libpq's connections, for database/db.c. */
#pragma once

#include "database/db.h"

/* Opens a connection, and changes nothing of its session.  The classes are those of db_open(). */
bool connect_open(const struct db_opts *opts, PGconn **ret_conn, struct error *err);

/* The connection's last message without its newlines; the caller frees it. */
char *connect_message(PGconn *conn);

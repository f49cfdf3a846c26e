/* How a link begins: libpq's options, and what a failure to connect means. */
#pragma once

#include "web/link.h"

/* Starts to connect; NULL: conninfo cannot be read. */
PGconn *link_start(const struct link_opts *opts);

/*
 * The meaning of a failure to connect.  libpq has no field for its SQLSTATE, but the verbose message, which link_start()
 * orders, has it in any language.
 */
enum link_end link_start_failure(const char *message);

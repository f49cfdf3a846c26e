/*
 * The limits that spare a server's standbys, its disk and its pages: max_replica_lag, max_wal_backlog and
 * max_snapshot_age.  Where Citus has the rows on other servers, each of them is asked as well.
 */
#pragma once

#include "base/job_protocol.h"
#include "config/config.h"
#include "database/db.h"

struct limits;

/* config outlives it.  nodes: other servers have rows of the model. */
struct limits *limits_new(const struct config *config, bool nodes);
void limits_free(struct limits *l);

/*
 * Asks for all limits at once.  *ret_wait: the first that is exceeded, or WAIT_NONE; *ret_blind: it cannot be checked,
 * because a right is missing.  A server that does not answer is left out: no batch erases anything there.
 */
bool limits_ask(struct limits *l, struct db *db, struct wait *ret_wait, bool *ret_blind,
		struct error *err);

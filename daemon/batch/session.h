/*
 * A worker's session: its connection and its archive segments.  Both are opened anew after a failure, from what the
 * database says has been committed.
 */
#pragma once

#include "batch/worker.h"

struct session {
	struct worker_pool *pool;
	int worker; /* its number */
	struct db *db; /* NULL: none */
	struct archive_writer *writer; /* NULL: not open yet, or nothing is archived */
	int64_t committed_bytes; /* of the writer that was closed last */
	int statement_timeout_ms;
	int64_t backoff_ms; /* the last pause after a failure; 0: none since a batch went well */
	int64_t away_ms; /* the sum of those pauses */
};

/* Session options of all of a job's connections. */
struct db_opts session_opts(const struct config *config, int statement_timeout_ms);

/*
 * Opens a connection, unless one is open, and waits until no older session of this worker has a batch under way:
 * the end of that batch comes before its lengths are read.
 */
bool session_open(struct session *s, struct error *err);

/*
 * Opens the worker's segments.  Only once there is a key to work on: when all are done, an earlier attempt may have
 * joined the segments already.
 */
bool session_open_archive(struct session *s, struct error *err);

void session_close(struct session *s);

/* Before each batch: waits while the throttle says so.  false: err; STOPPED: stop was asked. */
bool session_wait_for_throttle(struct session *s, struct error *err);

/*
 * The server, the network or the disk has failed: closes the session and waits, longer each time.  false: STOPPED, or
 * the cause itself, where the job does not wait for a database that stays away.
 */
bool session_back_off(struct session *s, const struct error *cause, struct error *err);

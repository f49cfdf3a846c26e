/*
 * What has to hold before anything is started: the schema `retention` is the one that this program
 * knows, and the configuration's model holds against the database.  The latter is told by a child
 * (retention-job --check), since neither the supervisor nor retentiond -t has any business in the
 * catalog.
 */
#ifndef RETENTION_SUPERVISOR_MODEL_CHECK_H
#define RETENTION_SUPERVISOR_MODEL_CHECK_H

#include "supervisor/child.h"

#include <libpq-fe.h>

/* The question, and what the answer (not NULL) means: NULL, all is well, or what to do; to free. */
extern const char model_check_schema_sql[];
char *model_check_schema(const PGresult *res);

struct model_check;

struct model_check_handlers {
	void (*on_complaint)(void *arg, const char *text);
	/*
	 * JOB_DONE: it holds.  JOB_REFUSED: complaints were made.  JOB_AWAY: the database does not
	 * answer, or not in time.  Anything else: it could not be checked; how says why.
	 */
	void (*on_end)(void *arg, enum job_exit end, const char *how);
	void *arg;
};

struct model_check *model_check_new(struct event_base *base, struct children *children,
				    int patience_ms, const struct model_check_handlers *handlers);

/* NULL is fine.  After the children, which may still call back. */
void model_check_free(struct model_check *check);

/* One at a time.  Where no child can be started, on_end is called before this returns. */
void model_check_start(struct model_check *check, const struct config *config);

bool model_check_busy(const struct model_check *check);

/* Ends it, for on_end to tell; it only reads. */
void model_check_stop(struct model_check *check);

#endif

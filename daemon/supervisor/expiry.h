/*
 * Archives that were deleted or have expired: when a child (retention-job --tidy) looks after them.
 */
#ifndef RETENTION_SUPERVISOR_EXPIRY_H
#define RETENTION_SUPERVISOR_EXPIRY_H

#include "supervisor/child.h"

struct expiry;

struct expiry_handlers {
	void (*on_ended)(void *arg, bool good); /* good: nothing was refused, nothing went wrong */
	void *arg;
};

struct expiry *expiry_new(struct children *children, const struct expiry_handlers *handlers);

/* NULL is fine.  After the children, which may still call back. */
void expiry_free(struct expiry *expiry);

/* There may be something to do: an archive was deleted, the configuration is another, we have begun. */
void expiry_want(struct expiry *expiry);

/*
 * Starts the child if one is wanted, or has not been for an hour, and none runs.  Any number of times,
 * at least each minute, while the database is up and its schema the right one.
 */
void expiry_proceed(struct expiry *expiry, const struct config *config);

/* --once: nothing is left to do. */
bool expiry_settled(const struct expiry *expiry);

bool expiry_busy(const struct expiry *expiry);

/* Starts nothing more; tells the child to stop, now: kills it, which is safe too. */
void expiry_stop(struct expiry *expiry, bool now);

#endif

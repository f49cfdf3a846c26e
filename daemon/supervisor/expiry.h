/*
 * Archives that were deleted or have expired: when a child (retention-job --tidy) looks after them.
 */
#ifndef RETENTION_SUPERVISOR_EXPIRY_H
#define RETENTION_SUPERVISOR_EXPIRY_H

#include "supervisor/child.h"

struct caretaker;

struct caretaker_handlers {
	void (*on_ended)(void *arg, bool good); /* good: nothing was refused, nothing went wrong */
	void *arg;
};

struct caretaker *caretaker_new(struct children *children,
				const struct caretaker_handlers *handlers);

/* NULL is fine.  After the children, which may still call back. */
void caretaker_free(struct caretaker *caretaker);

/* There may be something to do: an archive was deleted, the configuration is another, we have begun. */
void caretaker_want(struct caretaker *caretaker);

/*
 * Starts the child if one is wanted, or has not been for an hour, and none runs.  Any number of times,
 * at least each minute, while the database is up and its schema the right one.
 */
void caretaker_proceed(struct caretaker *caretaker, const struct config *config);

/* --once: nothing is left to do. */
bool caretaker_settled(const struct caretaker *caretaker);

bool caretaker_busy(const struct caretaker *caretaker);

/* Starts nothing more; tells the child to stop, now: kills it, which is safe too. */
void caretaker_stop(struct caretaker *caretaker, bool now);

#endif

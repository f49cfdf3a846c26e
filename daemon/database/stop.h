/*
 * Stopping a job: SIGTERM or SIGINT asks for it, all its threads see it, sleeps end early, and a
 * statement that is still running after a while is cancelled, so that the job is gone in seconds.
 * What a cancelled statement did is rolled back: a stop is always between two batches.  Where even
 * the cancel gets no answer the process ends as a killed one would, with JOB_STOPPED: the protocol
 * of the batches bears that at any line.
 */
#ifndef RETENTION_DATABASE_STOP_H
#define RETENTION_DATABASE_STOP_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct stop;

/* Blocks the signals in the calling thread, so in all that it starts, and starts the listener. */
struct stop *stop_new(void);

/* Have we been asked? */
bool stop_asked(struct stop *stop);

/* Asks, as a signal would (a worker that cannot go on ends its siblings so). */
void stop_ask(struct stop *stop);

/* Sleeps; true: we were asked to stop meanwhile. */
bool stop_sleep_ms(struct stop *stop, int64_t ms);

/* A connection whose statement may be cancelled; slot 0 to 63, NULL: none any more. */
void stop_watch(struct stop *stop, int slot, PGconn *conn);

#endif

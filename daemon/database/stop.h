/*
 * Stopping a job.  SIGTERM or SIGINT asks for it, all threads see it, and sleeps end early.  A statement that still
 * runs after a while is cancelled, so that the job ends within seconds.  A cancelled statement is rolled back, so a
 * stop is always between two batches.  Where even the cancel gets no answer, the process ends as a killed one would,
 * with JOB_STOPPED, which the protocol of the batches allows at any line.
 */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct stop;

/* Blocks the signals in the calling thread, and so in all that it starts, and starts the listener. */
struct stop *stop_new(void);

/* A stop was asked for. */
bool stop_asked(struct stop *stop);

/* Asks for a stop, as a signal would.  A worker that cannot go on ends the others by this. */
void stop_ask(struct stop *stop);

/* Sleeps; true: a stop was asked for. */
bool stop_sleep_ms(struct stop *stop, int64_t ms);

/* Sets the connection whose statement a stop cancels; slot 0 to 63, NULL: none. */
void stop_watch(struct stop *stop, int slot, PGconn *conn);

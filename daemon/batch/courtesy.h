/*
 * Courtesy: while other sessions use the database, a pass throttles itself.  It runs one short batch at a time,
 * whatever the number of workers, and rests after each, so that other statements find a free processor and a short
 * queue at the WAL.  It works at full speed again when the average load has been low for three seconds.  Shared by the
 * workers of one job.
 */
#pragma once

#include "database/db.h"
#include "database/stop.h"

struct courtesy;

/* on false: it never throttles. */
struct courtesy *courtesy_new(bool on);
void courtesy_free(struct courtesy *c);

/*
 * Counts, at most twice a second, the transactions that other sessions have ended in this database: those of
 * pg_stat_database, which every role may read, less the job's own.  The first call only begins to count.
 */
bool courtesy_look(struct courtesy *c, struct db *db, struct error *err);

/* The reason to show while others are at work, a constant; else NULL. */
const char *courtesy_reason(struct courtesy *c);

/* The duration that a batch aims at now, in ms, where the configuration says aim_ms. */
int64_t courtesy_aim_ms(struct courtesy *c, int64_t aim_ms);

/* Counts what db (NULL: nothing) has done since the last call as the job's own.  courtesy_look() does so for its db. */
void courtesy_own(struct courtesy *c, struct db *db);

/* Stand around each batch: the first waits for the turn and returns whether it has it, the second rests. */
bool courtesy_enter(struct courtesy *c);
void courtesy_leave(struct courtesy *c, bool turn, int64_t took_ms, struct stop *stop);

/*
 * Courtesy: while others use the database, a pass steps back by itself.  One short batch at a time, whatever the
 * number of workers, and after each a rest: their statements find a free processor and a short queue at the WAL.
 * Three seconds after they are gone, it works at full speed again.  Shared by the workers of one job.
 */
#ifndef RETENTION_BATCH_COURTESY_H
#define RETENTION_BATCH_COURTESY_H

#include "database/db.h"
#include "database/stop.h"

struct courtesy;

/* on false: it never steps back. */
struct courtesy *courtesy_new(bool on);
void courtesy_free(struct courtesy *c);

/*
 * Looks, twice a second at most, how many transactions others have ended in this database: pg_stat_database, which
 * every role may read, less our own.  The first look only begins to count.
 */
bool courtesy_look(struct courtesy *c, struct db *db, struct error *err);

/* Are others at work?  Then the reason to show, a constant; else NULL. */
const char *courtesy_reason(struct courtesy *c);

/* What a batch may aim at now, in ms, where the configuration says aim_ms. */
int64_t courtesy_aim_ms(struct courtesy *c, int64_t aim_ms);

/* What db (NULL: nothing) has done since it was last asked is ours; courtesy_look() says that of its own db. */
void courtesy_own(struct courtesy *c, struct db *db);

/* Around each batch.  Waits for the turn; *ret_turn is for the second call, which rests. */
void courtesy_enter(struct courtesy *c, bool *ret_turn);
void courtesy_leave(struct courtesy *c, bool turn, int64_t took_ms, struct stop *stop);

#endif

/* The erasure horizon: where what an action erased may still be, and until when. */
#ifndef RETENTION_CTL_HORIZON_H
#define RETENTION_CTL_HORIZON_H

#include "ctl.h"

/*
 * Rows ("where", state, detail) for action $1, with $2 the interval that backups are kept, or NULL.
 * No row: the action has erased nothing, or has not ended.
 */
extern const char horizon_sql[];

/* backups.keep as an interval's text in buffer, or NULL where nothing is declared. */
const char *horizon_keep(const struct ctl *ctl, char *buffer, size_t size);

#endif

/*
 * What a table of the model says becomes of its rows: delete, anonymize, and the rules of its columns.
 */
#ifndef RETENTION_CONFIG_READ_RULES_H
#define RETENTION_CONFIG_READ_RULES_H

#include "config/setting.h"
#include "model/model.h"

/*
 * Fills on_delete, on_anonymize and rules of t, whose names are known; complains of what contradicts
 * itself.  what: 'model: table "x"'.  Everything is owned by r->ctx.
 */
void rules_read(struct reader *r, const config_setting_t *group, const char *what, struct table *t);

#endif

/*
 * The group "model" of a configuration: read, and checked as far as that goes without a database.
 */
#ifndef RETENTION_CONFIG_READ_MODEL_H
#define RETENTION_CONFIG_READ_MODEL_H

#include "config/setting.h"
#include "model/model.h"

/*
 * Fills model from the group.  Everything is owned by r->ctx.  After complaints the model is only
 * fit for more complaints: table i is the group's element i, contact and request may be NULL.
 */
void model_read(struct reader *r, const config_setting_t *group, struct model *model);

/*
 * The policy anonymizes (action): complains, at the policy, of a model that has no rules for that.
 */
void model_require_rules(struct reader *r, const config_setting_t *policy, const char *what,
			 const struct model *model, enum action action);

/*
 * what ('policy "x"') anonymizes all that hangs off root: complains, at each table that does not
 * say what becomes of its rows then.
 */
void model_require_answers(struct reader *r, const config_setting_t *group, const char *what,
			   const struct model *model, const struct table *root);

#endif

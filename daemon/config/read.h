/*
 * The parts of a configuration's tree, a file each: each reads its part into the generation, and
 * complains of everything that can be known to be wrong without a database.  Everything read is owned
 * by r->ctx, the generation.
 */
#pragma once

#include "config/config.h"
#include "config/setting.h"

/* The settings at the top, and all groups except model and policies. */
void groups_read(struct reader *r, const config_setting_t *root, struct config *config);

/* The list policies, which may be missing.  Is read after the model, to check policies against it. */
void policies_read(struct reader *r, const config_setting_t *root, struct config *config);

/*
 * The group model.  After complaints the model can only be used to find more complaints: table i is
 * the group's element i, and contact and request may be NULL.
 */
void model_read(struct reader *r, const config_setting_t *group, struct model *model);

/*
 * Complains, at the policy, if the model lacks the rules that its action needs: policy anonymizes.
 * what: 'policy "x"'.
 */
void model_require_rules(struct reader *r, const config_setting_t *policy, const char *what,
			 const struct model *model, enum action action);

/*
 * Complains, at each table below root, if it has neither a key anonymize nor rules.  group: the model.
 * what: the policy that anonymizes root, 'policy "x"'.
 */
void model_require_answers(struct reader *r, const config_setting_t *group, const char *what,
			   const struct model *model, const struct table *root);

/*
 * The keys of a table that decide about its rows: delete, anonymize and the column rules.  Fills
 * on_delete, on_anonymize and rules of t, whose names are known, and complains of contradictions.
 * what: 'model: table "x"'.
 */
void rules_read(struct reader *r, const config_setting_t *group, const char *what, struct table *t);

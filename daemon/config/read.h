/*
 * The parts of a configuration's tree, a file each: each reads its part into the generation, and
 * complains of everything that can be known to be wrong without a database.  Everything read is owned
 * by r->ctx, the generation.
 */
#pragma once

#include "config/config.h"
#include "config/setting.h"

/* A group at the top, except model and policies; the list ends with one without a key. */
struct config_group {
	const char *key;
	const struct setting_spec *specs;
	/* Complains of values that the table lets through.  NULL: there are none. */
	void (*check)(const struct reader *r, struct config *config);
};

extern const struct config_group config_groups[];

/* The keys at the top, of a table and of a policy; and those of the table's values match and file. */
extern const struct setting_spec top_specs[], table_specs[], match_parts[], file_parts[],
	through_parts[], policy_specs[];

/* The settings at the top, and all groups except model and policies. */
void groups_read(const struct reader *r, struct config *config);

/* The list policies, which may be missing.  Is read after the model, to check policies against it. */
void policies_read(const struct reader *r, struct config *config);

/*
 * The group model, which r reads.  After complaints the model can only be used to find more complaints: table i is
 * the group's element i, and contact and request may be NULL.
 */
void model_read(const struct reader *r, struct model *model);

/* Reads "schema.table", "table", or [ "my.schema", "my.table" ] for a schema with a dot in its name. */
void table_name_read(const struct reader *r, const config_setting_t *s, struct table *t);

/* The name in the model of the table that a request's through maps. */
#define THROUGH_NAME "request_contact"

/*
 * Reads through, the join table of requests with several contacts, into join, and makes request a shared row below
 * it.  r reads the group s.  false: it is none.
 */
bool through_read(const struct reader *r, const config_setting_t *s, struct table *request,
		  struct table *join);

/* Complains of what does not go with through, when all tables are linked. */
void through_check(const struct reader *r, const struct model *model);

/* The column rules of the table that r reads.  Complains of contradictions. */
void rules_read(const struct reader *r, struct table *t);

/* The group on_delete of the table that r reads: the rules for rows that are detached. */
void rules_read_on_delete(const struct reader *r, const config_setting_t *group, struct table *t);

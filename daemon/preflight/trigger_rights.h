/*
 * Rights that a trigger's function needs of the daemon's role, where it is not SECURITY DEFINER.  The catalog has its
 * source as a text only, so that this finds what the text names: tables behind INSERT INTO, UPDATE, DELETE FROM, FROM
 * and JOIN, in the function and in those that it calls.
 */
#pragma once

#include "database/db.h"

/* What pg_trigger.tgtype has for a statement. */
#define TRIGGER_ON_DELETE 8
#define TRIGGER_ON_UPDATE 16

struct trigger_question {
	const char *tables; /* oid[] */
	const char *events; /* int[], as long: the statements that change each */
	const char *role; /* what this role has is left out; NULL: nothing is */
	const char *session; /* "origin", "replica"; NULL: may be either */
};

/*
 * Rows of place (the number of the table in the question), trigger_name, table_name, function_name and grants: "GRANT INSERT ON
 * crm.search TO", a row for each right.
 */
bool trigger_rights_read(struct db *db, const struct trigger_question *question, PGresult **ret_res,
			 struct error *err);

/* The person as retention.me describes the role of the session, and the schema that it stands in. */
#pragma once

#include "web/visit.h"

/* The query: one row, which has the schema's version, too. */
extern const char person_sql[];

/* NULL: the page is not for this role.  Owned by ctx. */
struct person *person_read(void *ctx, const PGresult *me);

/* Whether the schema is of the page's version; if not, answers the visit.  It may change while a session lives. */
bool person_check_schema(struct visit *v, int64_t version);

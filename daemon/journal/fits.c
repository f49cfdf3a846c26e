#include "journal/fits.h"

#include "base/schema_version.h"

bool schema_fits(struct db *db, struct error *err)
{
	AUTO(talloc) char *why = NULL;
	int64_t version = 0;

	if (!db_query_int(db, SCHEMA_VERSION_SQL, 0, NULL, &version, err))
		return false;
	why = schema_version_judge(NULL, version, "retentiond");
	return !why || fail(err, ERR_ENVIRONMENT, "%s", why);
}

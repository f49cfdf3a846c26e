#include "base/schema_version.h"

#include "base/migrations.h"

#include <libintl.h>
#include <string.h>

bool schema_version_is_missing(const char *sqlstate)
{
	/* undefined_table, invalid_schema_name */
	return sqlstate && (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0);
}

int schema_version_compare(int64_t version)
{
	const int64_t wanted = (int64_t)migrations_count;

	return (version > wanted) - (version < wanted);
}

/* Translated in retentionctl only: the other programs open no catalogue, because their logs are English. */
char *schema_version_judge(void *ctx, int64_t version, const char *package)
{
	const long long is = (long long)version, wanted = (long long)migrations_count;
	const int sign = schema_version_compare(version);

	if (sign == 0)
		return NULL;
	if (version == 0)
		return t_strdup(ctx,
				gettext("schema retention is missing: run retentionctl migrate"));
	if (sign < 0)
		return t_printf(ctx,
				gettext("schema retention is at version %lld, this program is for "
					"%lld: run retentionctl migrate"),
				is, wanted);
	return t_printf(ctx,
			gettext("schema retention is at version %lld, this program is for %lld: "
				"install the newer %s"),
			is, wanted, package);
}

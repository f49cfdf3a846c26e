#include "journal/configuration.h"

#include "base/mem.h"

/* The canonical text as a bytea, so that it keeps its bytes in a database of any encoding; owned by ctx. */
static char *canonical_bytes(void *ctx, const struct config *config)
{
	static const char digits[] = "0123456789abcdef";
	AUTO(char_p) char *text = config_print(config);
	const size_t n = strlen(text);
	char *hex = t_array(ctx, char, 2 * n + 3);

	hex[0] = '\\';
	hex[1] = 'x';
	for (size_t i = 0; i < n; i++) {
		hex[2 * i + 2] = digits[(unsigned char)text[i] >> 4];
		hex[2 * i + 3] = digits[(unsigned char)text[i] & 15];
	}
	return hex;
}

bool configuration_store(struct db *db, const struct config *config, const char *contact_key_type,
			 struct error *err)
{
	const char *const values[] = {config->timezone, config->four_eyes ? "true" : "false",
				      contact_key_type};

	return db_command(db, "SELECT retention.configure($1, $2::boolean, $3)", 3, values, NULL,
			  err);
}

bool configuration_accept(struct db *db, const struct config *config, const char *host,
			  const char *asked_by, struct error *err)
{
	static const char sql[] =
		"SELECT retention.accept_configuration($1::bytea, $2, $3, $4, $5::boolean)";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *const values[] = {canonical_bytes(ctx, config), host ? host : "", config->path,
				      asked_by, config->four_eyes ? "true" : "false"};

	return db_command(db, sql, 5, values, NULL, err);
}

bool configuration_keep(struct db *db, const struct config *config, void *ctx,
			const char **ret_sha256, struct error *err)
{
	const char *const bytes = canonical_bytes(ctx, config);
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, "SELECT retention.keep_configuration($1::bytea) AS sha256", 1, &bytes,
		      &res, err))
		return false;
	*ret_sha256 = db_text_copy(ctx, res, 0, "sha256");
	return true;
}

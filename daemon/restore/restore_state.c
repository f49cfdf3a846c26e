#include "restore/restore_state.h"

#include "base/mem.h"

bool restore_fail(const struct restore_file *f, const struct error *cause, struct error *err)
{
	const char *what =
		strcmp(cause->sqlstate, "23505") == 0 || strcmp(cause->sqlstate, "23P01") == 0
			? "rows of the archive exist again: "
		: strcmp(cause->sqlstate, "23503") == 0
			? "what rows of the archive point at is gone: "
			: "";

	return fail(err, cause->class, "table %s: %s%s", f->table, what, cause->text);
}

const char *restore_temporary(const struct restore *r, const struct restore_file *f)
{
	return t_printf(r->ctx, "pg_temp.retention_restore_%zu",
			(size_t)(f - r->opts->plan->files));
}

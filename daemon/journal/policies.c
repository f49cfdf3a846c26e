#include "journal/policies.h"

#include "base/sql.h"
#include "journal/page_policies.h"

static bool configure_one(struct db *db, const struct config *config, size_t i, struct error *err)
{
	static const char sql[] =
		"SELECT retention.configure_policy($1, $2::int, $3, $4::interval, $5, $6, $7,\n"
		"                                  $8::boolean, $9::boolean, $10)";
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct policy *p = &config->policies[i];
	char depth[32];
	const char *const values[] = {
		p->name,
		t_printf(ctx, "%zu", i + 1),
		action_names[p->action],
		depth,
		p->schedule_text,
		archive_mode_names[p->archive],
		p->scope,
		p->approval ? "true" : "false",
		p->enabled ? "true" : "false",
		p->version > 0 ? "page" : "file",
	};

	period_print(&p->depth, depth, sizeof(depth));
	return db_command(db, sql, LENGTH(values), values, NULL, err);
}

bool policies_configure(struct db *db, const struct config *config, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char **names = t_array(ctx, const char *, config->n_policies + 1);
	const char *list;
	size_t n = 0;

	if (!db_exec(db, "BEGIN", err))
		return false;
	for (size_t i = 0; i < config->n_policies; i++) {
		if (config->policies[i].saved)
			continue;
		names[n++] = config->policies[i].name;
		if (!configure_one(db, config, i, err))
			return false;
	}
	list = sql_array(ctx, names, n);
	return db_command(db, "SELECT retention.keep_policies($1::text[])", 1, &list, NULL, err) &&
	       db_commit(db, err);
}

bool policies_measured(struct db *db, const struct config *config,
		       const struct policy_figures *figures, struct error *err)
{
	static const char sql[] =
		"SELECT retention.measure_policy($1, $2::timestamptz, $3::bigint, $4::bigint,\n"
		"                                $5::bigint, $6::timestamptz, $7)";

	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy_figures *f = &figures[i];
		const char *const values[] = {config->policies[i].name,
					      f->cutoff_next,
					      f->due_next,
					      f->held_next,
					      f->overdue,
					      f->overdue_since,
					      f->refused};

		if (f->known && config->policies[i].saved) {
			const struct page_count count = {f->due_next, f->held_next, f->cutoff_next,
							 f->refused};

			if (!page_policies_counted(db, &config->policies[i], &count, err))
				return false;
		} else if (f->known && !db_command(db, sql, LENGTH(values), values, NULL, err)) {
			return false;
		}
	}
	return true;
}

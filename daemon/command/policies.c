/* policies: the policies of the configuration and those of the page, with their state in the database. */
#include "command/command.h"

#include "base/sql.h"
#include "journal/page_policies.h"

#include <time.h>

enum { NAME, ACTION, DEPTH, SCHEDULE, ARCHIVE, NEXT, SOURCE, TIMEZONE, PARAMETERS };

/*
 * The cutoff is the one that a pass would use if it began now, by the database's clock.  The next occurrence is computed
 * here, because the schedule is in the file.  Behind them stand the policies of the page that the configuration does not
 * allow.
 */
static const char policies_sql[] =
	"SELECT p.name AS policy, p.action, p.depth, p.schedule, p.archive,\n"
	"       (SELECT date_trunc('second', max(j.occurrence)) FROM retention.archive_journal AS j\n"
	"         WHERE j.policy = p.name) AS last,\n"
	"       to_timestamp(nullif(p.next, '')::bigint) AS next,\n"
	"       retention.cutoff(p.depth::interval, $8) AS cutoff, p.source\n"
	"  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])\n"
	"         WITH ORDINALITY AS p(name, action, depth, schedule, archive, next, source, n)\n"
	" UNION ALL\n"
	"SELECT p.name, p.action, p.months || ' months', p.schedule, p.archive, NULL, NULL, NULL,\n"
	"       'page, version ' || p.version || ', does not run: ' || p.refused\n"
	"  FROM retention.page_policies AS p WHERE p.refused IS NOT NULL";

/* The policies as rows: an array for each column. */
static void policy_arrays(const struct config *config, void *ctx, const char *values[PARAMETERS])
{
	const size_t n = config->n_policies;
	const char **columns[TIMEZONE];

	for (int i = 0; i < TIMEZONE; i++)
		columns[i] = t_array(ctx, const char *, n + 1);
	for (size_t i = 0; i < n; i++) {
		const struct policy *p = &config->policies[i];
		char depth[32];
		int64_t next = 0;

		period_print(&p->depth, depth, sizeof(depth));
		columns[NAME][i] = p->name;
		columns[ACTION][i] = action_names[p->action];
		columns[DEPTH][i] = t_strdup(ctx, depth);
		columns[SCHEDULE][i] = p->enabled ? p->schedule_text : "disabled";
		columns[ARCHIVE][i] = archive_mode_names[p->archive];
		columns[SOURCE][i] = p->version == 0 ? "file"
				     : p->saved
					     ? t_printf(ctx, "page, version %d, saved", p->version)
					     : t_printf(ctx, "page, version %d", p->version);
		columns[NEXT][i] =
			p->enabled && !p->saved && schedule_next(&p->schedule, time(NULL), &next)
				? t_printf(ctx, "%lld", (long long)next)
				: "";
	}
	for (int i = 0; i < TIMEZONE; i++)
		values[i] = sql_array(ctx, columns[i], n);
	values[TIMEZONE] = config->timezone;
}

bool command_policies(struct command *cmd, struct error *err)
{
	const char *values[PARAMETERS] = {NULL};
	const struct config *joined = page_policies_join(cmd->db, cmd->config, cmd->ctx, err);

	if (!joined)
		return false;
	policy_arrays(joined, cmd->ctx, values);
	return command_list(cmd, &(struct command_listing){policies_sql, NULL, PARAMETERS, values},
			    err);
}

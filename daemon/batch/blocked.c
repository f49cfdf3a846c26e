/* The sessions that wait for a batch right now: the next one will be smaller (batch/batch_size.c). */
#include "batch/batch_state.h"

static const char here_sql[] =
	"SELECT count(*) AS n FROM (SELECT DISTINCT l.pid FROM pg_locks AS l WHERE NOT l.granted\n"
	"          AND l.pid <> pg_backend_pid()) AS w\n"
	" WHERE pg_backend_pid() = ANY (pg_blocking_pids(w.pid))";

/*
 * On other servers, where Citus has sessions of its own for this one, named by its number.  A server that does not answer
 * counts as none: the batch cannot commit there.  Names have their schema as in limits.c.
 */
static const char elsewhere_sql[] =
	"SELECT coalesce(sum(a.answer::bigint), 0)::bigint AS n\n"
	"  FROM retention.ask_nodes(format($$\n"
	"SELECT pg_catalog.to_jsonb(pg_catalog.count(DISTINCT l.pid)) FROM pg_catalog.pg_locks AS l\n"
	" WHERE NOT l.granted AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a\n"
	"        WHERE a.application_name = 'citus_internal gpid=%s'\n"
	"          AND a.pid = ANY (pg_catalog.pg_blocking_pids(l.pid)))$$, citus_backend_gpid()), false) AS a";

bool batch_count_blocked(struct batch *b, struct error *err)
{
	int64_t elsewhere = 0;

	if (!batch_count(b, here_sql, 0, NULL, &b->result->blocked, err) ||
	    (catalog_is_spread(b->plan->model, b->plan->catalog) &&
	     !batch_count(b, elsewhere_sql, 0, NULL, &elsewhere, err)))
		return false;
	b->result->blocked += elsewhere;
	return true;
}

/* Why a policy reaches nothing of a contact, whatever its cutoff. */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

/* The words are those of retentionctl subject status, which translates them. */
static const char why_sql[] =
	"SELECT CASE WHEN NOT EXISTS (SELECT FROM {inside} AS c WHERE {is_key}) THEN 'not a contact of the model'\n"
	"            WHEN NOT EXISTS (SELECT FROM {in_scope} AS c WHERE {is_key}) THEN 'outside the scope'\n"
	"            ELSE (SELECT CASE WHEN r.link IS NULL THEN {none}\n"
	"                              WHEN {odd} THEN 'a date that cannot be read'\n"
	"                              WHEN NOT {paired} THEN 'a request that the join table lacks'\n"
	"                              WHEN {keeps} THEN 'a request that is open, or has no date'\n"
	"                              ELSE 'nothing left to erase' END\n"
	"                    FROM {contacts} AS c LEFT JOIN LATERAL ({requests}) AS r ON {of_requests} = {link}\n"
	"                   WHERE {is_key}) END AS why";

char *plan_why_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts)
{
	const struct plan *p = plan_new(ctx, model, catalog, opts);
	const struct table *c = model->contact;
	const size_t n = model_linked(model)->by->n;
	const char *paired = plan_paired(p);

	return sql_fill(
		ctx, why_sql, {"inside", plan_filtered(p, c, c->where, NULL)},
		{"in_scope", plan_filtered(p, c, c->where, opts->scope)},
		{"contacts", plan_table(p, c)},
		{"is_key", plan_is_key(p, catalog, c, "c", "$1::text")},
		{"none",
		 opts->without_requests ? "'no request, and no date of creation'" : "'no request'"},
		{"odd", model->request->date_unit ? "r.odd > 0" : "false"},
		{"paired", paired && opts->action != ACTION_ANONYMIZE_REQUESTS ? paired : "true"},
		{"keeps",
		 opts->action == ACTION_ANONYMIZE_REQUESTS ? "r.keeping = r.n" : "r.keeping > 0"},
		{"requests", plan_requests(p, true)},
		{"of_requests", plan_key(p, "r", plan_names(p, "link", n))},
		{"link", plan_requests_link(p)});
}

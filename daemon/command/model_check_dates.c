/* What keeps contacts and should be mended: requests that a join table lacks, dates that cannot be read, and dates that lie far from today: a column may be in another unit than the model says. */
#include "command/model_check_state.h"

#include "plan/plan.h"
#include "preflight/date_triggers.h"

static bool find_dates_of(struct model_check *m, const struct table *t, struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!t->date_unit)
		return true;
	if (!db_query_apart(m->cmd->db, plan_date_odd_sql(m->ctx, m->model, m->catalog, t), 0, NULL,
			    &res, err))
		return false;
	if (db_int(res, 0, "n") > 0)
		HINT(m,
		     N_("table \"%s\": %s values of \"%s\" are no date in \"%s\": their contacts stay (%s)"),
		     t->name, db_text(res, 0, "n"), model_date(t), date_unit_names[t->date_unit],
		     db_text(res, 0, "keys"));
	if (db_text(res, 0, "far") && db_bool(res, 0, "far"))
		HINT(m,
		     N_("table \"%s\": the newest \"%s\" is of %s: is it counted from 1970-01-01 on?"),
		     t->name, model_date(t), db_text(res, 0, "newest"));
	return true;
}

/* Requests that name a contact which the join table lacks: what is to be done is one statement. */
static bool find_unpaired(struct model_check *m, struct error *err)
{
	const struct table *join = m->model->through;
	AUTO(result) PGresult *res = NULL;

	if (!join || !join->also)
		return true;
	if (!db_query_apart(m->cmd->db, plan_unpaired_sql(m->ctx, m->model, m->catalog), 0, NULL,
			    &res, err))
		return false;
	if (db_int(res, 0, "n") > 0)
		HINT(m,
		     N_("table \"request\": %s rows name a contact in \"%s\" that has no row for them in %s.%s: "
			"their contacts stay; %s"),
		     db_text(res, 0, "n"), columns_text(m->ctx, join->also), join->schema,
		     join->table, plan_pairs_sql(m->ctx, m->model, join->also));
	return true;
}

static bool find_triggers(struct model_check *m, struct error *err)
{
	const struct table *r = m->model->request;
	const char *const *names = NULL;
	size_t n;

	if (!date_triggers_read(m->cmd->db, m->model, m->ctx, &names, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		HINT(m,
		     N_("trigger %s of %s.%s can set \"%s\" when the daemon writes a request that stays: its other "
			"contacts, and later policies, would count from that day; count from another date, or "
			"let the trigger leave alone what the daemon writes"),
		     names[i], r->schema, r->table, r->date);
	return true;
}

bool model_check_dates(struct model_check *m, struct error *err)
{
	return find_dates_of(m, m->model->request, err) &&
	       find_dates_of(m, m->model->contact, err) && find_unpaired(m, err) &&
	       find_triggers(m, err);
}

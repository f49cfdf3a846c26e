#include "preflight/check_plan.h"

#include "preflight/check_by_set.h"
#include "base/mem.h"
#include "preflight/check_model.h"
#include "preflight/read_catalog.h"

static const char *hint(const struct error *e)
{
	return strcmp(e->sqlstate, "42501") == 0
		       ? "; retentionctl grants prints what the role needs"
		       : "";
}

/*
 * PREPARE finds what does not parse or exist; EXPLAIN EXECUTE, which runs nothing, finds the rights
 * that are missing, since the executor checks them as it starts.
 */
static bool try_statement(struct db *db, const char *sql, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *prepared = PQprepare(db_conn(db), "probe", sql, 0, NULL);
	AUTO(result) PGresult *described = NULL;
	AUTO(error) struct error ignored = {0};
	char *explain = t_strdup(ctx, "EXPLAIN EXECUTE probe");

	if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
		return db_fail(db, prepared, err);
	described = PQdescribePrepared(db_conn(db), "probe");
	for (int i = 0; i < PQnparams(described); i++)
		t_append(&explain, "%sNULL%s", i ? ", " : " (",
			 i + 1 == PQnparams(described) ? ")" : "");
	if (db_execf(db, err, "%s; DEALLOCATE probe", explain))
		return true;
	(void)db_exec(db, "DEALLOCATE probe", &ignored); /* not run with what failed */
	return false;
}

static bool run_probes(struct db *db, const struct probe *probes, size_t n, struct complaints *c,
		       struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(error) struct error one = {0};

		if (try_statement(db, probes[i].sql, &one))
			continue;
		if (!db_alive(db))
			return fail(err, ERR_ENVIRONMENT, "%s", one.text);
		db_rollback(db);
		/* A client that changes the table has it locked: that says nothing of the model. */
		if (one.class == ERR_BUSY)
			return fail(err, ERR_BUSY, "%s: a table is locked by another session: %s",
				    probes[i].what, one.text);
		/* Cancelled, perhaps by our own end. */
		if (one.class == ERR_ENVIRONMENT || one.class == ERR_STOPPED)
			return fail(err, one.class, "%s: %s", probes[i].what, one.text);
		complain(c, probes[i].place, "%s: the server refuses it: %s%s", probes[i].what,
			 one.text, hint(&one));
		/* The predicates come first: what is built on a wrong one only repeats it. */
		return true;
	}
	return true;
}

static bool plan_and_probe(struct db *db, const struct config *config, const struct policy *policy,
			   const struct plan_opts *opts, const struct catalog *catalog, void *ctx,
			   struct plan **ret_plan, struct complaints *c, struct error *err)
{
	const struct place *scope_place = policy ? &policy->place : &config->model.place;
	const size_t before = c->n;
	struct plan *plan = plan_build(ctx, &config->model, catalog, opts, c);
	const struct probe *probes;
	size_t n;

	if (!plan)
		return false;
	if (opts->by_set && !check_by_set(db, config, plan, catalog, c, err))
		return false;
	probes = plan_probes(ctx, plan, scope_place, opts->scope, &n);
	if (!run_probes(db, probes, n, c, err) || c->n > before)
		return false;
	*ret_plan = plan;
	return true;
}

struct plan_opts check_opts(const struct config *config, const struct policy *policy,
			    enum action action, enum archive_mode archive)
{
	return (struct plan_opts){
		.action = action,
		.archive = archive,
		.scope = policy ? policy->scope : NULL,
		.without_requests = policy && policy->without_requests,
		.by_set = config->integrity_set && action != ACTION_EXPORT,
		.delimiter = config->delimiter,
	};
}

static bool read_and_check(struct db *db, const struct config *config, void *ctx,
			   struct catalog **ret, struct complaints *c, struct error *err)
{
	const size_t before = c->n;
	AUTO(error) struct error one = {0};

	if (!catalog_read(db, &config->model, ctx, ret, c, &one))
		return c->n == before && fail(err, one.class, "%s%s", one.text, hint(&one));
	check_model(&config->model, *ret, c);
	return c->n == before;
}

bool check_model_for(struct db *db, const struct config *config, enum action action, void *ctx,
		     struct catalog **ret_catalog, struct complaints *c, struct error *err)
{
	if (!model_can_anonymize(&config->model, action) &&
	    (action == ACTION_ANONYMIZE_CONTACTS || action == ACTION_ANONYMIZE_REQUESTS)) {
		complain(c, &config->model.place,
			 "model: %s needs column rules (set, clear, json, keep) on \"contact\" and "
			 "\"request\", and anonymize or rules on every table below",
			 action_name(action));
		return false;
	}
	return read_and_check(db, config, ctx, ret_catalog, c, err);
}

bool check_action(struct db *db, const struct config *config, const struct policy *policy,
		  const struct plan_opts *opts, void *ctx, struct plan **ret_plan,
		  struct complaints *c, struct error *err)
{
	struct catalog *catalog = NULL;

	return check_model_for(db, config, opts->action, ctx, &catalog, c, err) &&
	       plan_and_probe(db, config, policy, opts, catalog, ctx, ret_plan, c, err);
}

bool check_config(struct db *db, const struct config *config, void *ctx,
		  struct catalog **ret_catalog, struct complaints *c, struct error *err)
{
	struct plan *plan;

	if (!read_and_check(db, config, ctx, ret_catalog, c, err))
		return false;
	for (size_t i = 0; i < config->n_policies; i++) {
		const struct policy *p = &config->policies[i];
		const struct plan_opts opts = check_opts(config, p, p->action, p->archive);

		if (!plan_and_probe(db, config, p, &opts, *ret_catalog, ctx, &plan, c, err))
			return false;
	}
	return true;
}

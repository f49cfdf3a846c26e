#include "preflight/check_plan.h"

#include "base/sql.h"
#include "preflight/check_constraints.h"
#include "preflight/check_model.h"
#include "preflight/foreign_code.h"
#include "preflight/integrity.h"
#include "preflight/passed.h"
#include "preflight/read_catalog.h"
#include "preflight/trigger_rights.h"

/* A message names the places of so many marks. */
#define MARKS_SHOWN 50

/* Is what the statement names not there: a table, a function or an operator, a type, a schema? */
static bool is_unknown(const struct error *e)
{
	static const char *const states[] = {"42P01", "42883", "42704", "3F000", NULL};

	return catalog_is_among(e->sqlstate, states);
}

/* Names the command that prints the missing right, or why a name that people use every day is not found. */
static const char *hint(const struct check *check, const struct error *e)
{
	if (is_unknown(e))
		return "; a table, a function or a type outside of pg_catalog is only found with its "
		       "schema, written as schema.name, and an operator as OPERATOR(schema.=)";
	if (strcmp(e->sqlstate, "42501") != 0)
		return "";
	return t_printf(check->ctx, "; retentionctl grants%s prints what the role needs",
			check->grants ? check->grants : "");
}

/*
 * PREPARE finds what does not parse or exist.  EXPLAIN EXECUTE runs nothing, but finds the rights
 * that are missing, because the executor checks them as it starts.  The planner runs IMMUTABLE
 * functions of constants (of an index, too), whoever wrote them: they can write nothing here, and
 * what they have set is undone.
 */
static bool try_statement(struct db *db, const char *sql, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error ignored = {0};
	char *explain = t_strdup(ctx, "EXPLAIN EXECUTE probe");
	const bool own = PQtransactionStatus(db_conn(db)) == PQTRANS_IDLE;
	int n = 0;

	if (!db_describe(db, "probe", sql, &n, err))
		return false;
	for (int i = 0; i < n; i++)
		t_append(&explain, "%sNULL%s", i ? ", " : " (", i + 1 == n ? ")" : "");
	/* A command that asks within a transaction has begun it READ ONLY. */
	if (own ? db_execf(db, err, "BEGIN READ ONLY; %s; ROLLBACK", explain)
		: db_execf(db, err, "%s; DEALLOCATE probe", explain)) {
		if (own)
			db_forget_prepared(db);
		return true;
	}
	if (own)
		db_rollback(db);
	(void)db_exec(db, "DEALLOCATE probe", &ignored); /* not run with what failed */
	return false;
}

static bool run_probes(const struct check *check, const struct probe *probes, size_t n,
		       struct error *err)
{
	struct db *db = check->db;

	for (size_t i = 0; i < n; i++) {
		AUTO(error) struct error one = {0};

		if (check->report)
			report_progress(check->report,
					&(struct job_progress){(int64_t)i, (int64_t)n, -1});
		if (passed_has(check->passed, probes[i].sql))
			continue;
		if (try_statement(db, probes[i].sql, &one)) {
			if (check->passed)
				passed_add(check->passed, probes[i].sql);
			continue;
		}
		if (!db_alive(db))
			return fail(err, ERR_ENVIRONMENT, "%s", one.text);
		db_rollback(db);
		/*
		 * A client that changes the table has it locked, which is not the fault of the
		 * model.
		 */
		if (one.class == ERR_BUSY)
			return fail(err, ERR_BUSY, "%s: a table is locked by another session: %s",
				    probes[i].what, one.text);
		/* Cancelled, perhaps because the job was stopped. */
		if (one.class == ERR_ENVIRONMENT || one.class == ERR_STOPPED)
			return fail(err, one.class, "%s: %s", probes[i].what, one.text);
		complain(check->complaints, probes[i].place, "%s: the server refuses it: %s%s",
			 probes[i].what, one.text, hint(check, &one));
		/* The predicates come first: statements built on a wrong one would only repeat it. */
		return true;
	}
	return true;
}

/*
 * Builds the plan as limits.integrity wants it.  Where the configuration demands "set" and
 * something forbids it, that is refused; where it leaves the choice, the plan is made for the
 * server's triggers.
 */
static struct plan *build(struct check *check, struct plan_opts *opts, struct error *err)
{
	const struct config *config = check->config;
	const bool wanted =
		config->integrity != INTEGRITY_TRIGGERS && opts->action != ACTION_EXPORT;
	struct integrity_facts facts;
	const struct obstacle *obstacles;
	struct plan *plan;
	size_t n;

	opts->by_set = wanted;
	check->integrity = opts->action == ACTION_EXPORT ? NULL
			   : config->integrity == INTEGRITY_SET
				   ? "set"
				   : "triggers, because limits.integrity asks for them";
	plan = plan_build(check->ctx, &config->model, check->catalog, opts, check->complaints);
	if (!plan || !wanted)
		return plan;
	if (!integrity_read(check->db, plan, check->ctx, &facts, err))
		return NULL;
	obstacles = integrity_obstacles(check->ctx, plan, &facts, &n);
	if (config->integrity == INTEGRITY_SET) {
		for (size_t i = 0; i < n; i++)
			complain(check->complaints,
				 obstacles[i].place ? obstacles[i].place : &config->integrity_place,
				 "limits.integrity = \"set\" is refused, because %s: %ssay "
				 "integrity = \"triggers\"",
				 obstacles[i].because, obstacles[i].cure);
		return n > 0 ? NULL : plan;
	}
	opts->by_set = integrity_by_set(check->ctx, plan, obstacles, n, &check->integrity);
	return opts->by_set ? plan
			    : plan_build(check->ctx, &config->model, check->catalog, opts,
					 check->complaints);
}

/* Complains where the server would refuse the action's statements, because they are published. */
static void check_published(const struct check *check, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;
		const struct relation *r = &check->catalog->relations[t->index];
		const enum disposition d = plan->steps[i].disposition;
		const char *fault = d == DISPOSITION_DELETE ? r->no_delete
				    : d == DISPOSITION_UPDATE || d == DISPOSITION_DETACH
					    ? r->no_update
					    : NULL;

		if (fault)
			complain(check->complaints, &t->place,
				 "table \"%s\": a publication has %s, which has no replica "
				 "identity, so that the server refuses its %s: ALTER TABLE %s "
				 "REPLICA IDENTITY FULL, or give it a primary key",
				 t->name, fault, d == DISPOSITION_DELETE ? "DELETE" : "UPDATE",
				 fault);
	}
}

/*
 * Complains about a trigger whose function runs with the rights of this role and names what the role may not use:
 * the first row to be erased would be refused.
 */
static bool check_triggers(const struct check *check, const struct plan *plan, struct error *err)
{
	char *tables = t_strdup(check->ctx, ""), *events = t_strdup(check->ctx, "");
	struct trigger_question question = {.session = plan->opts.by_set ? "replica" : "origin"};
	AUTO(result) PGresult *role = NULL;
	AUTO(result) PGresult *res = NULL;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const enum disposition d = plan->steps[i].disposition;

		t_list(&tables, ",", "%u",
		       check->catalog->relations[plan->steps[i].table->index].oid);
		t_list(&events, ",", "%d",
		       d == DISPOSITION_DELETE                              ? TRIGGER_ON_DELETE
		       : d == DISPOSITION_UPDATE || d == DISPOSITION_DETACH ? TRIGGER_ON_UPDATE
									    : 0);
	}
	question.tables = t_printf(check->ctx, "{%s}", tables);
	question.events = t_printf(check->ctx, "{%s}", events);
	if (!db_query(check->db, "SELECT current_user AS name", 0, NULL, &role, err))
		return false;
	question.role = db_value(role, 0, "name");
	if (!trigger_rights_read(check->db, &question, &res, err))
		return false;
	for (int row = 0; row < PQntuples(res); row++) {
		const struct table *t =
			plan->steps[db_index(res, row, "place", plan->n_steps)].table;

		complain(check->complaints, &t->place,
			 "table \"%s\": trigger \"%s\" on %s runs %s with the rights of this "
			 "role, and its source names what the role may not use: %s %s; or make it "
			 "SECURITY DEFINER",
			 t->name, db_value(res, row, "trigger_name"),
			 db_value(res, row, "table_name"), db_value(res, row, "function_name"),
			 db_value(res, row, "grants"), sql_ident(check->ctx, question.role));
	}
	return true;
}

bool check_foreign_code(const struct check *check, const struct catalog *catalog, struct error *err)
{
	const struct model *model = &check->config->model;
	struct foreign_code found;

	if (!foreign_code_find(check->db, catalog_oids(check->ctx, model, catalog), FOREIGN_READ,
			       check->ctx, &found, err))
		return false;
	if (!found.table)
		return true;
	complain(
		check->complaints, &model->place,
		"model: an index or a constraint of table %s uses function %s, which would run with "
		"the rights of a superuser: connect as a role that is none (retentionctl grants), or "
		"let a superuser own the function",
		found.table, found.function);
	return false;
}

/* A plan of the same kind has passed: its tables and foreign keys are looked at once. */
static struct plan *build_like(struct check *check, const struct passed_kind *like,
			       struct plan_opts *opts)
{
	opts->by_set = like->by_set;
	check->integrity = like->integrity;
	return plan_build(check->ctx, &check->config->model, check->catalog, opts,
			  check->complaints);
}

/* What is asked of a plan's tables, whatever its scope. */
static bool check_tables_of(const struct check *check, const struct plan *plan, struct error *err)
{
	const size_t before = check->complaints->n;

	check_published(check, plan);
	return check_citus_plan(plan, check->complaints) && check_triggers(check, plan, err) &&
	       check_foreign_code(check, plan->catalog, err) && check->complaints->n == before;
}

static bool plan_and_probe(struct check *check, const struct policy *policy, struct plan_opts *opts,
			   struct plan **ret_plan, struct error *err)
{
	const struct place *scope_place = policy ? &policy->place : &check->config->model.place;
	const size_t before = check->complaints->n;
	const struct passed_kind *like = passed_like(check->passed, opts);
	struct plan *plan = like ? build_like(check, like, opts) : build(check, opts, err);
	const struct probe *probes;
	size_t n;

	if (!plan || (!like && !check_tables_of(check, plan, err)))
		return false;
	probes = plan_probes(check->ctx, plan, scope_place, &n);
	if (!run_probes(check, probes, n, err) || check->complaints->n > before)
		return false;
	if (!like && (!check_object_owners(check->db, plan, check->complaints, err) ||
		      !check_constraints(check->db, plan, check->complaints, err) ||
		      check->complaints->n > before))
		return false;
	if (check->passed && !like)
		passed_add_kind(check->passed, opts, check->integrity);
	*ret_plan = plan;
	return true;
}

bool check_predicates(struct check *check, const struct plan *plan, struct error *err)
{
	const struct config *config = check->config;
	const struct place *scope_place = &config->model.place;
	const size_t before = check->complaints->n;
	const struct probe *probes;
	size_t n;

	for (size_t i = 0; i < config->n_policies; i++)
		if (plan->opts.scope && config->policies[i].scope == plan->opts.scope)
			scope_place = &config->policies[i].place;
	probes = plan_predicates(check->ctx, plan, scope_place, &n);
	return check_foreign_code(check, plan->catalog, err) && run_probes(check, probes, n, err) &&
	       check->complaints->n == before;
}

struct plan_opts check_opts(const struct config *config, const struct policy *policy,
			    enum action action, enum archive_mode archive)
{
	return (struct plan_opts){
		.action = action,
		.archive = archive,
		.scope = policy ? policy->scope : NULL,
		.without_requests = policy && policy->without_requests,
		.inert = action == ACTION_EXPORT && !config->keeps_formulas,
		.delimiter = config->delimiter,
	};
}

static bool read_and_check(struct check *check, struct error *err)
{
	const struct model *model = &check->config->model;
	struct complaints *c = check->complaints;
	const size_t before = c->n;
	AUTO(error) struct error one = {0};

	if (!catalog_read(check->db, model, check->ctx, &check->catalog, c, &one))
		return c->n == before && fail(err, one.class, "%s%s", one.text, hint(check, &one));
	check_model(model, check->catalog, c);
	check_shard(model, check->catalog, c);
	check_citus(model, check->catalog, c);
	return c->n == before;
}

bool check_model_for(struct check *check, enum action action, struct error *err)
{
	const struct model *model = &check->config->model;

	if (!model_can_anonymize(model, action) &&
	    (action == ACTION_ANONYMIZE_CONTACTS || action == ACTION_ANONYMIZE_REQUESTS)) {
		complain(check->complaints, &model->place,
			 "model: %s needs column rules (set, clear, json, keep) on \"contact\" and "
			 "\"request\", and anonymize or rules on every table below",
			 action_names[action]);
		return false;
	}
	return read_and_check(check, err);
}

/* Says how many questions of the model are not answered, and where they stand. */
static const char *marks_text(const struct check *check)
{
	const struct model *model = &check->config->model;
	const char *file = "";
	char *lines = t_strdup(check->ctx, "");

	for (size_t i = 0; i < model->n_marks && i < MARKS_SHOWN; i++) {
		const struct place *at = &model->marks[i];
		const bool same = strcmp(file, at->file) == 0;

		t_append(&lines, "%s%s%s%d", i ? ", " : "", same ? "" : at->file, same ? "" : ":",
			 at->line);
		file = at->file;
	}
	if (model->n_marks > MARKS_SHOWN)
		t_append(&lines, " and %zu more", model->n_marks - MARKS_SHOWN);
	return t_printf(check->ctx,
			"model: %zu question%s marked " MODEL_MARK
			", and until %s answered nothing is "
			"erased: decide, then remove the mark (%s)",
			model->n_marks, model->n_marks == 1 ? " is" : "s are",
			model->n_marks == 1 ? "it is" : "they are", lines);
}

/*
 * Complains about an action that erases by a model with questions that are not answered, because the
 * guess of the draft may be wrong.
 */
static bool is_answered(struct check *check, enum action action)
{
	const struct model *model = &check->config->model;

	if (model->n_marks == 0 || action == ACTION_EXPORT)
		return true;
	complain(check->complaints, &model->marks[0], "%s", marks_text(check));
	return false;
}

/* The same of all policies.  Without one that erases it only says so. */
static bool is_answered_for_policies(struct check *check)
{
	const struct config *config = check->config;

	for (size_t i = 0; i < config->n_policies; i++)
		if (!is_answered(check, config->policies[i].action))
			return false;
	if (config->model.n_marks > 0 && check->report)
		report_complaint(check->report, "%s", marks_text(check));
	return true;
}

/*
 * Holds whose key is not written as the contacts' key of this type (odd), and holds whose contact is not there.  The
 * key is cast after it was found to be a value of the type.
 */
static const char holds_sql[] =
	"SELECT string_agg(h.id::text, ', ' ORDER BY h.id) FILTER (WHERE h.odd) AS odd,\n"
	"       string_agg(h.id::text, ', ' ORDER BY h.id) FILTER (WHERE NOT h.odd) AS missing\n"
	"  FROM (SELECT h.id, h.contact_key, k.key, k.key IS DISTINCT FROM h.contact_key AS odd\n"
	"          FROM retention.holds_in_force AS h, LATERAL (SELECT retention.held_key(\n"
	"               retention.canonical_key(h.contact_key, retention.key_type($1)), $1)) AS k(key)) AS h\n"
	" WHERE h.odd OR NOT EXISTS (SELECT FROM {contacts} AS c WHERE {is_key})";

/* Citus has no correlated subquery over several shards, so the contacts that are there are asked for by themselves. */
static const char spread_holds_sql[] =
	"WITH held AS MATERIALIZED (\n"
	"  SELECT h.id, k.key, k.key IS DISTINCT FROM h.contact_key AS odd\n"
	"    FROM retention.holds_in_force AS h, LATERAL (SELECT retention.held_key(\n"
	"         retention.canonical_key(h.contact_key, retention.key_type($1)), $1)) AS k(key)),\n"
	"there AS MATERIALIZED (SELECT {text} AS key FROM {contacts} AS c\n"
	"         WHERE {key} IN ({chosen}))\n"
	"SELECT string_agg(h.id::text, ', ' ORDER BY h.id) FILTER (WHERE h.odd) AS odd,\n"
	"       string_agg(h.id::text, ', ' ORDER BY h.id) FILTER (WHERE NOT h.odd) AS missing\n"
	"  FROM held AS h WHERE h.odd OR NOT EXISTS (SELECT FROM there AS t WHERE t.key = h.key)";

const char *check_key_types(const void *ctx, const struct table *t, const struct relation *r)
{
	char *list = t_strdup(ctx, "");

	for (size_t i = 0; i < t->key->n; i++)
		t_list(&list, ",", "pg_catalog.%s",
		       sql_ident(ctx, catalog_column(r, t->key->names[i])->base));
	return t->key->n == 1 ? list : t_printf(ctx, "(%s)", list);
}

/*
 * Complains about holds that hold nobody, because the model names another key than the one that they were placed by,
 * or because they were placed before the daemon knew the key's type.
 */
static bool check_holds(struct check *check, struct error *err)
{
	const struct table *t = check->config->model.contact;
	const struct relation *r = &check->catalog->relations[t->index];
	const char *types = check_key_types(check->ctx, t, r);
	char *shown = t_strdup(check->ctx, "");
	const char *sql =
		sql_fill(check->ctx, r->spread == SPREAD_ROWS ? spread_holds_sql : holds_sql,
			 {"contacts", plan_table(check->ctx, t)},
			 {"is_key", plan_is_key(check->ctx, check->catalog, t, "c", "h.key")},
			 {"key", plan_key(check->ctx, "c", t->key)},
			 {"text", plan_key_text(check->ctx, "c", t->key)},
			 {"chosen", plan_chosen_query(check->ctx, check->catalog, t, "h.key",
						      " FROM held AS h WHERE NOT h.odd")});
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error one = {0};

	if (!db_query_apart(check->db, sql, 1, &types, &res, &one))
		return fail(err, one.class, "%s%s", one.text, hint(check, &one));
	if (db_text(res, 0, "missing") && check->report)
		report_warning(check->report,
			       "no contact has the key of hold %s: see retentionctl hold list; "
			       "release a hold whose contact is gone",
			       db_text(res, 0, "missing"));
	if (!db_text(res, 0, "odd"))
		return true;
	for (size_t i = 0; i < t->key->n; i++)
		t_list(&shown, ", ", "%s", catalog_column(r, t->key->names[i])->type);
	complain(check->complaints, &t->place,
		 "table \"%s\": the key of hold %s is not written as \"%s\" (%s) writes it, so it "
		 "holds nobody: release the hold, and place it anew by the contact's key",
		 t->name, db_text(res, 0, "odd"), columns_text(check->ctx, t->key), shown);
	return false;
}

/* What is read of the rows themselves. */
static bool check_rows(struct check *check, struct error *err)
{
	return check_foreign_code(check, check->catalog, err) && check_date_values(check, err) &&
	       check_holds(check, err);
}

bool check_action(struct check *check, const struct policy *policy, struct plan_opts *opts,
		  struct plan **ret_plan, struct error *err)
{
	return is_answered(check, opts->action) && check_model_for(check, opts->action, err) &&
	       plan_and_probe(check, policy, opts, ret_plan, err) && check_rows(check, err);
}

bool check_config(struct check *check, struct error *err)
{
	const bool answered = is_answered_for_policies(check);
	struct plan *plan;

	if (!read_and_check(check, err))
		return false;
	check->passed = t_zero(check->ctx, struct passed);
	for (size_t i = 0; i < check->config->n_policies; i++) {
		const struct policy *p = &check->config->policies[i];
		struct plan_opts opts = check_opts(check->config, p, p->action, p->archive);

		if (!plan_and_probe(check, p, &opts, &plan, err))
			return false;
		if (check->report && check->integrity)
			report_detail(check->report, "policy \"%s\": integrity: %s", p->name,
				      check->integrity);
	}
	return check_rows(check, err) && answered;
}

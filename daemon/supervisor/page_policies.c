#include "supervisor/page_policies.h"

#include "base/log.h"
#include "base/mem.h"
#include "config/page.h"

struct page_asker {
	page_policies_handler *handler;
	void *arg;
	const struct config *config;
	int64_t question; /* the last one */
	struct page_policies *list;
};

static const char ask_sql[] =
	"SELECT p.name, p.version, p.action, retention.whole_months(p.depth) AS months, p.schedule,\n"
	"       p.archive\n"
	"  FROM retention.page_policy AS p\n"
	" WHERE p.validated_at IS NOT NULL AND p.retired_at IS NULL ORDER BY p.name";

/* Adds the policy of a row, or says why it does not run. */
static void add(struct page_policies *list, struct policy *policies, const struct config *config,
		const PGresult *res, int row)
{
	struct policy *p = &policies[list->n];
	const struct page_text text = {
		.name = PQgetvalue(res, row, 0),
		.version = PQgetvalue(res, row, 1),
		.action = PQgetvalue(res, row, 2),
		.months = PQgetvalue(res, row, 3), /* "" where NULL: not a number */
		.schedule = PQgetvalue(res, row, 4),
		.archive = PQgetvalue(res, row, 5),
	};
	const char *why = page_policy(list, config, &text, p);

	if (!why) {
		log_info(
			"policy \"%s\", version %d, which was made on the page, is in force: %s, %d "
			"months, %s",
			p->name, p->version, action_names[p->action], p->depth.count,
			p->schedule_text);
		list->n++;
		return;
	}
	why = t_printf(list, "policy \"%s\", which was made on the page, does not run: %s",
		       text.name, why);
	log_event(config->pages ? LOG_ERR : LOG_WARNING, KIND_GENERAL, NULL, "%s", why);
	/* Without policies of the page, somebody has wanted that. */
	if (config->pages && !list->refusal)
		list->refusal = why;
}

static struct page_policies *make_list(struct page_asker *asker, const char *signature,
				       const PGresult *res)
{
	struct page_policies *list = t_zero(asker, struct page_policies);
	struct policy *policies = t_array(list, struct policy, PQntuples(res) + 1);

	list->signature = t_strdup(list, signature);
	list->policies = policies;
	for (int row = 0; row < PQntuples(res); row++)
		add(list, policies, asker->config, res, row);
	return list;
}

static void on_answer(void *arg, int64_t tag, const PGresult *res)
{
	struct page_asker *asker = arg;
	const char *why = connection_failure(res);
	AUTO(talloc) char *signature = t_strdup(NULL, "");
	AUTO(talloc) struct page_policies *old = NULL;

	if (tag != asker->question || !res)
		return; /* stale, or the connection is lost, which on_down() logs */
	if (why) {
		asker->handler(asker->arg, asker->list, false, why);
		return;
	}
	for (int row = 0; row < PQntuples(res); row++)
		for (int column = 0; column < PQnfields(res); column++)
			t_append(&signature, "%s\n", PQgetvalue(res, row, column));
	if (asker->list->signature && strcmp(signature, asker->list->signature) == 0) {
		asker->handler(asker->arg, asker->list, false, NULL);
		return;
	}
	old = asker->list; /* the clock has it until the handler returns */
	asker->list = make_list(asker, signature, res);
	asker->handler(asker->arg, asker->list, true, NULL);
}

struct page_asker *page_asker_new(void *ctx, page_policies_handler *handler, void *arg)
{
	struct page_asker *asker = t_zero(ctx, struct page_asker);

	asker->handler = handler;
	asker->arg = arg;
	asker->list = t_zero(asker, struct page_policies);
	return asker;
}

void page_policies_ask(struct page_asker *asker, const struct config *config,
		       struct connection *connection)
{
	asker->config = config;
	asker->question++;
	connection_ask(connection, &(struct connection_query){.sql = ask_sql,
							      .on_answer = on_answer,
							      .arg = asker,
							      .tag = asker->question});
}

void page_policies_forget(struct page_asker *asker)
{
	asker->question++;
	talloc_free(asker->list);
	asker->list = t_zero(asker, struct page_policies);
}

const struct page_policies *page_policies_last(const struct page_asker *asker)
{
	return asker->list;
}

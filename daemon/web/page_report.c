/*
 * GET /actions/N/rapport: the report of an action as retentionctl report --format html writes it, for filing.  It is a
 * page of its own, which a browser prints or saves, so that its style stands in it: the policy of its content names the
 * digest of that style, and allows nothing else.
 */
#include "web/route.h"

#include "report/report.h"

#define PATIENCE_S 60 /* where the data may still be is asked of many tables */

static const char *say(const void *arg, const char *english)
{
	return language_text(arg, english);
}

static void send_report(struct visit *v)
{
	const struct report_words words = {
		.language = language_name(v->language), .say = say, .arg = v->language};
	struct evbuffer *body = must_alloc(evbuffer_new());
	AUTO(char_p) char *text = NULL;
	size_t n = 0;
	FILE *out = must_alloc(open_memstream(&text, &n));

	report_html(out, report_tables(visit_ctx(v), visit_rows(v, "cells"), &words), &words);
	if (fclose(out) != 0 || evbuffer_add(body, text, n) != 0)
		must_alloc(NULL); /* into memory: only memory can be short */
	visit_style(v, report_style);
	visit_send(v, 200, "text/html; charset=utf-8", body);
	evbuffer_free(body);
}

static void take_apart(struct visit *v)
{
	const char *const document = PQgetvalue(visit_rows(v, "document"), 0, 0);

	visit_ask(v, "cells", report_cells_sql, 1, &document);
	visit_then(v, send_report);
}

static void ask_document(struct visit *v)
{
	struct report_rules *rules = report_rules_new(visit_ctx(v));
	const struct report_ask ask = {.ids = PQgetvalue(visit_rows(v, "actions"), 0, 0)};
	const char *values[REPORT_VALUES];

	report_rules_read(rules, visit_rows(v, "used"));
	report_rules_values(rules, &ask, values);
	visit_ask(v, "document", report_document(visit_ctx(v)), REPORT_VALUES, values);
	visit_then(v, take_apart);
}

static void ask_used(struct visit *v)
{
	const char *const ids = PQgetvalue(visit_rows(v, "actions"), 0, 0);

	if (strcmp(ids, "{}") == 0) {
		visit_fail(v, 404, language_text(v->language, _("There is no such action.")));
		return;
	}
	visit_ask(v, "used", report_used_sql, 1, &ids);
	visit_then(v, ask_document);
}

void page_report(struct visit *v)
{
	const char *const values[] = {v->part[0], NULL, NULL, NULL};

	visit_patience(v, PATIENCE_S);
	visit_ask(v, "actions", report_actions_sql, LENGTH(values), values);
	visit_then(v, ask_used);
}

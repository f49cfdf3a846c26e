/* What is served without a log-in: the style sheet, the script, and whether the database answers. */
#include "web/assets.h"
#include "web/probe.h"
#include "web/route.h"
#include "web/visit_answer.h"

void page_asset(struct visit *v)
{
	const struct asset *asset = asset_at(v->path);
	struct evbuffer *body;

	if (!asset) {
		visit_fail(v, 404, NULL);
		return;
	}
	body = must_alloc(evbuffer_new());
	(void)evbuffer_add_reference(body, asset->bytes, asset->n, NULL, NULL); /* into memory */
	visit_answer_header(v, "Cache-Control", "public, max-age=31536000, immutable");
	visit_send(v, 200, asset->type, body);
	evbuffer_free(body);
}

static void answer_health(struct visit *v)
{
	const bool *answers = v->data;
	struct evbuffer *body = must_alloc(evbuffer_new());

	(void)evbuffer_add_printf(
		body, *answers ? "ok\n" : "the database does not answer\n"); /* into memory */
	visit_send(v, *answers ? 200 : 503, "text/plain", body);
	evbuffer_free(body);
}

static void on_health(void *asker, bool answers)
{
	struct visiting *g = asker;

	*(bool *)g->v.data = answers;
	visit_resume(&g->v, answer_health);
}

void page_health(struct visit *v)
{
	v->data = t_zero(visit_ctx(v), bool);
	visit_wait(v);
	probe_ask(v->web->probe, v->web->config->conninfo, visit_ctx(v), on_health);
}

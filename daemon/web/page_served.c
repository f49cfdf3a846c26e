/* What is served without a log-in: the style sheet, the script, and whether the database answers. */
#include "web/assets.h"
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

#include "web/template.h"

#include "base/text.h"
#include "web/embedded.h"
#include "web/template_state.h"
#include "web/words.h"

#define MOST_PARTIALS 8 /* partials in partials */

/* The trees of all embedded pages, in their order: made by template_load(), then never changed. */
static struct node **templates;

struct rendering {
	void *ctx;
	const char *page; /* the template that is being shown */
	const struct language *language;
	struct evbuffer *out;
	int depth;
	struct error *err;
};

/* Checks that each partial exists. */
static bool check_partials(const char *page, const struct node *node, struct error *err)
{
	for (; node; node = node->next) {
		size_t i = 0;

		if (!check_partials(page, node->first, err))
			return false;
		if (node->kind != NODE_PARTIAL)
			continue;
		while (i < embedded_pages_count && strcmp(embedded_pages[i].name, node->name) != 0)
			i++;
		if (i == embedded_pages_count)
			return fail(err, ERR_CONFIG, "template %s:%d: there is no template \"%s\"",
				    page, node->line, node->name);
	}
	return true;
}

bool template_load(struct error *err)
{
	struct node **all = t_array(NULL, struct node *, embedded_pages_count);

	for (size_t i = 0; i < embedded_pages_count; i++) {
		const struct embedded_page *page = &embedded_pages[i];

		if (!template_parse(all, page->name, (const char *)page->text, &all[i], err) ||
		    !check_partials(page->name, all[i], err)) {
			talloc_free(all);
			return false;
		}
	}
	talloc_free(templates); /* fails for NULL, which is fine */
	templates = all;
	return true;
}

static void put(struct rendering *r, const char *text, size_t n)
{
	if (evbuffer_add(r->out, text, n) != 0)
		must_alloc(NULL);
}

static void put_escaped(struct rendering *r, const char *text)
{
	const char *instead;

	while (*text) {
		size_t n = 0;

		while (text[n] && text_special(text + n, &instead) == 0)
			n++;
		put(r, text, n);
		text += n;
		if (*text) {
			text += text_special(text, &instead);
			put(r, instead, strlen(instead));
		}
	}
}

static void put_url(struct rendering *r, const char *text)
{
	for (; *text; text++) {
		char code[4];

		(void)snprintf(code, sizeof(code), "%%%02X", (unsigned char)*text);
		if (strchr(LETTERS DIGITS "-._~", *text))
			put(r, text, 1);
		else
			put(r, code, 3);
	}
}

static bool missing(struct rendering *r, const char *name)
{
	return fail(r->err, ERR_CONFIG, "template %s: there is no value \"%s\"", r->page, name);
}

/* *ret_text is NULL where the value is empty. */
static bool get(struct rendering *r, const struct values *v, const char *name,
		const char **ret_text)
{
	bool known;

	*ret_text = values_get(v, name, &known);
	return known || strncmp(name, "error_", 6) == 0 || strncmp(name, "value_", 6) == 0 ||
	       missing(r, name);
}

static bool put_value(struct rendering *r, const struct values *v, const char *name,
		      const char *filter)
{
	const char *text;

	if (!get(r, v, name, &text))
		return false;
	if (text)
		put_escaped(r, filter ? words_filter(r->ctx, r->language, filter, text) : text);
	return true;
}

/* *ret: the name has a text, or rows. */
static bool is_there(struct rendering *r, const struct values *v, const char *name, bool *ret)
{
	const int rows = values_count(v, name);
	const char *text;

	*ret = rows > 0;
	if (rows >= 0)
		return true;
	if (!get(r, v, name, &text))
		return false;
	*ret = text;
	return true;
}

static bool put_sentence(struct rendering *r, const struct values *v, const struct node *node)
{
	const char *text, *number = NULL;
	struct place place;

	if (node->many && !get(r, v, node->name, &number))
		return false;
	text = node->many ? language_plural(r->language, node->text, node->many,
					    number ? strtoll(number, NULL, 10) : 0)
			  : language_text(r->language, node->text);
	while (*text) {
		const size_t n = strcspn(text, "{");

		put(r, text, n);
		text += n;
		if (!*text)
			break;
		if (!template_place(r->ctx, text, &place)) /* checked by template_load() */
			return missing(r, text);
		if (!put_value(r, v, place.name, place.filter))
			return false;
		text += place.n;
	}
	return true;
}

static bool put_template(struct rendering *r, const struct values *v, const char *name);

static bool put_nodes(struct rendering *r, const struct values *v, const struct node *node);

static bool put_rows(struct rendering *r, const struct values *v, const struct node *node)
{
	const int n = values_count(v, node->name);

	if (n < 0)
		return missing(r, node->name);
	for (int i = 0; i < n; i++)
		if (!put_nodes(r, values_at(v, node->name, i), node->first))
			return false;
	return true;
}

static bool put_node(struct rendering *r, const struct values *v, const struct node *node)
{
	const char *text;
	bool there;

	switch (node->kind) {
	case NODE_TEXT:
		put(r, node->text, strlen(node->text));
		return true;
	case NODE_VALUE:
		return put_value(r, v, node->name, node->filter);
	case NODE_URL:
		if (!get(r, v, node->name, &text))
			return false;
		if (text)
			put_url(r, text);
		return true;
	case NODE_EACH:
		return put_rows(r, v, node);
	case NODE_IF:
	case NODE_UNLESS:
		if (!is_there(r, v, node->name, &there))
			return false;
		return there != (node->kind == NODE_IF) || put_nodes(r, v, node->first);
	case NODE_SENTENCE:
		return put_sentence(r, v, node);
	case NODE_PARTIAL:
		return put_template(r, v, node->name);
	}
	return true;
}

static bool put_nodes(struct rendering *r, const struct values *v, const struct node *node)
{
	for (; node; node = node->next)
		if (!put_node(r, v, node))
			return false;
	return true;
}

static bool put_template(struct rendering *r, const struct values *v, const char *name)
{
	const char *const around = r->page;
	size_t i = 0;

	while (i < embedded_pages_count && strcmp(embedded_pages[i].name, name) != 0)
		i++;
	if (i == embedded_pages_count || !templates || r->depth == MOST_PARTIALS)
		return fail(r->err, ERR_CONFIG, "template %s: no template \"%s\" can be shown",
			    around, name);
	r->page = name;
	r->depth++;
	if (!put_nodes(r, v, templates[i]))
		return false;
	r->depth--;
	r->page = around;
	return true;
}

bool template_render(const char *name, const struct values *v, const struct language *language,
		     struct evbuffer *out, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct rendering r = {
		.ctx = ctx, .page = name, .language = language, .out = out, .err = err};

	return put_template(&r, v, name);
}

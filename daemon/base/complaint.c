#include "base/complaint.h"

#include "base/mem.h"

void complain(struct complaints *c, const struct place *at, const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		must_alloc(NULL);
	va_end(args);
	if (!c->ctx)
		c->ctx = must_alloc(talloc_new(NULL));
	c->lines = t_grow(c->ctx, c->lines, char *, c->n + 1);
	c->lines[c->n++] = at->line ? t_printf(c->ctx, "%s:%d: %s", at->file, at->line, text)
				    : t_printf(c->ctx, "%s: %s", at->file, text);
}

void complaints_clear(struct complaints *c)
{
	if (c->ctx)
		talloc_free(c->ctx);
	*c = (struct complaints){0};
}

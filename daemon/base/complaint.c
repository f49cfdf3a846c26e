#include "base/complaint.h"

#include "base/mem.h"
#include "base/text.h"

void complain_sorted(struct complaints *c, unsigned int order, const struct place *at,
		     const char *fmt, ...)
{
	va_list args;
	char *text;
	size_t i = c->n++;

	if (!c->ctx)
		c->ctx = must_alloc(talloc_new(NULL));
	text = at->line ? t_printf(c->ctx, "%s:%d: ", at->file, at->line)
			: t_printf(c->ctx, "%s: ", at->file);
	va_start(args, fmt);
	text = must_alloc(talloc_vasprintf_append_buffer(text, fmt, args));
	va_end(args);
	c->lines = t_grow(c->ctx, c->lines, char *, c->n);
	c->orders = t_grow(c->ctx, c->orders, unsigned int, c->n);
	for (; i > 0 && c->orders[i - 1] > order; i--) {
		c->lines[i] = c->lines[i - 1];
		c->orders[i] = c->orders[i - 1];
	}
	c->lines[i] = text_one_line(text);
	c->orders[i] = order;
}

void complaints_clear(struct complaints *c)
{
	(void)talloc_free(c->ctx); /* refuses NULL, which is fine */
	*c = (struct complaints){0};
}

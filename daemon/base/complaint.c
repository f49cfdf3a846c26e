#include "base/complaint.h"

#include "base/mem.h"

#include <limits.h>

void complain_sorted_list(struct complaints *c, unsigned int order, const struct place *at,
			  const char *fmt, va_list args)
{
	char *text;
	size_t i = c->n;

	if (!c->ctx)
		c->ctx = must_alloc(talloc_new(NULL));
	text = at->line ? t_printf(c->ctx, "%s:%d: ", at->file, at->line)
			: t_printf(c->ctx, "%s: ", at->file);
	text = must_alloc(talloc_vasprintf_append_buffer(text, fmt, args));
	c->lines = t_grow(c->ctx, c->lines, char *, c->n + 1);
	c->orders = t_grow(c->ctx, c->orders, unsigned int, c->n + 1);
	for (; i > 0 && c->orders[i - 1] > order; i--) {
		c->lines[i] = c->lines[i - 1];
		c->orders[i] = c->orders[i - 1];
	}
	c->lines[i] = text;
	c->orders[i] = order;
	c->n++;
}

void complain(struct complaints *c, const struct place *at, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain_sorted_list(c, UINT_MAX, at, fmt, args);
	va_end(args);
}

void complain_sorted(struct complaints *c, unsigned int order, const struct place *at,
		     const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain_sorted_list(c, order, at, fmt, args);
	va_end(args);
}

void complaints_clear(struct complaints *c)
{
	if (c->ctx)
		talloc_free(c->ctx);
	*c = (struct complaints){0};
}

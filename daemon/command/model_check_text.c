/* Collects the lines of model check, in the person's language. */
#include "command/model_check_state.h"

void model_check_add(struct model_check *m, struct list *list, const char *text)
{
	list->items = t_grow(m->ctx, list->items, const char *, list->n + 1);
	list->items[list->n++] = text;
}

const char *model_check_word(const struct model_check *m, const char *text)
{
	if (!text)
		return "";
	return m->cmd->options.json ? text : gettext(text);
}

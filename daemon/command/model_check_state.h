/*
 * The state of model check, shared by its files: model_check.c, its parts, and model_check_text.c, which collects the
 * lines.
 */
#pragma once

#include "command/command.h"

#include "base/text.h"
#include "discover/schema.h"
#include "model/catalog.h"

/* Columns of the printed table; between DELETE and REMARK there is one for each action that erases. */
enum { TABLE, NAME, DELETE, REMARK = DELETE + ACTION_COUNT - ACTION_DELETE_CONTACTS, CELLS };

struct list {
	const char **items;
	size_t n;
};

struct model_check {
	struct command *cmd;
	void *ctx;
	const struct model *model;
	struct schema *schema;
	struct catalog *catalog; /* NULL: the model names things that do not exist */
	struct list cells[CELLS];
	struct list refused;
	struct list hints;
};

void model_check_add(struct model_check *m, struct list *list, const char *text);

/* The text in the language of the person, or as it is in JSON; "" for NULL. */
const char *model_check_word(const struct model_check *m, const char *text)
	__attribute__((format_arg(2)));

#define HINT(m, text, ...)                                                                         \
	model_check_add(                                                                           \
		(m), &(m)->hints,                                                                  \
		text_one_line(t_printf((m)->ctx, model_check_word((m), (text)), __VA_ARGS__)))

/*
 * Adds hints on values of a date_unit that are no dates, or far from today.  Only of a model that is not refused: what it
 * reads is read with the rights of this person.
 */
bool model_check_dates(struct model_check *m, struct error *err);

/* Adds hints on what makes statements slow: links and foreign keys without an index, and partitions. */
void model_check_speed(struct model_check *m);

/* The table above t that stays when a contact is deleted, so that the deletion does not reach t; NULL: it does. */
const struct table *model_check_shield(const struct table *t);

/* Adds hints on what stays in a table below one that stays, and on links that look personal. */
void model_check_stays(struct model_check *m, const struct table *t,
		       const struct schema_table *table);

/* Is the table in a schema of the model's, and can a column hold a text of any kind, or a document? */
bool model_check_has_texts(const struct model_check *m, const struct schema_table *table);

#include "plan/builder.h"

#include "base/mem.h"
#include "base/sql.h"

const struct arrays plan_parameters = {"$1", "$2"};
const struct arrays plan_marks = {(const char[]){PLAN_KEYS, '\0'}, (const char[]){PLAN_OWN, '\0'}};

const struct relation *plan_relation(const struct builder *b, const struct table *t)
{
	return &b->catalog->relations[t->index];
}

enum disposition plan_disposition(const struct builder *b, const struct table *t)
{
	return disposition_of(t, b->opts->action, b->opts->archive);
}

bool plan_has_step(const struct builder *b, const struct table *t)
{
	return disposition_has_step(t, b->opts->action, b->opts->archive);
}

bool plan_is_asked(const struct builder *b, const struct table *t)
{
	return b->opts->by_set && catalog_is_referenced(b->catalog, t) &&
	       plan_disposition(b, t) == DISPOSITION_DELETE;
}

bool plan_has_key_to_parent(const struct builder *b, const struct table *t)
{
	for (size_t i = 0; i < b->catalog->n_keys; i++)
		if (b->catalog->keys[i].n_columns == 1 &&
		    catalog_link_covers(b->catalog, t, &b->catalog->keys[i]))
			return true;
	return false;
}

bool plan_is_user(const struct builder *b, const struct table *x)
{
	const unsigned int oid = plan_relation(b, x)->oid;

	for (size_t i = 0; i < b->model->n_tables; i++) {
		const struct table *t = &b->model->tables[i];

		if (!t->shared)
			continue;
		if (plan_relation(b, t->of)->oid == oid)
			return true;
		for (size_t k = 0; k < b->catalog->n_keys; k++)
			if (b->catalog->keys[k].to_oid == plan_relation(b, t)->oid &&
			    b->catalog->keys[k].from_oid == oid)
				return true;
	}
	return false;
}

bool plan_is_numbered(const struct builder *b, const struct table *t)
{
	for (size_t i = 0; plan_disposition(b, t) == DISPOSITION_UPDATE && i < t->n_rules; i++)
		if (t->rules[i].kind == RULE_SET && model_value_uses(t->rules[i].value, "{number}"))
			return true;
	return false;
}

/*
 * Requests that no foreign key keeps out: a contact that has more of them than were locked is not
 * due now.
 */
static bool may_come_back(const struct builder *b, const struct table *t)
{
	return t == b->model->request && t != b->plan->subject && !plan_has_key_to_parent(b, t) &&
	       plan_disposition(b, t) == DISPOSITION_DELETE;
}

bool plan_is_collected(const struct builder *b, const struct table *t)
{
	const bool changes = b->opts->action != ACTION_EXPORT && plan_has_step(b, t);

	return disposition_is_inner(b->model, t, b->opts->action, b->opts->archive) ||
	       plan_is_asked(b, t) ||
	       (changes && (t->shared || t->file.column || may_come_back(b, t) ||
			    (t->key && plan_is_user(b, t)) || plan_is_numbered(b, t)));
}

bool plan_is_own(const struct builder *b, const struct table *t)
{
	return t == b->plan->subject || (t->key && plan_is_collected(b, t));
}

char *plan_array(const struct builder *b, const struct table *t, const char *column,
		 const char *keys)
{
	return t_printf(b->ctx, "%s::%s[]", keys, plan_type(b->catalog, t, column));
}

char *plan_slot(const struct builder *b, const struct table *t, const char *column)
{
	if (!column)
		return t_strdup(b->ctx, "NULL::text");
	return t_printf(b->ctx, "%s%s", plan_column(b->ctx, "t", column),
			strcmp(catalog_column(plan_relation(b, t), column)->base, "bpchar") == 0
				? "::text"
				: "");
}

struct source plan_source(const struct builder *b, const struct table *t, bool own)
{
	struct source source = {.table = own ? t->index : t->of->index};
	const char *const *slots = b->slots[source.table];

	while (!own &&
	       (!slots[source.slot] || strcmp(slots[source.slot], model_parent_column(t)) != 0))
		source.slot++;
	return source;
}

char *plan_selection(const struct builder *b, const struct table *t, const char *keys, bool own)
{
	const char *column = own ? t->key : t->by;

	return t_printf(b->ctx, "%s = ANY (%s)%s", plan_column(b->ctx, "t", column),
			plan_array(b, t, column, keys), own ? "" : plan_beside_link(b->ctx, t));
}

char *plan_copy(const struct builder *b, const char *query)
{
	return t_printf(b->ctx, "COPY (%s) TO STDOUT (FORMAT csv, DELIMITER %s)", query,
			sql_literal(b->ctx, t_printf(b->ctx, "%c", b->opts->delimiter)));
}

size_t plan_phase(const struct table *t)
{
	size_t n = 0;

	for (; t; t = t->of)
		n += t->shared ? 1 : 0;
	return n;
}

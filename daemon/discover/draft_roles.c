/*
 * Asks which rows of the contacts' table are contacts, where staff may be in it too.  The answer is contact's where: with
 * "true", which the mark stands beside, everybody in the table is one.
 */
#include "discover/draft_state.h"

#include "base/sql.h"

/* A column that may tell staff from contacts. */
struct role {
	const struct schema_column *column;
	const char *where; /* what leaves the staff out; NULL: nobody can guess it */
	bool sure; /* a value of it is staff's */
};

/* Finds the value that is a contact's, and whether one is staff's. */
static struct role by_values(const struct draft *x, const struct schema_column *c)
{
	struct role role = {.column = c};

	for (size_t i = 0; i < c->n_values; i++) {
		role.sure = role.sure || names_is_staff_value(c->values[i]);
		if (!role.where && names_is_customer_value(c->values[i]))
			role.where = t_printf(x->ctx, "%s = %s", draft_ident(x, c->name),
					      sql_literal(x->ctx, c->values[i]));
	}
	return role;
}

/* The column that tells most surely; column is NULL: there is none. */
static struct role find_role(const struct draft *x, const struct schema_table *t)
{
	struct role best = {.column = NULL};

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];
		const enum names_staff says = names_staff(c->name);
		struct role role = by_values(x, c);

		if (says == NAME_STAFF_NONE || c->primary ||
		    (says == NAME_STAFF_KIND && !role.sure) || (c->n_values > 0 && !role.sure))
			continue;
		if (c->category == 'B')
			role = (struct role){
				c, t_printf(x->ctx, "%s IS NOT TRUE", draft_ident(x, c->name)),
				true};
		if (!best.column || (role.sure && !best.sure))
			best = role;
	}
	return best;
}

/* The table by which contacts have roles: roles_users; NULL: there is none. */
static const struct schema_table *find_members(const struct draft *x, size_t contact)
{
	const struct schema *schema = x->schema;

	for (size_t i = 0; i < schema->n_keys; i++)
		for (size_t k = 0; k < schema->n_keys && schema->keys[i].to == contact; k++)
			if (schema->keys[k].from == schema->keys[i].from &&
			    names_is_link_to("role_id", schema->tables[schema->keys[k].to].name,
					     NULL))
				return &schema->tables[schema->keys[i].from];
	return NULL;
}

void draft_roles(struct draft *x)
{
	const struct schema_table *t = draft_table(x, &x->links->items[0]);
	const struct role role = find_role(x, t);
	const struct schema_table *members = find_members(x, x->links->items[0].table);

	if (!role.column && !members && !names_is_staff(t->name))
		return;
	draft_put(x, "    where = %s;  # " MODEL_MARK ": which rows are contacts, and not staff?  ",
		  draft_quoted(x, role.where ? role.where : "true"));
	if (role.column)
		draft_put(x, "Column %s may tell.\n", draft_line(x, role.column->name));
	else if (members)
		draft_put(x, "Table %s may tell.\n", draft_shown(x, members));
	else
		draft_put(x, "The table's name is one of staff's.\n");
}

/* Rows that stay when their contact is deleted: detached, cleared by on_delete, or kept under a foreign key. */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/disposition.h"
#include "model/path.h"

/* A name whose rows the model keeps, and the key deletes with a contact; NULL: there is none. */
static const struct table *kept_by_name(const struct model *model, const struct catalog *catalog,
					const struct foreign_key *k)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (k->on_delete == 'c' && model->tables[i].on_delete == ON_DELETE_KEEP &&
		    model->tables[i].of == model->contact &&
		    catalog_link_covers(catalog, &model->tables[i], k))
			return &model->tables[i];
	return NULL;
}

bool check_kept(const struct model *model, const struct catalog *catalog,
		const struct foreign_key *k, struct complaints *c)
{
	const struct table *t = kept_by_name(model, catalog, k);

	if (!t)
		return false;
	complain(
		c, &t->place,
		"table \"%s\": delete = \"keep\", and foreign key \"%s\" of %s is ON DELETE CASCADE, so that its rows would vanish unarchived: %s, or use delete = "
		"\"delete\" or \"detach\", or make the key NO ACTION",
		t->name, k->name, k->from_name,
		t->where
			? "leave where out, because rows outside of it vanish too, and let where of "
			  "\"contact\" leave out the contacts that the rows belong to"
			: "let where of \"contact\" leave out the contacts that the rows belong to, "
			  "and each batch makes sure of it");
	return true;
}

/* What on_delete needs beside good rules. */
static void check_on_delete(const struct table *t, const struct relation *r, struct complaints *c)
{
	if (t->on_detach.n == 0)
		return;
	if (r->spread == SPREAD_ROWS)
		complain(
			c, &t->place,
			"table \"%s\": on_delete is not possible where Citus spreads the rows of %s.%s: use "
			"delete = \"delete\"",
			t->name, t->schema, t->table);
	if (catalog_column(r, SQL_WRITTEN))
		complain(c, &t->place,
			 "table \"%s\": its column \"" SQL_WRITTEN
			 "\" has the name that an archive of detached rows needs: rename it",
			 t->name);
}

/* Does on_delete take the value out of its document? */
static bool is_cut_by_rule(const struct table *t, const char *path)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const struct column_rule *rule = column_rules_find(&t->on_detach, path_column(ctx, path));
	const char *key = path_key(ctx, path);
	bool listed = false;

	for (size_t i = 0; rule && i < rule->n_keys; i++)
		listed = listed || strcmp(rule->keys[i], key) == 0;
	return rule && (rule->kind == RULE_CLEAR || (rule->kind == RULE_JSON && listed) ||
			(rule->kind == RULE_JSON_KEEP && !listed));
}

static bool can_detach(const struct table *t, const struct relation *r)
{
	for (size_t i = 0; i < t->by->n; i++)
		if (catalog_is_detached(t, r, t->by->names[i]))
			return true;
	return false;
}

static void check_detach(const struct table *t, const struct relation *r, struct complaints *c)
{
	const struct column *by = t->by ? catalog_column(r, t->by->names[0]) : NULL;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!by || disposition_of(t, ACTION_DELETE_CONTACTS, ARCHIVE_NONE) != DISPOSITION_DETACH)
		return;
	if (path_is(by->name) && !is_cut_by_rule(t, by->name))
		complain(
			c, &t->place,
			"table \"%s\": delete = \"detach\" does not clear %s, which is within a document: let "
			"on_delete clear the column \"%s\", or drop the key with json",
			t->name, by->name, path_column(ctx, by->name));
	else if (t->by->n > 1 && !can_detach(t, r))
		complain(
			c, &t->place,
			"table \"%s\": delete = \"detach\" clears a column of the link that may be "
			"NULL and is no part of the key, and there is none: use delete = "
			"\"delete\", or drop a NOT NULL",
			t->name);
	else if (t->by->n == 1 && !path_is(by->name) && (by->generated || by->not_null))
		complain(c, &t->place, "table \"%s\": delete = \"detach\" clears \"%s\", which %s",
			 t->name, by->name,
			 by->generated
				 ? "the database generates: use delete = \"delete\" or \"keep\""
				 : "is NOT NULL: use delete = \"delete\", or drop the NOT NULL");
}

void check_staying(const struct table *t, const struct relation *r, struct complaints *c)
{
	check_detach(t, r, c);
	check_on_delete(t, r, c);
}

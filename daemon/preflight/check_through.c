/*
 * Requests with several contacts: what the join table has to say, so that nothing is missed and nobody can change
 * unseen whose a request is.
 *
 *   foreign keys   on both sides: a row that a client adds waits for the batch that has its contact or its
 *                  request (plan/guard.c)
 *   NOT NULL       a row without a contact would keep its request for ever
 *   other columns  that point from the request at a contact: what they mean has to be said, because they keep nobody
 */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "base/sql.h"
#include "plan/plan.h"

/* Complains unless the columns of the join table are a foreign key onto these of the table. */
static void check_key_to(const struct catalog *catalog, const struct table *join,
			 const struct columns *columns, const struct table *to,
			 const struct columns *of, struct complaints *c)
{
	const struct foreign_key *k = NULL;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	while ((k = catalog_next_key(catalog, k, catalog->relations[join->index].oid,
				     catalog->relations[to->index].oid)))
		if (k->n_columns == columns->n && catalog_key_pairs(k, columns, of))
			return;
	complain(
		c, &join->place,
		"table \"request\": through: no foreign key of %s.%s says that \"%s\" is the \"%s\" of "
		"%s.%s: a client could change whose a request is while it is erased; ALTER TABLE %s ADD "
		"FOREIGN KEY (%s) REFERENCES %s (%s)",
		join->schema, join->table, columns_text(ctx, columns), columns_text(ctx, of),
		to->schema, to->table, sql_table(ctx, join->schema, join->table),
		sql_idents(ctx, columns->names, columns->n), sql_table(ctx, to->schema, to->table),
		sql_idents(ctx, of->names, of->n));
}

static void check_not_null(const struct relation *r, const struct table *join,
			   const struct columns *columns, struct complaints *c)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!catalog_column(r, columns->names[i])->not_null)
			complain(
				c, &join->place,
				"table \"request\": through: \"%s\" of %s.%s may be NULL: a row with "
				"half a pair would keep its request for ever; ALTER TABLE %s.%s ALTER "
				"COLUMN \"%s\" SET NOT NULL",
				columns->names[i], join->schema, join->table, join->schema,
				join->table, columns->names[i]);
}

/* Rows under two names would be deleted by one of them that the other says are kept. */
static void check_twins(const struct model *model, const struct catalog *catalog,
			struct complaints *c)
{
	const unsigned int oid = catalog->relations[model->through->index].oid;

	for (size_t i = 0; i < model->n_tables; i++)
		if (&model->tables[i] != model->through && catalog->relations[i].oid == oid)
			complain(
				c, &model->tables[i].place,
				"table \"%s\": %s.%s is mapped by through of \"request\" already, which "
				"takes archive, anonymize and rules: remove this one",
				model->tables[i].name, model->tables[i].schema,
				model->tables[i].table);
}

/* Does a name of the request's table, beside the request itself, say what becomes of the key's column? */
static bool is_mapped(const struct model *model, const struct catalog *catalog,
		      const struct foreign_key *k)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (&model->tables[i] != model->request &&
		    catalog_link_covers(catalog, &model->tables[i], k))
			return true;
	return false;
}

static bool is_also_mapped(const struct model *model)
{
	const struct table *r = model->request;

	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (t != r && t->of == model->contact && strcmp(t->schema, r->schema) == 0 &&
		    strcmp(t->table, r->table) == 0 && columns_equal(t->by, model->through->also))
			return true;
	}
	return false;
}

/* "customer_id": a contact that stands in this column alone has no request, and so would not be kept by it. */
static void check_others(const struct model *model, const struct catalog *catalog,
			 struct complaints *c)
{
	const struct table *r = model->request, *contact = model->contact, *join = model->through;
	const struct foreign_key *k = NULL;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	while ((k = catalog_next_key(catalog, k, catalog->relations[r->index].oid,
				     catalog->relations[contact->index].oid))) {
		const struct columns columns = {k->from_columns, k->n_columns};

		if (!is_mapped(model, catalog, k))
			complain(
				c, &r->place,
				"table \"request\": through says which contacts a request has, and its "
				"column \"%s\" (foreign key \"%s\") points at one too, which that row alone "
				"would not keep: if it is one of the request's contacts, add also = \"%s\" "
				"to through, and give each such contact its row (%s); in any case map "
				"%s.%s once more with of = \"contact\", by = \"%s\", delete = \"detach\" "
				"and anonymize = \"keep\"",
				columns_text(ctx, &columns), k->name, columns_text(ctx, &columns),
				plan_pairs_sql(ctx, model, &columns), r->schema, r->table,
				columns_text(ctx, &columns));
	}
	if (join->also && !is_also_mapped(model))
		complain(
			c, &join->place,
			"table \"request\": through: also names \"%s\", and no other name of %s.%s says "
			"what becomes of it where the request stays: map the table once more with of = "
			"\"contact\", by = %s, delete = \"detach\" and anonymize = \"keep\"",
			columns_text(ctx, join->also), r->schema, r->table,
			columns_setting(ctx, join->also));
}

void check_through(const struct model *model, const struct catalog *catalog, struct complaints *c)
{
	const struct table *join = model->through, *r = model->request;
	const struct relation *relation = join ? &catalog->relations[join->index] : NULL;

	if (!join)
		return;
	if (catalog_is_spread(model, catalog)) {
		complain(
			c, &join->place,
			"table \"request\": through is not for tables that Citus spreads: the contacts of "
			"one request can be on several servers");
		return;
	}
	check_key_to(catalog, join, join->by, model->contact, model_parent_columns(join), c);
	check_key_to(catalog, join, r->from, r, r->by, c);
	check_not_null(relation, join, join->by, c);
	check_not_null(relation, join, r->from, c);
	check_twins(model, catalog, c);
	check_others(model, catalog, c);
}

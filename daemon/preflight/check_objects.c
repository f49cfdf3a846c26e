/*
 * Large objects.  A row holds the number of one, and the bytes are in pg_largeobject.  They stay there
 * when the row goes, and an archive has no more of them than the number.
 *
 * The trigger lo_manage of the extension lo unlinks the object with the row or with the value, in the
 * same transaction.  Where a column has it, rows may be erased, but not archived, because a restore
 * would bring back a number that refers to nothing.  Without it the model is refused.  It does not look
 * for other rows that refer to the same object, so that a unique index has to forbid them.
 *
 * What the catalog cannot tell: a number in a column of another type (text, bigint) can refer to a large
 * object too.
 */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "base/sql.h"
#include "model/disposition.h"

/* What the actions do to the rows of a table. */
struct effects {
	bool deletes;
	bool updates;
	bool detaches;
};

static struct effects effects_on(const struct model *model, const struct table *t)
{
	struct effects effects = {0};

	for (enum action a = ACTION_DELETE_CONTACTS; a < ACTION_COUNT; a++) {
		const enum disposition d = disposition_of(t, a, ARCHIVE_NONE);

		if (a != ACTION_DELETE_CONTACTS && !model_can_anonymize(model, a))
			continue;
		effects.deletes = effects.deletes || d == DISPOSITION_DELETE;
		effects.updates = effects.updates || d == DISPOSITION_UPDATE;
		effects.detaches = effects.detaches || d == DISPOSITION_DETACH;
	}
	return effects;
}

/* How a column can be made to take its objects along; an array of numbers cannot. */
static char *cure(void *ctx, const struct table *t, const struct column *column)
{
	if (column->category == 'A')
		return t_strdup(ctx, "move their bytes to a column of type bytea[]");
	return t_printf(ctx,
			"CREATE EXTENSION lo, and CREATE TRIGGER retention_lo BEFORE DELETE OR "
			"UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION lo_manage(%s)",
			sql_table(ctx, t->schema, t->table), sql_literal(ctx, column->name));
}

/* Do rules of this disposition write the column? */
static bool is_written(const struct table *t, enum disposition d, const struct column *column)
{
	const struct column_rules rules = disposition_rules(t, d);
	const struct column_rule *rule = column_rules_find(&rules, column->name);

	return rule && rule->kind != RULE_KEEP;
}

static void check_column(const struct table *t, const struct column *column,
			 const struct effects *effects, struct complaints *c)
{
	const bool written = (effects->updates && is_written(t, DISPOSITION_UPDATE, column)) ||
			     (effects->detaches && is_written(t, DISPOSITION_DETACH, column));
	const bool stays_of_row = effects->deletes && !column->unlinked_with_row;
	const bool stays_of_value = written && !column->unlinked_with_value;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!catalog_refers_to_objects(t, column) || !(effects->deletes || written))
		return;
	if (stays_of_row || stays_of_value)
		complain(
			c, &t->place,
			"table \"%s\": column \"%s\" (%s) of %s.%s can refer to large objects, "
			"which would stay behind when %s: %s; or not_large_objects = [ \"%s\" ] if "
			"it holds other numbers",
			t->name, column->name, column->type, t->schema, t->table,
			stays_of_row ? "its rows are deleted" : "it is written",
			cure(ctx, t, column), column->name);
	else if (!column->identifies)
		complain(
			c, &t->place,
			"table \"%s\": no unique index on %s.%s says that a large object of \"%s\" "
			"belongs to one row: lo_manage would unlink that of another row; CREATE UNIQUE "
			"INDEX CONCURRENTLY ON %s (%s)",
			t->name, t->schema, t->table, column->name,
			sql_table(ctx, t->schema, t->table), sql_ident(ctx, column->name));
}

void check_objects(const struct model *model, const struct catalog *catalog, struct complaints *c)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];
		const struct relation *r = &catalog->relations[i];
		const struct effects effects = effects_on(model, t);

		for (size_t j = 0; j < r->n_columns; j++)
			check_column(t, &r->columns[j], &effects, c);
	}
}

/* Does the step make the trigger unlink the objects that the column refers to? */
static bool unlinks(const struct step *s, const struct column *column)
{
	return catalog_refers_to_objects(s->table, column) &&
	       (s->disposition == DISPOSITION_DELETE ||
		((s->disposition == DISPOSITION_UPDATE || s->disposition == DISPOSITION_DETACH) &&
		 is_written(s->table, s->disposition, column)));
}

/* Only the owner of a large object may unlink it.  A trigger has the rights of the role that deletes the row. */
static const char owners_sql[] =
	"SELECT quote_ident(pg_get_userbyid(m.lomowner)) AS owner, quote_ident(current_user) AS role\n"
	"  FROM pg_largeobject_metadata AS m\n"
	" WHERE NOT pg_has_role(m.lomowner, 'USAGE') AND NOT current_setting('lo_compat_privileges')::boolean\n"
	"   AND EXISTS (SELECT FROM {table} AS t WHERE {column} = m.oid)\n"
	" LIMIT 1";

static bool check_owners(struct db *db, const struct table *t, const struct column *column,
			 struct complaints *c, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	const char *sql = sql_fill(ctx, owners_sql, {"table", plan_table(ctx, t)},
				   {"column", plan_column(ctx, "t", column->name)});

	if (!db_query_apart(db, sql, 0, NULL, &res, err))
		return false;
	if (PQntuples(res) > 0)
		complain(
			c, &t->place,
			"table \"%s\": role %s may not unlink large objects of \"%s\" that belong to "
			"%s: GRANT %s TO %s",
			t->name, db_value(res, 0, "role"), column->name, db_value(res, 0, "owner"),
			db_value(res, 0, "owner"), db_value(res, 0, "role"));
	return true;
}

bool check_object_owners(struct db *db, const struct plan *plan, struct complaints *c,
			 struct error *err)
{
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct table *t = plan->steps[i].table;
		const struct relation *r = &plan->catalog->relations[t->index];

		for (size_t j = 0; j < r->n_columns; j++)
			if (unlinks(&plan->steps[i], &r->columns[j]) &&
			    !check_owners(db, t, &r->columns[j], c, err))
				return false;
	}
	return true;
}

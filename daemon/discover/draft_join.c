/*
 * Prints which contacts a request has, where a table of its own says so.
 */
#include "discover/draft_state.h"
#include "discover/joins.h"

#include "base/sql.h"

/* What the daemon asks of the table, as a statement; foreign keys are there, because the table was found by them. */
static void print_not_null(struct draft *x, const struct schema_table *t,
			   const struct columns *columns)
{
	if (!schema_not_null(t, columns))
		for (size_t i = 0; i < columns->n; i++)
			draft_put(
				x,
				"      # The daemon refuses half a pair: ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\n",
				draft_shown_sql(x, t),
				draft_line(x, sql_ident(x->ctx, columns->names[i])));
}

void draft_join(struct draft *x)
{
	const struct link *join = links_join(x->links);
	const struct schema_table *t = draft_table(x, join);

	draft_put(
		x,
		"    # " MODEL_MARK
		": does this table name all contacts of a request?  Who is named elsewhere alone is not kept by it.\n"
		"    through: {\n      table = %s;",
		draft_setting_of(x, t));
	draft_columns(x, "request", join->request);
	draft_columns(x, "contact", join->by);
	draft_columns(x, "key", t->key);
	draft_put(x, " archive = true;\n");
	print_not_null(x, t, join->request);
	print_not_null(x, t, join->by);
	x->indent = "      ";
	draft_rules(x, join->table);
	x->indent = "    ";
	draft_put(x, "    };\n");
	draft_index(x, t, join->by);
	draft_index(x, t, join->request);
}

void draft_other_contacts(struct draft *x)
{
	const char *joins = links_join(x->links) ? "" : joins_text(x->ctx, x->schema, x->links);

	if (*joins)
		draft_put(
			x,
			"    # " MODEL_MARK
			": has a request other contacts, too?  As it stands, it keeps none of those named by\n"
			"    # %s; see through in retentiond.conf(5).\n",
			draft_line(x, joins));
}

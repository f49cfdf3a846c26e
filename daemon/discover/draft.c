/*
 * Prints the draft: the tables in the order of the links, and at the end what is left out.
 */
#include "discover/draft_state.h"

#include "base/mem.h"
#include "base/text.h"
#include "discover/keys.h"
#include "discover/shards.h"
#include "discover/verdict.h"
#include "model/catalog.h"

/* More references to a table that is left out are only counted. */
#define MANY_USES 3

/* Prints the tables that mapped tables reference and that hold no personal data. */
static void print_left_out(struct draft *x)
{
	bool first = true;

	for (size_t t = 0; t < x->schema->n_tables; t++) {
		const char *why = links_left_out(x->links, x->schema, t);
		const bool mapped = links_of(x->links, t) != NULL;
		char *uses = t_strdup(x->ctx, "");
		size_t n = 0;

		for (size_t i = 0; i < x->schema->n_keys && !mapped; i++) {
			const struct schema_key *k = &x->schema->keys[i];
			const struct link *from = k->to == t ? links_of(x->links, k->from) : NULL;

			if (from && ++n <= MANY_USES)
				t_list(&uses, ", ", k->columns->n == 1 ? "%s.%s" : "%s (%s)",
				       from->name, draft_line(x, columns_text(x->ctx, k->columns)));
		}
		if (!*uses)
			continue;
		if (first)
			draft_put(x, "\n  # Not mapped, although mapped tables reference them:\n");
		first = false;
		draft_put(x, "  #   %s: %s (%s%s)\n", draft_shown(x, &x->schema->tables[t]),
			  why ? why : "not followed", uses,
			  n > MANY_USES ? t_printf(x->ctx, ", and %zu more", n - MANY_USES) : "");
	}
}

/* Is the table named among those that mapped tables reference? */
static bool is_referenced(const struct draft *x, size_t table)
{
	for (size_t i = 0; i < x->schema->n_keys; i++)
		if (x->schema->keys[i].to == table && links_of(x->links, x->schema->keys[i].from))
			return true;
	return false;
}

/* A key is a number or a code as a rule; an address can be one, too. */
static bool is_personal(enum verdict verdict, const struct schema_column *c)
{
	return c->primary ? verdict == VERDICT_CLEAR : verdict != VERDICT_KEEP;
}

/* The first columns of the table that may be personal; "": there are none. */
static const char *personal_columns(const struct draft *x, const struct schema_table *t)
{
	char *names = t_strdup(x->ctx, "");
	const char *why;
	size_t n = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];

		if (!c->foreign && is_personal(verdict_of(x->ctx, t, c, &why), c) &&
		    ++n <= MANY_USES)
			t_list(&names, ", ", "%s", draft_line(x, c->name));
	}
	if (n > MANY_USES)
		t_append(&names, ", and %zu more", n - MANY_USES);
	return names;
}

/* Prints the tables that nothing links, and that may hold something personal all the same. */
static void print_unlinked(struct draft *x)
{
	bool first = true;

	for (size_t t = 0; t < x->schema->n_tables; t++) {
		const struct schema_table *table = &x->schema->tables[t];
		const struct schema_table *original = links_copied(x->schema, t);
		const bool named = links_of(x->links, t) || is_referenced(x, t) ||
				   names_of_table(table->name) != NAME_TABLE_UNKNOWN;
		const char *columns = named ? "" : personal_columns(x, table);

		if (!*columns)
			continue;
		if (first)
			draft_put(
				x,
				"\n  # Not mapped, because nothing links them to a contact; they may "
				"hold copies (match, retentionctl residue):\n");
		first = false;
		draft_put(x, "  #   %s (%s)%s\n", draft_shown(x, table), columns,
			  original ? t_printf(x->ctx, ": a copy of %s?  Drop it, or map it",
					      draft_shown(x, original))
				   : "");
	}
}

static void print_not_followed(struct draft *x)
{
	const struct link *of;

	for (size_t i = 0; i < x->schema->n_keys; i++) {
		const struct schema_key *k = &x->schema->keys[i];
		const struct schema_table *from = &x->schema->tables[k->from];

		if (k->unfit && links_of(x->links, k->to))
			draft_put(
				x,
				"  # Not followed: foreign key %s of %s.  A link over several columns holds "
				"whole numbers, uuids or texts, and %s is %s.\n",
				draft_line(x, k->name), draft_shown(x, from),
				draft_line(x, k->unfit),
				draft_line(x, schema_column(from, k->unfit)->type));
	}
	for (size_t i = 0; i < x->schema->n_tables; i++) {
		const struct schema_table *t = &x->schema->tables[i];
		const char *column = links_of(x->links, i)
					     ? NULL
					     : links_without_tenant(x->links, x->schema, i, &of);

		if (column)
			draft_put(
				x,
				"  # Not followed: %s of %s.  The key of %s has %s too, and the table has no "
				"such column.\n",
				draft_line(x, column), draft_shown(x, t), of->name,
				draft_line(x, keys_missing(t, draft_table(x, of))));
	}
}

static int count_marks(const char *text)
{
	int n = 0;

	while ((text = strstr(text, MODEL_MARK))) {
		text++;
		n++;
	}
	return n;
}

const char *draft_text(struct draft *x)
{
	int marks;

	x->out = t_strdup(x->ctx, "\nmodel: {\n");
	x->indexes = t_strdup(x->ctx, "");
	x->indent = "    ";
	decide_tables(x);
	x->shards = shards_propose(x);
	for (size_t i = 0; i < x->links->n; i++)
		if (!x->links->items[i].request) /* it stands in the request's group */
			draft_item(x, i);
	if (*x->indexes)
		draft_put(
			x,
			"\n  # Links without an index.  The daemon refuses a table of %d rows and more "
			"without one:\n%s",
			CATALOG_LARGE_ROWS, x->indexes);
	print_left_out(x);
	print_unlinked(x);
	print_not_followed(x);
	if (x->links->n >= LINKS_MAX)
		draft_put(x, "\n  # " MODEL_MARK
			     ": more tables can be reached than are listed here.\n");
	draft_put(x, "};\n");
	marks = count_marks(x->out);
	return t_printf(
		x->ctx,
		"# A model to start from, made from the catalog of database %s and from names.\n"
		"# Read every line.  " MODEL_MARK
		" (%s) marks a question that only a person can answer.\n"
		"# While one is left, the daemon erases nothing.  A marked column is under a rule that erases\n"
		"# it: move it to keep if it is not personal, and remove the mark.  retentiond.conf(5) explains\n"
		"# the settings; retentionctl model check lists the marks that are left.\n%s",
		draft_line(x, x->database),
		marks == 1 ? "once" : t_printf(x->ctx, "%d times", marks), x->out);
}

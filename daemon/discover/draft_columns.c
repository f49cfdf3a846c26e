/*
 * Prints what becomes of columns: a rule for each with its reason, and when a request is closed.
 */
#include "discover/dates.h"
#include "discover/draft_state.h"

#include "base/text.h"
#include "discover/names.h"
#include "discover/verdict.h"
#include "model/catalog.h"

#include <ctype.h>

/* How long a line of names is. */
#define WIDTH 100

static const char *opening(enum rule_kind rule)
{
	return rule == RULE_SET ? ": (" : " = [";
}

/* A column as an element of its rule. */
static char *element(const struct draft *x, const struct schema_column *c, const struct decision *d)
{
	return d->rule == RULE_SET ? t_printf(x->ctx, "{ column = %s; value = %s; }",
					      draft_quoted(x, c->name), draft_quoted(x, d->value))
				   : draft_quoted(x, c->name);
}

/* Needs nobody to know why the column is kept?  A key, a date or a number speaks for itself, a text does not. */
static bool is_plain(const struct draft *x, const struct schema_table *t,
		     const struct schema_column *c, const struct decision *d)
{
	const char *why;

	return d->rule == RULE_KEEP && !d->open && !c->comment &&
	       (c->category != 'S' || c->primary || c->foreign ||
		verdict_of(x->ctx, t, c, &why) != VERDICT_KEEP);
}

/* Prints an element of a list: in the line, or after the text of a new one where the line would get too long. */
static void print_element(struct draft *x, const char *item, bool first, const char *line,
			  size_t *width)
{
	*width += strlen(item) + 2;
	draft_put(x, "%s%s%s", first ? "" : ",", *width > WIDTH ? line : " ", item);
	if (*width > WIDTH)
		*width = strlen(item);
}

/*
 * Prints the columns whose reasons speak for themselves, as many in a line as it takes, behind the head of their list.
 * more: others follow.
 */
static void print_plain(struct draft *x, size_t table, const char *hidden, bool more)
{
	const struct schema_table *t = &x->schema->tables[table];
	const char *line = t_printf(x->ctx, "\n%s%s  ", x->indent, hidden);
	size_t width = WIDTH;
	bool first = true;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(x, table, &t->columns[i]);
		const char *item = element(x, &t->columns[i], &d);

		if (!is_plain(x, t, &t->columns[i], &d))
			continue;
		print_element(x, item, first, line, &width);
		first = false;
	}
	draft_put(x, "%s\n", more ? "," : "");
}

/* Prints a rule without reasons, as many columns in a line as it takes, between the two texts; false: it has no column. */
static bool print_compact(struct draft *x, size_t table, enum rule_kind rule, const char *before,
			  const char *after)
{
	const struct schema_table *t = &x->schema->tables[table];
	size_t width = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(x, table, &t->columns[i]);
		const char *item = element(x, &t->columns[i], &d);
		const bool first = width == 0;

		if (d.rule != rule)
			continue;
		if (first)
			draft_put(x, "%s%s%s", before, rule_names[rule], opening(rule));
		print_element(x, item, first, "\n      ", &width);
	}
	if (width > 0)
		draft_put(x, " %s;%s", rule == RULE_SET ? ")" : "]", after);
	return width > 0;
}

/* Prints why a column is under its rule, up to the end of the line. */
static void print_reason(struct draft *x, const struct schema_column *c, const struct decision *d)
{
	draft_put(x, " # %s%s",
		  !d->open         ? ""
		  : x->is_proposal ? "is this personal? "
				   : MODEL_MARK ": is this personal? ",
		  draft_line(x, d->why));
	if (c->comment)
		draft_put(x, " (%s)", draft_line(x, c->comment));
	draft_put(x, "\n");
}

/* Prints the columns with this rule, a line for each, with its reason; open ones last.  A single one is in the rule's line. */
static void print_rule(struct draft *x, size_t table, enum rule_kind rule)
{
	const struct schema_table *t = &x->schema->tables[table];
	const char *hidden = x->is_proposal ? "# " : "";
	const char *closing = rule == RULE_SET ? " );" : " ];";
	size_t left = 0, plain = 0;
	bool single;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(x, table, &t->columns[i]);

		left += d.rule == rule;
		plain += d.rule == rule && is_plain(x, t, &t->columns[i], &d);
	}
	if (left == 0)
		return;
	if (left == plain && !x->is_proposal) {
		(void)print_compact(x, table, rule, x->indent, "\n"); /* it has one */
		return;
	}
	draft_put(x, "%s%s%s%s", x->indent, hidden, rule_names[rule], opening(rule));
	single = left == 1 && plain == 0;
	left -= plain;
	if (plain > 0)
		print_plain(x, table, hidden, left > 0);
	else if (!single)
		draft_put(x, "\n");
	for (int open = 0; open < 2; open++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const struct schema_column *c = &t->columns[i];
			const struct decision d = decide_column(x, table, c);

			if (d.rule != rule || d.open != (open == 1) || is_plain(x, t, c, &d))
				continue;
			left--;
			if (single)
				draft_put(x, " %s%s ", element(x, c, &d), closing);
			else
				draft_put(x, "%s%s  %-26s", x->indent, hidden,
					  t_printf(x->ctx, "%s%s", element(x, c, &d),
						   left ? "," : ""));
			print_reason(x, c, &d);
		}
	if (!single)
		draft_put(x, "%s%s%s\n", x->indent, hidden, closing + 1);
}

static const enum rule_kind printed_rules[] = {RULE_SET, RULE_CLEAR, RULE_KEEP};

void draft_rules(struct draft *x, size_t table)
{
	for (size_t i = 0; i < LENGTH(printed_rules); i++)
		print_rule(x, table, printed_rules[i]);
}

void draft_rules_again(struct draft *x, size_t table, const char *first)
{
	const char *after = t_printf(x->ctx, "  # the same rules as %s: change both\n", first);

	for (size_t i = 0; i < LENGTH(printed_rules); i++)
		if (print_compact(x, table, printed_rules[i], "    ", after))
			after = "\n";
}

/* Does the rule need what only an anonymization has, or is there none that erases? */
static bool can_erase_detached(const struct draft *x, size_t table)
{
	const struct schema_table *t = &x->schema->tables[table];
	bool erases = false;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct decision d = decide_column(x, table, &t->columns[i]);

		if (d.rule == RULE_SET && strstr(d.value, "{number}"))
			return false;
		erases = erases || d.rule != RULE_KEEP;
	}
	return erases && t->key;
}

void draft_on_delete(struct draft *x, size_t table, bool whole)
{
	if (!can_erase_detached(x, table))
		return;
	draft_put(x, "    on_delete: {");
	for (size_t i = 0; i < LENGTH(printed_rules); i++)
		if (whole || printed_rules[i] != RULE_KEEP)
			(void)print_compact(x, table, printed_rules[i], " ", ""); /* or has none */
	draft_put(x, " };  # the row stays, and would still name the person\n");
}

/* Texts and bytes can be secrets; dates, numbers and flags of that name tell about one: password_changed_at. */
static bool is_secret(const struct schema_column *c)
{
	return (c->category == 'S' || c->category == 'U') && !catalog_is_date(c->base) &&
	       names_is_secret(c->name);
}

void draft_secrets(struct draft *x, size_t table)
{
	const struct schema_table *t = &x->schema->tables[table];
	size_t width = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const bool first = width == 0;

		if (!is_secret(&t->columns[i]))
			continue;
		if (first)
			draft_put(x, "    export_without = [");
		print_element(x, draft_quoted(x, t->columns[i].name), first, "\n      ", &width);
	}
	if (width > 0)
		draft_put(x, " ];  # secrets\n");
}

/* A state can be called like the mark, which would be a question more. */
static char *without_marks(char *text)
{
	for (char *mark = text; (mark = strstr(mark, MODEL_MARK)); mark++)
		*mark = (char)tolower((unsigned char)*mark);
	return text;
}

bool draft_erases(const struct draft *x, size_t table)
{
	const struct schema_table *t = &x->schema->tables[table];

	for (size_t i = 0; i < t->n_columns; i++)
		if (decide_column(x, table, &t->columns[i]).rule != RULE_KEEP)
			return true;
	return false;
}

void draft_request(struct draft *x)
{
	const struct schema_table *t = draft_table(x, &x->links->items[1]);
	const struct schema_column *date = schema_column(t, x->date);
	char *others = t_strdup(x->ctx, "");

	for (size_t i = 0; i < t->n_columns; i++)
		if (catalog_is_date(t->columns[i].base) && &t->columns[i] != date)
			t_append(&others, "%s%s", *others ? ", " : "",
				 draft_line(x, t->columns[i].name));
	draft_setting(x, "date", x->date);
	dates_print(x, date);
	draft_put(x, "    # The date that a policy's depth is counted from%s%s%s.\n",
		  date && !date->not_null ? "; a request without it keeps its contact" : "",
		  *others ? "; other dates are " : "", others);
	draft_put(x, "    # " MODEL_MARK
		     ": which requests are closed?  An open one keeps its contact.  "
		     "As it stands, none is closed.\n    due_when = \"false\";\n");
	if (x->closed.labels)
		draft_put(x, "    # %s.\n", without_marks(draft_line(x, x->closed.labels)));
	draft_put(
		x, "    # due_when = %s;\n",
		text_one_line(draft_quoted(x, x->closed.condition ? x->closed.condition : "true")));
}

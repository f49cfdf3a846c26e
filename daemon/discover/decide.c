#include "discover/dates.h"

#include "discover/verdict.h"
#include "discover/words.h"
#include "model/catalog.h"

const char *decide_created(const struct schema_table *contact)
{
	const char *created = dates_first(contact, made_dates);

	return created ? created : dates_created(contact);
}

const char *decide_date(const struct schema_table *request)
{
	const char *date = dates_first(request, used_dates);

	if (!date)
		date = dates_first(request, made_dates);
	if (!date)
		date = dates_used(request);
	for (size_t i = 0; !date && i < request->n_columns; i++)
		if (catalog_is_date(request->columns[i].base))
			date = request->columns[i].name;
	return date;
}

static bool is(const char *name, const char *column)
{
	return name && strcmp(name, column) == 0;
}

/* Why the model needs the column for a link or a date, so that it must be kept; NULL: it does not. */
static const char *fixed_because(const struct draft *draft, size_t table, const char *column)
{
	const struct schema_table *t = &draft->schema->tables[table];
	const struct link *items = draft->links->items;

	if (columns_have(t->key, column))
		return "the key";
	for (size_t i = 1; i < draft->links->n; i++) {
		const struct link *item = &items[i];

		if (item->table == table &&
		    (columns_have(item->by, column) || columns_have(item->request, column)))
			return t_printf(draft->ctx, "the link to %s", items[item->of].name);
		if (item->table == table && is(item->type, column))
			return "the table that the link refers to";
		if (items[item->of].table == table && columns_have(item->from, column))
			return t_printf(draft->ctx, "the link to %s", item->name);
	}
	if (table == items[1].table && is(draft->date, column))
		return "the date";
	if (table == items[0].table && is(decide_created(t), column))
		return "the day of creation";
	return NULL;
}

/* A value for a column that can be neither NULL nor empty; NULL: none is known. */
static const char *substitute(const struct schema_column *c)
{
	static const char *const values[][2] = {
		{"inet", "0.0.0.0"},
		{"cidr", "0.0.0.0/32"},
		{"macaddr", "00:00:00:00:00:00"},
		{"macaddr8", "00:00:00:00:00:00:00:00"},
		{"date", "1900-01-01"},
		{"timestamp", "1900-01-01"},
		{"timestamptz", "1900-01-01"},
		{"uuid", "00000000-0000-0000-0000-000000000000"},
		{"xml", "<gone/>"},
		{"point", "(0,0)"},
	};

	if (c->category == 'N')
		return c->collides ? "{number}" : "0";
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strcmp(c->base, values[i][0]) == 0)
			return values[i][1];
	return NULL;
}

/* Decides how to erase a column: NULL, the empty value, or a substitute. */
static void erase(const struct draft *draft, const struct schema_table *t,
		  const struct schema_column *c, struct decision *d)
{
	const struct column probe = {.base = c->base, .category = c->category};
	const bool empty = catalog_empty_value(&probe) != NULL;
	const char *needs = t->key ? NULL : "the daemon refuses this: the table has no key";

	d->rule = RULE_CLEAR;
	if (!c->not_null || (empty && !c->collides)) {
		if (c->not_null && c->checked)
			d->why = t_printf(draft->ctx, "%s; a CHECK may refuse the empty value",
					  d->why);
		return;
	}
	d->value = empty && c->category == 'S' ? t_printf(draft->ctx, "gone_{key}") : substitute(c);
	if (d->value && strchr(d->value, '{') && needs)
		d->value = NULL;
	else
		needs = "the daemon refuses this: it is NOT NULL, and no substitute is known";
	if (!d->value) {
		d->why = t_printf(draft->ctx, "%s; %s", d->why, needs);
		d->open = true;
		return;
	}
	d->rule = RULE_SET;
	d->why = t_printf(draft->ctx, "%s; NOT NULL%s%s", d->why, c->collides ? ", unique" : "",
			  c->collides && !strchr(d->value, '{') ? ": the daemon refuses a constant"
								: "");
	d->open = d->open || (c->collides && !strchr(d->value, '{'));
}

struct decision decide_column(const struct draft *draft, size_t table,
			      const struct schema_column *c)
{
	struct decision d = {.rule = RULE_KEEP};
	enum verdict verdict;

	d.why = fixed_because(draft, table, c->name);
	if (d.why)
		return d;
	if (c->generated || c->primary || c->foreign) {
		d.why = c->generated ? "the database generates it"
			: c->primary ? "part of the primary key"
				     : "a foreign key";
		return d;
	}
	verdict = verdict_of(draft->ctx, &draft->schema->tables[table], c, &d.why);
	if (verdict == VERDICT_KEEP)
		return d;
	d.open = verdict == VERDICT_ASK;
	erase(draft, &draft->schema->tables[table], c, &d);
	return d;
}

/* Does the column only describe a file or text beside it: its size, type or date? */
static bool only_describes(const struct schema_column *c)
{
	const char *n = c->name;

	return c->category == 'D' ||
	       (strchr("SN", c->category) &&
		(strstr(n, "type") || strstr(n, "size") || strstr(n, "checksum") ||
		 strstr(n, "charset") || strstr(n, "format")));
}

/* Is nothing useful left in a row once its personal data is erased? */
static bool is_all_personal(const struct draft *draft, size_t table)
{
	const struct schema_table *t = &draft->schema->tables[table];
	bool personal = false;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];
		const struct decision d = decide_column(draft, table, c);

		if (d.open)
			return false;
		if (d.rule != RULE_KEEP)
			personal = true;
		else if (!fixed_because(draft, table, c->name) && !c->primary && !c->foreign &&
			 !only_describes(c))
			return false;
	}
	return personal;
}

/*
 * A table whose rows are deleted needs that all tables below it are deleted too.  A row that its parent
 * references (in reverse) can only be deleted together with the parent.  A shared row stays, because only
 * a person knows whether it belongs to one.  Repeats until nothing changes.
 */
void decide_tables(struct draft *draft)
{
	const struct link *items = draft->links->items;
	bool changed = true;

	draft->is_erased = t_array(draft->ctx, bool, draft->schema->n_tables + 1);
	for (size_t i = 2; i < draft->links->n; i++)
		draft->is_erased[items[i].table] = is_all_personal(draft, items[i].table);
	for (size_t i = 0; i < draft->links->n; i++)
		if (i < 2 || items[i].shared || items[i].request)
			draft->is_erased[items[i].table] = false;
	while (changed) {
		changed = false;
		for (size_t i = 1; i < draft->links->n; i++) {
			bool *child = &draft->is_erased[items[i].table];
			bool *parent = &draft->is_erased[items[items[i].of].table];

			if (*parent && (!*child || items[i].keeps)) {
				*parent = false;
				changed = true;
			}
			if (items[i].how == LINKS_REVERSE && *child && !*parent) {
				*child = false;
				changed = true;
			}
		}
	}
}

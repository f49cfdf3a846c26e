#include "discover/dates.h"

#include "base/mem.h"
#include "base/text.h"
#include "discover/draft_state.h"
#include "discover/parts.h"
#include "discover/words.h"
#include "model/catalog.h"

#include <stdlib.h>

static const struct {
	const char *end;
	enum date_unit unit;
} endings[] = {{"milliseconds", DATE_UNIT_MS}, {"millis", DATE_UNIT_MS},
	       {"msec", DATE_UNIT_MS},         {"ms", DATE_UNIT_MS},
	       {"micros", DATE_UNIT_US},       {"usec", DATE_UNIT_US},
	       {"us", DATE_UNIT_US},           {"seconds", DATE_UNIT_S},
	       {"secs", DATE_UNIT_S},          {"sec", DATE_UNIT_S}};

#define LONGEST 64

/* The place in the list of the column's name, with or without a unit at its end; NULL: it is not there.  *ret_unit: that unit. */
static const char *find_name(const char *list, const char *column, enum date_unit *ret_unit)
{
	char name[LONGEST];
	const char *found;
	size_t n;

	*ret_unit = DATE_UNIT_NONE;
	parts_join(column, name, sizeof(name));
	found = parts_find(list, name);
	n = strlen(name);
	for (size_t i = 0; !found && i < LENGTH(endings); i++) {
		const size_t length = strlen(endings[i].end);

		if (n <= length || strcmp(name + n - length, endings[i].end) != 0)
			continue;
		name[n - length] = '\0';
		*ret_unit = endings[i].unit;
		return parts_find(list, name);
	}
	return found;
}

/* What a column of this type can only be, or most often is; none: no date. */
static enum date_unit unit_of_type(const char *base)
{
	static const char *const numbers[] = {"int8", "numeric", "float8", NULL};
	static const char *const texts[] = {"text", "varchar", NULL};

	return strcmp(base, "int4") == 0         ? DATE_UNIT_S
	       : catalog_is_among(base, numbers) ? DATE_UNIT_MS
	       : catalog_is_among(base, texts)   ? DATE_UNIT_ISO
						 : DATE_UNIT_NONE;
}

/* The unit in which the value is a date of the years 1990 to 2099; none: it is in none. */
static enum date_unit unit_of_value(const char *value)
{
	static const char iso[] = "dddd-dd-dd";
	const double number = strtod(value, NULL);
	double step = 1;
	size_t i = 0;

	while (iso[i] && (iso[i] == 'd' ? is_digit(value[i]) : value[i] == iso[i]))
		i++;
	if (!iso[i])
		return DATE_UNIT_ISO;
	for (enum date_unit u = DATE_UNIT_S; u <= DATE_UNIT_US; u++, step *= 1000)
		if (number >= 631152000 * step && number < 4102444800 * step)
			return u;
	return DATE_UNIT_NONE;
}

static const char values_sql[] =
	"SELECT v.value FROM pg_stats AS s, LATERAL unnest(\n"
	"         coalesce(s.histogram_bounds::text::text[], '{}')\n"
	"         || coalesce(s.most_common_vals::text::text[], '{}')) AS v(value)\n"
	" WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3";

/*
 * Settles the unit by the values that the planner knows.  Where half of them are no dates, the column is none: what is
 * called "closed" can be a flag.
 */
static bool sample(struct db *db, const struct schema_table *t, struct schema_column *c,
		   struct error *err)
{
	const bool is_text = c->date_unit == DATE_UNIT_ISO;
	const char *const values[] = {t->schema, t->name, c->name};
	int counts[DATE_UNIT_COUNT] = {0}, n;
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, values_sql, 3, values, &res, err))
		return false;
	n = PQntuples(res);
	for (int row = 0; row < n; row++)
		counts[unit_of_value(db_value(res, row, "value"))]++;
	for (enum date_unit u = DATE_UNIT_S; u < DATE_UNIT_COUNT; u++)
		if (counts[u] * 2 > n && (u == DATE_UNIT_ISO) == is_text) {
			c->date_unit = u;
			c->unit_is_sure = true;
			return true;
		}
	if (n > 0)
		c->date_unit = DATE_UNIT_NONE;
	return true;
}

static bool find(struct db *db, bool samples, const struct schema_table *t, struct schema_column *c,
		 bool is_wanted, struct error *err)
{
	const enum date_unit by_type = unit_of_type(c->base);
	enum date_unit by_name;

	if (c->foreign || c->primary || by_type == DATE_UNIT_NONE ||
	    (!find_name(used_dates, c->name, &by_name) &&
	     !find_name(made_dates, c->name, &by_name) && !is_wanted))
		return true;
	c->date_unit = by_type;
	c->unit_is_sure = by_type == DATE_UNIT_S;
	if (by_type == DATE_UNIT_MS && by_name != DATE_UNIT_NONE) {
		c->date_unit = by_name;
		c->unit_is_sure = true;
	}
	return !samples || sample(db, t, c, err);
}

bool dates_find(struct db *db, bool samples, const struct schema_table *t, const char *wanted,
		struct error *err)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (!find(db, samples, t, &t->columns[i],
			  wanted && strcmp(t->columns[i].name, wanted) == 0, err))
			return false;
	return true;
}

/* The column, of those that dates_find() has found or else of those with a type for dates, that stands first in the list. */
static const char *first(const struct schema_table *t, const char *list, bool found)
{
	const char *best = NULL, *column = NULL, *place;
	enum date_unit ignored;

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct schema_column *c = &t->columns[i];

		if (found ? !c->date_unit : !catalog_is_date(c->base))
			continue;
		place = find_name(list, c->name, &ignored);
		if (!place || (best && best <= place))
			continue;
		best = place;
		column = c->name;
	}
	return column;
}

const char *dates_first(const struct schema_table *t, const char *list)
{
	return first(t, list, false);
}

const char *dates_used(const struct schema_table *t)
{
	const char *name = first(t, used_dates, true);

	return name ? name : first(t, made_dates, true);
}

const char *dates_created(const struct schema_table *t)
{
	return first(t, made_dates, true);
}

void dates_print(struct draft *x, const struct schema_column *column)
{
	if (!column || !column->date_unit)
		return;
	draft_put(x, "    date_unit = \"%s\";%s\n", date_unit_names[column->date_unit],
		  column->unit_is_sure ? ""
		  : column->date_unit == DATE_UNIT_ISO
			  ? "  # " MODEL_MARK
			    ": are these texts as 2026-01-31 or 2026-01-31T10:20:30Z?"
			  : "  # " MODEL_MARK ": since 1970, in s, ms or us?");
	if (!column->unit_is_sure && !x->samples)
		draft_put(x, "    # --samples tells it, once the table has been analyzed.\n");
}

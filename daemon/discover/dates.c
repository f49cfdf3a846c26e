#include "discover/dates.h"

#include "base/mem.h"
#include "base/text.h"
#include "discover/draft_state.h"
#include "model/catalog.h"

#include <ctype.h>
#include <stdlib.h>

/* Names in small letters, without anything else, and without the unit at their end.  The best ones come first. */
static const char *const used_names[] = {
	"lastactivityat", "lastactivity", "lastactive", "lastpostat",   "closedat",
	"dateclosed",     "resolvedat",   "updatedat",  "updateat",     "updatedon",
	"updatetime",     "modifiedat",   "modifiedon", "datemodified", "modifiedtime",
	"lastmodified",   "dateupdated",  "mtime",      "writedate",    NULL};
static const char *const created_names[] = {
	"createdat",    "createat",      "createdate",   "createddate",
	"created",      "createdon",     "createdtime",  "createtime",
	"creationdate", "creationtime",  "datecreated",  "dateadded",
	"dateentered",  "registeredat",  "registerdate", "joinedat",
	"datecreation", "creele",        "erstelltam",   "fechacreacion",
	"timestamp",    "unixtimestamp", "ctime",        NULL};

static const struct {
	const char *end;
	enum date_unit unit;
} endings[] = {{"milliseconds", DATE_UNIT_MS}, {"millis", DATE_UNIT_MS},
	       {"msec", DATE_UNIT_MS},         {"ms", DATE_UNIT_MS},
	       {"micros", DATE_UNIT_US},       {"usec", DATE_UNIT_US},
	       {"us", DATE_UNIT_US},           {"seconds", DATE_UNIT_S},
	       {"secs", DATE_UNIT_S},          {"sec", DATE_UNIT_S}};

#define LONGEST 64

/* Is the name of this column among these?  *ret_unit: the unit that it says; none: it says none. */
static bool is_among(const char *name, const char *const *names, enum date_unit *ret_unit)
{
	char bare[LONGEST] = "";
	size_t n = 0;

	*ret_unit = DATE_UNIT_NONE;
	for (; *name && n + 1 < sizeof(bare); name++)
		if (isalpha((unsigned char)*name))
			bare[n++] = (char)tolower((unsigned char)*name);
	if (catalog_is_among(bare, names))
		return true;
	for (size_t i = 0; i < LENGTH(endings); i++) {
		const size_t length = strlen(endings[i].end);

		if (n <= length || strcmp(bare + n - length, endings[i].end) != 0)
			continue;
		bare[n - length] = '\0';
		*ret_unit = endings[i].unit;
		return catalog_is_among(bare, names);
	}
	return false;
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
	    (!is_among(c->name, used_names, &by_name) &&
	     !is_among(c->name, created_names, &by_name) && !is_wanted))
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

static const char *first(const struct schema_table *t, const char *const *names)
{
	enum date_unit ignored;

	for (; *names; names++)
		for (size_t i = 0; i < t->n_columns; i++)
			if (t->columns[i].date_unit &&
			    is_among(t->columns[i].name, (const char *const[]){*names, NULL},
				     &ignored))
				return t->columns[i].name;
	return NULL;
}

const char *dates_used(const struct schema_table *t)
{
	const char *name = first(t, used_names);

	return name ? name : first(t, created_names);
}

const char *dates_created(const struct schema_table *t)
{
	return first(t, created_names);
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

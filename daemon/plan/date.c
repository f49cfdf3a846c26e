/*
 * The dates by which a contact or a request is due.  A timestamp or a date is compared as it is.  A column with a
 * date_unit holds a number or a text:
 *
 *   s, ms, us   The cutoff becomes a number of the column's type.  So the column itself is compared, and an index on
 *               it serves.
 *   iso         Texts of different forms (T, a blank, Z, an offset, the date alone) do not stand in the order of the
 *               moments that they mean.  So the text itself is only compared with a day that lies behind the cutoff by
 *               more than any offset, by its bytes, which an index COLLATE "C" serves.  What is left is compared by
 *               the moment, which the server reads in the session's time zone where the text names none.
 *
 * What is outside of the years 1971 to 9999 is no date: 0, a negative number, a number in another unit, "n/a".  Seconds
 * that are read as milliseconds are all in January 1970, and milliseconds as seconds are behind the year 50000.  So a
 * wrong unit makes nobody due.  What is no date keeps its contact.
 */
#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

#include <assert.h>
#include <string.h>

/* Seconds since 1970-01-01 of 1971-01-01 and of 10000-01-01. */
#define FIRST INT64_C(31536000)
#define BEHIND INT64_C(253402300800)

/* The years 1971 to 9999, with leap years. */
#define YEAR "(197[1-9]|19[89][0-9]|[2-9][0-9]{3})"
#define LEAP_YEAR                                                                                  \
	"(19(72|76|8[048]|9[26])|[2-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[3579][26])00)"
#define ISO_DAY                                                                                    \
	"(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"   \
	"|02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP_YEAR "-02-29)"
#define ISO_TIME "[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
#define ISO_ZONE " ?(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
#define ISO "'^" ISO_DAY "(" ISO_TIME "(" ISO_ZONE ")?)?$'"

/*
 * Stands for infinity, the bound of an action on one contact, which cannot be counted.  Two days later the year has four
 * digits still: the text of a fifth would come before all others.
 */
#define LATEST "timestamptz '9999-12-28 00:00:00+00'"

static int64_t per_second(enum date_unit unit)
{
	static const int64_t units[DATE_UNIT_COUNT] = {
		[DATE_UNIT_S] = 1, [DATE_UNIT_MS] = 1000, [DATE_UNIT_US] = 1000000};

	return units[unit];
}

static const struct column *date_column(const struct plan *p, const struct table *t)
{
	const struct column *column = catalog_column(plan_relation(p, t), model_date(t));

	assert(column); /* preflight has found each date that the model names */
	return column;
}

/*
 * An instant as a number of t's type and unit: of whole numbers the first that is not before it, and of others exact.
 * From a double (PostgreSQL 13) microseconds are rounded right until the year 2255, whole seconds always.
 */
static char *number_of(const struct plan *p, const struct table *t, const char *instant)
{
	const char *base = date_column(p, t)->base;
	static const char *const factors[DATE_UNIT_COUNT] = {
		[DATE_UNIT_S] = "0.000001", [DATE_UNIT_MS] = "0.001", [DATE_UNIT_US] = "1"};
	const int64_t steps = 1000000 / per_second(t->date_unit);
	const char *us = t_printf(
		p, "round(extract(epoch FROM least(%s, " LATEST ")) * 1000000)::bigint", instant);

	if (strcmp(base, "numeric") == 0 || strcmp(base, "float8") == 0)
		return t_printf(p, "(%s * %s)::%s", us, factors[t->date_unit], base);
	return t_printf(p, "((%s + %lld) / %lld)", us, (long long)steps - 1, (long long)steps);
}

const char *plan_date_known(const struct plan *p, const struct table *t, const char *value)
{
	const int64_t n = per_second(t->date_unit);

	if (t->date_unit == DATE_UNIT_NONE)
		return t_printf(p, "%s IS NOT NULL", value);
	if (t->date_unit == DATE_UNIT_ISO)
		return t_printf(p, "%s COLLATE \"C\" ~ " ISO, value);
	return t_printf(p, "(%s >= %lld AND %s < %lld)", value, (long long)(FIRST * n), value,
			(long long)(BEHIND * n));
}

const char *plan_date_odd(const struct plan *p, const struct table *t, const char *value)
{
	if (t->date_unit == DATE_UNIT_NONE)
		return "false";
	return t_printf(p, "(%s <> %s AND (%s) IS NOT TRUE)", value,
			t->date_unit == DATE_UNIT_ISO ? "''" : "0", plan_date_known(p, t, value));
}

const char *plan_date_instant(const struct plan *p, const struct table *t, const char *value)
{
	if (t->date_unit == DATE_UNIT_NONE)
		return t_printf(p, "%s::timestamptz", value);
	if (t->date_unit == DATE_UNIT_ISO)
		return t_printf(p, "CASE WHEN %s THEN %s::timestamptz END",
				plan_date_known(p, t, value), value);
	return t_printf(p,
			"CASE WHEN %s THEN timestamptz 'epoch' + interval '%lld microseconds' * %s "
			"END",
			plan_date_known(p, t, value),
			(long long)(1000000 / per_second(t->date_unit)), value);
}

const char *plan_date_last(const struct plan *p, const struct table *t, const char *value)
{
	if (t->date_unit == DATE_UNIT_NONE)
		return t_printf(p, "max(%s)", value);
	if (t->date_unit == DATE_UNIT_ISO)
		return t_printf(p, "max(%s)", plan_date_instant(p, t, value));
	return t_printf(p, "max(%s) FILTER (WHERE %s)", value, plan_date_known(p, t, value));
}

/* The bounds $1 (or NULL) and $2 of the value.  Each is in the form that the value has. */
static char *bounds(const struct plan *p, const char *value, const char *from, const char *cutoff)
{
	return t_printf(p, "%s < %s AND ($1::timestamptz IS NULL OR %s >= %s)", value, cutoff,
			value, from);
}

static char *between_instants(const struct plan *p, const char *value)
{
	return bounds(p, value, "$1::timestamptz", "$2::timestamptz");
}

static char *between_numbers(const struct plan *p, const struct table *t, const char *value)
{
	return bounds(p, value, number_of(p, t, "$1::timestamptz"),
		      number_of(p, t, "$2::timestamptz"));
}

/* A day in UTC that lies so many days beside the instant: more than any offset. */
static char *day_beside(const struct plan *p, const char *instant, const char *days)
{
	return t_printf(p,
			"to_char(least(%s, " LATEST
			") AT TIME ZONE 'UTC' %s interval '2 days', 'YYYY-MM-DD')",
			instant, days);
}

static char *between_texts(const struct plan *p, const struct table *t, const char *value)
{
	const char *text =
		date_column(p, t)->bytewise ? value : t_printf(p, "%s COLLATE \"C\"", value);

	return t_printf(p, "%s AND %s",
			bounds(p, text, day_beside(p, "$1::timestamptz", "-"),
			       day_beside(p, "$2::timestamptz", "+")),
			between_instants(p, plan_date_instant(p, t, value)));
}

const char *plan_date_between(const struct plan *p, const struct table *t, const char *value)
{
	const char *base = date_column(p, t)->base;

	if (t->date_unit == DATE_UNIT_NONE)
		return bounds(p, value, t_printf(p, "$1::timestamptz::%s", base),
			      t_printf(p, "$2::timestamptz::%s", base));
	return t_printf(p, "%s AND %s", plan_date_known(p, t, value),
			t->date_unit == DATE_UNIT_ISO ? between_texts(p, t, value)
						      : between_numbers(p, t, value));
}

const char *plan_date_last_between(const struct plan *p, const struct table *t, const char *last)
{
	return t->date_unit == DATE_UNIT_ISO    ? between_instants(p, last)
	       : t->date_unit == DATE_UNIT_NONE ? plan_date_between(p, t, last)
						: between_numbers(p, t, last);
}

const char *plan_date_last_instant(const struct plan *p, const struct table *t, const char *last)
{
	return t->date_unit == DATE_UNIT_ISO ? last : plan_date_instant(p, t, last);
}

const char *plan_date_order(const struct plan *p, const struct table *t, const char *value)
{
	return t->date_unit == DATE_UNIT_ISO ? plan_date_instant(p, t, value) : value;
}

/* How many of the first rows have a date, something else, and how many would have one in each unit. */
static const char sample_sql[] =
	"SELECT count(*) FILTER (WHERE {known}) AS dates, count(*) FILTER (WHERE {odd}) AS odd{units}\n"
	"  FROM (SELECT {column} AS value FROM {table} AS t LIMIT 1000) AS x";

char *plan_date_sample_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			   const struct table *t)
{
	const struct plan *p = plan_new(ctx, model, catalog, &(struct plan_opts){0});
	char *units = t_strdup(ctx, "");

	for (enum date_unit u = DATE_UNIT_S; u <= DATE_UNIT_US; u++) {
		struct table other = *t;

		other.date_unit = u;
		t_append(&units, ", %s AS %s",
			 t->date_unit == DATE_UNIT_ISO
				 ? "0"
				 : t_printf(ctx, "count(*) FILTER (WHERE %s)",
					    plan_date_known(p, &other, "x.value")),
			 date_unit_names[u]);
	}
	return sql_fill(ctx, sample_sql, {"known", plan_date_known(p, t, "x.value")},
			{"odd", plan_date_odd(p, t, "x.value")}, {"units", units},
			{"column", plan_column(ctx, "t", model_date(t))},
			{"table", plan_table(ctx, t)});
}

char *plan_date_any_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t)
{
	const struct plan *p = plan_new(ctx, model, catalog, &(struct plan_opts){0});

	return t_printf(ctx, "SELECT EXISTS (SELECT FROM %s AS t WHERE %s) AS dates",
			plan_table(ctx, t),
			plan_date_known(p, t, plan_column(ctx, "t", model_date(t))));
}

static const char odd_sql[] =
	"SELECT count(*) FILTER (WHERE {odd}) AS n,\n"
	"       (SELECT string_agg(x.key, ' ') FROM (\n"
	"         SELECT {key} AS key FROM {table} AS t WHERE {odd} LIMIT 10) AS x) AS keys,\n"
	"       to_char(max({instant}), 'YYYY-MM-DD') AS newest,\n"
	"       max({instant}) NOT BETWEEN now() - interval '10 years' AND now() + interval '10 years' AS far\n"
	"  FROM {table} AS t";

char *plan_date_odd_sql(void *ctx, const struct model *model, const struct catalog *catalog,
			const struct table *t)
{
	const struct plan *p = plan_new(ctx, model, catalog, &(struct plan_opts){0});
	const char *value = plan_column(ctx, "t", model_date(t));

	return sql_fill(ctx, odd_sql, {"odd", plan_date_odd(p, t, value)},
			{"key", plan_key_text(ctx, "t", t->key)},
			{"table", plan_filtered(ctx, t, t->where, NULL)},
			{"instant", plan_date_instant(p, t, value)});
}

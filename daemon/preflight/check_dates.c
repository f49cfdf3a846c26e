/*
 * Does the column of a date hold what its date_unit says?  First by its type, then by its values: the plan takes
 * numbers in a wrong unit for no dates (plan/date.c), so that nobody would ever be due.
 */
#include "preflight/check_model.h"
#include "preflight/check_plan.h"

#include "base/mem.h"

/* The words of the configuration for the column of t with its date. */
static const char *setting(const struct table *t)
{
	return t->date ? "date" : "created";
}

static bool fits(enum date_unit unit, const char *base)
{
	static const char *const seconds[] = {"int4", "int8", "numeric", "float8", NULL};
	static const char *const texts[] = {"text", "varchar", NULL};

	if (unit == DATE_UNIT_NONE)
		return catalog_is_date(base);
	if (unit == DATE_UNIT_ISO)
		return catalog_is_among(base, texts);
	return catalog_is_among(base, unit == DATE_UNIT_S ? seconds : seconds + 1);
}

/* What to write for a column of this type; "": nothing makes a date of it. */
static const char *cure(const char *base)
{
	if (fits(DATE_UNIT_NONE, base))
		return ": it needs no date_unit";
	if (fits(DATE_UNIT_ISO, base))
		return ": date_unit = \"iso\" reads texts such as 2026-01-31 or 2026-01-31T10:20:30Z";
	if (fits(DATE_UNIT_MS, base))
		return ": if it counts from 1970-01-01 on, say date_unit = \"s\" (seconds), \"ms\" or \"us\"";
	if (fits(DATE_UNIT_S, base))
		return ": if it counts seconds from 1970-01-01 on, say date_unit = \"s\"";
	return ": it must be a timestamp or a date, or with date_unit a bigint, integer, numeric, double "
	       "precision, text or varchar";
}

static void check_date(const struct table *t, const struct catalog *catalog, struct complaints *c)
{
	const struct column *column =
		model_date(t) ? catalog_column(&catalog->relations[t->index], model_date(t)) : NULL;

	if (!column || fits(t->date_unit, column->base))
		return;
	if (t->date_unit)
		complain(c, &t->place,
			 "table \"%s\": date_unit = \"%s\" does not fit %s \"%s\", which is %s%s",
			 t->name, date_unit_names[t->date_unit], setting(t), column->name,
			 column->type, cure(column->base));
	else
		complain(c, &t->place, "table \"%s\": %s \"%s\" is %s%s", t->name, setting(t),
			 column->name, column->type, cure(column->base));
}

void check_dates(const struct model *model, const struct catalog *catalog, struct complaints *c)
{
	check_date(model->request, catalog, c);
	check_date(model->contact, catalog, c);
}

/* The unit in which most values of the sample are dates; "": there is none. */
static const char *better_unit(void *ctx, const PGresult *sample)
{
	enum date_unit best = DATE_UNIT_NONE;

	for (enum date_unit u = DATE_UNIT_S; u <= DATE_UNIT_US; u++)
		if (db_int(sample, 0, date_unit_names[u]) >
		    (best ? db_int(sample, 0, date_unit_names[best]) : 0))
			best = u;
	return best ? t_printf(ctx, ": date_unit = \"%s\" makes dates of them",
			       date_unit_names[best])
		    : "";
}

/* Warns of rows among the first ones that have no date. */
static void tell(const struct check *check, const struct table *t, const PGresult *sample)
{
	if (check->report && db_int(sample, 0, "odd") > 0)
		report_warning(
			check->report,
			"table \"%s\": of the first rows %s have no date in \"%s\", read as "
			"\"%s\", and their contacts stay: retentionctl model check names them",
			t->name, db_text(sample, 0, "odd"), model_date(t),
			date_unit_names[t->date_unit]);
}

static bool check_values(const struct check *check, const struct table *t, struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *sample = NULL;
	AUTO(result) PGresult *any = NULL;
	const struct model *model = &check->config->model;

	if (!t->date_unit)
		return true;
	if (!db_query_apart(check->db, plan_date_sample_sql(ctx, model, check->catalog, t), 0, NULL,
			    &sample, err))
		return false;
	if (db_int(sample, 0, "dates") > 0) {
		tell(check, t, sample);
		return true;
	}
	if (db_int(sample, 0, "odd") == 0)
		return true;
	if (!db_query_apart(check->db, plan_date_any_sql(ctx, model, check->catalog, t), 0, NULL,
			    &any, err))
		return false;
	if (!db_bool(any, 0, "dates"))
		complain(check->complaints, &t->place,
			 "table \"%s\": %s \"%s\": with date_unit = \"%s\" no value is a date "
			 "between 1971 and 9999, so that nobody would be due%s",
			 t->name, setting(t), model_date(t), date_unit_names[t->date_unit],
			 better_unit(ctx, sample));
	return true;
}

bool check_date_values(struct check *check, struct error *err)
{
	const struct model *model = &check->config->model;
	const size_t before = check->complaints->n;

	return check_values(check, model->request, err) &&
	       check_values(check, model->contact, err) && check->complaints->n == before;
}

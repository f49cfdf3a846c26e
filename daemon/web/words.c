#include "web/words.h"

#include "base/text.h"
#include "base/units.h"

#define NARROW "\u202f" /* groups digits in French */
#define BOUND "\u00a0" /* between a number and its unit */

static bool is_french(const struct language *l)
{
	return strcmp(language_name(l), "fr") == 0;
}

/* --- Fixed words ------------------------------------------------------------------------------ */

/* A word of the database, and what the page says; "": only the style. */
struct word {
	const char *word, *english;
};

static const struct word actions[] = {
	{"export", _("export")},
	{"delete_contacts", _("deletion of contacts")},
	{"anonymize_contacts", _("anonymization of contacts")},
	{"anonymize_requests", _("anonymization of requests")},
	{NULL, NULL},
};

static const struct word statuses[] = {
	{"saved", _("saved")},
	{"validated", _("validated")},
	{"running", _("running")},
	{"done", _("done")},
	{"failed", _("failed")},
	{"cancelled", _("cancelled")},
	{"paused", _("paused")},
	{"resumed", _("resumed")},
	{"pending", _("pending")},
	{"reached", _("reached")},
	{"unknown", _("unknown")},
	{"not declared", _("not declared")},
	{"active", _("active")},
	{"expired", _("expired")},
	{"released", _("released")},
	{"put back", _("put back")},
	{"asked", _("asked")},
	{"taken", _("begun")},
	{"automatic", _("automatic")},
	{"manual", _("manual")},
	{NULL, NULL},
};

static const struct word tags[] = {
	{"saved", "warn"},   {"validated", "run"}, {"running", "run"},  {"done", "ok"},
	{"failed", "bad"},   {"paused", "warn"},   {"pending", "warn"}, {"reached", "ok"},
	{"unknown", "warn"}, {"asked", "run"},     {"taken", "run"},    {"put back", "bad"},
	{NULL, NULL},
};

static const struct word archives[] = {
	{"none", _("no archive")},
	{"listed", _("CSV archive")},
	{"full", _("full archive")},
	{NULL, NULL},
};

static const struct word waits[] = {
	{"none", _("Works.")},
	{"window", _("Waits for the permitted hours. That is normal, nothing to do.")},
	{"paused", _("Is paused, until somebody resumes it.")},
	{"standby", _("Waits for a standby to catch up. The database's administrator can see it.")},
	{"slot",
	 _("Waits for a replication slot to catch up. The database's administrator can see it.")},
	{"archiver",
	 _("Waits for the archiving of WAL to catch up. The database's administrator can see it.")},
	{"snapshot",
	 _("Waits for a long transaction to end. The database's administrator can see it.")},
	{"rows_per_second",
	 _("Works with rests, at the configured speed. That is normal, nothing to do.")},
	{"courtesy",
	 _("Works with rests: others are using the database. That is normal, nothing to do.")},
	{"locks", _("Waits for a row that somebody is changing.")},
	{"other", _("Waits for an error to pass. The daemon's log names it.")},
	{NULL, NULL},
};

static const struct word events[] = {
	{"saved", _("saved")},
	{"listed", _("list frozen")},
	{"validated", _("validated")},
	{"running", _("has begun")},
	{"done", _("done")},
	{"failed", _("failed")},
	{"cancelled", _("cancelled")},
	{"noted", _("noted")},
	{"changed", _("ends early")},
	{"paused", _("paused")},
	{"resumed", _("resumed")},
	{"configured", _("setting changed")},
	{"configuration", _("configuration changed")},
	{"failed_key", _("key failed")},
	{"left", _("keys left for later")},
	{"kept", _("kept: not erased again")},
	{"copied", _("copies outside the model")},
	{"undated", _("dates that cannot be read")},
	{"unpaired", _("requests that the join table lacks")},
	{"held", _("kept off the list by holds")},
	{"dropped", _("keys left the list")},
	{"sliced", _("erased in slices")},
	{"settled", _("settled")},
	{"refreshed", _("views refreshed")},
	{"files_removed", _("files removed")},
	{"archive_deleted", _("archive deleted")},
	{"archive_removed", _("files of the archive removed")},
	{"archive_download", _("archive downloaded")},
	{"unknown_archive_deleted", _("unknown archive deleted")},
	{"unknown_archive_removed", _("files of an unknown archive removed")},
	{"restored", _("contacts put back")},
	{"hold_placed", _("hold placed")},
	{"hold_noted", _("hold noted")},
	{"hold_expired", _("hold expired")},
	{"hold_released", _("hold released")},
	{"subject_exported", _("data of a contact exported")},
	{"verified", _("journal verified")},
	{"residue", _("search for residue")},
	{"vacuumed", _("pages cleaned")},
	{"analyzed", _("statistics renewed")},
	{"asked", _("asked of the daemon")},
	{"answered", _("answered by the daemon")},
	{"crashed", _("process has died")},
	{"model_refused", _("model refused")},
	{"ledger_ahead", _("restored backup found")},
	{"ledger_noted", _("ledger noted")},
	{"adopted", _("database adopted")},
	{"rebound", _("database bound again")},
	{"replay_waived", _("replay waived")},
	{"policy_saved", _("rule saved")},
	{"policy_validated", _("rule validated")},
	{"policy_retired", _("rule retired")},
	{"forgotten_policy", _("rule forgotten by a restored database")},
	{NULL, NULL},
};

static char *translate(void *ctx, const struct language *l, const struct word *list,
		       const char *text)
{
	for (; list->word; list++)
		if (strcmp(list->word, text) == 0)
			return t_strdup(ctx, language_text(l, list->english));
	return t_strdup(ctx, text);
}

static char *filter_action(void *ctx, const struct language *l, const char *text)
{
	return translate(ctx, l, actions, text);
}

static char *filter_status(void *ctx, const struct language *l, const char *text)
{
	return translate(ctx, l, statuses, text);
}

static char *filter_tag(void *ctx, const struct language *l, const char *text)
{
	(void)l;
	for (const struct word *w = tags; w->word; w++)
		if (strcmp(w->word, text) == 0)
			return t_strdup(ctx, w->english);
	return t_strdup(ctx, "");
}

static char *filter_archive(void *ctx, const struct language *l, const char *text)
{
	return translate(ctx, l, archives, text);
}

static char *filter_waiting(void *ctx, const struct language *l, const char *text)
{
	return translate(ctx, l, waits, text);
}

static char *filter_event(void *ctx, const struct language *l, const char *text)
{
	return translate(ctx, l, events, text);
}

/* The daemon's answers to requests (job/mode_answer.c, job/mode_measure.c).  Others are its messages, in English. */
static const char *const answers[] = {
	_("the archive is intact"),
	_("the archive is not intact"),
	_("the archive was deleted meanwhile"),
	_("the document is written"),
	_("there is no such contact"),
	_("archives.recipients is not set in retentiond.conf: the document would not be encrypted"),
	_("it was measured again"),
	_("the daemon has died of it five times"),
	_("it is not what was archived"),
};

static char *filter_answer(void *ctx, const struct language *l, const char *text)
{
	for (size_t i = 0; i < LENGTH(answers); i++)
		if (strcmp(answers[i], text) == 0)
			return t_strdup(ctx, language_text(l, answers[i]));
	return t_strdup(ctx, text);
}

/* --- Numbers ---------------------------------------------------------------------------------- */

static char *filter_number(void *ctx, const struct language *l, const char *text)
{
	const char *const digits = text + (*text == '-');
	const size_t whole = strspn(digits, DIGITS);
	const char *const rest = digits + whole;
	char *out = t_strdup(ctx, *text == '-' ? "-" : "");

	if (whole == 0 || (*rest && (*rest != '.' || rest[1 + strspn(rest + 1, DIGITS)])))
		return t_strdup(ctx, text);
	for (size_t i = 0; i < whole; i++)
		t_append(&out, "%s%c",
			 i == 0 || (whole - i) % 3 != 0 ? ""
			 : is_french(l)                 ? NARROW
							: ",",
			 digits[i]);
	if (*rest)
		t_append(&out, "%c%s", is_french(l) ? ',' : '.', rest + 1);
	return out;
}

static char *filter_bytes(void *ctx, const struct language *l, const char *text)
{
	static const char *const units[2][5] = {{"o", "ko", "Mo", "Go", "To"},
						{"bytes", "kB", "MB", "GB", "TB"}};
	const char *const *names = units[is_french(l) ? 0 : 1];
	int64_t n;
	double size;
	int unit = 0;

	if (!number_parse(text, 0, INT64_MAX, &n))
		return t_strdup(ctx, text);
	size = (double)n;
	/* Rounding must not give "1024 kB". */
	while (unit < 4 && size >= 1023.5) {
		size /= 1024;
		unit++;
	}
	text = t_printf(ctx, "%.*f", unit > 0 && size < 9.95 ? 1 : 0, size);
	if (strlen(text) > 2 && strcmp(text + strlen(text) - 2, ".0") == 0)
		text = t_printf(ctx, "%.1s", text);
	return t_printf(ctx, "%s" BOUND "%s", filter_number(ctx, l, text), names[unit]);
}

/* --- Days and times --------------------------------------------------------------------------- */

/* The text begins with a day as PostgreSQL prints it. */
static bool day_parse(void *ctx, const char *text, int ret[3])
{
	static const size_t at[] = {0, 5, 8}, length[] = {4, 2, 2};

	if (strlen(text) < 10 || !date_is_valid(t_printf(ctx, "%.10s", text)))
		return false;
	for (int i = 0; i < 3; i++) {
		ret[i] = 0;
		for (size_t c = 0; c < length[i]; c++)
			ret[i] = ret[i] * 10 + text[at[i] + c] - '0';
	}
	return true;
}

/* The day with its first parts: 1 the day, 2 with the month, 3 with the year, too. */
static char *day_print(void *ctx, const struct language *l, const int day[3], int parts)
{
	static const char *const months[2][12] = {
		{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.",
		 "nov.", "déc."},
		{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
		 "Dec"},
	};
	const bool french = is_french(l);
	char *text = t_printf(ctx, "%d%s", day[2], french && day[2] == 1 ? "er" : "");

	if (parts > 1)
		text = t_printf(ctx, "%s %s", text, months[french ? 0 : 1][day[1] - 1]);
	return parts > 2 ? t_printf(ctx, "%s %d", text, day[0]) : text;
}

static char *filter_day(void *ctx, const struct language *l, const char *text)
{
	int day[3];

	if (!day_parse(ctx, text, day) || (text[10] && !strchr(" T", text[10])))
		return t_strdup(ctx, text);
	return day_print(ctx, l, day, 3);
}

/* FROM/TO: the first day, without what the last one has in common with it, because that follows. */
static char *filter_start(void *ctx, const struct language *l, const char *text)
{
	int from[3], to[3];

	if (!day_parse(ctx, text, from) || text[10] != '/' || !day_parse(ctx, text + 11, to))
		return t_strdup(ctx, text);
	if (from[0] != to[0])
		return day_print(ctx, l, from, 3);
	return day_print(ctx, l, from, from[1] != to[1] || from[2] == to[2] ? 2 : 1);
}

static char *filter_time(void *ctx, const struct language *l, const char *text)
{
	int day[3];

	if (!day_parse(ctx, text, day) || strlen(text) < 16 || !strchr(" T", text[10]) ||
	    strspn(text + 11, DIGITS) != 2 || text[13] != ':' || strspn(text + 14, DIGITS) != 2)
		return t_strdup(ctx, text);
	return t_printf(ctx, "%s, %.5s", filter_day(ctx, l, t_printf(ctx, "%.10s", text)),
			text + 11);
}

/* --- Spans ------------------------------------------------------------------------------------ */

/* A number of seconds, which may have a fraction; a negative one gives 0. */
static bool seconds_parse(void *ctx, const char *text, int64_t *ret)
{
	const size_t sign = *text == '-', whole = strspn(text + sign, DIGITS);
	const char *const rest = text + sign + whole;

	if ((*rest && *rest != '.') || (*rest && rest[1 + strspn(rest + 1, DIGITS)]) ||
	    !number_parse(t_printf(ctx, "%.*s", (int)whole, text + sign), 0, INT64_MAX, ret))
		return false;
	if (sign)
		*ret = 0;
	return true;
}

/* The sentence, which has the number as "$1". */
static char *fill(void *ctx, const char *sentence, int64_t n)
{
	return text_fill(ctx, sentence, t_printf(ctx, "%lld", (long long)n), NULL, NULL);
}

static char *filter_ago(void *ctx, const struct language *l, const char *text)
{
	int64_t s;

	if (!seconds_parse(ctx, text, &s))
		return t_strdup(ctx, text);
	if (s < 1)
		return t_strdup(ctx, language_text(l, _("just now")));
	if (s < 60)
		return fill(ctx, language_text(l, _("$1 s ago")), s);
	if (s < 3600)
		return fill(ctx, language_text(l, _("$1 min ago")), s / 60);
	if (s < (int64_t)48 * 3600)
		return fill(ctx, language_text(l, _("$1 h ago")), s / 3600);
	return fill(ctx, language_text(l, _("$1 days ago")), s / 86400);
}

static char *filter_span(void *ctx, const struct language *l, const char *text)
{
	int64_t s, n;

	if (!seconds_parse(ctx, text, &s))
		return t_strdup(ctx, text);
	if (s < 60)
		return t_strdup(ctx, language_text(l, _("less than a minute")));
	n = (s + 30) / 60;
	if (n < 60)
		return fill(ctx, language_plural(l, "about $1 minute", "about $1 minutes", n), n);
	n = (s + 1800) / 3600;
	if (n < 48)
		return fill(ctx, language_plural(l, "about $1 hour", "about $1 hours", n), n);
	n = (s + 43200) / 86400;
	return fill(ctx, language_plural(l, "about $1 day", "about $1 days", n), n);
}

/* Sums an interval as PostgreSQL or the configuration writes it; a part of a day is refused. */
static bool depth_parse(const char *text, int64_t *ret_months, int64_t *ret_days)
{
	static const struct {
		const char *unit;
		int months, days;
	} units[] = {
		{"year", 12, 0}, {"mon", 1, 0}, {"month", 1, 0}, {"week", 0, 7}, {"day", 0, 1}};
	char *end;

	*ret_months = *ret_days = 0;
	do {
		const long n = is_digit(*text) ? strtol(text, &end, 10) : -1;
		size_t i = 0, length;

		if (n < 0 || n > 100000 || *end++ != ' ')
			return false;
		length = strspn(end, LETTERS);
		text = end + length;
		length -= length > 1 && end[length - 1] == 's';
		while (i < LENGTH(units) && (strlen(units[i].unit) != length ||
					     strncmp(units[i].unit, end, length) != 0))
			i++;
		if (i == LENGTH(units))
			return false;
		*ret_months += n * units[i].months;
		*ret_days += n * units[i].days;
	} while (*text++ == ' ');
	return text[-1] == '\0';
}

static char *filter_depth(void *ctx, const struct language *l, const char *text)
{
	int64_t months, days;
	char *in_months, *in_days;

	if (!depth_parse(text, &months, &days))
		return t_strdup(ctx, text);
	in_months = fill(ctx, language_plural(l, "$1 month", "$1 months", months), months);
	in_days = fill(ctx, language_plural(l, "$1 day", "$1 days", days), days);
	return months == 0 ? in_days
	       : days == 0 ? in_months
			   : t_printf(ctx, "%s, %s", in_months, in_days);
}

/* --- The table -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	char *(*run)(void *ctx, const struct language *l, const char *text);
} filters[] = {
	{"number", filter_number},   {"bytes", filter_bytes}, {"day", filter_day},
	{"start", filter_start},     {"time", filter_time},   {"ago", filter_ago},
	{"span", filter_span},       {"depth", filter_depth}, {"action", filter_action},
	{"status", filter_status},   {"tag", filter_tag},     {"archive", filter_archive},
	{"waiting", filter_waiting}, {"event", filter_event}, {"answer", filter_answer},
};

char *words_filter(void *ctx, const struct language *language, const char *filter, const char *text)
{
	for (size_t i = 0; i < LENGTH(filters); i++)
		if (strcmp(filters[i].name, filter) == 0)
			return filters[i].run(ctx, language, text);
	return NULL;
}

bool words_knows(const char *filter)
{
	for (size_t i = 0; i < LENGTH(filters); i++)
		if (strcmp(filters[i].name, filter) == 0)
			return true;
	return false;
}

/*
 * Nothing here trusts the database.  Somebody who can write into its tables may put any text there, and a daemon with
 * an older configuration finds what the newest one has allowed.  So each field is parsed as strictly as one of the file,
 * and a policy of the page has no scope, because SQL comes from the file only.
 */
#include "config/page.h"

#include "base/mem.h"
#include "base/text.h"

int page_months(const struct period *period)
{
	const int months = period->unit == PERIOD_MONTHS  ? period->count
			   : period->unit == PERIOD_YEARS ? period->count * 12
							  : 0;

	return months <= PAGE_MONTHS_MAX ? months : 0;
}

/* A JSON array of names, of which none needs an escape. */
static char *json_names(void *ctx, const char *const *names, size_t n)
{
	char *text = t_strdup(ctx, "");

	for (size_t i = 0; i < n; i++)
		t_append(&text, "%s\"%s\"", i ? ", " : "", names[i]);
	return t_printf(ctx, "[%s]", text);
}

char *page_bounds(void *ctx, const struct config *config)
{
	const char **names = t_array(ctx, const char *, config->n_policies + 1);
	const bool all = config->n_page_archives == 0;
	char shortest[24];

	if (!config->pages)
		return NULL;
	for (size_t i = 0; i < config->n_policies; i++)
		names[i] = config->policies[i].name;
	period_print(&config->page_shortest, shortest, sizeof(shortest));
	return t_printf(
		ctx,
		"{\"shortest\": \"%s\", \"actions\": %s, \"archives\": %s, \"most\": %d, \"file\": %s}",
		shortest, json_names(ctx, config->page_actions, config->n_page_actions),
		json_names(ctx, all ? archive_mode_names : config->page_archives,
			   all ? ARCHIVE_MODE_COUNT : config->n_page_archives),
		config->page_most, json_names(ctx, names, config->n_policies));
}

static bool is_anonymization(enum action action)
{
	return action == ACTION_ANONYMIZE_CONTACTS || action == ACTION_ANONYMIZE_REQUESTS;
}

/* Whether the word is in the list; an empty list allows all. */
static bool allows(const char *word, const char *const *list, size_t n)
{
	return n == 0 || text_index(word, list, n) < n;
}

/* Why the configuration does not allow the policy; NULL: it does. */
static const char *outside(void *ctx, const struct config *config, const struct policy *p)
{
	char shortest[24];

	if (!config->pages)
		return "policies_from is \"file\": no policy of the page runs";
	for (size_t i = 0; i < config->n_policies; i++)
		if (strcasecmp(config->policies[i].name, p->name) == 0)
			return t_printf(ctx, "the file has a policy of that name, at %s:%d",
					config->policies[i].place.file,
					config->policies[i].place.line);
	if (text_index(action_names[p->action], config->page_actions, config->n_page_actions) ==
	    config->n_page_actions)
		return t_printf(ctx, "page_policies: actions does not have %s",
				action_names[p->action]);
	if (!is_anonymization(p->action) &&
	    !allows(archive_mode_names[p->archive], config->page_archives, config->n_page_archives))
		return t_printf(ctx, "page_policies: archives does not have \"%s\"",
				archive_mode_names[p->archive]);
	period_print(&config->page_shortest, shortest, sizeof(shortest));
	if (p->depth.count < page_months(&config->page_shortest))
		return t_printf(
			ctx, "its depth of %d months is shorter than page_policies: shortest, %s",
			p->depth.count, shortest);
	return NULL;
}

/* Parses it; returns why it makes no sense, or NULL. */
static const char *parse(void *ctx, const struct page_text *text, struct policy *ret)
{
	const char *why;
	int64_t months;

	if (ret->version == 0 || !*ret->name || strlen(ret->name) > 63 ||
	    ret->name[strspn(ret->name, LETTERS DIGITS "._-")])
		return "its name or version is not one";
	ret->action = action_parse(text->action);
	ret->archive = archive_mode_parse(text->archive);
	if (ret->action == ACTION_COUNT || ret->archive == ARCHIVE_MODE_COUNT ||
	    (ret->action == ACTION_EXPORT && ret->archive == ARCHIVE_NONE) ||
	    (is_anonymization(ret->action) && ret->archive != ARCHIVE_NONE))
		return "its action and archive mode do not go together, or are not known";
	if (!number_parse(text->months, 1, PAGE_MONTHS_MAX, &months))
		return "its depth is not a number of months";
	ret->depth = (struct period){.count = (int)months, .unit = PERIOD_MONTHS};
	if (!schedule_parse(text->schedule, &ret->schedule, &why))
		return t_printf(ctx, "schedule \"%s\": %s", text->schedule, why);
	return NULL;
}

const char *page_policy(void *ctx, const struct config *config, const struct page_text *text,
			struct policy *ret)
{
	int64_t version = 0;
	const char *why;

	*ret = (struct policy){.name = t_strdup(ctx, text->name),
			       .schedule_text = t_strdup(ctx, text->schedule),
			       .enabled = true};
	if (number_parse(text->version, 1, INT32_MAX, &version))
		ret->version = (int)version;
	ret->place = (struct place){.file = "the page", .line = ret->version};
	why = parse(ctx, text, ret);
	return why ? why : outside(ctx, config, ret);
}

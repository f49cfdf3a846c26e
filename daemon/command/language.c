#include "command/language.h"

#include "base/mem.h"

#include <limits.h>
#include <locale.h>
#include <stdbool.h>

#define DOMAIN "retentionctl"

void language_open(void)
{
	AUTO(char_p) char *beside = NULL;
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = NULL;

	(void)setlocale(LC_MESSAGES, ""); /* a missing locale gives English */
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
	}
	if (slash)
		*slash = '\0';
	if (asprintf(&beside, "%s/locale", slash ? self : ".") < 0)
		must_alloc(NULL);
	/* Uses the catalogues beside the executable, as in a build folder, or the installed ones. */
	(void)bindtextdomain(DOMAIN, access(beside, R_OK) == 0 ? beside : LOCALEDIR "");
	(void)bind_textdomain_codeset(DOMAIN, "UTF-8");
	(void)textdomain(DOMAIN); /* fails only without memory: English */
}

/* The heads of all columns, for the catalogue. */
static const char *const headings[] __attribute__((unused)) = {
	N_("contacts"),
	N_("requests"), /* save counts these too */
	N_("id"),
	N_("action"),
	N_("of"),
	N_("status"),
	N_("date"),
	N_("listed"),
	N_("failed"),
	N_("remark"),
	N_("type"),
	N_("bytes"),
	N_("file"),
	N_("policy"),
	N_("depth"),
	N_("schedule"),
	N_("archive"),
	N_("last"),
	N_("next"),
	N_("cutoff"),
	N_("contact"),
	N_("state"),
	N_("reason"),
	N_("by"),
	N_("placed"),
	N_("expires"),
	N_("review"),
	N_("released"),
	N_("released_by"),
	N_("table"),
	N_("what"),
	N_("rows"),
	N_("due"),
	N_("held"),
	N_("oldest"),
	N_("newest"),
	N_("first keys"),
	N_("from"),
	N_("gone from"),
	N_("since"),
	N_("waits_for"),
	N_("step"),
	N_("kind"),
	N_("actor"),
	N_("at"),
	N_("details"),
	N_("mode"),
	N_("waiting"),
	N_("paused_by"),
	N_("paused_at"),
	N_("error"),
	N_("requested_by"),
	N_("requested_at"),
	N_("validated_by"),
	N_("validated_at"),
	N_("column"),
	N_("exact"),
	N_("inside"),
	N_("covered"),
	N_("files_left"),
	N_("from_date"),
	N_("to_date"),
	N_("candidates"),
	N_("candidates_sha256"),
	N_("frozen_at"),
	N_("candidates_left"),
	N_("integrity"),
	N_("counters"),
	N_("host"),
	N_("system_identifier"),
	N_("archive_removed_at"),
	N_("subject"),
	N_("occurrence"),
	N_("started_at"),
	N_("finished_at"),
	N_("archived_bytes"),
	N_("name"),
};

/* The values of columns that hold a fixed word. */
static const struct {
	const char *column;
	const char *value;
} cells[] = {
	{"status", N_("saved")},
	{"status", N_("validated")},
	{"status", N_("running")},
	{"status", N_("done")},
	{"status", N_("failed")},
	{"status", N_("cancelled")},
	{"status", N_("paused")},
	{"status", N_("resumed")},
	{"action", N_("export")},
	{"action", N_("delete_contacts")},
	{"action", N_("anonymize_contacts")},
	{"action", N_("anonymize_requests")},
	{"mode", N_("manual")},
	{"mode", N_("automatic")},
	{"state", N_("active")},
	{"state", N_("expired")},
	{"state", N_("released")},
	{"state", N_("reached")},
	{"state", N_("pending")},
	{"state", N_("unknown")},
	{"what", N_("exported")},
	{"what", N_("anonymized")},
	{"what", N_("detached")},
	{"what", N_("deleted")},
	{"gone from", N_("live tables")},
	{"gone from", N_("pages of the tables")},
	{"gone from", N_("standbys and slots")},
	{"gone from", N_("backups and archived WAL")},
	{"state", N_("not declared")},
};

const char *language_heading(const char *column)
{
	return *column ? gettext(column) : column;
}

const char *language_cell(const char *column, const char *value)
{
	const char *of = strcmp(column, "type") == 0   ? "action"
			 : strcmp(column, "kind") == 0 ? "status"
						       : column;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		if (strcmp(cells[i].column, of) == 0 && strcmp(cells[i].value, value) == 0)
			return gettext(value);
	return value;
}

/* The sentences of migrations/, a "$" for each value. */
static const char *const sentences[] = {
	N_("unknown action \"$\""),
	N_("Actions: export, delete_contacts, anonymize_contacts, anonymize_requests."),
	N_("unknown archive mode \"$\""),
	N_("Modes: none, listed, full."),
	N_("an anonymization cannot be archived: it leaves nothing to go back to"),
	N_("Leave the archive mode out, or give none."),
	N_("an export without an archive would do nothing"),
	N_("Give listed or full."),
	N_("the interval ends ($) before it starts ($)"),
	N_("Exchange the two days."),
	N_("the interval from $ to $ is longer than one month"),
	N_("Both days count: from $, it can end on $ at the latest."),
	N_("the interval ends in the future ($; today is $)"),
	N_("Requests can still be attached to a day to come: end it today or before."),
	N_("there is no action $"),
	N_("See retention.archives for their numbers."),
	N_("action $ is $: only the archive of an action that has ended can be deleted"),
	N_("action $ is $: only a saved action can be validated"),
	N_("action $ is $: only a saved action can be cancelled"),
	N_("action $ is not listed yet: nobody knows what it would touch"),
	N_("The daemon lists it when it is saved: is retentiond running?  Try again in a moment."),
	N_("action $ was saved by you: somebody else has to validate it"),
	N_("action $ was saved by you: somebody else has to delete its archive"),
	N_("The configuration asks for four eyes."),
	N_("action $ has no archive"),
	N_("the archive of action $ is deleted already, since $ by $"),
	N_("Its files are gone."),
	N_("a hold needs a reason"),
	N_("An auditor will ask for it: name the case, not the person."),
	N_("contact $ is on hold already"),
	N_("Release that hold first, or leave it."),
	N_("contact $ is not on hold"),
	N_("\"$\" is no key of a contact: it should be a $"),
	N_("the hold would have expired already ($)"),
	N_("the daemon has not looked at this database yet: nobody knows what a key is"),
	N_("Start retentiond first."),
	N_("there is nothing to replay, as far as the daemon has compared the database with the ledger's file"),
	N_("It compares them when it starts, reloads or connects: see its log."),
	N_("action $ is a replay: only an approver can cancel it"),
	N_("Its erasures stay to be replayed; until then no policy runs."),
	N_("a replay is under way already"),
	/* What verify finds. */
	N_("event $ was inserted: they count from 1"),
	N_("event $ was inserted: the one before it is event $"),
	N_("event $ was inserted: those behind it were moved on"),
	N_("event $ was removed"),
	N_("event $ was removed, and those up to $"),
	N_("event $ was changed, or inserted"),
	N_("event $ is not the first that was written"),
	N_("event $ was replaced: it was not written after event $"),
	N_("event $ was replaced: event $ was written after another one"),
	N_("event $ is older than the one before it"),
	N_("event $, and what came after it, was removed: no event has the hash that was noted"),
	N_("action $ was removed"),
	N_("action $ was inserted: no event speaks of it"),
	N_("action $ was changed: $"),
	N_("hold $ was removed"),
	N_("hold $ was inserted: no event speaks of it"),
	N_("hold $ was released, and no event says so"),
	N_("hold $ was released, and its row does not say so"),
	N_("hold $ was changed: $"),
};

#define PARTS 4

/* Does message fit the sentence?  Then the values behind its "$" are ret, n of them. */
static bool fits(void *ctx, const char *sentence, const char *message, char *ret[PARTS], size_t *n)
{
	*n = 0;
	for (;;) {
		const char *mark = strchr(sentence, '$');
		const size_t plain = mark ? (size_t)(mark - sentence) : strlen(sentence);
		const char *behind, *end;
		size_t length;

		if (strncmp(message, sentence, plain) != 0)
			return false;
		message += plain;
		if (!mark)
			return *message == '\0';
		sentence = mark + 1;
		/* The value reaches to where the next plain part begins, or to the end. */
		length = strcspn(sentence, "$");
		behind = t_printf(ctx, "%.*s", (int)length, sentence);
		end = *behind ? strstr(message, behind) : message + strlen(message);
		if (!end || *n == PARTS)
			return false;
		ret[(*n)++] = t_printf(ctx, "%.*s", (int)(end - message), message);
		message = end;
	}
}

static char *fill(void *ctx, const char *translated, char *const parts[PARTS], size_t n)
{
	char *text = t_strdup(ctx, "");
	size_t next = 0;

	for (; *translated; translated++)
		if (*translated == '$' && next < n)
			t_append(&text, "%s", parts[next++]);
		else
			t_append(&text, "%c", *translated);
	return text;
}

char *language_message(void *ctx, const char *message)
{
	char *parts[PARTS];
	size_t n;

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (fits(ctx, sentences[i], message, parts, &n)) {
			/* A status among the values is a word, too. */
			for (size_t p = 0; p < n; p++)
				parts[p] = t_strdup(ctx, language_cell("status", parts[p]));
			return fill(ctx, gettext(sentences[i]), parts, n);
		}
	return t_strdup(ctx, message);
}

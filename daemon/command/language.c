#include "command/language.h"

#include "base/file.h"
#include "base/text.h"

#include <locale.h>

#define DOMAIN "retentionctl"

void language_open(void)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	(void)setlocale(LC_MESSAGES, ""); /* a missing locale gives English */
	/* Beside /usr/bin/retentionctl lies locale(1), a program. */
	(void)bindtextdomain(DOMAIN, file_beside(ctx, "locale/.", LOCALEDIR ""));
	(void)bind_textdomain_codeset(DOMAIN, "UTF-8");
	(void)textdomain(DOMAIN); /* fails only without memory: English */
}

/* The heads of all columns, for the catalogue, by the command that prints them. */
static const char *const headings[][9] __attribute__((unused)) = {
	/* save */
	{N_("contacts"), N_("requests")},
	/* journal */
	{N_("id"), N_("action"), N_("of"), N_("status"), N_("date"), N_("listed"), N_("failed"),
	 N_("remark")},
	/* archive list */
	{N_("type"), N_("bytes"), N_("file")},
	/* policies */
	{N_("policy"), N_("depth"), N_("schedule"), N_("archive"), N_("last"), N_("next"),
	 N_("cutoff")},
	/* hold list */
	{N_("contact"), N_("state"), N_("reason"), N_("by"), N_("placed"), N_("expires"),
	 N_("review"), N_("released"), N_("released_by")},
	/* subject status */
	{N_("known"), N_("held_since"), N_("held_by"), N_("held_until"), N_("now"), N_("due_from"),
	 N_("why"), N_("erasure")},
	/* preview */
	{N_("table"), N_("what"), N_("rows"), N_("due"), N_("held"), N_("oldest"), N_("newest"),
	 N_("first keys"), N_("from")},
	/* model check */
	{N_("name")},
	/* residue */
	{N_("column"), N_("exact"), N_("inside"), N_("covered")},
	/* show: its row */
	{N_("mode"), N_("occurrence"), N_("from_date"), N_("to_date"), N_("requested_by"),
	 N_("requested_at"), N_("candidates"), N_("candidates_sha256")},
	{N_("frozen_at"), N_("validated_by"), N_("validated_at"), N_("started_at"),
	 N_("candidates_left"), N_("waiting"), N_("paused_by"), N_("paused_at")},
	{N_("finished_at"), N_("integrity"), N_("treated"), N_("stayed_locked"), N_("not_begun"),
	 N_("archive_removed_at"), N_("error"), N_("files_left"), N_("host")},
	{N_("archive_path"), N_("archive_bytes"), N_("sums_sha256"), N_("manifest_sha256"),
	 N_("archive_deleted_at"), N_("archive_deleted_by"), N_("archive_remark"),
	 N_("restored_at"), N_("restored_by")},
	{N_("timezone"), N_("replay_of"), N_("failures")},
	{N_("system_identifier"), N_("subject"), N_("note"), N_("archive_deleted_note"),
	 N_("configuration")},
	/* show: its tables, its horizon, its events */
	{N_("archived_bytes"), N_("step"), N_("gone from"), N_("since"), N_("waits_for"), N_("at"),
	 N_("kind"), N_("actor"), N_("details")},
};

/* The values of columns that hold a fixed word. */
static const struct {
	const char *column;
	const char *values[32]; /* up to NULL, or all */
} cells[] = {
	{"status",
	 {N_("saved"), N_("validated"), N_("running"), N_("done"), N_("failed"), N_("cancelled"),
	  N_("paused"), N_("resumed"), N_("restored"), N_("archive deleted"), N_("files removed"),
	  N_("not in the journal")}},
	{"kind",
	 {N_("noted"),         N_("failed_key"),      N_("dropped"),         N_("left"),
	  N_("kept"),          N_("sliced"),          N_("copied"),          N_("changed"),
	  N_("settled"),       N_("vacuumed"),        N_("analyzed"),        N_("refreshed"),
	  N_("restored"),      N_("archive_deleted"), N_("archive_removed"), N_("archive_download"),
	  N_("files_removed"), N_("asked"),           N_("answered"),        N_("verified"),
	  N_("crashed"),       N_("undated"),         N_("unpaired"),        N_("held")}},
	{"action",
	 {N_("export"), N_("delete_contacts"), N_("anonymize_contacts"), N_("anonymize_requests"),
	  N_("restored")}},
	{"mode", {N_("manual"), N_("automatic")}},
	{"now", {N_("not due"), N_("held"), N_("due"), N_("later")}},
	{"why",
	 {N_("not a contact of the model"), N_("outside the scope"), N_("no request"),
	  N_("no request, and no date of creation"), N_("a date that cannot be read"),
	  N_("a request that the join table lacks"), N_("a request that is open, or has no date"),
	  N_("nothing left to erase")}},
	{"state",
	 {N_("active"), N_("expired"), N_("released"), N_("reached"), N_("pending"), N_("unknown"),
	  N_("not declared"), N_("undone")}},
	{"what", {N_("exported"), N_("anonymized"), N_("detached"), N_("deleted")}},
	{"gone from",
	 {N_("live tables"), N_("pages of the tables"), N_("standbys and slots"),
	  N_("backups and archived WAL")}},
};

const char *language_heading(const char *column)
{
	return *column ? gettext(column) : column;
}

/* Most events of an action are named by what its status becomes.  As a heading, "listed" counts contacts. */
static const char *event_word(const char *value)
{
	const char *listed = N_("list made");

	if (strcmp(value, "listed") == 0)
		return strcmp(gettext(listed), listed) == 0 ? value : gettext(listed);
	return language_cell("status", value);
}

const char *language_cell(const char *column, const char *value)
{
	const char *of = strcmp(column, "type") == 0      ? "action"
			 : strcmp(column, "erasure") == 0 ? "action"
							  : column;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		for (size_t v = 0; strcmp(cells[i].column, of) == 0 &&
				   v < LENGTH(cells[i].values) && cells[i].values[v];
		     v++)
			if (strcmp(cells[i].values[v], value) == 0)
				return gettext(value);
	return strcmp(column, "kind") == 0 ? event_word(value) : value;
}

/* A status is a word, too. */
static const char *status_word(const char *value, const void *arg)
{
	(void)arg;
	return language_cell("status", value);
}

char *language_refusal(void *ctx, const char *id, const char *values, const char *english)
{
	const char *text = id ? gettext(id) : NULL;

	if (!text || strcmp(text, id) == 0)
		return text_one_line(t_strdup(ctx, english));
	return text_one_line(text_fill(ctx, text, values, status_word, NULL));
}

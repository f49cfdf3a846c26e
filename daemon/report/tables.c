/*
 * The tables that people read, in their language: which sections a report has, in which order, and what stands in each
 * column.  The names on the left are those of the document.
 */
#include "report/report.h"

#include "base/mem.h"
#include "base/text.h"
#include "report/words.h"

#include <assert.h>

enum {
	ONE = 1, /* action */
	PASSES = 2, /* of a policy */
	DAYS = 4, /* all actions of some days */
	PREVIEW = 8,
	SEVERAL = PASSES | DAYS,
	DONE = ONE | SEVERAL,
	ALL = DONE | PREVIEW
};

struct column {
	const char *name, *heading;
	enum report_kind kind;
	int only; /* in reports of these kinds; 0: in all */
};

struct section {
	const char *name, *title;
	int kinds; /* of report */
	int records; /* in these it is shown as a record */
	const char *none; /* what its absence means, as a sentence; NULL: it is left out */
	const char *note;
	struct column columns[32]; /* ends with one without a name */
};

static const struct section sections[] = {
	{"report",
	 N_("This report"),
	 ALL,
	 ALL,
	 NULL,
	 NULL,
	 {{"policy", N_("policy"), REPORT_TEXT, 0},
	  {"from", N_("days from"), REPORT_TEXT, 0},
	  {"to", N_("days until"), REPORT_TEXT, 0},
	  {"database", N_("database"), REPORT_TEXT, 0},
	  {"made_at", N_("made at"), REPORT_TIME, 0},
	  {"made_by", N_("made by"), REPORT_TEXT, 0},
	  {"zone", N_("time zone of all times"), REPORT_TEXT, 0}}},
	{"preview",
	 N_("What the policy would do"),
	 PREVIEW,
	 PREVIEW,
	 NULL,
	 N_("Nothing was changed: these are the counts of the moment at which the report was made."),
	 {{"action", N_("action"), REPORT_WORD, 0},
	  {"as_of", N_("as if it were"), REPORT_TEXT, 0},
	  {"cutoff", N_("cutoff: due before"), REPORT_TIME, 0},
	  {"due", N_("would be changed"), REPORT_NUMBER, 0},
	  {"held", N_("due, and held by a legal hold"), REPORT_NUMBER, 0},
	  {"oldest", N_("oldest last date"), REPORT_TIME, 0},
	  {"newest", N_("newest last date"), REPORT_TIME, 0},
	  {"first_keys", N_("first keys"), REPORT_TEXT, 0}}},
	{"policy",
	 N_("The policy as it is in force now"),
	 PASSES,
	 PASSES,
	 N_("The policy is no longer in force."),
	 NULL,
	 {{"action", N_("action"), REPORT_WORD, 0},
	  {"depth", N_("depth"), REPORT_PERIOD, 0},
	  {"schedule", N_("schedule"), REPORT_WORD, 0},
	  {"archive", N_("archive"), REPORT_WORD, 0},
	  {"scope", N_("scope"), REPORT_TEXT, 0},
	  {"source", N_("written in"), REPORT_WORD, 0},
	  {"approval", N_("each pass waits for validation"), REPORT_YES, 0},
	  {"enabled", N_("enabled"), REPORT_YES_NO, 0},
	  {"next", N_("next pass"), REPORT_TIME, 0},
	  {"refused", N_("refused, because"), REPORT_TEXT, 0}}},
	{"totals",
	 N_("All actions together"),
	 SEVERAL,
	 PASSES,
	 NULL,
	 NULL,
	 {{"action", N_("action"), REPORT_WORD, DAYS},
	  {"passes", N_("actions"), REPORT_NUMBER, 0},
	  {"done", N_("actions that are done"), REPORT_NUMBER, 0},
	  {"failed_passes", N_("actions that failed"), REPORT_NUMBER, 0},
	  {"cancelled", N_("actions that were cancelled"), REPORT_NUMBER, 0},
	  {"unfinished", N_("actions that have not ended"), REPORT_NUMBER, 0},
	  {"listed", N_("on the lists"), REPORT_NUMBER, 0},
	  {"treated", N_("treated"), REPORT_NUMBER, 0},
	  {"dropped", N_("left the list, kept"), REPORT_NUMBER, 0},
	  {"failed", N_("could not be treated"), REPORT_NUMBER, 0},
	  {"locked", N_("stayed locked"), REPORT_NUMBER, 0}}},
	{"actions",
	 N_("What was asked for, and who validated it"),
	 DONE,
	 ONE,
	 N_("There is no action in this period."),
	 NULL,
	 {{"id", N_("action"), REPORT_NUMBER, 0},
	  {"action", N_("what"), REPORT_WORD, 0},
	  {"state", N_("state"), REPORT_WORD, 0},
	  {"mode", N_("mode"), REPORT_WORD, ONE},
	  {"policy", N_("policy"), REPORT_TEXT, ONE | DAYS},
	  {"occurrence", N_("due at"), REPORT_TIME, ONE | PASSES},
	  {"depth", N_("depth"), REPORT_PERIOD, 0},
	  {"from", N_("days from"), REPORT_TEXT, ONE},
	  {"to", N_("days until"), REPORT_TEXT, ONE},
	  {"cutoff", N_("cutoff: due before"), REPORT_TIME, 0},
	  {"one_contact", N_("for one contact"), REPORT_YES, ONE | DAYS},
	  {"subject", N_("key of the contact"), REPORT_TEXT, ONE | DAYS},
	  {"replay_of", N_("replay of action"), REPORT_NUMBER, ONE},
	  {"requested_by", N_("asked for by"), REPORT_TEXT, ONE | DAYS},
	  {"requested_at", N_("asked for at"), REPORT_TIME, ONE},
	  {"note", N_("reason"), REPORT_TEXT, ONE | DAYS},
	  {"listed_at", N_("list made at"), REPORT_TIME, ONE},
	  {"list_sha256", N_("SHA-256 of the list"), REPORT_TEXT, ONE},
	  {"validated_by", N_("validated by"), REPORT_ACTOR, 0},
	  {"validated_at", N_("validated at"), REPORT_TIME, ONE},
	  {"started_at", N_("begun at"), REPORT_TIME, ONE | DAYS},
	  {"finished_at", N_("ended at"), REPORT_TIME, 0},
	  {"waiting", N_("waits for"), REPORT_TEXT, ONE},
	  {"error", N_("remark"), REPORT_TEXT, 0},
	  {"restored_at", N_("archive put back at"), REPORT_TIME, 0},
	  {"restored_by", N_("archive put back by"), REPORT_TEXT, ONE}}},
	{"counts",
	 N_("How many"),
	 DONE,
	 ONE,
	 NULL,
	 NULL,
	 {{"action", N_("action"), REPORT_NUMBER, SEVERAL},
	  {"listed", N_("on the list"), REPORT_NUMBER, 0},
	  {"treated", N_("treated"), REPORT_NUMBER, 0},
	  {"dropped", N_("left the list, kept"), REPORT_NUMBER, 0},
	  {"failed", N_("could not be treated"), REPORT_NUMBER, 0},
	  {"locked", N_("stayed locked"), REPORT_NUMBER, 0},
	  {"rest", N_("left to another action"), REPORT_NUMBER, 0},
	  {"open", N_("not treated"), REPORT_NUMBER, 0},
	  {"held_before", N_("due and held, so not on the list"), REPORT_NUMBER, 0},
	  {"holds", N_("legal holds in force when the list was made"), REPORT_NUMBER, 0}}},
	{"left_out",
	 N_("Who was left out, and why"),
	 DONE,
	 0,
	 N_("The journal names nobody who was left out."),
	 NULL,
	 {{"action", N_("action"), REPORT_NUMBER, SEVERAL},
	  {"reason", N_("reason"), REPORT_WORD, 0},
	  {"subjects", N_("how many"), REPORT_NUMBER, 0},
	  {"partly_erased", N_("of these in part erased"), REPORT_NUMBER, 0},
	  {"at", N_("last at"), REPORT_TIME, 0},
	  {"message", N_("message"), REPORT_TEXT, 0},
	  {"keys", N_("keys"), REPORT_TEXT, 0}}},
	{"expected",
	 N_("Rows that would be changed"),
	 ONE | PREVIEW,
	 0,
	 NULL,
	 NULL,
	 {{"table", N_("table"), REPORT_TEXT, 0},
	  {"what", N_("what"), REPORT_WORD, 0},
	  {"rows", N_("rows"), REPORT_NUMBER, 0}}},
	{"tables",
	 N_("Rows that were changed or copied"),
	 DONE,
	 0,
	 N_("No row was changed or copied."),
	 N_("A row that loses a link under one name of its table (.detached) and goes under another counts under both."),
	 {{"action", N_("action"), REPORT_NUMBER, SEVERAL},
	  {"table", N_("table"), REPORT_TEXT, 0},
	  {"relation", N_("in the database"), REPORT_TEXT, 0},
	  {"rows", N_("rows"), REPORT_NUMBER, 0},
	  {"archived_bytes", N_("bytes in the archive"), REPORT_NUMBER, 0}}},
	{"selection",
	 N_("By which rule"),
	 ALL,
	 0,
	 NULL,
	 NULL,
	 {{"configuration", N_("configuration"), REPORT_DIGEST, DONE},
	  {"action", N_("action"), REPORT_WORD, 0},
	  {"policy", N_("policy"), REPORT_TEXT, DAYS},
	  {"depth", N_("depth"), REPORT_PERIOD, 0},
	  {"schedule", N_("schedule"), REPORT_WORD, 0},
	  {"archive", N_("archive"), REPORT_WORD, 0},
	  {"date", N_("date of a request"), REPORT_TEXT, 0},
	  {"date_unit", N_("unit of that date"), REPORT_TEXT, 0},
	  {"due_when", N_("a request is due when"), REPORT_TEXT, 0},
	  {"scope", N_("scope"), REPORT_TEXT, 0},
	  {"without_requests", N_("also without requests"), REPORT_YES, 0},
	  {"created", N_("date of a contact"), REPORT_TEXT, 0},
	  {"created_unit", N_("unit of the contact's date"), REPORT_TEXT, 0}}},
	{"rules",
	 N_("What becomes of which tables and columns"),
	 ALL,
	 0,
	 N_("No rules are known: no job has begun to work on it, or the action is older than the keeping of configurations."),
	 NULL,
	 {{"configuration", N_("configuration"), REPORT_DIGEST, DONE},
	  {"action", N_("action"), REPORT_WORD, DAYS},
	  {"table", N_("table"), REPORT_TEXT, 0},
	  {"relation", N_("in the database"), REPORT_TEXT, 0},
	  {"rule", N_("what"), REPORT_WORD, 0},
	  {"columns", N_("columns"), REPORT_TEXT, 0},
	  {"value", N_("value"), REPORT_TEXT, 0},
	  {"by", N_("linked by"), REPORT_TEXT, 0},
	  {"where", N_("only rows where"), REPORT_TEXT, 0},
	  {"shared", N_("rows that others use stay"), REPORT_YES, 0},
	  {"archived", N_("in the archive"), REPORT_YES, 0}}},
	{"archives",
	 N_("Archive"),
	 DONE,
	 ONE,
	 N_("There is no archive."),
	 N_("sha256sum SHA256SUMS gives the digest of the sums, and sha256sum -c SHA256SUMS checks the files."),
	 {{"action", N_("action"), REPORT_NUMBER, SEVERAL},
	  {"content", N_("content"), REPORT_WORD, 0},
	  {"host", N_("on host"), REPORT_TEXT, ONE},
	  {"path", N_("place"), REPORT_TEXT, 0},
	  {"bytes", N_("bytes"), REPORT_NUMBER, 0},
	  {"sums_sha256", N_("SHA-256 of SHA256SUMS"), REPORT_TEXT, 0},
	  {"manifest_sha256", N_("SHA-256 of manifest.json"), REPORT_TEXT, ONE},
	  {"verified", N_("last verified"), REPORT_WORD, ONE},
	  {"verified_at", N_("verified at"), REPORT_TIME, ONE},
	  {"verified_for", N_("verified for"), REPORT_TEXT, ONE},
	  {"kept_until", N_("kept until"), REPORT_TIME, 0},
	  {"deleted_at", N_("deleted at"), REPORT_TIME, 0},
	  {"deleted_by", N_("deleted by"), REPORT_TEXT, ONE},
	  {"deleted_note", N_("reason of the deletion"), REPORT_TEXT, ONE},
	  {"removed_at", N_("files removed at"), REPORT_TIME, 0},
	  {"remark", N_("remark"), REPORT_TEXT, ONE}}},
	{"places",
	 N_("Where the erased data may still be"),
	 DONE,
	 0,
	 N_("Nothing was erased, so that there is nothing to follow."),
	 NULL,
	 {{"action", N_("action"), REPORT_NUMBER, SEVERAL},
	  {"step", N_("step"), REPORT_TEXT, 0},
	  {"what", N_("gone from"), REPORT_WORD, 0},
	  {"state", N_("state"), REPORT_WORD, 0},
	  {"since", N_("since"), REPORT_TIME, 0},
	  {"waits_for", N_("waits for"), REPORT_LONG, 0}}},
	{"residue",
	 N_("Searches for what was left"),
	 DONE,
	 0,
	 N_("Nobody has recorded a search since: retentionctl residue --sample N --record makes one."),
	 NULL,
	 {{"search", N_("search"), REPORT_NUMBER, 0},
	  {"at", N_("at"), REPORT_TIME, 0},
	  {"by", N_("by"), REPORT_TEXT, 0},
	  {"contacts", N_("contacts in the sample"), REPORT_NUMBER, 0},
	  {"searched_for", N_("values"), REPORT_NUMBER, 0},
	  {"tables", N_("tables"), REPORT_NUMBER, 0},
	  {"not_searched", N_("tables not searched"), REPORT_NUMBER, 0},
	  {"found", N_("columns that keep a value"), REPORT_NUMBER, 0}}},
	{"residue_columns",
	 N_("Columns in which a search has found values"),
	 DONE,
	 0,
	 NULL,
	 NULL,
	 {{"search", N_("search"), REPORT_NUMBER, 0},
	  {"table", N_("table"), REPORT_TEXT, 0},
	  {"column", N_("column"), REPORT_TEXT, 0},
	  {"of", N_("value of"), REPORT_TEXT, 0},
	  {"exact", N_("rows with the value"), REPORT_NUMBER, 0},
	  {"inside", N_("rows that contain it"), REPORT_NUMBER, 0},
	  {"covered", N_("rows that the action erases"), REPORT_NUMBER, 0}}},
	{"configurations",
	 N_("Configurations in force"),
	 DONE,
	 0,
	 NULL,
	 N_("retentionctl show ID --configuration prints the text."),
	 {{"sha256", N_("SHA-256"), REPORT_TEXT, 0},
	  {"kept_at", N_("in force since"), REPORT_TIME, 0},
	  {"actions", N_("actions"), REPORT_NUMBER, SEVERAL},
	  {"first_action", N_("first action"), REPORT_NUMBER, SEVERAL},
	  {"unreadable", N_("cannot be read, because"), REPORT_WORD, 0}}},
	{"events",
	 N_("Events in the journal"),
	 ONE,
	 0,
	 NULL,
	 NULL,
	 {{"id", N_("event"), REPORT_NUMBER, 0},
	  {"at", N_("at"), REPORT_TIME, 0},
	  {"kind", N_("kind"), REPORT_EVENT, 0},
	  {"actor", N_("by"), REPORT_TEXT, 0}}},
	{"journal",
	 N_("The journal at this moment"),
	 ALL,
	 ALL,
	 NULL,
	 N_("retentionctl verify --last-hash EVENTS:HASH finds out later whether the journal was changed."),
	 {{"events", N_("events"), REPORT_NUMBER, 0},
	  {"last_hash", N_("last hash"), REPORT_TEXT, 0},
	  {"last_at", N_("last event at"), REPORT_TIME, 0},
	  {"verified_at", N_("last verified at"), REPORT_TIME, 0},
	  {"verified_by", N_("verified by"), REPORT_TEXT, 0},
	  {"verified_whole", N_("found intact"), REPORT_YES_NO, 0}}},
};

struct maker {
	void *ctx;
	const PGresult *cells;
	const struct report_words *words;
	int kind; /* ONE, PASSES, DAYS or PREVIEW */
	bool several; /* configurations, so that a rule has to name its own */
};

static const char *cell(const struct maker *m, int row, const char *column)
{
	return PQgetvalue(m->cells, row, PQfnumber(m->cells, column));
}

/* The rows of a section, from *ret_first on; they stand together. */
static int find_section(const struct maker *m, const char *name, int *ret_first)
{
	const int n = PQntuples(m->cells);
	int first = 0, end;

	while (first < n && strcmp(cell(m, first, "section"), name) != 0)
		first++;
	for (end = first; end < n && strcmp(cell(m, end, "section"), name) == 0;)
		end++;
	*ret_first = first;
	return end - first;
}

/* The first value of that name in a section; NULL: there is none. */
static const char *find_value(const struct maker *m, const char *section, const char *name)
{
	int first;
	const int n = find_section(m, section, &first);

	for (int row = first; row < first + n; row++)
		if (strcmp(cell(m, row, "name"), name) == 0)
			return cell(m, row, "value");
	return NULL;
}

static bool is_wanted(const struct maker *m, const struct column *c)
{
	if (c->kind == REPORT_DIGEST && !m->several)
		return false;
	return c->only == 0 || (c->only & m->kind);
}

static const struct column *column_named(const struct maker *m, const struct section *s,
					 const char *name, size_t *ret_index)
{
	*ret_index = 0;
	for (const struct column *c = s->columns; c->name; c++)
		if (is_wanted(m, c)) {
			if (strcmp(c->name, name) == 0)
				return c;
			++*ret_index;
		}
	return NULL;
}

/* Leaves out the columns of a table that have no value in any row. */
static void drop_empty(struct report_table *t)
{
	size_t kept = 0;

	for (size_t c = 0; c < t->n_columns; c++) {
		bool empty = true;

		for (size_t r = 0; r < t->n_rows && empty; r++)
			empty = t->cells[r * t->n_columns + c] == NULL;
		if (empty)
			continue;
		t->headings[kept] = t->headings[c];
		t->is_number[kept] = t->is_number[c];
		for (size_t r = 0; r < t->n_rows; r++)
			t->cells[r * t->n_columns + kept] = t->cells[r * t->n_columns + c];
		kept++;
	}
	for (size_t r = 0; r < t->n_rows; r++)
		for (size_t c = 0; c < kept; c++)
			t->cells[r * kept + c] = t->cells[r * t->n_columns + c];
	t->n_columns = kept;
}

static void set_columns(const struct maker *m, const struct section *s, struct report_table *t)
{
	const size_t most = LENGTH(s->columns);

	assert(!s->columns[most - 1].name);
	t->headings = t_array(m->ctx, const char *, most);
	t->is_number = t_array(m->ctx, bool, most);
	for (const struct column *c = s->columns; c->name; c++)
		if (is_wanted(m, c)) {
			t->headings[t->n_columns] = report_say(m->words, c->heading);
			t->is_number[t->n_columns++] = c->kind == REPORT_NUMBER;
		}
}

/* Fills the cells; the server has numbered the rows of a section from 1 on. */
static void set_cells(const struct maker *m, const struct section *s, struct report_table *t)
{
	int first;
	const int n = find_section(m, s->name, &first);

	if (n > 0)
		t->n_rows = strtoul(cell(m, first + n - 1, "n"), NULL, 10);
	t->cells = t_array(m->ctx, const char *, t->n_rows * t->n_columns + 1);
	for (int row = first; row < first + n; row++) {
		size_t index;
		const struct column *c = column_named(m, s, cell(m, row, "name"), &index);
		const size_t to = strtoul(cell(m, row, "n"), NULL, 10) - 1;

		if (c)
			t->cells[to * t->n_columns + index] =
				report_word(m->ctx, m->words, c->kind, cell(m, row, "value"));
	}
	drop_empty(t);
}

static void add_section(const struct maker *m, const struct section *s, struct report_view *view)
{
	struct report_table *t = &view->tables[view->n_tables];

	*t = (struct report_table){.title = report_say(m->words, s->title),
				   .is_record = (s->records & m->kind) != 0};
	set_columns(m, s, t);
	set_cells(m, s, t);
	if (t->n_rows == 0 && !s->none)
		return;
	if (t->n_rows == 0)
		t->note = report_say(m->words, s->none);
	else
		t->note = s->note ? report_say(m->words, s->note) : NULL;
	view->n_tables++;
}

static const char *title_of(const struct maker *m)
{
	const char *policy = find_value(m, "report", "policy");
	const char *id = find_value(m, "actions", "id");

	if (m->kind == ONE)
		return text_fill(m->ctx, report_say(m->words, N_("Report on action $1")), id, NULL,
				 NULL);
	if (m->kind == DAYS)
		return report_say(m->words, N_("Report on all actions of these days"));
	return text_fill(m->ctx,
			 report_say(m->words, m->kind == PASSES
						      ? N_("Report on the passes of policy $1")
						      : N_("Preview of policy $1")),
			 policy, NULL, NULL);
}

struct report_view *report_tables(void *ctx, const PGresult *cells,
				  const struct report_words *words)
{
	struct report_view *view = t_zero(ctx, struct report_view);
	struct maker m = {.ctx = view, .cells = cells, .words = words};
	const char *kind = find_value(&m, "report", "kind");
	const char *state;
	int first, last;

	m.kind = !kind || strcmp(kind, "action") == 0 ? ONE
		 : strcmp(kind, "policy") == 0        ? PASSES
		 : strcmp(kind, "days") == 0          ? DAYS
						      : PREVIEW;
	last = find_section(&m, "configurations", &first) + first - 1;
	m.several = last >= first && strcmp(cell(&m, last, "n"), "1") != 0;
	state = m.kind == ONE ? find_value(&m, "actions", "state") : NULL;
	view->title = title_of(&m);
	view->state = state ? report_state(words, state) : NULL;
	view->tables = t_array(view, struct report_table, LENGTH(sections));
	for (size_t i = 0; i < LENGTH(sections); i++)
		if (sections[i].kinds & m.kind)
			add_section(&m, &sections[i], view);
	return view;
}

#include "web/notes.h"

/* A person's last verification counts: the note goes when the journal was found whole. */
static const char notes_sql[] =
	"SELECT NOT EXISTS (SELECT FROM retention.daemons) AS no_daemon,\n"
	"       (SELECT NOT (e.details->>'whole')::boolean FROM retention.journal_event AS e\n"
	"         WHERE e.kind = 'verified' ORDER BY e.id DESC LIMIT 1) AS journal_bad";

void notes_ask(struct visit *v)
{
	visit_ask(v, "notes", notes_sql, 0, NULL);
}

void notes_show(struct visit *v)
{
	const PGresult *res = visit_rows(v, "notes");

	values_set(v->values, "no_daemon", NULL);
	values_set(v->values, "journal_bad", NULL);
	if (res && PQntuples(res) > 0)
		values_row(v->values, res, 0);
}

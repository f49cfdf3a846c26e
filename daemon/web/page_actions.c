/* The list of all actions and archives, and the same list as a CSV file. */
#include "web/actions.h"
#include "web/csv.h"
#include "web/route.h"

#include "database/db.h"

#include <event2/buffer.h>
#include <string.h>

#define PAGE_ROWS 25
#define CSV_ROWS 500

/* "avant" is left out: the page says how many actions fit, on all its pages together. */
static const char totals_sql[] =
	"SELECT count(*) AS total, count(*) FILTER (WHERE x.kept) AS kept_n,\n"
	"       coalesce(sum(j.archive_bytes) FILTER (WHERE x.kept), 0) AS kept_bytes,\n"
	"       NOT EXISTS (SELECT FROM retention.archive_journal) AS is_empty,\n"
	"       (SELECT min(s.next_occurrence) FROM retention.policy_state AS s) AS next_pass,\n"
	"       (SELECT nullif(count(*), 0) FROM retention.unknown_archive) AS unknown\n"
	"  FROM retention.archive_journal AS j\n"
	" CROSS JOIN LATERAL (SELECT j.archive_path IS NOT NULL AND j.archive_deleted_at IS NULL AND\n"
	"                            j.status IN ('done', 'failed') AS kept) AS x\n"
	" WHERE " ACTIONS_FIT;

/* The names are those of the database, for programs. */
static const char csv_sql[] =
	"SELECT j.id, j.action, j.mode, j.status, j.policy, j.from_date, j.to_date, j.subject,\n"
	"       j.replay_of, j.requested_by, j.requested_at, j.note, j.candidates AS listed,\n"
	"       j.validated_by, j.validated_at, j.started_at, j.finished_at,\n"
	"       j.counters->>'treated' AS treated, j.counters->>'failed' AS failed, j.error, j.archive,\n"
	"       j.archive_bytes, j.archive_deleted_by, j.archive_deleted_at, j.archive_deleted_note,\n"
	"       j.archive_removed_at, j.restored_by, j.restored_at\n"
	"  FROM retention.archive_journal AS j\n"
	" WHERE " ACTIONS_FIT " ORDER BY j.id DESC LIMIT $5::int";

static const char *const types[] = {"export", "delete_contacts", "anonymize_contacts",
				    "anonymize_requests"};
static const char *const statuses[] = {"saved", "validated", "running",
				       "done",  "failed",    "cancelled"};

/* Fills a list of the choices of a filter. */
static void choices(struct visit *v, const char *list, const char *const *words, size_t n,
		    const char *chosen)
{
	values_list(v->values, list);
	for (size_t i = 0; i < n; i++) {
		struct values *row = values_add(v->values, list);

		values_set(row, "code", words[i]);
		values_flag(row, "selected", chosen && strcmp(chosen, words[i]) == 0);
	}
}

static void show_list(struct visit *v)
{
	const struct actions_filter *filter = v->data;
	const PGresult *actions = visit_rows(v, "actions");
	const int n = PQntuples(actions) > PAGE_ROWS ? PAGE_ROWS : PQntuples(actions);

	values_list(v->values, "actions");
	for (int i = 0; i < n; i++)
		values_row(values_add(v->values, "actions"), actions, i);
	/* A page has one row more than it shows, when an older one follows. */
	values_set(v->values, "older",
		   PQntuples(actions) > n ? db_value(actions, n - 1, "id") : NULL);
	values_row(v->values, visit_rows(v, "totals"), 0);
	choices(v, "types", types, LENGTH(types), filter->type);
	choices(v, "statuses", statuses, LENGTH(statuses), filter->status);
	values_set(v->values, "type", filter->type);
	values_set(v->values, "status", filter->status);
	values_set(v->values, "q", filter->text);
	values_flag(v->values, "has_before", filter->before != NULL);
	values_flag(v->values, "at_actions", true);
	visit_render(v, 200, "actions");
}

void page_actions(struct visit *v)
{
	struct actions_filter *filter = t_zero(visit_ctx(v), struct actions_filter);

	if (!actions_filter(v, filter))
		return;
	v->data = filter;
	actions_ask(v, "actions", filter, PAGE_ROWS + 1);
	visit_ask(v, "totals", totals_sql, 4,
		  (const char *[]){filter->type, filter->status, filter->text, NULL});
	visit_then(v, show_list);
}

/* The download goes page after page, so that no more than one is in memory. */
struct download {
	struct actions_filter filter;
	bool has_begun;
};

static void ask_rows(struct visit *v);

static void send_rows(struct visit *v)
{
	struct download *d = v->data;
	const PGresult *rows = visit_rows(v, "rows");
	const int n = PQntuples(rows);
	struct evbuffer *out = must_alloc(evbuffer_new());

	if (!d->has_begun) {
		visit_stream(v, "text/csv; charset=utf-8", "actions.csv");
		csv_head(out, rows);
	}
	d->has_begun = true;
	for (int i = 0; i < n; i++)
		csv_row(out, rows, i);
	if (n == CSV_ROWS)
		d->filter.before = t_strdup(d, db_value(rows, n - 1, "id"));
	visit_chunk(v, out, n == CSV_ROWS ? ask_rows : visit_end);
	evbuffer_free(out);
}

static void ask_rows(struct visit *v)
{
	const struct download *d = v->data;
	const struct actions_filter *filter = &d->filter;

	visit_ask(v, "rows", csv_sql, 5,
		  (const char *[]){filter->type, filter->status, filter->text, filter->before,
				   t_printf(visit_ctx(v), "%d", CSV_ROWS)});
	visit_then(v, send_rows);
}

void page_actions_csv(struct visit *v)
{
	struct download *d = t_zero(visit_ctx(v), struct download);

	if (!actions_filter(v, &d->filter))
		return;
	v->data = d;
	ask_rows(v);
}

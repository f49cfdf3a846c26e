/*
 * Files of an archive, and the document of all data about one contact.  The person asks for a file in their own session
 * (ask_download, ask_document), which writes the event with their name.  The page brings the ticket to the daemon, gets the
 * open file, and sends it.  What may die on each line is told in job/mode_hand_out.c.  Here:
 *
 *	asked	the ticket is in this process's memory only.  The page dying: it is void after a minute.
 *	taken	the daemon has answered with an open file, or says why not: the page is shown again with that.
 *	sent	PART_BYTES at a time, the next one when the last one has left, so that a large file costs no memory.  A file that
 *		ends early, or a client that goes, breaks the connection before Content-Length, which a browser shows as failed.
 *	ended	end_download() notes that all was sent.  A session that has ended meanwhile notes nothing.
 */
#include "web/route.h"

#include "base/secret.h"
#include "database/db.h"
#include "web/files.h"
#include "web/one_action.h"
#include "web/session.h"
#include "web/visit_answer.h"

#include <unistd.h>

#define PART_BYTES ((size_t)256 * 1024)
#define TYPE "application/octet-stream"

/* One file on its way, or a page that says why it is not.  Owned by the visit. */
struct transfer {
	struct visit *v;
	visit_step again; /* shows the page anew */
	int status; /* of that page */
	char *packet; /* the ticket, as it is sent to the daemon */
	char *name;
	char *id; /* of the row in retention.download */
	int fd; /* -1: none */
	int64_t bytes, sent;
};

/* The reasons for which there is no file, each with the flag that a template asks for. */
static const struct reason {
	const char *flag;
	int status;
} reasons[HANDOVER_REFUSALS] = {
	[HANDOVER_REQUEST] = {"is_away", 503},          [HANDOVER_TICKET_VOID] = {"is_void", 409},
	[HANDOVER_UNFINISHED] = {"is_unfinished", 409}, [HANDOVER_DELETED] = {"is_deleted", 410},
	[HANDOVER_ELSEWHERE] = {"is_elsewhere", 503},   [HANDOVER_MISSING] = {"is_missing", 404},
	[HANDOVER_DAMAGED] = {"is_damaged", 409},       [HANDOVER_AWAY] = {"is_away", 503},
};
static const struct reason plain = {"is_plain", 403};
static const struct reason never = {"is_never", 403};

static int on_transfer_free(struct transfer *t)
{
	if (t->fd >= 0)
		(void)close(t->fd); /* only read from */
	if (t->packet)
		secret_wipe(t->packet, strlen(t->packet));
	return 0;
}

static struct transfer *transfer_of(struct visit *v)
{
	struct transfer *t = v->data;

	if (t)
		return t;
	t = t_zero(visit_ctx(v), struct transfer);
	t->v = v;
	t->fd = -1;
	t->status = 200;
	talloc_set_destructor(t, on_transfer_free);
	for (size_t i = 0; i < LENGTH(reasons); i++)
		values_set(v->values, reasons[i].flag, NULL);
	values_set(v->values, plain.flag, NULL);
	values_set(v->values, never.flag, NULL);
	v->data = t;
	return t;
}

static void set_reason(struct visit *v, const struct reason *reason)
{
	values_flag(v->values, reason->flag, true);
	transfer_of(v)->status = reason->status;
}

/* The daemon does not answer, which is for the administrator. */
static void set_away(struct visit *v, const char *why)
{
	visit_answer_note(v, LOG_WARNING, t_printf(visit_ctx(v), "no files of archives: %s", why));
	set_reason(v, &reasons[HANDOVER_AWAY]);
}

static bool ends_with(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n > m && strcmp(text + n - m, end) == 0;
}

/* Whether web.conf lets this file go out: the sums and the manifest hold no data of a person. */
static bool may_give(const struct visit *v, const char *name)
{
	const enum web_downloads which = v->web->config->downloads;

	return which == WEB_DOWNLOADS_ALL ||
	       (which == WEB_DOWNLOADS_ENCRYPTED &&
		(ends_with(name, ".age") || strcmp(name, "SHA256SUMS") == 0 ||
		 strcmp(name, "manifest.json") == 0));
}

/* --- Sending ---------------------------------------------------------------------------------- */

/* Adds the next n bytes of the file; false: it has no more, or the disk fails. */
static bool read_part(struct transfer *t, struct evbuffer *part, size_t n)
{
	struct evbuffer_iovec space;
	ssize_t got;

	if (evbuffer_reserve_space(part, (ev_ssize_t)n, &space, 1) != 1)
		must_alloc(NULL); /* the only way in which it can fail */
	got = pread(t->fd, space.iov_base, n, (off_t)t->sent);
	space.iov_len = got > 0 ? (size_t)got : 0;
	(void)evbuffer_commit_space(part, &space, 1); /* cannot fail for what was reserved */
	t->sent += got > 0 ? got : 0;
	return got > 0;
}

static void send_part(struct visit *v)
{
	struct transfer *t = v->data;
	const int64_t left = t->bytes - t->sent;
	struct evbuffer *part;

	if (left == 0) {
		const char *const values[] = {t->id,
					      t_printf(visit_ctx(v), "%lld", (long long)t->sent)};

		visit_act(v, "SELECT retention.end_download($1::int, $2::bigint)", 2, values,
			  visit_end, visit_end);
		return;
	}
	part = must_alloc(evbuffer_new());
	if (read_part(t, part, left < (int64_t)PART_BYTES ? (size_t)left : PART_BYTES)) {
		visit_chunk(v, part, send_part);
	} else {
		visit_answer_note(v, LOG_ERR, "a file became shorter while it was sent");
		visit_cut(v);
	}
	evbuffer_free(part);
}

static void send_file(struct visit *v)
{
	struct transfer *t = v->data;

	if (t->fd < 0) {
		t->again(v);
		return;
	}
	visit_answer_note(v, LOG_INFO, t_printf(visit_ctx(v), "download %s: %s", t->id, t->name));
	visit_answer_header(v, "Content-Length",
			    t_printf(visit_ctx(v), "%lld", (long long)t->bytes));
	visit_stream(v, TYPE, t->name);
	send_part(v);
}

/* --- Taking ----------------------------------------------------------------------------------- */

static void on_taken(void *arg, const struct handover_answer *answer, int fd, const char *why)
{
	struct transfer *t = arg;

	t->fd = fd;
	if (!answer)
		set_away(t->v, why);
	else if (!answer->given)
		set_reason(t->v, &reasons[answer->refusal]);
	else if (fd >= 0 && strcmp(answer->files[0].name, t->name) == 0)
		t->bytes = answer->files[0].bytes;
	else
		set_away(t->v, "it gave another file");
	if (t->status != 200 && t->fd >= 0) {
		(void)close(t->fd); /* nothing was read */
		t->fd = -1;
	}
	visit_resume(t->v, send_file);
}

/* The ticket is in the database. */
static void take(struct visit *v)
{
	struct transfer *t = v->data;
	const PGresult *row = visit_rows(v, "act");

	t->id = t_strdup(t, db_value(row, 0, "id"));
	t->name = t_strdup(t, db_value(row, 0, "file"));
	visit_wait(v);
	files_ask(t, visit_base(v), v->web->config->archives, t->packet, on_taken, t);
}

/* A new ticket; its digest as SQL takes it. */
static char *make_ticket(struct transfer *t)
{
	unsigned char ticket[SECRET_BYTES], digest[SECRET_BYTES];
	char hex[SECRET_HEX + 1];

	secret_random(ticket);
	secret_sha256((const char *)ticket, sizeof(ticket), digest);
	secret_print(digest, hex);
	t->packet = handover_take(t, ticket);
	secret_wipe(ticket, sizeof(ticket));
	return t_printf(t, "\\x%s", hex);
}

static void on_refused(struct visit *v)
{
	struct transfer *t = v->data;
	const char *id = v->refusal->id ? v->refusal->id : "";

	if (strcmp(id, "retention.download_deleted") == 0 ||
	    strcmp(id, "retention.document_removed") == 0)
		set_reason(v, &reasons[HANDOVER_DELETED]);
	else if (strcmp(id, "retention.download_no_archive") == 0 ||
		 strcmp(id, "retention.document_missing") == 0)
		set_reason(v, &reasons[HANDOVER_UNFINISHED]);
	if (t->status == 200)
		visit_fail(v, v->refusal->status, v->refusal->text);
	else
		t->again(v);
}

/* --- Files of an archive ---------------------------------------------------------------------- */

static const char archive_sql[] =
	"SELECT j.id, j.host AS machine, j.archive_path AS place,\n"
	"       nullif(j.archive_deleted_by, 'expiry') AS deleted_by, j.archive_deleted_at AS deleted_at,\n"
	"       j.archive_path IS NULL OR j.status <> 'done' AS unfinished\n"
	"  FROM retention.archive_journal AS j WHERE j.id = $1::int";

static const char downloads_sql[] =
	"SELECT d.asked_by, d.file, d.asked_at, d.ended_at IS NOT NULL AS is_whole,\n"
	"       d.taken_at IS NULL AS is_refused, d.bytes\n"
	"  FROM retention.download AS d WHERE d.job = $1::int ORDER BY d.id DESC LIMIT 50";

static void render_archive(struct visit *v)
{
	values_rows(v->values, "downloads", visit_rows(v, "downloads"));
	visit_render(v, transfer_of(v)->status, "archive_files");
}

static void add_files(struct visit *v, const struct handover_answer *answer)
{
	bool holds_back = false, encrypted = false;

	for (size_t i = 0; i < answer->n_files; i++) {
		const struct handover_file *file = &answer->files[i];
		struct values *row = values_add(v->values, "files");
		const char *path = t_printf(row, "/actions/%s/archive/%s", v->part[0], file->name);
		const bool given = may_give(v, file->name);

		values_set(row, "name", file->name);
		values_setf(row, "bytes", "%lld", (long long)file->bytes);
		values_flag(row, "is_given", given);
		values_set(row, "token", session_token(v->session, row, path));
		holds_back = holds_back || !given;
		encrypted = encrypted || ends_with(file->name, ".age");
	}
	values_flag(v->values, "holds_back", holds_back);
	values_flag(v->values, "is_encrypted", encrypted);
}

static void on_listed(void *arg, const struct handover_answer *answer, int fd, const char *why)
{
	struct transfer *t = arg;

	if (fd >= 0)
		(void)close(fd); /* nobody has asked for it */
	if (!answer)
		set_away(t->v, why);
	else if (!answer->given)
		set_reason(t->v, &reasons[answer->refusal]);
	else
		add_files(t->v, answer);
	visit_resume(t->v, render_archive);
}

static void show_archive(struct visit *v)
{
	struct transfer *t = transfer_of(v);
	const PGresult *row;

	if (!one_action_show(v))
		return;
	row = visit_rows(v, "archive");
	values_row(v->values, row, 0);
	values_list(v->values, "files");
	values_set(v->values, "holds_back", NULL);
	values_list(v->values, "downloads");
	if (db_bool(row, 0, "unfinished"))
		set_reason(v, &reasons[HANDOVER_UNFINISHED]);
	else if (db_text(row, 0, "deleted_at"))
		set_reason(v, &reasons[HANDOVER_DELETED]);
	else if (v->web->config->downloads == WEB_DOWNLOADS_NEVER)
		values_flag(v->values, never.flag, true);
	else if (t->status == 200 || t->status == plain.status) {
		visit_wait(v);
		files_ask(t, visit_base(v), v->web->config->archives,
			  handover_list(t, (int)db_int(row, 0, "id")), on_listed, t);
		return;
	}
	render_archive(v);
}

void page_files(struct visit *v)
{
	(void)transfer_of(v);
	one_action_ask(v);
	visit_ask(v, "archive", archive_sql, 1, v->part);
	visit_ask(v, "downloads", downloads_sql, 1, v->part);
	visit_then(v, show_archive);
}

void page_file_post(struct visit *v)
{
	struct transfer *t = transfer_of(v);
	const char *values[3] = {v->part[0], v->part[1], NULL};

	t->again = page_files;
	if (!handover_is_name(v->part[1])) {
		visit_fail(v, 404, NULL);
		return;
	}
	if (!may_give(v, v->part[1])) {
		set_reason(v, v->web->config->downloads == WEB_DOWNLOADS_NEVER ? &never : &plain);
		page_files(v);
		return;
	}
	values[2] = make_ticket(t);
	visit_act(v,
		  "SELECT retention.ask_download($1::int, $2, $3::bytea) AS id, $2::text AS file",
		  3, values, take, on_refused);
}

/* --- The document of a contact ---------------------------------------------------------------- */

static const char document_sql[] =
	"SELECT r.id, r.subject, r.asked_by, r.asked_at, r.host AS machine, r.document AS name,\n"
	"       r.ended_at + interval '30 days' AS expires, r.document_removed_at AS deleted_at\n"
	"  FROM retention.request AS r WHERE r.id = $1::int AND r.document IS NOT NULL AND r.outcome = 'ok'";

static void show_document(struct visit *v)
{
	const PGresult *row = visit_rows(v, "document");

	if (PQntuples(row) == 0) {
		visit_fail(v, 404, NULL);
		return;
	}
	values_row(v->values, row, 0);
	values_flag(v->values, "at_person", true);
	if (db_text(row, 0, "deleted_at"))
		set_reason(v, &reasons[HANDOVER_DELETED]);
	else if (v->web->config->downloads == WEB_DOWNLOADS_NEVER)
		values_flag(v->values, never.flag, true);
	visit_token(v, "token", v->path);
	visit_render(v, transfer_of(v)->status, "document");
}

void page_document(struct visit *v)
{
	(void)transfer_of(v);
	visit_ask(v, "document", document_sql, 1, v->part);
	visit_then(v, show_document);
}

void page_document_post(struct visit *v)
{
	struct transfer *t = transfer_of(v);
	const char *values[2] = {v->part[0], NULL};

	t->again = page_document;
	if (v->web->config->downloads == WEB_DOWNLOADS_NEVER) {
		set_reason(v, &never);
		page_document(v);
		return;
	}
	values[1] = make_ticket(t);
	visit_act(
		v,
		"SELECT x.id, (SELECT r.document FROM retention.request AS r WHERE r.id = $1::int) AS file\n"
		"  FROM retention.ask_document($1::int, $2::bytea) AS x(id)",
		2, values, take, on_refused);
}

/* --- Verifying an archive --------------------------------------------------------------------- */

static void on_asked(struct visit *v)
{
	visit_redirect(v, "/actions/%s", v->part[0]);
}

static void on_not_asked(struct visit *v)
{
	/* Somebody has asked already: the page of the action shows the answer to both. */
	if (v->refusal->id && strcmp(v->refusal->id, "retention.request_twice") == 0)
		on_asked(v);
	else
		one_action_refused(v);
}

void page_archive_verify_post(struct visit *v)
{
	visit_act(v, "SELECT retention.ask('verify_archive', $1::int)", 1, v->part, on_asked,
		  on_not_asked);
}

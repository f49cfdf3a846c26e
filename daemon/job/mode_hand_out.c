/*
 * Gives one file of an archive to the web page, for a ticket that a person has asked for in their own session.  So the
 * page's user has no right on a folder and learns no path, and nothing of the archive passes through the database.
 *
 *	ask	the page: retention.ask_download() in the person's session commits the ticket's digest, and the event with the
 *		person's name.  Dying after it: the ticket is void after a minute, and the event says "asked".
 *	connect	the page, at archives.web_socket; retentiond checks its user (supervisor/gate.c) and starts this process
 *		with the open socket.  retentiond dying: this process gets SIGTERM and ends, and the page sees the end of
 *		the socket.  The ticket stays good for its minute, also for the next retentiond.
 *	redeem	take_download() uses the ticket up, and commits.  Dying after it: the page sees the end of the socket and
 *		says so; the person asks again, for another ticket.
 *	open	the archive as the journal has it now: of an action that is done, not deleted, of this host, with the sums
 *		of the journal.  The file is one that SHA256SUMS names.
 *	send	the open descriptor.  It is in the socket or not: no half of it.  Dying after it changes nothing.
 *	read	the page reads the descriptor.  If the archive is deleted meanwhile, the file lives until it is read.  The
 *		page dying: the person's connection breaks, before all bytes of Content-Length have come.
 *	end	the page: retention.end_download() in the person's session.  Dying before it: download.ended_at stays NULL.
 *
 * A list of an archive's files needs no ticket: the names and sizes tell nothing that the journal does not.
 */
#include "job/mode.h"

#include "archive/reader.h"
#include "base/file.h"
#include "base/handover.h"
#include "job/document.h"
#include "journal/fits.h"
#include "journal/identity.h"

#include <sys/socket.h>

#define TIMEOUT_MS 10000

struct hand_out {
	const struct job_opts *opts;
	void *ctx;
	struct handover_request request;
	enum handover_refusal refusal; /* where nothing is given */
	char *answer; /* NULL: nothing is given */
	int fd; /* that goes with it; -1: none */
	const char *why; /* a disk or an archive failed, for the log; NULL: it did not */
};

/* false, and says why nothing is given. */
static bool refuse(struct hand_out *h, enum handover_refusal refusal, const char *why)
{
	h->refusal = refusal;
	h->why = why ? t_strdup(h->ctx, why) : NULL;
	return false;
}

/* Is the text the one whose digest the journal has?  An archive of a restored database may have none there. */
static bool has_digest(const char *text, const char *hex)
{
	AUTO(error) struct error err = {0};
	AUTO(digest) struct digest *digest = digest_new();
	char found[FILE_HEX + 1];

	digest_add(digest, text, strlen(text));
	return !hex || (digest_end(digest, found, &err) && strcmp(found, hex) == 0);
}

/* Opens the archive of an action.  *ret is NULL where it is refused; false: the database fails. */
static bool open_archive(struct hand_out *h, struct db *db, const char *job,
			 struct archive_reader **ret, struct error *err)
{
	static const char sql[] =
		"SELECT j.archive_path, j.counters->>'sums_sha256' AS sums,\n"
		"       j.archive_path IS NULL OR j.status <> 'done' AS unfinished,\n"
		"       j.archive_deleted_at IS NOT NULL AS deleted,\n"
		"       j.host IS DISTINCT FROM $2 AS elsewhere\n"
		"  FROM retention.archive_journal AS j WHERE j.id = $1::int";
	const char *const values[] = {job, h->opts->host};
	AUTO(error) struct error cause = {0};
	AUTO(result) PGresult *res = NULL;
	struct archive_reader *archive = NULL;

	*ret = NULL;
	if (!db_query(db, sql, 2, values, &res, err))
		return false;
	if (PQntuples(res) == 0 || db_bool(res, 0, "unfinished"))
		(void)refuse(h, HANDOVER_UNFINISHED, NULL);
	else if (db_bool(res, 0, "deleted"))
		(void)refuse(h, HANDOVER_DELETED, NULL);
	else if (db_bool(res, 0, "elsewhere"))
		(void)refuse(h, HANDOVER_ELSEWHERE, NULL);
	else if (!archive_reader_open(h->opts->config->directory, db_text(res, 0, "archive_path"),
				      h->ctx, &archive, &cause))
		(void)refuse(h, HANDOVER_MISSING, cause.text);
	else if (!has_digest(archive->sums, db_text(res, 0, "sums")))
		(void)refuse(h, HANDOVER_DAMAGED,
			     "its SHA256SUMS is not the one whose digest the journal has");
	else
		*ret = archive;
	return true;
}

/* Opens the file for which a ticket was redeemed. */
static bool open_taken(struct hand_out *h, struct db *db, const PGresult *res, int64_t *ret_bytes,
		       struct error *err)
{
	const char *job = db_text(res, 0, "job"), *file = db_text(res, 0, "file");
	AUTO(error) struct error cause = {0};
	struct archive_reader *archive = NULL;

	if (!job) {
		if (!document_open(h->opts->config->directory, file, &h->fd, ret_bytes, &cause))
			(void)refuse(h, HANDOVER_MISSING, cause.text);
		return true;
	}
	if (!open_archive(h, db, job, &archive, err))
		return false;
	if (archive && !archive_reader_open_stored(archive, file, &h->fd, ret_bytes, &cause))
		(void)refuse(h, HANDOVER_MISSING, cause.text);
	return true;
}

static bool take(struct hand_out *h, struct db *db, struct error *err)
{
	const char *const values[] = {t_printf(h->ctx, "\\x%s", h->request.ticket), h->opts->host};
	AUTO(result) PGresult *res = NULL;
	const char *file;
	int64_t bytes = 0;

	if (!db_query(db, "SELECT * FROM retention.take_download($1::bytea, $2)", 2, values, &res,
		      err))
		return false;
	if (PQntuples(res) == 0) {
		(void)refuse(h, HANDOVER_TICKET_VOID, NULL);
		return true;
	}
	if (db_bool(res, 0, "elsewhere")) {
		(void)refuse(h, HANDOVER_ELSEWHERE, NULL);
		return true;
	}
	file = db_text(res, 0, "file");
	if (!handover_is_name(file))
		return fail(err, ERR_CONFIG, "retention.download has a name that no file has");
	if (!open_taken(h, db, res, &bytes, err))
		return false;
	if (h->fd >= 0)
		h->answer = handover_file(h->ctx, (int)db_int(res, 0, "id"), bytes, file);
	report_detail(h->opts->report, "download %s of %s: %s", db_text(res, 0, "id"),
		      db_text(res, 0, "asked_by"), h->fd >= 0 ? "handed over" : "refused");
	return true;
}

static bool list(struct hand_out *h, struct db *db, struct error *err)
{
	AUTO(error) struct error cause = {0};
	struct archive_reader *archive = NULL;
	const char **names;
	char *answer = t_strdup(h->ctx, "files");

	if (!open_archive(h, db, t_printf(h->ctx, "%d", h->request.job), &archive, err))
		return false;
	if (!archive)
		return true;
	names = archive_reader_names(archive, h->ctx, &cause);
	for (size_t i = 0; names && names[i]; i++) {
		AUTO(fd) int fd = -1;
		int64_t bytes = 0;

		if (!archive_reader_open_stored(archive, names[i], &fd, &bytes, &cause))
			break;
		if (handover_is_name(names[i]))
			handover_add(&answer, bytes, names[i]);
	}
	if (cause.class != ERR_NONE)
		(void)refuse(h, HANDOVER_DAMAGED, cause.text);
	else if (strlen(answer) < HANDOVER_MAX)
		h->answer = answer;
	else
		(void)refuse(h, HANDOVER_MISSING, "it has too many files to be listed");
	return true;
}

static bool answer(const struct job_opts *opts, void *arg, struct db *db, struct error *err)
{
	struct hand_out *h = arg;

	/* A copy of the database knows archives that are not its own. */
	return schema_fits(db, err) && identity_check(db, opts->config->directory, err) &&
	       (h->request.takes ? take(h, db, err) : list(h, db, err));
}

enum job_exit mode_hand_out_run(const struct job_opts *opts)
{
	static const struct timeval patience = {.tv_sec = TIMEOUT_MS / 1000};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct hand_out h = {.opts = opts, .ctx = ctx, .fd = -1};
	char *packet = t_array(ctx, char, HANDOVER_MAX);
	AUTO(error) struct error err = {0}, lost = {0};
	AUTO(fd) int unwanted = -1;
	enum job_exit end = JOB_DONE;
	ssize_t n;

	(void)setsockopt(opts->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(opts->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = handover_receive(opts->socket, packet, &unwanted);
	if (n <= 0)
		return JOB_DONE; /* it has gone, or says nothing */
	if (handover_read_request(packet, (size_t)n, &h.request)) {
		end = mode_run(opts, TIMEOUT_MS, answer, &h, &err);
		if (end != JOB_DONE)
			(void)refuse(&h, HANDOVER_AWAY, err.text);
	}
	if (end != JOB_DONE && h.fd >= 0) {
		(void)close(h.fd); /* only read from */
		h.fd = -1;
	}
	if (h.why)
		report_complaint(opts->report, "a file of an archive is not handed over: %s",
				 h.why);
	(void)handover_send(opts->socket,
			    end == JOB_DONE && h.answer ? h.answer : handover_no(h.refusal), h.fd,
			    &lost);
	return end;
}

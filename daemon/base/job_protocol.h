/*
 * The protocol between retentiond and its jobs.  Both ends are in this file: retention-job writes, the
 * supervisor reads.  It consists of an exit status and of lines on the status pipe.
 *
 *	retention-job --config-fd N --status-fd M --host NAME [--build VERSION] MODE [--once]
 *
 * A job of another build than VERSION refuses to work: an upgrade has replaced the file under a daemon that runs, and
 * the two may not mean the same by this protocol and by the database.
 * MODE is --job ID, --check, --expire, --measure, --answer, or --hand-out SOCKET.  The lines:
 *
 *	progress DONE DUE ETA_SECONDS	-1: not known yet
 *	waiting REASON [TEXT]		the job or the check does not go on (enum wait_reason); "none": it goes on
 *	complaint TEXT			one fault of the model or of an archive
 *	sample NAME{LABELS} VALUE	one value of a survey (base/metrics.h)
 *	batch MS ROWS NEXT MOST BLOCKED	a batch has committed: struct metrics_batch
 *	detail TEXT			what the job or the check does, and why, for the log
 *	note TEXT			how the job ended, for the log
 *
 * Each line ends with a newline, and no text contains one.
 */
#pragma once

#include "base/mem.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The purpose of a retention-job process. */
enum job_mode {
	MODE_ACTION, /* one action of the journal */
	MODE_CHECK, /* the model against the database; the daemon begins to work with it */
	MODE_TEST, /* the same for a person: begins nothing, and changes no setting */
	MODE_EXPIRE, /* archives that were deleted or have expired */
	MODE_MEASURE, /* a survey for the metrics */
	MODE_ANSWER, /* the requests of people: retention.request */
	MODE_HAND_OUT, /* a file of an archive, to the client of a socket: base/handover.h */
	JOB_MODES
};

/* The mode's option, without its dashes. */
const char *job_mode_option(enum job_mode mode);

/* How a job ends: its exit status, except JOB_CRASHED. */
enum job_exit {
	JOB_DONE = 0, /* finished; a check: the model holds */
	JOB_FAILED = 1, /* finished as failed; the action's row says why */
	JOB_USAGE = 2, /* wrong arguments; its parent reads JOB_CRASHED */
	JOB_REFUSED =
		3, /* the model, a right or a clock is wrong: nothing touched, needs a person */
	JOB_STOPPED = 4, /* SIGTERM: resumable */
	JOB_SAVED = 5, /* listed, and waits for a person's validation */
	JOB_TAKEN = 6, /* another daemon holds it, or it has ended meanwhile */
	JOB_AWAY = 7, /* gave up because the database cannot be reached */
	/* Finished, with keys that failed or stayed locked; a check: the database answers, but not all was looked at. */
	JOB_INCOMPLETE = 8,
	JOB_CRASHED, /* a signal, a failed exec, or a status that means nothing */
};

/*
 * The meaning of a status from waitpid().  stopped: the parent sent SIGTERM or SIGKILL.  A job that dies of
 * either has stopped, even before it had a handler, because its open batch rolls back.
 */
enum job_exit job_exit_of(int status, bool stopped);

/* Why a job does not go on. */
enum wait_reason {
	WAIT_NONE,
	WAIT_WINDOW,
	WAIT_PAUSED, /* by an operator */
	WAIT_STANDBY,
	WAIT_SLOT,
	WAIT_ARCHIVER,
	WAIT_SNAPSHOT,
	WAIT_RATE, /* rows_per_second: a rest after each batch */
	WAIT_COURTESY,
	WAIT_LOCKS,
	WAIT_OTHER, /* an error of the server, the network or the disk: the text names it */
	WAIT_REASONS
};

/* The word on the status pipe and in the metric retentiond_job_waiting{for="..."}. */
extern const char *const wait_words[WAIT_REASONS];

/* The reason is for programs, the text for people. */
struct wait {
	enum wait_reason reason;
	char *text; /* owned; NULL for WAIT_NONE */
};

/* Replaces the reason and the text. */
void wait_set(struct wait *wait, enum wait_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Makes it WAIT_NONE and frees the text. */
void wait_clear(struct wait *wait);

#define auto_wait wait_clear /* AUTO(wait) */

enum job_word {
	WORD_PROGRESS,
	WORD_WAITING,
	WORD_COMPLAINT,
	WORD_DETAIL,
	WORD_WARNING,
	WORD_NOTE,
	WORD_SAMPLE,
	WORD_BATCH,
	WORDS
};

struct job_progress {
	int64_t done, due; /* subjects; -1: not known yet */
	int64_t eta_s; /* likewise */
};

/* --- The job's end: safe to call from any thread ---------------------------------------------- */

struct report;

/* fd -1: drops all lines. */
struct report *report_new(int fd);

/* Once no thread uses it; fd stays open.  NULL is fine. */
void report_free(struct report *r);

DEFINE_AUTO(report, struct report, report_free)

void report_progress(struct report *r, const struct job_progress *progress);

/* text NULL: the job goes on, whatever the reason.  The same as last time is not written again. */
void report_waiting(struct report *r, enum wait_reason reason, const char *text);

void report_batch(struct report *r, const struct metrics_batch *batch);

/* Writes a line of a word that a text follows. */
void report_line(struct report *r, enum job_word word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define report_complaint(r, ...) report_line((r), WORD_COMPLAINT, __VA_ARGS__)
#define report_detail(r, ...) report_line((r), WORD_DETAIL, __VA_ARGS__)
#define report_warning(r, ...) report_line((r), WORD_WARNING, __VA_ARGS__)
#define report_note(r, ...) report_line((r), WORD_NOTE, __VA_ARGS__)
#define report_sample(r, ...) report_line((r), WORD_SAMPLE, __VA_ARGS__)

/* A copy of the text last given to report_waiting(), the caller's to free, and its reason; NULL: the job goes on. */
char *report_waits_for(struct report *r, enum wait_reason *ret_reason);

/* --- The parent's end ------------------------------------------------------------------------- */

/* A line.  The word says which of the other members hold a value. */
struct job_message {
	enum job_word word;
	struct job_progress progress;
	enum wait_reason reason;
	struct metrics_batch batch;
	const char *text; /* "" where a line has none; valid during the call */
};

/* Gathers bytes to lines.  All zero at first. */
struct job_reader {
	char line[2048]; /* the rest of a longer line is dropped */
	size_t length;
	bool overlong; /* drops bytes up to the next newline */
};

/*
 * Calls on_message for each line that the bytes complete.  The job may be in any state, so nothing is trusted: a
 * control character becomes "?", and a line that makes no sense is dropped.
 */
void job_reader_take(struct job_reader *reader, const char *bytes, size_t n,
		     void (*on_message)(void *arg, const struct job_message *message), void *arg);

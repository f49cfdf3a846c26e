/*
 * What retention-job tells its parent: an exit status, and lines on the status descriptor.
 *
 *	retention-job --config-fd N --status-fd M --host NAME --job ID [--once]
 *	retention-job --config-fd N --status-fd M --check
 *	retention-job --config-fd N --status-fd M --host NAME --tidy
 *	retention-job --config-fd N --status-fd M --measure
 *
 * Lines, each ended by a newline, text never holding one:
 *	progress DONE DUE ETA_SECONDS	-1: not known yet
 *	waiting TEXT			what the job waits for; "waiting" alone: nothing any more
 *	complaint TEXT			one thing that is wrong, with the model or an archive
 *	sample NAME{LABELS} VALUE	--measure: one value (base/metrics.h)
 *	batch MS ROWS NEXT MOST BLOCKED	a batch has committed: struct metrics_batch
 *	note TEXT			how it ended, for the log and STATUS=
 */
#ifndef RETENTION_BASE_JOB_EXIT_H
#define RETENTION_BASE_JOB_EXIT_H

enum job_exit {
	JOB_DONE = 0, /* ended; --check: the model holds */
	JOB_FAILED = 1, /* ended as failed */
	JOB_USAGE = 2, /* wrong arguments */
	JOB_REFUSED =
		3, /* the model, a right or a clock is wrong: nothing touched, a person is needed */
	JOB_STOPPED = 4, /* SIGTERM: resumable */
	JOB_SAVED = 5, /* listed, and waits for a person's validation */
	JOB_TAKEN = 6, /* another daemon holds it, or it has ended meanwhile */
	JOB_AWAY = 7, /* --check, --tidy, --measure, --once: the database could not be reached */
	JOB_INCOMPLETE =
		8, /* ended as done, with keys that could not be treated or stayed locked */
};

#endif

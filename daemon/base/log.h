/*
 * The log: one line an event, with fields where journald listens, else syslog(3), else stderr.
 * It never holds personal data, only keys of a database, names from the configuration and counts.
 *
 * The destination is chosen once, by log_open(); RETENTION_LOG=journal|syslog|stderr overrides.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* The kinds of event that an administrator may search for; each has a MESSAGE_ID in base/log.c. */
enum log_kind {
	KIND_GENERAL,
	KIND_STARTED,
	KIND_STOPPED,
	KIND_RELOADED,
	KIND_RELOAD_REFUSED,
	KIND_DATABASE_AWAY,
	KIND_DATABASE_BACK,
	KIND_JOB_STARTED,
	KIND_JOB_PROGRESS,
	KIND_JOB_WAITING,
	KIND_JOB_DONE,
	KIND_JOB_FAILED,
	KIND_JOB_STOPPED,
	KIND_KEY_FAILED,
	KIND_APPROVAL_NEEDED,
	KIND_STATE,
	KIND_COUNT
};

/* Fields of a line; 0 or NULL: not given. */
struct log_fields {
	const char *policy;
	const char *action;
	int64_t job;
	int64_t rows; /* given when has_rows */
	bool has_rows;
	const char *person; /* the role for which the page acts */
	const char *remote; /* the address of the person's browser */
};

/* Opens the log for a program ("retentiond"); verbose lets LOG_DEBUG through. */
void log_open(const char *program, bool verbose);

/* Lines say from now on "retentiond@acme"; NULL: the daemon has no name.  Is called once. */
void log_instance(const char *instance);

/* Writes one line.  priority is syslog's; fields may be NULL. */
void log_event(int priority, enum log_kind kind, const struct log_fields *fields, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/*
 * Shows a line below the log until the next one or the next event replaces it; NULL: removes it.  Does nothing where
 * stderr is not a terminal.
 */
void log_status(const char *text);

#define log_debug(...) log_event(LOG_DEBUG, KIND_GENERAL, NULL, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, KIND_GENERAL, NULL, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARNING, KIND_GENERAL, NULL, __VA_ARGS__)
#define log_err(...) log_event(LOG_ERR, KIND_GENERAL, NULL, __VA_ARGS__)

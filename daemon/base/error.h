/*
 * One error path: a function that can fail returns bool and takes a struct error last.  false means that the error
 * holds the first failure, and that nothing behind a ret_ parameter was changed.  Only the programs, the supervisor's
 * callbacks and the job's top loop log; functions below them do not.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

/* Says how a caller reacts to a failure.  Callers branch on nothing else, never on a text. */
enum error_class {
	ERR_NONE,
	ERR_USAGE, /* wrong use of a program: exit status 2 */
	ERR_CONFIG, /* file, model, rights: refuse, change nothing, wait for a person */
	ERR_DATA, /* the rows at hand: halve the batch until the one at fault stands alone */
	ERR_BUSY, /* the lock of another session: leave the rows for a later sweep */
	ERR_ENVIRONMENT, /* server, network, disk: roll back, back off, try again */
	ERR_CHANGED, /* the tables are not those that the job has checked: roll back, check them again */
	ERR_STOPPED, /* a stop was asked for: roll back, resumable */
};

struct error {
	enum error_class class;
	char sqlstate[6]; /* "" when the failure does not come from the server */
	bool memory; /* the server had no room for a value: one that is too large, or many at a time */
	char *text; /* owned; names the object, what is wrong, what to do; no full stop */
};

/*
 * Fills err, unless it already holds an earlier failure, and returns false:
 *	return fail(err, ERR_CONFIG, "%s:%d: ...", file, line);
 */
bool fail(struct error *err, enum error_class class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As fail(), with ": strerror(errno)" appended. */
bool fail_errno(struct error *err, enum error_class class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The class of an SQLSTATE (one bad contact must not stop a pass). */
enum error_class error_class_of_sqlstate(const char *sqlstate);

/* Frees the text and makes err empty; err itself belongs to the caller. */
void error_clear(struct error *err);

#define auto_error error_clear /* AUTO(error) */

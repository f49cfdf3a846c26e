/*
 * Complaints: everything that is wrong with a configuration file or a model, collected so that an
 * administrator can correct it all in one go.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

/* A place in a configuration file, for messages. */
struct place {
	const char *file;
	int line; /* 0: the file as a whole */
};

/* Texts of the form "file:line: what is wrong, and what to do". */
struct complaints {
	char **lines; /* n */
	unsigned int *orders; /* n, ascending: the order of each line */
	size_t n;
	void *ctx; /* talloc: owns the arrays and texts; NULL while there are none */
};

/*
 * Adds a complaint after all that have the same order or a lower one.  A reader passes the number of
 * the line, so that complaints are sorted by line although it reads the text in several passes.
 */
void complain_sorted(struct complaints *c, unsigned int order, const struct place *at,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Adds a complaint at the end. */
#define complain(c, at, ...) complain_sorted((c), UINT_MAX, (at), __VA_ARGS__)

void complaints_clear(struct complaints *c);

#define auto_complaints complaints_clear /* AUTO(complaints) */

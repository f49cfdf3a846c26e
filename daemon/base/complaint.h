/*
 * Complaints: all that is wrong with a configuration file or a model, collected so that an
 * administrator can mend everything in one go.
 */
#ifndef RETENTION_BASE_COMPLAINT_H
#define RETENTION_BASE_COMPLAINT_H

#include <stddef.h>

/* A place in a configuration file, for messages. */
struct place {
	const char *file;
	int line;
};

/* The complaints, in the order of the file: "file:line: what is wrong, and what to do". */
struct complaints {
	char **lines; /* n, talloc'd under the struct's ctx */
	size_t n;
	void *ctx;
};
void complain(struct complaints *c, const struct place *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void complaints_clear(struct complaints *c);

static inline void auto_complaints(struct complaints *c)
{
	complaints_clear(c);
}

#endif

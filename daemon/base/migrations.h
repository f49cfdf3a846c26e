/* The migrations that this binary carries, in their order (made by migrations/embed.sh). */
#ifndef RETENTION_BASE_MIGRATIONS_H
#define RETENTION_BASE_MIGRATIONS_H

#include <stddef.h>

struct migration {
	int version; /* 1, 2, 3: no gaps */
	const char *name; /* "roles" */
	const char *text; /* the file, byte for byte */
};

extern const struct migration migrations[];
extern const size_t migrations_count;

/* What a database must be at for this binary to work on it: the version of the last migration. */
enum { RETENTION_SCHEMA_VERSION = 14 };

#endif

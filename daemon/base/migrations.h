/* The migrations that this binary carries, in their order (made by migrations/embed.sh). */
#pragma once

#include <stddef.h>

struct migration {
	int version; /* 1, 2, 3: no gaps */
	const char *name; /* "roles" */
	const char *text; /* the file, byte for byte */
};

extern const struct migration migrations[];

/* Also the version of the last migration, because versions have no gaps: a database must be at it. */
extern const size_t migrations_count;

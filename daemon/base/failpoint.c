#include "base/failpoint.h"

#ifdef RETENTION_FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void failpoint(const char *name)
{
	static atomic_long passed;
	const char *wish = getenv("RETENTION_FAILPOINT");
	const char *colon = wish ? strchr(wish, ':') : NULL;
	const size_t length = colon ? (size_t)(colon - wish) : wish ? strlen(wish) : 0;
	const long nth = colon ? strtol(colon + 1, NULL, 10) : 1;

	if (!wish || !((length == strlen(name) && strncmp(wish, name, length) == 0) ||
		       (length == 3 && strncmp(wish, "any", 3) == 0)))
		return;
	if (atomic_fetch_add(&passed, 1) + 1 == nth)
		(void)kill(getpid(), SIGKILL); /* does not return */
}
#else
typedef int failpoint_unused; /* ISO C wants a declaration in each file */
#endif

/*
 * Fault points: named places where a test makes the process die.  A release build has none of them.
 * RETENTION_FAILPOINT=NAME[:N] kills this process (SIGKILL) when it passes NAME for the N-th time.  The name "any"
 * counts all points together.
 */
#pragma once

#ifdef RETENTION_FAILPOINTS
void failpoint(const char *name);
#else
static inline void failpoint(const char *name)
{
	(void)name; /* the release build has no fault points */
}
#endif

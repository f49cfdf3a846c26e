/*
 * Fault points: named places where a test build can be made to die.  In a release build nothing is
 * left of them.  RETENTION_FAILPOINT=NAME[:N] kills this process (SIGKILL) when NAME is passed for
 * the N-th time; the name "any" counts all points together.
 */
#ifndef RETENTION_BASE_FAILPOINT_H
#define RETENTION_BASE_FAILPOINT_H

#ifdef RETENTION_FAILPOINTS
void failpoint(const char *name);
#else
static inline void failpoint(const char *name)
{
	(void)name; /* the release build has no fault points */
}
#endif

#endif

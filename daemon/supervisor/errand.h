/*
 * Errands: the children that run no action.  A check of the model, a survey for the metrics, the answers to requests, and
 * the removal of archives that were deleted or have expired.  One runner serves them all; of each kind one child runs at a time.
 */
#pragma once

#include "supervisor/child.h"

/* For a check: longer than its longest statement and a connection. */
#define CHECK_PATIENCE_S 60

struct errand_opts {
	enum job_mode mode; /* all but MODE_EXPIRE may be killed at any line */
	int patience_s; /* a child that says nothing for so long is killed; 0: it has no limit */
	/* A complaint, a sample, or a wait. */
	void (*on_message)(void *arg, const struct job_message *message);
	void (*on_detail)(void *arg, const struct job_message *message); /* NULL: nobody asks */
	void (*on_warning)(void *arg, const struct job_message *message); /* the same */
	/*
	 * The child has ended.  note: its last note; "": none.  JOB_AWAY stands for a child, too,
	 * that said nothing for patience_s.
	 */
	void (*on_end)(void *arg, enum job_exit end, const char *how, const char *note);
	void *arg;
};

struct errand {
	struct errand_opts opts;
	struct children *children;
	struct child *child; /* NULL: none runs */
	bool wanted; /* there may be something to do: errand_proceed() starts a child */
	int64_t not_before_ms; /* of a start that is not wanted; monotonic_ms() */
	struct event *patience;
	char *note;
	bool too_long;
	bool stopping;
};

/* Owned by children; wanted from the start. */
struct errand *errand_new(struct children *children, const struct errand_opts *opts);

/* Starts the child; none may run.  Where it cannot be started, on_end is called before this returns. */
void errand_start(struct errand *errand, const struct config *config);

/*
 * Starts the child if one is wanted, or its time has come, and none runs.  A wish that comes while a child runs is
 * kept, because the child may have read its list already.
 */
void errand_proceed(struct errand *errand, const struct config *config);

/* Starts nothing more.  Sends SIGTERM to the child; SIGKILL if now, or if the child may be killed. */
void errand_stop(struct errand *errand, bool now);

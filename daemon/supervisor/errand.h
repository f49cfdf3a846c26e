/*
 * Errands: the children that run no action.  A check of the model, a survey for the metrics, and the removal of
 * archives that were deleted or have expired.  One runner serves them all; of each kind one child runs at a time.
 */
#pragma once

#include "supervisor/child.h"

struct errand;

struct errand_opts {
	enum job_mode mode; /* MODE_CHECK and MODE_MEASURE only read */
	int patience_s; /* a child that takes longer is killed; 0: it has no limit */
	/* A complaint or a sample. */
	void (*on_message)(void *arg, const struct job_message *message);
	void (*on_detail)(void *arg, const struct job_message *message); /* NULL: nobody asks */
	/*
	 * The child has ended.  note: its last note; "": none.  JOB_AWAY stands for a child, too,
	 * that took longer than patience_s.
	 */
	void (*on_end)(void *arg, enum job_exit end, const char *how, const char *note);
	void *arg;
};

struct errand *errand_new(struct event_base *base, struct children *children,
			  const struct errand_opts *opts);

/* NULL is fine.  Call it after children_free(), because the children may still call back. */
void errand_free(struct errand *errand);

/* Starts the child; none may run.  Where it cannot be started, on_end is called before this returns. */
void errand_start(struct errand *errand, const struct config *config);

/* There may be something to do: the next errand_proceed() starts a child. */
void errand_want(struct errand *errand);

/* Without errand_want() the next child is started in delay_ms, not before. */
void errand_delay(struct errand *errand, int64_t delay_ms);

/*
 * Starts the child if one is wanted, or its time has come, and none runs.  A wish that comes while a child runs is
 * kept, because the child may have read its list already.
 */
void errand_proceed(struct errand *errand, const struct config *config);

bool errand_busy(const struct errand *errand);

/* Neither runs nor is wanted. */
bool errand_settled(const struct errand *errand);

/* Starts nothing more.  Sends SIGTERM to the child; SIGKILL if now, or if the child only reads. */
void errand_stop(struct errand *errand, bool now);

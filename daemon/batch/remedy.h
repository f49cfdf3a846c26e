/*
 * The remedy for a batch that failed and was rolled back.  A pure decision; batch/retry.c carries it out.
 */
#pragma once

#include "base/error.h"

struct failure {
	enum error_class class;
	bool timed_out; /* statement_timeout */
	bool refused; /* DATA, because a foreign key of another row refers to one of these subjects */
	bool memory; /* DATA, because the server had no room: for a value, or for want of memory */
	bool too_large; /* stopped because it holds more rows, or takes longer, than a batch may */
	bool measured; /* its rows were counted before it began */
	bool needs_slices; /* a single subject too large for one batch, not yet cleared for slices */
	bool single; /* one subject */
	bool slice; /* of a single subject that goes in slices */
	bool grouped; /* subjects that refer to one another were put together in it */
	bool may_ask; /* the database can say which subjects are referred to, and is not asked anyway */
	bool last_sweep; /* the sweep before this one changed nothing */
	bool elsewhere; /* ENVIRONMENT: one of the servers over which Citus has spread the rows is away */
};

enum remedy {
	REMEDY_GIVE_UP, /* the job ends: it was asked to stop, or a person has to decide */
	REMEDY_PLAN_AGAIN, /* the tables changed: the model is checked anew */
	REMEDY_CLEAR_FOR_SLICES, /* ask first whether the subject can be deleted in the end */
	REMEDY_MEASURE, /* the same subjects again, their rows counted first */
	REMEDY_UNGROUP, /* the subjects as the list has them, without those that were added */
	REMEDY_HALVE_MEASURED, /* halve, and count the rows of the halves first */
	REMEDY_SPLIT_BY_REFERENCE, /* now the subjects that nothing else refers to, the others later */
	REMEDY_HALVE, /* until the subject at fault stands alone */
	REMEDY_WORK_WHOLE, /* one transaction, however large, because slices cannot work */
	REMEDY_LEAVE, /* a later sweep may succeed */
	REMEDY_RECORD, /* journal the failure; the subject leaves the list */
	REMEDY_LEAVE_SHARD, /* the subjects of other shards go on; wait when only these are left */
	REMEDY_BACK_OFF, /* the server, the network or the disk: wait and try again */
};

enum remedy remedy_for(const struct failure *f);

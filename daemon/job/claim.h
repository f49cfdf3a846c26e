/*
 * The control session of a job and the claim that it holds: whoever has the claim works on the job.
 */
#pragma once

#include "job/job_state.h"

#define CLAIM_SLOT 0 /* of stop_watch() */

/* Opens the control session, which a stop cancels, and takes the claim.  *ret_mine: nobody else has it. */
bool claim_take(struct job *j, bool *ret_mine, struct error *err);

/* Closes the control session; the claim goes with it. */
void claim_drop(struct job *j);

/*
 * Checks that the claim is still this process's, and makes a lost control session anew.  STOPPED: another
 * daemon has the job now.
 */
bool claim_keep(struct job *j, struct error *err);

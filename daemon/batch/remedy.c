#include "batch/remedy.h"

/* The first rule that fits decides.  The unit test has a row for each rule. */
enum remedy remedy_for(const struct failure *f)
{
	const bool rows_at_fault = f->class == ERR_DATA || f->class == ERR_BUSY;

	if (f->class == ERR_CHANGED)
		return REMEDY_PLAN_AGAIN;
	if (f->class == ERR_CONFIG || f->class == ERR_STOPPED)
		return REMEDY_GIVE_UP;
	if (f->needs_slices)
		return REMEDY_CLEAR_FOR_SLICES;
	if (f->grouped && (rows_at_fault || f->timed_out))
		return f->too_large && !f->measured ? REMEDY_MEASURE : REMEDY_UNGROUP;
	if (f->too_large)
		return REMEDY_HALVE_MEASURED;
	if (rows_at_fault && !f->single)
		return f->refused && f->may_ask && !f->last_sweep ? REMEDY_SPLIT_BY_REFERENCE
								  : REMEDY_HALVE;
	if (f->class == ERR_DATA && f->slice && !f->memory)
		return REMEDY_WORK_WHOLE;
	if (f->class == ERR_BUSY || ((f->refused || f->memory) && !f->last_sweep))
		return REMEDY_LEAVE;
	if (f->class == ERR_DATA)
		return REMEDY_RECORD;
	return f->elsewhere ? REMEDY_LEAVE_SHARD : REMEDY_BACK_OFF;
}

#include "batch/batch_size.h"

#define FIRST_WEIGHT 600 /* about a hundred contacts with five requests each */
#define FIRST_ROWS_PER_WEIGHT 6
#define LEAST_ROWS_PER_WEIGHT 0.1
#define LATEST 0.2 /* share of the latest batch in the measured rows */
#define MOST_GROWTH 2.0
#define MOST_SHRINKING 0.3
#define TOO_LONG 0.9 /* aim / duration */
#define TOO_SHORT 1.25
#define APART 2 /* batches whose weights differ by this factor say what is fixed */
#define QUICKER                                                                                    \
	0.8 /* a larger batch that took this share of a smaller one's time: the server is no longer busy */
#define FADING 0.98 /* per batch, so that what is no longer so is forgotten */
#define FOR_ROWS 0.75 /* share of the aim that is left for the rows at least */
#define LEAST_TABLE_ROWS 1000 /* a subject with fewer rows in each table never goes in slices */
#define LEAST_SLICE_ROWS 100

int64_t batch_size_weight(const struct batch_size *size)
{
	return (int64_t)size->weight;
}

int64_t batch_size_rows(const struct batch_size *size)
{
	return (int64_t)(size->weight * size->rows_per_weight);
}

int64_t batch_size_table_rows(const struct batch_size *size)
{
	const int64_t most = 2 * size->batch_rows;

	return most > LEAST_TABLE_ROWS ? most : LEAST_TABLE_ROWS;
}

static double ratio_of(int64_t aim_ms, int64_t took_ms)
{
	return (double)aim_ms / (double)(took_ms > 0 ? took_ms : 1);
}

static double grown(double ratio)
{
	const double half_way = (1 + ratio) / 2;

	return half_way < MOST_GROWTH ? half_way : MOST_GROWTH;
}

/* The weight, at least 1 and at most as batch_rows allows. */
static double bounded(const struct batch_size *size, double weight)
{
	const double behind = size->rows_per_weight > LEAST_ROWS_PER_WEIGHT ? size->rows_per_weight
									    : LEAST_ROWS_PER_WEIGHT;
	const double most = (double)size->batch_rows / behind;

	if (weight > most)
		weight = most;
	return weight < 1 ? 1 : weight;
}

struct batch_size batch_size_new(int64_t batch_rows, double rows_per_weight)
{
	struct batch_size size = {.batch_rows = batch_rows,
				  .rows_per_weight = rows_per_weight > FIRST_ROWS_PER_WEIGHT
							     ? rows_per_weight
							     : FIRST_ROWS_PER_WEIGHT};

	size.weight = bounded(&size, FIRST_WEIGHT);
	return size;
}

/*
 * Two batches of different weights lie on a line, which begins at the fixed cost.  That is no more than either batch
 * took.
 */
static double fixed_of(const struct batch_size *size, const struct batch_took *took)
{
	const bool larger = took->weight > size->seen_weight;
	const double small_ms = (double)(larger ? size->seen_ms : took->ms);
	const double large_ms = (double)(larger ? took->ms : size->seen_ms);
	const double small = (double)(larger ? size->seen_weight : took->weight);
	const double large = (double)(larger ? took->weight : size->seen_weight);
	const double fixed = small_ms - (large_ms - small_ms) / (large - small) * small;

	if (large_ms < QUICKER * small_ms || fixed < 0)
		return 0;
	return fixed < large_ms ? fixed : large_ms;
}

static void learn_fixed(struct batch_size *size, const struct batch_took *took)
{
	const bool first = size->seen_weight == 0;
	const bool apart = took->weight >= APART * size->seen_weight ||
			   size->seen_weight >= APART * took->weight;

	size->fixed_ms = !first && apart ? fixed_of(size, took) : FADING * size->fixed_ms;
	if (size->fixed_ms > (double)took->ms)
		size->fixed_ms = (double)took->ms;
	if (first || apart) {
		size->seen_weight = took->weight;
		size->seen_ms = took->ms;
	}
}

/* The aim, or more where what is fixed leaves too little of it for the rows. */
static int64_t stretched(const struct batch_size *size, int64_t aim_ms)
{
	const int64_t wanted = (int64_t)(size->fixed_ms + FOR_ROWS * (double)aim_ms);

	return wanted > aim_ms ? wanted : aim_ms;
}

void batch_size_adapt(struct batch_size *size, const struct batch_took *took)
{
	double weight = size->weight, ratio;

	learn_fixed(size, took);
	ratio = ratio_of(stretched(size, took->aim_ms), took->ms);
	if (took->weight > 0)
		size->rows_per_weight = (1 - LATEST) * size->rows_per_weight +
					LATEST * ((double)took->rows / (double)took->weight);
	if (took->blocked)
		weight = (double)took->weight / 2;
	else if (ratio < TOO_LONG)
		weight *= ratio < MOST_SHRINKING ? MOST_SHRINKING : ratio;
	else if (ratio > TOO_SHORT && (double)took->weight * 2 > weight)
		/* Only a batch that was at least half as large as it might have been says that a larger one is fine. */
		weight *= grown(ratio);
	size->weight = bounded(size, weight);
}

void batch_size_ease(struct batch_size *size, int64_t weight)
{
	size->weight = bounded(size, (double)weight / 2);
}

int64_t batch_size_first_slice(const struct batch_size *size)
{
	return size->first_slice_rows > 0 ? size->first_slice_rows : batch_size_table_rows(size);
}

int64_t batch_size_next_slice(const struct batch_size *size, int64_t rows, int64_t took_ms,
			      int64_t aim_ms)
{
	const double next = (double)rows * ratio_of(aim_ms, took_ms);
	const int64_t most = batch_size_table_rows(size);

	if (next > (double)most)
		return most;
	return next < LEAST_SLICE_ROWS ? LEAST_SLICE_ROWS : (int64_t)next;
}

bool batch_size_ease_slice(struct batch_size *size, int64_t rows)
{
	if (rows <= LEAST_SLICE_ROWS)
		return false;
	size->first_slice_rows = rows / 2;
	return true;
}

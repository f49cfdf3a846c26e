/*
 * The size of the next batch, or of the next slice of a subject.  Pure arithmetic: nothing here asks a database or a
 * clock.  Each worker has its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct batch_size {
	int64_t batch_rows; /* the configuration's: the most rows of all tables that a batch aims at */
	double weight; /* of the next batch (struct keys); at least 1 */
	double rows_per_weight; /* measured: rows of all tables behind a unit of weight */
	int64_t first_slice_rows; /* of one table, where a slice has timed out; 0: the usual */
	double fixed_ms; /* measured: what a batch takes however small it is */
	int64_t seen_weight; /* of the batch with which the next of another size is compared */
	int64_t seen_ms;
};

/* A batch that has committed. */
struct batch_took {
	int64_t ms;
	int64_t aim_ms; /* the duration that it aimed at */
	int64_t weight; /* of its keys */
	int64_t rows; /* of all tables */
	bool blocked; /* other sessions waited for it */
};

/* rows_per_weight: the tables' average; the first batch counts with it, or with 6 where it is less. */
struct batch_size batch_size_new(int64_t batch_rows, double rows_per_weight);

/* The weight of the next batch, and the rows of all tables that it is likely to have. */
int64_t batch_size_weight(const struct batch_size *size);
int64_t batch_size_rows(const struct batch_size *size);

/*
 * Rows of one table that one transaction takes of its subjects: up to twice what a batch aims at.  A single subject
 * with more goes in slices.
 */
int64_t batch_size_table_rows(const struct batch_size *size);

/*
 * Holds a batch's duration near its aim.  A batch that took too long, or that others waited for, shrinks the next one at
 * once.  A quick one lets the next grow half way to the aim, at most to the double: a batch that has shrunk to one
 * subject is back at its full size after a dozen.
 *
 * What each statement costs however few rows it finds grows with the number of partitions.  A smaller batch does not
 * take less of that, so three quarters of the aim are always left for the rows.
 */
void batch_size_adapt(struct batch_size *size, const struct batch_took *took);

/* A statement has timed out: halves the weight that its keys had. */
void batch_size_ease(struct batch_size *size, int64_t weight);

/* Rows of one table for a subject's first slice, and for the next one after a slice of so many rows. */
int64_t batch_size_first_slice(const struct batch_size *size);
int64_t batch_size_next_slice(const struct batch_size *size, int64_t rows, int64_t took_ms,
			      int64_t aim_ms);

/* A slice of so many rows has timed out: the next attempt begins with half.  false: smaller ones are not worth it. */
bool batch_size_ease_slice(struct batch_size *size, int64_t rows);

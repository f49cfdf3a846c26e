/* Reads the values of a result by the names of their columns. */
#include "database/db.h"

#include "base/mem.h"

#include <errno.h>

static int column_of(const PGresult *res, const char *column)
{
	const int n = PQfnumber(res, column);

	if (n < 0) {
		(void)fprintf(stderr, "retention: no column %s in a result\n", column);
		abort();
	}
	return n;
}

/* Ends the process in an orderly way, because no caller can go on from an answer that cannot be. */
static void __attribute__((noreturn)) end_by_answer(const char *column)
{
	(void)fprintf(
		stderr,
		"retention: the server's answer cannot be right: column %s; is it PostgreSQL, "
		"and is its catalog whole?\n",
		column);
	_exit(EXIT_FAILURE);
}

const char *db_text(const PGresult *res, int row, const char *column)
{
	const int n = column_of(res, column);

	return PQgetisnull(res, row, n) ? NULL : PQgetvalue(res, row, n);
}

const char *db_text_copy(void *ctx, const PGresult *res, int row, const char *column)
{
	const char *text = db_text(res, row, column);

	return text ? t_strdup(ctx, text) : NULL;
}

int64_t db_int(const PGresult *res, int row, const char *column)
{
	const char *text = db_text(res, row, column);
	char *end = NULL;
	long long value;

	if (!text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		end_by_answer(column);
	return value;
}

const char *db_value(const PGresult *res, int row, const char *column)
{
	const char *text = db_text(res, row, column);

	return text ? text : (end_by_answer(column), NULL);
}

size_t db_index(const PGresult *res, int row, const char *column, size_t n)
{
	const int64_t value = db_int(res, row, column);

	if (value < 0 || value >= (int64_t)n)
		end_by_answer(column);
	return (size_t)value;
}

bool db_bool(const PGresult *res, int row, const char *column)
{
	const char *text = db_text(res, row, column);

	return text && *text == 't';
}

#include "base/error.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>

static void __attribute__((format(printf, 4, 0)))
fail_v(struct error *err, enum error_class class, int number, const char *fmt, va_list args)
{
	if (err->class != ERR_NONE)
		return; /* the first failure is the cause of the others */
	err->class = class;
	err->text = xvprintf(fmt, args);
	if (number) {
		AUTO(char_p) char *text = err->text;

		err->text = xprintf("%s: %s", text, strerror(number));
	}
	(void)text_plain(err->text);
}

bool fail(struct error *err, enum error_class class, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail_v(err, class, 0, fmt, args);
	va_end(args);
	return false;
}

bool fail_errno(struct error *err, enum error_class class, const char *fmt, ...)
{
	const int number = errno;
	va_list args;

	va_start(args, fmt);
	fail_v(err, class, number, fmt, args);
	va_end(args);
	return false;
}

void error_clear(struct error *err)
{
	free(err->text);
	*err = (struct error){0};
}

/*
 * The longest prefix comes first.  A state that is not listed (22, 23, P0001 and the like) is a fault of the data: one
 * contact causes it, and halving finds that one.  42 is a schema or a right that has changed under the job, where
 * halving would only blame every contact in turn.
 */
static const struct {
	const char *prefix;
	enum error_class class;
} sqlstates[] = {
	{"57014", ERR_ENVIRONMENT}, /* query_canceled: statement_timeout, or our own PQcancel */
	{"55P03", ERR_BUSY}, /* lock_not_available: our lock_timeout ran out */
	{"40P01", ERR_BUSY}, /* deadlock_detected */
	{"40001", ERR_BUSY}, /* serialization_failure */
	{"40", ERR_ENVIRONMENT},    {"08", ERR_ENVIRONMENT}, /* connection */
	{"25P03", ERR_ENVIRONMENT}, /* idle_in_transaction_session_timeout */
	{"25006", ERR_ENVIRONMENT}, /* read_only_sql_transaction: a standby, or a disk alarm */
	{"53", ERR_ENVIRONMENT}, /* insufficient resources, disk full among them */
	{"55", ERR_ENVIRONMENT}, /* object not in prerequisite state */
	{"57", ERR_ENVIRONMENT}, /* operator intervention */
	{"58", ERR_ENVIRONMENT}, /* system error: I/O */
	{"XX", ERR_ENVIRONMENT}, /* internal error, corruption: never the fault of a contact */
	{"28", ERR_CONFIG}, /* authorization */
	{"3D", ERR_CONFIG}, /* no such database */
	{"3F", ERR_CONFIG}, /* no such schema */
	{"42", ERR_CONFIG}, /* syntax, rights, undefined table or column */
	{"0A", ERR_CONFIG}, /* feature not supported */
};

enum error_class error_class_of_sqlstate(const char *sqlstate)
{
	for (size_t i = 0; i < LENGTH(sqlstates); i++)
		if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
			return sqlstates[i].class;
	return ERR_DATA;
}

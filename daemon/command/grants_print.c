#include "command/grants_state.h"

#include "base/text.h"

void grants_comment(const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	printf("-- %s\n", text_one_line(text));
}

bool grants_rows(const struct grants *g, const char *sql, int n, const char *const values[],
		 struct error *err)
{
	AUTO(result) PGresult *res = NULL;

	if (!db_query(g->cmd->db, sql, n, values, &res, err))
		return false;
	if (PQntuples(res) > 0 && g->heading && *g->heading) {
		printf("\n-- %s\n", *g->heading);
		*g->heading = NULL;
	}
	for (int row = 0; row < PQntuples(res); row++) {
		const char *grants = db_text(res, row, "grants");

		if (PQfnumber(res, "what") >= 0)
			grants_comment("Revoked from PUBLIC: %s.", db_text(res, row, "what"));
		if (strncmp(grants, "-- ", 3) == 0)
			grants_comment("%s %s;", grants + 3, g->role);
		else
			printf("%s %s;\n", grants, g->role);
	}
	return true;
}

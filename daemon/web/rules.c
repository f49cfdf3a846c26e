#include "web/rules.h"

#include "base/text.h"

#include <string.h>

const char *rules_schedule(const struct visit *v, const char *schedule)
{
	static const char *const words[][2] = {
		{"hourly", _("each hour")},           {"daily", _("each day")},
		{"weekly", _("each Monday")},         {"monthly", _("on the 1st of each month")},
		{"yearly", _("each 1st of January")},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (schedule && strcasecmp(schedule, words[i][0]) == 0)
			return language_text(v->language, words[i][1]);
	return NULL;
}

void rules_row(struct visit *v, struct values *row, const PGresult *res, int i)
{
	const char *refused = values_column(res, i, "refused"),
		   *message = values_column(res, i, "refused_message"),
		   *saved = values_column(res, i, "is_saved");

	values_row(row, res, i);
	values_set(row, "runs", rules_schedule(v, values_column(res, i, "schedule")));
	values_set(row, "why",
		   refused && message
			   ? language_refused(visit_ctx(v), v->language, message,
					      values_column(res, i, "refused_details"), refused)
		   : refused ? refused
			     : values_column(res, i, "remark"));
	/* An operator withdraws what is only saved. */
	values_flag(row, "can_retire",
		    v->person->approver || (saved && *saved == 't' && v->person->operator));
}

void rules_rows(struct visit *v, const char *list, const PGresult *res)
{
	values_list(v->values, list);
	for (int i = 0; i < PQntuples(res); i++)
		rules_row(v, values_add(v->values, list), res, i);
}

void rules_kind(struct values *values, const char *action)
{
	values_flag(values, "is_export", strcmp(action, "export") == 0);
	values_flag(values, "is_delete", strcmp(action, "delete_contacts") == 0);
	values_flag(values, "is_contacts", strcmp(action, "anonymize_contacts") == 0);
	values_flag(values, "is_requests", strcmp(action, "anonymize_requests") == 0);
}

/* What the pages of automatic rules have in common. */
#pragma once

#include "web/visit.h"

/*
 * Adds all rows to a list.  Each gets "runs", its schedule in words or NULL, "why", the refusal in the
 * reader's language, and can_retire.
 */
void rules_rows(struct visit *v, const char *list, const PGresult *res);
void rules_row(struct visit *v, struct values *row, const PGresult *res, int i);

/* The schedule in words; NULL: it is written by its five fields. */
const char *rules_schedule(const struct visit *v, const char *schedule);

/* Sets the flags is_export, is_delete, is_contacts and is_requests of an action. */
void rules_kind(struct values *values, const char *action);

/*
 * SQL: the columns of a version of retention.page_policies AS p.  covered_by: a rule that runs and reaches the same subjects
 * earlier, so that this one would reach none.
 */
#define RULES_COLUMNS                                                                                          \
	"p.name, p.version, p.action, p.depth, p.archive, p.schedule, p.note, p.saved_by, p.saved_at,\n"       \
	"p.counted, nullif(p.held, 0) AS held, p.cutoff, p.remark, p.refused, p.refused_message,\n"            \
	"p.refused_details, p.action = 'anonymize_requests' AS of_requests, p.status = 'saved' AS is_saved,\n" \
	"p.saved_by = session_user AS saved_by_you,\n"                                                         \
	"(SELECT o.name FROM retention.policies AS o\n"                                                        \
	"  WHERE p.status = 'saved' AND p.action <> 'export' AND o.name <> p.name AND o.enabled AND\n"         \
	"        o.refused IS NULL AND o.scope IS NULL AND o.depth <= p.depth AND\n"                           \
	"        (o.action = p.action OR o.action = 'delete_contacts')\n"                                      \
	"  ORDER BY o.depth, o.name LIMIT 1) AS covered_by"

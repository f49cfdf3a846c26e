/*
 * The model: which tables of the CRM hang off a contact, how, and what becomes of each.  Plain
 * data, filled by config/read_model.c, held against pg_catalog by preflight/read_catalog.c, turned
 * into SQL by plan/build.c. Read-only once loaded; owned by its configuration generation (one
 * talloc context).
 */
#pragma once

#include "base/complaint.h"
#include "model/columns.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Marks a question that only a person can answer, in a comment of the model.  In two parts, so that
 * lint does not find it here.
 */
#define MODEL_MARK                                                                                 \
	"TO"                                                                                       \
	"DO"

enum action {
	ACTION_EXPORT,
	ACTION_DELETE_CONTACTS,
	ACTION_ANONYMIZE_CONTACTS,
	ACTION_ANONYMIZE_REQUESTS,
	ACTION_COUNT
};

enum archive_mode { ARCHIVE_NONE, ARCHIVE_LISTED, ARCHIVE_FULL, ARCHIVE_MODE_COUNT };

/* "delete_contacts" and so on; action_parse returns ACTION_COUNT for an unknown name. */
extern const char *const action_names[ACTION_COUNT];
extern const char *const archive_mode_names[ARCHIVE_MODE_COUNT];
enum action action_parse(const char *name);
enum archive_mode archive_mode_parse(const char *name);

/* What becomes of a table's rows when a contact is deleted. */
enum on_delete {
	ON_DELETE_DELETE, /* default */
	ON_DELETE_DETACH, /* the link's column becomes NULL, the row stays */
	ON_DELETE_KEEP /* the row stays as it is */
};

/* And when a contact or a request is anonymized. */
enum on_anonymize {
	ON_ANONYMIZE_UNSET, /* the file does not say: refused where an anonymization would reach it */
	ON_ANONYMIZE_DELETE,
	ON_ANONYMIZE_KEEP,
	ON_ANONYMIZE_RULES /* column by column */
};

/* What a column that is no timestamp or date holds. */
enum date_unit {
	DATE_UNIT_NONE, /* it is one */
	DATE_UNIT_S, /* a number of these since 1970-01-01 UTC */
	DATE_UNIT_MS,
	DATE_UNIT_US,
	DATE_UNIT_ISO, /* a text as ISO 8601 has it: 2026-01-31, 2026-01-31T10:20:30Z */
	DATE_UNIT_COUNT
};

/* "ms" and so on; NULL for none. */
extern const char *const date_unit_names[DATE_UNIT_COUNT];

enum rule_kind {
	RULE_SET, /* value, with {key} or {number} */
	RULE_CLEAR, /* NULL, or the type's empty value where NOT NULL */
	RULE_JSON, /* drop the listed keys of a json or jsonb column */
	RULE_JSON_KEEP, /* keep no others */
	RULE_REDACT, /* replace what the contact's identity columns hold, wherever it stands in the text */
	RULE_KEEP,
	RULE_COUNT
};

/* The key of the configuration for rules of this kind: "json_keep". */
extern const char *const rule_names[RULE_COUNT];

struct column_rule {
	enum rule_kind kind;
	struct place place;
	const char *column;
	const char *value; /* RULE_SET: the template as written */
	const char *const *keys; /* RULE_JSON, RULE_JSON_KEEP: n_keys names */
	size_t n_keys;
};

/* Rules of one table, each about another column. */
struct column_rules {
	const struct column_rule *list; /* n, in the file's order */
	size_t n;
};

/* Where a table's files lie: a path below root, or what a command is given. */
struct outside {
	struct place place;
	const char *column; /* NULL: the table has none */
	const char *root; /* NULL: by the command */
	const char *const *command; /* n_command words; the value is the last one more */
	size_t n_command;
};

struct table {
	struct place place;
	const char *name; /* the model's: "request" */
	const char *schema; /* the catalog's, exact */
	const char *table;
	const struct columns *key; /* NULL: none given */
	struct table *of; /* parent; NULL for contact */
	const struct columns *by; /* our columns that point at the parent */
	const struct columns
		*from; /* the parent's columns that they equal; NULL: the parent's key */
	const struct columns *
		also; /* of a join table of requests: the request's columns that name a contact, too; NULL: none */
	const char *shard; /* as written, see model_shard(); NULL: not given */
	const char *where; /* SQL predicate on this table; NULL: all rows */
	const char *due_when; /* request only */
	const char *date; /* request only */
	const char *created; /* contact only; NULL: not given */
	enum date_unit date_unit; /* of date, or of created */
	const char *const
		*identity; /* contact only: n_identity columns by which free text names a person */
	size_t n_identity;
	bool shared; /* rows that others use, too, stay */
	bool match; /* by holds a copy of the parent's value, which is not a link: it can be under a rule */
	struct outside file;
	bool archive;
	bool allow_unindexed;
	bool refresh; /* after a pass that changed its rows, refresh the materialized views that read it */
	const char *const
		*not_large_objects; /* n_...: columns of type oid that hold other numbers */
	size_t n_not_large_objects;
	const char *const
		*export_without; /* n_...: columns that a copy for the person leaves out: secrets */
	size_t n_export_without;
	enum on_delete on_delete;
	enum on_anonymize on_anonymize;
	const struct column_rule *rules; /* n_rules, in the file's order */
	size_t n_rules;
	struct column_rules
		on_detach; /* delete = "detach": what it does beside clearing the link */
	size_t index; /* in model.tables */
};

struct model {
	struct place place;
	struct table *tables; /* n_tables; a parent may stand behind its child */
	size_t n_tables;
	struct table *contact;
	struct table *request;
	/*
	 * The join table of requests with several contacts: it hangs off contact, and request off it, as
	 * a shared row.  NULL: a request has one contact, and hangs off it.
	 */
	struct table *through;
	const struct place *marks; /* n_marks: comments with a question that nobody has answered */
	size_t n_marks;
};

/* Contact, or request: the table whose keys the action's list holds. */
const struct table *model_subject(const struct model *model, enum action action);

/* Is t the table root, or below it? */
bool model_is_under(const struct table *t, const struct table *root);

/* The rule of t for the column; NULL: there is none. */
const struct column_rule *model_rule(const struct table *t, const char *column);

/* The rule for the column; NULL: there is none. */
const struct column_rule *column_rules_find(const struct column_rules *rules, const char *column);

/* Does t have a rule that searches texts? */
bool model_redacts(const struct table *t);

/* The column of t with its date: the request's date, or when the contact was created.  NULL: none. */
const char *model_date(const struct table *t);

/* How many tables stand above t. */
size_t model_depth(const struct table *t);

/* The table whose by points at the contacts of requests: request, or what stands between them. */
const struct table *model_linked(const struct model *model);

/* The columns of t->of that t->by equals: t->from, or the parent's key. t->of is not NULL. */
const struct columns *model_parent_columns(const struct table *t);

/*
 * The column of t that is to hold the contact's shard: t's own, or the contact's as the default of
 * all tables.  NULL: the model has none.  Whether the rows of t hold it is up to the catalog
 * (struct relation.shard).
 */
const char *model_shard(const struct table *t);

/*
 * Can contacts, or requests, be anonymized by this model at all: have the tables concerned rules,
 * and does every table that hangs off them say what becomes of it?
 */
bool model_can_anonymize(const struct model *model, enum action action);

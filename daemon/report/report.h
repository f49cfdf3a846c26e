/*
 * The document that a data-protection officer files: what an action, the passes of a policy, or all actions of some days have
 * done, or what a policy would do.  PostgreSQL makes it, as one jsonb document of one moment (report/document.c).  Its form is the JSON form, which
 * retentionctl(1) documents.  report_cells_sql takes it apart for people, report_tables() makes their tables of it in
 * their language, and report_html() and the command write these.  A program that asks the database in its own way runs the
 * statements in this order:
 *
 *	report_actions_sql	which actions the report is about
 *	report_used_sql		the configurations that they were done by, for report_rules_read()
 *	report_document()	the document, with the values of report_rules_values()
 *	report_cells_sql	its cells, for report_tables()
 *
 * The session's TimeZone is retention.time_zone(), so that all times are in one zone, which the document names.
 */
#pragma once

#include "config/config.h"

#include <libpq-fe.h>

/* $1: the number of an action; otherwise NULL, and $2: a policy, or NULL for all actions, $3 and $4: the first and last day,
 * or NULL. */
extern const char report_actions_sql[];

/* $1: an array of actions. */
extern const char report_used_sql[];

/* A row with the column "json"; $1 to $9: report_rules_values().  Owned by ctx. */
char *report_document(void *ctx);

/* $1: the document.  Rows (section, n, name, value), by section and n. */
extern const char report_cells_sql[];

enum { REPORT_VALUES = 9 };

/* What is asked for. */
struct report_ask {
	const char *ids; /* the actions, as report_actions_sql gives them */
	const char *policy; /* NULL: one action, or all actions of the days */
	const char *from, *to; /* days, or NULL */
	const char *as_of; /* the day of a preview, or NULL */
	const char *
		preview; /* what the policy would do, as JSON; NULL: the report is of what was done */
	bool keys; /* the keys of subjects are named */
};

/* The rules of the configurations, as arrays for the server.  Owned by the context that report_rules_new() was given. */
struct report_rules;

struct report_rules *report_rules_new(void *ctx);

/* Reads the rules of each row of report_used_sql. */
void report_rules_read(struct report_rules *rules, const PGresult *used);

/* The rules of one action of a configuration; policy: its name, or NULL. */
void report_rules_of(struct report_rules *rules, const struct config *config, const char *sha256,
		     enum action action, const char *policy);

/* The values of report_document(); owned by the rules' context. */
void report_rules_values(struct report_rules *rules, const struct report_ask *ask,
			 const char *ret_values[REPORT_VALUES]);

/* Translates a sentence. */
struct report_words {
	const char *language; /* as HTML names it: "fr" */
	const char *(*say)(const void *arg, const char *english);
	const void *arg;
};

/* What people read: a section with rows of texts, which are not escaped. */
struct report_table {
	const char *title;
	const char *note; /* below the title; NULL: none */
	bool is_record; /* each row is shown with a line for each column that has a value */
	size_t n_columns, n_rows;
	const char **headings; /* n_columns */
	bool *is_number; /* n_columns */
	const char **cells; /* n_rows times n_columns; NULL: no value */
};

struct report_view {
	const char *title;
	const char *state; /* a sentence about the whole, or NULL */
	struct report_table *tables; /* n_tables */
	size_t n_tables;
};

/* Makes the tables of the rows of report_cells_sql; owned by ctx. */
struct report_view *report_tables(void *ctx, const PGresult *cells,
				  const struct report_words *words);

/* One file of HTML, without script, that needs no other file. */
void report_html(FILE *out, const struct report_view *view, const struct report_words *words);

/* The style that stands between <style> and </style>, byte by byte: a Content-Security-Policy names its digest. */
extern const char report_style[];

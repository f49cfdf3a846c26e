/*
 * The draft's text in the making.  Names and comments come from the database, so each is made one line.
 */
#pragma once

#include "discover/draft.h"

/* Appends to the draft. */
__attribute__((format(printf, 2, 3))) void draft_put(struct draft *x, const char *fmt, ...);

/* Text for one line of comment. */
char *draft_line(const struct draft *x, const char *text);

/* A value of the configuration. */
char *draft_quoted(const struct draft *x, const char *text);

/* The table's name, as a value of the configuration. */
char *draft_setting_of(const struct draft *x, const struct schema_table *t);

/* An identifier in SQL, quoted only if it must be. */
char *draft_ident(const struct draft *x, const char *name);

const struct schema_table *draft_table(const struct draft *x, const struct link *item);

/* schema.table for a comment, and as SQL has it. */
char *draft_shown(const struct draft *x, const struct schema_table *t);
char *draft_shown_sql(const struct draft *x, const struct schema_table *t);

/* Prints a line key = value, or within a line, of columns; nothing where the value is NULL. */
void draft_setting(struct draft *x, const char *key, const char *value);
void draft_columns(struct draft *x, const char *key, const struct columns *columns);

/* Notes the index that a link lacks, for the end of the draft. */
void draft_index(struct draft *x, const struct schema_table *t, const struct columns *columns);

/* In draft_columns.c.  Prints the rules of a table's columns with their reasons. */
void draft_rules(struct draft *x, size_t table);

/* Prints the rules of a second name of the table, without reasons.  first: the name that has them. */
void draft_rules_again(struct draft *x, size_t table, const char *first);

/* Prints what is erased of a row that is detached.  whole: the table has no rules that name the other columns. */
void draft_on_delete(struct draft *x, size_t table, bool whole);

/* Prints which columns hold secrets, which a copy for the person leaves out; nothing where there are none. */
void draft_secrets(struct draft *x, size_t table);

/* Does a rule of the table erase something? */
bool draft_erases(const struct draft *x, size_t table);

/* Prints the settings of the request only: the date that its age is counted from, and when it is closed. */
void draft_request(struct draft *x);

/* In draft_roles.c.  Prints the question which rows of contact's table are contacts, if it is one. */
void draft_roles(struct draft *x);

/* In draft_join.c.  Prints the join table of requests with several contacts. */
void draft_join(struct draft *x);

/* Prints the question whether a request, which has one contact, has others as well; nothing where no table says so. */
void draft_other_contacts(struct draft *x);

/* In draft_link.c.  Prints the group of a link. */
void draft_item(struct draft *x, size_t i);

/*
 * retentionctl's commands.  Each gets its own arguments (argv[0] is the command's last word) and
 * returns the exit status: 0 done, 1 it failed, 2 wrong use.  They talk to the database as the person
 * who calls them, through the same SQL functions that psql or a web page would use.
 */
#ifndef RETENTION_COMMAND_COMMAND_H
#define RETENTION_COMMAND_COMMAND_H

#include "model/catalog.h"
#include "config/config.h"
#include "database/db.h"
#include "command/language.h"

#include <getopt.h>

struct ctl {
	const char *path; /* of the configuration */
	const char *conninfo; /* -d: instead of the configuration's */
	bool needs_config; /* else -d is enough */
	struct config *config; /* from ctl_open() on; NULL where none is needed and -d was given */
	struct db *db; /* from ctl_open() on */
	bool json;
	const char *usage; /* of the command: for wrong use */
};

int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_policies(struct ctl *ctl, int argc, char **argv);
int ctl_save(struct ctl *ctl, int argc, char **argv);
int ctl_validate(struct ctl *ctl, int argc, char **argv);
int ctl_cancel(struct ctl *ctl, int argc, char **argv);
int ctl_preview(struct ctl *ctl, int argc, char **argv);
int ctl_verify(struct ctl *ctl, int argc, char **argv);
int ctl_grants(struct ctl *ctl, int argc, char **argv);
int ctl_residue(struct ctl *ctl, int argc, char **argv);
int ctl_model_draft(struct ctl *ctl, int argc, char **argv);
int ctl_model_check(struct ctl *ctl, int argc, char **argv);
int ctl_replay(struct ctl *ctl, int argc, char **argv);
int ctl_subject_export(struct ctl *ctl, int argc, char **argv);
int ctl_subject_anonymize(struct ctl *ctl, int argc, char **argv);
int ctl_subject_delete(struct ctl *ctl, int argc, char **argv);
int ctl_journal(struct ctl *ctl, int argc, char **argv);
int ctl_show(struct ctl *ctl, int argc, char **argv);
int ctl_archive_list(struct ctl *ctl, int argc, char **argv);
int ctl_archive_delete(struct ctl *ctl, int argc, char **argv);
int ctl_archive_verify(struct ctl *ctl, int argc, char **argv);
int ctl_archive_restore(struct ctl *ctl, int argc, char **argv);
int ctl_hold_add(struct ctl *ctl, int argc, char **argv);
int ctl_hold_remove(struct ctl *ctl, int argc, char **argv);
int ctl_hold_list(struct ctl *ctl, int argc, char **argv);

/* Says what is wrong and how the command is used; returns 2. */
int ctl_wrong_use(const struct ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Says the error on stderr, with what to do about a missing right or schema; returns 1. */
int ctl_failed(const struct error *err);

/*
 * getopt_long: the next option's value, -1 behind the last one (optind is then the first argument
 * that is none), or '?', after having said what is wrong.
 */
int ctl_option(const struct ctl *ctl, int argc, char **argv, const struct option *longs);

/*
 * Reads the configuration and opens the session: once a command has found its arguments right, so
 * that wrong use is said first.  false after having said why; the command then returns 1.
 */
bool ctl_open(struct ctl *ctl);

/* A command without options. */
extern const struct option ctl_no_options[];

/* Exactly one argument, the number of an action; 0 after having said what is wrong. */
int ctl_action_id(const struct ctl *ctl, int argc, char **argv);

/*
 * Calls one of the SQL functions.  Its refusal was written for the caller: message and hint become
 * the error's text, unlike a table's, which db_fail() keeps to itself.
 */
bool ctl_call(struct ctl *ctl, const char *sql, int n, const char *const values[], PGresult **ret,
	      struct error *err);

/*
 * Says that action id is saved, and what it would touch once the daemon has listed it.  subject: the key of
 * the one contact that it is for; where that is nobody, the action is cancelled again.  NULL: none.
 */
int ctl_saved(struct ctl *ctl, const char *id, const char *subject);

/* check_model_for(), its complaints said: the first is the error. */
bool ctl_model(struct ctl *ctl, enum action action, void *ctx, struct catalog **ret,
	       struct error *err);

/* A query that is shown to people as a table, and to programs as a JSON array of objects. */
struct ctl_listing {
	const char *sql;
	const char *json_sql; /* NULL: the same */
	int n;
	const char *const *values; /* n parameters, of either */
};

/* The arguments of a command that lists: --json or nothing; false after having said what is wrong. */
bool ctl_list_options(struct ctl *ctl, int argc, char **argv);

/* Runs it and prints it; the command's exit status. */
int ctl_list(struct ctl *ctl, const struct ctl_listing *listing);

/* Both, for a listing that needs nothing of the configuration. */
int ctl_list_command(struct ctl *ctl, int argc, char **argv, const struct ctl_listing *listing);

#endif

/*
 * The commands of retentionctl, and the helpers that they share (command.c).  A command gets its own
 * arguments (argv[0] is its last word) and returns the exit status: 0 done, 1 failed, 2 wrong use.
 * It works with the rights of the person who calls it, through the same SQL functions that psql or a
 * web page use.
 */
#pragma once

#include "model/catalog.h"
#include "config/config.h"
#include "database/db.h"
#include "command/language.h"

#include <getopt.h>

struct command {
	const char *path; /* of the configuration */
	const char *conninfo; /* -d: replaces the configuration's; NULL: not given */
	bool needs_config; /* false: -d is enough */
	struct config *config; /* set by command_open(); NULL: not needed, and -d was given */
	struct db *db; /* set by command_open() */
	bool json;
	const char *usage; /* of the command, for wrong use */
};

int command_migrate(struct command *cmd, int argc, char **argv);
int command_policies(struct command *cmd, int argc, char **argv);
int command_save(struct command *cmd, int argc, char **argv);
int command_validate(struct command *cmd, int argc, char **argv);
int command_cancel(struct command *cmd, int argc, char **argv);
int command_pause(struct command *cmd, int argc, char **argv);
int command_resume(struct command *cmd, int argc, char **argv);
int command_preview(struct command *cmd, int argc, char **argv);
int command_verify(struct command *cmd, int argc, char **argv);
int command_grants(struct command *cmd, int argc, char **argv);
int command_residue(struct command *cmd, int argc, char **argv);
int command_model_draft(struct command *cmd, int argc, char **argv);
int command_model_check(struct command *cmd, int argc, char **argv);
int command_replay(struct command *cmd, int argc, char **argv);
int command_subject_export(struct command *cmd, int argc, char **argv);
int command_subject_anonymize(struct command *cmd, int argc, char **argv);
int command_subject_delete(struct command *cmd, int argc, char **argv);
int command_journal(struct command *cmd, int argc, char **argv);
int command_show(struct command *cmd, int argc, char **argv);
int command_archive_list(struct command *cmd, int argc, char **argv);
int command_archive_delete(struct command *cmd, int argc, char **argv);
int command_archive_verify(struct command *cmd, int argc, char **argv);
int command_archive_restore(struct command *cmd, int argc, char **argv);
int command_hold_add(struct command *cmd, int argc, char **argv);
int command_hold_remove(struct command *cmd, int argc, char **argv);
int command_hold_list(struct command *cmd, int argc, char **argv);

/* Prints the message and the command's usage on stderr; returns 2. */
int command_wrong_use(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints the error on stderr, with a hint about a missing right or schema; returns 1. */
int command_failed(const struct error *err);

/*
 * Wraps getopt_long.  Returns the value of the next option, or -1 after the last one; optind is then
 * the index of the first argument.  Returns '?' after a message about a wrong option.
 */
int command_option(const struct command *cmd, int argc, char **argv, const struct option *longs);

/* The same, with short options too; shorts begins as getopt(3) wants it, and holds a ':' first. */
int command_next_option(const struct command *cmd, int argc, char **argv, const char *shorts,
			const struct option *longs);

/* A command without options. */
extern const struct option command_no_options[];

/*
 * Reads the configuration and opens the session.  A command calls it after it has checked its
 * arguments, so that wrong use is reported first.  false after a message; the command then returns 1.
 */
bool command_open(struct command *cmd);

/* The only argument, the number of an action; 0 after a message. */
int command_action_id(const struct command *cmd, int argc, char **argv);

/*
 * Calls an SQL function of the schema retention.  The texts of its refusals are written for the
 * caller, so that message and hint become the error's text.  (db_fail() leaves out the server's
 * messages about tables, because they can contain personal data.)
 */
bool command_call(struct command *cmd, const char *sql, int n, const char *const values[],
		  PGresult **ret, struct error *err);

/*
 * Checks the model against the catalog for one action.  Prints all complaints but the first on
 * stderr; the first one is the error.  *ret is owned by ctx.
 */
bool command_model(struct command *cmd, enum action action, void *ctx, struct catalog **ret,
		   struct error *err);

/* A query whose rows are a table for people, and a JSON array of objects for programs. */
struct command_listing {
	const char *sql;
	const char *json_sql; /* NULL: the same as sql */
	int n;
	const char *const *values; /* n parameters, for either query */
};

/* Reads the arguments of a command that lists: --json or nothing.  false after a message. */
bool command_list_options(struct command *cmd, int argc, char **argv);

/* Runs the query and prints its rows; returns the exit status. */
int command_list(struct command *cmd, const struct command_listing *listing);

/* A whole command that only lists: options, session, query.  Returns the exit status. */
int command_list_command(struct command *cmd, int argc, char **argv,
			 const struct command_listing *listing);

/*
 * Prints that action id is saved, waits until the daemon has listed its keys, and prints how many
 * there are (action.c).  subject is the key of the one contact that the action is for, or NULL.  If
 * the list is empty for that contact, the action is cancelled again.  Returns the exit status.
 */
int command_saved(struct command *cmd, const char *id, const char *subject);

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

struct command {
	const char *path; /* of the configuration */
	const char *conninfo; /* -d: instead of the configuration's */
	bool needs_config; /* else -d is enough */
	struct config
		*config; /* from command_open() on; NULL where none is needed and -d was given */
	struct db *db; /* from command_open() on */
	bool json;
	const char *usage; /* of the command: for wrong use */
};

int command_migrate(struct command *cmd, int argc, char **argv);
int command_policies(struct command *cmd, int argc, char **argv);
int command_save(struct command *cmd, int argc, char **argv);
int command_validate(struct command *cmd, int argc, char **argv);
int command_cancel(struct command *cmd, int argc, char **argv);
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

/* Says what is wrong and how the command is used; returns 2. */
int command_wrong_use(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Says the error on stderr, with what to do about a missing right or schema; returns 1. */
int command_failed(const struct error *err);

/*
 * getopt_long: the next option's value, -1 behind the last one (optind is then the first argument
 * that is none), or '?', after having said what is wrong.
 */
int command_option(const struct command *cmd, int argc, char **argv, const struct option *longs);

/*
 * Reads the configuration and opens the session: once a command has found its arguments right, so
 * that wrong use is said first.  false after having said why; the command then returns 1.
 */
bool command_open(struct command *cmd);

/* A command without options. */
extern const struct option command_no_options[];

/* Exactly one argument, the number of an action; 0 after having said what is wrong. */
int command_action_id(const struct command *cmd, int argc, char **argv);

/*
 * Calls one of the SQL functions.  Its refusal was written for the caller: message and hint become
 * the error's text, unlike a table's, which db_fail() keeps to itself.
 */
bool command_call(struct command *cmd, const char *sql, int n, const char *const values[],
		  PGresult **ret, struct error *err);

/*
 * Says that action id is saved, and what it would touch once the daemon has listed it.  subject: the key of
 * the one contact that it is for; where that is nobody, the action is cancelled again.  NULL: none.
 */
int command_saved(struct command *cmd, const char *id, const char *subject);

/* check_model_for(), its complaints said: the first is the error. */
bool command_model(struct command *cmd, enum action action, void *ctx, struct catalog **ret,
		   struct error *err);

/* A query that is shown to people as a table, and to programs as a JSON array of objects. */
struct command_listing {
	const char *sql;
	const char *json_sql; /* NULL: the same */
	int n;
	const char *const *values; /* n parameters, of either */
};

/* The arguments of a command that lists: --json or nothing; false after having said what is wrong. */
bool command_list_options(struct command *cmd, int argc, char **argv);

/* Runs it and prints it; the command's exit status. */
int command_list(struct command *cmd, const struct command_listing *listing);

/* Both, for a listing that needs nothing of the configuration. */
int command_list_command(struct command *cmd, int argc, char **argv,
			 const struct command_listing *listing);

#endif

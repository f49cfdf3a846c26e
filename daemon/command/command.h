/*
 * The commands of retentionctl, and the helpers that they share (command.c).  A command finds its
 * arguments read, its session open, and returns true for exit status 0.  false with an empty error: it
 * has failed, and has printed why.  It works with the rights of the person who calls it, through the
 * same SQL functions that psql or a web page use.
 */
#pragma once

#include "base/mem.h"
#include "model/catalog.h"
#include "config/config.h"
#include "database/db.h"
#include "command/language.h"

#include <getopt.h>

struct plan_opts;
struct plan;

/* The options of all commands, as they were given.  NULL: not given; a flag is not NULL. */
struct command_options {
	const char *action, *archive; /* names of an action and of an archive mode */
	const char *from, *to, *as_of, *expires, *review; /* dates */
	const char *contact, *request, *request_by, *date; /* tables and columns */
	const char *identity, *values; /* files */
	const char *sample, *timeout, *version; /* numbers from 1 */
	const char *seen; /* a number of keys, from 0 */
	const char *depth, *schedule; /* of a policy */
	const char *role; /* of the daemon */
	const char *reason, *note, *last_hash;
	const char *format; /* text, html or json */
	const char *alive, *apply, *ask, *auditor, *configuration, *disable_triggers, *dry_run,
		*follow, *is_new, *json, *keys, *operator, * record, *replace, *samples, *verbose,
		*yes; /* flags */
};

struct command;

enum needs {
	NEEDS_CONFIG, /* the session, and the configuration */
	NEEDS_DATABASE, /* the session: -d is enough */
	USES_CONFIG, /* the same, but a configuration that -c names is read, too */
	NEEDS_FILE, /* the configuration, and no session */
	NEEDS_NOTHING, /* opens no session */
};

/*
 * SQL: whose action a row "a" of retention.archives is.  $1 and $2 are the words for a contact and for a replay, with %s.
 */
#define COMMAND_OF_SQL                                                                             \
	"coalesce(a.policy, a.from_date || '..' || a.to_date,\n"                                   \
	"                CASE WHEN a.subject IS NOT NULL THEN format($1, a.subject) END,\n"        \
	"                CASE WHEN a.replay_of IS NOT NULL THEN format($2, a.replay_of) END) AS of"

/* What a command is (retentionctl.c), and how its arguments are read (arguments.c). */
struct command_spec {
	const char *words; /* one word, or two with a blank between them */
	const char *arguments; /* the usage behind the words: what may be given, and what must be */
	const char *help;
	enum needs needs;
	bool (*run)(struct command *cmd, struct error *err);
	const char *give; /* says what to give instead of too much or too little; NULL: an id */
	/* Checks the arguments beyond their usage, before the session is opened; NULL: needs none. */
	bool (*check)(struct command *cmd, struct error *err);
	const char *
		grants; /* option of grants that prints what a person needs to call it; NULL: no table of the CRM */
	bool any_schema; /* reads nothing in schema retention, unless --record is given: any version will do */
};

struct command {
	const struct command_spec *spec;
	const char *
		path; /* of the configuration; NULL: of the default, for a command that opens no session */
	const char *conninfo; /* -d: replaces the configuration's; NULL: not given */
	struct config *config; /* NULL: not needed, and -d was given */
	struct db *db;
	void *ctx; /* lives as long as the command */
	const char *argument; /* NULL: none was given */
	int id; /* the argument as a number, where it is one of an action; else 0 */
	struct command_options options;
};

/* Checks of command_spec: ERR_USAGE. */
bool command_check_adopt(struct command *cmd, struct error *err);
bool command_check_archive_verify(struct command *cmd, struct error *err);
bool command_check_archive_delete(struct command *cmd, struct error *err);
bool command_check_policy_save(struct command *cmd, struct error *err);
bool command_check_preview(struct command *cmd, struct error *err);
bool command_check_report(struct command *cmd, struct error *err);
bool command_check_grants(struct command *cmd, struct error *err);
bool command_check_residue(struct command *cmd, struct error *err);

bool command_setup(struct command *cmd, struct error *err);
bool command_migrate(struct command *cmd, struct error *err);
bool command_run(struct command *cmd, struct error *err);
bool command_policies(struct command *cmd, struct error *err);
bool command_policy_save(struct command *cmd, struct error *err);
bool command_policy_validate(struct command *cmd, struct error *err);
bool command_policy_retire(struct command *cmd, struct error *err);
bool command_save(struct command *cmd, struct error *err);
bool command_validate(struct command *cmd, struct error *err);
bool command_cancel(struct command *cmd, struct error *err);
bool command_abandon(struct command *cmd, struct error *err);
bool command_pause(struct command *cmd, struct error *err);
bool command_resume(struct command *cmd, struct error *err);
bool command_preview(struct command *cmd, struct error *err);
bool command_report(struct command *cmd, struct error *err);
bool command_verify(struct command *cmd, struct error *err);
bool command_grants(struct command *cmd, struct error *err);
bool command_residue(struct command *cmd, struct error *err);
bool command_model_draft(struct command *cmd, struct error *err);
bool command_model_check(struct command *cmd, struct error *err);
bool command_replay(struct command *cmd, struct error *err);
bool command_waive(struct command *cmd, struct error *err);
bool command_adopt(struct command *cmd, struct error *err);
bool command_subject_export(struct command *cmd, struct error *err);
bool command_subject_status(struct command *cmd, struct error *err);
bool command_subject_anonymize(struct command *cmd, struct error *err);
bool command_subject_delete(struct command *cmd, struct error *err);
bool command_journal(struct command *cmd, struct error *err);
bool command_show(struct command *cmd, struct error *err);
bool command_show_configuration(struct command *cmd, struct error *err);
bool command_archive_list(struct command *cmd, struct error *err);
bool command_archive_delete(struct command *cmd, struct error *err);
bool command_archive_verify(struct command *cmd, struct error *err);
bool command_archive_restore(struct command *cmd, struct error *err);
bool command_health(struct command *cmd, struct error *err);
bool command_hold_add(struct command *cmd, struct error *err);
bool command_hold_remove(struct command *cmd, struct error *err);
bool command_hold_list(struct command *cmd, struct error *err);

/*
 * Wraps getopt_long.  Returns the value of the next option, or -1 after the last one; optind is then
 * the index of the first argument.  Returns '?' with ERR_USAGE for a wrong option.  shorts begins as
 * getopt(3) wants it, and holds a ':' first.
 */
int command_option(int argc, char **argv, const char *shorts, const struct option *longs,
		   struct error *err);

/* Reads the arguments of cmd->spec; argv[0] is the last of its words. */
bool command_parse(struct command *cmd, int argc, char **argv, struct error *err);

/* Reads the configuration and opens the session; its complaints are printed and leave err empty. */
bool command_open(struct command *cmd, struct error *err);

/* Appends a line to the text of the error: a hint, or what the failure has left behind. */
void command_explain(struct error *err, const char *line);

/*
 * Calls an SQL function of the schema retention.  The texts of its refusals are written for the
 * caller, so that message and hint become the error's text.  (db_fail() leaves out the server's
 * messages about tables, because they can contain personal data.)  ret may be NULL.
 */
bool command_call(struct command *cmd, const char *sql, int n, const char *const values[],
		  PGresult **ret, struct error *err);

/*
 * Runs a query of action $1 until its column "ended" is true, for 5 seconds at most.  *ret holds the
 * last row.
 */
bool command_wait(struct command *cmd, const char *sql, const char *id, PGresult **ret,
		  struct error *err);

/*
 * Checks the model against the catalog for one action.  Prints all complaints but the first on
 * stderr; the first one is the error.  *ret is owned by cmd->ctx.
 */
bool command_model(struct command *cmd, enum action action, struct catalog **ret,
		   struct error *err);

/* The same, and makes the plan of the action. */
bool command_plan(struct command *cmd, const struct plan_opts *opts, struct catalog **ret_catalog,
		  struct plan **ret_plan, struct error *err);

/* Writes the key that a person has typed as the contact's table writes it; an error says how it should be written. */
bool command_contact_key(struct command *cmd, const struct catalog *catalog, const char **ret_key,
			 struct error *err);

/* Refuses what was typed as a key of several columns, and names them. */
bool command_refuse_key(struct command *cmd, const struct table *contact, struct error *err);

/* A query whose rows are a table for people, and a JSON array of objects for programs. */
struct command_listing {
	const char *sql;
	const char *json_sql; /* NULL: the same as sql */
	int n;
	const char *const *values; /* n parameters, for either query */
};

/* Runs the query and prints its rows. */
bool command_list(struct command *cmd, const struct command_listing *listing, struct error *err);

/* Runs a query and prints the column "json" of its only row. */
bool command_print_json(struct command *cmd, const char *sql, int n, const char *const values[],
			struct error *err);

/*
 * Prints that action id is saved, waits until the daemon has listed its keys, and prints how many
 * there are (action.c).  subject is the key of the one contact that the action is for, or NULL.  If
 * the list is empty for that contact, the action is cancelled again, and that is a failure.
 */
bool command_saved(struct command *cmd, const char *id, const char *subject, struct error *err);

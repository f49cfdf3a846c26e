/*
 * retentionctl's commands.  Each gets its own arguments (argv[0] is the command's last word) and
 * returns the exit status: 0 done, 1 it failed, 2 wrong use.  They talk to the database as the person
 * who calls them, through the same SQL functions that psql or a web page would use.
 */
#ifndef RETENTION_CTL_H
#define RETENTION_CTL_H

#include "config.h"
#include "db.h"

struct ctl {
	const char *path; /* of the configuration */
	const char *conninfo; /* -d: instead of the configuration's */
	const struct config *config; /* NULL where the command needs none and none could be read */
	struct db *db;
	bool json;
	const char *usage; /* of the command: for wrong use */
};

int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_policies(struct ctl *ctl, int argc, char **argv);
int ctl_save(struct ctl *ctl, int argc, char **argv);
int ctl_validate(struct ctl *ctl, int argc, char **argv);
int ctl_cancel(struct ctl *ctl, int argc, char **argv);
int ctl_journal(struct ctl *ctl, int argc, char **argv);
int ctl_show(struct ctl *ctl, int argc, char **argv);
int ctl_archive_list(struct ctl *ctl, int argc, char **argv);
int ctl_archive_verify(struct ctl *ctl, int argc, char **argv);
int ctl_hold_add(struct ctl *ctl, int argc, char **argv);
int ctl_hold_remove(struct ctl *ctl, int argc, char **argv);
int ctl_hold_list(struct ctl *ctl, int argc, char **argv);

/* Says what is wrong and how the command is used; returns 2. */
int ctl_wrong_use(const struct ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Says the error on stderr; returns 1. */
int ctl_failed(const struct error *err);

/* Exactly one argument, the number of an action; 0 after having said what is wrong. */
int ctl_action_id(const struct ctl *ctl, int argc, char **argv);

#endif

/*
 * What archive verify and archive restore share: an action's archive, found and held against the
 * journal.
 */
#ifndef RETENTION_COMMAND_VERIFY_ARCHIVE_H
#define RETENTION_COMMAND_VERIFY_ARCHIVE_H

#include "archive/reader.h"
#include "command/command.h"

/*
 * Opens the archive of action id.  It is owned by ctx.  CONFIG: the action has none, it was deleted, or
 * it is not finished.
 */
bool verify_archive_open(struct command *cmd, int id, void *ctx, struct archive_reader **ret,
			 struct error *err);

/*
 * Checks every file against SHA256SUMS, the manifest against the sums and the journal's row counts, and the
 * sums against the digest that the journal has.  Prints a line to stdout for each finding, and with tell_good
 * for each good file.  Any finding is a failure.
 */
bool verify_archive(struct command *cmd, int id, const struct archive_reader *s, bool tell_good,
		    struct error *err);

#endif

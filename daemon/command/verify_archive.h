/* Helpers of archive verify and archive restore: find the archive of an action, and check it. */
#pragma once

#include "archive/reader.h"
#include "command/command.h"

/*
 * Opens the archive of action cmd->id, or, where that is 0, the one called cmd->argument; *ret is owned by cmd->ctx.
 * ERR_CONFIG: the action has no archive, or the archive was deleted or is not finished.
 */
bool verify_archive_open(struct command *cmd, struct archive_reader **ret, struct error *err);

/*
 * Checks every file against SHA256SUMS, the manifest against the sums and the journal's row counts, and
 * the sums against the digest that the journal has.  Prints a line to stdout for each finding, and with
 * print_good for each good file.  Any finding is a failure.
 */
bool verify_archive(struct command *cmd, const struct archive_reader *s, bool print_good,
		    struct error *err);

/* What a policy would do, for a report. */
#pragma once

#include "command/command.h"

/*
 * Counts what the policy cmd->argument would change, as preview --json prints it, by cmd->options.as_of.  *ret_config has
 * the policy, also where people made it on the page; both are owned by cmd->ctx.  The transaction is ended.
 */
bool preview_read(struct command *cmd, const struct config **ret_config, const char **ret_json,
		  struct error *err);

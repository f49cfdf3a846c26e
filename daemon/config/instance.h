/*
 * Instances: a host has one daemon for each database of a fleet.  SYSCONFDIR/retentiond/acme.conf is the configuration
 * of the instance "acme", and retentiond@acme.service its unit.  The daemon that reads retentiond.conf has no name.
 */
#pragma once

/*
 * The file that the argument of -c means, owned by ctx: a word without "/" that does not end in ".conf" is the name of
 * an instance or of its unit ("retentiond@acme"); everything else is a file.
 */
const char *instance_path(void *ctx, const char *argument);

/*
 * The name of the instance that reads this file, owned by ctx; NULL: it has none.  The name has letters, digits and
 * . : _ - alone, so that it can stand in a file's name, a log line and a label.
 */
const char *instance_name(void *ctx, const char *path);

/*
 * Instances: a host has one daemon for each database of a fleet.  SYSCONFDIR/retentiond/acme.conf is the configuration
 * of the instance "acme", and retentiond@acme.service its unit.  The daemon that reads retentiond.conf has no name.  The
 * page of acme reads web@acme.conf.
 */
#pragma once

/*
 * The file that the argument of -c means, owned by ctx: a word without "/" that does not end in ".conf" is the name of
 * an instance or of its unit ("retentiond@acme"); everything else is a file.
 */
const char *instance_path(void *ctx, const char *argument);

/* The same for retentiond-web: "acme" and "retentiond-web@acme" mean web@acme.conf, "retentiond-web" means web.conf. */
const char *instance_page_path(void *ctx, const char *argument);

/*
 * The name of the daemon or page that reads this file, owned by ctx; NULL: it has none.  The name has letters, digits and
 * . : _ - alone, so that it can stand in a file's name, a log line and a label.
 */
const char *instance_name(void *ctx, const char *path);

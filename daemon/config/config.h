/*
 * The configuration: one file and its @includes, accepted or refused as a whole.
 *
 * A generation is one talloc context: built once, then read-only, freed as a whole.  It keeps the text
 * that it was made from, with includes expanded and the origin of each line marked.  A job reads that
 * text from an inherited descriptor, so that it runs under exactly the configuration that was accepted.
 */
#pragma once

#include "base/complaint.h"
#include "base/error.h"
#include "base/schedule.h"
#include "base/units.h"
#include "model/model.h"

#include <stddef.h>
#include <stdint.h>

struct policy {
	struct place place;
	int version; /* of a policy that was made on the page (config/page.h); 0: the file's */
	bool saved; /* on the page, and not validated: it does not run */
	const char *name; /* [A-Za-z0-9._-]{1,63}, unique: becomes part of a folder's name */
	enum action action;
	struct period depth;
	struct schedule schedule;
	const char *schedule_text; /* as written */
	enum archive_mode archive; /* default: listed for export, none otherwise */
	const char *scope; /* SQL predicate on the contact; NULL: all contacts */
	bool without_requests; /* without_requests = "created" */
	bool approval;
	bool enabled;
};

/* How foreign keys are kept when rows are deleted: by preflight/integrity.h. */
enum integrity {
	INTEGRITY_AUTO, /* set where nothing forbids it */
	INTEGRITY_SET, /* by a question a batch for each key */
	INTEGRITY_TRIGGERS, /* by the server's trigger for each row */
	INTEGRITY_COUNT
};

extern const char *const integrity_names[INTEGRITY_COUNT];

/* The events that notify.command can be told, as retention.notice_of() names them. */
enum { NOTICE_COUNT = 6 };
extern const char *const notice_names[NOTICE_COUNT];

/* The most that limits.workers may be. */
enum { CONFIG_WORKERS_MAX = 16 };

struct config {
	const char *path; /* as given */
	const char
		*instance; /* the daemon's name in a fleet (config/instance.h); NULL: it has none */
	const char *text; /* with includes expanded, see above */
	const char *asked_by; /* the user who has asked for the reload; NULL: read at start */

	/* database */
	struct place database_place;
	const char *conninfo;
	const char *timezone;

	/* archives */
	struct place archives_place;
	const char *directory; /* absolute */
	bool group_readable; /* finished archives are */
	char delimiter; /* one ASCII character, not quote, newline or a letter or digit */
	bool bom;
	bool keeps_formulas; /* formulas = "keep"; default "text" */
	bool has_keep;
	struct period keep;
	const char *const *recipients; /* public keys for age; NULL: archives are not encrypted */
	size_t n_recipients;
	const char *web_socket; /* absolute; where the web page fetches files; NULL: nowhere */
	const char *web_user; /* the only user that may; NULL: "retentiond-web" */

	/* limits */
	int workers; /* 1 to CONFIG_WORKERS_MAX; default 2 */
	int batch_rows; /* 1 to 1,000,000; default 10000 */
	int64_t batch_time_ms; /* 10 ms to 60 s; default 250 */
	int64_t rows_per_second; /* 0: no limit */
	int64_t max_replica_lag_ms; /* 0: not watched */
	int64_t max_wal_backlog_mb; /* MiB; 0: not watched; default 4096 */
	int64_t max_snapshot_age_ms; /* 0: not watched */
	bool has_window;
	struct window window;
	double max_share; /* 0 < x <= 1; default 0.25 */
	enum integrity integrity; /* default auto */
	struct place integrity_place;
	bool vacuum; /* default false */
	bool courtesy; /* default true */

	/* metrics */
	const char *metrics_textfile; /* absolute, ends in .prom; NULL: none */
	const char *metrics_listen; /* a loopback address with its port; NULL: none */
	int64_t metrics_interval_ms; /* 10 s to 24 h; default 15 min */

	/* notify */
	bool has_notify;
	struct place notify_place; /* of command */
	const char *const *notify_command; /* n_notify_command: an absolute path, and arguments */
	size_t n_notify_command;
	const char *const *notify_on; /* n_notify_on of notice_names; none: all */
	size_t n_notify_on;
	int64_t notify_timeout_ms; /* 1 s to 5 min; default 30 s */

	/* backups */
	bool has_backups_keep;
	struct period backups_keep; /* how long a backup and its archived WAL are kept */

	bool four_eyes; /* top level; default false */
	bool replay_automatic; /* replay = "automatic"; default "manual" */

	/* Policies that people make on the page, and their bounds: config/page.h. */
	bool pages; /* policies_from = "file+page"; default "file" */
	bool has_page_policies;
	struct period page_shortest; /* months or years */
	const char *const *page_actions; /* n_page_actions names */
	size_t n_page_actions;
	const char *const *page_archives; /* n_page_archives names; none: all modes */
	size_t n_page_archives;
	int page_most; /* 1 to 100; default 20 */

	struct model model;
	struct policy *policies; /* n_policies */
	size_t n_policies;
};

/*
 * Reads path and its includes (relative to the including file).  Refuses a file that users other than
 * root and its owner can write.  Returns the new generation, which the caller frees with talloc_free,
 * or NULL after at least one complaint.
 */
struct config *config_load(const char *path, struct complaints *c);

/* The same from an expanded text such as config->text; path is for messages only. */
struct config *config_parse_text(const char *path, const char *text, struct complaints *c);

/* Reads an expanded text of at most 16 MiB from a descriptor, to its end, and parses it. */
struct config *config_read_fd(int fd, struct complaints *c);

/* Writes config->text into a sealed memfd, at offset 0, close-on-exec.  ENVIRONMENT: no memory. */
bool config_memfd(const struct config *config, int *ret_fd, struct error *err);

/* The canonical file (retentiond -t -v), which parses to the same configuration; the caller frees it. */
char *config_print(const struct config *config);

/* The policy of that name; NULL: there is none. */
const struct policy *config_policy(const struct config *config, const char *name);

#define SD_JOURNAL_SUPPRESS_LOCATION /* a line number of the source does not help an administrator */
#include "base/log.h"

#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <sys/ioctl.h>
#include <systemd/sd-journal.h>
#include <time.h>

enum destination { TO_STDERR, TO_SYSLOG, TO_JOURNAL };

/* The one global of the programs. */
static struct {
	const char *program;
	enum destination to;
	bool echo; /* a person at a terminal sees the line too */
	bool verbose;
	bool status; /* stands on the terminal's last line */
} logger = {.program = "retention"};

/* journalctl MESSAGE_ID=...: made at random once, never changed (sd_journal_send(3)). */
static const char *const message_ids[] = {
	[KIND_GENERAL] = "9819f613aac74431a36d86ffccf795d3",
	[KIND_STARTED] = "8228c9364716411b95df3112c6e3d26b",
	[KIND_STOPPED] = "e4aa8f2f0a2342f79b2bccb9032d083a",
	[KIND_RELOADED] = "d01f641e5719483aad95369508774d28",
	[KIND_RELOAD_REFUSED] = "5a0b252daacc49739bba9b6781412226",
	[KIND_DATABASE_AWAY] = "5120887376884039806b9153c6305e59",
	[KIND_DATABASE_BACK] = "4fc94885ca574208b630e46596411e48",
	[KIND_JOB_STARTED] = "b067c79ec56f491cbeceea41003e3358",
	[KIND_JOB_PROGRESS] = "b41b400189044175942424f3421a9c88",
	[KIND_JOB_WAITING] = "f08d48f96ba241be924e9cd3ac03a315",
	[KIND_JOB_DONE] = "230a1aec33814cfc817723a2d2ea789f",
	[KIND_JOB_FAILED] = "3ffdd7c4e07143828478246bba5d0225",
	[KIND_JOB_STOPPED] = "e2644a4bc38d439dbe104bf0eed577b2",
	[KIND_KEY_FAILED] = "5e0d46f730674a7dbb79056e73bb3d94",
	[KIND_APPROVAL_NEEDED] = "0f88a8af754d441c9ec80b379a6ef4b4",
	[KIND_STATE] = "f6af928b67784346837a0f7c4b09d16d",
};
static_assert(LENGTH(message_ids) == KIND_COUNT, "an id for each kind");

static enum destination choose_destination(void)
{
	static const char *const names[] = {
		[TO_STDERR] = "stderr", [TO_SYSLOG] = "syslog", [TO_JOURNAL] = "journal"};
	const char *wish = getenv("RETENTION_LOG");
	const size_t named = text_index(wish ? wish : "", names, LENGTH(names));

	if (named < LENGTH(names))
		return (enum destination)named;
	if (access("/run/systemd/journal/socket", W_OK) == 0)
		return TO_JOURNAL;
	return access("/dev/log", W_OK) == 0 ? TO_SYSLOG : TO_STDERR;
}

void log_open(const char *program, bool verbose)
{
	logger.program = program;
	logger.verbose = verbose;
	logger.to = choose_destination();
	logger.echo = logger.to != TO_STDERR && isatty(STDERR_FILENO);
	if (logger.to == TO_SYSLOG)
		openlog(program, LOG_PID, LOG_DAEMON);
}

void log_instance(const char *instance)
{
	if (!instance)
		return;
	logger.program = xprintf("%s@%s", logger.program, instance); /* for the process's life */
	if (logger.to == TO_SYSLOG)
		openlog(logger.program, LOG_PID, LOG_DAEMON);
}

void log_status(const char *text)
{
	struct winsize size = {0};

	if (!isatty(STDERR_FILENO) || (!text && !logger.status))
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	/* A line that wraps cannot be overwritten. */
	(void)fprintf(stderr, "\r\033[K%.*s", size.ws_col - 1, text ? text : "");
	logger.status = text;
}

static void write_stderr(const char *text)
{
	char stamp[40] = "";
	struct timespec now;
	struct tm tm;

	log_status(NULL);
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail on a valid clock */
	if (localtime_r(&now.tv_sec, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm); /* fits 40 */
	(void)fprintf(stderr, "%s %s[%d]: %s\n", stamp, logger.program, (int)getpid(), text);
}

static bool write_journal(int priority, enum log_kind kind, const struct log_fields *f,
			  const char *text)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *lines[10];
	struct iovec fields[LENGTH(lines)];
	int n = 0;

	lines[n++] = t_printf(ctx, "MESSAGE=%s", text);
	lines[n++] = t_printf(ctx, "PRIORITY=%d", priority);
	lines[n++] = t_printf(ctx, "MESSAGE_ID=%s", message_ids[kind]);
	lines[n++] = t_printf(ctx, "SYSLOG_IDENTIFIER=%s", logger.program);
	if (f && f->policy)
		lines[n++] = t_printf(ctx, "RETENTION_POLICY=%s", f->policy);
	if (f && f->action)
		lines[n++] = t_printf(ctx, "RETENTION_ACTION=%s", f->action);
	if (f && f->job)
		lines[n++] = t_printf(ctx, "RETENTION_JOB=%lld", (long long)f->job);
	if (f && f->has_rows)
		lines[n++] = t_printf(ctx, "RETENTION_ROWS=%lld", (long long)f->rows);
	if (f && f->person)
		lines[n++] = t_printf(ctx, "RETENTION_WEB_USER=%s", f->person);
	if (f && f->remote)
		lines[n++] = t_printf(ctx, "RETENTION_WEB_REMOTE=%s", f->remote);
	for (int i = 0; i < n; i++)
		fields[i] = (struct iovec){.iov_base = lines[i], .iov_len = strlen(lines[i])};
	return sd_journal_sendv(fields, n) >= 0;
}

void log_event(int priority, enum log_kind kind, const struct log_fields *fields, const char *fmt,
	       ...)
{
	AUTO(char_p) char *text = NULL;
	bool is_written = logger.to != TO_STDERR;
	va_list args;

	if (priority == LOG_DEBUG && !logger.verbose)
		return;
	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);

	(void)text_one_line(text); /* several lines would be several events */
	if (logger.to == TO_JOURNAL)
		is_written = write_journal(priority, kind, fields, text);
	else if (logger.to == TO_SYSLOG)
		syslog(priority, "%s", text);
	if (!is_written || logger.echo)
		write_stderr(text);
}

#include "journal/ledger.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char head[] = "# retentiond ledger 1 ";

struct ledger {
	pthread_mutex_t mutex; /* among our threads; flock(2) is among processes */
	int fd;
	char *path;
};

/* Locks the file among processes.  On a file system without locks it goes on without, as the archives do. */
static bool lock(struct ledger *l, struct error *err)
{
	(void)pthread_mutex_lock(&l->mutex);
	while (flock(l->fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP || errno == ENOLCK)
			return true;
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot lock \"%s\"", l->path);
		(void)pthread_mutex_unlock(&l->mutex);
		return false;
	}
	return true;
}

static void unlock(struct ledger *l)
{
	(void)flock(l->fd,
		    LOCK_UN); /* on a file system without locks there is nothing to release */
	(void)pthread_mutex_unlock(&l->mutex);
}

/* Writes all of it, or cuts the file back to what it was. */
static bool write_whole(struct ledger *l, const char *bytes, size_t n, struct error *err)
{
	const off_t before = lseek(l->fd, 0, SEEK_END);
	int64_t written = 0;

	if (file_write(l->fd, bytes, n, &written, l->path, err))
		return true;
	if (before >= 0 && ftruncate(l->fd, before) != 0)
		return false; /* the next open cuts the torn line */
	return false;
}

bool ledger_append(struct ledger *l, const char *lines, size_t n, struct error *err)
{
	bool ok;

	if (!lock(l, err))
		return false;
	ok = write_whole(l, lines, n, err);
	unlock(l);
	return ok;
}

bool ledger_sync(struct ledger *l, struct error *err)
{
	return fdatasync(l->fd) == 0 ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync \"%s\"", l->path);
}

static FILE *reader(const struct ledger *l, struct error *err)
{
	FILE *in = fopen(l->path, "re");

	if (!in)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return in;
}

/* Cuts off what is behind the last newline: a line that a crash tore. */
static bool cut_torn_line(struct ledger *l, struct error *err)
{
	off_t size = lseek(l->fd, 0, SEEK_END);
	const off_t whole = size;
	char last = '\0';

	while (size > 0 && pread(l->fd, &last, 1, size - 1) == 1 && last != '\n')
		size--;
	if (size < 0 || (size > 0 && last != '\n'))
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return size == whole || ftruncate(l->fd, size) == 0 ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot cut a torn line off \"%s\"", l->path);
}

/* Writes the first line of an empty file; checks that of any other. */
static bool check_head(struct ledger *l, const char *directory, const char *identity,
		       struct error *err)
{
	AUTO(char_p) char *wanted = NULL, *found = NULL;
	AUTO(file) FILE *in = reader(l, err);
	size_t room = 0;
	ssize_t n;

	if (!in)
		return false;
	wanted = xprintf("%s%s\n", head, identity);
	n = getline(&found, &room, in);
	if (n < 0)
		return write_whole(l, wanted, strlen(wanted), err) && ledger_sync(l, err) &&
		       file_sync_folder(directory, err);
	if (strncmp(found, head, strlen(head)) != 0)
		return fail(err, ERR_CONFIG,
			    "\"%s\" is not a ledger of retentiond: move it away, or give archives "
			    "another directory",
			    l->path);
	if (strcmp(found, wanted) != 0)
		return fail(err, ERR_CONFIG,
			    "\"%s\" is the ledger of another database: each database needs an "
			    "archives directory of its own",
			    l->path);
	return true;
}

bool ledger_open(const char *directory, const char *identity, bool create, struct ledger **ret,
		 struct error *err)
{
	struct ledger *l = xcalloc(1, sizeof(*l));
	bool ok;

	(void)pthread_mutex_init(&l->mutex, NULL);
	l->path = xprintf("%s/%s", directory, LEDGER_FILE);
	l->fd = open(l->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0),
		     0600);
	if (l->fd < 0) {
		ok = (!create && errno == ENOENT) ||
		     fail_errno(err,
				errno == EIO || errno == ENOSPC || errno == EDQUOT ? ERR_ENVIRONMENT
										   : ERR_CONFIG,
				"archives.directory \"%s\": cannot open \"" LEDGER_FILE "\" in it",
				directory);
		ledger_close(l);
		if (ok)
			*ret = NULL;
		return ok;
	}
	ok = lock(l, err);
	if (ok) {
		ok = cut_torn_line(l, err) && check_head(l, directory, identity, err);
		unlock(l);
	}
	if (ok)
		*ret = l;
	else
		ledger_close(l);
	return ok;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd); /* ledger_sync() makes it durable */
	(void)pthread_mutex_destroy(&l->mutex);
	free(l->path);
	free(l);
}

/* Parses job TAB action TAB time TAB key.  Returns the job, and in *ret_time (32 bytes) the time; 0: not such a line. */
static int parse_line(const char *line, char *ret_time)
{
	const char *action = strchr(line, '\t');
	const char *at = action ? strchr(action + 1, '\t') : NULL;
	const char *key = at ? strchr(at + 1, '\t') : NULL;
	char *end = NULL;
	long job;

	if (!key || key - at > 31)
		return 0;
	job = strtol(line, &end, 10);
	if (end != action || job < 1 || job > INT32_MAX)
		return 0;
	(void)snprintf(ret_time, 32, "%.*s", (int)(key - at - 1), at + 1); /* measured above */
	return (int)job;
}

static bool each_line(struct ledger *l,
		      bool (*take)(void *arg, int job, const char *time, const char *line, size_t n,
				   struct error *err),
		      void *arg, struct error *err)
{
	AUTO(file) FILE *in = reader(l, err);
	AUTO(char_p) char *line = NULL;
	size_t room = 0;
	int64_t number = 0;
	ssize_t n;

	if (!in)
		return false;
	while ((n = getline(&line, &room, in)) > 0) {
		char time[32] = "";
		const int job = parse_line(line, time);

		number++;
		if (number == 1 ||
		    line[n - 1] != '\n') /* skips the head, and a line that is being written */
			continue;
		if (job == 0)
			return fail(
				err, ERR_CONFIG,
				"%s:%lld: not a line of a ledger: put the file back from its backup",
				l->path, (long long)number);
		if (!take(arg, job, time, line, (size_t)n, err))
			return false;
	}
	return !ferror(in) || fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
}

struct counting {
	void *ctx;
	struct ledger_count *counts;
	size_t n, room, last;
};

/* The lines of a job stand mostly together, so look first where the last one was counted. */
static bool count_line(void *arg, int job, const char *time, const char *line, size_t n,
		       struct error *err)
{
	struct counting *c = arg;
	size_t i = c->last;

	(void)line, (void)n, (void)err; /* counting needs neither, and cannot fail */
	if (i >= c->n || c->counts[i].job != job)
		for (i = 0; i < c->n && c->counts[i].job != job;)
			i++;
	if (i == c->n) {
		if (c->n == c->room)
			c->counts = t_grow(c->ctx, c->counts, struct ledger_count,
					   c->room = c->room * 2 + 16);
		c->counts[c->n++] = (struct ledger_count){.job = job};
	}
	c->last = i;
	c->counts[i].lines++;
	if (strcmp(time, c->counts[i].newest) > 0)
		(void)snprintf(c->counts[i].newest, sizeof(c->counts[i].newest), "%s", time);
	return true;
}

bool ledger_counts(struct ledger *l, void *ctx, struct ledger_count **ret, size_t *ret_n,
		   struct error *err)
{
	struct counting c = {.ctx = ctx};

	if (!each_line(l, count_line, &c, err))
		return false;
	*ret = c.counts;
	*ret_n = c.n;
	return true;
}

struct reading {
	const int *jobs;
	size_t n_jobs;
	ledger_sink sink;
	void *arg;
};

static bool hand_over(void *arg, int job, const char *time, const char *line, size_t n,
		      struct error *err)
{
	const struct reading *r = arg;

	(void)time;
	for (size_t i = 0; i < r->n_jobs; i++)
		if (r->jobs[i] == job)
			return r->sink(r->arg, line, n, err);
	return true;
}

bool ledger_read(struct ledger *l, const int *jobs, size_t n_jobs, ledger_sink sink, void *arg,
		 struct error *err)
{
	struct reading r = {.jobs = jobs, .n_jobs = n_jobs, .sink = sink, .arg = arg};

	return each_line(l, hand_over, &r, err);
}

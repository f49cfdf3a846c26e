/*
 * The file: its lock, its chain, its last line.  What may die while lines are appended, and what then:
 *
 *   lock      flock(2) ends with the process.
 *   tail      only read, except that a torn last line is cut off.  Killed before the cut, the next append does it.
 *   write     one write for all lines.  Where the disk is full, the file is cut back to what it was.  Killed within it,
 *             or if the cut fails too, a part of the lines stays: whole ones, which are true, because their
 *             transaction has committed, and a torn one, which the next append cuts off.  What lacks is appended
 *             from the table when file and table are compared.
 *   sync      a power cut before it takes the lines since the last one; they are appended from the table, too.
 *             A disk that leaves other bytes in their place breaks the chain there, and a person is told.
 */
#include "journal/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char head[] = "# retentiond ledger 2 ";

#define FIELDS 7 /* of a line, with its link */
#define WAY_OUT                                                                                    \
	"put the file back from its backup; or move it away, so that it is written anew from the " \
	"database"

struct ledger {
	pthread_mutex_t mutex; /* among our threads; flock(2) is among processes */
	int fd; /* -1: ledger_let_go() */
	bool reads_only;
	ino_t inode;
	char *path;
	char *secret;
	struct digest_key *key; /* of the appends; each reader has its own */
	char number[37]; /* a UUID */
	char event[FILE_HEX + 1]; /* on the last line that was written here */
};

const char *ledger_path(const struct ledger *l)
{
	return l->path;
}

const char *ledger_number(const struct ledger *l)
{
	return l->number;
}

/* The size of the file up to its last newline. */
static bool find_end(const struct ledger *l, off_t *ret, struct error *err)
{
	off_t size = lseek(l->fd, 0, SEEK_END);
	char last = '\0';

	while (size > 0 && pread(l->fd, &last, 1, size - 1) == 1 && last != '\n')
		size--;
	*ret = size;
	return size == 0 || (size > 0 && last == '\n') ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
}

/* Cuts off what is behind the last newline: a line that a crash tore. */
static bool cut_torn_line(struct ledger *l, struct error *err)
{
	off_t end;

	return find_end(l, &end, err) &&
	       (end == lseek(l->fd, 0, SEEK_END) || ftruncate(l->fd, end) == 0 ||
		fail_errno(err, ERR_ENVIRONMENT, "cannot cut a torn line off \"%s\"", l->path));
}

/* Is this the file that was checked when it was opened first? */
static bool is_same(const struct ledger *l, int fd, struct error *err)
{
	struct stat now;

	if (fstat(fd, &now) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return now.st_ino == l->inode ||
	       fail(err, ERR_ENVIRONMENT, "\"%s\" is another file now", l->path);
}

/* After ledger_let_go(). */
static bool open_again(struct ledger *l, struct error *err)
{
	AUTO(fd) int fd = open(l->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open \"%s\" again", l->path);
	if (!is_same(l, fd, err))
		return false;
	l->fd = fd;
	fd = -1;
	return cut_torn_line(l, err);
}

/* Locks the file among processes.  On a file system without locks it goes on without, as the archives do. */
static bool lock(struct ledger *l, struct error *err)
{
	(void)pthread_mutex_lock(&l->mutex);
	if (l->fd < 0 && !open_again(l, err)) {
		(void)pthread_mutex_unlock(&l->mutex);
		return false;
	}
	while (flock(l->fd, l->reads_only ? LOCK_SH : LOCK_EX) != 0) {
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
		return false; /* the next append cuts the torn line */
	return false;
}

/* Reads the link of the last line. */
static bool read_last_link(struct ledger *l, char ret[FILE_HEX + 1], struct error *err)
{
	const off_t size = lseek(l->fd, 0, SEEK_END);
	char tail[FILE_HEX + 2];

	if (size < (off_t)sizeof(tail))
		return fail(err, ERR_CONFIG, "\"%s\" has lost its first line: move it away",
			    l->path);
	if (pread(l->fd, tail, sizeof(tail), size - (off_t)sizeof(tail)) != (ssize_t)sizeof(tail))
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	memcpy(ret, tail + 1, FILE_HEX);
	ret[FILE_HEX] = '\0';
	return true;
}

/* Appends a line, of which its link and its newline are missing, to *text; link is that of the line before it. */
static bool add_line(struct ledger *l, char **text, const char *line, size_t n,
		     char link[FILE_HEX + 1], struct error *err)
{
	const char *event = memrchr(line, '\t', n);
	const size_t left = event ? n - (size_t)(event + 1 - line) : 0;

	/* The hash of the newest event stands where it is new. */
	if (left == FILE_HEX && strncmp(l->event, event + 1, left) == 0)
		n -= left;
	else if (left == FILE_HEX)
		memcpy(l->event, event + 1, left);
	if (!digest_key_sum(l->key, link, line, n, link, err))
		return false;
	t_append(text, "%.*s\t%s\n", (int)n, line, link);
	return true;
}

bool ledger_append(struct ledger *l, const char *lines, size_t n, char ret_link[FILE_HEX + 1],
		   struct error *err)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *text = t_strdup(ctx, "");
	char link[FILE_HEX + 1];
	bool ok;

	if (!lock(l, err))
		return false;
	ok = cut_torn_line(l, err) && read_last_link(l, link, err);
	for (const char *end; ok && n > 0; n -= (size_t)(end + 1 - lines), lines = end + 1) {
		end = memchr(lines, '\n', n);
		if (!end)
			break;
		ok = add_line(l, &text, lines, (size_t)(end - lines), link, err);
	}
	ok = ok && write_whole(l, text, strlen(text), err);
	if (!ok)
		*l->event = '\0'; /* it may not be in the file */
	unlock(l);
	if (ok && ret_link)
		memcpy(ret_link, link, sizeof(link));
	return ok;
}

/* fd -1: no descriptor was left. */
static bool sync_file(const struct ledger *l, int fd, struct error *err)
{
	return (fd >= 0 && fdatasync(fd) == 0) ||
	       fail_errno(err, ERR_ENVIRONMENT, "cannot sync \"%s\"", l->path);
}

bool ledger_sync(struct ledger *l, struct error *err)
{
	AUTO(fd) int fd = -1;
	bool there;

	(void)pthread_mutex_lock(&l->mutex);
	/* A descriptor of its own, so that nobody waits for the disk. */
	there = l->fd >= 0;
	fd = there ? fcntl(l->fd, F_DUPFD_CLOEXEC, 0) : -1;
	(void)pthread_mutex_unlock(&l->mutex);
	return !there || sync_file(l, fd, err);
}

void ledger_let_go(struct ledger *l)
{
	if (!l)
		return;
	(void)pthread_mutex_lock(&l->mutex);
	if (l->fd >= 0)
		(void)close(l->fd); /* ledger_check() adds what is lost */
	l->fd = -1;
	(void)pthread_mutex_unlock(&l->mutex);
}

bool ledger_take_up(struct ledger *l, struct error *err)
{
	if (!lock(l, err))
		return false;
	unlock(l);
	return true;
}

static FILE *open_reader(const struct ledger *l, struct error *err)
{
	FILE *in = fopen(l->path, "re");

	if (!in)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	return in;
}

static bool write_head(struct ledger *l, const char *directory, const char *identity,
		       const char *number, struct error *err)
{
	AUTO(char_p) char *line = xprintf("%s%s %s", head, identity, number);
	AUTO(char_p) char *text = NULL;
	char link[FILE_HEX + 1];

	if (!digest_key_sum(l->key, "", line, strlen(line), link, err))
		return false;
	text = xprintf("%s\t%s\n", line, link);
	(void)snprintf(l->number, sizeof(l->number), "%s", number); /* of 36 */
	return write_whole(l, text, strlen(text), err) && sync_file(l, l->fd, err) &&
	       file_sync_folder(directory, err);
}

/* Checks the first line, except for its link, which ledger_next() does; *ret_empty: there is none. */
static bool check_head(struct ledger *l, const char *identity, bool *ret_empty, struct error *err)
{
	AUTO(char_p) char *wanted = xprintf("%s%s ", head, identity);
	AUTO(char_p) char *found = NULL;
	AUTO(file) FILE *in = open_reader(l, err);
	size_t room = 0;
	ssize_t n;

	if (!in)
		return false;
	n = getline(&found, &room, in);
	*ret_empty = n < 0 || found[n - 1] != '\n';
	if (*ret_empty)
		return true;
	if (strncmp(found, head, strlen(head)) != 0)
		return fail(
			err, ERR_CONFIG,
			"\"%s\" is not a ledger of this version of retentiond: move it away, so "
			"that it is written anew from the database, or give archives another "
			"directory",
			l->path);
	if (strncmp(found, wanted, strlen(wanted)) != 0)
		return fail(err, ERR_CONFIG,
			    "\"%s\" is the ledger of another database: each database needs an "
			    "archives directory of its own",
			    l->path);
	(void)snprintf(l->number, sizeof(l->number), "%s", found + strlen(wanted)); /* of 36 */
	return true;
}

/* Opens the file itself; *ret_missing: it is not there. */
static bool open_file(struct ledger *l, const char *directory, enum ledger_use use,
		      bool *ret_missing, struct error *err)
{
	const int how = (use == LEDGER_READ ? O_RDONLY : O_RDWR | O_APPEND) |
			(use == LEDGER_CREATE ? O_CREAT : 0);

	l->path = xprintf("%s/%s", directory, LEDGER_FILE);
	l->reads_only = use == LEDGER_READ;
	l->fd = open(l->path, how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	*ret_missing = l->fd < 0 && use != LEDGER_CREATE && errno == ENOENT;
	return l->fd >= 0 || *ret_missing ||
	       fail_errno(err,
			  errno == EIO || errno == ENOSPC || errno == EDQUOT ? ERR_ENVIRONMENT
									     : ERR_CONFIG,
			  "archives.directory \"%s\": cannot open \"" LEDGER_FILE "\" in it",
			  directory);
}

/*
 * Row 0 of names: the database's identity, the secret, and the number of a file that is made now.  A file without a first
 * line is a missing one, because whoever has emptied it may as well have removed it.
 */
static bool begin(struct ledger *l, const char *directory, enum ledger_use use,
		  const PGresult *names, bool *ret_missing, struct error *err)
{
	const char *identity = db_value(names, 0, "identity");
	struct stat st;
	bool ok;

	if (fstat(l->fd, &st) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"", l->path);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_CONFIG, "\"%s\" is not a regular file: move it away", l->path);
	l->inode = st.st_ino;
	if (!lock(l, err))
		return false;
	ok = (l->reads_only || cut_torn_line(l, err)) && check_head(l, identity, ret_missing, err);
	if (ok && *ret_missing && use == LEDGER_CREATE) {
		ok = write_head(l, directory, identity, db_value(names, 0, "number"), err);
		*ret_missing = false;
	}
	unlock(l);
	return ok;
}

bool ledger_open(struct db *db, const char *directory, enum ledger_use use, struct ledger **ret,
		 struct error *err)
{
	static const char sql[] =
		"SELECT i.id AS identity, x.secret, gen_random_uuid() AS number\n"
		"  FROM retention.identity AS i JOIN retention.ledger_secret AS x ON x.id = i.id";
	AUTO(ledger) struct ledger *l = xcalloc(1, sizeof(*l));
	AUTO(result) PGresult *res = NULL;
	bool missing = false;

	(void)pthread_mutex_init(&l->mutex, NULL);
	l->fd = -1;
	if (!db_query(db, sql, 0, NULL, &res, err))
		return false;
	if (PQntuples(res) != 1)
		return fail(
			err, ERR_CONFIG,
			"retention.ledger_secret has no key for the id of retention.identity: put "
			"its row back from a backup of the database; or move \"%s/" LEDGER_FILE
			"\" away and, as the owner of the schema, INSERT INTO "
			"retention.ledger_secret (id) SELECT id FROM retention.identity",
			directory);
	l->secret = xstrdup(db_value(res, 0, "secret"));
	l->key = digest_key_new(l->secret);
	if (!open_file(l, directory, use, &missing, err) ||
	    (!missing && !begin(l, directory, use, res, &missing, err)))
		return false;
	*ret = missing ? NULL : l;
	l = missing ? l : NULL;
	return true;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd); /* ledger_sync() makes it durable */
	(void)pthread_mutex_destroy(&l->mutex);
	free(l->path);
	free(l->secret);
	digest_key_free(l->key);
	free(l);
}

/* Splits a line of n bytes, without its newline, at its tabs; false: it has not FIELDS. */
static bool split(const char *line, size_t n, const char *ret[FIELDS])
{
	size_t fields = 0;

	for (const char *at = line; at; at = memchr(at, '\t', n - (size_t)(at - line))) {
		at += fields > 0;
		if (fields == FIELDS)
			return false;
		ret[fields++] = at;
	}
	return fields == FIELDS && !memchr(line, '\0', n) &&
	       (size_t)(line + n - ret[FIELDS - 1]) == FILE_HEX;
}

/* Takes a field of the length of room - 1 at most; false: it is longer. */
static bool take(const char *field, const char *next, char *ret, size_t room)
{
	const size_t n = (size_t)(next - 1 - field);

	if (n >= room)
		return false;
	memcpy(ret, field, n);
	ret[n] = '\0';
	return true;
}

/* Takes apart job TAB action TAB archive mode TAB time TAB key TAB event TAB link. */
static bool parse_line(struct ledger_reader *r, size_t n)
{
	const char *f[FIELDS];
	char number[12];
	char *end = NULL;
	long job;

	if (!split(r->line, n, f) || !take(f[0], f[1], number, sizeof(number)) ||
	    !take(f[3], f[4], r->time, sizeof(r->time)) ||
	    !take(f[5], f[6], r->event, sizeof(r->event)))
		return false;
	job = strtol(number, &end, 10);
	if (end == number || *end || job < 0 || job > INT32_MAX)
		return false;
	r->job = (int)job;
	r->n = (size_t)(f[5] - r->line);
	return true;
}

/* Does the line, of n bytes without its newline, follow the line before it, whose link r has? */
static bool check_link(struct ledger_reader *r, size_t n, struct error *err)
{
	const struct ledger *l = r->ledger;
	const size_t own = n > FILE_HEX ? n - FILE_HEX - 1 : 0;

	if (n <= FILE_HEX || r->line[own] != '\t' ||
	    !digest_key_sum(r->key, r->number == 1 ? "" : r->link, r->line, own, r->link, err) ||
	    strncmp(r->link, r->line + own + 1, FILE_HEX) != 0)
		return err->class == ERR_NONE &&
		       fail(err, ERR_CONFIG,
			    "%s:%" PRId64 ": this line was changed, or %s: " WAY_OUT, l->path,
			    r->number,
			    r->number == 1 ? "its key in retention.ledger_secret"
					   : "lines before it were added or removed");
	return true;
}

void auto_ledger_reader(struct ledger_reader *r)
{
	auto_file(&r->in);
	digest_key_free(r->key);
	free(r->line);
}

/* Whole lines that stand now stay: what is written from now on may be cut off again, and is not read. */
static bool begin_reading(struct ledger_reader *r, struct error *err)
{
	struct ledger *l = r->ledger;
	bool ok;

	if (!lock(l, err))
		return false;
	r->key = digest_key_new(l->secret);
	r->in = open_reader(l, err);
	ok = r->in && is_same(l, fileno(r->in), err) && find_end(l, &r->left, err);
	unlock(l);
	return ok;
}

bool ledger_next(struct ledger_reader *r, struct error *err)
{
	ssize_t n;
	size_t bytes;

	if (!r->in && !begin_reading(r, err))
		return false;
	do {
		if (r->left <= 0)
			return false;
		n = getline(&r->line, &r->room, r->in);
		if (n <= 0 || r->line[n - 1] != '\n')
			return ferror(r->in)
				       ? fail_errno(err, ERR_ENVIRONMENT, "cannot read \"%s\"",
						    r->ledger->path)
				       : fail(err, ERR_ENVIRONMENT,
					      "\"%s\" was cut while it was read", r->ledger->path);
		r->left -= n;
		r->number++;
		bytes = (size_t)n - 1;
		if (r->number > 1 && !parse_line(r, bytes))
			return fail(err, ERR_CONFIG,
				    "%s:%" PRId64 ": not a line of a ledger: " WAY_OUT,
				    r->ledger->path, r->number);
		if (!check_link(r, bytes, err))
			return false;
	} while (r->number == 1); /* the head */
	r->line[r->n - 1] = '\n';
	return true;
}

/*
 * Only reads, so it can be repeated after a crash on any line.  The process that wrote the folder may have died in any
 * step of a job or of its end (archive/writer.c, archive/finish.c).  What is there then, and what this takes:
 *
 *   work        segments.  A batch syncs them before it commits, so what is torn behind the last complete record was
 *               never committed.  Whole records behind the last commit stay: their rows are in the database still,
 *               and are archived again when they are erased.
 *   join        the lengths are noted (ARCHIVE_LENGTHS) before a segment is touched, and the note counts: worker 0's
 *               segment may have become the file, with rows of other segments behind its own.
 *   encrypt     the note, too.
 *   manifest    the same, until sealing removes the note.  Then no segment is left, and the manifest counts.
 *   seal        the finished folder's manifest.
 *
 * A file that was not sealed and that cannot be told from another archive's is refused: nothing is cut or removed.
 */
#include "archive/found.h"

#include "archive/folder.h"
#include "archive/manifest.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>

bool archive_is_used(const struct archive *a)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(fd) int folder = archive_folder(a, ARCHIVE_PARTIAL);
	const char **names = folder >= 0 ? archive_list(folder, ".", ctx) : NULL;

	return archive_is_finished(a) || (names && *names);
}

/* A segment that is being read. */
struct scan {
	const char *head; /* what it has to begin with; "": nothing */
	int64_t at; /* in it */
	bool quoted; /* inside a quoted value, where a newline ends no record */
	int64_t bytes; /* of its complete records */
	int64_t rows; /* the header counts */
};

/* false: it begins with another header. */
static bool scan_bytes(struct scan *s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++, s->at++) {
		if (*s->head && *s->head++ != bytes[i])
			return false;
		s->quoted = s->quoted != (bytes[i] == '"');
		if (bytes[i] == '\n' && !s->quoted) {
			s->bytes = s->at + 1;
			s->rows++;
		}
	}
	return true;
}

static bool scan_segment(int folder, const char *name, struct scan *s, struct error *err)
{
	AUTO(char_p) char *buffer = must_alloc(malloc(BUFFER_BYTES));
	AUTO(fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open archive file \"%s\"", name);
	if (!archive_hold(fd, name, err))
		return false;
	while ((n = read(fd, buffer, BUFFER_BYTES)) != 0) {
		if (n < 0 && errno != EINTR)
			return fail_errno(err, ERR_ENVIRONMENT, "cannot read archive file \"%s\"",
					  name);
		if (n > 0 && !scan_bytes(s, buffer, (size_t)n))
			return archive_fail_head(name, err);
	}
	return true;
}

/* Which file is it a segment of, and which worker's?  false: of none. */
static bool parse_segment(const struct archive *a, const char *name, size_t *ret_file,
			  int *ret_worker)
{
	for (size_t i = 0; archive_is_segment(name) && i < a->n_files; i++) {
		const size_t n = strlen(a->files[i].name);

		if (strncmp(name, a->files[i].name, n) == 0 && name[n] == '.' &&
		    name + n == archive_suffix(name)) {
			*ret_file = i;
			*ret_worker = (int)strtol(name + n + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

/* How many workers have begun segments.  0 with err: there is something else. */
static int count_workers(const struct archive *a, const char **names, struct error *err)
{
	int workers = 1, worker = 0;
	size_t i = 0;

	for (; *names; names++) {
		if (!parse_segment(a, *names, &i, &worker)) {
			(void)fail(err, ERR_CONFIG,
				   "\"%s/%s" ARCHIVE_PARTIAL
				   "/%s\" is not a segment of a table that the action archives",
				   a->directory, a->name, *names);
			return 0;
		}
		workers = worker >= workers ? worker + 1 : workers;
	}
	return workers;
}

static char *scan_folder(const struct archive *a, int folder, void *ctx, struct error *err)
{
	const char **names = archive_list(folder, ".", ctx);
	const int workers = names ? count_workers(a, names, err) : 0;
	int64_t *bytes = t_array(ctx, int64_t, (size_t)workers * a->n_files + 1);
	int64_t *rows = t_array(ctx, int64_t, (size_t)workers * a->n_files + 1);

	if (!names)
		(void)fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	if (workers == 0)
		return NULL;
	for (; *names; names++) {
		struct scan s = {.head = ""};
		size_t i = 0;
		int worker = 0;

		(void)parse_segment(a, *names, &i, &worker); /* counted above */
		if (worker == 0)
			s.head = a->files[i].head;
		if (!scan_segment(folder, *names, &s, err))
			return NULL;
		i += (size_t)worker * a->n_files;
		bytes[i] = s.bytes;
		rows[i] = s.rows - (worker == 0 && s.rows > 0 ? 1 : 0);
	}
	return manifest_lengths(ctx, a, workers, bytes, rows);
}

static bool has_segments(int folder, void *ctx)
{
	const char **names = archive_list(folder, ".", ctx);

	while (names && *names && !archive_is_segment(*names))
		names++;
	return !names || *names;
}

char *archive_found(const struct archive *a, void *ctx, struct error *err)
{
	AUTO(fd) int finished = archive_folder(a, "");
	AUTO(fd) int folder = finished >= 0 ? -1 : archive_partial(a, err);
	char *text = NULL;

	if (finished >= 0) {
		text = file_read_small(finished, ARCHIVE_MANIFEST, ctx, err);
		if (!text && err->class == ERR_NONE)
			(void)fail(err, ERR_CONFIG, "\"%s/%s\" has no " ARCHIVE_MANIFEST,
				   a->directory, a->name);
		return text;
	}
	if (folder >= 0)
		text = file_read_small(folder, ARCHIVE_LENGTHS, ctx, err);
	if (!text && err->class == ERR_NONE && !has_segments(folder, ctx))
		text = file_read_small(folder, ARCHIVE_MANIFEST, ctx, err);
	return text || err->class != ERR_NONE ? text : scan_folder(a, folder, ctx, err);
}

/*
 * The end of an archive's folder: nothing but the archive in it, and under its name.  Everything here can be repeated
 * after a crash, up to the rename, which is the last.
 */
#include "archive/folder.h"

#include "base/failpoint.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Of any worker, the first try may have had more of them; and of a label that got no rows. */
static bool is_segment(const char *name)
{
	const char *number = archive_suffix(name);

	return number && *number == '.' && number[1] &&
	       number[1 + strspn(number + 1, "0123456789")] == '\0';
}

static bool remove_segments(int folder, struct error *err)
{
	DIR *stream = archive_entries(folder, ".");
	const struct dirent *e;
	bool ok = true;

	if (!stream)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	errno = 0;
	while (ok && (e = readdir(stream))) {
		if (is_segment(e->d_name) && unlinkat(folder, e->d_name, 0) != 0 && errno != ENOENT)
			ok = fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"%s\"", e->d_name);
		errno = 0;
	}
	if (ok && errno != 0)
		ok = fail_errno(err, ERR_ENVIRONMENT, "cannot read the archive's folder");
	(void)closedir(stream); /* read-only */
	return ok;
}

bool archive_seal(const char *directory, const char *name, struct error *err)
{
	AUTO(fd) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd) int folder = archive_folder(directory, name, ".partial");
	AUTO(char_p) char *partial = NULL;

	if (parent < 0 || folder < 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot open the folder \"%s/%s.partial\"",
				  directory, name);
	if (!remove_segments(folder, err))
		return false;
	failpoint("seal-after-segments");
	if (unlinkat(folder, "SHA256SUMS.plain", 0) != 0 && errno != ENOENT)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot remove \"SHA256SUMS.plain\"");
	if (!archive_sync_fd(folder, "the archive's folder", err))
		return false;
	if (asprintf(&partial, "%s.partial", name) < 0)
		must_alloc(NULL);
	if (renameat(parent, partial, parent, name) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "cannot rename \"%s/%s\"", directory,
				  partial);
	return archive_sync_fd(parent, directory, err);
}

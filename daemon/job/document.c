#include "job/document.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder; -1 with errno. */
static int open_folder(const char *directory)
{
	AUTO(fd) int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return root < 0 ? -1 : file_open_beneath(root, DOCUMENT_FOLDER, O_RDONLY | O_DIRECTORY);
}

bool document_open(const char *directory, const char *name, int *ret_fd, int64_t *ret_bytes,
		   struct error *err)
{
	AUTO(fd) int folder = open_folder(directory);
	struct stat st;

	*ret_fd = folder < 0 || strchr(name, '/')
			  ? -1
			  : file_open_beneath(folder, name, O_RDONLY | O_NONBLOCK);
	if (*ret_fd < 0)
		return fail_errno(err, ERR_CONFIG, "cannot open the document \"%s\"", name);
	if (fstat(*ret_fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(*ret_fd); /* nothing was read */
		*ret_fd = -1;
		return fail(err, ERR_CONFIG, "the document \"%s\" is not a file", name);
	}
	*ret_bytes = st.st_size;
	return true;
}

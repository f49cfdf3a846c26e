/*
 * Files by descriptor: opened below a folder and nowhere else, read whole, summed, written, synced.
 */
#pragma once

#include "base/mem.h"
#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * Opens path below folder with flags of open(2); O_CLOEXEC is added.  Never leaves the folder and never
 * follows a symbolic link.  -1 with errno: EXDEV or ELOOP means that the path would do either.  Where the system forbids
 * openat2(2), each ".." is EXDEV.
 */
int file_open_beneath(int folder, const char *path, int flags);

/* The path of a program or folder beside our own executable, as in a build folder, or else the installed one. */
const char *file_beside(void *ctx, const char *name, const char *installed);

/*
 * Reads up to n bytes, or to the end if that comes first.  Reads by position, because processes that inherited the same
 * open file share its offset.  A pipe has no positions, so it is read in sequence.  Returns the number of bytes, or -1
 * with errno.
 */
ssize_t file_read_all(int fd, char *bytes, size_t n);

/*
 * Reads a small text file whole, from its first byte; name is for messages.  The text is owned by ctx.
 * NULL with err.  CONFIG: not a regular file, larger than 16 MiB, or with a NUL byte in it.
 * ENVIRONMENT: the disk fails.
 */
char *file_read_text(int fd, const char *name, void *ctx, struct error *err);

/* Writes all n bytes and adds to *written what reached the file, in failure too.  ENVIRONMENT: the disk. */
bool file_write(int fd, const char *bytes, size_t n, int64_t *written, const char *name,
		struct error *err);

/* fsync(2); name is for messages.  ENVIRONMENT: the disk fails, or fd is -1 with errno of its opening. */
bool file_sync(int fd, const char *name, struct error *err);

/*
 * Is path a folder in which only its owner, root or this user, and at most a group that reads, can do anything, and
 * can nobody else put another folder in its place?  So no folder above it may belong to a third user or be writable by
 * others, except one with the sticky bit, such as /tmp.  Links on the way are followed, and both ways are checked.
 * CONFIG: no; the text names the folder and what to do.
 */
bool file_check_private_folder(const char *path, struct error *err);

/*
 * Is path, followed through links, an executable file that nobody but root and this user can change or
 * exchange?  CONFIG: no; the
 * text says what to do, and begins with what it is about.
 */
bool file_check_program(const char *path, struct error *err);

/* A small text file of the open folder, owned by ctx; NULL, with err only where it is there and cannot be read. */
char *file_read_small(int folder, const char *name, void *ctx, struct error *err);

#define FILE_TEMPORARY ".tmp" /* behind a file's name, until it is whole */

/* Writes such a file durably: temporary name, fsync, rename, fsync of the folder.  ENVIRONMENT: the disk. */
bool file_replace(int folder, const char *name, const char *text, struct error *err);

/* Syncs the folder at path, so that names made or removed in it survive a power cut. */
bool file_sync_folder(const char *path, struct error *err);

#define FILE_HEX 64 /* digits of a SHA-256 */

/* SHA-256 of what follows in fd, as FILE_HEX hexadecimal digits and a NUL.  ENVIRONMENT: the disk. */
bool file_digest(int fd, const char *name, char ret_hex[FILE_HEX + 1], struct error *err);

/* The same, piece by piece. */
struct digest;

struct digest *digest_new(void);
void digest_add(struct digest *d, const char *bytes, size_t n);

/* The digest of all that was added; once.  ENVIRONMENT: libcrypto fails. */
bool digest_end(struct digest *d, char ret_hex[FILE_HEX + 1], struct error *err);

/* HMAC-SHA-256 under a key, many times; one thread at a time. */
struct digest_key;

struct digest_key *digest_key_new(const char *key);

/* The digest of the text before, and of n bytes behind it.  ENVIRONMENT: libcrypto fails. */
bool digest_key_sum(struct digest_key *key, const char *before, const char *bytes, size_t n,
		    char ret_hex[FILE_HEX + 1], struct error *err);

/* NULL is fine. */
void digest_key_free(struct digest_key *key);

/* NULL is fine. */
void digest_free(struct digest *d);

DEFINE_AUTO(digest, struct digest, digest_free)

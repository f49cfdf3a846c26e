/*
 * Encryption by age (https://age-encryption.org/v1): the program of that name is found by PATH and run
 * without a shell.  Bytes go from descriptor to descriptor; a key is only ever named by its file.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* Tries age and the n recipients on empty input.  CONFIG: age is not installed, or refuses a recipient. */
bool age_check(const char *const *recipients, size_t n, struct error *err);

/*
 * Encrypts `in`, from its position to its end, into `out`, which is not synced.  ENVIRONMENT: age failed,
 * whatever the reason (the disk is full, it was killed): out is void.
 */
bool age_encrypt(const char *const *recipients, size_t n, int in, int out, struct error *err);

struct decryption; /* one file, being decrypted */

/*
 * Begins to decrypt `in` from its position; the caller may close it after this call.  identity is the path
 * of age's identity file (or of an SSH private key without a passphrase).
 */
bool decryption_begin(const char *identity, int in, struct decryption **ret, struct error *err);

/* The descriptor to read the plain text from, to its end; the decryption owns it. */
int decryption_fd(const struct decryption *d);

/*
 * Was that all, and is it what was encrypted?  Call it at the end of the file, because age authenticates
 * 64 KiB at a time: a file that was cut short or changed shows here and not before.  Use nothing of what
 * was read until this returns true.  CONFIG: the wrong key, or a damaged file.
 */
bool decryption_end(struct decryption *d, struct error *err);

/* Ends age if it still runs.  NULL is fine. */
void decryption_free(struct decryption *d);

static inline void auto_decryption(struct decryption **d)
{
	decryption_free(*d);
}

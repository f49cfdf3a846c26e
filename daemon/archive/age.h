/*
 * Encryption by age (https://age-encryption.org/v1): the program of that name is found by PATH and run
 * without a shell.  Bytes go from descriptor to descriptor; a key is only ever named by its file.
 */
#pragma once

#include "base/process.h"

/* Tries age and the n recipients on empty input.  CONFIG: age is not installed, or refuses a recipient. */
bool age_check(const char *const *recipients, size_t n, struct error *err);

/*
 * Encrypts `in`, from its position to its end, into `out`, which is not synced.  ENVIRONMENT: age failed,
 * whatever the reason (the disk is full, it was killed): out is void.
 */
bool age_encrypt(const char *const *recipients, size_t n, int in, int out, struct error *err);

/*
 * Begins to decrypt `in` from its position; the caller may close it after this call.  identity is the path
 * of age's identity file (or of an SSH private key without a passphrase).  *ret_fd, which the caller closes,
 * gives the plain text to its end; process_kill() gives up.
 */
bool age_decrypt(const char *identity, int in, struct process *ret, int *ret_fd, struct error *err);

/*
 * Was that all, and is it what was encrypted?  Call it at the end of the file, because age authenticates
 * 64 KiB at a time: a file that was cut short or changed shows here and not before.  Use nothing of what
 * was read until this returns true.  CONFIG: the wrong key, or a damaged file.
 */
bool age_decrypt_end(struct process *age, struct error *err);

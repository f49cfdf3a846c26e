/*
 * Secrets: random bytes, digests of them, comparison in constant time, wiping.  A failure of libcrypto ends the
 * process, because a guessable secret would let anybody in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SECRET_BYTES 32
#define SECRET_HEX 64 /* its hexadecimal digits */
#define SECRET_BASE64 44

/* Fills bytes from the system's generator. */
void secret_random(unsigned char ret_bytes[SECRET_BYTES]);

void secret_sha256(const char *bytes, size_t n, unsigned char ret_digest[SECRET_BYTES]);

/* HMAC-SHA-256 of the digits of before and of the text behind them, as SECRET_HEX digits and a NUL. */
void secret_hmac(const unsigned char key[SECRET_BYTES], const unsigned char before[SECRET_BYTES],
		 const char *text, char ret_hex[SECRET_HEX + 1]);

void secret_print(const unsigned char bytes[SECRET_BYTES], char ret_hex[SECRET_HEX + 1]);

/* The same in base64, with its padding and a NUL. */
void secret_base64(const unsigned char bytes[SECRET_BYTES], char ret_text[SECRET_BASE64 + 1]);

/* Whether n bytes are equal.  The time does not depend on how many of them are. */
bool secret_equal(const void *a, const void *b, size_t n);

/* Overwrites bytes; no compiler leaves it out. */
void secret_wipe(void *bytes, size_t n);

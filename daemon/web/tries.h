/*
 * Counts log-ins that failed, so that passwords cannot be guessed by trying.  Within a minute a name has 5 of them and
 * an address has 20.  A try counts from its beginning, so that many at a time do not pass before the first one fails.
 */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define TRIES_WAIT_S 60

struct tries;

/* Owned by ctx. */
struct tries *tries_new(void *ctx);

/* Counts a try.  false: there were too many already; this one does not count. */
bool tries_begin(struct tries *tries, const char *name, const char *address, int64_t now_ms);

/* The last try with that name and address did not fail. */
void tries_forgive(struct tries *tries, const char *name, const char *address);

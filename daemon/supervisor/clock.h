/*
 * When policies are due: the wall clock in the loop, and the occurrences that depend on it.
 *
 * The last occurrence of a policy is in the database (retention.policy_state), never here, because the clock may be
 * set, the daemon may have been down, and another daemon may have been faster.  A policy is due when the first
 * occurrence after that one has come.  The latest that has come is begun, so that several that were missed run once.
 */
#pragma once

#include "config/config.h"
#include "supervisor/connection.h"
#include "supervisor/page_policies.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock_opts {
	struct event_base *base;
	bool once; /* a policy that has never run is due */
	/* The database refused a statement; why is its message. */
	void (*on_trouble)(void *arg, const char *why);
	/* No answer is outstanding; begun: an occurrence has become an action since the last call. */
	void (*on_settled)(void *arg, bool begun);
	void *arg;
};

/* Owned by ctx, which has to own the connection, too, because it answers the questions. */
struct clock *clock_new(void *ctx, const struct clock_opts *opts);

/*
 * Sets the policies, those of the page too, and the connection from now on; none is copied.  Nothing is due before clock_ask() has been
 * answered.  Answers for the former policies are dropped.
 */
void clock_set(struct clock *clock, const struct config *config, const struct page_policies *page,
	       struct connection *connection);

/* Asks the database for the last occurrence of each policy.  The connection must be up. */
void clock_ask(struct clock *clock);

/* Begins again the occurrences that the database has put off. */
void clock_retry(struct clock *clock);

/* No answer is outstanding. */
bool clock_settled(const struct clock *clock);

/* The database has put off an occurrence. */
bool clock_has_blocked(const struct clock *clock);

/* The policy with the earliest next occurrence, and its time; NULL: none is known. */
const struct policy *clock_next(const struct clock *clock, int64_t *ret_at);

/* Logs the last and the next occurrence of each policy. */
void clock_log_state(const struct clock *clock);

/* CLOCK_REALTIME, epoch seconds. */
int64_t clock_now(void);

/* "2026-12-01 00:00", local time; 32 bytes are enough. */
void clock_print(int64_t at, char *ret_text, size_t size);

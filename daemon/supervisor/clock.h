/*
 * When policies are due: the wall clock in the loop, and the occurrences that hang on it.
 *
 * What was done last is in the database (retention.policy_state), never here: the clock may be set,
 * the daemon may have been down, another daemon may have been faster.  An occurrence is due when the
 * first one after the last that the database knows has come; what is begun then is the latest that
 * has come, so that those that were missed run once.
 */
#ifndef RETENTION_SUPERVISOR_CLOCK_H
#define RETENTION_SUPERVISOR_CLOCK_H

#include "config/config.h"
#include "supervisor/connection.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock_handlers {
	/* The database refused a statement; why is its message. */
	void (*on_trouble)(void *arg, const char *why);
	/* All answers have come; begun: an occurrence has become an action since the last call. */
	void (*on_settled)(void *arg, bool begun);
	void *arg;
};

/* once: a policy that has never run is due. */
struct clock *clock_new(struct event_base *base, const struct clock_handlers *handlers, bool once);

/* NULL is fine.  After the connection, which may still hold questions of ours. */
void clock_free(struct clock *clock);

/*
 * The policies and the connection from now on; neither is copied.  Nothing is due before clock_ask()
 * has been answered; what is still on its way for those before is forgotten.
 */
void clock_set(struct clock *clock, const struct config *config, struct connection *watch);

/* Asks the database, policy by policy, what was last.  When the connection is up. */
void clock_ask(struct clock *clock);

/* Begins again what the database would not begin before, an earlier pass not having ended. */
void clock_retry(struct clock *clock);

/* Is no answer outstanding?  Did the database put off an occurrence? */
bool clock_settled(const struct clock *clock);
bool clock_has_blocked(const struct clock *clock);

/* The policy whose turn comes first, and when; NULL: none is known. */
const struct policy *clock_next(const struct clock *clock, int64_t *ret_at);

/* Each policy's last and next occurrence, to the log. */
void clock_log_state(const struct clock *clock);

/* CLOCK_REALTIME, epoch seconds. */
int64_t clock_now(void);

/* "2026-12-01 00:00", local time; 32 bytes are enough. */
void clock_print(int64_t at, char *ret_text, size_t size);

#endif

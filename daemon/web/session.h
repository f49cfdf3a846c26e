/*
 * Sessions: a cookie's value leads to a connection as the person.  Nothing of them is on disk, so a restart logs everybody
 * out.  The value itself is not kept, only its digest.
 */
#pragma once

#include "web/link.h"
#include "web/visit.h"

#define SESSION_COOKIE_MAX 65 /* a cookie's value and a NUL */

struct sessions;

/* Limits of web.conf(5). */
struct session_limits {
	int64_t idle_s, longest_s;
	int all, each; /* how many */
};

/* Owned by ctx.  Ends sessions by itself when their time is over. */
struct sessions *sessions_new(void *ctx, struct event_base *base,
			      const struct session_limits *limits);

void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits);

/* There is no place for another one, beside so many that are about to begin. */
bool sessions_full(const struct sessions *sessions, int coming);

/*
 * A new session; it takes over the link and the person.  One of the same person that was unused longest ends where the
 * person has too many.  ret_cookie: the value of its cookie.
 */
struct session *session_begin(struct sessions *sessions, struct link *link, struct person *person,
			      char ret_cookie[SESSION_COOKIE_MAX]);

/* By a cookie's value; NULL: there is none, or its time is over. */
struct session *session_find(struct sessions *sessions, const char *cookie);

/* Puts off its end.  Not for what a page asks by itself. */
void session_use(struct session *session);

/* A visit uses its memory. */
void session_hold(struct session *session);
void session_release(struct session *session);

/* A visit is under way (1) or over (-1): meanwhile the session is not idle. */
void session_busy(struct session *session, int change);

/* How many streams it has, after a change of 1, -1 or 0. */
int session_streams(struct session *session, int change);

/* Ends it: its cookie is worth nothing now, its connection closes at the loop's next turn. */
void session_end(struct session *session);

/* It has not ended. */
bool session_lives(const struct session *session);

struct link *session_link(const struct session *session);

/* The person as the database described it at log-in; each visit asks again. */
const struct person *session_person(const struct session *session);

/* The token of the form that is sent to path; owned by ctx. */
char *session_token(const struct session *session, void *ctx, const char *path);

/* text may be NULL. */
bool session_token_fits(const struct session *session, const char *path, const char *text);

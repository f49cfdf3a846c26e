/*
 * The policies that people have made on the page, as far as they are in force and the configuration allows them.  The
 * database is asked for them each time that it is asked what is due, because a NOTIFY may be lost.
 */
#pragma once

#include "config/config.h"
#include "supervisor/connection.h"

struct page_policies {
	const struct policy *policies; /* n */
	size_t n;
	const char *refusal; /* why one of them does not run; NULL: all run */
	const char *signature; /* of the database's answer; NULL: it has not answered */
};

/*
 * Called with each answer.  why: the database's refusal; else NULL, and *list is valid during the call and until
 * page_policies_forget() or another list comes.  changed: it is another one than the last.
 */
typedef void page_policies_handler(void *arg, const struct page_policies *list, bool changed,
				   const char *why);

struct page_asker;

/* Owned by ctx, which has to own the connection, too. */
struct page_asker *page_asker_new(void *ctx, page_policies_handler *handler, void *arg);

/* Asks, under the configuration, which is not copied.  Answers to earlier questions are dropped. */
void page_policies_ask(struct page_asker *asker, const struct config *config,
		       struct connection *connection);

/* The next answer is another list.  Answers that are outstanding are dropped. */
void page_policies_forget(struct page_asker *asker);

/* The last list. */
const struct page_policies *page_policies_last(const struct page_asker *asker);

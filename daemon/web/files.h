/*
 * The page's side of the daemon's socket (base/handover.h): asks for a list of files, or for an open file with a ticket.
 * Nothing here blocks.
 */
#pragma once

#include "base/handover.h"

#include <event2/event.h>

struct files_request;

/*
 * The daemon's answer, and the descriptor that came with it, which is the callee's, or -1.  answer NULL: there is none,
 * because nobody listens at the socket, or not in time; why is for the log.
 */
typedef void (*files_answer)(void *arg, const struct handover_answer *answer, int fd,
			     const char *why);

/*
 * Sends a packet to the socket at path.  on_answer is called once, never before this returns, and the request is freed
 * then.  Owned by ctx: freed before, nothing is called.
 */
void files_ask(void *ctx, struct event_base *base, const char *path, const char *packet,
	       files_answer on_answer, void *arg);

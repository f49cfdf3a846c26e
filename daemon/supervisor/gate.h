/*
 * The gate: the socket at which the web page fetches files of archives (archives.web_socket, base/handover.h).  The
 * supervisor only accepts, checks the client's user, and hands the connection to a child (job/mode_hand_out.c).
 */
#pragma once

#include "supervisor/child.h"

struct gate;

/* Owned by children; closed.  on_closed is called when a child has ended. */
struct gate *gate_new(struct children *children, void (*on_ended)(void *arg), void *arg);

/* Opens, closes or moves the socket as the configuration says, which is not copied.  A failure is logged. */
void gate_set(struct gate *gate, const struct config *config);

/* Ends it all: closes the socket, and kills the children, which hand out what is asked for again. */
void gate_stop(struct gate *gate);

/* Children are at work. */
bool gate_busy(const struct gate *gate);

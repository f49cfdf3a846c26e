/*
 * The supervisor's reports: systemd's status line, metrics, /healthz and, on SIGUSR1, the log.
 */
#pragma once

#include "supervisor/supervisor_state.h"

/* STATUS=, sent if it differs from the last: the most important thing in one line.  arg is the struct supervisor. */
void status_notify(void *arg);

/* READY=1 with the status: the start, or a reload, is over. */
void status_ready(const struct supervisor *s);

/* Puts the values of this process into the figures. */
void status_measure(const struct supervisor *s);

/* NULL: all is well; else the reason in one line; talloc. */
char *status_health(const struct supervisor *s);

/* SIGUSR1: logs all of it. */
void status_log(evutil_socket_t fd, short what, void *arg);

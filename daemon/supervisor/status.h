/*
 * The supervisor's reports: systemd's status line, metrics, /healthz and, on SIGUSR1, the log.
 */
#pragma once

#include "supervisor/supervisor_state.h"

/* STATUS=: the most important thing in one line.  arg is the struct supervisor. */
void status_notify(void *arg);

/* Puts the values of this process into the metrics. */
void status_measure(void *arg, struct metrics *metrics);

/* NULL: all is well; else the reason, which the caller frees. */
char *status_health(void *arg);

/* SIGUSR1: logs all of it. */
void status_log(evutil_socket_t fd, short what, void *arg);

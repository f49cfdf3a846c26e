/*
 * Messages to the service manager: sd_notify(3), and the watchdog's pings.  Without a service manager (no
 * NOTIFY_SOCKET) the calls do nothing.
 */
#pragma once

#include <event2/event.h>

struct notify;

/*
 * Starts the pings, at half of WatchdogSec, where one is set.  They come from the loop alone, so that systemd restarts
 * a daemon whose loop hangs.
 */
struct notify *notify_new(struct event_base *base);

/* NULL is fine. */
void notify_free(struct notify *notify);

/* READY=1: the start, or a reload, is over. */
void notify_ready(struct notify *notify);

/* RELOADING=1, with the time that Type=notify-reload wants. */
void notify_reloading(struct notify *notify);

void notify_stopping(struct notify *notify);

/* STATUS=, one line for systemctl status.  Sent only if it differs from the last. */
void notify_status(struct notify *notify, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The last status, at first ""; valid until the next one. */
const char *notify_last_status(const struct notify *notify);

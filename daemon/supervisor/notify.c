#include "supervisor/notify.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <systemd/sd-daemon.h>
#include <time.h>

struct notify {
	struct event *watchdog; /* NULL: there is no watchdog */
	char *status;
};

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg; /* a ping carries nothing */
	(void)sd_notify(0,
			"WATCHDOG=1"); /* a manager that does not get it will restart the daemon */
}

struct notify *notify_new(struct event_base *base)
{
	struct notify *notify = xcalloc(1, sizeof(*notify));
	uint64_t interval_us = 0;
	struct timeval half = {0};

	notify->status = xstrdup("");
	if (sd_watchdog_enabled(0, &interval_us) <= 0)
		return notify;
	half.tv_sec = (time_t)(interval_us / 2 / 1000000);
	half.tv_usec = (suseconds_t)(interval_us / 2 % 1000000);
	notify->watchdog = must_alloc(event_new(base, -1, EV_PERSIST, on_watchdog, NULL));
	if (event_add(notify->watchdog, &half) < 0)
		log_warn("the watchdog cannot be served");
	return notify;
}

void notify_free(struct notify *notify)
{
	if (!notify)
		return;
	if (notify->watchdog)
		event_free(notify->watchdog);
	free(notify->status);
	free(notify);
}

void notify_ready(struct notify *notify)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", notify->status); /* see on_watchdog */
}

void notify_reloading(struct notify *notify)
{
	struct timespec now = {0};

	(void)notify; /* the call belongs to it nevertheless */
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on a valid clock */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
			 (long long)now.tv_sec * 1000000 +
				 now.tv_nsec / 1000); /* see on_watchdog */
}

void notify_stopping(struct notify *notify)
{
	(void)notify; /* as in notify_reloading */
	(void)sd_notify(0, "STOPPING=1"); /* see on_watchdog */
}

void notify_status(struct notify *notify, const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	text_one_line(text); /* a newline would begin another assignment of the protocol */
	if (strcmp(text, notify->status) == 0)
		return;
	free(notify->status);
	notify->status = text;
	text = NULL;
	(void)sd_notifyf(0, "STATUS=%s", notify->status); /* see on_watchdog */
}

const char *notify_last_status(const struct notify *notify)
{
	return notify->status;
}

/* The page as a service: its server, its sessions, and each request on its way to a handler. */
#pragma once

#include "base/error.h"
#include "config/web.h"

#include <event2/event.h>

struct web;

/* Listens.  Takes over config.  ENVIRONMENT: the address cannot be had.  CONFIG: it cannot be used. */
bool service_new(void *ctx, struct event_base *base, struct web_config *config, struct web **ret,
		 struct error *err);

/*
 * Takes over another configuration; sessions stay.  CONFIG: it changes what needs a restart; then the old one stays,
 * and config is the caller's.
 */
bool service_reload(struct web *web, struct web_config *config, struct error *err);

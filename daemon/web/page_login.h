/* Logging in, for web/route.c; its handlers are in web/route.h. */
#pragma once

#include "web/visit.h"

/* Asks retention.me, which visit_rows(v, "me") then has; the session's time zone becomes that of the daemon. */
void page_login_ask_me(struct visit *v);

/* Takes what retention.me says of the visit's person.  false: the visit is answered, because the roles are gone. */
bool page_login_check_me(struct visit *v);

/* Answers a visit that has no session and needs one: by a page to log in, or by next as the person that the proxy names. */
void page_login_ask(struct visit *v, visit_step next);

/* In the log-in by the proxy a session counts only for the person that the request's header names. */
bool page_login_fits(const struct visit *v, const struct person *person);

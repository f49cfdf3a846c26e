/*
 * The page's cookies.  All of them are HttpOnly and SameSite=Strict, for the path below which the page is, and Secure
 * unless the configuration allows otherwise.
 */
#pragma once

#include "web/visit.h"

enum cookie {
	COOKIE_SESSION,
	COOKIE_BEFORE, /* of the log-in page: ties its form to the browser */
	COOKIE_LANGUAGE, /* kept for a year */
};

/* Its value, owned by the visit; NULL: it is not there, twice there, or has characters that are not ours. */
const char *cookie_get(const struct visit *v, enum cookie cookie);

/* value: letters and digits. */
void cookie_set(struct visit *v, enum cookie cookie, const char *value);
void cookie_clear(struct visit *v, enum cookie cookie);

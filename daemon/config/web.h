/* The web page's configuration, web.conf(5). */
#pragma once

#include "base/complaint.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum web_login { WEB_LOGIN_PASSWORD, WEB_LOGIN_HEADER };
enum web_downloads { WEB_DOWNLOADS_ENCRYPTED, WEB_DOWNLOADS_ALL, WEB_DOWNLOADS_NEVER };

struct web_config {
	const char *listen; /* "unix:/run/…" or "127.0.0.1:8743" */
	const char *const *hosts; /* what Host may be, without the port */
	size_t n_hosts;
	const char *prefix; /* "" or "/rgpd": below which path the proxy shows it */
	const char *conninfo; /* without user and password */
	enum web_login login;
	const char *header; /* WEB_LOGIN_HEADER: the name */
	int64_t idle_s, longest_s; /* of a session */
	int sessions, sessions_each;
	enum web_downloads downloads;
	const char *archives; /* the daemon's socket, archives.web_socket of retentiond.conf */
	const char *contact_link; /* with one %s; NULL */
	const char *frame; /* an origin that may embed the page; NULL */
	const char *language; /* "fr" or "en" */
	bool insecure_cookie; /* cookies without Secure: a loopback address without TLS, for the demo */
};

/* Reads the file whole.  On failure all complaints are in *complaints, with file and line.  Owned by ctx. */
bool web_config_load(void *ctx, const char *path, struct web_config **ret,
		     struct complaints *complaints, struct error *err);

#include "web/cookie.h"

#include "base/text.h"
#include "web/visit_state.h"

#define YEAR_S 31536000

/*
 * The prefix __Host- makes a browser refuse a cookie that another host of the domain, or a page without TLS, has set.
 * It demands the path "/", so a page below a prefix does without.
 */
static const char *name_of(const struct web_config *config, enum cookie cookie)
{
	static const char *const names[][2] = {
		[COOKIE_SESSION] = {"rgpd", "__Host-rgpd"},
		[COOKIE_BEFORE] = {"rgpd-avant", "__Host-rgpd-avant"},
		[COOKIE_LANGUAGE] = {"rgpd-langue", "__Host-rgpd-langue"},
	};

	return names[cookie][!config->insecure_cookie && !*config->prefix];
}

/* The value of a name in a Cookie header, owned by ctx; NULL as for cookie_get(). */
static const char *find(void *ctx, const char *header, const char *name)
{
	const size_t n_name = strlen(name);
	const char *found = NULL;
	size_t n_found = 0;

	while (*header) {
		const char *value;

		header += strspn(header, "; \t");
		if (strncmp(header, name, n_name) == 0 && header[n_name] == '=') {
			if (found)
				return NULL;
			value = header + n_name + 1;
			n_found = strspn(value, DIGITS LETTERS);
			if (value[n_found] != '\0' && value[n_found] != ';')
				return NULL;
			found = value;
		}
		header += strcspn(header, ";");
	}
	return found && n_found > 0 ? must_alloc(talloc_strndup(ctx, found, n_found)) : NULL;
}

const char *cookie_get(const struct visit *v, enum cookie cookie)
{
	const char *header = visit_header(v, "Cookie");

	return header ? find(visit_ctx(v), header, name_of(v->web->config, cookie)) : NULL;
}

static void give(struct visit *v, enum cookie cookie, const char *value, int age_s)
{
	const struct web_config *config = v->web->config;
	char *text = t_printf(visit_ctx(v), "%s=%s; Path=%s/; HttpOnly; SameSite=Strict%s",
			      name_of(config, cookie), value, config->prefix,
			      config->insecure_cookie ? "" : "; Secure");

	if (age_s >= 0)
		t_append(&text, "; Max-Age=%d", age_s);
	(void)evhttp_add_header(evhttp_request_get_output_headers(v->request), "Set-Cookie",
				text); /* fails for a newline only */
}

void cookie_set(struct visit *v, enum cookie cookie, const char *value)
{
	give(v, cookie, value, cookie == COOKIE_LANGUAGE ? YEAR_S : -1);
}

void cookie_clear(struct visit *v, enum cookie cookie)
{
	give(v, cookie, "", 0);
}

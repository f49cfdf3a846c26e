/*
 * A visit goes through these checks in this order, and stops at the first that fails:
 *
 *	path		404
 *	method		405
 *	session		a page to log in
 *	origin, token	403: a POST comes from a form of this session
 *	retention.me	403: the person has the role now
 */
#include "web/route.h"

#include "base/text.h"
#include "base/units.h"
#include "web/notes.h"
#include "web/page_login.h"
#include "web/visit_answer.h"

#include <limits.h>

enum { PARTS_MAX = 3, GET = 1, POST = 2 };

struct route {
	int method;
	const char *path; /* "#" stands for a number, "*" for a name */
	enum route_who who;
	void (*handler)(struct visit *v);
	bool is_asked; /* by a page itself, not by a person: the session stays idle */
};

static const struct route routes[] = {
	{GET, "/connexion", WHO_ANYBODY, page_login, false},
	{POST, "/connexion", WHO_ANYBODY, page_login_post, false},
	{POST, "/deconnexion", WHO_SESSION, page_logout_post, false},
	{POST, "/session", WHO_SESSION, page_session_post, false},
	{GET, "/s/*", WHO_ANYBODY, page_asset, false},
	{GET, "/healthz", WHO_ANYBODY, page_health, false},
	{GET, "/aide", WHO_ANYBODY, page_help, false},
	{GET, "/accessibilite", WHO_ANYBODY, page_accessibility, false},

	{GET, "/", WHO_READS, page_overview, false},
	{GET, "/actions", WHO_READS, page_actions, false},
	{POST, "/actions", WHO_SAVES, page_save, false},
	{GET, "/actions.csv", WHO_READS, page_actions_csv, false},
	{GET, "/actions/nouvelle", WHO_SAVES, page_new, false},
	{GET, "/actions/#", WHO_READS, page_action, false},
	{GET, "/actions/#/rapport", WHO_READS, page_report, false},
	{GET, "/actions/#/flux", WHO_READS, page_live, true},
	/* This page and that of the archive's end give the others a link to send to an approver. */
	{GET, "/actions/#/valider", WHO_READS, page_validate, false},
	{POST, "/actions/#/valider", WHO_VALIDATES, page_validate_post, false},
	{POST, "/actions/#/annuler", WHO_SAVES_OR_VALIDATES, page_cancel_post, false},
	{POST, "/actions/#/suspendre", WHO_VALIDATES, page_pause_post, false},
	{POST, "/actions/#/reprendre", WHO_VALIDATES, page_resume_post, false},
	{GET, "/actions/#/archive", WHO_VALIDATES, page_files, false},
	{GET, "/actions/#/archive/supprimer", WHO_READS, page_archive_delete, false},
	{POST, "/actions/#/archive/supprimer", WHO_VALIDATES, page_archive_delete_post, false},
	{POST, "/actions/#/archive/verifier", WHO_READS, page_archive_verify_post, false},
	{POST, "/actions/#/archive/*", WHO_VALIDATES, page_file_post, false},

	{GET, "/regles", WHO_READS, page_rules, false},
	{POST, "/regles", WHO_SAVES, page_rule_post, false},
	{GET, "/regles/*", WHO_READS, page_rule, false},
	{GET, "/regles/*/valider", WHO_VALIDATES, page_rule_validate, false},
	{POST, "/regles/*/valider", WHO_VALIDATES, page_rule_validate_post, false},
	{GET, "/regles/*/retirer", WHO_SAVES_OR_VALIDATES, page_rule_retire, false},
	{POST, "/regles/*/retirer", WHO_SAVES_OR_VALIDATES, page_rule_retire_post, false},
	{GET, "/blocages", WHO_READS, page_holds, false},
	{POST, "/blocages", WHO_SAVES_OR_VALIDATES, page_hold_post, false},
	{POST, "/blocages/lever", WHO_SAVES_OR_VALIDATES, page_release_post, false},
	{GET, "/personne", WHO_SAVES, page_person, false},
	{POST, "/personne/acces", WHO_SAVES, page_person_access_post, false},
	{POST, "/personne/effacer", WHO_SAVES, page_person_erase_post, false},
	{GET, "/personne/document/#", WHO_SAVES, page_document, false},
	{POST, "/personne/document/#", WHO_SAVES, page_document_post, false},
	{GET, "/journal", WHO_READS, page_journal, false},
	{POST, "/journal/verifier", WHO_READS, page_verify_post, false},
	{GET, "/etat", WHO_READS, page_status, false},
	{POST, "/etat/mesurer", WHO_READS, page_measure_post, false},
	{POST, "/rejouer", WHO_VALIDATES, page_replay_post, false},
};

/* --- Paths ------------------------------------------------------------------------------------ */

static bool is_number(const char *text, size_t n)
{
	int64_t number;
	char copy[12];

	if (n >= sizeof(copy) || *text == '0')
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy[strspn(copy, DIGITS)] == '\0' && number_parse(copy, 1, INT_MAX, &number);
}

/* The name in n bytes of a path, decoded; NULL: none, or one with a slash or a control character. */
static const char *name_in(void *ctx, const char *text, size_t n)
{
	AUTO(talloc) char *encoded = must_alloc(talloc_strndup(NULL, text, n));
	size_t length = 0;
	AUTO(char_p) char *decoded = evhttp_uridecode(encoded, 0, &length);

	if (!decoded || length == 0 || strlen(decoded) != length || strchr(decoded, '/') ||
	    strcmp(text_one_line(t_strdup(ctx, decoded)), decoded) != 0)
		return NULL;
	return t_strdup(ctx, decoded);
}

/* Whether a path has the form of a route's; parts: what its stars stand for, owned by ctx, or NULL. */
static bool matches(void *ctx, const char *pattern, const char *path, const char *parts[PARTS_MAX])
{
	int n = 0;

	for (;;) {
		const size_t length = strcspn(path, "/");
		const size_t wanted = strcspn(pattern, "/");
		const bool is_star = wanted == 1 && (*pattern == '#' || *pattern == '*');

		if (!is_star && (length != wanted || strncmp(path, pattern, length) != 0))
			return false;
		if (is_star && *pattern == '#' && !is_number(path, length))
			return false;
		if (is_star && parts) {
			parts[n] = name_in(ctx, path, length);
			if (!parts[n++])
				return false;
		}
		path += length;
		pattern += wanted;
		if (!*path || !*pattern)
			return *path == *pattern;
		path++;
		pattern++;
	}
}

static const struct route *find(struct visit *v, const char *path, int method)
{
	const char *parts[PARTS_MAX] = {0};

	for (size_t i = 0; i < LENGTH(routes); i++) {
		if (!(routes[i].method & method) ||
		    !matches(visit_ctx(v), routes[i].path, path, parts))
			continue;
		memcpy(v->part, parts, sizeof(parts));
		return &routes[i];
	}
	return NULL;
}

const char *route_back(struct visit *v)
{
	char *path = t_strdup(visit_ctx(v), v->path);

	/* A page that fails leads to the one above it, not to itself. */
	if (visiting(v)->method != EVHTTP_REQ_POST)
		*(strrchr(path, '/') + (strrchr(path, '/') == path)) = '\0';
	while (path[1] != '\0' && !find(v, path, GET)) {
		char *slash = strrchr(path, '/');

		slash[slash == path] = '\0'; /* the first one stays */
	}
	return path;
}

static void refuse_method(struct visit *v)
{
	const bool gets = find(v, v->path, GET) != NULL;
	const bool posts = find(v, v->path, POST) != NULL;

	if (gets || posts) {
		visit_answer_header(v, "Allow",
				    gets && posts ? "GET, HEAD, POST"
				    : gets        ? "GET, HEAD"
						  : "POST");
		visit_fail(v, 405, NULL);
	} else {
		visit_fail(v, 404, NULL);
	}
}

/* --- Forgery ---------------------------------------------------------------------------------- */

/* The value of a header; "" where it is there more than once; NULL: it is not there. */
static const char *header_of(const struct visit *v, const char *name)
{
	return http_count_header(v->request, name) > 1 ? "" : visit_header(v, name);
}

/* An origin is the host that the browser names in Host, which has been checked. */
static bool is_own_origin(const struct visit *v, const char *origin)
{
	const char *host = header_of(v, "Host");
	const char *authority = strstr(origin, "://");

	return host && authority && strcasecmp(authority + 3, host) == 0 &&
	       (strncmp(origin, "https:", 6) == 0 ||
		(v->web->config->insecure_cookie && strncmp(origin, "http:", 5) == 0));
}

/*
 * The browser says that a form of this site was sent.  Under "Referrer-Policy: no-referrer" it names no origin, "null";
 * Sec-Fetch-Site, which no script can set, counts then.
 */
static bool is_from_here(const struct visit *v)
{
	const char *site = header_of(v, "Sec-Fetch-Site");
	const char *origin = header_of(v, "Origin");

	if (origin && !is_own_origin(v, origin) && !(site && strcmp(origin, "null") == 0))
		return false;
	return site ? strcmp(site, "same-origin") == 0 : origin != NULL;
}

static void refuse_form(struct visit *v, const char *why)
{
	visit_answer_note(v, LOG_WARNING, why);
	visit_fail(v, 403,
		   language_text(v->language,
				 _("This form does not belong to this session. Load the page "
				   "again, then send it. Nothing was changed.")));
}

/* A form of another site, or a proxy that hides the host that the browser has named. */
static void refuse_foreign(struct visit *v)
{
	refuse_form(
		v,
		"a form was refused: Origin or Sec-Fetch-Site is not of this site; the proxy has to "
		"pass Host on with its port");
}

static bool may_post(struct visit *v)
{
	if (!is_from_here(v)) {
		refuse_foreign(v);
		return false;
	}
	if (session_token_fits(v->session, v->path, form_get(v->form, "jeton")))
		return true;
	refuse_form(v, "a form was refused: not of this session");
	return false;
}

/* --- Roles ------------------------------------------------------------------------------------ */

static bool may(const struct person *person, enum route_who who)
{
	switch (who) {
	case WHO_SAVES:
		return person->operator;
	case WHO_VALIDATES:
		return person->approver;
	case WHO_SAVES_OR_VALIDATES:
		return person->operator|| person->approver;
	default:
		return true;
	}
}

static const struct route *route_of(struct visit *v)
{
	return find(v, v->path, visiting(v)->method == EVHTTP_REQ_POST ? POST : GET);
}

/* retention.me is answered. */
static void with_me(struct visit *v)
{
	const struct route *route = route_of(v);

	if (!page_login_check_me(v))
		return;
	if (!may(v->person, route->who)) {
		visit_answer_note(v, LOG_NOTICE, "refused: not for this role");
		visit_fail(v, 403, NULL);
		return;
	}
	if (!route->is_asked) {
		notes_ask(v);
		visit_on_render(v, notes_show);
	}
	route->handler(v);
}

static void with_session(struct visit *v)
{
	const struct route *route = route_of(v);
	const bool is_post = route->method == POST;

	if (is_post && !may_post(v))
		return;
	if (!route->is_asked)
		session_use(v->session);
	if (is_post)
		visit_answer_note(v, LOG_INFO, t_printf(visit_ctx(v), "POST %s", v->path));
	if (route->who == WHO_SESSION) {
		route->handler(v);
		return;
	}
	page_login_ask_me(v);
	visit_then(v, with_me);
}

void route_run(struct visit *v)
{
	const struct route *route = route_of(v);

	if (!route)
		refuse_method(v);
	else if (route->who == WHO_ANYBODY && route->method == POST && !is_from_here(v))
		refuse_foreign(v);
	else if (route->who == WHO_ANYBODY)
		route->handler(v);
	else if (v->session)
		with_session(v);
	else
		page_login_ask(v, with_session);
}

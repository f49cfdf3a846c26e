/*
 * The configuration of the page: one file with one group, read by the same tables as retentiond.conf.
 *
 * The page refuses to be reached from another host, because it has no TLS of its own, and to hold a password or a
 * user's name, because each person logs in with their own.
 */
#include "config/web.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "config/setting.h"

#include <libpq-fe.h>
#include <sys/un.h>

#define WEB(member) .offset = offsetof(struct web_settings, config.member)
#define RANGE(value_kind, field, least, most)                                                      \
	.kind = (value_kind), .offset = offsetof(struct web_settings, field), .min = (least),      \
	.max = (most)

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

/* The configuration, and what the table reads in another unit or type. */
struct web_settings {
	struct web_config config;
	int64_t idle_ms, longest_ms;
	int language, login, downloads; /* indexes of the words below */
};

#define SMALL "abcdefghijklmnopqrstuvwxyz"

static const char *const login_names[] = {
	[WEB_LOGIN_PASSWORD] = "password",
	[WEB_LOGIN_HEADER] = "header",
};
static const char *const downloads_names[] = {
	[WEB_DOWNLOADS_ENCRYPTED] = "encrypted",
	[WEB_DOWNLOADS_ALL] = "all",
	[WEB_DOWNLOADS_NEVER] = "never",
};
static const char *const language_names[] = {"fr", "en"};

static const struct setting_spec top_specs[] = {
	{.key = "web", .required = true},
	{0},
};
static const struct setting_spec web_specs[] = {
	{.key = "listen", .kind = VALUE_NAME, WEB(listen), .required = true},
	{.key = "hosts",
	 STRINGS(struct web_config, hosts, 20),
	 .example = "[ \"crm.example\" ]",
	 .required = true},
	{.key = "prefix", .kind = VALUE_PATH, WEB(prefix)},
	{.key = "conninfo", .kind = VALUE_NAME, WEB(conninfo), .required = true},
	{.key = "login", CHOICE(login_names), .offset = offsetof(struct web_settings, login)},
	{.key = "header", .kind = VALUE_NAME, WEB(header)},
	{.key = "idle", RANGE(VALUE_DURATION, idle_ms, MINUTE_MS, 24 * (int64_t)HOUR_MS)},
	{.key = "longest", RANGE(VALUE_DURATION, longest_ms, MINUTE_MS, 24 * (int64_t)HOUR_MS)},
	{.key = "sessions", RANGE(VALUE_INT, config.sessions, 1, 200)},
	{.key = "sessions_each", RANGE(VALUE_INT, config.sessions_each, 1, 20)},
	{.key = "downloads",
	 CHOICE(downloads_names),
	 .offset = offsetof(struct web_settings, downloads)},
	{.key = "archives", .kind = VALUE_PATH, WEB(archives)},
	{.key = "contact_link", .kind = VALUE_NAME, WEB(contact_link)},
	{.key = "frame", .kind = VALUE_NAME, WEB(frame)},
	{.key = "language",
	 CHOICE(language_names),
	 .offset = offsetof(struct web_settings, language)},
	{.key = "insecure_cookie", .kind = VALUE_BOOL, WEB(insecure_cookie)},
	{0},
};
_Static_assert(offsetof(struct web_settings, config) == 0, "STRINGS() counts from config");

static void check_socket(const struct reader *r, const char *key, const char *path)
{
	const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (strlen(path) > most)
		complain_at(r, reader_key(r, key), "%s: the socket's path is longer than %zu bytes",
			    key, most);
}

static bool is_unix(const char *listen)
{
	return strncmp(listen, "unix:", 5) == 0;
}

static void check_listen(const struct reader *r, const struct web_config *web)
{
	static const char *const loopback[] = {"127.0.0.1:", "[::1]:"};
	const config_setting_t *s = reader_key(r, "listen");
	const char *listen = web->listen;
	int64_t port;

	if (!listen)
		return;
	if (is_unix(listen)) {
		if (listen[5] != '/' || listen[strlen(listen) - 1] == '/')
			complain_at(r, s,
				    "listen \"%s\": unix: is followed by the socket's whole path, "
				    "as in \"unix:/run/retentiond-web/http.sock\"",
				    listen);
		else
			check_socket(r, "listen", listen + 5);
		return;
	}
	for (size_t i = 0; i < LENGTH(loopback); i++)
		if (strncmp(listen, loopback[i], strlen(loopback[i])) == 0 &&
		    number_parse(listen + strlen(loopback[i]), 1, 65535, &port))
			return;
	complain_at(r, s,
		    "listen \"%s\" is not \"unix:/...\", \"127.0.0.1:PORT\" or \"[::1]:PORT\": "
		    "only a proxy on this host may reach the page",
		    listen);
}

/* A host's name or an address, as a browser puts it into Host: small letters, without a port. */
static bool is_host(const char *text)
{
	const size_t n = strlen(text);

	if (n > 2 && text[0] == '[' && text[n - 1] == ']')
		return strspn(text + 1, "0123456789abcdef:.") == n - 2;
	return n <= 253 && strspn(text, SMALL DIGITS "-.") == n && !strchr("-.", text[0]) &&
	       !strchr("-.", text[n - 1]) && !strstr(text, "..");
}

static void check_hosts(const struct reader *r, const struct web_config *web)
{
	const config_setting_t *s = reader_key(r, "hosts");

	for (size_t i = 0; i < web->n_hosts; i++)
		if (!is_host(web->hosts[i]))
			complain_at(r, config_setting_get_elem(s, (unsigned int)i),
				    "hosts: \"%s\" is not a host's name in small letters, without "
				    "https:// and without a port",
				    web->hosts[i]);
}

/* "/a/b": segments that need no escaping in a path, a cookie or a header. */
static bool is_prefix(const char *text)
{
	if (strspn(text, LETTERS DIGITS "/-._~") != strlen(text))
		return false;
	for (const char *p = text; *p; p += strcspn(p, "/")) {
		const size_t n = strcspn(++p, "/");

		if (n == 0 || strspn(p, ".") == n)
			return false;
	}
	return true;
}

/*
 * Refuses what says who logs in, since that is the person's to say, and what the page sets itself.  Does not repeat
 * libpq's message about a string that it cannot read, because that can quote a password.
 */
static void check_conninfo(const struct reader *r, const struct web_config *web)
{
	static const char *const others[] = {
		"user",    "password",         "passfile",        "sslpassword",
		"options", "application_name", "client_encoding", "replication"};
	const config_setting_t *s = reader_key(r, "conninfo");
	PQconninfoOption *options = NULL;

	if (!web->conninfo)
		return;
	options = PQconninfoParse(web->conninfo, NULL);
	if (!options)
		complain_at(r, s,
			    "conninfo is not a connection string: \"key=value key=value\" or a "
			    "postgresql:// address");
	for (const PQconninfoOption *o = options; o && o->keyword; o++)
		for (size_t i = 0; o->val && i < LENGTH(others); i++)
			if (strcmp(o->keyword, others[i]) == 0)
				complain_at(r, s,
					    i < 4 ? "conninfo holds %s: each person logs in with "
						    "their own"
						  : "conninfo holds %s, which the page sets itself",
					    o->keyword);
	PQconninfoFree(options);
}

/* Headers that a browser, or every proxy, sends by itself. */
static bool is_common_header(const char *name)
{
	static const char *const names[] = {"Host",
					    "Cookie",
					    "Origin",
					    "Referer",
					    "User-Agent",
					    "Authorization",
					    "Connection",
					    "Forwarded",
					    "Via",
					    "X-Forwarded-For",
					    "X-Forwarded-Proto",
					    "X-Forwarded-Host",
					    "X-Real-IP",
					    "Upgrade",
					    "Transfer-Encoding",
					    "Cache-Control",
					    "DNT",
					    "Pragma",
					    "Range",
					    "TE"};
	static const char *const starts[] = {"Accept", "Content-", "Sec-", "If-"};

	for (size_t i = 0; i < LENGTH(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	for (size_t i = 0; i < LENGTH(starts); i++)
		if (strncasecmp(name, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static void check_login(const struct reader *r, const struct web_config *web)
{
	const config_setting_t *header = reader_key(r, "header");

	if (web->header && (strlen(web->header) > 64 ||
			    strspn(web->header, LETTERS DIGITS "-") != strlen(web->header)))
		complain_at(r, header,
			    "header \"%s\" is not a header's name: letters, digits and -, at most "
			    "64",
			    web->header);
	else if (web->header && is_common_header(web->header))
		complain_at(r, header,
			    "header \"%s\" is one that a browser sends by itself: take one that "
			    "only the proxy sets, as X-Remote-User",
			    web->header);
	if (web->login == WEB_LOGIN_PASSWORD) {
		if (header)
			complain_at(r, header, "header goes with login = \"header\" only");
		return;
	}
	if (!header)
		complain_at(r, reader_key(r, "login"),
			    "login = \"header\" needs header, the name of the proxy's header");
	if (web->listen && !is_unix(web->listen))
		complain_at(r, reader_key(r, "login"),
			    "login = \"header\" needs listen = \"unix:/...\": any program of this "
			    "host could send the header to a port");
}

/* The length of "https://host" or "https://host:port"; 0: text does not begin so. */
static size_t origin_length(const char *text)
{
	static const char scheme[] = "https://";
	const size_t start = strlen(scheme);
	AUTO(char_p) char *host = NULL;
	size_t n;
	int64_t port;

	if (strncmp(text, scheme, start) != 0)
		return 0;
	n = strcspn(text + start, "/?#");
	host = must_alloc(strndup(text + start, n));
	if (strrchr(host, ':') && host[strlen(host) - 1] != ']') {
		char *colon = strrchr(host, ':');

		if (!number_parse(colon + 1, 1, 65535, &port))
			return 0;
		*colon = '\0';
	}
	return *host && is_host(host) ? start + n : 0;
}

static void check_links(const struct reader *r, const struct web_config *web)
{
	static const char allowed[] = LETTERS DIGITS "-._~:/?#@!$&()*+,;=%";
	const char *link = web->contact_link, *frame = web->frame;
	const size_t n = link ? origin_length(link) : 0;
	const char *percent = link ? strchr(link, '%') : NULL;

	if (link && (n == 0 || link[n] != '/' || strspn(link, allowed) != strlen(link) ||
		     !percent || percent[1] != 's' || strchr(percent + 1, '%')))
		complain_at(r, reader_key(r, "contact_link"),
			    "contact_link \"%s\" is not an address with one %%s for the contact's "
			    "key, as in \"https://crm.example/contact/%%s\"",
			    link);
	if (frame && (!origin_length(frame) || frame[origin_length(frame)]))
		complain_at(r, reader_key(r, "frame"),
			    "frame \"%s\" is not an origin as in \"https://crm.example\", without "
			    "a path",
			    frame);
}

static void check_sessions(const struct reader *r, const struct web_settings *settings)
{
	const struct web_config *web = &settings->config;

	if (settings->idle_ms > settings->longest_ms)
		complain_at(r, reader_key(r, "idle"),
			    "idle is longer than longest: a session would end before it is idle");
	if (web->sessions_each > web->sessions)
		complain_at(r, reader_key(r, "sessions_each"),
			    "sessions_each is more than sessions");
	if (web->insecure_cookie && web->listen && is_unix(web->listen))
		complain_at(r, reader_key(r, "insecure_cookie"),
			    "insecure_cookie needs listen = \"127.0.0.1:PORT\" or \"[::1]:PORT\": "
			    "it is for a browser on this host");
}

static void read_web(const struct reader *r, struct web_settings *settings)
{
	struct web_config *web = &settings->config;

	settings_read(r, web_specs, settings);
	web->login = (enum web_login)settings->login;
	web->downloads = (enum web_downloads)settings->downloads;
	web->language = language_names[settings->language];
	web->idle_s = settings->idle_ms / 1000;
	web->longest_s = settings->longest_ms / 1000;
	check_listen(r, web);
	check_socket(r, "archives", web->archives);
	check_hosts(r, web);
	if (*web->prefix && !is_prefix(web->prefix))
		complain_at(r, reader_key(r, "prefix"),
			    "prefix \"%s\" is not a path as in \"/rgpd\": it begins with / and "
			    "does not end with it",
			    web->prefix);
	check_conninfo(r, web);
	check_login(r, web);
	check_links(r, web);
	check_sessions(r, settings);
}

/* is_whole: no include is missing, so that a group that is not in the text was not written. */
static void read_tree(const struct reader *r, struct web_settings *settings, bool is_whole)
{
	const config_setting_t *group = reader_key(r, "web");
	const struct reader inner = reader_in(r, group, "web");

	if (group && config_setting_is_group(group))
		read_web(&inner, settings);
	else if (group)
		complain_at(r, group, "web must be a group: web: { ... };");
	if (group || is_whole)
		settings_read(r, top_specs, settings);
}

bool web_config_load(void *ctx, const char *path, struct web_config **ret, struct complaints *c,
		     struct error *err)
{
	AUTO(talloc) void *scratch = must_alloc(talloc_new(NULL));
	struct web_settings *settings = t_zero(scratch, struct web_settings);
	const size_t n_before = c->n;
	const char *text = config_text_expand(scratch, path, c);
	const bool is_whole = c->n == n_before;
	struct config_text map;
	struct reader r = {.ctx = settings, .complaints = c};
	config_t tree;

	settings->config.prefix = "";
	settings->config.archives = "/run/retentiond/archives.sock";
	settings->config.sessions = 40;
	settings->config.sessions_each = 3;
	settings->idle_ms = 15 * MINUTE_MS;
	settings->longest_ms = 8 * HOUR_MS;
	if (text) {
		config_init(&tree);
		if (reader_open(&r, path, text, &tree, &map))
			read_tree(&r, settings, is_whole);
		config_destroy(&tree);
	}
	if (c->n > n_before)
		return fail(err, ERR_CONFIG, "%s is refused", path);
	*ret = &((struct web_settings *)talloc_steal(ctx, settings))->config;
	return true;
}

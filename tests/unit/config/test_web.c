/* web.conf: each complaint by its exact text and line, the defaults, and the file that is shipped. */
#include "config/web.c"

#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LISTEN "listen = \"unix:/run/w.sock\";\n"
#define HOSTS "hosts = [ \"crm.example\" ];\n"
#define CONNINFO "conninfo = \"host=/run/postgresql dbname=crm\";\n"
#define GROUP(text) "web: {\n" text "};\n"
/* Lines 2 to 4 before, the text from line 5 on. */
#define WITH(text) GROUP(LISTEN HOSTS CONNINFO text)
/* The text is line 2. */
#define LISTENING(text) GROUP("listen = \"" text "\";\n" HOSTS CONNINFO)
#define HOSTING(text) GROUP("hosts = " text ";\n" LISTEN CONNINFO)
#define CONNECTED(text) GROUP("conninfo = \"" text "\";\n" LISTEN HOSTS)
#define LONG_PATH                                                                                  \
	"/1234567890123456789012345678901234567890123456789012345678901234567890123456789012"      \
	"345678901234567890123456789"
#define NO_LISTEN(text)                                                                            \
	"f:2: web: listen \"" text                                                                 \
	"\" is not \"unix:/...\", \"127.0.0.1:PORT\" or \"[::1]:PORT\": only a proxy on this "     \
	"host may reach the page"
#define NO_HOST(text)                                                                              \
	"f:2: web: hosts: \"" text                                                                 \
	"\" is not a host's name in small letters, without https:// and without a port"
#define NO_PREFIX(text)                                                                            \
	"f:5: web: prefix \"" text                                                                 \
	"\" is not a path as in \"/rgpd\": it begins with / and does not end with it"
#define NO_LINK(text)                                                                              \
	"f:5: web: contact_link \"" text                                                           \
	"\" is not an address with one %s for the contact's key, as in "                           \
	"\"https://crm.example/contact/%s\""
#define NO_FRAME(text)                                                                             \
	"f:5: web: frame \"" text                                                                  \
	"\" is not an origin as in \"https://crm.example\", without a path"

static const struct {
	const char *text;
	const char *complaints; /* joined by newlines; "": none */
} cases[] = {
	{WITH(""), ""},
	{"", "f: web is missing"},
	{"web = 3;\n", "f:1: web must be a group: web: { ... };"},
	{"web: { };\nwebb = 1;\n", "f:1: web: listen is missing\nf:1: web: hosts is missing\n"
				   "f:1: web: conninfo is missing\n"
				   "f:2: unknown key \"webb\"; did you mean \"web\"?"},
	{WITH("lisen = 1;\n"), "f:5: unknown key \"lisen\" in web; did you mean \"listen\"?"},
	{WITH("@;\n"), "f:5: syntax error, here or shortly before"},
	{WITH("sessions = 99999999999;\n"),
	 "f:5: the number 99999999999 is too large\n"
	 "f:5: web: sessions must be a whole number from 1 to 200"},
	{LISTENING("127.0.0.1:8743"), ""},
	{LISTENING("[::1]:1"), ""},
	{LISTENING("0.0.0.0:8743"), NO_LISTEN("0.0.0.0:8743")},
	{LISTENING("127.0.0.2:8743"), NO_LISTEN("127.0.0.2:8743")},
	{LISTENING("127.0.0.1:0"), NO_LISTEN("127.0.0.1:0")},
	{LISTENING("127.0.0.1:65536"), NO_LISTEN("127.0.0.1:65536")},
	{LISTENING("127.0.0.1"), NO_LISTEN("127.0.0.1")},
	{LISTENING("localhost:8743"), NO_LISTEN("localhost:8743")},
	{LISTENING("[::]:8743"), NO_LISTEN("[::]:8743")},
	{LISTENING("::1:8743"), NO_LISTEN("::1:8743")},
	{LISTENING("unix:@abstract"),
	 "f:2: web: listen \"unix:@abstract\": unix: is followed by the socket's whole path, as in "
	 "\"unix:/run/retentiond-web/http.sock\""},
	{LISTENING("unix:/run/"),
	 "f:2: web: listen \"unix:/run/\": unix: is followed by the socket's whole path, as in "
	 "\"unix:/run/retentiond-web/http.sock\""},
	{LISTENING("unix:" LONG_PATH),
	 "f:2: web: listen: the socket's path is longer than 107 bytes"},
	{HOSTING("[ \"crm.example\", \"10.0.0.1\", \"[::1]\", \"a-1\" ]"), ""},
	{HOSTING("[ ]"),
	 "f:2: web: hosts must be an array of 1 to 20 strings: [ \"crm.example\" ]"},
	{HOSTING("\"crm.example\""),
	 "f:2: web: hosts must be an array of 1 to 20 strings: [ \"crm.example\" ]"},
	{HOSTING("[ \"crm.example:443\" ]"), NO_HOST("crm.example:443")},
	{HOSTING("[ \"https://crm.example\" ]"), NO_HOST("https://crm.example")},
	{HOSTING("[ \"CRM.example\", \"x..y\" ]"), NO_HOST("CRM.example") "\n" NO_HOST("x..y")},
	{HOSTING("[ \"*\" ]"), NO_HOST("*")},
	{CONNECTED("postgresql://db.example/crm?sslmode=verify-full"), ""},
	{CONNECTED("service=crm"), ""},
	{CONNECTED("dbname=crm user=x password=secret"),
	 "f:2: web: conninfo holds user: each person logs in with their own\n"
	 "f:2: web: conninfo holds password: each person logs in with their own"},
	{CONNECTED("postgresql://x:secret@db.example/crm"),
	 "f:2: web: conninfo holds user: each person logs in with their own\n"
	 "f:2: web: conninfo holds password: each person logs in with their own"},
	{CONNECTED("passfile=/x sslpassword=secret"),
	 "f:2: web: conninfo holds passfile: each person logs in with their own\n"
	 "f:2: web: conninfo holds sslpassword: each person logs in with their own"},
	{CONNECTED("options=-crole=x application_name=y"),
	 "f:2: web: conninfo holds options, which the page sets itself\n"
	 "f:2: web: conninfo holds application_name, which the page sets itself"},
	{CONNECTED("password=secret dbname="
		   "'"),
	 "f:2: web: conninfo is not a connection string: \"key=value key=value\" or a "
	 "postgresql:// address"},
	{WITH("prefix = \"/rgpd\";\n"), ""},
	{WITH("prefix = \"/a/b-c.d_e~f\";\n"), ""},
	{WITH("prefix = \"rgpd\";\n"), "f:5: web: prefix \"rgpd\" does not begin with /"},
	{WITH("prefix = \"/rgpd/\";\n"), NO_PREFIX("/rgpd/")},
	{WITH("prefix = \"/\";\n"), NO_PREFIX("/")},
	{WITH("prefix = \"//x\";\n"), NO_PREFIX("//x")},
	{WITH("prefix = \"/a/../b\";\n"), NO_PREFIX("/a/../b")},
	{WITH("prefix = \"/a;b\";\n"), NO_PREFIX("/a;b")},
	{WITH("login = \"header\"; header = \"X-Remote-User\";\n"), ""},
	{WITH("login = \"heder\";\n"),
	 "f:5: web: login \"heder\" is not \"password\" or \"header\""},
	{WITH("login = \"header\";\n"),
	 "f:5: web: login = \"header\" needs header, the name of the proxy's header"},
	{WITH("header = \"X-Remote-User\";\n"),
	 "f:5: web: header goes with login = \"header\" only"},
	{WITH("login = \"header\"; header = \"X Y\";\n"),
	 "f:5: web: header \"X Y\" is not a header's name: letters, digits and -, at most 64"},
	{WITH("login = \"header\"; header = \"cookie\";\n"),
	 "f:5: web: header \"cookie\" is one that a browser sends by itself: take one that only "
	 "the proxy sets, as X-Remote-User"},
	{WITH("login = \"header\"; header = \"Sec-X\";\n"),
	 "f:5: web: header \"Sec-X\" is one that a browser sends by itself: take one that only "
	 "the proxy sets, as X-Remote-User"},
	{GROUP("listen = \"127.0.0.1:1\";\n" HOSTS CONNINFO
	       "login = \"header\"; header = \"X-U\";\n"),
	 "f:5: web: login = \"header\" needs listen = \"unix:/...\": any program of this host "
	 "could send the header to a port"},
	{WITH("idle = \"1min\"; longest = \"24h\";\n"), ""},
	{WITH("idle = \"30s\";\n"),
	 "f:5: web: idle \"30s\" is not a duration (Nms, Ns, Nmin, Nh) from 1min to 24h"},
	{WITH("longest = \"25h\";\n"),
	 "f:5: web: longest \"25h\" is not a duration (Nms, Ns, Nmin, Nh) from 1min to 24h"},
	{WITH("idle = \"9h\";\n"),
	 "f:5: web: idle is longer than longest: a session would end before it is idle"},
	{WITH("sessions = 0;\n"), "f:5: web: sessions must be a whole number from 1 to 200"},
	{WITH("sessions = 2;\n"), "f:1: web: sessions_each is more than sessions"},
	{WITH("sessions_each = 21;\n"),
	 "f:5: web: sessions_each must be a whole number from 1 to 20"},
	{WITH("downloads = \"none\";\n"),
	 "f:5: web: downloads \"none\" is not \"encrypted\", \"all\" or \"never\""},
	{WITH("archives = \"run/x\";\n"), "f:5: web: archives \"run/x\" does not begin with /"},
	{WITH("archives = \"" LONG_PATH "\";\n"),
	 "f:5: web: archives: the socket's path is longer than 107 bytes"},
	{WITH("contact_link = \"https://crm.example:8443/c/%s?x=1\";\n"), ""},
	{WITH("contact_link = \"http://crm.example/%s\";\n"), NO_LINK("http://crm.example/%s")},
	{WITH("contact_link = \"https://crm.example/\";\n"), NO_LINK("https://crm.example/")},
	{WITH("contact_link = \"https://%s/\";\n"), NO_LINK("https://%s/")},
	{WITH("contact_link = \"https://crm.example%s\";\n"), NO_LINK("https://crm.example%s")},
	{WITH("contact_link = \"https://u@crm.example/%s\";\n"),
	 NO_LINK("https://u@crm.example/%s")},
	{WITH("contact_link = \"https://crm.example/%s/%s\";\n"),
	 NO_LINK("https://crm.example/%s/%s")},
	{WITH("contact_link = \"https://crm.example/%n%s\";\n"),
	 NO_LINK("https://crm.example/%n%s")},
	{WITH("contact_link = \"javascript:%s\";\n"), NO_LINK("javascript:%s")},
	{WITH("frame = \"https://crm.example:8443\";\n"), ""},
	{WITH("frame = \"https://crm.example/\";\n"), NO_FRAME("https://crm.example/")},
	{WITH("frame = \"https://crm.example; script-src *\";\n"),
	 NO_FRAME("https://crm.example; script-src *")},
	{WITH("frame = \"https://*\";\n"), NO_FRAME("https://*")},
	{WITH("language = \"de\";\n"), "f:5: web: language \"de\" is not \"fr\" or \"en\""},
	{GROUP("listen = \"[::1]:1\";\n" HOSTS CONNINFO "insecure_cookie = true;\n"), ""},
	{WITH("insecure_cookie = true;\n"),
	 "f:5: web: insecure_cookie needs listen = \"127.0.0.1:PORT\" or \"[::1]:PORT\": it is for "
	 "a browser on this host"},
};

static char folder[] = "/tmp/retention-web-XXXXXX";

static char *joined(const struct complaints *c)
{
	char *all = t_strdup(c->ctx, "");

	for (size_t i = 0; i < c->n; i++)
		t_append(&all, "%s%s", i ? "\n" : "", c->lines[i]);
	return all;
}

/* Writes the text into the file "f" of the working directory, and reads it as a configuration. */
static struct web_config *load(void *ctx, const char *text, mode_t mode, struct complaints *c)
{
	AUTO(error) struct error err = {0};
	AUTO(fd) int fd = open("f", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct web_config *config = NULL;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	if (web_config_load(ctx, "f", &config, c, &err)) {
		assert_non_null(config);
		assert_int_equal(c->n, 0);
	} else {
		assert_null(config);
		assert_true(c->n > 0);
		assert_int_equal(err.class, ERR_CONFIG);
	}
	if (!c->ctx)
		c->ctx = talloc_new(NULL);
	return config;
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		AUTO(complaints) struct complaints c = {0};
		AUTO(talloc) void *ctx = talloc_new(NULL);

		(void)load(ctx, cases[i].text, 0600, &c);
		if (strcmp(joined(&c), cases[i].complaints) != 0)
			fail_msg("case %zu\n%s\nexpected:\n%s\ngot:\n%s", i, cases[i].text,
				 cases[i].complaints, joined(&c));
	}
}

static void test_defaults(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) void *ctx = talloc_new(NULL);
	const struct web_config *web = load(ctx, WITH(""), 0640, &c);

	(void)state;
	assert_string_equal(web->listen, "unix:/run/w.sock");
	assert_int_equal(web->n_hosts, 1);
	assert_string_equal(web->hosts[0], "crm.example");
	assert_string_equal(web->prefix, "");
	assert_string_equal(web->conninfo, "host=/run/postgresql dbname=crm");
	assert_int_equal(web->login, WEB_LOGIN_PASSWORD);
	assert_null(web->header);
	assert_int_equal(web->idle_s, 15 * 60);
	assert_int_equal(web->longest_s, 8 * 3600);
	assert_int_equal(web->sessions, 40);
	assert_int_equal(web->sessions_each, 3);
	assert_int_equal(web->downloads, WEB_DOWNLOADS_ENCRYPTED);
	assert_string_equal(web->archives, "/run/retentiond/archives.sock");
	assert_null(web->contact_link);
	assert_null(web->frame);
	assert_string_equal(web->language, "fr");
	assert_false(web->insecure_cookie);
}

static void test_values(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) void *ctx = talloc_new(NULL);
	const struct web_config *web =
		load(ctx,
		     WITH("prefix = \"/rgpd\"; login = \"header\"; header = \"X-Remote-User\";\n"
			  "idle = \"90s\"; longest = \"2h\"; sessions = 7; sessions_each = 2;\n"
			  "downloads = \"never\"; contact_link = \"https://a.b/%s\";\n"
			  "frame = \"https://a.b\"; language = \"en\";\n"),
		     0600, &c);

	(void)state;
	assert_string_equal(web->prefix, "/rgpd");
	assert_int_equal(web->login, WEB_LOGIN_HEADER);
	assert_string_equal(web->header, "X-Remote-User");
	assert_int_equal(web->idle_s, 90);
	assert_int_equal(web->longest_s, 2 * 3600);
	assert_int_equal(web->sessions, 7);
	assert_int_equal(web->sessions_each, 2);
	assert_int_equal(web->downloads, WEB_DOWNLOADS_NEVER);
	assert_string_equal(web->contact_link, "https://a.b/%s");
	assert_string_equal(web->frame, "https://a.b");
	assert_string_equal(web->language, "en");
}

static void test_files(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(error) struct error err = {0};
	AUTO(talloc) void *ctx = talloc_new(NULL);
	struct web_config *web = NULL;

	(void)state;
	assert_null(load(ctx, WITH(""), 0660, &c));
	assert_string_equal(joined(&c),
			    "f: can be written by others than root and its owner (mode 0660): "
			    "chmod go-w it");
	complaints_clear(&c);
	assert_false(web_config_load(ctx, "none", &web, &c, &err));
	assert_string_equal(err.text, "none is refused");
	assert_string_equal(joined(&c), "none: cannot be opened: No such file or directory");
}

/* What is shipped loads, wherever the tests are started from. */
static void test_shipped(void **state)
{
	const char *path = *state;
	AUTO(complaints) struct complaints c = {0};
	AUTO(error) struct error err = {0};
	AUTO(talloc) void *ctx = talloc_new(NULL);
	struct web_config *web;

	if (access(path, R_OK) != 0)
		skip();
	if (!web_config_load(ctx, path, &web, &c, &err))
		fail_msg("%s", joined(&c));
	assert_string_equal(web->listen, "unix:/run/retentiond-web/http.sock");
}

static char *shipped;

static int begin(void **state)
{
	shipped = realpath(getenv("RETENTION_WEB_CONF") ? getenv("RETENTION_WEB_CONF")
							: "conf/web.conf",
			   NULL);
	if (!shipped)
		shipped = xstrdup("/nonexistent");
	*state = shipped;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int end(void **state)
{
	AUTO(char_p) char *command = NULL;

	(void)state;
	free(shipped);
	return chdir("/") != 0 || asprintf(&command, "rm -r %s", folder) < 0 ||
	       system(command) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),    cmocka_unit_test(test_files),
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests_name("web.conf", tests, begin, end);
}

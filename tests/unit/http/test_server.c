/* The server: what it answers and refuses, how long it waits, and how many may wait. */
#include "http/server.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OK "HTTP/1.1 200 OK\r\n"
#define BAD "HTTP/1.1 400 "

enum { PATIENCE_MS = 10000 };

struct stage {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in address;
	int requests;
	bool holds; /* does not answer at once */
	struct evhttp_request *held;
};

static void on_stage_request(void *arg, struct evhttp_request *request)
{
	struct stage *stage = arg;

	stage->requests++;
	stage->held = request;
	if (!stage->holds)
		http_reply(request, HTTP_OK, "text/plain", "fine\n");
}

static void on_accept_any(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg; /* only wakes the loop */
}

static void find_address(struct evhttp_bound_socket *bound, void *arg)
{
	struct stage *stage = arg;
	socklen_t size = sizeof(stage->address);

	assert_int_equal(getsockname(evhttp_bound_socket_get_fd(bound),
				     (struct sockaddr *)&stage->address, &size),
			 0);
}

static void open_stage(struct stage *stage, int deadline_ms)
{
	struct error err = {0};

	*stage = (struct stage){.base = event_base_new()};
	assert_true(http_server_new(
		NULL, stage->base,
		&(struct http_opts){.listen = "127.0.0.1:0",
				    .methods = EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST,
				    .headers_max = 1000,
				    .body_max = 100,
				    .deadline_ms = deadline_ms,
				    .on_request = on_stage_request,
				    .arg = stage},
		&stage->server, &err));
	evhttp_foreach_bound_socket(stage->server->evhttp, find_address, stage);
}

static void close_stage(struct stage *stage)
{
	talloc_free(stage->server);
	event_base_free(stage->base);
}

/* Lets the loop run for a moment. */
static void turn(struct stage *stage)
{
	const struct timeval moment = {.tv_usec = 5000};
	struct event *timer = evtimer_new(stage->base, on_accept_any, NULL);

	assert_int_equal(event_add(timer, &moment), 0);
	assert_true(event_base_loop(stage->base, EVLOOP_ONCE) >= 0);
	event_free(timer);
}

static int dial(const struct stage *stage)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(
		connect(fd, (const struct sockaddr *)&stage->address, sizeof(stage->address)), 0);
	return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
	(void)!send(fd, bytes, n, MSG_NOSIGNAL); /* the other end may have gone */
}

/* What has come, at most size - 1 bytes.  true: the server has closed. */
static bool hear(int fd, char *text, size_t size)
{
	size_t length = strlen(text);
	ssize_t n;

	while ((n = recv(fd, text + length, size - 1 - length, MSG_DONTWAIT)) > 0) {
		length += (size_t)n;
		text[length] = '\0';
	}
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Waits for an answer that contains the text, or for the end of the connection. */
static void wait_for(struct stage *stage, int fd, const char *wanted, char *text, size_t size)
{
	const int64_t end_ms = monotonic_ms() + PATIENCE_MS;

	*text = '\0';
	while (monotonic_ms() < end_ms && !strstr(text, wanted)) {
		turn(stage);
		if (hear(fd, text, size))
			break;
	}
}

static bool is_closed(struct stage *stage, int fd)
{
	char text[2000] = "";

	for (int i = 0; i < 5; i++)
		turn(stage);
	return hear(fd, text, sizeof(text));
}

static void test_requests(void **state)
{
#define GET "GET /x HTTP/1.1\r\nHost: h\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: h\r\n"
	static const struct {
		const char *bytes;
		size_t n; /* 0: strlen() */
		const char *answer;
	} cases[] = {
		{GET "\r\n", 0, OK},
		{"GET /x HTTP/1.0\r\n\r\n", 0, "200 OK"},
		{GET "Content-Length: 0\r\n\r\n", 0, OK},
		{POST "Content-Length: 4\r\n\r\nabcd", 0, OK},
		{POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 0, BAD},
		{POST "Content-Length: 4\r\ncontent-length: 4\r\n\r\nabcd", 0, BAD},
		{POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, BAD},
		{POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, BAD},
		{GET "Content-Length: 4\r\n\r\nabcd", 0, BAD},
		{GET "A: b\0c\r\n\r\n", sizeof(GET "A: b\0c\r\n\r\n") - 1, BAD},
		{"GET /x\0y HTTP/1.1\r\nHost: h\r\n\r\n",
		 sizeof("GET /x\0y HTTP/1.1\r\nHost: h\r\n\r\n") - 1, BAD},
		{GET "Host: other\r\n\r\n", 0, BAD},
		{GET "A : b\r\n\r\n", 0, BAD},
		{"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 0, "501 "},
		{"nonsense\r\n\r\n", 0, "400 "},
	};
	struct stage stage;
	char text[2000];

	(void)state;
	open_stage(&stage, HTTP_DEADLINE_MS);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const int fd = dial(&stage);

		say(fd, cases[i].bytes, cases[i].n ? cases[i].n : strlen(cases[i].bytes));
		wait_for(&stage, fd, cases[i].answer, text, sizeof(text));
		if (!strstr(text, cases[i].answer))
			fail_msg("case %zu: %s: %s", i, cases[i].bytes, text);
		if (cases[i].answer == (const char *)BAD)
			assert_true(is_closed(&stage, fd));
		(void)close(fd);
	}
	close_stage(&stage);
}

static void test_sizes(void **state)
{
	struct stage stage;
	char request[8000], text[2000], filler[6000];
	int fd;

	(void)state;
	open_stage(&stage, HTTP_DEADLINE_MS);
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	(void)snprintf(request, sizeof(request), GET "A: %s\r\n\r\n", filler);
	fd = dial(&stage);
	say(fd, request, strlen(request));
	wait_for(&stage, fd, "400 ", text, sizeof(text));
	assert_non_null(strstr(text, "400 "));
	(void)close(fd);
	(void)snprintf(request, sizeof(request), POST "Content-Length: 101\r\n\r\n%.101s", filler);
	fd = dial(&stage);
	say(fd, request, strlen(request));
	wait_for(&stage, fd, "413 ", text, sizeof(text));
	assert_non_null(strstr(text, "413 "));
	(void)close(fd);
	assert_int_equal(stage.requests, 0);
	close_stage(&stage);
}

static void test_one_connection_for_many_requests(void **state)
{
	struct stage stage;
	char text[2000];
	int fd;

	(void)state;
	open_stage(&stage, 500);
	fd = dial(&stage);
	for (int i = 1; i <= 4; i++) { /* together longer than a deadline would allow for one */
		const int64_t until_ms = monotonic_ms() + 150;

		say(fd, GET "\r\n", strlen(GET "\r\n"));
		wait_for(&stage, fd, "fine\n", text, sizeof(text));
		assert_int_equal(stage.requests, i);
		while (monotonic_ms() < until_ms)
			turn(&stage);
	}
	(void)close(fd);
	close_stage(&stage);
}

static void send_part(struct evhttp_request *request, const char *text)
{
	struct evbuffer *part = evbuffer_new();

	assert_int_equal(evbuffer_add(part, text, strlen(text)), 0);
	evhttp_send_reply_chunk(request, part);
	evbuffer_free(part);
}

/* An answer may take longer than the client was given for its request; its next request has the deadline again. */
static void test_an_answer_that_takes_long(void **state)
{
	const int deadline_ms = 200;
	const int64_t until_ms = monotonic_ms() + 3 * deadline_ms;
	struct stage stage;
	char text[2000] = "";
	int fd;

	(void)state;
	open_stage(&stage, deadline_ms);
	stage.holds = true;
	fd = dial(&stage);
	say(fd, GET "\r\n", strlen(GET "\r\n"));
	for (bool begun = false; monotonic_ms() < until_ms; turn(&stage)) {
		assert_false(hear(fd, text, sizeof(text)));
		if (stage.held && !begun)
			evhttp_send_reply_start(stage.held, HTTP_OK, NULL);
		begun = stage.held != NULL;
	}
	assert_int_equal(stage.requests, 1);
	send_part(stage.held, "fine\n");
	evhttp_send_reply_end(stage.held);
	wait_for(&stage, fd, "fine\n", text, sizeof(text));
	while (!hear(fd, text, sizeof(text))) {
		assert_true(monotonic_ms() < until_ms + PATIENCE_MS);
		turn(&stage);
	}
	(void)close(fd);
	close_stage(&stage);
}

/* A byte each 20 ms starts no time-out anew. */
static void test_deadline(void **state)
{
	const int deadline_ms = 400;
	int64_t begun_ms, took_ms;
	struct stage stage;
	char text[2000] = "";
	int fd;

	(void)state;
	open_stage(&stage, deadline_ms);
	fd = dial(&stage);
	begun_ms = monotonic_ms();
	say(fd, GET "A: ", strlen(GET "A: "));
	for (int64_t next_ms = 0; !hear(fd, text, sizeof(text));) {
		assert_true(monotonic_ms() < begun_ms + PATIENCE_MS);
		turn(&stage);
		if (monotonic_ms() < next_ms)
			continue;
		next_ms = monotonic_ms() + 20;
		say(fd, "b", 1);
	}
	took_ms = monotonic_ms() - begun_ms;
	assert_true(took_ms >= deadline_ms);
	(void)close(fd);
	for (int i = 0; i < 400 && !TAILQ_EMPTY(&stage.server->connections); i++)
		turn(&stage);
	assert_true(TAILQ_EMPTY(&stage.server->connections));
	close_stage(&stage);
}

/* Ten times as many slow clients as there are places: an honest one is answered, and the latest of the slow stay. */
static void test_slow_clients(void **state)
{
	static int slow[10 * CONNECTIONS_MAX];
	struct stage stage;
	char text[2000];
	int n = 0, open = 0;

	(void)state;
	open_stage(&stage, HTTP_DEADLINE_MS);
	for (size_t i = 0; i < COUNT(slow); i++) {
		slow[i] = dial(&stage);
		say(slow[i], GET "A: ", strlen(GET "A: "));
		turn(&stage);
		if (i % 50 == 49) {
			const int fd = dial(&stage);

			say(fd, GET "\r\n", strlen(GET "\r\n"));
			wait_for(&stage, fd, "fine\n", text, sizeof(text));
			assert_int_equal(stage.requests, ++n);
			(void)close(fd);
		}
	}
	for (size_t i = 0; i < COUNT(slow); i++) {
		*text = '\0';
		open += hear(slow[i], text, sizeof(text)) ? 0 : 1;
		(void)close(slow[i]);
	}
	assert_in_range(open, CONNECTIONS_MAX - 10, CONNECTIONS_MAX);
	close_stage(&stage);
}

static void test_an_address_that_cannot_be_had(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
						"192.0.2.1:1"};
	struct event_base *base = event_base_new();

	(void)state;
	for (size_t i = 0; i < COUNT(addresses); i++) {
		struct http_server *server = NULL;
		AUTO(error) struct error err = {0};

		assert_false(http_server_new(
			NULL, base,
			&(struct http_opts){.listen = addresses[i], .deadline_ms = 1000}, &server,
			&err));
		assert_non_null(strstr(err.text, addresses[i]));
		assert_null(server);
	}
	event_base_free(base);
}

/* --- A unix socket ------------------------------------------------------------------------------ */

struct local {
	char folder[64], listen[128], *path;
	struct sockaddr_un address;
};

static void open_local(struct local *local)
{
	strcpy(local->folder, "/tmp/retention-http-XXXXXX");
	assert_non_null(mkdtemp(local->folder));
	(void)snprintf(local->listen, sizeof(local->listen), "unix:%s/s", local->folder);
	local->path = local->listen + strlen("unix:");
	local->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(local->address.sun_path, local->path);
}

static void close_local(struct local *local)
{
	(void)unlink(local->path);
	assert_int_equal(rmdir(local->folder), 0);
}

static bool listen_on(struct stage *stage, const char *address, struct error *err)
{
	return http_server_new(NULL, stage->base,
			       &(struct http_opts){.listen = address,
						   .methods = EVHTTP_REQ_GET,
						   .headers_max = 1000,
						   .deadline_ms = HTTP_DEADLINE_MS,
						   .on_request = on_stage_request,
						   .arg = stage},
			       &stage->server, err);
}

static int dial_local(const struct local *local)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&local->address, sizeof(local->address)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* The socket is for owner and group, answers, and goes with its server. */
static void test_unix_socket(void **state)
{
	struct stage stage = {.base = event_base_new()};
	AUTO(error) struct error err = {0};
	struct local local;
	struct stat is;
	char text[2000];
	int fd;

	(void)state;
	open_local(&local);
	assert_true(listen_on(&stage, local.listen, &err));
	assert_int_equal(lstat(local.path, &is), 0);
	assert_true(S_ISSOCK(is.st_mode));
	assert_int_equal(is.st_mode & 0777, 0660);
	fd = dial_local(&local);
	say(fd, GET "\r\n", strlen(GET "\r\n"));
	wait_for(&stage, fd, "fine\n", text, sizeof(text));
	assert_non_null(strstr(text, OK));
	(void)close(fd);
	close_stage(&stage);
	assert_int_equal(lstat(local.path, &is), -1);
	close_local(&local);
}

/* What a killed server has left is replaced; a socket that somebody listens on, and a file, are not. */
static void test_path_that_is_taken(void **state)
{
	struct stage stage = {.base = event_base_new()}, other = {.base = stage.base};
	AUTO(error) struct error err = {0};
	struct local local;
	struct stat is;
	int fd;

	(void)state;
	open_local(&local);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&local.address, sizeof(local.address)),
			 0);
	(void)close(fd);
	assert_true(listen_on(&stage, local.listen, &err));

	assert_false(listen_on(&other, local.listen, &err));
	assert_non_null(strstr(err.text, local.path));
	fd = dial_local(&local);
	assert_true(fd >= 0);
	(void)close(fd);
	talloc_free(stage.server);

	fd = open(local.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	error_clear(&err);
	assert_false(listen_on(&other, local.listen, &err));
	assert_int_equal(err.class, ERR_ENVIRONMENT);
	assert_int_equal(lstat(local.path, &is), 0);
	assert_true(S_ISREG(is.st_mode));
	event_base_free(stage.base);
	close_local(&local);
}

/* A server leaves a socket that another one has put into its place. */
static void test_path_of_another_server(void **state)
{
	struct stage stage = {.base = event_base_new()};
	AUTO(error) struct error err = {0};
	struct local local;
	struct stat is;
	int fd;

	(void)state;
	open_local(&local);
	assert_true(listen_on(&stage, local.listen, &err));
	fd = open(local.folder, O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(renameat(fd, "s", fd, "old"), 0);
	assert_int_equal(mknodat(fd, "s", S_IFSOCK | 0600, 0), 0);
	close_stage(&stage);
	assert_int_equal(lstat(local.path, &is), 0);
	assert_int_equal(unlinkat(fd, "old", 0), 0);
	(void)close(fd);
	close_local(&local);
}

static void test_paths_that_cannot_be(void **state)
{
	struct stage stage = {.base = event_base_new()};
	char longer[300];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	memcpy(longer, "unix:/", strlen("unix:/"));
	longer[sizeof(longer) - 1] = '\0';
	for (int i = 0; i < 3; i++) {
		AUTO(error) struct error err = {0};

		assert_false(listen_on(&stage,
				       i == 0   ? longer
				       : i == 1 ? "unix:"
						: "unix:x",
				       &err));
		assert_int_equal(err.class, ERR_CONFIG);
	}
	event_base_free(stage.base);
}

static void on_counted(void *arg, struct evhttp_request *request)
{
	struct stage *stage = arg;

	stage->requests = http_count_header(request, "X-User");
	http_reply(request, HTTP_OK, "text/plain", "fine\n");
}

static void test_count_header(void **state)
{
	static const struct {
		const char *bytes;
		int n;
	} cases[] = {
		{GET "\r\n", 0},
		{GET "x-user: a\r\n\r\n", 1},
		{GET "X-User: a\r\nY: b\r\nx-USER: a\r\n\r\n", 2},
		{GET "X-Users: a\r\nX_User: a\r\n\r\n", 0},
	};
	struct stage stage;
	char text[2000];

	(void)state;
	open_stage(&stage, HTTP_DEADLINE_MS);
	stage.server->opts.on_request = on_counted;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const int fd = dial(&stage);

		stage.requests = -1;
		say(fd, cases[i].bytes, strlen(cases[i].bytes));
		wait_for(&stage, fd, "fine\n", text, sizeof(text));
		assert_int_equal(stage.requests, cases[i].n);
		(void)close(fd);
	}
	close_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_one_connection_for_many_requests),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_an_answer_that_takes_long),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_an_address_that_cannot_be_had),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_path_that_is_taken),
		cmocka_unit_test(test_path_of_another_server),
		cmocka_unit_test(test_paths_that_cannot_be),
		cmocka_unit_test(test_count_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

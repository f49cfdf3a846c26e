/* The packets of the socket at which the page fetches files: what one end writes the other reads, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* error.h has a function of this name */

#include "base/handover.c"

#include <fcntl.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEX8 "0123abcd"
#define HEX64 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8

static void test_requests(void **state)
{
	static const struct {
		const char *packet;
		size_t n; /* 0: the text's length */
		bool good, takes;
		int job;
	} cases[] = {
		{"take " HEX64, 0, true, true, 0},
		{"list 1", 0, true, false, 1},
		{"list 2147483647", 0, true, false, 2147483647},
		{"list 2147483648", 0, false, false, 0},
		{"list 0", 0, false, false, 0},
		{"list -1", 0, false, false, 0},
		{"list 1 ", 0, false, false, 0},
		{"list", 0, false, false, 0},
		{"list 1\0", 7, false, false, 0},
		{"", 0, false, false, 0},
		{"take ", 0, false, false, 0},
		{"take " HEX64 "0", 0, false, false, 0},
		{"take " HEX64 " ", 0, false, false, 0},
		{"take X" HEX64, 0, false, false, 0},
		{"take " HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 "0123ABCD", 0, false, false, 0},
		{"give " HEX64, 0, false, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const size_t n = cases[i].n ? cases[i].n : strlen(cases[i].packet);
		struct handover_request request;

		print_message("%s\n", cases[i].packet);
		assert_int_equal(handover_read_request(cases[i].packet, n, &request),
				 cases[i].good);
		assert_int_equal(request.takes, cases[i].takes);
		assert_int_equal(request.job, cases[i].job);
		assert_string_equal(request.ticket, cases[i].takes ? HEX64 : "");
	}
}

static void test_a_ticket_comes_back(void **state)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	unsigned char ticket[HANDOVER_TICKET];
	struct handover_request request;
	const char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(ticket); i++)
		ticket[i] = (unsigned char)(i * 8);
	text = handover_take(ctx, ticket);
	assert_true(handover_read_request(text, strlen(text), &request));
	assert_true(request.takes);
	assert_string_equal(request.ticket,
			    "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8");
	text = handover_list(ctx, 12);
	assert_true(handover_read_request(text, strlen(text), &request));
	assert_int_equal(request.job, 12);
}

static void test_answers(void **state)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	AUTO(error) struct error err = {0};
	struct handover_answer answer;
	char *text = handover_file(ctx, 7, 123456789012, "contact.csv.age");

	(void)state;
	assert_true(handover_parse(ctx, text, strlen(text), &answer, &err));
	assert_true(answer.given);
	assert_int_equal(answer.download, 7);
	assert_int_equal(answer.n_files, 1);
	assert_int_equal(answer.files[0].bytes, 123456789012);
	assert_string_equal(answer.files[0].name, "contact.csv.age");

	text = t_strdup(ctx, "files");
	assert_true(handover_parse(ctx, text, strlen(text), &answer, &err));
	assert_true(answer.given && answer.n_files == 0);
	handover_add(&text, 0, "a.csv");
	handover_add(&text, 5, "SHA256SUMS");
	assert_true(handover_parse(ctx, text, strlen(text), &answer, &err));
	assert_true(answer.given);
	assert_int_equal(answer.n_files, 2);
	assert_string_equal(answer.files[1].name, "SHA256SUMS");
	assert_int_equal(answer.files[1].bytes, 5);

	for (int i = 0; i < HANDOVER_REFUSALS; i++) {
		const char *no = handover_no((enum handover_refusal)i);

		assert_true(handover_parse(ctx, no, strlen(no), &answer, &err));
		assert_false(answer.given);
		assert_int_equal(answer.refusal, i);
	}
}

static void test_answers_that_make_no_sense(void **state)
{
	static const char *const cases[] = {
		"",
		"file",
		"file ",
		"file 7",
		"file 7 1",
		"file 7 1 ",
		"file 0 1 a",
		"file 7 -1 a",
		"file x 1 a",
		"file 7 1 ../a",
		"file 7 1 a/b",
		"file 7 1 a b",
		"file 7 1 a\nb",
		"file 7 1 .a",
		"file 7 1 \"a\"",
		"files\n",
		"files\n1",
		"files\n1 a\n",
		"files\n1 a\n2 ..",
		"no",
		"no other",
		"filesx",
		"take 1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO(talloc) void *ctx = talloc_new(NULL);
		AUTO(error) struct error err = {0};
		struct handover_answer answer;

		print_message("%s\n", cases[i]);
		assert_false(handover_parse(ctx, cases[i], strlen(cases[i]), &answer, &err));
		assert_int_equal(err.class, ERR_CONFIG);
	}
}

static void test_a_nul_makes_no_sense(void **state)
{
	AUTO(talloc) void *ctx = talloc_new(NULL);
	AUTO(error) struct error err = {0};
	struct handover_answer answer;

	(void)state;
	assert_false(handover_parse(ctx, "file 7 1 a\0b", 12, &answer, &err));
}

static void test_a_descriptor_goes_with_it(void **state)
{
	AUTO(error) struct error err = {0};
	static char packet[HANDOVER_MAX];
	int ends[2], fd = -1;
	AUTO(fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char magic[4];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(handover_send(ends[0], "file 1 2 a", file, &err));
	assert_true(handover_send(ends[0], "no away", -1, &err));
	assert_int_equal(handover_receive(ends[1], packet, &fd), 10);
	assert_int_equal(pread(fd, magic, 4, 0), 4);
	assert_memory_equal(magic, "\177ELF", 4);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	(void)close(fd); /* only read from */
	assert_int_equal(handover_receive(ends[1], packet, &fd), 7);
	assert_int_equal(fd, -1);
	(void)close(ends[0]); /* nothing is left in it */
	assert_int_equal(handover_receive(ends[1], packet, &fd), 0);
	assert_false(handover_send(ends[1], "x", -1, &err));
	(void)close(ends[1]); /* likewise */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_a_ticket_comes_back),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answers_that_make_no_sense),
		cmocka_unit_test(test_a_nul_makes_no_sense),
		cmocka_unit_test(test_a_descriptor_goes_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Other programs: what they inherit, how they end, and how long they may take. */
#include "base/process.c"

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void run(const char *script, int64_t timeout_ms, struct process_result *ret)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	AUTO(process) struct process process = {0};
	struct error err = {0};

	assert_true(process_start(
		&(struct process_opts){.argv = argv, .in = 0, .out = 1, .catches_errors = true},
		&process, &err));
	process_end(&process, timeout_ms, ret);
	assert_int_equal(process.pid, 0);
}

static void test_ends(void **state)
{
	struct process_result end;

	(void)state;
	run("exit 0", 0, &end);
	assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0 && !end.too_long);
	assert_string_equal(end.complaint, "");
	run("printf 'first\\033 line\\nsecond' >&2; exit 7", 0, &end);
	assert_int_equal(WEXITSTATUS(end.status), 7);
	assert_string_equal(end.complaint, "first? line");
	run("yes | head -c 100000 | tr -d '\\n' >&2", 60000, &end);
	assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
	assert_int_equal(strlen(end.complaint), sizeof(end.complaint) - 1);
	run("exec 2>&-; sleep 0.05; exit 3", 60000, &end);
	assert_int_equal(WEXITSTATUS(end.status), 3);
}

static void test_time_limit(void **state)
{
	struct process_result end;

	(void)state;
	run("echo slow >&2; exec sleep 60", 50, &end);
	assert_true(end.too_long);
	assert_string_equal(end.complaint, "slow");
	run("exec sleep 60 2>&-", 50, &end);
	assert_true(end.too_long);
}

static void test_a_program_that_cannot_run(void **state)
{
	static const char *const programs[] = {"no-such-program", "/nowhere/program", "/etc"};

	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const char *const argv[] = {programs[i], NULL};
		AUTO(error) struct error err = {0};
		struct process process = {0};

		assert_false(process_start(&(struct process_opts){.argv = argv, .in = 0, .out = 1},
					   &process, &err));
		assert_int_equal(err.class, ERR_CONFIG);
		assert_non_null(strstr(err.text, programs[i]));
		assert_int_equal(process.pid, 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
	}
}

/* Ignored and blocked here, SIGTERM ends a child nevertheless. */
static void test_signals_are_put_in_order(void **state)
{
	struct process_result end;
	sigset_t term;

	(void)state;
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)signal(SIGTERM, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	run("kill -TERM $$; exit 0", 0, &end);
	assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGTERM);
	(void)sigprocmask(SIG_UNBLOCK, &term, NULL);
	(void)signal(SIGTERM, SIG_DFL);
}

static void test_descriptors(void **state)
{
	const char *argv[] = {"sh", "-c", NULL, NULL};
	AUTO(process) struct process process = {0};
	AUTO(error) struct error err = {0};
	struct process_result end;
	char script[200], text[8] = "";
	int in[2], out[2], hidden[2];

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hidden, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "abc\n", 4), 4);
	(void)snprintf(script, sizeof(script),
		       "read a; test ! -e /proc/self/fd/%d && echo $a && echo d >&%d", hidden[1],
		       out[1]);
	argv[2] = script;
	assert_true(process_start(&(struct process_opts){.argv = argv,
							 .in = in[0],
							 .out = out[1],
							 .inherited = &out[1],
							 .n_inherited = 1,
							 .death_signal = SIGKILL},
				  &process, &err));
	process_end(&process, 0, &end);
	assert_int_equal(end.status, 0);
	assert_int_equal(read(out[0], text, sizeof(text) - 1), 6);
	assert_string_equal(text, "abc\nd\n");
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
		(void)close(hidden[i]);
	}
}

static void test_kill(void **state)
{
	const char *const argv[] = {"sleep", "60", NULL};
	AUTO(error) struct error err = {0};
	struct process process = {0};

	(void)state;
	process_kill(&process); /* none */
	assert_true(process_start(&(struct process_opts){.argv = argv, .in = 0, .out = 1}, &process,
				  &err));
	process_kill(&process);
	assert_int_equal(process.pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_a_program_that_cannot_run),
		cmocka_unit_test(test_signals_are_put_in_order),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

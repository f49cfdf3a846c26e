/* Encrypting and decrypting by descriptor, with the real age. */
#include "archive/age.c"

#include <ftw.h>

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* More than a pipe and more than one of age's chunks, and not a multiple of either. */
#define BYTES ((size_t)300001)

static char directory[] = "/tmp/test_crypt.XXXXXX";
static char recipient[80];

static char *path_of(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	return path;
}

static int open_file(const char *name, int flags)
{
	AUTO(char_p) char *path = path_of(name);
	const int fd = open(path, flags | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* Its identity file; the last key made is the recipient. */
static void make_key(const char *name)
{
	AUTO(char_p) char *path = path_of(name);
	AUTO(char_p) char *command = NULL;
	FILE *out;

	assert_true(asprintf(&command, "age-keygen -o %s 2>/dev/null && age-keygen -y %s", path,
			     path) > 0);
	out = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own command */
	assert_non_null(out);
	assert_non_null(fgets(recipient, sizeof(recipient), out));
	assert_int_equal(pclose(out), 0);
	recipient[strcspn(recipient, "\n")] = '\0';
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static int set_up(void **state)
{
	(void)state;
	(void)strcpy(directory + strlen(directory) - 6, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void fill(char *bytes)
{
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)(i * 2654435761U >> 7);
}

/* A plain file, its encryption under both keys. */
static void encrypt_plain(char *plain)
{
	AUTO(error) struct error err = {0};
	const char *const recipients[] = {recipient};
	AUTO(fd) int out = open_file("plain", O_RDWR | O_CREAT);
	AUTO(fd) int encrypted = open_file("encrypted", O_RDWR | O_CREAT);

	fill(plain);
	assert_int_equal(write(out, plain, BYTES), BYTES);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_true(age_encrypt(recipients, 1, out, encrypted, &err));
}

/* What comes out, and whether it is good; *ret_n bytes of it. */
static bool decrypt(const char *identity, char *ret, size_t *ret_n, struct error *err)
{
	AUTO(char_p) char *path = path_of(identity);
	AUTO(fd) int in = open_file("encrypted", O_RDONLY);
	AUTO(process) struct process age = {0};
	AUTO(fd) int out = -1;
	ssize_t n;

	*ret_n = 0;
	assert_true(age_decrypt(path, in, &age, &out, err));
	while ((n = read(out, ret + *ret_n, BYTES + 1 - *ret_n)) > 0)
		*ret_n += (size_t)n;
	assert_int_equal(n, 0);
	return age_decrypt_end(&age, err);
}

static void test_there_and_back(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *plain = xcalloc(1, BYTES);
	AUTO(char_p) char *got = xcalloc(1, BYTES + 1);
	size_t n = 0;

	(void)state;
	make_key("key");
	encrypt_plain(plain);
	assert_true(decrypt("key", got, &n, &err));
	assert_int_equal(n, BYTES);
	assert_memory_equal(got, plain, BYTES);
}

static void test_the_wrong_key(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *plain = xcalloc(1, BYTES);
	AUTO(char_p) char *got = xcalloc(1, BYTES + 1);
	size_t n = 0;

	(void)state;
	make_key("other");
	make_key("key");
	encrypt_plain(plain);
	assert_false(decrypt("other", got, &n, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_int_equal(n, 0);
	error_clear(&err);
	assert_false(decrypt("missing", got, &n, &err));
	assert_int_equal(err.class, ERR_CONFIG);
}

/* All chunks but the last come out as they were: that it was cut is known at the end. */
static void test_cut_short(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *plain = xcalloc(1, BYTES);
	AUTO(char_p) char *got = xcalloc(1, BYTES + 1);
	AUTO(char_p) char *path = path_of("encrypted");
	size_t n = 0;

	(void)state;
	make_key("key");
	encrypt_plain(plain);
	assert_int_equal(truncate(path, 200 + 2 * (65536 + 16)), 0);
	assert_false(decrypt("key", got, &n, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_true(n > 0 && n < BYTES);
	assert_memory_equal(got, plain, n);
}

/* A reader that has seen enough: age is ended, not waited for. */
static void test_given_up(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *plain = xcalloc(1, BYTES);
	AUTO(char_p) char *path = path_of("key");
	struct process age = {0};
	AUTO(fd) int out = -1;
	char byte;

	(void)state;
	make_key("key");
	encrypt_plain(plain);
	{
		AUTO(fd) int in = open_file("encrypted", O_RDONLY);

		assert_true(age_decrypt(path, in, &age, &out, &err));
	}
	assert_int_equal(read(out, &byte, 1), 1);
	process_kill(&age);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

static void test_check(void **state)
{
	AUTO(error) struct error err = {0};
	const char *recipients[] = {
		recipient, "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"};

	(void)state;
	make_key("key");
	assert_true(age_check(recipients, 1, &err));
	assert_false(age_check(recipients, 2, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_non_null(strstr(err.text, "archives.recipients: age: error: "));
}

static void test_a_disk_that_is_full(void **state)
{
	AUTO(error) struct error err = {0};
	const char *const recipients[] = {recipient};
	AUTO(fd) int in = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	AUTO(fd) int out = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	make_key("key");
	assert_false(age_encrypt(recipients, 1, in, out, &err));
	assert_int_equal(err.class, ERR_ENVIRONMENT);
	assert_non_null(strstr(err.text, "no space left on device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_wrong_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_disk_that_is_full, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

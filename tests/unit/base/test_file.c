/* Files by descriptor: what is opened, read, summed, and refused. */
#include "base/file.c"

#include <ftw.h>

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static char directory[] = "/tmp/test_file.XXXXXX";
static int folder = -1;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static int set_up(void **state)
{
	(void)state;
	(void)strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(folder);
	return nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file of the folder with these bytes, open for reading. */
static int file_with(const char *name, const char *bytes, size_t n)
{
	AUTO(error) struct error err = {0};
	int64_t written = 0;
	const int fd = openat(folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_true(file_write(fd, bytes, n, &written, name, &err));
	assert_int_equal(written, n);
	assert_true(file_sync(fd, name, &err));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void test_open_beneath(void **state)
{
	static const struct {
		const char *path;
		int error; /* 0: it opens */
		int walked; /* the same where openat2() is forbidden */
	} cases[] = {
		{"a", 0, 0},
		{"sub/../a", 0, EXDEV},
		{".", 0, 0},
		{"./a", 0, 0},
		{"sub//b", 0, 0},
		{"", ENOENT, ENOENT},
		{"nothing", ENOENT, ENOENT},
		{"nothing/a", ENOENT, ENOENT},
		{"a/b", ENOTDIR, ENOTDIR},
		{"..", EXDEV, EXDEV},
		{"../..", EXDEV, EXDEV},
		{"/etc", EXDEV, EXDEV},
		{"/", EXDEV, EXDEV},
		{"sub/../../x", EXDEV, EXDEV},
		{"link", ELOOP, ELOOP},
		{"away/x", ELOOP, ELOOP},
		{"sub/up/a", ELOOP, ELOOP},
	};

	(void)state;
	assert_int_equal(close(file_with("a", "1", 1)), 0);
	assert_int_equal(mkdirat(folder, "sub", 0700), 0);
	assert_int_equal(symlinkat("a", folder, "link"), 0);
	assert_int_equal(close(file_with("sub/b", "1", 1)), 0);
	assert_int_equal(symlinkat("/etc", folder, "away"), 0);
	assert_int_equal(symlinkat("..", folder, "sub/up"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(fd) int fd = file_open_beneath(folder, cases[i].path, O_RDONLY);

		if (cases[i].error)
			assert_int_equal(errno, cases[i].error);
		assert_int_equal(fd >= 0, cases[i].error == 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(fd) int fd = walk_beneath(folder, cases[i].path, O_RDONLY);

		if (cases[i].walked)
			assert_int_equal(errno, cases[i].walked);
		assert_int_equal(fd >= 0, cases[i].walked == 0);
	}
	/* No descriptor is left open: the next one is the lowest that there is. */
	{
		const int lowest = dup(folder);

		assert_int_equal(close(lowest), 0);
		assert_int_equal(walk_beneath(folder, "sub/nothing", O_RDONLY), -1);
		assert_int_equal(close(walk_beneath(folder, "sub/b", O_RDONLY)), 0);
		assert_int_equal(dup(folder), lowest);
		assert_int_equal(close(lowest), 0);
	}
}

static void test_read_text(void **state)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	AUTO(fd) int text = file_with("text", "a\nb\n", 4), empty = file_with("empty", "", 0);

	(void)state;
	assert_string_equal(file_read_text(text, "text", ctx, &err), "a\nb\n");
	assert_string_equal(file_read_text(empty, "empty", ctx, &err), "");
	assert_int_equal(err.class, ERR_NONE);
}

static void test_read_text_refuses(void **state)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error binary = {0}, large = {0}, other = {0}, closed = {0};
	AUTO(fd) int nul = file_with("nul", "a\0b", 3), huge = file_with("huge", "", 0);

	(void)state;
	assert_null(file_read_text(nul, "nul", ctx, &binary));
	assert_int_equal(binary.class, ERR_CONFIG);
	assert_int_equal(ftruncate(huge, MOST_BYTES + 1), 0);
	assert_null(file_read_text(huge, "huge", ctx, &large));
	assert_int_equal(large.class, ERR_CONFIG);
	assert_null(file_read_text(folder, "folder", ctx, &other));
	assert_int_equal(other.class, ERR_CONFIG);
	assert_null(file_read_text(-1, "nothing", ctx, &closed));
	assert_int_equal(closed.class, ERR_ENVIRONMENT);
}

/* FIPS 180-2, appendix B: whole, and piece by piece. */
static void test_digest(void **state)
{
	static const char wanted[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	AUTO(error) struct error err = {0};
	AUTO(digest) struct digest *d = digest_new();
	struct digest_key *key = digest_key_new("Jefe");
	AUTO(fd) int fd = file_with("abc", "abc", 3);
	char hex[FILE_HEX + 1];

	(void)state;
	assert_true(file_digest(fd, "abc", hex, &err));
	assert_string_equal(hex, wanted);
	digest_add(d, "a", 1);
	digest_add(d, "", 0);
	digest_add(d, "bc", 2);
	assert_true(digest_end(d, hex, &err));
	assert_string_equal(hex, wanted);
	/* RFC 4231, test case 2. */
	for (int i = 0; i < 2; i++) {
		assert_true(digest_key_sum(key, "what do ya ", "want for nothing?", 17, hex, &err));
		assert_string_equal(
			hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	}
	digest_key_free(key);
	assert_false(file_digest(-1, "nothing", hex, &err));
	assert_int_equal(err.class, ERR_ENVIRONMENT);
}

static void test_write_fails(void **state)
{
	AUTO(error) struct error full = {0}, unsynced = {0};
	AUTO(fd) int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int64_t written = 0;

	(void)state;
	assert_false(file_write(fd, "x", 1, &written, "full", &full));
	assert_int_equal(full.class, ERR_ENVIRONMENT);
	assert_int_equal(written, 0);
	assert_false(file_sync_folder("/nowhere/at/all", &unsynced));
	assert_int_equal(unsynced.class, ERR_ENVIRONMENT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_open_beneath), TEST(test_read_text),   TEST(test_read_text_refuses),
		TEST(test_digest),       TEST(test_write_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

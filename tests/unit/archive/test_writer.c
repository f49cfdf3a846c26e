/* Archive files: append, committed length, recovery, joining, sealing, each of them redone. */
#include "archive/writer.c"

#include "archive/finish.h"

#include <ftw.h>
#include <signal.h>
#include <sys/wait.h>

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NAME "20260101-delete_contacts-p-1"
#define PARTIAL NAME ".partial"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct archive_file files[] = {
	{.name = "a.csv", .head = "\xEF\xBB\xBFid;name\n"},
	{.name = "b.csv", .head = "id\n"},
};
#define N COUNT(files)
static const int64_t nothing[N] = {0};
static char directory[] = "/tmp/test_archive.XXXXXX";
static const struct archive archive = {
	.directory = directory, .name = NAME, .files = files, .n_files = N};
static const struct archive nowhere = {
	.directory = "/nowhere/at/all", .name = NAME, .files = files, .n_files = N};

static char *path_of(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	return path;
}

static void write_file(const char *name, const char *text)
{
	AUTO(char_p) char *path = path_of(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_file(const char *name, const char *text)
{
	AUTO(char_p) char *path = path_of(name);
	char got[4096];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
	(void)fclose(file);
	assert_string_equal(got, text);
}

static bool exists(const char *name)
{
	AUTO(char_p) char *path = path_of(name);

	return access(path, F_OK) == 0;
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

static void create(void)
{
	AUTO(error) struct error err = {0};

	assert_true(archive_create(&archive, false, &err));
}

static struct archive_writer *open_writer(int worker, const int64_t *committed)
{
	struct archive_writer *w = NULL;
	AUTO(error) struct error err = {0};

	assert_true(archive_writer_open(&archive, worker, committed, &w, &err));
	return w;
}

static void append(struct archive_writer *w, size_t i, const char *text)
{
	AUTO(error) struct error err = {0};

	assert_true(archive_append(w, i, text, strlen(text), &err));
}

/* A batch: appended, synced, committed; ret (N) gets what the database would keep. */
static void batch(struct archive_writer *w, const char *a, const char *b, int64_t *ret)
{
	AUTO(error) struct error err = {0};

	if (a)
		append(w, 0, a);
	if (b)
		append(w, 1, b);
	assert_true(archive_sync(w, &err));
	for (size_t i = 0; i < N; i++)
		ret[i] = archive_length(w, i);
	archive_commit(w);
}

static void assert_refused(bool ok, const struct error *err, enum error_class class,
			   const char *words)
{
	assert_false(ok);
	assert_int_equal(err->class, class);
	assert_non_null(strstr(err->text, words));
}

/* --- The folder ------------------------------------------------------------------------------ */

static void test_create(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *path = path_of(PARTIAL);
	struct stat st;

	(void)state;
	create();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	create(); /* a crash before the journal said running */
	assert_true(archive_is_begun(&archive));
	assert_false(archive_is_finished(&archive));
	write_file(PARTIAL "/a.csv.0", "theirs");
	assert_refused(archive_create(&archive, false, &err), &err, ERR_CONFIG, "not empty");
	assert_file(PARTIAL "/a.csv.0", "theirs");
	error_clear(&err);
	assert_true(archive_create(&archive, true, &err));
}

static void test_create_refused(void **state)
{
	AUTO(error) struct error gone = {0};
	AUTO(error) struct error resumed = {0};
	AUTO(error) struct error finished = {0};
	AUTO(char_p) char *path = path_of(NAME);

	(void)state;
	assert_refused(archive_create(&nowhere, false, &gone), &gone, ERR_CONFIG,
		       "archives.directory");
	assert_refused(archive_create(&archive, true, &resumed), &resumed, ERR_CONFIG,
		       "put it back");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(archive_create(&archive, false, &finished), &finished, ERR_CONFIG,
		       "exists already");
}

/* --- Segments -------------------------------------------------------------------------------- */

static void test_append_and_commit(void **state)
{
	struct archive_writer *w;
	int64_t lengths[N];

	(void)state;
	create();
	w = open_writer(0, nothing);
	assert_int_equal(archive_length(w, 0), 0);
	batch(w, "1;x\n", NULL, lengths);
	assert_int_equal(lengths[0], 3 + 8 + 4);
	assert_int_equal(lengths[1], 0);
	batch(w, "2;y\n", "7\n", lengths);
	archive_writer_close(w);
	assert_file(PARTIAL "/a.csv.0", "\xEF\xBB\xBFid;name\n1;x\n2;y\n");
	assert_file(PARTIAL "/b.csv.0", "id\n7\n");
	archive_writer_close(NULL);
}

static void test_only_worker_0_writes_the_head(void **state)
{
	struct archive_writer *w;
	int64_t lengths[N];

	(void)state;
	create();
	w = open_writer(3, nothing);
	batch(w, "1;x\n", NULL, lengths);
	assert_int_equal(lengths[0], 4);
	archive_writer_close(w);
	assert_file(PARTIAL "/a.csv.3", "1;x\n");
}

static void test_rollback(void **state)
{
	AUTO(error) struct error err = {0};
	struct archive_writer *w;
	int64_t lengths[N];

	(void)state;
	create();
	w = open_writer(0, nothing);
	append(w, 0, "0;never\n"); /* the head goes with it */
	assert_true(archive_rollback(w, &err));
	batch(w, "1;x\n", NULL, lengths);
	append(w, 0, "2;buffered\n");
	assert_true(archive_rollback(w, &err));
	append(w, 0, "3;synced\n");
	append(w, 1, "3\n");
	assert_true(archive_sync(w, &err));
	assert_true(archive_rollback(w, &err));
	assert_int_equal(archive_length(w, 0), lengths[0]);
	batch(w, "4;y\n", NULL, lengths);
	archive_writer_close(w);
	assert_file(PARTIAL "/a.csv.0", "\xEF\xBB\xBFid;name\n1;x\n4;y\n");
	assert_file(PARTIAL "/b.csv.0", "");
}

static void test_rows_larger_than_the_buffer(void **state)
{
	AUTO(char_p) char *row = must_alloc(malloc(3 * BUFFER_BYTES));
	AUTO(error) struct error err = {0};
	struct archive_writer *w;
	int64_t lengths[N], wanted = 3 + 8;

	(void)state;
	memset(row, 'x', 3 * BUFFER_BYTES);
	create();
	w = open_writer(0, nothing);
	for (size_t n = BUFFER_BYTES - 12; n < BUFFER_BYTES + 3; n++, wanted += (int64_t)n - 1)
		assert_true(archive_append(w, 0, row, n, &err));
	assert_true(archive_append(w, 0, row, 3 * BUFFER_BYTES, &err));
	wanted += 3 * (int64_t)BUFFER_BYTES;
	batch(w, "\n", NULL, lengths);
	assert_int_equal(lengths[0], wanted + 1);
	archive_writer_close(w);
	archive_writer_close(open_writer(0, lengths)); /* as long as it says */
}

/* --- Recovery -------------------------------------------------------------------------------- */

static void test_reopened_at_the_committed_length(void **state)
{
	struct archive_writer *w;
	int64_t committed[N], lost[N];

	(void)state;
	create();
	w = open_writer(0, nothing);
	batch(w, "1;x\n", "1\n", committed);
	batch(w, "2;its transaction never committed\n", "2\n", lost);
	archive_writer_close(w);
	w = open_writer(0, committed);
	batch(w, "3;y\n", NULL, committed);
	archive_writer_close(w);
	assert_file(PARTIAL "/a.csv.0", "\xEF\xBB\xBFid;name\n1;x\n3;y\n");
	assert_file(PARTIAL "/b.csv.0", "id\n1\n");
}

static void test_shorter_than_committed(void **state)
{
	AUTO(error) struct error err = {0};
	struct archive_writer *w = NULL;
	const int64_t committed[N] = {12, 0};

	(void)state;
	create();
	write_file(PARTIAL "/a.csv.0", "12345678901");
	assert_refused(archive_check(&archive, 1, committed, &err), &err, ERR_CONFIG,
		       "11 bytes where 12 were synced and committed");
	error_clear(&err);
	assert_refused(archive_writer_open(&archive, 0, committed, &w, &err), &err, ERR_CONFIG,
		       "11 bytes where 12 were synced and committed");
	assert_null(w);
	assert_file(PARTIAL "/a.csv.0", "12345678901");
}

/* Worker 1 has committed, and its file is not there. */
static void test_a_segment_is_missing(void **state)
{
	AUTO(error) struct error err = {0};
	const int64_t committed[2 * N] = {0, 0, 0, 3};

	(void)state;
	create();
	assert_true(archive_check(&archive, 1, committed, &err));
	assert_refused(archive_check(&archive, 2, committed, &err), &err, ERR_CONFIG,
		       "\"b.csv.1\" has 0 bytes where 3");
}

static void test_a_link_is_not_followed(void **state)
{
	AUTO(error) struct error err = {0};
	AUTO(char_p) char *target = path_of("target");
	AUTO(char_p) char *link = path_of(PARTIAL "/a.csv.0");
	struct archive_writer *w = NULL;

	(void)state;
	create();
	write_file("target", "precious");
	assert_int_equal(symlink(target, link), 0);
	assert_refused(archive_writer_open(&archive, 0, nothing, &w, &err), &err, ERR_ENVIRONMENT,
		       "a.csv.0");
	assert_file("target", "precious");
}

/* What a process has open no other may cut back; its death, however it came, sets it free. */
static void test_open_in_another_process(void **state)
{
	AUTO(error) struct error err = {0};
	struct archive_writer *w = NULL;
	struct manifest_file sizes[N];
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	create();
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct error ignored = {0};

		(void)archive_writer_open(&archive, 0, nothing, &w, &ignored);
		if (write(ready[1], "", 1) == 1)
			(void)pause(); /* until killed */
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_refused(archive_writer_open(&archive, 0, nothing, &w, &err), &err, ERR_ENVIRONMENT,
		       "open in another process");
	error_clear(&err);
	assert_refused(archive_join(&archive, 1, nothing, sizes, &err), &err, ERR_ENVIRONMENT,
		       "open in another process");
	archive_writer_close(open_writer(1, nothing));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	archive_writer_close(open_writer(0, nothing));
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* --- Joining and sealing ---------------------------------------------------------------------- */

#define WORKERS 3
static int64_t committed[WORKERS * N];

static void three_workers(void)
{
	static const char *const rows[WORKERS][N] = {
		{"0;x\n", NULL}, {NULL, NULL}, {"2;y\n", "2\n"}};

	create();
	memset(committed, 0, sizeof(committed));
	for (int worker = 0; worker < WORKERS; worker++) {
		struct archive_writer *w = open_writer(worker, nothing);
		int64_t lost[N];

		if (rows[worker][0] || rows[worker][1])
			batch(w, rows[worker][0], rows[worker][1], committed + worker * (int)N);
		batch(w, "9;lost\n", "9\n", lost); /* synced, its transaction rolled back */
		archive_writer_close(w);
	}
}

static void assert_joined(void)
{
	AUTO(error) struct error err = {0};
	struct manifest_file sizes[N];

	assert_true(archive_join(&archive, WORKERS, committed, sizes, &err));
	assert_file(PARTIAL "/a.csv", "\xEF\xBB\xBFid;name\n0;x\n2;y\n");
	assert_file(PARTIAL "/b.csv", "id\n2\n"); /* worker 0 had no row: the head is there */
	assert_int_equal(sizes[0].bytes, 3 + 8 + 4 + 4);
	assert_int_equal(sizes[1].bytes, 3 + 2);
}

static void test_join(void **state)
{
	(void)state;
	three_workers();
	assert_joined();
	assert_joined(); /* after a crash */
}

/* One file is joined and has more, the other still bears its segment's name. */
static void test_join_after_a_crash_in_the_middle(void **state)
{
	AUTO(char_p) char *segment = path_of(PARTIAL "/a.csv.0");
	AUTO(char_p) char *joined = path_of(PARTIAL "/a.csv");
	FILE *file;

	(void)state;
	three_workers();
	assert_int_equal(rename(segment, joined), 0);
	file = fopen(joined, "a");
	assert_non_null(file);
	assert_true(fputs("2;y\nhalf a ro", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_joined();
}

static void test_join_refuses_what_is_short(void **state)
{
	AUTO(error) struct error short_one = {0};
	AUTO(error) struct error missing = {0};
	AUTO(char_p) char *segment = path_of(PARTIAL "/a.csv.2");
	struct manifest_file sizes[N];

	(void)state;
	three_workers();
	assert_int_equal(truncate(segment, 3), 0);
	assert_refused(archive_join(&archive, WORKERS, committed, sizes, &short_one), &short_one,
		       ERR_CONFIG, "\"a.csv.2\" has 3 bytes where");
	assert_int_equal(unlink(segment), 0);
	assert_refused(archive_join(&archive, WORKERS, committed, sizes, &missing), &missing,
		       ERR_CONFIG, "\"a.csv.2\" has 0 bytes where");
}

static void test_seal(void **state)
{
	AUTO(error) struct error err = {0};
	int64_t bytes = 0;

	(void)state;
	three_workers();
	assert_joined();
	write_file(PARTIAL "/s.csvs.csv.12", ""); /* of a table "csvs", which got no row */
	write_file(PARTIAL "/s.csv.2.csv", ""); /* no segment: of a table "csv", its second part */
	assert_true(archive_write_file(&archive, "manifest.json", "{}\n", &err));
	assert_true(archive_write_file(&archive, "manifest.json", "{ }\n", &err));
	assert_true(archive_seal(&archive, &err));
	assert_true(archive_is_finished(&archive));
	assert_false(archive_is_begun(&archive));
	assert_file(NAME "/manifest.json", "{ }\n");
	assert_false(exists(NAME "/manifest.json.tmp"));
	assert_false(exists(NAME "/a.csv.1"));
	assert_false(exists(NAME "/b.csv.2"));
	assert_false(exists(NAME "/s.csvs.csv.12"));
	assert_true(exists(NAME "/s.csv.2.csv"));
	assert_true(archive_size(&archive, &bytes, &err));
	assert_int_equal(bytes, 19 + 5);
}

static void test_digest(void **state)
{
	AUTO(error) struct error err = {0};
	char hex[65];

	(void)state;
	create();
	write_file(PARTIAL "/a.csv", "abc");
	assert_true(archive_digest(&archive, "a.csv", hex, &err));
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	assert_refused(archive_digest(&archive, "b.csv", hex, &err), &err, ERR_ENVIRONMENT,
		       "b.csv");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_create_refused),
		TEST(test_append_and_commit),
		TEST(test_only_worker_0_writes_the_head),
		TEST(test_rollback),
		TEST(test_rows_larger_than_the_buffer),
		TEST(test_reopened_at_the_committed_length),
		TEST(test_shorter_than_committed),
		TEST(test_a_segment_is_missing),
		TEST(test_a_link_is_not_followed),
		TEST(test_open_in_another_process),
		TEST(test_join),
		TEST(test_join_after_a_crash_in_the_middle),
		TEST(test_join_refuses_what_is_short),
		TEST(test_seal),
		TEST(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

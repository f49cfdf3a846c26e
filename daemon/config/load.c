/*
 * A generation of the configuration: expands the files to one text (source.c), lets libconfig parse
 * it, reads the tree by tables (setting.c, read_groups.c, read_model.c, read_policies.c).  Changes
 * nothing outside the new generation, not even TZ, so that the caller decides when it takes effect.
 */
#include "config/config.h"

#include "base/file.h"
#include "base/mem.h"
#include "config/instance.h"
#include "config/read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* Notes the marks within the group model: until they are answered, the model erases nothing. */
static void read_marks(const struct reader *r, struct model *model)
{
	const struct config_text *text = r->text;
	const unsigned int first = config_setting_source_line(r->group);
	const unsigned int last = config_text_group_end(text, first);
	struct place *marks = t_array(r->ctx, struct place, text->n_marks + 1);

	for (size_t i = 0; i < text->n_marks; i++)
		if (text->marks[i] >= first && text->marks[i] <= last)
			marks[model->n_marks++] = config_text_place(text, text->marks[i]);
	model->marks = marks;
}

/* is_whole: no include is missing, so that a group that is not in the text was not written. */
static void read_tree(const struct reader *r, struct config *config, bool is_whole)
{
	static const char *const required[] = {"database", "archives", "model"};
	const struct reader model = reader_in(r, reader_key(r, "model"), NULL);

	for (size_t i = 0; is_whole && i < LENGTH(required); i++)
		if (!reader_key(r, required[i]))
			complain_at(r, NULL, "group %s is missing", required[i]);
	groups_read(r, config);
	if (model.group) {
		model_read(&model, &config->model);
		read_marks(&model, &config->model);
	}
	policies_read(r, config);
}

static void parse_text(struct config *config, struct complaints *c, bool is_whole)
{
	struct config_text text;
	struct reader r = {.ctx = config, .complaints = c};
	config_t tree;

	config_init(&tree);
	if (reader_open(&r, config->path, config->text, &tree, &text))
		read_tree(&r, config, is_whole);
	config_destroy(&tree);
}

static struct config *config_new(const char *path, const char *text)
{
	struct config *config = t_zero(NULL, struct config);
	const size_t length = strlen(text);

	config->path = t_strdup(config, path);
	config->instance = instance_name(config, path);
	/* libconfig accepts a comment only if a newline ends it. */
	config->text = length && text[length - 1] == '\n' ? t_strdup(config, text)
							  : t_printf(config, "%s\n", text);
	config->delimiter = ';';
	config->bom = true;
	config->workers = 2;
	config->batch_rows = 10000;
	config->batch_time_ms = 250;
	config->metrics_interval_ms = 15 * 60 * 1000;
	config->notify_timeout_ms = 30 * 1000;
	config->max_replica_lag_ms = 10 * 1000;
	config->max_wal_backlog_mb = 4096;
	config->courtesy = true;
	config->max_share = 0.25;
	config->page_most = 20;
	return config;
}

/* Parses text; NULL is a text that could not be read, with complaints.  n_before: complaints so far. */
static struct config *config_build(const char *path, const char *text, size_t n_before,
				   struct complaints *c)
{
	struct config *config = NULL;

	if (text) {
		config = config_new(path, text);
		parse_text(config, c, c->n == n_before);
	}
	if (c->n == n_before)
		return config;
	talloc_free(config);
	return NULL;
}

struct config *config_load(const char *path, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const size_t n_before = c->n;

	return config_build(path, config_text_expand(ctx, path, c), n_before, c);
}

struct config *config_parse_text(const char *path, const char *text, struct complaints *c)
{
	return config_build(path, text, c->n, c);
}

struct config *config_read_fd(int fd, struct complaints *c)
{
	const struct place at = {.file = "the inherited configuration"};
	AUTO(char_p) char *text = must_alloc(malloc(CONFIG_TEXT_MAX_BYTES + 1));
	AUTO(char_p) char *path = NULL;
	const ssize_t length = file_read_all(fd, text, CONFIG_TEXT_MAX_BYTES + 1);

	if (length < 0 || (size_t)length > CONFIG_TEXT_MAX_BYTES) {
		complain(c, &at, "cannot be read: %s", strerror(length < 0 ? errno : EFBIG));
		return NULL;
	}
	text[length] = '\0';
	if (strlen(text) != (size_t)length) {
		complain(c, &at, "holds a NUL byte");
		return NULL;
	}
	if (strncmp(text, "#@ 1 ", 5) == 0) /* the first marker names the file */
		path = must_alloc(strndup(text + 5, strcspn(text + 5, "\n")));
	return config_parse_text(path ? path : at.file, text, c);
}

bool config_memfd(const struct config *config, int *ret_fd, struct error *err)
{
	AUTO(fd) int fd = memfd_create("retentiond.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int64_t written = 0;

	if (fd >= 0 && !file_write(fd, config->text, strlen(config->text), &written,
				   "the configuration in memory", err))
		return false;
	if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		return fail_errno(err, ERR_ENVIRONMENT, "no memory file for the configuration");
	*ret_fd = fd;
	fd = -1;
	return true;
}

const struct policy *config_policy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_policies; i++)
		if (strcmp(config->policies[i].name, name) == 0)
			return &config->policies[i];
	return NULL;
}

#include "config/instance.h"

#include "base/mem.h"
#include "base/text.h"

#define FOLDER SYSCONFDIR "/retentiond/"
#define SUFFIX ".conf"
#define PAGE "web"

static bool ends_in_suffix(const char *text)
{
	const size_t n = strlen(text);

	return n >= strlen(SUFFIX) && strcmp(text + n - strlen(SUFFIX), SUFFIX) == 0;
}

/* The text behind a prefix; without the prefix, the whole. */
static const char *without(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : text;
}

/* A file, and not a name? */
static bool is_file(const char *argument)
{
	return !*argument || strchr(argument, '/') || ends_in_suffix(argument);
}

const char *instance_path(void *ctx, const char *argument)
{
	if (is_file(argument))
		return t_strdup(ctx, argument);
	return t_printf(ctx, FOLDER "%s" SUFFIX, without(argument, "retentiond@"));
}

const char *instance_page_path(void *ctx, const char *argument)
{
	if (is_file(argument))
		return t_strdup(ctx, argument);
	if (strcmp(argument, "retentiond-web") == 0)
		return t_strdup(ctx, FOLDER PAGE SUFFIX);
	return t_printf(ctx, FOLDER PAGE "@%s" SUFFIX, without(argument, "retentiond-web@"));
}

const char *instance_name(void *ctx, const char *path)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.:_-";
	const char *file = without(path, FOLDER);
	char *name;

	if (file == path || !ends_in_suffix(file))
		return NULL;
	name = t_strdup(ctx, without(file, PAGE "@"));
	name[strlen(name) - strlen(SUFFIX)] = '\0';
	if (*name && strspn(name, allowed) == strlen(name) && strcmp(name, "retentiond") != 0 &&
	    strcmp(name, PAGE) != 0)
		return name;
	talloc_free(name);
	return NULL;
}

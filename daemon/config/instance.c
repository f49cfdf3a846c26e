#include "config/instance.h"

#include "base/mem.h"
#include "base/text.h"

#define FOLDER SYSCONFDIR "/retentiond/"
#define SUFFIX ".conf"
#define UNIT "retentiond@"
#define NAMELESS "retentiond"

static bool ends_in_suffix(const char *text)
{
	const size_t n = strlen(text);

	return n >= strlen(SUFFIX) && strcmp(text + n - strlen(SUFFIX), SUFFIX) == 0;
}

const char *instance_path(void *ctx, const char *argument)
{
	if (!*argument || strchr(argument, '/') || ends_in_suffix(argument))
		return t_strdup(ctx, argument);
	if (strncmp(argument, UNIT, strlen(UNIT)) == 0)
		argument += strlen(UNIT);
	return t_printf(ctx, FOLDER "%s" SUFFIX, argument);
}

const char *instance_name(void *ctx, const char *path)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.:_-";
	const size_t before = strlen(FOLDER);
	char *name;

	if (strncmp(path, FOLDER, before) != 0 || !ends_in_suffix(path + before))
		return NULL;
	name = t_strdup(ctx, path + before);
	name[strlen(name) - strlen(SUFFIX)] = '\0';
	if (*name && strspn(name, allowed) == strlen(name) && strcmp(name, NAMELESS) != 0)
		return name;
	talloc_free(name);
	return NULL;
}

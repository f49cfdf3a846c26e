#include "web/assets.h"

#include "web/embedded.h"

#include <string.h>

const struct asset *asset_at(const char *path)
{
	for (size_t i = 0; i < embedded_files_count; i++)
		if (strcmp(embedded_files[i].path, path) == 0)
			return &embedded_files[i];
	return NULL;
}

const char *asset_path(const char *name)
{
	for (size_t i = 0; i < embedded_files_count; i++)
		if (strcmp(embedded_files[i].name, name) == 0)
			return embedded_files[i].path;
	return NULL;
}

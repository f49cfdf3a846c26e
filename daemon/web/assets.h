/* The style sheet and the script, compiled in, and served under a path that changes with their content. */
#pragma once

#include <stddef.h>

struct asset {
	const char *name; /* "page.css" */
	const char *path; /* "/s/page.3f9c1a2b….css", without the prefix */
	const char *type;
	const unsigned char *bytes;
	size_t n;
};

/* The file that is served at a path; NULL: there is none. */
const struct asset *asset_at(const char *path);

/* Where a file is served: "page.css" gives "/s/page.3f9c1a2b….css".  NULL: there is no such file. */
const char *asset_path(const char *name);

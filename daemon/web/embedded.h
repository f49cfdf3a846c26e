/* What daemon/web/embed.sh compiles in: the templates, the files of /s/, and the French catalogue. */
#pragma once

#include "web/assets.h"

struct embedded_page {
	const char *name; /* "overview", of web/pages/overview.html */
	const unsigned char *text; /* ends with 0 */
};
extern const struct embedded_page embedded_pages[];
extern const size_t embedded_pages_count;

extern const struct asset embedded_files[];
extern const size_t embedded_files_count;

/* A .mo file as msgfmt writes it, little-endian. */
extern const unsigned char embedded_french[];
extern const size_t embedded_french_size;

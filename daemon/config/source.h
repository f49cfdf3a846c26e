/*
 * The text of a configuration: reads files that nobody else can write, replaces each @include by its
 * file, and knows for each line of the result the file and line that it came from.
 *
 * The expanded text is plain libconfig and carries its own map: a comment before each run of lines,
 * "#@ 12 /etc/retentiond/models/crm.conf", says that the next line is line 12 of that file.  If a file
 * holds such a line itself, the line becomes an ordinary comment.
 */
#pragma once

#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_FILE_MAX_BYTES ((size_t)1024 * 1024)
#define CONFIG_TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* Line first of the text is line at.line of at.file; the lines up to the next origin follow it. */
struct origin {
	unsigned int first;
	struct place at;
};
struct config_text {
	const char *path; /* of lines before the first marker */
	const char *text;
	struct origin *origins; /* n_origins, ascending */
	size_t n_origins;
	unsigned int
		*marks; /* n_marks: the lines with a comment that holds the mark of a question */
	size_t n_marks;
};

/*
 * Reads path and its includes.  Returns the expanded text, owned by ctx; NULL if path itself cannot be
 * read.  Complains of a wrong include, and reads the rest.
 */
char *config_text_expand(void *ctx, const char *path, struct complaints *c);

/*
 * Reads the markers of an expanded text, which must end in a newline; the origins are owned by ctx.
 * Complains of numbers that are too large and of \x00, because libconfig would misread them silently.
 * false: an @include is left, so that libconfig must not parse the text, because it would open the file.
 */
bool config_text_map(void *ctx, const char *path, const char *text, struct config_text *ret,
		     struct complaints *c);

/* The last line of the group at the top of the text that begins on this line. */
unsigned int config_text_group_end(const struct config_text *text, unsigned int line);

/* The file and line that a line of the text came from. */
struct place config_text_place(const struct config_text *text, unsigned int line);

/*
 * The text of a configuration: files read with care, @includes put in their place, and for every
 * line of the result the file and line that it came from.
 *
 * The expanded text is plain libconfig and carries its own map: before each run of lines stands a
 * comment "#@ 12 /etc/retentiond/models/crm.conf", which says that the next line is line 12 of that
 * file.  Such a line in somebody's file is made an ordinary comment on the way.
 */
#ifndef RETENTION_CONFIG_SOURCE_H
#define RETENTION_CONFIG_SOURCE_H

#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_FILE_MAX_BYTES ((size_t)1024 * 1024)
#define CONFIG_TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* Complaints while a configuration is read, kept with their place in the text, to be sorted. */
struct finding {
	unsigned int line; /* of the expanded text; 0 comes first */
	size_t order; /* of those of one line */
	struct place at;
	const char *text;
};
struct findings {
	void *ctx; /* talloc, the caller's: owns the list and its texts */
	struct finding *list;
	size_t n;
};
void findings_add(struct findings *f, unsigned int line, const struct place *at, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));
void findings_sort(struct findings *f);

/* Line `first` of the text is at.line of at.file, and so on up to the next origin. */
struct origin {
	unsigned int first;
	struct place at;
};
struct config_text {
	const char *path; /* for what stands before any marker */
	const char *text;
	struct origin *origins; /* n_origins, ascending */
	size_t n_origins;
};

/*
 * Reads path and its includes.  Returns the expanded text, talloc'd under f->ctx; NULL when path
 * itself cannot be had.  What is wrong with an include is in f, and the rest is read all the same.
 */
char *config_text_expand(const char *path, struct findings *f);

/*
 * Reads the markers of an expanded text, which must end in a newline; the origins are talloc'd
 * under ctx.  In f: what libconfig would silently misread, numbers too large and \x00.  false:
 * there is an @include left, so that libconfig must not see the text: it would open that file.
 */
bool config_text_map(void *ctx, const char *path, const char *text, struct config_text *ret,
		     struct findings *f);

/* Where line of the text came from. */
struct place config_text_place(const struct config_text *text, unsigned int line);

#endif

/*
 * Reads typed settings from libconfig's tree, by tables: which keys a group may hold, of what type, in
 * what range, and where the value goes.  A setting that does not fit becomes a complaint with its place.
 */
#pragma once

#include "config/source.h"

#include <libconfig.h>
#include <stdint.h>

/* Reads the settings of one group.  A reader is copied for each group within another one. */
struct reader {
	void *ctx; /* talloc: the generation; owns every string read */
	const struct config_text *text;
	struct complaints *complaints;
	const config_setting_t *group;
	const char *what; /* begins each complaint: 'policy "x"'; NULL at the top of the file */
};

/*
 * Parses text, which ends in a newline, into the tree, and points r at its root and at *ret_map, the map of its lines.
 * false after a complaint.  The caller destroys the tree in any case.
 */
bool reader_open(struct reader *r, const char *path, const char *text, config_t *tree,
		 struct config_text *ret_map);

struct reader reader_in(const struct reader *r, const config_setting_t *group, const char *what);

/* The setting of that key in the group; NULL: there is none. */
static inline const config_setting_t *reader_key(const struct reader *r, const char *key)
{
	return config_setting_get_member(r->group, key);
}

/* The place of the setting; NULL: the file as a whole. */
struct place reader_place(const struct reader *r, const config_setting_t *s);

/* Adds a complaint at the setting; NULL: at the group. */
void complain_at(const struct reader *r, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum value_kind {
	VALUE_OTHER, /* a key that other code reads */
	VALUE_NAME, /* const char *: not blank, no control characters */
	VALUE_PATH, /* the same, and begins with / */
	VALUE_SQL, /* const char *: not blank; may have several lines */
	VALUE_CHAR, /* char: punctuation or a tab */
	VALUE_BOOL, /* bool */
	VALUE_INT, /* int, min to max */
	VALUE_INT64, /* int64_t, min to max */
	VALUE_SHARE, /* double, above 0, up to 1 */
	VALUE_DURATION, /* int64_t, ms, min to max */
	VALUE_PERIOD, /* struct period */
	VALUE_WINDOW, /* struct window */
	VALUE_COLUMNS, /* const struct columns *: a string, or an array of 2 to max strings */
	VALUE_STRINGS, /* const char *const *, 1 to max; count is the offset of their number */
	VALUE_CHOICE, /* an enum: the index in names of a word */
	VALUE_WORD /* bool: the word is names[1] and not names[0] */
};

struct setting_spec {
	const char *key;
	enum value_kind kind;
	size_t offset; /* of the value in the target */
	size_t given; /* of a bool that becomes true if the key is there; 0: none */
	bool required;
	bool quiet; /* is printed only if it is true */
	int64_t min;
	int64_t max;
	const char *const *names; /* max + 1 of them; NULL: the value has no word */
	const char *example; /* of VALUE_STRINGS, for the complaint */
	size_t count;
};

/* A choice among all words of an array. */
#define CHOICE(words) .kind = VALUE_CHOICE, .names = (words), .max = LENGTH(words) - 1
/* An array member of a struct, whose length is beside it as n_member. */
#define STRINGS(type, member, most)                                                                \
	.kind = VALUE_STRINGS, .offset = offsetof(type, member),                                   \
	.count = offsetof(type, n_##member), .max = (most)
/* Names of one column, or of several, up to the most that an index can have. */
#define COLUMNS(type, member) .kind = VALUE_COLUMNS, .offset = offsetof(type, member), .max = 32
/* One of two words, for a bool. */
#define WORD(words) .kind = VALUE_WORD, .names = (words), .max = 1

/*
 * Reads the group into target, which holds the defaults.  specs ends with a spec without a key.  Complains of each
 * key that is missing, does not fit, or is not in the table, and leaves the default.
 */
void settings_read(const struct reader *r, const struct setting_spec *specs, void *target);

/* A string of kind VALUE_NAME, VALUE_PATH or VALUE_SQL, owned by the generation; NULL after a complaint. */
const char *setting_string(const struct reader *r, const config_setting_t *s, const char *key,
			   enum value_kind kind);

/* PostgreSQL's limit for the columns of a table. */
#define SETTING_STRINGS_MAX 1600

/* The strings of an array or list; NULL after a complaint, also for an empty one. */
const char **setting_strings(const struct reader *r, const config_setting_t *s, const char *key,
			     size_t *ret_n);

/* '; did you mean "..."?' with the name that differs least from what was written, or ""; owned by ctx. */
const char *nearest_name_hint(void *ctx, const char *written, const char *const *names, size_t n);

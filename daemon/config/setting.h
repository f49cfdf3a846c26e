/*
 * Reads typed settings from libconfig's tree, by tables: which keys a group may hold, of what type, in
 * what range, and where the value goes.  A setting that does not fit becomes a complaint with its place.
 */
#pragma once

#include "config/source.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	void *ctx; /* talloc: the generation; owns every string read */
	const struct config_text *text;
	struct complaints *complaints;
};

/* The place of the setting; NULL: the file as a whole. */
struct place reader_place(const struct reader *r, const config_setting_t *s);

void reader_complain(struct reader *r, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum value_kind {
	VALUE_OTHER, /* a key that other code reads */
	VALUE_NAME, /* const char *: not blank, no control characters */
	VALUE_SQL, /* const char *: not blank; may have several lines */
	VALUE_BOOL, /* bool */
	VALUE_INT, /* int, min to max */
	VALUE_INT64, /* int64_t, min to max */
	VALUE_SHARE, /* double, above 0, up to 1 */
	VALUE_DURATION, /* int64_t, ms, min to max */
	VALUE_PERIOD, /* struct period */
	VALUE_WINDOW /* struct window */
};

struct setting_spec {
	const char *key;
	enum value_kind kind;
	size_t offset; /* of the value in the target */
	size_t given; /* of a bool that becomes true if the key is there; 0: none */
	bool required;
	int64_t min;
	int64_t max;
};

#define SETTING_SPECS(specs) (specs), sizeof(specs) / sizeof((specs)[0])

/*
 * Reads a group into target, which holds the defaults.  Complains of each key that is missing, does
 * not fit, or is not in the table.  what: 'policy "x"', or NULL at the top.
 */
void settings_read(struct reader *r, const config_setting_t *group, const char *what,
		   const struct setting_spec *specs, size_t n_specs, void *target);

/* A string of kind VALUE_NAME or VALUE_SQL, owned by the generation; NULL after a complaint. */
const char *setting_string(struct reader *r, const config_setting_t *s, const char *what,
			   const char *key, enum value_kind kind);

/* PostgreSQL's limit for the columns of a table. */
#define SETTING_STRINGS_MAX 1600

/* The strings of an array or list; NULL after a complaint, also for an empty one. */
const char **setting_strings(struct reader *r, const config_setting_t *s, const char *what,
			     const char *key, size_t *ret_n);

/* The index in names of the setting's value; n after a complaint, which lists the names. */
size_t setting_choice(struct reader *r, const config_setting_t *s, const char *what,
		      const char *key, const char *const *names, size_t n);

/* The name that differs least from what was written, for "did you mean"; NULL: none is similar. */
const char *nearest_name(const char *written, const char *const *names, size_t n);

/*
 * Follows libconfig's scanner line by line, as far as that is needed to find @include, comments and
 * groups.  It also looks for what libconfig reads wrongly without a message: it cuts integers to 32
 * bits, and drops \x00 from strings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The state of the scanner between two lines, and what it saw in the last one. */
enum scan { SCAN_CODE, SCAN_STRING, SCAN_COMMENT };
struct scanner {
	enum scan state;
	int depth; /* open { */
	bool saw_zero_escape;
	bool saw_mark; /* MODEL_MARK, in a comment */
	bool saw_close; /* a } */
	const char *bad_number; /* bad_length bytes, no NUL after them */
	int bad_length;
};

/* Moves over one line, which ends at end, without its newline. */
void scan_line(struct scanner *s, const char *p, const char *end);

/* Can the character be part of a word of the code? */
bool scan_is_word(char c);

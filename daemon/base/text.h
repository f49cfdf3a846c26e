/* Small operations on texts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 127;
}

/* Cuts newlines off the end, in place. */
void text_trim(char *text);

/*
 * What to append to the message of a connection that fails as it does where this host forbids it: the service unit lets
 * nothing through to another host until a drop-in allows the address.  "" otherwise.
 */
const char *text_forbidden(const char *message);

/*
 * The bytes of the control character at text; 0: another character.  Beside those of ASCII it is one of
 * U+0080 to U+009F, which a terminal obeys too, or one that breaks a line or turns its direction.
 */
size_t text_control(const char *text);

/* Puts "?" in the place of each control character except the newline; returns text. */
char *text_plain(char *text);

/* As text_plain(), and a blank in the place of each newline, carriage return and tab. */
char *text_one_line(char *text);

/*
 * The bytes at text that HTML cannot show as they are; 0: it can.  A control character could turn the direction of what
 * follows.  *ret_instead is what to show in their place: an entity, or U+FFFD for a control character.
 */
size_t text_special(const char *text, const char **ret_instead);

/* A string as libconfig reads it, with control characters, quotes and backslashes escaped.  Owned by ctx. */
char *text_quoted(void *ctx, const char *text);

/* Prints n bytes as 2 * n hexadecimal digits, and ends them with a NUL. */
void text_hex(const unsigned char *bytes, size_t n, char *ret_hex);

/* The index of a word in a list; n: it is not there. */
size_t text_index(const char *word, const char *const *list, size_t n);

/*
 * What a step of retention.horizon() waits for, shortened: of more than three reasons the first two, in the place of "$1"
 * in more, and how many there are besides, in that of "$2".  Owned by ctx.
 */
char *text_first_reasons(void *ctx, const char *reasons, const char *more);

/* Translates a value that is a fixed word, such as a status; returns any other value as it is. */
typedef const char *(*text_word)(const char *value, const void *arg);

/*
 * The text with the values, one on a line, in the place of "$1", "$2" and so on; a missing one is "".  values may be
 * NULL: there are none.  word may be NULL.  Owned by ctx.
 */
char *text_fill(void *ctx, const char *text, const char *values, text_word word, const void *arg);

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

/* Puts a blank in the place of each newline, carriage return and tab. */
void text_one_line(char *text);

/* The index of a word in a list; n: it is not there. */
size_t text_index(const char *word, const char *const *list, size_t n);

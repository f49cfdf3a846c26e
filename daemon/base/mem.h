/*
 * Memory and ownership: allocation that cannot fail, and owned locals that free themselves.
 *
 * A process that runs out of memory ends at once, because that is safe by design: the open batch of a killed job rolls
 * back.  Sizes that come from outside are limited before they get here.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

/*
 * An owned local: AUTO(char_p) char *s = NULL; runs auto_char_p(&s) when s leaves its scope.
 * It is always initialised where it is declared, and never in a function that has a goto.
 * exit(), signals and longjmp do not run it, so durability never depends on it.
 */
#define AUTO(kind) __attribute__((cleanup(auto_##kind), unused))

/*
 * Defines AUTO(kind) for a pointer, which end() frees or, when it is NULL, ignores.  For a variable that end() empties
 * itself, "#define auto_kind end" is enough.
 */
#define DEFINE_AUTO(kind, type, end)                                                               \
	static inline void auto_##kind(__typeof__(type) **p)                                       \
	{                                                                                          \
		end(*p);                                                                           \
	}

DEFINE_AUTO(char_p, char, free)

static inline void auto_file(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* read-only, or already flushed: a writer closes by hand */
}

static inline void auto_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* a writer closes by hand, checked */
}

static inline void auto_talloc(void *p)
{
	(void)talloc_free(*(void **)p); /* refuses NULL, which is fine */
}

/* Ends the process when an allocation failed; returns p otherwise. */
static inline void *must_alloc(void *p)
{
	if (!p) {
		fputs("retention: out of memory\n", stderr);
		abort();
	}
	return p;
}

#define xstrdup(s) ((char *)must_alloc(strdup(s)))
#define xcalloc(n, size) must_alloc(calloc((n), (size)))
#define xrealloc(p, size) must_alloc(realloc((p), (size)))

/* A new text, which the caller frees. */
char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvprintf(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * talloc's calls, checked.  t_append appends to *s in place; *s may have moved.  t_list does too, an
 * item of a list: the separator goes before it, unless the list is still empty.
 */
#define t_zero(ctx, type) ((type *)must_alloc(talloc_zero((ctx), type)))
#define t_array(ctx, type, n)                                                                      \
	((type *)must_alloc(talloc_zero_array((ctx), type, (unsigned int)(n))))
#define t_grow(ctx, p, type, n)                                                                    \
	((type *)must_alloc(talloc_realloc((ctx), (p), type, (unsigned int)(n))))
#define t_strdup(ctx, s) ((char *)must_alloc(talloc_strdup((ctx), (s))))
#define t_printf(ctx, ...) ((char *)must_alloc(talloc_asprintf((ctx), __VA_ARGS__)))
#define t_append(s, ...) (*(s) = must_alloc(talloc_asprintf_append_buffer(*(s), __VA_ARGS__)))
#define t_list(s, separator, ...)                                                                  \
	(t_append((s), "%s", **(s) ? (separator) : ""), t_append((s), __VA_ARGS__))

/* Puts a copy of with, owned by ctx, in the place of *text; with NULL: NULL. */
static inline void t_replace(void *ctx, char **text, const char *with)
{
	char *copy = with ? t_strdup(ctx, with) : NULL;

	talloc_free(*text); /* fails for NULL, which is fine */
	*text = copy;
}

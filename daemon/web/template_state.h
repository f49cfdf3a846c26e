/* A template, parsed.  Only web/template*.c includes this. */
#pragma once

#include "base/error.h"
#include "web/language.h"

enum node_kind {
	NODE_TEXT, /* text, as it is */
	NODE_VALUE, /* name, filter */
	NODE_URL, /* name */
	NODE_EACH, /* name, first */
	NODE_IF, /* likewise */
	NODE_UNLESS, /* likewise */
	NODE_SENTENCE, /* text; with a plural also many, and name is the number */
	NODE_PARTIAL, /* name */
};

struct node {
	enum node_kind kind;
	int line;
	const char *name, *filter, *text, *many;
	struct node *first; /* what is inside */
	struct node *next;
};

/* A {name} or {name|filter} of a sentence. */
struct place {
	const char *name, *filter;
	size_t n; /* bytes, with both braces */
};

/* Parses text.  CONFIG: the page, the line, what is wrong.  Owned by ctx. */
bool template_parse(void *ctx, const char *page, const char *text, struct node **ret,
		    struct error *err);

/* Reads the place that begins at "{".  Owned by ctx. */
bool template_place(void *ctx, const char *text, struct place *ret);

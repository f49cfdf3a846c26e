/*
 * HTML from templates (web/pages/NAME.html), which are compiled in.
 *
 *	{{name}}		the value, escaped for text and quoted attributes; nothing where it is NULL
 *	{{name|filter}}		the value in the reader's language (web/words.h), escaped
 *	{{%name}}		the value, percent-encoded for a part of a URL
 *	{{#list}}…{{/list}}	for each row
 *	{{?name}}…{{/name}}	where the value is not NULL, or the list has rows
 *	{{^name}}…{{/name}}	where it is NULL, or the list has no row
 *	{{_ "sentence"}}	translated; {name} and {name|filter} in it are values, escaped.  Sentences are trusted, and
 *				may contain HTML and names in an attribute's value
 *	{{_ n "one" "many"}}	the same, the plural form for the number n
 *	{{> name}}		another template
 *
 * A value is never put into script, style or an unquoted attribute.  There is no way to leave out the escaping.
 */
#pragma once

#include "base/error.h"
#include "web/language.h"
#include "web/values.h"

#include <event2/buffer.h>

/* Parses all templates once.  CONFIG: which one, in which line, and what is wrong. */
bool template_load(struct error *err);

/*
 * Appends the page to out.  CONFIG: a name that the page's values lack, which is a programmer's error; out then holds
 * a part.
 */
bool template_render(const char *name, const struct values *v, const struct language *language,
		     struct evbuffer *out, struct error *err);

/*
 * Reads the fields of a form (application/x-www-form-urlencoded) and of a query string.  Refused: more than 40 fields, a
 * value above 4,096 bytes, bytes that are not UTF-8, control characters other than tab and newline, the same field
 * twice.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>

struct form;

/* Parses n bytes.  DATA: what is wrong, without the content.  Owned by ctx. */
bool form_parse(void *ctx, const char *bytes, size_t n, struct form **ret, struct error *err);

/* The trimmed value; NULL: the field is not there, or empty. */
const char *form_get(const struct form *form, const char *name);

/* As form_get(), not trimmed: a password. */
const char *form_raw(const struct form *form, const char *name);

/* Overwrites all values before they are freed. */
void form_wipe(struct form *form);

/* Overwrites one value; it is empty from now on. */
void form_wipe_field(struct form *form, const char *name);

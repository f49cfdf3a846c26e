/*
 * Join tables: their rows say which contacts a request has, so that a request has several.
 */
#pragma once

#include "discover/links.h"

/*
 * Finds the table whose rows pair a request with a contact, by a foreign key on both; NULL: there is none.  For
 * requests of which no column references a contact.  Owned by ctx; its columns are the schema's.
 */
const struct join *joins_find(void *ctx, const struct schema *schema, size_t contact,
			      size_t request);

/* "public.ticket_contact (ticket_id, contact_id)": the mapped tables that may be such; "": none may. */
const char *joins_text(void *ctx, const struct schema *schema, const struct links *links);

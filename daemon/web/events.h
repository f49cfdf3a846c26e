/*
 * Events of the journal in plain words, for the pages that list them (web/pages/event_about.html shows what each is
 * about).
 */
#pragma once

#include "web/visit.h"

/*
 * SQL: the columns of an event e of retention.journal_event that events_list() reads.  Keys are cut to the first ten.  A
 * number of keys and the keys stand in one place, whichever kind of event has them.
 */
extern const char events_columns[];

/*
 * Makes the list of this name from the rows that the visit has under the same name.  linked: each row names its action
 * with a link, as on pages about more than one.
 */
void events_list(struct visit *v, const char *name, bool linked);

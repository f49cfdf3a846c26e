/*
 * The notes on top of every page: no daemon is connected, the last verification found the journal altered.
 */
#pragma once

#include "web/visit.h"

/* Queues what the notes rest on, before the handler of a page. */
void notes_ask(struct visit *v);

/* Sets no_daemon and journal_bad for the template; both NULL where notes_ask() was not answered. */
void notes_show(struct visit *v);

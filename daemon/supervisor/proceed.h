/*
 * The next step of the supervisor: start a check, begin the policies that are due, start jobs, or end.  It holds the
 * connection to the database, too, because each loss and each return of it changes the next step.
 */
#pragma once

#include "supervisor/supervisor_state.h"

/*
 * Starts everything that may be started now, or ends the loop where it is to end and no child is left.  Call it when
 * something has changed, and each minute.
 */
void proceed(struct supervisor *s);

/* Opens a new connection, to where the configuration in force says. */
void proceed_connect(struct supervisor *s);

/* Forgets the answers of a connection, because the next one may lead to another server. */
void proceed_forget(struct supervisor *s);

/* Takes the answer of page_policies_ask(): asks what is due. */
void proceed_policies(void *arg, const struct page_policies *list, bool changed, const char *why);

/* Checks the model of the configuration in force again if the last check held with a remark. */
void proceed_check_again(struct supervisor *s);

/* Starts a check of that configuration's model. */
void proceed_start_check(struct supervisor *s, const struct config *config);

/* Tells systemd that the start is over. */
void proceed_ready(struct supervisor *s);

/* The database refuses something; NULL: it does not.  A start and a --once fail by it; later it is only a state. */
void proceed_trouble(struct supervisor *s, const char *why);

/* Stops the children.  The loop ends when the last of them is gone; status is the exit status. */
void proceed_stop(struct supervisor *s, int status);

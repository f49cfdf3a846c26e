/*
 * Which handler answers which path.  All routes stand in the table of web/route.c, with the roles that may use them:
 * the page draws nothing that will be refused, and the database refuses by itself.
 */
#pragma once

#include "web/visit.h"

enum route_who {
	WHO_ANYBODY, /* without log-in */
	WHO_SESSION, /* whoever is logged in, and the database is not asked */
	WHO_READS, /* auditor, operator or approver */
	WHO_SAVES, /* operator */
	WHO_VALIDATES, /* approver */
	WHO_SAVES_OR_VALIDATES,
};

/* page_overview.c, page_actions.c (list, CSV), page_new.c, page_validate.c (validate, cancel, pause), page_archive.c */
void page_overview(struct visit *v);
void page_actions(struct visit *v);
void page_actions_csv(struct visit *v);
void page_new(struct visit *v);
void page_save(struct visit *v); /* POST /actions */
void page_validate(struct visit *v);
void page_validate_post(struct visit *v);
void page_cancel_post(struct visit *v);
void page_pause_post(struct visit *v);
void page_resume_post(struct visit *v);
void page_archive_delete(struct visit *v);
void page_archive_delete_post(struct visit *v);

/* page_action.c, page_report.c, page_live.c */
void page_action(struct visit *v);
void page_report(struct visit *v);
void page_live(struct visit *v);

/* page_journal.c, page_holds.c, page_person.c, page_status.c, page_rules.c, page_replay.c */
void page_journal(struct visit *v);
void page_verify_post(struct visit *v);
void page_holds(struct visit *v);
void page_hold_post(struct visit *v);
void page_release_post(struct visit *v);
void page_person(struct visit *v);
void page_person_erase_post(struct visit *v);
void page_person_access_post(struct visit *v);
void page_rules(struct visit *v);
void page_rule_post(struct visit *v); /* POST /regles */
void page_rule(struct visit *v); /* page_rule_forms.c */
void page_rule_validate(struct visit *v);
void page_rule_retire(struct visit *v);
void page_rule_validate_post(struct visit *v);
void page_rule_retire_post(struct visit *v);
void page_status(struct visit *v);
void page_measure_post(struct visit *v);
void page_restored(struct visit *v); /* in the place of the overview, after a restored backup */
void page_replay_post(struct visit *v);
void page_help(struct visit *v);
void page_accessibility(struct visit *v);

/* page_files.c */
void page_files(struct visit *v);
void page_file_post(struct visit *v);
void page_archive_verify_post(struct visit *v);
void page_document(struct visit *v); /* of all data about one contact: /personne/document/REQUEST */
void page_document_post(struct visit *v);

/* page_login.c */
void page_login(struct visit *v);
void page_login_post(struct visit *v);
void page_logout_post(struct visit *v);
void page_session_post(struct visit *v); /* POST /session: stay logged in */

/* page_served.c: the style sheet and the script; whether the database answers */
void page_asset(struct visit *v);
void page_health(struct visit *v);

/* A path that a browser can GET: the visit's own, or that from which its form was probably sent. */
const char *route_back(struct visit *v);

/* Finds the route, checks method, session, role and token, and calls the handler. */
void route_run(struct visit *v);

/* How a visit answers, for the other files of the engine. */
#pragma once

#include "base/log.h"
#include "web/visit_state.h"

/* Makes a visit of a request.  Owned by web. */
struct visiting *visit_answer_new(struct web *web, struct evhttp_request *request);

/* Gives it a session, which it holds. */
void visit_answer_join(struct visit *v, struct session *session);

/* Adds a header to the answer. */
void visit_answer_header(struct visit *v, const char *name, const char *value);

/* The page of v->refusal. */
void visit_answer_refusal(struct visit *v);

/* Logs a failure under a number, which the page of 500 shows.  why: without content. */
void visit_answer_log(struct visit *v, const char *why);

/* Logs an event with the person and the client's address, never with content. */
void visit_answer_note(const struct visit *v, int priority, const char *text);

/* Sends the head of an answer in parts. */
void visit_answer_stream(struct visit *v, const char *type, const char *filename);

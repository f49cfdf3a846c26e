/* A visit with the parts that its handler does not see, and what all visits share. */
#pragma once

#include "web/link.h"
#include "web/session.h"
#include "web/tries.h"
#include "web/visit.h"

#include "base/secret.h"
#include "http/server.h"

#include <sys/queue.h>

struct visit_result {
	TAILQ_ENTRY(visit_result) link;
	char *name;
	PGresult *result;
};
TAILQ_HEAD(visit_results, visit_result);

/* A statement that has been queued. */
struct visit_query {
	TAILQ_ENTRY(visit_query) link;
	struct visiting *g;
	char *name;
	bool is_act;
	struct link_query *query;
};
TAILQ_HEAD(visit_queries, visit_query);

enum visit_stage {
	VISIT_OPEN,
	VISIT_STREAMING,
	VISIT_OVER, /* answered, or its client has gone */
};

struct visiting {
	struct visit v; /* first: a handler's visit is one of these */
	TAILQ_ENTRY(visiting) link;
	enum visit_stage stage;
	enum evhttp_cmd_type method;
	struct visit_results results;
	struct visit_queries queries; /* not answered */
	visit_step next; /* after them */
	visit_step done, on_refused; /* of visit_act() */
	visit_step on_ask_refused; /* of visit_ask(); NULL: the usual page */
	visit_step on_render;
	visit_step written; /* when a part has been sent */
	struct refusal refusal;
	int patience_s;
	int depth; /* steps that are running */
	int waiting; /* for something else than statements: a log-in */
	bool has_gone; /* a stream's client */
	const char *style; /* which source of styles its answer allows; NULL: this site */
	const char *remote; /* the client's address, for the log and for tries */
	const char *cookie; /* of the session; NULL: none */
	const char *suite; /* path and query to come back to after a log-in */
	const char *back; /* the page from which a form was probably sent; NULL: the overview */
};
TAILQ_HEAD(visitings, visiting);

/* What all visits share. */
struct web {
	struct event_base *base;
	struct web_config
		*config; /* replaced by a reload: keep none of its texts beyond a callback */
	struct sessions *sessions;
	struct tries *tries;
	struct probe *probe;
	struct http_server *server;
	struct visitings visits;
	const char *database; /* its name */
	unsigned char key[SECRET_BYTES]; /* of tokens before a log-in */
	int logins; /* that are under way */
	long long failures; /* the number of the last one that was logged */
};

static inline struct visiting *visiting(struct visit *v)
{
	return (struct visiting *)v;
}

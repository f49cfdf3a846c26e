/*
 * libpq connects up to the point where it would say who it is.  The server forgets such a client without a line in its
 * log.
 */
#include "web/probe.h"

#include "base/mem.h"
#include "base/units.h"
#include "web/link_start.h"

#include <sys/queue.h>

enum { KEPT_MS = 10000, DEADLINE_MS = 3000 };

struct asker {
	TAILQ_ENTRY(asker) link;
	struct probe *probe;
	void (*on_answer)(void *asker, bool answers);
};
TAILQ_HEAD(askers, asker);

struct probe {
	struct event_base *base;
	PGconn *conn; /* NULL: none is under way */
	struct event *io; /* with the deadline */
	struct askers askers;
	bool answers; /* the last result */
	int64_t known_ms; /* 0: there is none */
	int64_t until_ms;
};

static void on_io(evutil_socket_t fd, short what, void *arg);

static int on_asker_free(struct asker *asker)
{
	TAILQ_REMOVE(&asker->probe->askers, asker, link);
	return 0;
}

static void finish(struct probe *probe, bool answers)
{
	struct asker *asker;

	(void)event_del(probe->io); /* before its socket is closed; not pending is fine */
	PQfinish(probe->conn);
	probe->conn = NULL;
	probe->answers = answers;
	probe->known_ms = monotonic_ms();
	while ((asker = TAILQ_FIRST(&probe->askers))) {
		void *owner = talloc_parent(asker);
		void (*on_answer)(void *, bool) = asker->on_answer;

		talloc_free(asker);
		on_answer(owner, answers);
	}
}

static void wait_for(struct probe *probe, short what)
{
	const int64_t left_ms = probe->until_ms - monotonic_ms();
	const struct timeval after = units_timeval(left_ms);
	const int fd = PQsocket(probe->conn);

	(void)event_del(probe->io); /* not pending is fine */
	if (left_ms <= 0 || fd < 0 ||
	    event_assign(probe->io, probe->base, fd, what, on_io, probe) < 0 ||
	    event_add(probe->io, &after) < 0)
		finish(probe, false);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	PostgresPollingStatusType next;

	(void)fd; /* PQsocket() is asked instead */
	if (what & EV_TIMEOUT) {
		finish(probe, false);
		return;
	}
	/* The first call sees that the socket is connected, and would send the first message in the next one. */
	next = PQconnectPoll(probe->conn);
	if (next == PGRES_POLLING_FAILED)
		finish(probe, false);
	else if (PQstatus(probe->conn) >= CONNECTION_MADE || next == PGRES_POLLING_OK)
		finish(probe, true);
	else
		wait_for(probe, next == PGRES_POLLING_READING ? EV_READ : EV_WRITE);
}

static void begin(struct probe *probe, const char *conninfo)
{
	probe->until_ms = monotonic_ms() + DEADLINE_MS;
	probe->conn = link_start(&(struct link_opts){.conninfo = conninfo, .user = "nobody"});
	if (!probe->conn || PQstatus(probe->conn) == CONNECTION_BAD)
		finish(probe, false);
	else
		wait_for(probe, EV_WRITE);
}

static int on_probe_free(struct probe *probe)
{
	event_free(probe->io);
	PQfinish(probe->conn);
	return 0;
}

struct probe *probe_new(void *ctx, struct event_base *base)
{
	struct probe *probe = t_zero(ctx, struct probe);

	probe->base = base;
	probe->io = must_alloc(event_new(base, -1, 0, on_io, probe));
	TAILQ_INIT(&probe->askers);
	talloc_set_destructor(probe, on_probe_free);
	return probe;
}

void probe_ask(struct probe *probe, const char *conninfo, void *asker,
	       void (*on_answer)(void *asker, bool answers))
{
	struct asker *entry;

	if (probe->known_ms && monotonic_ms() - probe->known_ms < KEPT_MS) {
		on_answer(asker, probe->answers);
		return;
	}
	entry = t_zero(asker, struct asker);
	entry->probe = probe;
	entry->on_answer = on_answer;
	TAILQ_INSERT_TAIL(&probe->askers, entry, link);
	talloc_set_destructor(entry, on_asker_free);
	if (!probe->conn)
		begin(probe, conninfo);
}

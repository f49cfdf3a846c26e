#include "web/session.h"

#include "base/secret.h"
#include "base/units.h"

#include <sys/queue.h>

enum { SWEEP_S = 1 };

struct session {
	TAILQ_ENTRY(session) link;
	struct sessions *sessions;
	unsigned char digest[SECRET_BYTES]; /* of the cookie's value */
	unsigned char key[SECRET_BYTES]; /* of its forms' tokens */
	struct link *connection;
	struct person *person;
	int64_t begun_ms, used_ms;
	int held; /* by visits */
	int busy; /* those of them that are no streams */
	int streams;
	bool has_ended; /* out of the list; freed by the sweep when no visit holds it */
};
TAILQ_HEAD(session_list, session);

struct sessions {
	struct session_limits limits;
	struct event *sweep;
	struct session_list live, ended;
	int n_live;
};

static int on_session_free(struct session *session)
{
	secret_wipe(session->key, sizeof(session->key));
	return 0;
}

static bool is_over(const struct session *session, int64_t now_ms)
{
	const struct session_limits *limits = &session->sessions->limits;

	if (now_ms - session->begun_ms >= limits->longest_s * 1000)
		return true;
	return session->busy == 0 && now_ms - session->used_ms >= limits->idle_s * 1000;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct sessions *sessions = arg;
	const int64_t now_ms = monotonic_ms();
	struct session *next;

	(void)fd, (void)what; /* a timer */
	for (struct session *s = TAILQ_FIRST(&sessions->live); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (is_over(s, now_ms))
			session_end(s);
	}
	for (struct session *s = TAILQ_FIRST(&sessions->ended); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->held > 0)
			continue;
		TAILQ_REMOVE(&sessions->ended, s, link);
		talloc_free(s);
	}
}

static int on_sessions_free(struct sessions *sessions)
{
	event_free(sessions->sweep);
	return 0;
}

struct sessions *sessions_new(void *ctx, struct event_base *base,
			      const struct session_limits *limits)
{
	static const struct timeval interval = {.tv_sec = SWEEP_S};
	struct sessions *sessions = t_zero(ctx, struct sessions);

	sessions->limits = *limits;
	TAILQ_INIT(&sessions->live);
	TAILQ_INIT(&sessions->ended);
	sessions->sweep = must_alloc(event_new(base, -1, EV_PERSIST, on_sweep, sessions));
	if (event_add(sessions->sweep, &interval) < 0)
		must_alloc(NULL); /* the only way in which a timer can fail */
	talloc_set_destructor(sessions, on_sessions_free);
	return sessions;
}

void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits)
{
	sessions->limits = *limits;
}

bool sessions_full(const struct sessions *sessions, int coming)
{
	return sessions->n_live + coming >= sessions->limits.all;
}

/* Ends a person's session that was unused longest, where the person has as many as are allowed. */
static void make_place(struct sessions *sessions, const char *name)
{
	struct session *oldest = NULL;
	int n = 0;

	for (struct session *s = TAILQ_FIRST(&sessions->live); s; s = TAILQ_NEXT(s, link)) {
		if (strcmp(s->person->name, name) != 0)
			continue;
		n++;
		if (!oldest || s->used_ms < oldest->used_ms)
			oldest = s;
	}
	if (oldest && n >= sessions->limits.each)
		session_end(oldest);
}

static void on_down(void *arg, enum link_end end, const char *why)
{
	(void)end, (void)why; /* its visits have been answered, and have logged it */
	session_end(arg);
}

struct session *session_begin(struct sessions *sessions, struct link *link, struct person *person,
			      char ret_cookie[SESSION_COOKIE_MAX])
{
	struct session *session = t_zero(sessions, struct session);
	unsigned char value[SECRET_BYTES];

	make_place(sessions, person->name);
	session->sessions = sessions;
	secret_random(value);
	secret_random(session->key);
	secret_print(value, ret_cookie);
	secret_wipe(value, sizeof(value));
	secret_sha256(ret_cookie, strlen(ret_cookie), session->digest);
	session->connection = talloc_steal(session, link);
	session->person = talloc_steal(session, person);
	session->begun_ms = session->used_ms = monotonic_ms();
	link_set_owner(link, on_down, session);
	TAILQ_INSERT_TAIL(&sessions->live, session, link);
	sessions->n_live++;
	talloc_set_destructor(session, on_session_free);
	return session;
}

struct session *session_find(struct sessions *sessions, const char *cookie)
{
	const int64_t now_ms = monotonic_ms();
	unsigned char digest[SECRET_BYTES];

	secret_sha256(cookie, strlen(cookie), digest);
	for (struct session *s = TAILQ_FIRST(&sessions->live); s; s = TAILQ_NEXT(s, link))
		if (secret_equal(s->digest, digest, sizeof(digest)))
			return is_over(s, now_ms) ? NULL : s;
	return NULL;
}

void session_use(struct session *session)
{
	session->used_ms = monotonic_ms();
}

void session_hold(struct session *session)
{
	session->held++;
}

void session_release(struct session *session)
{
	session->held--;
}

void session_busy(struct session *session, int change)
{
	session->busy += change;
}

int session_streams(struct session *session, int change)
{
	return session->streams += change;
}

void session_end(struct session *session)
{
	struct sessions *sessions = session->sessions;

	if (session->has_ended)
		return;
	session->has_ended = true;
	TAILQ_REMOVE(&sessions->live, session, link);
	sessions->n_live--;
	TAILQ_INSERT_TAIL(&sessions->ended, session, link);
}

bool session_lives(const struct session *session)
{
	return !session->has_ended;
}

struct link *session_link(const struct session *session)
{
	return session->connection;
}

const struct person *session_person(const struct session *session)
{
	return session->person;
}

char *session_token(const struct session *session, void *ctx, const char *path)
{
	char hex[SECRET_HEX + 1];

	secret_hmac(session->key, session->digest, path, hex);
	return t_strdup(ctx, hex);
}

bool session_token_fits(const struct session *session, const char *path, const char *text)
{
	AUTO(talloc) char *token = session_token(session, NULL, path);

	return text && strlen(text) == SECRET_HEX && secret_equal(token, text, SECRET_HEX);
}

#include "database/stop.h"

#include "base/job_protocol.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 64
/* A batch aims at a quarter of a second, so one that takes this long waits for something. */
#define PATIENCE_MS 1500
/* A network without any answer swallows the cancel, too.  To die then is as safe as anywhere else. */
#define LAST_RESORT_S 4

struct stop {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool asked;
	PGcancel *cancels[SLOTS];
};

static struct timespec deadline_in(int64_t ms)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on a valid clock */
	t.tv_sec += ms / 1000;
	t.tv_nsec += (ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

static void cancel_all(struct stop *s)
{
	char why[256];

	(void)pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SLOTS; i++)
		if (s->cancels[i])
			(void)PQcancel(s->cancels[i], why, sizeof(why)); /* tried again below */
	(void)pthread_mutex_unlock(&s->lock);
}

/* A true signal handler: it may only end the process. */
static void on_alarm(int number)
{
	(void)number;
	_exit(JOB_STOPPED);
}

static void *listen_for_signals(void *arg)
{
	struct stop *s = arg;
	sigset_t set;
	int number;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	while (sigwait(&set, &number) != 0)
		;
	(void)signal(SIGALRM, on_alarm);
	(void)alarm(LAST_RESORT_S);
	stop_ask(s);
	/* Repeated, because a cancel that arrives between two statements cancels nothing. */
	for (;;) {
		const struct timespec pause = {.tv_sec = PATIENCE_MS / 1000,
					       .tv_nsec = PATIENCE_MS % 1000 * 1000000L};

		(void)nanosleep(&pause, NULL); /* early is fine */
		cancel_all(s);
	}
	return NULL;
}

struct stop *stop_new(void)
{
	struct stop *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	pthread_t thread;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &monotonic);
	if (pthread_create(&thread, NULL, listen_for_signals, s) != 0)
		must_alloc(NULL); /* no memory for a thread's stack */
	(void)pthread_detach(thread);
	return s;
}

bool stop_asked(struct stop *s)
{
	bool asked;

	(void)pthread_mutex_lock(&s->lock);
	asked = s->asked;
	(void)pthread_mutex_unlock(&s->lock);
	return asked;
}

void stop_ask(struct stop *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->asked = true;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

bool stop_sleep_ms(struct stop *s, int64_t ms)
{
	const struct timespec until = deadline_in(ms);
	bool asked;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->asked && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
		;
	asked = s->asked;
	(void)pthread_mutex_unlock(&s->lock);
	return asked;
}

void stop_watch(struct stop *s, int slot, PGconn *conn)
{
	PGcancel *cancel = conn ? PQgetCancel(conn) : NULL;
	PGcancel *old;

	assert(slot >= 0 && slot < SLOTS);
	(void)pthread_mutex_lock(&s->lock);
	old = s->cancels[slot];
	s->cancels[slot] = cancel;
	(void)pthread_mutex_unlock(&s->lock);
	PQfreeCancel(old);
}

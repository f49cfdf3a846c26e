#include "database/stop.h"

#include "base/job_protocol.h"
#include "base/mem.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLOTS 64
/* A batch aims at a quarter of a second, so one that takes this long waits for something. */
#define PATIENCE_MS 1500
/* A network without any answer swallows the cancel, too.  To die then is as safe as anywhere else. */
#define LAST_RESORT_S 4

struct stop {
	int asked; /* an eventfd: readable once a stop was asked for */
	pthread_mutex_t lock; /* of the next one */
	PGcancel *cancels[SLOTS];
};

static sigset_t stop_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	return set;
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
	const sigset_t set = stop_signals();
	struct stop *s = arg;
	int number;

	while (sigwait(&set, &number) != 0)
		;
	(void)signal(SIGALRM, on_alarm);
	(void)alarm(LAST_RESORT_S);
	stop_ask(s);
	/* Repeated, because a cancel that arrives between two statements cancels nothing. */
	for (;;) {
		(void)poll(NULL, 0, PATIENCE_MS); /* early is fine */
		cancel_all(s);
	}
	return NULL;
}

struct stop *stop_new(void)
{
	const sigset_t set = stop_signals();
	struct stop *s = xcalloc(1, sizeof(*s));
	pthread_t thread = 0;

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->asked = eventfd(0, EFD_CLOEXEC);
	if (s->asked < 0 || pthread_create(&thread, NULL, listen_for_signals, s) != 0)
		must_alloc(NULL); /* no memory for an eventfd or for a thread's stack */
	(void)pthread_detach(thread);
	return s;
}

bool stop_asked(struct stop *s)
{
	return stop_sleep_ms(s, 0);
}

void stop_ask(struct stop *s)
{
	(void)eventfd_write(s->asked, 1); /* cannot fail below 2^64 stops */
}

bool stop_sleep_ms(struct stop *s, int64_t ms)
{
	struct pollfd asked = {.fd = s->asked, .events = POLLIN};

	return poll(&asked, 1, (int)ms) > 0; /* nobody sleeps for days, and no signal comes here */
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

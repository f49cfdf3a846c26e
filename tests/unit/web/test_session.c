/* Cookies, tokens, limits and ends of sessions; their connections lead nowhere. */
#include "web/session.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct stage {
	struct event_base *base;
	struct sessions *sessions;
};

static void on_up(void *arg)
{
	(void)arg;
	fail_msg("a connection to nowhere");
}

static struct stage new_stage(int all, int each)
{
	struct stage stage = {.base = event_base_new()};

	stage.sessions =
		sessions_new(NULL, stage.base,
			     &(struct session_limits){
				     .idle_s = 900, .longest_s = 28800, .all = all, .each = each});
	return stage;
}

static void close_stage(const struct stage *stage)
{
	talloc_free(stage->sessions);
	event_base_free(stage->base);
}

static struct session *begin(const struct stage *stage, const char *name,
			     char ret_cookie[SESSION_COOKIE_MAX])
{
	struct link *link = link_new(NULL, &(struct link_opts){.base = stage->base,
							       .conninfo = "nonsense",
							       .user = name,
							       .on_up = on_up});
	struct person *person = t_zero(NULL, struct person);

	person->name = t_strdup(person, name);
	return session_begin(stage->sessions, link, person, ret_cookie);
}

static void test_cookie(void **state)
{
	struct stage stage = new_stage(40, 3);
	char one[SESSION_COOKIE_MAX], two[SESSION_COOKIE_MAX];
	struct session *first = begin(&stage, "marie", one);
	struct session *second = begin(&stage, "paul", two);

	(void)state;
	assert_int_equal(strlen(one), SECRET_HEX);
	assert_string_not_equal(one, two);
	assert_ptr_equal(session_find(stage.sessions, one), first);
	assert_ptr_equal(session_find(stage.sessions, two), second);
	assert_null(session_find(stage.sessions, ""));
	one[0] = one[0] == '0' ? '1' : '0';
	assert_null(session_find(stage.sessions, one));
	/* The value itself is nowhere in the session. */
	assert_null(memmem(second, sizeof(*second), two, SECRET_HEX));
	session_end(second);
	assert_null(session_find(stage.sessions, two));
	assert_false(session_lives(second));
	close_stage(&stage);
}

static void test_tokens(void **state)
{
	struct stage stage = new_stage(40, 3);
	char cookie[SESSION_COOKIE_MAX];
	struct session *session = begin(&stage, "marie", cookie);
	struct session *other = begin(&stage, "marie", cookie);
	char *token = session_token(session, NULL, "/actions/1/valider");
	char text[SECRET_HEX + 2];

	(void)state;
	assert_true(session_token_fits(session, "/actions/1/valider", token));
	assert_false(session_token_fits(session, "/actions/11/valider", token));
	assert_false(session_token_fits(session, "/actions/1/annuler", token));
	assert_false(session_token_fits(session, "/actions/1/valide", token));
	assert_false(session_token_fits(other, "/actions/1/valider", token));
	assert_false(session_token_fits(session, "/actions/1/valider", NULL));
	assert_false(session_token_fits(session, "/actions/1/valider", ""));
	(void)snprintf(text, sizeof(text), "%sx", token);
	assert_false(session_token_fits(session, "/actions/1/valider", text));
	text[SECRET_HEX - 1] = '\0';
	assert_false(session_token_fits(session, "/actions/1/valider", text));
	for (int i = 0; i < SECRET_HEX; i++) {
		(void)snprintf(text, sizeof(text), "%s", token);
		text[i] = text[i] == 'a' ? 'b' : 'a';
		assert_false(session_token_fits(session, "/actions/1/valider", text));
	}
	talloc_free(token);
	close_stage(&stage);
}

static void test_how_many(void **state)
{
	struct stage stage = new_stage(3, 2);
	char cookie[SESSION_COOKIE_MAX];
	struct session *first = begin(&stage, "marie", cookie);
	struct session *second = begin(&stage, "marie", cookie);

	(void)state;
	assert_false(sessions_full(stage.sessions, 0));
	assert_true(sessions_full(stage.sessions, 1)); /* one that is about to begin */
	first->used_ms = second->used_ms + 1;
	(void)begin(&stage, "marie", cookie); /* the one that was used longest ago goes */
	assert_true(session_lives(first));
	assert_false(session_lives(second));
	(void)begin(&stage, "paul", cookie);
	assert_true(session_lives(first));
	assert_true(sessions_full(stage.sessions, 0));
	session_end(first);
	session_end(first); /* once */
	assert_false(sessions_full(stage.sessions, 0));
	close_stage(&stage);
}

static void test_when_it_ends(void **state)
{
	struct stage stage = new_stage(40, 3);
	char cookie[SESSION_COOKIE_MAX];
	struct session *session = begin(&stage, "marie", cookie);
	const int64_t now_ms = session->begun_ms;

	(void)state;
	assert_false(is_over(session, now_ms + 899999));
	assert_true(is_over(session, now_ms + 900000));
	session_busy(session, 1); /* its form is on the way */
	assert_false(is_over(session, now_ms + 900000));
	assert_false(is_over(session, now_ms + 28799999));
	assert_true(is_over(session, now_ms + 28800000));
	session_busy(session, -1);
	session->used_ms = now_ms + 28000000;
	assert_false(is_over(session, now_ms + 28700000));
	assert_true(is_over(session, now_ms + 28800000));
	/* A reload can shorten it. */
	sessions_set_limits(stage.sessions, &(struct session_limits){.longest_s = 28800});
	session->used_ms = now_ms;
	assert_true(is_over(session, now_ms));
	assert_null(session_find(stage.sessions, cookie));
	close_stage(&stage);
}

/* The memory of an ended session stays as long as a visit holds it. */
static void test_held(void **state)
{
	struct stage stage = new_stage(40, 3);
	char cookie[SESSION_COOKIE_MAX];
	struct session *session = begin(&stage, "marie", cookie);

	(void)state;
	session_hold(session);
	session_end(session);
	on_sweep(-1, 0, stage.sessions);
	assert_ptr_equal(TAILQ_FIRST(&stage.sessions->ended), session);
	assert_string_equal(session_person(session)->name, "marie");
	session_release(session);
	on_sweep(-1, 0, stage.sessions);
	assert_null(TAILQ_FIRST(&stage.sessions->ended));
	assert_int_equal(stage.sessions->n_live, 0);
	close_stage(&stage);
}

/* A connection that goes down takes its session along. */
static void test_lost(void **state)
{
	struct stage stage = new_stage(40, 3);
	char cookie[SESSION_COOKIE_MAX];
	struct session *session = begin(&stage, "marie", cookie);

	(void)state;
	session_hold(session);
	assert_true(event_base_loop(stage.base, EVLOOP_NONBLOCK) >= 0);
	assert_false(session_lives(session));
	assert_null(session_find(stage.sessions, cookie));
	close_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie),   cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_how_many), cmocka_unit_test(test_when_it_ends),
		cmocka_unit_test(test_held),     cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

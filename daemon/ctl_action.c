/* save, validate, cancel: thin calls of the SQL functions, which do all the checking. */
#include "ctl.h"

#include "mem.h"

#include <getopt.h>
#include <time.h>

/* How long save waits for the daemon to list what the action would touch. */
#define LISTING_PATIENCE_MS 5000
#define LISTING_TICK_MS 100

/* An SQL function's refusal has a HINT that was written for the caller: shown, unlike a table's. */
static bool call(struct ctl *ctl, const char *sql, int n, const char *const values[],
		 PGresult **ret, struct error *err)
{
	AUTO(result)
	PGresult *res = PQexecParams(db_conn(ctl->db), sql, n, NULL, values, NULL, NULL, 0);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);

	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		*ret = res;
		res = NULL;
		return true;
	}
	if (!message)
		return db_fail(ctl->db, res, err);
	return fail(err, ERR_CONFIG, "%s%s%s", message, hint ? "\nhint: " : "", hint ? hint : "");
}

/* Waits until the daemon has listed the action's keys; says how many, or that it has not. */
static int tell_candidates(struct ctl *ctl, const char *id)
{
	static const struct timespec tick = {.tv_nsec = LISTING_TICK_MS * 1000000L};
	AUTO(error) struct error err = {0};

	for (int waited_ms = 0; waited_ms < LISTING_PATIENCE_MS; waited_ms += LISTING_TICK_MS) {
		AUTO(result) PGresult *res = NULL;

		if (!db_query(ctl->db,
			      "SELECT frozen_at IS NOT NULL AS listed, candidates, error\n"
			      "  FROM retention.archive_journal WHERE id = $1::int",
			      1, &id, &res, &err))
			return ctl_failed(&err);
		if (db_bool(res, 0, "listed")) {
			printf("it would touch %s; retentionctl validate %s runs it\n",
			       db_text(res, 0, "candidates"), id);
			return 0;
		}
		if (db_text(res, 0, "error")) {
			fprintf(stderr, "retentionctl: the daemon refuses it: %s\n",
				db_text(res, 0, "error"));
			return 1;
		}
		(void)nanosleep(&tick, NULL); /* early is fine */
	}
	printf("the daemon has not listed yet what it would touch: is retentiond running?\n");
	return 0;
}

int ctl_save(struct ctl *ctl, int argc, char **argv)
{
	static const struct option longs[] = {{"from", required_argument, NULL, 'f'},
					      {"to", required_argument, NULL, 't'},
					      {"archive", required_argument, NULL, 'a'},
					      {NULL, 0, NULL, 0}};
	const char *values[4] = {NULL};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	int c, year, month, day;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return ctl_wrong_use(ctl, "save does not know that option");
		values[c == 'f' ? 1 : c == 't' ? 2 : 3] = optarg;
	}
	if (argc - optind != 1 || !values[1] || !values[2])
		return ctl_wrong_use(ctl, "an action, --from and --to are needed");
	for (int i = 1; i <= 2; i++)
		if (!date_parse(values[i], &year, &month, &day))
			return ctl_wrong_use(ctl, "\"%s\" is no date: YYYY-MM-DD", values[i]);
	values[0] = argv[optind];
	if (!call(ctl, "SELECT retention.save_action($1, $2::date, $3::date, $4) AS id", 4, values,
		  &res, &err))
		return ctl_failed(&err);
	printf("action %s saved\n", db_text(res, 0, "id"));
	(void)fflush(stdout); /* said before the wait; checked at the end */
	return tell_candidates(ctl, db_text(res, 0, "id"));
}

static int change(struct ctl *ctl, int argc, char **argv, const char *sql, const char *done)
{
	static const struct option none[] = {{NULL, 0, NULL, 0}};
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *value;
	int id;

	if (getopt_long(argc, argv, "", none, NULL) != -1)
		return ctl_wrong_use(ctl, "no option is known here");
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	value = t_printf(ctx, "%d", id);
	if (!call(ctl, sql, 1, &value, &res, &err))
		return ctl_failed(&err);
	printf("action %d %s\n", id, done);
	return 0;
}

int ctl_validate(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, "SELECT retention.validate_action($1::int)",
		      "validated: the daemon runs it");
}

int ctl_cancel(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, "SELECT retention.cancel_action($1::int)", "cancelled");
}

int ctl_hold_add(struct ctl *ctl, int argc, char **argv)
{
	static const struct option longs[] = {{"reason", required_argument, NULL, 'r'},
					      {"expires", required_argument, NULL, 'e'},
					      {"review", required_argument, NULL, 'v'},
					      {NULL, 0, NULL, 0}};
	const char *values[4] = {NULL};
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	int c, year, month, day;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return ctl_wrong_use(ctl, "hold add does not know that option");
		values[c == 'r' ? 1 : c == 'e' ? 2 : 3] = optarg;
	}
	if (argc - optind != 1 || !values[1])
		return ctl_wrong_use(ctl, "a contact's key and --reason are needed");
	for (int i = 2; i <= 3; i++)
		if (values[i] && !date_parse(values[i], &year, &month, &day))
			return ctl_wrong_use(ctl, "\"%s\" is no date: YYYY-MM-DD", values[i]);
	values[0] = argv[optind];
	if (!call(ctl, "SELECT retention.place_hold($1, $2, $3::timestamptz, $4::date) AS id", 4,
		  values, &res, &err))
		return ctl_failed(&err);
	printf("hold %s placed on contact %s\n", db_text(res, 0, "id"), values[0]);
	return 0;
}

int ctl_hold_remove(struct ctl *ctl, int argc, char **argv)
{
	AUTO(result) PGresult *res = NULL;
	AUTO(error) struct error err = {0};
	const char *value;

	if (argc != 2)
		return ctl_wrong_use(ctl, "one contact's key is needed");
	value = argv[1];
	if (!call(ctl, "SELECT retention.release_hold($1)", 1, &value, &res, &err))
		return ctl_failed(&err);
	printf("contact %s is not on hold any more\n", value);
	return 0;
}

/*
 * archive restore: checks that the action may be restored, that its archive is intact and that nobody
 * else works on it, then calls restore/restore.c.  At the end it prints which policies would erase the
 * contacts again, and when.
 */
#include "command/verify_archive.h"

#include "journal/identity.h"
#include "journal/journal.h"
#include "preflight/foreign_code.h"
#include "command/output.h"
#include "restore/restore.h"

#include <inttypes.h>

static void show_progress(int64_t done_rows, int64_t all_rows)
{
	output_progress(&(struct progress_bar){
		.done = done_rows, .due = all_rows, .rate = -1, .eta_s = -1});
}

/* Asks the SQL function first, so that it refuses before megabytes are read. */
static bool check_allowed(struct command *cmd, struct error *err)
{
	int64_t may = 0;

	if (!command_call(cmd, "SELECT retention.check_restore($1::int)", 1, &cmd->argument, NULL,
			  err) ||
	    !db_query_int(cmd->db,
			  "SELECT has_function_privilege('retention.record_restore(int, jsonb)',\n"
			  "                              'EXECUTE')::int",
			  0, NULL, &may, err))
		return false;
	return may ||
	       fail(err, ERR_CONFIG, _("your role may not restore: grant it retention_approver"));
}

static bool claim(struct command *cmd, struct error *err)
{
	bool mine = false;

	if (!journal_claim(cmd->db, cmd->id, &mine, err))
		return false;
	return mine || fail(err, ERR_CONFIG,
			    _("a daemon or another restore works on action %d: try again when it "
			      "has ended"),
			    cmd->id);
}

/* A superuser would lend all rights to whoever wrote a trigger of the tables. */
static bool check_foreign_code(struct command *cmd, const struct restore_plan *plan,
			       struct error *err)
{
	struct foreign_code found;

	if (!foreign_code_find(cmd->db, plan->oids,
			       cmd->options.disable_triggers ? FOREIGN_PUT : FOREIGN_PUT_TRIGGERS,
			       cmd->ctx, &found, err))
		return false;
	return !found.table ||
	       fail(err, ERR_CONFIG,
		    _("table %s: a trigger, an index or a constraint of it uses function %s, which "
		      "would run with the rights of a superuser: restore as another role"),
		    found.table, found.function);
}

/* Prints which policies would erase the restored contacts again, and when. */
static bool print_next_pass(struct command *cmd, struct error *err)
{
	static const char sql[] =
		"SELECT to_char(s.next_occurrence, 'YYYY-MM-DD HH24:MI') AS next\n"
		"  FROM retention.policy_state AS s WHERE s.policy = $1";

	for (size_t i = 0; i < cmd->config->n_policies; i++) {
		const struct policy *p = &cmd->config->policies[i];
		AUTO(result) PGresult *res = NULL;
		const char *next;

		if (!p->enabled || p->action == ACTION_EXPORT)
			continue;
		if (!db_query(cmd->db, sql, 1, &p->name, &res, err))
			return false;
		next = PQntuples(res) > 0 ? db_text(res, 0, "next") : NULL;
		printf(_("hint: policy \"%s\" (%s) runs next %s%s and erases restored contacts that "
			 "are due then; to prevent that, place holds, lengthen its depth or "
			 "disable it\n"),
		       p->name, action_names[p->action], next ? "on " : "at its next occurrence",
		       next ? next : "");
	}
	return true;
}

static void print_result(int id, const struct restore_plan *plan,
			 const struct restore_result *result, bool dry_run)
{
	int64_t rows = 0, links = 0;

	for (size_t i = 0; i < plan->n_files; i++) {
		output_line(stdout, "%s: %" PRId64 " %s", plan->files[i].label, result->rows[i],
			    plan->files[i].detached ? _("linked again") : _("back"));
		*(plan->files[i].detached ? &links : &rows) += result->rows[i];
	}
	for (size_t i = 0; i < result->n_notes; i++)
		output_line(stdout, _("note: %s"), result->notes[i]);
	printf(dry_run ? _("action %d can be restored: %lld contacts, %lld rows, each as it was")
		       : _("action %d is restored: %lld contacts, %lld rows, each as it was"),
	       id, (long long)result->keys, (long long)rows);
	if (links > 0)
		printf(_("; %lld rows linked again"), (long long)links);
	puts(dry_run ? _("; nothing was changed") : "");
}

static bool restore(struct command *cmd, struct error *err)
{
	struct restore_plan *plan = t_zero(cmd->ctx, struct restore_plan);
	struct restore_result result = {0};
	struct archive_reader *stored = NULL;
	struct restore_opts opts = {
		.id = cmd->id,
		.plan = plan,
		.identity = cmd->options.identity,
		.dry_run = cmd->options.dry_run,
		.disable_triggers = cmd->options.disable_triggers,
		.progress = isatty(STDOUT_FILENO) ? show_progress : NULL,
	};
	bool ok;

	if (!check_allowed(cmd, err) || !identity_check(cmd->db, cmd->config->directory, err) ||
	    !verify_archive_open(cmd, &stored, err) ||
	    !restore_plan_read(cmd->db, cmd->config, stored->manifest, cmd->ctx, plan, err) ||
	    !check_foreign_code(cmd, plan, err) || !verify_archive(cmd, stored, false, err) ||
	    !claim(cmd, err) ||
	    /* Checks once more, now that the claim prevents changes. */
	    !check_allowed(cmd, err))
		return false;
	opts.stored = stored;
	ok = restore_run(cmd->db, &opts, cmd->ctx, &result, err);
	if (opts.progress)
		puts("");
	if (!ok)
		return false;
	print_result(cmd->id, plan, &result, opts.dry_run);
	return print_next_pass(cmd, err);
}

bool command_archive_restore(struct command *cmd, struct error *err)
{
	if (restore(cmd, err))
		return true;
	command_explain(err, db_alive(cmd->db)
				     ? _("nothing was changed")
				     : t_printf(cmd->ctx,
						"hint: retentionctl show %d says whether it was "
						"restored before the connection was lost",
						cmd->id));
	return false;
}

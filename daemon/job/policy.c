/*
 * One line of the configuration reaches this code by two ways.  retentiond reads the file and accepts it
 * (config/load.c).  It hands the accepted text to retention-job, which reads it a second time, from a sealed
 * descriptor (config_read_fd()): from there come the policy's name, its scope, the model and the limits.
 * But when a policy is due, the supervisor's clock writes the policy's action, depth and archive mode into
 * the journal (retention.begin_occurrence()), and the job takes those from the journal's row, not from the
 * configuration.  So a policy that is edited while its action waits keeps the depth that the action began
 * with, and gets the scope that the file has now; job_find_policy() refuses one whose action differs.
 *
 * A policy that was made on the page is not in that text.  The action's row names its version, which never changes.  The
 * job reads it from the database and compares it with the bounds that the text has (config/page.h).  The server
 * compares, too: the row says what the version says, and does not become validated or running while the version is
 * not in force (retention.check_page_action()).  So neither a row that somebody has written by hand nor a daemon that has
 * missed a retirement begins anything.  What runs already goes on when its policy is retired: a person abandons it, or
 * lets it end.
 */
#include "job/job_state.h"

#include "journal/page_policies.h"

bool job_find_policy(struct job *j, struct error *err)
{
	const struct config *config = j->opts->config;

	if (j->row.policy_version > 0) {
		j->policy = page_policies_find(j->db, config, &j->row, j->ctx, err);
		if (!j->policy)
			return false;
	} else if (j->row.policy) {
		j->policy = config_policy(config, j->row.policy);
		if (!j->policy)
			return fail(err, ERR_CONFIG,
				    "policy \"%s\" of action %d is missing in the configuration: "
				    "put it back%s",
				    j->row.policy, j->row.id,
				    strcmp(j->row.status, "saved") == 0
					    ? ", or cancel the action"
					    : " under this name, so that what was begun can end");
		if (j->policy->action != j->row.action)
			return fail(err, ERR_CONFIG,
				    "policy \"%s\" was %s when action %d was saved, and is %s now",
				    j->row.policy, action_names[j->row.action], j->row.id,
				    action_names[j->policy->action]);
	}
	return true;
}

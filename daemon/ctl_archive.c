/* archive verify: what stored.c finds, told to a person. */
#include "ctl.h"

#include "mem.h"
#include "stored.h"

int ctl_archive_verify(struct ctl *ctl, int argc, char **argv)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct stored *stored = NULL;
	int id;

	if (ctl_option(ctl, argc, argv, ctl_no_options) != -1)
		return 2;
	id = ctl_action_id(ctl, argc, argv);
	if (id == 0)
		return 2;
	if (!ctl_open(ctl))
		return 1;
	if (!stored_open(ctl->db, ctl->config, id, ctx, &stored, &err) ||
	    !stored_verify(ctl->db, stored, true, &err)) {
		(void)fflush(stdout); /* the files' lines first; checked at the end */
		return ctl_failed(&err);
	}
	printf("the archive of action %d is whole\n", id);
	return 0;
}

/* A packet of the socket of downloads: what is taken prints, and is taken again. */
#include "base/handover.h"
#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_request(const char *packet, size_t size)
{
	struct handover_request request, again;
	AUTO(talloc) char *text = NULL;

	if (!handover_read_request(packet, size, &request))
		return;
	text = request.takes ? t_printf(NULL, "take %s", request.ticket)
			     : handover_list(NULL, request.job);
	assert(handover_read_request(text, strlen(text), &again));
	assert(again.takes == request.takes && again.job == request.job &&
	       strcmp(again.ticket, request.ticket) == 0);
}

static void read_answer(const char *packet, size_t size)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	AUTO(error) struct error err = {0};
	struct handover_answer answer;

	if (!handover_parse(ctx, packet, size, &answer, &err) || !answer.given)
		return;
	for (size_t i = 0; i < answer.n_files; i++)
		assert(handover_is_name(answer.files[i].name) && answer.files[i].bytes >= 0 &&
		       !strchr(answer.files[i].name, '/') && *answer.files[i].name != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_request((const char *)data, size);
	read_answer((const char *)data, size);
	return 0;
}

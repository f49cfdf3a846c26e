/* Eight bytes of instant, then a schedule: printing is a fixed point, next and previous agree. */
#include "base/schedule.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct schedule s, again;
	char *text, printed[512], reprinted[512];
	const char *why = NULL;
	int64_t after, at, back;

	if (size < sizeof(after) || !schedule_set_timezone("Europe/Paris"))
		return 0;
	memcpy(&after, data, sizeof(after));
	text = strndup((const char *)data + sizeof(after), size - sizeof(after));
	if (schedule_parse(text, &s, &why)) {
		schedule_print(&s, printed, sizeof(printed));
		assert(schedule_parse(printed, &again, &why));
		schedule_print(&again, reprinted, sizeof(reprinted));
		assert(strcmp(printed, reprinted) == 0);
		if (schedule_next(&s, after, &at)) {
			assert(at > after);
			assert(!schedule_previous(&s, at, &back) || back == at);
			assert(!schedule_previous(&s, at - 1, &back) || back <= after);
		}
	} else {
		assert(why && *why);
	}
	free(text);
	return 0;
}

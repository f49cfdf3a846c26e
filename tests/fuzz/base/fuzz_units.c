/* What the parsers of base/units.c take must print, and parse again to the same. */
#include "base/units.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), out[32];
	struct period period, period2;
	struct window window, window2;
	int64_t ms, ms2;

	if (period_parse(text, &period)) {
		period_print(&period, out, 24);
		assert(period_parse(out, &period2) && period2.count == period.count &&
		       period2.unit == period.unit);
	}
	if (duration_ms_parse(text, &ms)) {
		duration_ms_print(ms, out, sizeof(out));
		assert(duration_ms_parse(out, &ms2) && ms2 == ms);
	}
	if (window_parse(text, &window)) {
		window_print(&window, out, sizeof(out));
		assert(window_parse(out, &window2) && strcmp(out, text) == 0);
	}
	if (date_is_valid(text))
		assert(strlen(text) == strlen("YYYY-MM-DD") && text[4] == '-' && text[7] == '-');
	if (number_parse(text, -1000, 1000, &ms))
		assert(ms >= -1000 && ms <= 1000);
	free(text);
	return 0;
}

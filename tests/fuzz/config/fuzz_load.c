/* A configuration is refused with a reason, or prints to a text that gives the same again. */
#include "config/config.h"
#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/*
 * libconfig loses the string at hand when it meets a syntax error, and has no function that frees it.  A tree that we do
 * not destroy would be hidden, too: the unit tests, where nothing is suppressed, find it.
 */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct complaints c = {0};
	struct config *config = config_parse_text("fuzz.conf", text, &c);

	assert((config == NULL) == (c.n > 0));
	if (config) {
		char *printed = config_print(config), *reprinted;
		struct config *again = config_parse_text("again.conf", printed, &c);

		assert(again);
		reprinted = config_print(again);
		assert(strcmp(printed, reprinted) == 0);
		free(printed);
		free(reprinted);
		talloc_free(again);
	}
	talloc_free(config);
	complaints_clear(&c);
	free(text);
	return 0;
}

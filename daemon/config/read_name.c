/* The name of a table, which two parts of the model have. */
#include "config/read.h"

#include "base/mem.h"

void table_name_read(const struct reader *r, const config_setting_t *s, struct table *t)
{
	const char *text, *dot, **parts;
	size_t n;

	if (config_setting_is_array(s) || config_setting_is_list(s)) {
		parts = setting_strings(r, s, "table", &n);
		if (parts && n == 2) {
			t->schema = parts[0];
			t->table = parts[1];
		} else if (parts) {
			complain_at(r, s, "table as an array is [ \"schema\", \"table\" ]");
		}
		return;
	}
	text = setting_string(r, s, "table", VALUE_NAME);
	if (!text)
		return;
	dot = strchr(text, '.');
	if (dot && (dot == text || !dot[1])) {
		complain_at(r, s, "table \"%s\" is not \"table\" or \"schema.table\"", text);
		return;
	}
	t->schema = dot ? must_alloc(talloc_strndup(r->ctx, text, (size_t)(dot - text))) : "public";
	t->table = dot ? dot + 1 : text;
}

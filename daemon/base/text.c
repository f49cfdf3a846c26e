#include "base/text.h"

#include "base/mem.h"

#include <errno.h>

void text_trim(char *text)
{
	for (char *end = text + strlen(text); end > text && end[-1] == '\n'; end--)
		end[-1] = '\0';
}

const char *text_forbidden(const char *message)
{
	const bool unit = getenv("INVOCATION_ID") != NULL; /* systemd has started us */

	if (strstr(message, strerror(EPERM)))
		return "; this host forbids it: allow the address of the database in its firewall";
	/* The unit's filter drops packets of TCP without a word, and those to a name server. */
	if (unit && (strstr(message, "no connection within") ||
		     strstr(message, "timeout expired") || strstr(message, strerror(ETIMEDOUT))))
		return "; the service unit lets nothing through to another host before a drop-in "
		       "allows its address (retentiond-database.conf)";
	if (unit && strstr(message, "could not translate host name"))
		return "; the service unit lets nothing through to a name server on another host "
		       "before a drop-in allows its address (retentiond-database.conf): give "
		       "hostaddr, or allow it";
	return "";
}

size_t text_control(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;

	if (*t < 128)
		return *t && is_control(*text);
	if (t[0] == 0xc2 && t[1] >= 0x80 && t[1] <= 0x9f)
		return 2;
	return t[0] == 0xe2 && ((t[1] == 0x80 && t[2] >= 0xa8 && t[2] <= 0xae) ||
				(t[1] == 0x81 && t[2] >= 0xa6 && t[2] <= 0xa9))
		       ? 3
		       : 0;
}

size_t text_special(const char *text, const char **ret_instead)
{
	static const char *const entities[] = {"&&amp;", "<&lt;", ">&gt;", "\"&quot;", "'&#39;"};

	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
		if (entities[i][0] == *text) {
			*ret_instead = entities[i] + 1;
			return 1;
		}
	*ret_instead = "\xef\xbf\xbd";
	return strchr("\t\n\r", *text) ? 0 : text_control(text);
}

char *text_plain(char *text)
{
	for (char *t = text; *t; t++)
		if (*t != '\n')
			memset(t, '?', text_control(t));
	return text;
}

char *text_one_line(char *text)
{
	for (char *t = text + strcspn(text, "\n\r\t"); *t; t += strcspn(t, "\n\r\t"))
		*t = ' ';
	return text_plain(text);
}

char *text_quoted(void *ctx, const char *text)
{
	char *out = t_strdup(ctx, "\"");
	size_t left = 0;

	for (; *text; text++) {
		left = left ? left - 1 : text_control(text);
		if (*text == '\n' || *text == '\t')
			t_append(&out, *text == '\n' ? "\\n" : "\\t");
		else if (left > 0)
			t_append(&out, "\\x%02x", (unsigned char)*text);
		else
			t_append(&out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	}
	return t_append(&out, "\"");
}

void text_hex(const unsigned char *bytes, size_t n, char *ret_hex)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret_hex[2 * i] = digits[bytes[i] >> 4];
		ret_hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_hex[2 * n] = '\0';
}

size_t text_index(const char *word, const char *const *list, size_t n)
{
	size_t i = 0;

	while (i < n && strcmp(word, list[i]) != 0)
		i++;
	return i;
}

/* The value of number n (1: the first), one on a line; "" beyond the last one.  Owned by ctx. */
static const char *value_at(void *ctx, const char *values, int n)
{
	for (; n > 1 && values; n--) {
		values = strchr(values, '\n');
		values = values ? values + 1 : NULL;
	}
	return values ? t_printf(ctx, "%.*s", (int)strcspn(values, "\n"), values) : "";
}

char *text_fill(void *ctx, const char *text, const char *values, text_word word, const void *arg)
{
	char *filled = t_strdup(ctx, "");

	for (; *text; text++) {
		const int n = *text == '$' ? text[1] - '0' : 0;
		const char *value;

		if (n < 1 || n > 9) {
			t_append(&filled, "%c", *text);
			continue;
		}
		value = value_at(ctx, values, n);
		t_append(&filled, "%s", word ? word(value, arg) : value);
		text++;
	}
	return filled;
}

char *text_first_reasons(void *ctx, const char *reasons, const char *more)
{
	static const char *const begins[] = {"VACUUM", "ANALYZE", "another"};
	const char *second_ends = reasons;
	size_t n = 1;

	for (const char *at = strchr(reasons, ','); at; at = strchr(at + 1, ','))
		for (size_t i = 0; i < LENGTH(begins); i++)
			if (at[1] == ' ' && strncmp(at + 2, begins[i], strlen(begins[i])) == 0) {
				second_ends = n == 2 ? at : second_ends;
				n++;
			}
	if (n <= 3)
		return t_strdup(ctx, reasons);
	return text_fill(ctx, more,
			 t_printf(ctx, "%.*s\n%zu", (int)(second_ends - reasons), reasons, n - 2),
			 NULL, NULL);
}

#include "archive/manifest.h"

#include "base/mem.h"

/* Quotes text, and escapes what RFC 8259 section 7 asks for; NULL becomes null. */
static char *json_string(void *ctx, const char *text)
{
	char *out = t_strdup(ctx, "\"");

	if (!text)
		return t_strdup(ctx, "null");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			t_append(&out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			t_append(&out, "\\u%04x", (unsigned char)*text);
		else
			t_append(&out, "%c", *text);
	}
	t_append(&out, "\"");
	return out;
}

static void append_file(void *ctx, char **json, const struct manifest_file *f, bool last)
{
	t_append(json,
		 "    {\"name\": %s, \"table\": %s, \"rows\": %lld, \"bytes\": %lld,\n"
		 "     \"sha256\": \"%s\",\n",
		 json_string(ctx, f->name), json_string(ctx, f->table), (long long)f->rows,
		 (long long)f->bytes, f->sha256);
	if (*f->plain_sha256)
		t_append(json, "     \"plain_bytes\": %lld, \"plain_sha256\": \"%s\",\n",
			 (long long)f->plain_bytes, f->plain_sha256);
	t_append(json, "     \"columns\": [");
	for (size_t i = 0; i < f->n_columns; i++)
		t_append(json, "%s%s", i ? ", " : "", json_string(ctx, f->columns[i]));
	t_append(json, "]}%s\n", last ? "" : ",");
}

static void append_encryption(void *ctx, char **json, const struct manifest *m)
{
	if (m->n_recipients == 0)
		return;
	t_append(json, "  \"encryption\": \"age\",\n  \"recipients\": [");
	for (size_t i = 0; i < m->n_recipients; i++)
		t_append(json, "%s%s", i ? ", " : "", json_string(ctx, m->recipients[i]));
	t_append(json, "],\n");
}

char *manifest_json(void *ctx, const struct manifest *m)
{
	const char delimiter[] = {m->delimiter, '\0'};
	char *json = t_printf(
		ctx,
		"{\n  \"format\": 1,\n  \"job\": %lld,\n  \"replay_of\": %s,\n  \"action\": %s,\n"
		"  \"policy\": %s,\n  \"requested_by\": %s,\n  \"validated_by\": %s,\n  \"archive\": %s,\n  \"cutoff\": %s,\n"
		"  \"finished\": %s,\n"
		"  \"system_identifier\": %s,\n  \"encoding\": \"%s\",\n"
		"  \"delimiter\": %s,\n  \"bom\": %s,\n",
		(long long)m->job,
		m->replay_of ? t_printf(ctx, "%lld", (long long)m->replay_of) : "null",
		json_string(ctx, m->action), json_string(ctx, m->policy),
		json_string(ctx, m->requested_by), json_string(ctx, m->validated_by),
		json_string(ctx, m->archive), json_string(ctx, m->cutoff),
		json_string(ctx, m->finished), json_string(ctx, m->database_system),
		m->bytes ? "SQL_ASCII" : "UTF-8", json_string(ctx, delimiter),
		m->bom ? "true" : "false");

	append_encryption(ctx, &json, m);
	t_append(&json, "  \"files\": [\n");
	for (size_t i = 0; i < m->n_files; i++)
		append_file(ctx, &json, &m->files[i], i + 1 == m->n_files);
	t_append(&json, "  ]\n}\n");
	return json;
}

char *manifest_lengths(void *ctx, const struct archive *a, int workers, const int64_t *bytes,
		       const int64_t *rows)
{
	char *json = t_strdup(ctx, "{\"files\": [");

	for (size_t n = 0; n < (size_t)workers * a->n_files; n++)
		t_append(&json,
			 "%s\n{\"worker\": %zu, \"name\": %s, \"bytes\": %lld, \"rows\": %lld}",
			 n ? "," : "", n / a->n_files,
			 json_string(ctx, a->files[n % a->n_files].name), (long long)bytes[n],
			 (long long)rows[n]);
	t_append(&json, "]}\n");
	return json;
}

char *manifest_sums(void *ctx, const struct manifest *m)
{
	char *sums = t_strdup(ctx, "");

	for (size_t i = 0; i < m->n_files; i++)
		t_append(&sums, "%s  %s\n", m->files[i].sha256, m->files[i].name);
	return sums;
}

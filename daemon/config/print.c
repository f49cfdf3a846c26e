/*
 * Prints the canonical file: every setting that has a value, with defaults, in the order of the tables
 * that read them, without includes.  A file printed from it after parsing has the same bytes.
 */
#include "config/read.h"

#include "base/mem.h"
#include "base/text.h"

/* The texts below are owned by ctx; NULL gives NULL. */

static char *quoted(void *ctx, const char *string)
{
	return string ? text_quoted(ctx, string) : NULL;
}

static char *quoted_list(void *ctx, const char *const *strings, size_t n)
{
	char *text = strings ? t_strdup(ctx, "[ ") : NULL;

	for (size_t i = 0; strings && i < n; i++)
		t_append(&text, "%s%s", i ? ", " : "", quoted(ctx, strings[i]));
	return text ? t_append(&text, " ]") : NULL;
}

static char *columns_value(void *ctx, const struct columns *columns)
{
	if (!columns)
		return NULL;
	return columns->n == 1 ? quoted(ctx, columns->names[0])
			       : quoted_list(ctx, columns->names, columns->n);
}

/* The shortest text that reads back to the same number and that libconfig takes for a float. */
static char *float_text(void *ctx, double value)
{
	char text[40];

	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, value); /* fits */
		if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
			break;
	}
	return t_printf(ctx, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

/* The value that target holds, as the file has it; NULL: there is none. */
static char *value_text(void *ctx, const struct setting_spec *spec, const char *target)
{
	const void *value = target + spec->offset;
	char text[32] = "";

	if ((spec->given && !*((const bool *)target + spec->given)) ||
	    (spec->quiet && !*(const bool *)value))
		return NULL;
	switch (spec->kind) {
	case VALUE_OTHER:
		return NULL;
	case VALUE_BOOL:
		return t_strdup(ctx, *(const bool *)value ? "true" : "false");
	case VALUE_INT:
		return t_printf(ctx, "%d", *(const int *)value);
	case VALUE_INT64:
		return t_printf(ctx, "%lld", (long long)*(const int64_t *)value);
	case VALUE_SHARE:
		return float_text(ctx, *(const double *)value);
	case VALUE_COLUMNS:
		return columns_value(ctx, *(const struct columns *const *)value);
	case VALUE_STRINGS:
		return quoted_list(ctx, *(const char *const *const *)value,
				   *(const size_t *)(const void *)(target + spec->count));
	case VALUE_NAME:
	case VALUE_PATH:
	case VALUE_SQL:
		return quoted(ctx, *(const char *const *)value);
	case VALUE_CHOICE:
		return quoted(ctx, spec->names[*(const int *)value]);
	case VALUE_WORD:
		return quoted(ctx, spec->names[*(const bool *)value]);
	case VALUE_CHAR:
		text[0] = *(const char *)value;
		break;
	case VALUE_DURATION:
		duration_ms_print(*(const int64_t *)value, text, sizeof(text));
		break;
	case VALUE_PERIOD:
		period_print(value, text, sizeof(text));
		break;
	case VALUE_WINDOW:
		window_print(value, text, sizeof(text));
		break;
	}
	return quoted(ctx, text);
}

struct printer {
	void *ctx; /* talloc: owns the values' texts */
	FILE *out;
};

/* Prints what target holds of a table, each setting on a line behind indent. */
static void print_settings(const struct printer *p, const char *indent,
			   const struct setting_spec *spec, const void *target)
{
	for (; spec->key; spec++) {
		const char *value = value_text(p->ctx, spec, target);

		if (value)
			fprintf(p->out, "%s%s = %s;\n", indent, spec->key, value);
	}
}

/* Prints a group with what target holds of it. */
static void print_group(const struct printer *p, const char *indent, const char *head,
			const struct setting_spec *specs, const void *target)
{
	AUTO(char_p) char *deeper = xprintf("%s\t", indent);

	fprintf(p->out, "%s%s {\n", indent, head);
	print_settings(p, deeper, specs, target);
	fprintf(p->out, "%s};\n", indent);
}

/* Prints what names the table: table = "schema.table". */
static void print_name(const struct printer *p, const char *indent, const struct table *t)
{
	const char *const parts[] = {t->schema, t->table};
	const char *full = t_printf(p->ctx, "%s.%s", t->schema, t->table);

	fprintf(p->out, "%stable = %s;\n", indent,
		strchr(t->schema, '.') ? quoted_list(p->ctx, parts, 2) : quoted(p->ctx, full));
}

/* Keeps the order of the rules, because all rules of one kind are together in a file. */
static void print_rules(const struct printer *p, const struct column_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct column_rule *rule = &rules->list[i];
		const bool is_list = rule->value || rule->keys;
		const char *column = quoted(p->ctx, rule->column);

		if (i == 0 || rule[-1].kind != rule->kind)
			fprintf(p->out, "\t\t%s = %c", rule_names[rule->kind], is_list ? '(' : '[');
		if (is_list)
			fprintf(p->out, "\n\t\t\t{ column = %s; %s = %s; }", column,
				rule->value ? "value" : "keys",
				rule->value ? quoted(p->ctx, rule->value)
					    : quoted_list(p->ctx, rule->keys, rule->n_keys));
		else
			fprintf(p->out, "\n\t\t\t%s", column);
		if (i + 1 < rules->n && rule[1].kind == rule->kind)
			fputc(',', p->out);
		else
			fprintf(p->out, "\n\t\t%c;\n", is_list ? ')' : ']');
	}
}

/* Prints the join table in its place within the request. */
static void print_through(const struct printer *p, const struct table *join,
			  const struct table *request)
{
	struct table whole = *join;

	whole.from = request->from;
	fputs("\t\tthrough = {\n", p->out);
	print_name(p, "\t\t\t", join);
	print_settings(p, "\t\t\t", through_parts, &whole);
	print_rules(p, &(struct column_rules){join->rules, join->n_rules});
	fputs("\t\t};\n", p->out);
}

static void print_table(const struct printer *p, const struct model *model, const struct table *t)
{
	const bool joined = t == model->request && model->through;
	struct table plain = *t;

	fprintf(p->out, "\t%s: {\n", t->name);
	print_name(p, "\t\t", t);
	if (joined) {
		print_through(p, model->through, t);
		plain.by = plain.from = NULL;
		plain.shared = false;
	} else if (t->of) {
		fprintf(p->out, "\t\tof = \"%s\";\n", t->of->name);
	}
	if (t->match) {
		print_group(p, "\t\t", "match =", match_parts, t);
		plain.by = plain.from = NULL;
		plain.shared = false;
	}
	if (t->file.column)
		print_group(p, "\t\t", "file =", file_parts, &t->file);
	print_settings(p, "\t\t", table_specs, &plain);
	print_rules(p, &(struct column_rules){t->rules, t->n_rules});
	if (t->on_detach.n > 0) {
		fputs("\t\ton_delete: {\n", p->out);
		print_rules(p, &t->on_detach);
		fputs("\t\t};\n", p->out);
	}
	fputs("\t};\n", p->out);
}

char *config_print(const struct config *config)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	char *text = NULL;
	size_t length;
	const struct printer p = {.ctx = ctx, .out = must_alloc(open_memstream(&text, &length))};

	for (const struct config_group *g = config_groups; g->key; g++)
		/* A group that consists of one setting is there with it. */
		if (!g->specs->given || value_text(ctx, g->specs, (const char *)config))
			print_group(&p, "", t_printf(ctx, "%s:", g->key), g->specs, config);
	print_settings(&p, "", top_specs, config);
	fputs("model: {\n", p.out);
	for (size_t i = 0; i < config->model.n_tables; i++)
		if (&config->model.tables[i] != config->model.through)
			print_table(&p, &config->model, &config->model.tables[i]);
	fputs("};\npolicies = (\n", p.out);
	for (size_t i = 0; i < config->n_policies; i++) {
		fputs("\t{\n", p.out);
		print_settings(&p, "\t\t", policy_specs, &config->policies[i]);
		fputs(i + 1 < config->n_policies ? "\t},\n" : "\t}\n", p.out);
	}
	fputs(");\n", p.out);
	if (fclose(p.out) != 0)
		must_alloc(NULL); /* into memory: only memory can be short */
	return text;
}

/*
 * Prints the canonical file: every setting that has a value, with defaults, in the order of the tables
 * that read them, without includes.  A file printed from it after parsing has the same bytes.
 */
#include "config/read.h"

#include "base/mem.h"
#include "base/text.h"

/* Prints a string as libconfig reads it: control characters, quotes and backslashes are escaped. */
static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c == '\n')
			fputs("\\n", out);
		else if (*c == '\t')
			fputs("\\t", out);
		else if (is_control(*c))
			fprintf(out, "\\x%02x", (unsigned char)*c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

/* Prints the shortest text that reads back to the same number and that libconfig takes for a float. */
static void print_float(FILE *out, double value)
{
	char text[40];

	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, value); /* fits */
		if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
			break;
	}
	fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_strings(FILE *out, const char *const *strings, size_t n)
{
	fputs("[ ", out);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", out);
		print_string(out, strings[i]);
	}
	fputs(" ]", out);
}

/* The word of a choice; NULL: it has none. */
static const char *chosen(const struct setting_spec *spec, const void *value)
{
	return spec->names[spec->kind == VALUE_WORD ? *(const bool *)value : *(const int *)value];
}

static bool has_value(const struct setting_spec *spec, const char *target)
{
	const void *value = target + spec->offset;

	if (spec->given)
		return *((const bool *)target + spec->given);
	if (spec->quiet)
		return *(const bool *)value;
	switch (spec->kind) {
	case VALUE_OTHER:
		return false;
	case VALUE_NAME:
	case VALUE_PATH:
	case VALUE_SQL:
	case VALUE_STRINGS:
		return *(void *const *)value != NULL;
	case VALUE_CHOICE:
	case VALUE_WORD:
		return chosen(spec, value) != NULL;
	default:
		return true;
	}
}

static void print_value(FILE *out, const struct setting_spec *spec, const char *target)
{
	const void *value = target + spec->offset;
	char text[32] = "";

	switch (spec->kind) {
	case VALUE_OTHER:
		return;
	case VALUE_BOOL:
		fputs(*(const bool *)value ? "true" : "false", out);
		return;
	case VALUE_INT:
		fprintf(out, "%d", *(const int *)value);
		return;
	case VALUE_INT64:
		fprintf(out, "%lld", (long long)*(const int64_t *)value);
		return;
	case VALUE_SHARE:
		print_float(out, *(const double *)value);
		return;
	case VALUE_STRINGS:
		print_strings(out, *(const char *const *const *)value,
			      *(const size_t *)(const void *)(target + spec->count));
		return;
	case VALUE_NAME:
	case VALUE_PATH:
	case VALUE_SQL:
		print_string(out, *(const char *const *)value);
		return;
	case VALUE_CHOICE:
	case VALUE_WORD:
		print_string(out, chosen(spec, value));
		return;
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
	print_string(out, text);
}

/* Prints what target holds of a table, each setting on a line behind indent. */
static void print_settings(FILE *out, const char *indent, const struct setting_spec *spec,
			   const void *target)
{
	for (; spec->key; spec++)
		if (has_value(spec, target)) {
			fprintf(out, "%s%s = ", indent, spec->key);
			print_value(out, spec, target);
			fputs(";\n", out);
		}
}

static void print_rule(FILE *out, const struct column_rule *rule)
{
	if (!rule->value && !rule->keys) {
		print_string(out, rule->column);
		return;
	}
	fputs("{ column = ", out);
	print_string(out, rule->column);
	fputs(rule->value ? "; value = " : "; keys = ", out);
	if (rule->value)
		print_string(out, rule->value);
	else
		print_strings(out, rule->keys, rule->n_keys);
	fputs("; }", out);
}

/* Keeps the order of the rules, because all rules of one kind are together in a file. */
static void print_rules(FILE *out, const struct table *t)
{
	for (size_t i = 0; i < t->n_rules; i++) {
		const struct column_rule *rule = &t->rules[i];
		const bool is_list = rule->value || rule->keys;

		if (i == 0 || rule[-1].kind != rule->kind)
			fprintf(out, "\t\t%s = %c", rule_name(rule->kind), is_list ? '(' : '[');
		fputs("\n\t\t\t", out);
		print_rule(out, rule);
		if (i + 1 < t->n_rules && rule[1].kind == rule->kind)
			fputc(',', out);
		else
			fprintf(out, "\n\t\t%c;\n", is_list ? ')' : ']');
	}
}

static void print_table(FILE *out, const struct table *t)
{
	const char *const parts[] = {t->schema, t->table};
	struct table plain = *t;

	fprintf(out, "\t%s: {\n\t\ttable = ", t->name);
	if (strchr(t->schema, '.')) {
		print_strings(out, parts, 2);
	} else {
		AUTO(char_p) char *full = xprintf("%s.%s", t->schema, t->table);

		print_string(out, full);
	}
	fputs(";\n", out);
	if (t->of)
		fprintf(out, "\t\tof = \"%s\";\n", t->of->name);
	if (t->match) {
		fputs("\t\tmatch = {\n", out);
		print_settings(out, "\t\t\t", match_parts, t);
		fputs("\t\t};\n", out);
		plain.by = plain.from = NULL;
		plain.shared = false;
	}
	if (t->file.column) {
		fputs("\t\tfile = {\n", out);
		print_settings(out, "\t\t\t", file_parts, &t->file);
		fputs("\t\t};\n", out);
	}
	print_settings(out, "\t\t", table_specs, &plain);
	print_rules(out, t);
	fputs("\t};\n", out);
}

char *config_print(const struct config *config)
{
	char *text = NULL;
	size_t length;
	FILE *out = must_alloc(open_memstream(&text, &length));

	for (const struct config_group *g = config_groups; g->key; g++) {
		if (g->specs->given && !has_value(g->specs, (const char *)config))
			continue; /* a group that consists of one setting */
		fprintf(out, "%s: {\n", g->key);
		print_settings(out, "\t", g->specs, config);
		fputs("};\n", out);
	}
	print_settings(out, "", top_specs, config);
	fputs("model: {\n", out);
	for (size_t i = 0; i < config->model.n_tables; i++)
		print_table(out, &config->model.tables[i]);
	fputs("};\npolicies = (\n", out);
	for (size_t i = 0; i < config->n_policies; i++) {
		fputs("\t{\n", out);
		print_settings(out, "\t\t", policy_specs, &config->policies[i]);
		fputs(i + 1 < config->n_policies ? "\t},\n" : "\t}\n", out);
	}
	fputs(");\n", out);
	if (fclose(out) != 0)
		must_alloc(NULL); /* into memory: only memory can be short */
	return text;
}

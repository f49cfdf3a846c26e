/*
 * Prints the canonical file: every setting that has a value, with defaults, in one order, without
 * includes.  A file printed from it after parsing has the same bytes.
 */
#include "config/config.h"

#include "base/mem.h"

#include <string.h>

/* Prints a string as libconfig reads it: control characters, quotes and backslashes are escaped. */
static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const char *c = text; *c; c++) {
		const unsigned char byte = (unsigned char)*c;

		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c == '\n')
			fputs("\\n", out);
		else if (*c == '\t')
			fputs("\\t", out);
		else if (byte < ' ' || byte == 127)
			fprintf(out, "\\x%02x", byte);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void print_setting(FILE *out, const char *key, const char *text)
{
	if (!text)
		return;
	fprintf(out, "%s = ", key);
	print_string(out, text);
	fputs(";\n", out);
}

static void print_bool(FILE *out, const char *key, bool value)
{
	fprintf(out, "%s = %s;\n", key, value ? "true" : "false");
}

/* Prints the shortest text that reads back to the same number and that libconfig takes for a float. */
static void print_float(FILE *out, const char *key, double value)
{
	char text[40];

	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, value); /* fits */
		if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
			break;
	}
	fprintf(out, "%s = %s%s;\n", key, text, strpbrk(text, ".e") ? "" : ".0");
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

static void print_groups(FILE *out, const struct config *config)
{
	const char delimiter[] = {config->delimiter, '\0'};
	char text[32];

	fputs("database: {\n", out);
	print_setting(out, "\tconninfo", config->conninfo);
	print_setting(out, "\ttimezone", config->timezone);
	fputs("};\narchives: {\n", out);
	print_setting(out, "\tdirectory", config->directory);
	print_setting(out, "\tdelimiter", delimiter);
	print_bool(out, "\tbom", config->bom);
	if (config->has_keep) {
		period_print(&config->keep, text, sizeof(text));
		print_setting(out, "\tkeep", text);
	}
	if (config->n_recipients > 0) {
		fputs("\trecipients = ", out);
		print_strings(out, config->recipients, config->n_recipients);
		fputs(";\n", out);
	}
	fprintf(out, "};\nlimits: {\n\tworkers = %d;\n\tbatch_rows = %d;\n", config->workers,
		config->batch_rows);
	duration_ms_print(config->batch_time_ms, text, sizeof(text));
	print_setting(out, "\tbatch_time", text);
	fprintf(out, "\trows_per_second = %lld;\n", (long long)config->rows_per_second);
	duration_ms_print(config->max_replica_lag_ms, text, sizeof(text));
	print_setting(out, "\tmax_replica_lag", text);
	fprintf(out, "\tmax_wal_backlog_mb = %lld;\n", (long long)config->max_wal_backlog_mb);
	duration_ms_print(config->max_snapshot_age_ms, text, sizeof(text));
	print_setting(out, "\tmax_snapshot_age", text);
	if (config->has_window) {
		window_print(&config->window, text, sizeof(text));
		print_setting(out, "\twindow", text);
	}
	print_float(out, "\tmax_share", config->max_share);
	print_setting(out, "\tintegrity", integrity_name(config->integrity));
	print_bool(out, "\tvacuum", config->vacuum);
	print_bool(out, "\tcourtesy", config->courtesy);
	fputs("};\n", out);
	if (config->metrics_textfile || config->metrics_listen) {
		fputs("metrics: {\n", out);
		print_setting(out, "\ttextfile", config->metrics_textfile);
		print_setting(out, "\tlisten", config->metrics_listen);
		duration_ms_print(config->metrics_interval_ms, text, sizeof(text));
		print_setting(out, "\tinterval", text);
		fputs("};\n", out);
	}
	if (config->has_backups_keep) {
		period_print(&config->backups_keep, text, sizeof(text));
		fputs("backups: {\n", out);
		print_setting(out, "\tkeep", text);
		fputs("};\n", out);
	}
	print_bool(out, "four_eyes", config->four_eyes);
	print_setting(out, "replay", config->replay_automatic ? "automatic" : NULL);
}

static void print_rule(FILE *out, const struct column_rule *rule)
{
	switch (rule->kind) {
	case RULE_SET:
		fputs("{ column = ", out);
		print_string(out, rule->column);
		fputs("; value = ", out);
		print_string(out, rule->value);
		fputs("; }", out);
		break;
	case RULE_JSON:
	case RULE_JSON_KEEP:
		fputs("{ column = ", out);
		print_string(out, rule->column);
		fputs("; keys = ", out);
		print_strings(out, rule->keys, rule->n_keys);
		fputs("; }", out);
		break;
	case RULE_CLEAR:
	case RULE_REDACT:
	case RULE_KEEP:
	case RULE_COUNT:
		print_string(out, rule->column);
		break;
	}
}

/* Keeps the order of the rules, because all rules of one kind are together in a file. */
static void print_rules(FILE *out, const struct table *t)
{
	for (size_t i = 0; i < t->n_rules; i++) {
		const enum rule_kind kind = t->rules[i].kind;
		const bool is_list =
			kind == RULE_SET || kind == RULE_JSON || kind == RULE_JSON_KEEP;

		if (i == 0 || t->rules[i - 1].kind != kind)
			fprintf(out, "\t\t%s = %c", rule_name(kind), is_list ? '(' : '[');
		fputs("\n\t\t\t", out);
		print_rule(out, &t->rules[i]);
		if (i + 1 < t->n_rules && t->rules[i + 1].kind == kind)
			fputc(',', out);
		else
			fprintf(out, "\n\t\t%c;\n", is_list ? ')' : ']');
	}
}

static void print_table(FILE *out, const struct table *t)
{
	static const char *const delete_names[] = {
		[ON_DELETE_DELETE] = "delete",
		[ON_DELETE_DETACH] = "detach",
		[ON_DELETE_KEEP] = "keep",
	};
	const char *const parts[] = {t->schema, t->table};

	fprintf(out, "\t%s: {\n\t\ttable = ", t->name);
	if (strchr(t->schema, '.')) {
		print_strings(out, parts, 2);
	} else {
		AUTO(char_p) char *full = xprintf("%s.%s", t->schema, t->table);

		print_string(out, full);
	}
	fputs(";\n", out);
	print_setting(out, "\t\tkey", t->key);
	print_setting(out, "\t\tof", t->of ? t->of->name : NULL);
	if (t->match) {
		fputs("\t\tmatch = { column = ", out);
		print_string(out, t->by);
		fputs("; of = ", out);
		print_string(out, t->from);
		fputs("; };\n", out);
	} else {
		print_setting(out, "\t\tby", t->by);
		print_setting(out, "\t\tfrom", t->from);
		if (t->shared)
			print_bool(out, "\t\tshared", true);
	}
	if (t->file.column) {
		fputs("\t\tfile = { column = ", out);
		print_string(out, t->file.column);
		fputs(t->file.root ? "; root = " : "; command = ", out);
		if (t->file.root)
			print_string(out, t->file.root);
		else
			print_strings(out, t->file.command, t->file.n_command);
		fputs("; };\n", out);
	}
	if (t->identity) {
		fputs("\t\tidentity = ", out);
		print_strings(out, t->identity, t->n_identity);
		fputs(";\n", out);
	}
	print_setting(out, "\t\twhere", t->where);
	print_setting(out, "\t\tdate", t->date);
	print_setting(out, "\t\tdue_when", t->due_when);
	print_setting(out, "\t\tcreated", t->created);
	print_bool(out, "\t\tarchive", t->archive);
	print_bool(out, "\t\tallow_unindexed", t->allow_unindexed);
	print_setting(out, "\t\tdelete", delete_names[t->on_delete]);
	if (t->on_anonymize == ON_ANONYMIZE_DELETE || t->on_anonymize == ON_ANONYMIZE_KEEP)
		print_setting(out, "\t\tanonymize",
			      t->on_anonymize == ON_ANONYMIZE_DELETE ? "delete" : "keep");
	print_rules(out, t);
	fputs("\t};\n", out);
}

static void print_policy(FILE *out, const struct policy *policy)
{
	char depth[24];

	period_print(&policy->depth, depth, sizeof(depth));
	fputs("\t{\n", out);
	print_setting(out, "\t\tname", policy->name);
	print_setting(out, "\t\taction", action_name(policy->action));
	print_setting(out, "\t\tdepth", depth);
	print_setting(out, "\t\tschedule", policy->schedule_text);
	print_setting(out, "\t\tarchive", archive_mode_name(policy->archive));
	print_setting(out, "\t\tscope", policy->scope);
	print_setting(out, "\t\twithout_requests", policy->without_requests ? "created" : NULL);
	print_bool(out, "\t\tapproval", policy->approval);
	print_bool(out, "\t\tenabled", policy->enabled);
	fputs("\t}", out);
}

char *config_print(const struct config *config)
{
	char *text = NULL;
	size_t length;
	FILE *out = must_alloc(open_memstream(&text, &length));

	print_groups(out, config);
	fputs("model: {\n", out);
	for (size_t i = 0; i < config->model.n_tables; i++)
		print_table(out, &config->model.tables[i]);
	fputs("};\npolicies = (\n", out);
	for (size_t i = 0; i < config->n_policies; i++) {
		print_policy(out, &config->policies[i]);
		fputs(i + 1 < config->n_policies ? ",\n" : "\n", out);
	}
	fputs(");\n", out);
	if (fclose(out) != 0)
		must_alloc(NULL); /* into memory: only memory can be short */
	return text;
}

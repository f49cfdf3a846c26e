/*
 * Reads a command's arguments by its usage, so that the two cannot differ:
 * - "ID" is the number of an action, "ID|NAME" may be the name of an archive instead, and "ID|POLICY" that of a policy,
 *   which is any text but a number (command->id is 0 then), and any other word in capitals is one argument of any form;
 * - an option that is named may be given, and has the kind that the table below says;
 * - what stands in brackets may be left out, and so may everything if there is an ", or ": then
 *   the command has its own check.
 */
#include "command/command.h"

#include "base/text.h"

#include <ctype.h>

enum value {
	VALUE_NONE,
	VALUE_TEXT,
	VALUE_DATE,
	VALUE_NUMBER,
	VALUE_COUNT,
	VALUE_HASH,
	VALUE_FILE
};

static const struct {
	const char *name;
	enum value value;
	size_t offset; /* in struct command_options */
} options[] = {
#define AT(member) offsetof(struct command_options, member)
	{"action", VALUE_TEXT, AT(action)},
	{"alive", VALUE_NONE, AT(alive)},
	{"apply", VALUE_NONE, AT(apply)},
	{"archive", VALUE_TEXT, AT(archive)},
	{"as-of", VALUE_DATE, AT(as_of)},
	{"ask", VALUE_NONE, AT(ask)},
	{"auditor", VALUE_NONE, AT(auditor)},
	{"configuration", VALUE_NONE, AT(configuration)},
	{"contact", VALUE_TEXT, AT(contact)},
	{"date", VALUE_TEXT, AT(date)},
	{"depth", VALUE_TEXT, AT(depth)},
	{"disable-triggers", VALUE_NONE, AT(disable_triggers)},
	{"dry-run", VALUE_NONE, AT(dry_run)},
	{"expires", VALUE_DATE, AT(expires)},
	{"follow", VALUE_NONE, AT(follow)},
	{"format", VALUE_TEXT, AT(format)},
	{"from", VALUE_DATE, AT(from)},
	{"identity", VALUE_FILE, AT(identity)},
	{"json", VALUE_NONE, AT(json)},
	{"keys", VALUE_NONE, AT(keys)},
	{"last-hash", VALUE_HASH, AT(last_hash)},
	{"new", VALUE_NONE, AT(is_new)},
	{"note", VALUE_TEXT, AT(note)},
	{"operator", VALUE_NONE, AT(operator)},
	{"reason", VALUE_TEXT, AT(reason)},
	{"record", VALUE_NONE, AT(record)},
	{"replace", VALUE_NONE, AT(replace)},
	{"request", VALUE_TEXT, AT(request)},
	{"request-by", VALUE_TEXT, AT(request_by)},
	{"review", VALUE_DATE, AT(review)},
	{"role", VALUE_TEXT, AT(role)},
	{"sample", VALUE_NUMBER, AT(sample)},
	{"samples", VALUE_NONE, AT(samples)},
	{"schedule", VALUE_TEXT, AT(schedule)},
	{"seen", VALUE_COUNT, AT(seen)},
	{"timeout", VALUE_NUMBER, AT(timeout)},
	{"to", VALUE_DATE, AT(to)},
	{"values", VALUE_TEXT, AT(values)},
	{"verbose", VALUE_NONE, AT(verbose)},
	{"version", VALUE_NUMBER, AT(version)},
	{"yes", VALUE_NONE, AT(yes)},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static const char **value_of(struct command *cmd, size_t option)
{
	return (const char **)(void *)((char *)&cmd->options + options[option].offset);
}

int command_option(int argc, char **argv, const char *shorts, const struct option *longs,
		   struct error *err)
{
	int c;

	opterr = 0; /* getopt prints no message of its own */
	c = getopt_long(argc, argv, shorts, longs, NULL);
	if (c == ':')
		(void)fail(err, ERR_USAGE, _("%s needs a value"), argv[optind - 1]);
	else if (c == '?' && strncmp(argv[optind - 1], "--", 2) == 0)
		(void)fail(err, ERR_USAGE, _("unknown option %s"), argv[optind - 1]);
	else if (c == '?')
		(void)fail(err, ERR_USAGE, _("unknown option -%c"), optopt);
	return c == ':' ? '?' : c;
}

/* Where the usage names the option; NULL: nowhere. */
static const char *find_option(const char *usage, const char *name)
{
	const size_t n = strlen(name);

	for (; (usage = strstr(usage, "--")); usage += 2)
		if (strncmp(usage + 2, name, n) == 0 && usage[2 + n] != '-' &&
		    !islower((unsigned char)usage[2 + n]))
			return usage;
	return NULL;
}

/* A hash of the journal, as verify prints it, or without the number of its event. */
static bool is_hash(const char *text)
{
	const char *colon = strchr(text, ':');
	char number[20] = "1";
	int64_t n;

	if (colon)
		(void)snprintf(number, sizeof(number), "%.*s", (int)(colon - text), text);
	text = colon ? colon + 1 : text;
	return number_parse(number, 1, INT64_MAX, &n) &&
	       strspn(text, "0123456789abcdefABCDEF") == 64 && !text[64];
}

static bool check_value(enum value value, const char *text, struct error *err)
{
	int64_t n;

	if (value == VALUE_DATE && !date_is_valid(text))
		return fail(err, ERR_USAGE, _("\"%s\" is not a date: use YYYY-MM-DD"), text);
	if (value == VALUE_NUMBER && !number_parse(text, 1, 1000000, &n))
		return fail(err, ERR_USAGE, _("\"%s\" is not a number from 1 to 1000000"), text);
	if (value == VALUE_COUNT && !number_parse(text, 0, INT64_MAX, &n))
		return fail(err, ERR_USAGE, _("\"%s\" is not a number of keys"), text);
	if (value == VALUE_HASH && !is_hash(text))
		return fail(err, ERR_USAGE,
			    _("\"%s\" is not a hash of 64 hexadecimal digits, alone or behind the "
			      "number of its event and a colon"),
			    text);
	if (value == VALUE_FILE && access(text, R_OK) < 0)
		return fail(err, ERR_USAGE, _("cannot read %s"), text);
	return true;
}

/* Reads the options that the usage names. */
static bool parse_options(struct command *cmd, int argc, char **argv, struct error *err)
{
	struct option longs[OPTIONS + 1] = {{NULL, 0, NULL, 0}};
	size_t n = 0, verbose = OPTIONS; /* -v is short for it */
	int c;

	for (size_t i = 0; i < OPTIONS; i++)
		if (find_option(cmd->spec->arguments, options[i].name)) {
			if (strcmp(options[i].name, "verbose") == 0)
				verbose = i;
			longs[n++] = (struct option){.name = options[i].name,
						     .has_arg = options[i].value == VALUE_NONE
									? no_argument
									: required_argument,
						     .val = (int)i};
		}
	optind = 0; /* glibc: starts again, behind the words of the command */
	while ((c = command_option(argc, argv, verbose < OPTIONS ? ":v" : ":", longs, err)) != -1) {
		if (c == 'v')
			c = (int)verbose;
		if (c == '?' || !check_value(options[c].value, optarg, err))
			return false;
		*value_of(cmd, (size_t)c) = optarg ? optarg : "";
	}
	return true;
}

/* Has an option that the usage names without brackets not been given? */
static bool misses_option(struct command *cmd)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		const char *at = find_option(cmd->spec->arguments, options[i].name);

		if (at && at[-1] != '[' && !*value_of(cmd, i))
			return true;
	}
	return false;
}

bool command_parse(struct command *cmd, int argc, char **argv, struct error *err)
{
	const char *usage = cmd->spec->arguments;
	const char *word = usage + strspn(usage, " [");
	const bool checked = strstr(usage, ", or ") != NULL;
	const int most = isupper((unsigned char)*word) ? 1 : 0;
	const int least = checked || strncmp(usage, " [", 2) == 0 ? 0 : most;
	int64_t id;

	if (!parse_options(cmd, argc, argv, err))
		return false;
	if (most == 0 && optind != argc)
		return fail(err, ERR_USAGE, _("unexpected argument \"%s\""), argv[optind]);
	if (argc - optind < least || argc - optind > most || (!checked && misses_option(cmd)))
		return fail(err, ERR_USAGE, "%s",
			    cmd->spec->give ? _(cmd->spec->give)
					    : _("give the number of one action"));
	cmd->argument = argc > optind ? argv[optind] : NULL;
	if (!cmd->argument || strncmp(word, "ID", 2) != 0)
		return true;
	if (strncmp(word, "ID|NAME", 7) == 0 && strchr(cmd->argument, '-'))
		return true;
	if (strncmp(word, "ID|POLICY", 9) == 0 && cmd->argument[strspn(cmd->argument, DIGITS)])
		return true;
	if (!number_parse(cmd->argument, 1, INT32_MAX, &id))
		return fail(err, ERR_USAGE, _("\"%s\" is not the number of an action"),
			    cmd->argument);
	cmd->id = (int)id;
	cmd->argument = t_printf(cmd->ctx, "%d", cmd->id);
	return true;
}

/*
 * Configurations in and out: each complaint by its exact text and place, includes and their files,
 * the canonical print as a fixed point, the generation that a job reads from its descriptor.
 */
#include "config/load.c"

#include "base/job_protocol.h"
#include "base/text.h"

#include <sys/stat.h>

/* Behind the others: it makes a macro of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define DATABASE "database: { conninfo = \"service=crm\"; timezone = \"Europe/Paris\"; };\n"
#define FIFTY "12345678901234567890123456789012345678901234567890"
#define ARCHIVES "archives: { directory = \"/var/lib/a\"; };\n"
#define CONTACT                                                                                    \
	"contact: { table = \"crm.contact\"; key = \"id\"; created = \"at\"; "                     \
	"set: { name = \"L_{key}\"; }; clear = [ \"mail\" ]; keep = [ \"id\", \"at\" ]; };\n"
#define REQUEST                                                                                     \
	"request: { table = \"crm.request\"; key = \"id\"; of = \"contact\"; by = \"contact_id\"; " \
	"date = \"at\"; clear = [ \"subject\" ]; keep = [ \"id\" ]; };\n"
#define MODEL "model: { " CONTACT REQUEST "};\n"
#define GOOD DATABASE ARCHIVES MODEL
/* Lines 1 to 3 before, the table from line 5 on. */
#define TABLE(text) DATABASE ARCHIVES "model: { " CONTACT REQUEST text "};\n"
#define PAGE(text) "policies_from = \"file+page\"; page_policies: { " text " };\n"
/* A model without rules. */
#define PLAIN                                                                                      \
	DATABASE ARCHIVES "model: { contact: { table = \"c\"; key = \"id\"; }; request: { "        \
			  "table = \"r\"; key = \"id\"; of = \"contact\"; by = \"c\"; date = "     \
			  "\"at\"; }; };\n"
/* The same, split by a column. */
#define SHARDED(of_contact, of_request)                                                            \
	DATABASE ARCHIVES "model: { contact: { table = \"c\"; key = \"id\"; shard = \"" of_contact \
			  "\"; }; request: { table = \"r\"; key = \"id\"; of = \"contact\"; by = " \
			  "\"c\"; date = \"at\"; shard = \"" of_request "\"; }; };\n"
/* The same with a join table, in a group of this text. */
#define THROUGH(text)                                                                              \
	DATABASE ARCHIVES "model: { contact: { table = \"c\"; key = \"id\"; }; request: { "        \
			  "table = \"r\"; key = \"id\"; date = \"at\"; through = { " text          \
			  " }; }; };\n"
#define POLICY_OF(text) GOOD "policies = ( { " text " } );\n"
#define POLICY_WITH(text)                                                                          \
	POLICY_OF("name = \"x\"; action = \"delete_contacts\"; depth = \"1 year\"; "               \
		  "schedule = \"daily\"; " text)

/* Older ones cut an integer to 32 bits; from 1.7 on, libconfig reads it whole, and its range is judged as well. */
#if LIBCONFIG_VER_MAJOR > 1 || LIBCONFIG_VER_MINOR >= 7
#define WIDE_WORKERS "\nf:6: limits: workers must be a whole number from 1 to 16"
#else
#define WIDE_WORKERS ""
#endif

static const struct {
	const char *text;
	const char *complaints; /* joined by newlines; "": none */
} cases[] = {
	{GOOD, ""},
	{GOOD "policies = ();\n", ""},
	{GOOD "policies = [];\n", ""},
	{GOOD "# no newline at the end", ""},
	{POLICY_WITH(""), ""},
	{"", "f: group database is missing\nf: group archives is missing\n"
	     "f: group model is missing"},
	{GOOD "four_eyes = 1;\n", "f:6: four_eyes must be true or false"},
	{GOOD PAGE("shortest = \"6 months\"; actions = [ \"export\" ];"), ""},
	{GOOD PAGE("shortest = \"1 year\"; actions = ( \"anonymize_contacts\" ); "
		   "archives = [ \"full\" ]; most = 100;"),
	 ""},
	{GOOD "page_policies: { shortest = \"6 months\"; actions = [ \"export\" ]; };\n", ""},
	{GOOD "policies_from = \"file\";\n", ""},
	{GOOD "policies_from = \"page\";\n",
	 "f:6: policies_from \"page\" is not \"file\" or \"file+page\""},
	{GOOD "policies_from = \"file+page\";\n",
	 "f:6: policies_from \"file+page\" needs the group page_policies: it says which policies "
	 "the page may make"},
	{GOOD PAGE(""),
	 "f:6: page_policies: shortest is missing\nf:6: page_policies: actions is missing"},
	{GOOD PAGE("shortest = \"180 days\"; actions = [ \"export\" ];"),
	 "f:6: page_policies: shortest must be months or years, at most 100 years: by days a depth of "
	 "the page, which is in months, cannot be compared"},
	{GOOD PAGE("shortest = \"101 years\"; actions = [ \"export\" ];"),
	 "f:6: page_policies: shortest must be months or years, at most 100 years: by days a depth of "
	 "the page, which is in months, cannot be compared"},
	{GOOD PAGE("shortest = \"1 month\"; actions = [ \"delete_contact\" ];"),
	 "f:6: page_policies: actions: \"delete_contact\" is not an action; did you mean "
	 "\"delete_contacts\"?"},
	{GOOD PAGE("shortest = \"1 month\"; actions = [ \"export\" ]; archives = [ \"some\" ];"),
	 "f:6: page_policies: archives: \"some\" is not none, listed or full"},
	{GOOD PAGE("shortest = \"1 month\"; actions = [ \"export\" ]; most = 101;"),
	 "f:6: page_policies: most must be a whole number from 1 to 100"},
	{PLAIN PAGE("shortest = \"1 month\"; actions = [ \"export\", \"anonymize_requests\" ];"),
	 "f:4: page_policies: anonymize_requests needs rules (set, clear, json, keep) on table "
	 "\"request\" of the model"},
	{TABLE("x: { table = \"x\"; of = \"contact\"; by = \"c\"; };")
		 PAGE("shortest = \"1 month\"; actions = [ \"anonymize_contacts\" ];"),
	 "f:5: model: table \"x\": a policy of the page anonymizes \"contact\" and all tables below "
	 "it: add anonymize = \"delete\" or \"keep\", or rules"},
	{TABLE("x: { table = \"x\"; of = \"contact\"; by = \"c\"; refresh = true; };"), ""},
	{TABLE("x: { table = \"x\"; of = \"contact\"; by = \"c\"; refresh = 1; };"),
	 "f:5: model: table \"x\": refresh must be true or false"},
	{TABLE("x: { table = \"x\"; of = \"contact\"; by = \"c\"; shard = \"tenant\"; };"),
	 "f:5: model: table \"x\": shard needs that of \"contact\", whose value each row of \"x\" holds: say shard on contact first"},
	{TABLE("x: { table = \"x\"; of = \"contact\"; by = \"c\"; shard = [ \"a\", \"b\" ]; };"),
	 "f:5: model: table \"x\": shard must be a string in double quotes"},
	{SHARDED("account_id", "account"), ""},
	{SHARDED("", "account"),
	 "f:3: model: table \"contact\": shard is empty\nf:3: model: table \"request\": shard needs that of \"contact\", whose value each row of \"request\" holds: say shard on contact first"},
	{GOOD "polices = ();\n", "f:6: unknown key \"polices\"; did you mean \"policies\"?"},
	{GOOD "zzz = 1;\n", "f:6: unknown key \"zzz\""},
	{GOOD "x = \n\n@;\n", "f:8: syntax error, here or shortly before"},
	{GOOD "limits = 3;\n", "f:6: limits must be a group: limits: { ... };"},
	{GOOD "limits: { workers = 0; };\n",
	 "f:6: limits: workers must be a whole number from 1 to 16"},
	{GOOD "limits: { workers = 4294967298L; };\n",
	 "f:6: limits: workers must be a whole number from 1 to 16"},
	{GOOD "limits: { workers = 4294967298; };\n",
	 "f:6: the number 4294967298 is too large" WIDE_WORKERS},
	{GOOD "limits: { workers = 0x100000002; };\n", "f:6: the number 0x100000002 is too large"},
	{GOOD "limits: { workers = 3L; batch_rows = 0x10; rows_per_second = 1000000000L; };\n", ""},
	{GOOD "limits: { workers = 2.0; };\n",
	 "f:6: limits: workers must be a whole number from 1 to 16"},
	{GOOD "limits: { workers = \"2\"; };\n",
	 "f:6: limits: workers must be a whole number from 1 to 16"},
	{GOOD "limits: { batch_time = \"9ms\"; };\n",
	 "f:6: limits: batch_time \"9ms\" is not a duration (Nms, Ns, Nmin, Nh) from 10ms to 1min"},
	{GOOD "limits: { batch_time = 250; };\n",
	 "f:6: limits: batch_time must be a string in double quotes"},
	{GOOD "limits: { window = \"22-06\"; };\n",
	 "f:6: limits: window \"22-06\" is not HH:MM-HH:MM with two different times"},
	{GOOD "limits: { max_share = 1; };\n", ""},
	{GOOD "limits: { max_share = 1.01; };\n",
	 "f:6: limits: max_share must be a number above 0 and at most 1"},
	{GOOD "limits: { max_share = 1e999; };\n",
	 "f:6: limits: max_share must be a number above 0 and at most 1"},
	{GOOD "limits: { max_share = 0; };\n",
	 "f:6: limits: max_share must be a number above 0 and at most 1"},
	{GOOD "limits: { pause_file = \"/run/pause\"; };\n",
	 "f:6: limits: key \"pause_file\" was removed: use retentionctl pause"},
	{"database: { };\n" ARCHIVES MODEL, "f:1: database: conninfo is missing\n"
					    "f:1: database: timezone is missing"},
	{"database: {\n conninfo = \"host=a password=b\";\n timezone = \"Europe/Pariss\"; };\n" ARCHIVES
		 MODEL,
	 "f:2: database: conninfo holds a password: put it into ~/.pgpass of the daemon's user, or a "
	 "systemd credential with passfile=\n"
	 "f:3: database: timezone \"Europe/Pariss\" is not in this system's time zone database; "
	 "an example is \"Europe/Paris\""},
	{"database: { conninfo = \"postgresql://u:secret@h/d\"; timezone = \"UTC\"; };\n" ARCHIVES
		 MODEL,
	 "f:1: database: conninfo holds a password: put it into ~/.pgpass of the daemon's user, or a "
	 "systemd credential with passfile="},
	{"database: { conninfo = \"host=a sslpassword=b\"; timezone = \"UTC\"; };\n" ARCHIVES MODEL,
	 "f:1: database: conninfo holds a password (sslpassword): give a key without one that only "
	 "the daemon's user can read"},
	{"database: { conninfo = \"password=my secret\"; timezone = \"UTC\"; };\n" ARCHIVES MODEL,
	 "f:1: database: conninfo is not a connection string: \"key=value key=value\" or a "
	 "postgresql:// address"},
	{DATABASE "archives: { directory = \"a\"; delimiter = \"x\"; keep = \"5\"; bom = 1; "
		  "formulas = \"no\"; };\n" MODEL,
	 "f:2: archives: directory \"a\" does not begin with /\n"
	 "f:2: archives: delimiter must be one ASCII character, a tab or punctuation, and neither a "
	 "double quote nor a backslash\n"
	 "f:2: archives: keep \"5\" is not N days|weeks|months|years, N from 1 to 9999, at most "
	 "1000 years\n"
	 "f:2: archives: bom must be true or false\n"
	 "f:2: archives: formulas \"no\" is not \"text\" or \"keep\""},
	{DATABASE "archives: { directory = \"/a\"; formulas = \"keep\"; };\n" MODEL, ""},
	{DATABASE
	 "archives: { directory = \"/a\"; web_socket = \"/run/s\"; web_user = \"w\"; };\n" MODEL,
	 ""},
	{DATABASE "archives: { directory = \"/a\"; web_socket = \"s\"; web_user = \"\"; };\n" MODEL,
	 "f:2: archives: web_socket \"s\" does not begin with /\n"
	 "f:2: archives: web_user is empty"},
	{DATABASE "archives: { directory = \"/a\"; web_socket = \"/" FIFTY FIFTY
		  "1234567\"; };\n" MODEL,
	 "f:2: archives: web_socket \"/" FIFTY FIFTY
	 "1234567\" is longer than the path of a socket may be, 107 bytes"},
	{DATABASE "archives: { directory = \"/a\"; web_socket = \"/" FIFTY FIFTY
		  "123456\"; };\n" MODEL,
	 ""},
	{DATABASE "archives: { directory = \"/a\\nb\"; };\n" MODEL,
	 "f:2: archives: directory holds a control character"},
	{DATABASE "archives: { directory = \"/a\\x00b\"; };\n" MODEL,
	 "f:2: \\x00 cannot stand in a string"},
	/* policies */
	{POLICY_OF("name = \"x\"; action = \"delete_contacts\"; depth = \"18 moths\"; "
		   "schedule = \"monthly\";"),
	 "f:6: policy \"x\": depth \"18 moths\" is not N days|weeks|months|years, N from 1 to 9999, "
	 "at most 1000 years"},
	{POLICY_OF("name = \"x\"; action = \"delete_contacts\"; depth = \"9999 years\"; "
		   "schedule = \"monthly\";"),
	 "f:6: policy \"x\": depth \"9999 years\" is not N days|weeks|months|years, N from 1 to "
	 "9999, at most 1000 years"},
	{POLICY_OF(""), "f:6: policy 1: name is missing\nf:6: policy 1: action is missing\n"
			"f:6: policy 1: depth is missing\nf:6: policy 1: schedule is missing"},
	{POLICY_WITH("dept = \"1 year\";"),
	 "f:6: unknown key \"dept\" in policy \"x\"; did you mean \"depth\"?"},
	{POLICY_WITH("archive = \"some\";"),
	 "f:6: policy \"x\": archive \"some\" is not \"none\", \"listed\" or \"full\""},
	{POLICY_WITH("approval = \"yes\";"), "f:6: policy \"x\": approval must be true or false"},
	{POLICY_WITH("scope = \" \\n\";"), "f:6: policy \"x\": scope is empty"},
	{POLICY_WITH("scope = \"a\\nand b\";"), ""},
	{POLICY_WITH("without_requests = \"created\";"), ""},
	{POLICY_WITH("without_requests = true;"),
	 "f:6: policy \"x\": without_requests must be a string in double quotes"},
	{POLICY_WITH("without_requests = \"updated\";"),
	 "f:6: policy \"x\": without_requests \"updated\" is not \"created\""},
	{POLICY_OF("name = \"x\"; action = \"delete\"; depth = \"1 year\"; schedule = \"often\";"),
	 "f:6: policy \"x\": action \"delete\" is not \"export\", \"delete_contacts\", "
	 "\"anonymize_contacts\" or \"anonymize_requests\"\n"
	 "f:6: policy \"x\": schedule \"often\": it is neither hourly, daily, weekly, monthly, yearly "
	 "nor five fields: minute hour day month weekday"},
	{POLICY_OF("name = \"a b\"; action = \"export\"; depth = \"1 year\"; schedule = \"daily\"; "
		   "archive = \"none\";"),
	 "f:6: policy 1: name \"a b\" is not 1 to 63 letters, digits, dots, - and _\n"
	 "f:6: policy 1: archive \"none\": an export only writes an archive: use listed or full"},
	{POLICY_OF("name = \"x\"; action = \"anonymize_contacts\"; depth = \"1 year\"; "
		   "schedule = \"daily\"; archive = \"full\";"),
	 "f:6: policy \"x\": archive \"full\": an anonymization cannot be archived, because it must not "
	 "leave the old values: leave archive out"},
	{GOOD
	 "policies = (\n"
	 "{ name = \"x\"; action = \"export\"; depth = \"1 year\"; schedule = \"daily\"; },\n"
	 "{ name = \"x\"; action = \"export\"; depth = \"1 year\"; schedule = \"daily\"; }, 3 );\n",
	 "f:8: policy \"x\": another policy has the same name, at f:7\n"
	 "f:8: policy 3 must be a group: { name = \"...\"; }"},
	{GOOD "policies = { };\n",
	 "f:6: policies must be a list of at most 1000 groups: ( { ... }, { ... } )"},
	/* the model */
	{DATABASE ARCHIVES "model: { };\n", "f:3: model must be a group of 1 to 1000 tables"},
	{DATABASE ARCHIVES "model: { " REQUEST "};\n",
	 "f:3: model: table \"contact\" is missing\n"
	 "f:3: model: table \"request\": of = \"contact\" is not a table of the model"},
	{THROUGH("table = \"j\"; request = \"r\"; contact = \"c\";"), ""},
	{THROUGH("table = \"j\"; request = [ \"a\", \"r\" ]; contact = \"c\";"),
	 "f:3: model: table \"request\": by has 1 column (id), and from, of \"request_contact\" has 2 "
	 "(a, r): name them in pairs"},
	{THROUGH("table = \"j\"; request = \"r\"; contact = \"c\"; anonymize = \"delete\";"),
	 "f:3: model: table \"request\": through: anonymize \"delete\" is not \"keep\""},
	{DATABASE ARCHIVES
	 "model: { request: { table = \"r\"; date = \"at\"; through = { }; }; };\n",
	 "f:3: model: table \"request\": key is missing\n"
	 "f:3: model: table \"request\": through: table is missing\n"
	 "f:3: model: table \"request\": through: request is missing\n"
	 "f:3: model: table \"request\": through: contact is missing\n"
	 "f:3: model: table \"contact\" is missing\n"
	 "f:3: model: table \"request\": through: of = \"contact\" is not a table of the model"},
	{TABLE("m: { table = \"m\"; };\n"),
	 "f:5: model: table \"m\": by is missing\nf:5: model: table \"m\": of is missing"},
	{TABLE("m: { table = \"m\"; of = \"reqest\"; by = \"r\"; };\n"),
	 "f:5: model: table \"m\": of = \"reqest\" is not a table of the model; did you mean \"request\"?"},
	{TABLE("m: { table = \"m\"; of = \"n\"; by = \"r\"; key = \"k\"; };\n"
	       "n: { table = \"n\"; of = \"m\"; by = \"r\"; key = \"k\"; };\n"),
	 "f:5: model: table \"m\": its parents form a cycle and never reach \"contact\"\n"
	 "f:6: model: table \"n\": its parents form a cycle and never reach \"contact\""},
	{TABLE("n: { table = \"n\"; of = \"m\"; by = \"r\"; };\n"
	       "m: { table = \"m\"; of = \"contact\"; by = \"r\"; };\n"),
	 "f:6: model: table \"m\": key is missing: it is the parent of other tables"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; not_large_objects = [ \"n\" ]; };\n"),
	 ""},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; not_large_objects = []; };\n"),
	 "f:5: model: table \"m\": not_large_objects must be an array of 1 to 1600 strings: [ \"a\", \"b\" ]"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; export_without = [ \"n\", \"o\" ]; };\n"),
	 ""},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; export_without = \"n\"; };\n"),
	 "f:5: model: table \"m\": export_without must be an array of 1 to 1600 strings: [ \"a\", \"b\" ]"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; export_without = [ \"n ->> 'x'\" ]; };\n"),
	 "f:5: model: table \"m\": export_without leaves out whole columns, and n ->> 'x' is a value within a "
	 "document: name its column"},
	{TABLE("m: { table = \".m\"; of = \"contact\"; by = \"r\"; };\n"),
	 "f:5: model: table \"m\": table \".m\" is not \"table\" or \"schema.table\""},
	{TABLE("m: { table = [ \"a.b\", \"c.d\" ]; of = \"contact\"; by = \"r\"; };\n"), ""},
	{TABLE("m: { table = [ \"a.b\" ]; of = \"contact\"; by = \"r\"; };\n"),
	 "f:5: model: table \"m\": table as an array is [ \"schema\", \"table\" ]"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; delete = \"detatch\"; "
	       "anonymize = \"clear\"; where = \"\"; };\n"),
	 "f:5: model: table \"m\": delete \"detatch\" is not \"delete\", \"detach\" or \"keep\"\n"
	 "f:5: model: table \"m\": anonymize \"clear\" is not \"delete\" or \"keep\"\n"
	 "f:5: model: table \"m\": where is empty"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; anonymize = \"keep\";\n"
	       "clear = [ \"a\" ]; };\n"),
	 "f:6: model: table \"m\": clear contradicts anonymize: use only one of them"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; key = \"k\"; anonymize = \"delete\"; };\n"
	       "n: { table = \"n\"; of = \"m\"; by = \"r\"; anonymize = \"keep\"; };\n"),
	 "f:6: model: table \"n\": its rows cannot stay, because they belong to rows of \"m\", which "
	 "are deleted: use anonymize = \"delete\""},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\";\n"
	       "clear = [ \"a\", \"r\" ];\n keep = [ \"a\" ]; };\n"),
	 "f:5: model: table \"m\": column \"r\" is its by and cannot be under clear: put it under keep\n"
	 "f:7: model: table \"m\": column \"a\" is under clear and under keep: use one rule for each column"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; clear = [ \"a\", \"a\" ]; };\n"),
	 "f:5: model: table \"m\": column \"a\" is under clear twice"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; set: { a = \"{key}\"; }; };\n"),
	 "f:5: model: table \"m\": key is missing: set a = \"{key}\" needs it"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; key = \"k\"; "
	       "set: { a = \"{id}\"; b = \"{\"; c = \"\"; d = \"{key}-{number}\"; e = \"{key\"; }; };\n"),
	 "f:5: model: table \"m\": set a = \"{id}\": the placeholders are {key} and {number}\n"
	 "f:5: model: table \"m\": set b = \"{\": the placeholders are {key} and {number}\n"
	 "f:5: model: table \"m\": set e = \"{key\": the placeholders are {key} and {number}"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; key = \"k\"; "
	       "set = ( { column = \"pr\xc3\xa9nom\"; value = \"F_{number}\"; } ); "
	       "json = ( { column = \"Extra Data\"; keys = [ \"iban\" ]; } ); };\n"),
	 ""},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; set = ( 1 ); json = []; };\n"),
	 "f:5: model: table \"m\": set as a list holds { column = \"...\"; value = ...; }\n"
	 "f:5: model: table \"m\": json must be a group { column = ...; } or a list "
	 "( { column = \"...\"; ... } ), and not empty"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; json: { a = [ 1 ]; b = []; }; "
	       "clear = \"x\"; };\n"),
	 "f:5: model: table \"m\": json must be a string in double quotes\n"
	 "f:5: model: table \"m\": json must be an array of 1 to 1600 strings: [ \"a\", \"b\" ]\n"
	 "f:5: model: table \"m\": clear must be an array of 1 to 1600 strings: [ \"a\", \"b\" ]"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; date = \"d\"; created = \"c\"; };\n"),
	 "f:5: model: table \"m\": date is for table \"request\" only\n"
	 "f:5: model: table \"m\": created is for table \"contact\" only"},
	{DATABASE ARCHIVES
	 "model: { contact: { table = \"c\"; of = \"request\"; delete = \"keep\"; "
	 "anonymize = \"delete\"; };\n"
	 "request: { table = \"r\"; of = \"x\"; by = \"c\"; };\n"
	 "x: { table = \"x\"; of = \"contact\"; by = \"c\"; key = \"k\"; }; };\n",
	 "f:3: model: table \"contact\": a contact has no parent and is always deleted: leave of "
	 "out\n"
	 "f:3: model: table \"contact\": a contact has no parent and is always deleted: leave "
	 "delete out\n"
	 "f:3: model: table \"contact\": an anonymized contact is not deleted: use rules\n"
	 "f:3: model: table \"contact\": key is missing\n"
	 "f:4: model: table \"request\": date is missing\n"
	 "f:4: model: table \"request\": key is missing\n"
	 "f:4: model: table \"request\": of must be \"contact\""},
	/* rows that stay, and lose more than their link */
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; key = \"k\"; delete = \"detach\"; "
	       "on_delete: { set: { a = \"A_{key}\"; }; clear = [ \"b\", \"c d\" ]; json: { e = [ \"f\" ]; }; "
	       "json_keep = ( { column = \"g h\"; keys = [ \"i\" ]; } ); keep = [ \"j\" ]; }; "
	       "clear = [ \"b\" ]; };\n"),
	 ""},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; key = \"k\"; delete = \"detach\"; "
	       "on_delete: { clear = [ \"b\" ]; keep = [ \"b\" ]; }; };\n"),
	 "f:5: model: table \"m\": on_delete: column \"b\" is under clear and under keep: use one rule for each "
	 "column"},
	/* a policy and the model */
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; };\n") "policies = ( { name = \"x\"; "
									 "action = \"anonymize_contacts\"; depth = \"1 year\"; schedule = \"daily\"; } );\n",
	 "f:5: model: table \"m\": policy \"x\" anonymizes \"contact\" and all tables below it: add "
	 "anonymize = \"delete\" or \"keep\", or rules"},
	{TABLE("m: { table = \"m\"; of = \"contact\"; by = \"r\"; };\n") "policies = ( { name = \"x\"; "
									 "action = \"anonymize_requests\"; depth = \"1 year\"; schedule = \"daily\"; } );\n",
	 ""},
	{DATABASE ARCHIVES
	 "model: { contact: { table = \"c\"; key = \"k\"; };\n"
	 "request: { table = \"r\"; key = \"k\"; of = \"contact\"; by = \"c\"; date = \"d\"; }; };\n"
	 "policies = ( { name = \"x\"; action = \"anonymize_contacts\"; depth = \"1 year\"; "
	 "schedule = \"daily\"; without_requests = \"created\"; } );\n",
	 "f:5: policy \"x\": without_requests needs created in table \"contact\" of the model\n"
	 "f:5: policy \"x\": anonymize_contacts needs rules (set, clear, json, keep) on table "
	 "\"request\" of the model\n"
	 "f:5: policy \"x\": anonymize_contacts needs rules (set, clear, json, keep) on table "
	 "\"contact\" of the model"},
	/* the expanded text's own traps */
	{GOOD "@include \"/etc/passwd\"\n", "f:6: @include in a text that is already expanded"},
	{"#@ 7 /g\n" GOOD "#@ 3 /h\nx = 1;\n", "/h:3: unknown key \"x\""},
	{"#@ 7 /g\nx = 1;\n" GOOD, "/g:7: unknown key \"x\""},
	{"#@ 0 /g\nx = 1;\n" GOOD, "f:2: unknown key \"x\""},
	{"/*\n#@ 7 /g\n*/ x = 1;\n" GOOD, "f:3: unknown key \"x\""},
	{GOOD "x = \"\n#@ 7 /g\n\";\ny = 1;\n", "f:6: unknown key \"x\"\nf:9: unknown key \"y\""},
};

static char *joined(const struct complaints *c)
{
	char *all = t_strdup(c->ctx, "");

	for (size_t i = 0; i < c->n; i++)
		t_append(&all, "%s%s", i ? "\n" : "", c->lines[i]);
	return all;
}

static void check_round_trip(const struct config *config)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(char_p) char *printed = config_print(config);
	AUTO(char_p) char *reprinted = NULL;
	AUTO(talloc) void *again = config_parse_text("printed", printed, &c);

	if (!again)
		fail_msg("%s\n%s", printed, joined(&c));
	reprinted = config_print(again);
	assert_string_equal(printed, reprinted);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		AUTO(complaints) struct complaints c = {0};
		AUTO(talloc) void *config = config_parse_text("f", cases[i].text, &c);

		assert_int_equal(config == NULL, c.n > 0);
		if (!c.ctx)
			c.ctx = talloc_new(NULL);
		if (strcmp(joined(&c), cases[i].complaints) != 0)
			fail_msg("case %zu\n%s\nexpected:\n%s\ngot:\n%s", i, cases[i].text,
				 cases[i].complaints, joined(&c));
		if (config)
			check_round_trip(config);
	}
}

static void test_defaults(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	struct config *config = config_parse_text("f", POLICY_WITH(""), &c);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->delimiter, ';');
	assert_true(config->bom);
	assert_false(config->keeps_formulas);
	assert_false(config->has_keep);
	assert_int_equal(config->workers, 2);
	assert_int_equal(config->batch_rows, 10000);
	assert_int_equal(config->batch_time_ms, 250);
	assert_int_equal(config->rows_per_second, 0);
	assert_int_equal(config->max_replica_lag_ms, 10000);
	assert_int_equal(config->max_snapshot_age_ms, 0);
	assert_false(config->vacuum);
	assert_true(config->courtesy);
	assert_false(config->has_window);
	assert_true(config->max_share > 0.2499 && config->max_share < 0.2501);
	assert_false(config->four_eyes);
	assert_int_equal(config->n_policies, 1);
	assert_int_equal(config->policies[0].archive, ARCHIVE_NONE);
	assert_true(config->policies[0].enabled);
	assert_false(config->policies[0].approval);
	assert_ptr_equal(config_policy(config, "x"), &config->policies[0]);
	assert_null(config_policy(config, "y"));
	assert_ptr_equal(config->model.request->of, config->model.contact);
	assert_int_equal(config->model.contact->n_rules, 4);
	assert_int_equal(config->model.contact->rules[1].kind, RULE_CLEAR);
	assert_string_equal(config->model.contact->rules[1].column, "mail");
	assert_true(model_can_anonymize(&config->model, ACTION_ANONYMIZE_CONTACTS));
	talloc_free(config);
}

/* Files below a folder of the test's own. */
static char folder[] = "/tmp/test_config.XXXXXX";

static char *put(const char *name, const char *text, mode_t mode)
{
	static char path[4][sizeof(folder) + 40];
	static int turn;
	char *const p = path[turn++ % 4];
	FILE *out;

	(void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	(void)chmod(p, 0600); /* it may be new */
	out = fopen(p, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(p, mode), 0);
	return p;
}

/* @ before a slash stands for the folder. */
static void refuse(const char *path, const char *complaints)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(talloc) void *config = config_load(path, &c);
	char *expected;

	assert_null(config);
	assert_true(c.n > 0);
	expected = t_strdup(c.ctx, "");
	for (const char *p = complaints; *p; p++)
		if (*p == '@' && p[1] == '/')
			t_append(&expected, "%s", folder);
		else
			t_append(&expected, "%c", *p);
	assert_string_equal(joined(&c), expected);
}

static void test_files(void **state)
{
	char *main_conf;

	(void)state;
	put("model.conf", MODEL, 0640);
	main_conf = put("a.conf", DATABASE ARCHIVES "@include \"model.conf\"\n", 0664);
	refuse(main_conf, "@/a.conf: can be written by others than root and its owner (mode 0664): "
			  "chmod go-w it");
	main_conf = put("a.conf", DATABASE ARCHIVES "@include \"none.conf\"\nx = 1;\n", 0600);
	refuse(main_conf, "@/a.conf:3: cannot open @/none.conf: No such file or directory\n"
			  "@/a.conf:4: unknown key \"x\"");
	put("b.conf", "y = 1;\n@include \"a.conf\"\n", 0600);
	main_conf = put("a.conf", GOOD "@include \"b.conf\"\n", 0600);
	refuse(main_conf, "@/b.conf:1: unknown key \"y\"\n@/b.conf:2: @/a.conf includes itself");
	main_conf = put("a.conf", GOOD "@include \"b.conf\" x = 1;\n", 0600);
	refuse(main_conf,
	       "@/a.conf:6: @include takes a file's name in double quotes, without control "
	       "characters or backslashes, and nothing may follow on the line");
	main_conf = put("a.conf", GOOD "/* open\n", 0600);
	refuse(main_conf, "@/a.conf:6: the file ends inside a comment");
	refuse("/dev/null", "/dev/null: is not a regular file");
	refuse("/none/at/all", "/none/at/all: cannot be opened: No such file or directory");
}

/* Every line of every file keeps its place, through includes and lines that look like markers. */
static void test_places(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	char *main_conf;

	(void)state;
	put("model.conf", "\n#@ 99 /elsewhere\n" MODEL, 0600);
	main_conf = put("a.conf",
			"# @include \"none\"\n/*\n@include \"none\"\n*/\n" DATABASE
			"  @include \"model.conf\" # here\nbad1 = 1;\n" ARCHIVES
			"text = \"\n@include \\\"none\\\"\n#@ 9 /x\n\";\nbad2 = 1;\n",
			0600);
	assert_null(config_load(main_conf, &c));
	assert_int_equal(c.n, 3);
	assert_non_null(strstr(c.lines[0], "/a.conf:7: unknown key \"bad1\""));
	assert_non_null(strstr(c.lines[1], "/a.conf:9: unknown key \"text\""));
	assert_non_null(strstr(c.lines[2], "/a.conf:13: unknown key \"bad2\""));
}

/* Questions are comments within the model, in whatever file.  Longer words and values are not. */
static void test_marks(void **state)
{
	static const int lines[] = {2, 3, 5, 9, 4};
	AUTO(complaints) struct complaints c = {0};
	struct config *config;

	(void)state;
	put("model.conf",
	    "# a " MODEL_MARK " before\nmodel: { # " MODEL_MARK ": one\n// " MODEL_MARK "\n" CONTACT
	    "/* " MODEL_MARK " of two\n lines */ # MAS" MODEL_MARK "N, " MODEL_MARK "S\n" REQUEST
	    "x: { table = \"" MODEL_MARK "\"; of = \"contact\"; by = \"a\"; };\n#" MODEL_MARK "\n",
	    0600);
	config = config_load(put("a.conf",
				 DATABASE "# " MODEL_MARK
					  "\n@include \"model.conf\"\n}; # " MODEL_MARK
					  "\n# " MODEL_MARK "\n" ARCHIVES,
				 0600),
			     &c);
	assert_non_null(config);
	assert_int_equal(config->model.n_marks, N(lines));
	for (size_t i = 0; i < N(lines); i++) {
		assert_int_equal(config->model.marks[i].line, lines[i]);
		assert_non_null(
			strstr(config->model.marks[i].file, i < 4 ? "/model.conf" : "/a.conf"));
	}
	talloc_free(config);
}

static void test_depth(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	char name[16], text[64];

	(void)state;
	for (int i = 0; i < 13; i++) {
		(void)snprintf(name, sizeof(name), "d%d", i);
		(void)snprintf(text, sizeof(text), "@include \"d%d\"\n", i + 1);
		put(name, text, 0600);
	}
	assert_null(config_load(put("a.conf", GOOD "@include \"d0\"\n", 0600), &c));
	assert_int_equal(c.n, 1);
	assert_non_null(strstr(c.lines[0], "/d9:1: more than 10 @includes inside one another"));
}

/* What a job reads is what was accepted, byte for byte, with its places; any number of times. */
static void test_memfd(void **state)
{
	AUTO(complaints) struct complaints c = {0};
	AUTO(error) struct error err = {0};
	struct config *config, *copy;
	AUTO(fd) int fd = -1;

	(void)state;
	put("model.conf", MODEL, 0600);
	config =
		config_load(put("a.conf", DATABASE ARCHIVES "@include \"model.conf\"\n", 0600), &c);
	assert_non_null(config);
	assert_true(config_memfd(config, &fd, &err));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1); /* sealed */
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	for (int i = 0; i < 2; i++) {
		AUTO(char_p) char *printed = config_print(config);
		AUTO(char_p) char *printed_copy = NULL;

		copy = config_read_fd(fd, &c);
		assert_non_null(copy);
		printed_copy = config_print(copy);
		assert_string_equal(config->text, copy->text);
		assert_string_equal(config->path, copy->path);
		assert_string_equal(printed, printed_copy);
		assert_string_equal(config->model.request->place.file,
				    copy->model.request->place.file);
		assert_int_equal(config->model.request->place.line, 2);
		assert_int_equal(copy->model.request->place.line, 2);
		talloc_free(copy);
	}
	talloc_free(config);
	assert_null(config_read_fd(-1, &c));
	assert_string_equal(c.lines[0],
			    "the inherited configuration: cannot be read: Bad file descriptor");
}

/* Each value of the enums that the file names has a name of its own. */
static void test_names(void **state)
{
	static const struct {
		const char *const *names;
		size_t n;
	} lists[] = {{action_names, ACTION_COUNT},
		     {archive_mode_names, ARCHIVE_MODE_COUNT},
		     {rule_names, RULE_COUNT},
		     {integrity_names, INTEGRITY_COUNT},
		     {wait_words, WAIT_REASONS}};

	(void)state;
	for (size_t l = 0; l < N(lists); l++)
		for (size_t i = 0; i < lists[l].n; i++) {
			assert_non_null(lists[l].names[i]);
			assert_int_equal(text_index(lists[l].names[i], lists[l].names, lists[l].n),
					 i);
		}
}

/* What is shipped loads, wherever the tests are started from, and comes back from its print. */
static void test_shipped(void **state)
{
	const char *path =
		getenv("RETENTION_CONF") ? getenv("RETENTION_CONF") : "conf/retentiond.conf";
	AUTO(complaints) struct complaints c = {0};
	struct config *config;

	(void)state;
	if (access(path, R_OK) != 0)
		skip();
	config = config_load(path, &c);
	if (!config)
		fail_msg("%s", joined(&c));
	check_round_trip(config);
	assert_true(model_can_anonymize(&config->model, ACTION_ANONYMIZE_REQUESTS));
	talloc_free(config);
}

static int begin(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
	AUTO(char_p) char *command = NULL;

	(void)state;
	return asprintf(&command, "rm -r %s", folder) < 0 || system(command) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),   cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_files),   cmocka_unit_test(test_places),
		cmocka_unit_test(test_depth),   cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_shipped), cmocka_unit_test(test_marks),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("config", tests, begin, end);
}

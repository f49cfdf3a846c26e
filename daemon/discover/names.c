#include "discover/names.h"

#include "base/mem.h"

#include <ctype.h>
#include <strings.h>

#define PARTS_MAX 16
#define PART_MAX 64

struct parts {
	char part[PARTS_MAX][PART_MAX];
	int n;
};

/* A word, or two that stand beside each other. */
struct word {
	const char *text;
	enum naming naming;
};

/* Looked for first: two words say more than one. */
static const struct word pairs[] = {
	{"file name", NAMING_FILE},          {"nom fichier", NAMING_FILE},
	{"content type", NAMING_HARMLESS},   {"mime type", NAMING_HARMLESS},
	{"time zone", NAMING_HARMLESS},      {"byte size", NAMING_HARMLESS},
	{"file size", NAMING_HARMLESS},      {"file type", NAMING_HARMLESS},
	{"service name", NAMING_HARMLESS},   {"user agent", NAMING_PERSON},
	{"zip code", NAMING_PERSON},         {"post code", NAMING_PERSON},
	{"postal code", NAMING_PERSON},      {"code postal", NAMING_PERSON},
	{"tax id", NAMING_PERSON},           {"tax code", NAMING_PERSON},
	{"vat id", NAMING_PERSON},           {"national id", NAMING_PERSON},
	{"device id", NAMING_PERSON},        {"facebook id", NAMING_PERSON},
	{"twitter id", NAMING_PERSON},       {"google id", NAMING_PERSON},
	{"apple id", NAMING_PERSON},         {"secu sociale", NAMING_PERSON},
	{"securite sociale", NAMING_PERSON}, {"social security", NAMING_PERSON},
	{"api key", NAMING_PERSON},          {"credit card", NAMING_PERSON},
	{"card number", NAMING_PERSON},
};

static const struct word words[] = {
	/* reaches a person, or is one's secret */
	{"mail", NAMING_PERSON},
	{"email", NAMING_PERSON},
	{"courriel", NAMING_PERSON},
	{"phone", NAMING_PERSON},
	{"telephone", NAMING_PERSON},
	{"téléphone", NAMING_PERSON},
	{"tel", NAMING_PERSON},
	{"mobile", NAMING_PERSON},
	{"cell", NAMING_PERSON},
	{"cellphone", NAMING_PERSON},
	{"portable", NAMING_PERSON},
	{"gsm", NAMING_PERSON},
	{"fax", NAMING_PERSON},
	{"telecopie", NAMING_PERSON},
	{"whatsapp", NAMING_PERSON},
	{"skype", NAMING_PERSON},
	{"facebook", NAMING_PERSON},
	{"twitter", NAMING_PERSON},
	{"instagram", NAMING_PERSON},
	{"linkedin", NAMING_PERSON},
	{"telegram", NAMING_PERSON},
	{"address", NAMING_PERSON},
	{"addr", NAMING_PERSON},
	{"adresse", NAMING_PERSON},
	{"street", NAMING_PERSON},
	{"rue", NAMING_PERSON},
	{"voie", NAMING_PERSON},
	{"city", NAMING_PERSON},
	{"town", NAMING_PERSON},
	{"ville", NAMING_PERSON},
	{"commune", NAMING_PERSON},
	{"zip", NAMING_PERSON},
	{"zipcode", NAMING_PERSON},
	{"postcode", NAMING_PERSON},
	{"postal", NAMING_PERSON},
	{"cp", NAMING_PERSON},
	{"latitude", NAMING_PERSON},
	{"longitude", NAMING_PERSON},
	{"lat", NAMING_PERSON},
	{"lng", NAMING_PERSON},
	{"lon", NAMING_PERSON},
	{"coordinates", NAMING_PERSON},
	{"geolocation", NAMING_PERSON},
	{"location", NAMING_PERSON},
	{"birth", NAMING_PERSON},
	{"birthday", NAMING_PERSON},
	{"birthdate", NAMING_PERSON},
	{"born", NAMING_PERSON},
	{"dob", NAMING_PERSON},
	{"naissance", NAMING_PERSON},
	{"death", NAMING_PERSON},
	{"deces", NAMING_PERSON},
	{"age", NAMING_PERSON},
	{"gender", NAMING_PERSON},
	{"sex", NAMING_PERSON},
	{"sexe", NAMING_PERSON},
	{"civilite", NAMING_PERSON},
	{"salutation", NAMING_PERSON},
	{"nationality", NAMING_PERSON},
	{"nationalite", NAMING_PERSON},
	{"ip", NAMING_PERSON},
	{"ipaddress", NAMING_PERSON},
	{"useragent", NAMING_PERSON},
	{"token", NAMING_PERSON},
	{"jeton", NAMING_PERSON},
	{"secret", NAMING_PERSON},
	{"password", NAMING_PERSON},
	{"passwd", NAMING_PERSON},
	{"pwd", NAMING_PERSON},
	{"passphrase", NAMING_PERSON},
	{"otp", NAMING_PERSON},
	{"cookie", NAMING_PERSON},
	{"session", NAMING_PERSON},
	{"login", NAMING_PERSON},
	{"identifiant", NAMING_PERSON},
	{"identifier", NAMING_PERSON},
	{"username", NAMING_PERSON},
	{"pseudo", NAMING_PERSON},
	{"pseudonym", NAMING_PERSON},
	{"handle", NAMING_PERSON},
	{"nick", NAMING_PERSON},
	{"nickname", NAMING_PERSON},
	{"profile", NAMING_PERSON},
	{"profil", NAMING_PERSON},
	{"passport", NAMING_PERSON},
	{"passeport", NAMING_PERSON},
	{"ssn", NAMING_PERSON},
	{"nir", NAMING_PERSON},
	{"siret", NAMING_PERSON},
	{"siren", NAMING_PERSON},
	{"vat", NAMING_PERSON},
	{"tva", NAMING_PERSON},
	{"iban", NAMING_PERSON},
	{"bic", NAMING_PERSON},
	{"rib", NAMING_PERSON},
	{"loyalty", NAMING_PERSON},
	{"sender", NAMING_PERSON},
	{"recipient", NAMING_PERSON},
	{"expediteur", NAMING_PERSON},
	{"destinataire", NAMING_PERSON},
	{"cc", NAMING_PERSON},
	{"bcc", NAMING_PERSON},
	/* a person's name */
	{"firstname", NAMING_PERSON},
	{"lastname", NAMING_PERSON},
	{"surname", NAMING_PERSON},
	{"forename", NAMING_PERSON},
	{"fullname", NAMING_PERSON},
	{"middlename", NAMING_PERSON},
	{"displayname", NAMING_PERSON},
	{"prenom", NAMING_PERSON},
	{"prénom", NAMING_PERSON},
	{"patronyme", NAMING_PERSON},
	/* a file, and where it lies */
	{"filename", NAMING_FILE},
	{"fichier", NAMING_FILE},
	{"file", NAMING_FILE},
	{"path", NAMING_FILE},
	{"chemin", NAMING_FILE},
	{"url", NAMING_FILE},
	{"uri", NAMING_FILE},
	{"website", NAMING_FILE},
	{"picture", NAMING_FILE},
	{"photo", NAMING_FILE},
	{"image", NAMING_FILE},
	{"avatar", NAMING_FILE},
	{"signature", NAMING_FILE},
	{"attachment", NAMING_FILE},
	{"recording", NAMING_FILE},
	{"blob", NAMING_FILE},
	{"datas", NAMING_FILE},
	/* what somebody wrote */
	{"note", NAMING_TEXT},
	{"remark", NAMING_TEXT},
	{"remarque", NAMING_TEXT},
	{"comment", NAMING_TEXT},
	{"commentaire", NAMING_TEXT},
	{"body", NAMING_TEXT},
	{"corps", NAMING_TEXT},
	{"content", NAMING_TEXT},
	{"contenu", NAMING_TEXT},
	{"subject", NAMING_TEXT},
	{"sujet", NAMING_TEXT},
	{"objet", NAMING_TEXT},
	{"description", NAMING_TEXT},
	{"summary", NAMING_TEXT},
	{"resume", NAMING_TEXT},
	{"message", NAMING_TEXT},
	{"text", NAMING_TEXT},
	{"texte", NAMING_TEXT},
	{"html", NAMING_TEXT},
	{"transcript", NAMING_TEXT},
	{"snippet", NAMING_TEXT},
	{"feedback", NAMING_TEXT},
	{"answer", NAMING_TEXT},
	{"reponse", NAMING_TEXT},
	{"question", NAMING_TEXT},
	{"bio", NAMING_TEXT},
	{"biography", NAMING_TEXT},
};

/* The word that "name" or "nom" stands with: whose name it is. */
static const char *const of_persons[] = {
	"first",  "last",      "full",    "given",    "family",  "middle",  "maiden",    "birth",
	"user",   "nick",      "contact", "customer", "client",  "sender",  "recipient", "author",
	"caller", "preferred", "person",  "partner",  "display", "famille", "usage",     "jeune",
	"fille",  "complet",   "patient", "guest",    "legal",   "spouse",  "owner",
};

/*
 * Ends an English name, or begins a French one, and says that the rest is only what it is about:
 * email_status, mail_count, type_adresse.
 */
static const char *const harmless_heads[] = {
	"type",      "kind",     "status",    "state",    "count",    "counter",   "at",
	"on",        "format",   "lang",      "language", "locale",   "verified",  "enabled",
	"flag",      "score",    "size",      "length",   "width",    "height",    "version",
	"position",  "order",    "priority",  "level",    "mode",     "class",     "seconds",
	"minutes",   "duration", "confirmed", "rate",     "statut",   "etat",      "nombre",
	"nb",        "langue",   "niveau",    "priorite", "duree",    "charset",   "encoding",
	"checksum",  "percent",  "total",     "sort",     "rank",     "color",     "couleur",
	"currency",  "devise",   "channel",   "canal",    "category", "categorie", "timezone",
	"weekday",   "year",     "month",     "annee",    "mois",     "enum",      "method",
	"direction",
};

/* Anywhere in a name that says nothing else. */
static const char *const harmless_words[] = {
	"country", "pays", "iso",     "mime",     "segment", "reason", "motif",
	"role",    "plan", "gravity", "severity", "stage",   "etape",  "source",
};

#define HAS(list, word) has((list), sizeof(list) / sizeof((list)[0]), (word))

/* Equal, or the plural of it. */
static bool same_word(const char *part, const char *word)
{
	const size_t n = strlen(word);

	if (strncmp(part, word, n) != 0)
		return false;
	return !part[n] || strcmp(part + n, "s") == 0 ||
	       (n > 1 && strchr("sxh", word[n - 1]) && strcmp(part + n, "es") == 0);
}

static bool has(const char *const *list, size_t n, const char *part)
{
	for (size_t i = 0; i < n; i++)
		if (same_word(part, list[i]))
			return true;
	return false;
}

/* "birthDate", "birth_date" and "Birth date" are the same two parts; digits are left out. */
static void split(const char *name, struct parts *parts)
{
	size_t length = 0;

	*parts = (struct parts){0};
	for (const char *c = name; *c && parts->n < PARTS_MAX; c++) {
		const unsigned char byte = (unsigned char)*c;
		const bool letter = isalpha(byte) || byte >= 128;
		const bool begins =
			isupper(byte) && c > name &&
			(islower((unsigned char)c[-1]) ||
			 (isupper((unsigned char)c[-1]) && islower((unsigned char)c[1])));

		if ((!letter || begins) && length > 0) {
			parts->n++;
			length = 0;
		}
		if (letter && parts->n < PARTS_MAX && length + 1 < PART_MAX)
			parts->part[parts->n][length++] = (char)tolower(byte);
	}
	if (length > 0 && parts->n < PARTS_MAX)
		parts->n++;
}

static const struct word *find_pair(const struct parts *p, int *ret_end)
{
	for (int i = 0; i + 1 < p->n; i++)
		for (size_t w = 0; w < sizeof(pairs) / sizeof(pairs[0]); w++) {
			const char *blank = strchr(pairs[w].text, ' ');
			const size_t first = (size_t)(blank - pairs[w].text);

			if (strlen(p->part[i]) == first &&
			    strncmp(p->part[i], pairs[w].text, first) == 0 &&
			    same_word(p->part[i + 1], blank + 1)) {
				*ret_end = i + 2;
				return &pairs[w];
			}
		}
	return NULL;
}

static const struct word *find_word(const struct parts *p)
{
	const struct word *found = NULL;

	for (int i = 0; i < p->n; i++)
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (same_word(p->part[i], words[w].text) &&
			    (!found || words[w].naming > found->naming))
				found = &words[w];
	return found;
}

/* "name" alone may be a person's; of "status" it is not; of anything unknown nobody can say. */
static enum naming of_name(const struct parts *p, const char **ret_word)
{
	static const char *const name_words[] = {"name", "nom"};
	bool named = false, owned = false;

	for (int i = 0; i < p->n; i++) {
		named = named || HAS(name_words, p->part[i]);
		owned = owned || HAS(of_persons, p->part[i]);
	}
	if (!named || (p->n > 1 && !owned))
		return NAMING_UNKNOWN;
	*ret_word = "name";
	return owned ? NAMING_PERSON : NAMING_NAME;
}

static bool is_thing_name(const struct parts *p)
{
	static const char *const names[] = {"name", "nom", "label", "libelle"};
	bool named = false, thing = false;

	for (int i = 0; i < p->n; i++) {
		named = named || HAS(names, p->part[i]);
		thing = thing || HAS(harmless_heads, p->part[i]) ||
			HAS(harmless_words, p->part[i]) ||
			naming_of_table(p->part[i]) == NAMING_TABLE_LIST;
	}
	return named && thing;
}

enum naming naming_of(const char *column, const char **ret_word)
{
	const char *ignored = NULL;
	const struct word *found;
	struct parts p;
	int end = 0;
	enum naming naming;

	ret_word = ret_word ? ret_word : &ignored;
	*ret_word = NULL;
	split(column, &p);
	if (p.n == 0)
		return NAMING_UNKNOWN;
	found = find_pair(&p, &end);
	if (found && (end == p.n || !HAS(harmless_heads, p.part[p.n - 1]))) {
		*ret_word = found->text;
		return found->naming;
	}
	if (HAS(harmless_heads, p.part[p.n - 1]) || HAS(harmless_heads, p.part[0]) ||
	    is_thing_name(&p)) {
		*ret_word = "a status, a kind or a measure";
		return NAMING_HARMLESS;
	}
	naming = of_name(&p, ret_word);
	if (naming != NAMING_UNKNOWN)
		return naming;
	if (strcmp(p.part[p.n - 1], "id") == 0)
		return NAMING_UNKNOWN; /* somebody's number elsewhere, or a thing's */
	found = find_word(&p);
	if (found && found->naming != NAMING_UNKNOWN) {
		*ret_word = found->text;
		return found->naming;
	}
	for (int i = 0; i < p.n; i++)
		if (HAS(harmless_words, p.part[i])) {
			*ret_word = "one of a list";
			return NAMING_HARMLESS;
		}
	return NAMING_UNKNOWN;
}

bool naming_is_personal(enum naming naming)
{
	return naming >= NAMING_NAME;
}

bool naming_is_birth(const char *column)
{
	static const char *const births[] = {"birth", "birthday",  "birthdate", "born",
					     "dob",   "naissance", "death",     "deces"};
	struct parts p;

	split(column, &p);
	for (int i = 0; i < p.n; i++)
		if (HAS(births, p.part[i]))
			return true;
	return false;
}

enum naming_table naming_of_table(const char *table)
{
	static const char *const staff[] = {
		"user",    "agent", "employee",      "staff",   "operator",
		"team",    "admin", "administrator", "role",    "department",
		"member",  "group", "utilisateur",   "employe", "equipe",
		"service", "inbox", "mailbox",       "tenant",  "operateur",
	};
	static const char *const lists[] = {
		"country",  "countrie",   "state",    "region",  "currency", "currencie",
		"language", "lang",       "status",   "statuse", "category", "categorie",
		"priority", "priorite",   "tag",      "label",   "type",     "reason",
		"stage",    "product",    "channel",  "pays",    "statut",   "devise",
		"langue",   "brand",      "template", "setting", "title",    "queue",
		"plan",     "event",      "class",    "table",   "host",     "category",
		"produit",  "priorities",
	};
	struct parts p;

	split(table, &p);
	for (int i = p.n - 1; i >= 0; i--) {
		if (HAS(staff, p.part[i]))
			return NAMING_TABLE_STAFF;
		if (HAS(lists, p.part[i]))
			return NAMING_TABLE_LIST;
	}
	return NAMING_TABLE_UNKNOWN;
}

static void make_singular(char *word)
{
	const size_t n = strlen(word);

	if (n > 4 && strcmp(word + n - 3, "ies") == 0)
		memcpy(word + n - 3, "y", 2);
	else if (n > 4 && (strcmp(word + n - 4, "sses") == 0 || strcmp(word + n - 3, "xes") == 0 ||
			   strcmp(word + n - 4, "ches") == 0))
		word[n - 2] = '\0';
	else if (n > 2 && word[n - 1] == 's' && word[n - 2] != 's')
		word[n - 1] = '\0';
}

/* The first n parts as one word, in the singular. */
static char *joined(void *ctx, const struct parts *p, int n)
{
	char *out = t_strdup(ctx, "");

	for (int i = 0; i < n; i++)
		t_append(&out, "%s", p->part[i]);
	make_singular(out);
	return out;
}

bool naming_is_type_of(const char *value, const char *table)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *tail = value;
	const char *wanted;
	struct parts p;

	for (const char *c = value; *c; c++)
		if ((*c == ':' || *c == '\\' || *c == '/') && c[1])
			tail = c + 1;
	split(table, &p);
	wanted = joined(ctx, &p, p.n);
	split(value, &p);
	if (strcmp(joined(ctx, &p, p.n), wanted) == 0)
		return p.n > 0;
	split(tail, &p);
	return p.n > 0 && strcmp(joined(ctx, &p, p.n), wanted) == 0;
}

bool naming_is_link_to(const char *column, const char *table, const char *other)
{
	const size_t length = strlen(column);
	AUTO(talloc) void *ctx = NULL;
	const char *stem;
	struct parts p;

	if (length < 3 || strcasecmp(column + length - 2, "id") != 0)
		return false; /* most columns: said at once */
	ctx = must_alloc(talloc_new(NULL));
	split(column, &p);
	if (p.n < 2 || strcmp(p.part[p.n - 1], "id") != 0)
		return false;
	stem = joined(ctx, &p, p.n - 1);
	split(table, &p);
	return strcmp(stem, joined(ctx, &p, p.n)) == 0 || (other && strcmp(stem, other) == 0);
}

bool naming_is_pair(const char *type, const char *id)
{
	static const char *const stems[] = {"model", "resmodel"};
	const size_t length = strlen(type);
	AUTO(talloc) void *ctx = NULL;
	struct parts t, i;

	if (length < 4 || (strcasecmp(type + length - 4, "type") != 0 &&
			   strcasecmp(type + length - 4, "odel") != 0))
		return false;
	ctx = must_alloc(talloc_new(NULL));
	split(type, &t);
	split(id, &i);
	if (t.n < 1 || i.n < 2 || strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	if (strcmp(joined(ctx, &i, i.n - 1), "re") == 0 ||
	    strcmp(i.part[0], "res") == 0) /* "res" in the singular */
		return i.n == 2 && HAS(stems, joined(ctx, &t, t.n));
	if (strcmp(t.part[0], "itemtype") == 0)
		return t.n == 1 && same_word(i.part[0], "item");
	return t.n == i.n && strcmp(t.part[t.n - 1], "type") == 0 &&
	       strcmp(joined(ctx, &t, t.n - 1), joined(ctx, &i, i.n - 1)) == 0;
}

char *naming_type_value(void *ctx, const char *type_column, const char *table)
{
	const bool dotted = strstr(type_column, "model") != NULL;
	char *out = t_strdup(ctx, "");
	struct parts p;

	split(table, &p);
	if (p.n > 0 && !dotted)
		make_singular(p.part[p.n - 1]);
	for (int i = 0; i < p.n; i++) {
		if (!dotted)
			p.part[i][0] = (char)toupper((unsigned char)p.part[i][0]);
		t_append(&out, "%s%s", dotted && i ? "." : "", p.part[i]);
	}
	return out;
}

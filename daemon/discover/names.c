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
	enum name_kind naming;
};

/* Looked for first: two words say more than one. */
static const struct word pairs[] = {
	{"file name", NAME_FILE},          {"nom fichier", NAME_FILE},
	{"content type", NAME_HARMLESS},   {"mime type", NAME_HARMLESS},
	{"time zone", NAME_HARMLESS},      {"byte size", NAME_HARMLESS},
	{"file size", NAME_HARMLESS},      {"file type", NAME_HARMLESS},
	{"service name", NAME_HARMLESS},   {"user agent", NAME_PERSON},
	{"zip code", NAME_PERSON},         {"post code", NAME_PERSON},
	{"postal code", NAME_PERSON},      {"code postal", NAME_PERSON},
	{"tax id", NAME_PERSON},           {"tax code", NAME_PERSON},
	{"vat id", NAME_PERSON},           {"national id", NAME_PERSON},
	{"device id", NAME_PERSON},        {"facebook id", NAME_PERSON},
	{"twitter id", NAME_PERSON},       {"google id", NAME_PERSON},
	{"apple id", NAME_PERSON},         {"secu sociale", NAME_PERSON},
	{"securite sociale", NAME_PERSON}, {"social security", NAME_PERSON},
	{"api key", NAME_PERSON},          {"credit card", NAME_PERSON},
	{"card number", NAME_PERSON},
};

static const struct word words[] = {
	/* reaches a person, or is one's secret */
	{"mail", NAME_PERSON},
	{"email", NAME_PERSON},
	{"courriel", NAME_PERSON},
	{"phone", NAME_PERSON},
	{"telephone", NAME_PERSON},
	{"téléphone", NAME_PERSON},
	{"tel", NAME_PERSON},
	{"mobile", NAME_PERSON},
	{"cell", NAME_PERSON},
	{"cellphone", NAME_PERSON},
	{"portable", NAME_PERSON},
	{"gsm", NAME_PERSON},
	{"fax", NAME_PERSON},
	{"telecopie", NAME_PERSON},
	{"whatsapp", NAME_PERSON},
	{"skype", NAME_PERSON},
	{"facebook", NAME_PERSON},
	{"twitter", NAME_PERSON},
	{"instagram", NAME_PERSON},
	{"linkedin", NAME_PERSON},
	{"telegram", NAME_PERSON},
	{"address", NAME_PERSON},
	{"addr", NAME_PERSON},
	{"adresse", NAME_PERSON},
	{"street", NAME_PERSON},
	{"rue", NAME_PERSON},
	{"voie", NAME_PERSON},
	{"city", NAME_PERSON},
	{"town", NAME_PERSON},
	{"ville", NAME_PERSON},
	{"commune", NAME_PERSON},
	{"zip", NAME_PERSON},
	{"zipcode", NAME_PERSON},
	{"postcode", NAME_PERSON},
	{"postal", NAME_PERSON},
	{"cp", NAME_PERSON},
	{"latitude", NAME_PERSON},
	{"longitude", NAME_PERSON},
	{"lat", NAME_PERSON},
	{"lng", NAME_PERSON},
	{"lon", NAME_PERSON},
	{"coordinates", NAME_PERSON},
	{"geolocation", NAME_PERSON},
	{"location", NAME_PERSON},
	{"birth", NAME_PERSON},
	{"birthday", NAME_PERSON},
	{"birthdate", NAME_PERSON},
	{"born", NAME_PERSON},
	{"dob", NAME_PERSON},
	{"naissance", NAME_PERSON},
	{"death", NAME_PERSON},
	{"deces", NAME_PERSON},
	{"age", NAME_PERSON},
	{"gender", NAME_PERSON},
	{"sex", NAME_PERSON},
	{"sexe", NAME_PERSON},
	{"civilite", NAME_PERSON},
	{"salutation", NAME_PERSON},
	{"nationality", NAME_PERSON},
	{"nationalite", NAME_PERSON},
	{"ip", NAME_PERSON},
	{"ipaddress", NAME_PERSON},
	{"useragent", NAME_PERSON},
	{"token", NAME_PERSON},
	{"jeton", NAME_PERSON},
	{"secret", NAME_PERSON},
	{"password", NAME_PERSON},
	{"passwd", NAME_PERSON},
	{"pwd", NAME_PERSON},
	{"passphrase", NAME_PERSON},
	{"otp", NAME_PERSON},
	{"cookie", NAME_PERSON},
	{"session", NAME_PERSON},
	{"login", NAME_PERSON},
	{"identifiant", NAME_PERSON},
	{"identifier", NAME_PERSON},
	{"username", NAME_PERSON},
	{"pseudo", NAME_PERSON},
	{"pseudonym", NAME_PERSON},
	{"handle", NAME_PERSON},
	{"nick", NAME_PERSON},
	{"nickname", NAME_PERSON},
	{"profile", NAME_PERSON},
	{"profil", NAME_PERSON},
	{"passport", NAME_PERSON},
	{"passeport", NAME_PERSON},
	{"ssn", NAME_PERSON},
	{"nir", NAME_PERSON},
	{"siret", NAME_PERSON},
	{"siren", NAME_PERSON},
	{"vat", NAME_PERSON},
	{"tva", NAME_PERSON},
	{"iban", NAME_PERSON},
	{"bic", NAME_PERSON},
	{"rib", NAME_PERSON},
	{"loyalty", NAME_PERSON},
	{"sender", NAME_PERSON},
	{"recipient", NAME_PERSON},
	{"expediteur", NAME_PERSON},
	{"destinataire", NAME_PERSON},
	{"cc", NAME_PERSON},
	{"bcc", NAME_PERSON},
	/* a person's name */
	{"firstname", NAME_PERSON},
	{"lastname", NAME_PERSON},
	{"surname", NAME_PERSON},
	{"forename", NAME_PERSON},
	{"fullname", NAME_PERSON},
	{"middlename", NAME_PERSON},
	{"displayname", NAME_PERSON},
	{"prenom", NAME_PERSON},
	{"prénom", NAME_PERSON},
	{"patronyme", NAME_PERSON},
	/* a file, and where it lies */
	{"filename", NAME_FILE},
	{"fichier", NAME_FILE},
	{"file", NAME_FILE},
	{"path", NAME_FILE},
	{"chemin", NAME_FILE},
	{"url", NAME_FILE},
	{"uri", NAME_FILE},
	{"website", NAME_FILE},
	{"picture", NAME_FILE},
	{"photo", NAME_FILE},
	{"image", NAME_FILE},
	{"avatar", NAME_FILE},
	{"signature", NAME_FILE},
	{"attachment", NAME_FILE},
	{"recording", NAME_FILE},
	{"blob", NAME_FILE},
	{"datas", NAME_FILE},
	/* what somebody wrote */
	{"note", NAME_TEXT},
	{"remark", NAME_TEXT},
	{"remarque", NAME_TEXT},
	{"comment", NAME_TEXT},
	{"commentaire", NAME_TEXT},
	{"body", NAME_TEXT},
	{"corps", NAME_TEXT},
	{"content", NAME_TEXT},
	{"contenu", NAME_TEXT},
	{"subject", NAME_TEXT},
	{"sujet", NAME_TEXT},
	{"objet", NAME_TEXT},
	{"description", NAME_TEXT},
	{"summary", NAME_TEXT},
	{"resume", NAME_TEXT},
	{"message", NAME_TEXT},
	{"text", NAME_TEXT},
	{"texte", NAME_TEXT},
	{"html", NAME_TEXT},
	{"transcript", NAME_TEXT},
	{"snippet", NAME_TEXT},
	{"feedback", NAME_TEXT},
	{"answer", NAME_TEXT},
	{"reponse", NAME_TEXT},
	{"question", NAME_TEXT},
	{"bio", NAME_TEXT},
	{"biography", NAME_TEXT},
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
static enum name_kind of_name(const struct parts *p, const char **ret_word)
{
	static const char *const name_words[] = {"name", "nom"};
	bool named = false, owned = false;

	for (int i = 0; i < p->n; i++) {
		named = named || HAS(name_words, p->part[i]);
		owned = owned || HAS(of_persons, p->part[i]);
	}
	if (!named || (p->n > 1 && !owned))
		return NAME_UNKNOWN;
	*ret_word = "name";
	return owned ? NAME_PERSON : NAME_NAME;
}

static bool is_thing_name(const struct parts *p)
{
	static const char *const names[] = {"name", "nom", "label", "libelle"};
	bool named = false, thing = false;

	for (int i = 0; i < p->n; i++) {
		named = named || HAS(names, p->part[i]);
		thing = thing || HAS(harmless_heads, p->part[i]) ||
			HAS(harmless_words, p->part[i]) ||
			names_of_table(p->part[i]) == NAME_TABLE_LIST;
	}
	return named && thing;
}

enum name_kind names_of(const char *column, const char **ret_word)
{
	const char *ignored = NULL;
	const struct word *found;
	struct parts p;
	int end = 0;
	enum name_kind naming;

	ret_word = ret_word ? ret_word : &ignored;
	*ret_word = NULL;
	split(column, &p);
	if (p.n == 0)
		return NAME_UNKNOWN;
	found = find_pair(&p, &end);
	if (found && (end == p.n || !HAS(harmless_heads, p.part[p.n - 1]))) {
		*ret_word = found->text;
		return found->naming;
	}
	if (HAS(harmless_heads, p.part[p.n - 1]) || HAS(harmless_heads, p.part[0]) ||
	    is_thing_name(&p)) {
		*ret_word = "a status, a kind or a measure";
		return NAME_HARMLESS;
	}
	naming = of_name(&p, ret_word);
	if (naming != NAME_UNKNOWN)
		return naming;
	if (strcmp(p.part[p.n - 1], "id") == 0)
		return NAME_UNKNOWN; /* somebody's number elsewhere, or a thing's */
	found = find_word(&p);
	if (found && found->naming != NAME_UNKNOWN) {
		*ret_word = found->text;
		return found->naming;
	}
	for (int i = 0; i < p.n; i++)
		if (HAS(harmless_words, p.part[i])) {
			*ret_word = "one of a list";
			return NAME_HARMLESS;
		}
	return NAME_UNKNOWN;
}

bool names_is_personal(enum name_kind naming)
{
	return naming >= NAME_NAME;
}

bool names_is_birth(const char *column)
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

enum names_table names_of_table(const char *table)
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
			return NAME_TABLE_STAFF;
		if (HAS(lists, p.part[i]))
			return NAME_TABLE_LIST;
	}
	return NAME_TABLE_UNKNOWN;
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

bool names_is_type_of(const char *value, const char *table)
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

bool names_is_link_to(const char *column, const char *table, const char *other)
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

bool names_is_pair(const char *type, const char *id)
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

char *names_type_value(void *ctx, const char *type_column, const char *table)
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

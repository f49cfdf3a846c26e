#include "discover/names.h"

#include "base/mem.h"
#include "discover/parts.h"
#include "discover/words.h"

#include <ctype.h>
#include <strings.h>

/* Is part the word, which has n letters, or its plural: mails, addresses, Anmerkungen, Adressen? */
static bool same_word(const char *part, const char *word, size_t n)
{
	if (strncmp(part, word, n) != 0)
		return false;
	return !part[n] || strcmp(part + n, "s") == 0 ||
	       (n > 1 && strchr("sxhnrdl", word[n - 1]) && strcmp(part + n, "es") == 0) ||
	       (n > 4 && strcmp(part + n, word[n - 1] == 'e' ? "n" : "en") == 0);
}

/* The place in a list of words.h of the word that part is, alone or in the plural; NULL: there is none. */
static const char *find_in(const char *list, const char *part)
{
	for (size_t n; *list; list += n + strspn(list + n, ", ")) {
		n = strcspn(list, ",");
		if (same_word(part, list, n))
			return list;
	}
	return NULL;
}

/* The place in the list of the first word of the name that is in it; NULL: none is. */
static const char *has_any(const struct parts *p, const char *list)
{
	const char *found = NULL;

	for (int i = 0; !found && i < p->n; i++)
		found = find_in(list, p->part[i]);
	return found;
}

/* word: its place in a list. */
static struct naming as_listed(enum name_kind kind, const char *word)
{
	struct naming naming = {.kind = kind};

	(void)snprintf(naming.word, sizeof(naming.word), "%.*s", (int)strcspn(word, ","), word);
	return naming;
}

/* Is part two words of the list without a separator?  Returns their place. */
static const char *find_joined(const char *list, const char *part)
{
	for (size_t n; *list; list += n + strspn(list + n, ", ")) {
		const char *space = strchr(list, ' ');
		size_t first;

		n = strcspn(list, ",");
		first = space ? (size_t)(space - list) : n;
		if (first < n && strncmp(part, list, first) == 0 &&
		    same_word(part + first, space + 1, n - first - 1))
			return list;
	}
	return NULL;
}

/* The first pair of words in the name; *ret_end is the index of the part after it. */
static struct naming find_pair(const struct parts *p, int *ret_end)
{
	char pair[2 * PART_MAX];

	for (int i = 0; i < p->n; i++)
		for (size_t l = 0; l < sizeof(pair_lists) / sizeof(pair_lists[0]); l++) {
			const char *found = find_joined(pair_lists[l].words, p->part[i]);

			*ret_end = i + 1;
			if (!found && i + 1 < p->n) {
				(void)snprintf(pair, sizeof(pair), "%s %s", p->part[i],
					       p->part[i + 1]); /* fits */
				found = find_in(pair_lists[l].words, pair);
				*ret_end = i + 2;
			}
			if (found)
				return as_listed(pair_lists[l].kind, found);
		}
	return (struct naming){.kind = NAME_UNKNOWN};
}

/* The word of the list that a longer one ends in. */
static const char *find_suffix(const char *list, const char *part)
{
	const size_t length = strlen(part);

	for (size_t n; *list; list += n + strspn(list + n, ", ")) {
		n = strcspn(list, ",");
		if (length > n && strncmp(part + length - n, list, n) == 0)
			return list;
	}
	return NULL;
}

/* The highest kind of the words in the name, with the first word of that kind. */
static struct naming find_word(const struct parts *p)
{
	struct naming best = {.kind = NAME_UNKNOWN};

	for (int i = 0; i < p->n; i++) {
		const char *suffix = find_suffix(suffix_words, p->part[i]);

		for (size_t l = 0; l < sizeof(word_lists) / sizeof(word_lists[0]); l++) {
			const char *found = find_in(word_lists[l].words, p->part[i]);

			/* A source branch is no source. */
			if (found && word_lists[l].kind == NAME_HARMLESS && i + 1 < p->n &&
			    !find_in(code_words, p->part[p->n - 1]))
				continue;
			if (found && word_lists[l].kind > best.kind)
				best = as_listed(word_lists[l].kind, found);
		}
		if (suffix && best.kind < NAME_PERSON)
			best = as_listed(NAME_PERSON, suffix);
	}
	return best;
}

/* Does a word of a person stand beside "name": first_name, nom_client? */
static bool names_a_person(const struct parts *p)
{
	for (int i = 0; i < p->n; i++)
		if (find_in(name_words, p->part[i]) &&
		    ((i > 0 && find_in(of_persons, p->part[i - 1])) ||
		     (i + 1 < p->n && find_in(of_persons, p->part[i + 1])) ||
		     /* nom_de_famille */
		     (i + 2 < p->n && find_in(of_persons, p->part[i + 2]) &&
		      strlen(p->part[i + 1]) <= 3)))
			return true;
	return false;
}

/* "nombre" is a number in French, of several: nombre_appels; and a name in Spanish. */
static bool is_french_number(const struct parts *p)
{
	const char *next = p->n > 1 ? p->part[1] : "";

	return strcmp(p->part[0], "nombre") == 0 &&
	       (strcmp(next, "de") == 0 || strcmp(next, "d") == 0 ||
		(*next && next[strlen(next) - 1] == 's'));
}

static struct naming kind_of(const struct parts *p)
{
	static const struct naming described = {.kind = NAME_HARMLESS,
						.word = "a status, a kind or a measure"};
	const char *last = p->part[p->n - 1];
	const bool describes = find_in(describing_words, last);
	const char *birth = has_any(p, birth_words), *trait = has_any(p, trait_words);
	struct naming naming;
	int end = 0;

	if (birth && (!describes || find_in(date_parts, last)))
		return as_listed(NAME_PERSON, birth);
	if (trait && (!describes || find_in(state_words, last)))
		return as_listed(NAME_PERSON, trait);
	naming = find_pair(p, &end);
	for (int i = end - 3; naming.kind != NAME_UNKNOWN && i <= end; i++)
		naming.number =
			naming.number || (i >= 0 && i < p->n && find_in(number_parts, p->part[i]));
	if (naming.kind != NAME_UNKNOWN && (end == p->n || !describes))
		return naming;
	if (p->n == 1 && find_in(doubtful_words, last))
		return (struct naming){.kind = NAME_UNKNOWN};
	if (describes || (p->n > 1 && find_in(leading_words, p->part[0])) || is_french_number(p))
		return described;
	if (names_a_person(p))
		return (struct naming){.kind = NAME_PERSON, .word = "name"};
	if (has_any(p, label_words) &&
	    (has_any(p, describing_words) || has_any(p, harmless_words) || has_any(p, list_tables)))
		return described;
	/* Alone, "name" can be a person's; beside another word only if that is of_persons. */
	if (p->n == 1 && find_in(name_words, last))
		return (struct naming){.kind = NAME_NAME, .word = "name"};
	if (strcmp(last, "id") == 0)
		return (struct naming){
			.kind = NAME_UNKNOWN}; /* the number of a person or of a thing */
	return find_word(p);
}

struct naming names_of(const char *column)
{
	struct naming naming;
	struct parts p;

	parts_split(column, &p);
	if (p.n == 0)
		return (struct naming){.kind = NAME_UNKNOWN};
	naming = kind_of(&p);
	if (naming.kind == NAME_HARMLESS && !strchr(naming.word, ' '))
		(void)snprintf(naming.word, sizeof(naming.word), "one of a list");
	if (naming.kind == NAME_PERSON) {
		naming.number =
			naming.number || has_any(&p, number_words) || has_any(&p, birth_words);
		naming.trait = has_any(&p, trait_words);
	}
	return naming;
}

bool names_is_state(const char *column)
{
	struct parts p;

	parts_split(column, &p);
	if (p.n > 1 && strcmp(p.part[p.n - 1], "id") == 0)
		p.n--;
	return p.n > 0 &&
	       (find_in(state_columns, p.part[p.n - 1]) || find_in(state_columns, p.part[0]));
}

bool names_says_closed(const char *label)
{
	struct parts p;

	parts_split(label, &p);
	return has_any(&p, closed_words) && !has_any(&p, open_words);
}

bool names_is_secret(const char *column)
{
	struct parts p;
	char pair[2 * PART_MAX];

	parts_split(column, &p);
	if (names_of(column).kind != NAME_PERSON) /* a password's state, a count of tokens */
		return false;
	for (int i = 0; i < p.n; i++) {
		(void)snprintf(pair, sizeof(pair), "%s %s", p.part[i],
			       i + 1 < p.n ? p.part[i + 1] : ""); /* fits */
		if (find_in(secret_words, p.part[i]) || find_joined(secret_pairs, p.part[i]) ||
		    find_in(secret_pairs, pair))
			return true;
	}
	return false;
}

bool names_is_birth(const char *column)
{
	struct parts p;

	parts_split(column, &p);
	return has_any(&p, birth_words);
}

enum names_table names_of_table(const char *table)
{
	struct parts p;

	parts_split(table, &p);
	for (int i = p.n - 1; i >= 0; i--) {
		if (find_in(staff_tables, p.part[i]))
			return NAME_TABLE_STAFF;
		if (find_in(list_tables, p.part[i]))
			return NAME_TABLE_LIST;
	}
	return NAME_TABLE_UNKNOWN;
}

bool names_is_staff(const char *table)
{
	struct parts p;

	parts_split(table, &p);
	return p.n > 0 && find_in(staff_people, p.part[p.n - 1]);
}

enum names_staff names_staff(const char *column)
{
	const char *last;
	struct parts p;

	parts_split(column, &p);
	if (p.n > 1 && strcmp(p.part[p.n - 1], "id") == 0)
		p.n--;
	last = p.n > 0 ? p.part[p.n - 1] : "";
	if (find_in("role", last) || (p.n == 1 && find_in(staff_values, last)) ||
	    (p.n == 2 && strcmp(p.part[0], "is") == 0 && find_in(staff_values, last)))
		return NAME_STAFF_ROLE;
	return find_in("type, kind, category, class", last) ? NAME_STAFF_KIND : NAME_STAFF_NONE;
}

bool names_is_staff_value(const char *value)
{
	struct parts p;

	parts_split(value, &p);
	return has_any(&p, staff_values);
}

bool names_is_customer_value(const char *value)
{
	struct parts p;

	parts_split(value, &p);
	return has_any(&p, customer_values) && !has_any(&p, staff_values);
}

bool names_is_tenant(const char *table)
{
	struct parts p;

	parts_split(table, &p);
	return p.n > 0 && find_in(tenant_tables, p.part[p.n - 1]);
}

static void make_singular(char *word)
{
	const size_t n = strlen(word);

	if (n >= 6 && strcmp(word + n - 6, "people") == 0)
		memcpy(word + n - 4, "rson", 4);
	else if (n > 4 && strcmp(word + n - 3, "ies") == 0)
		memcpy(word + n - 3, "y", 2);
	else if (n > 4 && (strcmp(word + n - 4, "sses") == 0 || strcmp(word + n - 3, "xes") == 0 ||
			   strcmp(word + n - 4, "ches") == 0))
		word[n - 2] = '\0';
	else if (n > 2 && word[n - 1] == 's' && word[n - 2] != 's')
		word[n - 1] = '\0';
}

/* The first n parts as one word in the singular. */
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
	parts_split(table, &p);
	wanted = joined(ctx, &p, p.n);
	parts_split(value, &p);
	if (strcmp(joined(ctx, &p, p.n), wanted) == 0)
		return p.n > 0;
	parts_split(tail, &p);
	return p.n > 0 && strcmp(joined(ctx, &p, p.n), wanted) == 0;
}

char *names_singular(void *ctx, const char *table)
{
	struct parts p;

	parts_split(table, &p);
	return joined(ctx, &p, p.n);
}

char *names_link_stem(void *ctx, const char *column)
{
	const size_t length = strlen(column);
	struct parts p;

	if (length < 3 || strcasecmp(column + length - 2, "id") != 0)
		return NULL; /* most columns end here */
	parts_split(column, &p);
	if (p.n == 1 && strlen(p.part[0]) == length) { /* "userid" */
		p.part[0][length - 2] = '\0';
		p.n++;
	} else if (p.n < 2 || strcmp(p.part[p.n - 1], "id") != 0) {
		return NULL;
	}
	return joined(ctx, &p, p.n - 1);
}

bool names_ends_with(const char *column, const char *singular)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	struct parts p;

	parts_split(column, &p);
	if (p.n < 3 || strcmp(p.part[p.n - 1], "id") != 0)
		return false;
	for (int first = 1; first < p.n - 1; first++) {
		char *tail = t_strdup(ctx, "");

		for (int i = first; i < p.n - 1; i++)
			t_append(&tail, "%s", p.part[i]);
		make_singular(tail);
		if (strcmp(tail, singular) == 0)
			return true;
	}
	return false;
}

enum names_role names_role(const char *column)
{
	const char *last;
	struct parts p;
	size_t length;

	parts_split(column, &p);
	if (p.n > 1 && strcmp(p.part[p.n - 1], "id") == 0)
		p.n--;
	length = p.n == 1 ? strlen(p.part[0]) : 0;
	if (length > 4 && strcmp(p.part[0] + length - 2, "id") == 0)
		p.part[0][length - 2] = '\0'; /* "authorid" */
	last = p.n > 0 ? p.part[p.n - 1] : "";
	if (find_in(customer_words, last))
		return NAME_ROLE_CUSTOMER;
	return find_in(role_words, last)            ? NAME_ROLE_ANY
	       : p.n > 1 && strcmp(last, "by") == 0 ? NAME_ROLE_BY
						    : NAME_ROLE_NONE;
}

bool names_is_link_to(const char *column, const char *table, const char *other)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *stem = names_link_stem(ctx, column);

	return stem && (strcmp(stem, names_singular(ctx, table)) == 0 ||
			(other && strcmp(stem, other) == 0));
}

bool names_is_pair(const char *type, const char *id)
{
	const size_t length = strlen(type), id_length = strlen(id);
	AUTO(talloc) void *ctx = NULL;
	struct parts t, i;

	if (length < 4 || id_length < 3 || strcasecmp(id + id_length - 2, "id") != 0 ||
	    (strcasecmp(type + length - 4, "type") != 0 &&
	     strcasecmp(type + length - 4, "odel") != 0))
		return false; /* most columns end here */
	ctx = must_alloc(talloc_new(NULL));
	parts_split(type, &t);
	parts_split(id, &i);
	if (t.n < 1 || i.n < 2 || strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	if (strcmp(joined(ctx, &i, i.n - 1), "re") == 0 ||
	    strcmp(i.part[0], "res") == 0) /* "res" in the singular */
		return i.n == 2 && find_in("model, resmodel", joined(ctx, &t, t.n));
	if (strcmp(t.part[0], "itemtype") == 0)
		return t.n == 1 && find_in("item", i.part[0]);
	return t.n == i.n && strcmp(t.part[t.n - 1], "type") == 0 &&
	       strcmp(joined(ctx, &t, t.n - 1), joined(ctx, &i, i.n - 1)) == 0;
}

/* Are the first n parts of the one those of the other? */
static bool same_parts(const struct parts *a, const struct parts *b, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(a->part[i], b->part[i]) != 0)
			return false;
	return true;
}

bool names_is_numbered_pair(const char *type, const char *id)
{
	struct parts t, i;
	int of; /* how many parts stand before "type", and say which of several pairs it is */

	parts_split(type, &t);
	parts_split(id, &i);
	if (t.n < 2 || i.n < 2 || strcmp(t.part[t.n - 1], "id") != 0 ||
	    strcmp(i.part[i.n - 1], "id") != 0)
		return false;
	of = t.n - 2;
	if (!find_in("type, model, class, table, lookup", t.part[of]))
		return false;
	if (of == i.n - 1 && same_parts(&t, &i, of))
		return true;
	if (of > 0 && strcmp(t.part[of - 1], "content") == 0)
		of--;
	else if (strcmp(t.part[of], "lookup") == 0 && of > 0 &&
		 strcmp(t.part[of - 1], "object") == 0)
		return i.n == 2 && find_in("o, object", i.part[0]);
	return i.n == of + 2 && same_parts(&t, &i, of) &&
	       find_in("object, record, res, row, item, entity", i.part[of]);
}

bool names_is_content(const char *type)
{
	struct parts p;

	parts_split(type, &p);
	return p.n > 1 && find_in("content, mime, media, file", p.part[0]);
}

char *names_type_value(void *ctx, const char *type_column, const char *table)
{
	const bool dotted = strstr(type_column, "model") != NULL;
	char *out = t_strdup(ctx, "");
	struct parts p;

	parts_split(table, &p);
	if (p.n > 0 && !dotted)
		make_singular(p.part[p.n - 1]);
	for (int i = 0; i < p.n; i++) {
		if (!dotted)
			p.part[i][0] = (char)toupper((unsigned char)p.part[i][0]);
		t_append(&out, "%s%s", dotted && i ? "." : "", p.part[i]);
	}
	return out;
}

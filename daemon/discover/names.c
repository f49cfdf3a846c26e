#include "discover/names.h"

#include "base/mem.h"
#include "discover/parts.h"
#include "discover/words.h"

#include <ctype.h>
#include <strings.h>

/* The place in the list of the first word of the name that is in it; NULL: none is. */
static const char *has_any(const struct parts *p, const char *list)
{
	const char *found = NULL;

	for (int i = 0; !found && i < p->n; i++)
		found = parts_find(list, p->part[i]);
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
		    parts_same_word(part + first, space + 1, n - first - 1))
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
				found = parts_find(pair_lists[l].words, pair);
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
			const char *found = parts_find(word_lists[l].words, p->part[i]);

			/* A source branch is no source. */
			if (found && word_lists[l].kind == NAME_HARMLESS && i + 1 < p->n &&
			    !parts_find(code_words, p->part[p->n - 1]))
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
		if (parts_find(name_words, p->part[i]) &&
		    ((i > 0 && parts_find(of_persons, p->part[i - 1])) ||
		     (i + 1 < p->n && parts_find(of_persons, p->part[i + 1])) ||
		     /* nom_de_famille */
		     (i + 2 < p->n && parts_find(of_persons, p->part[i + 2]) &&
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
	const bool describes = parts_find(describing_words, last);
	const char *birth = has_any(p, birth_words), *trait = has_any(p, trait_words);
	struct naming naming;
	int end = 0;

	if (birth && (!describes || parts_find(date_parts, last)))
		return as_listed(NAME_PERSON, birth);
	if (trait && (!describes || parts_find(state_words, last)))
		return as_listed(NAME_PERSON, trait);
	naming = find_pair(p, &end);
	for (int i = end - 3; naming.kind != NAME_UNKNOWN && i <= end; i++)
		naming.number = naming.number ||
				(i >= 0 && i < p->n && parts_find(number_parts, p->part[i]));
	if (naming.kind != NAME_UNKNOWN && (end == p->n || !describes))
		return naming;
	if (p->n == 1 && parts_find(doubtful_words, last))
		return (struct naming){.kind = NAME_UNKNOWN};
	if (describes || (p->n > 1 && parts_find(leading_words, p->part[0])) || is_french_number(p))
		return described;
	if (names_a_person(p))
		return (struct naming){.kind = NAME_PERSON, .word = "name"};
	if (has_any(p, label_words) &&
	    (has_any(p, describing_words) || has_any(p, harmless_words) || has_any(p, list_tables)))
		return described;
	/* Alone, "name" can be a person's; beside another word only if that is of_persons. */
	if (p->n == 1 && parts_find(name_words, last))
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
	       (parts_find(state_columns, p.part[p.n - 1]) || parts_find(state_columns, p.part[0]));
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
		if (parts_find(secret_words, p.part[i]) || find_joined(secret_pairs, p.part[i]) ||
		    parts_find(secret_pairs, pair))
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
		if (parts_find(staff_tables, p.part[i]))
			return NAME_TABLE_STAFF;
		if (parts_find(list_tables, p.part[i]))
			return NAME_TABLE_LIST;
	}
	return NAME_TABLE_UNKNOWN;
}

bool names_is_staff(const char *table)
{
	struct parts p;

	parts_split(table, &p);
	return p.n > 0 && parts_find(staff_people, p.part[p.n - 1]);
}

enum names_staff names_staff(const char *column)
{
	const char *last;
	struct parts p;

	parts_split(column, &p);
	if (p.n > 1 && strcmp(p.part[p.n - 1], "id") == 0)
		p.n--;
	last = p.n > 0 ? p.part[p.n - 1] : "";
	if (parts_find(staff_roles, last) || (p.n == 1 && parts_find(staff_values, last)) ||
	    (p.n == 2 && strcmp(p.part[0], "is") == 0 && parts_find(staff_values, last)))
		return NAME_STAFF_ROLE;
	return parts_find(staff_kinds, last) ? NAME_STAFF_KIND : NAME_STAFF_NONE;
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
	return p.n > 0 && parts_find(tenant_tables, p.part[p.n - 1]);
}

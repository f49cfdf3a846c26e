#include "model/catalog.h"

#include "base/mem.h"
#include "model/path.h"

#include <string.h>

/* Finds the name followed by a bracket; a closing quote and blanks may stand between. */
static bool calls(const char *predicate, const char *name)
{
	for (const char *at = strcasestr(predicate, name); at; at = strcasestr(at + 1, name)) {
		const char *after = at + strlen(name);

		after += *after == '"' ? 1 : 0;
		if (after[strspn(after, " \t\r\n")] == '(')
			return true;
	}
	return false;
}

bool catalog_asks_other_rows(const struct catalog *catalog, const char *predicate)
{
	if (!predicate)
		return false;
	for (size_t i = 0; i < catalog->n_functions; i++)
		if (calls(predicate, catalog->functions[i]))
			return true;
	return strcasestr(predicate, "select") || strcasestr(predicate, "table");
}

char *catalog_oids(void *ctx, const struct model *model, const struct catalog *catalog)
{
	char *oids = t_strdup(ctx, "");

	for (size_t i = 0; i < model->n_tables; i++)
		t_list(&oids, ",", "%u", catalog->relations[i].oid);
	return t_printf(ctx, "{%s}", oids);
}

const struct column *catalog_column(const struct relation *relation, const char *name)
{
	for (size_t i = 0; i < relation->n_columns; i++)
		if (strcmp(relation->columns[i].name, name) == 0)
			return &relation->columns[i];
	return NULL;
}

bool catalog_is_among(const char *base, const char *const *types)
{
	while (*types && strcmp(base, *types) != 0)
		types++;
	return *types != NULL;
}

bool catalog_is_key_type(const char *base)
{
	static const char *const types[] = {"int2", "int4",    "int8",   "uuid",
					    "text", "varchar", "bpchar", NULL};

	return catalog_is_among(base, types);
}

bool catalog_is_date(const char *base)
{
	static const char *const types[] = {"timestamptz", "timestamp", "date", NULL};

	return catalog_is_among(base, types);
}

bool catalog_refers_to_objects(const struct table *t, const struct column *column)
{
	static const char *const types[] = {"oid", "_oid", "_lo", NULL};
	bool other = false;

	for (size_t i = 0; i < t->n_not_large_objects; i++)
		other = other || strcmp(t->not_large_objects[i], column->name) == 0;
	return !other && catalog_is_among(column->base, types);
}

const char *catalog_empty_value(const struct column *column)
{
	static const char *const empty_text[] = {"text",     "varchar", "bpchar", "citext", "bytea",
						 "tsvector", "hstore",  "name",   NULL};
	static const char *const empty_object[] = {"json", "jsonb", NULL};

	if (column->category == 'A' || catalog_is_among(column->base, empty_object))
		return "'{}'";
	return catalog_is_among(column->base, empty_text) ? "''" : NULL;
}

bool catalog_is_spread(const struct model *model, const struct catalog *catalog)
{
	return catalog->relations[model->contact->index].spread != SPREAD_NONE;
}

bool catalog_key_pairs(const struct foreign_key *k, const struct columns *from,
		       const struct columns *to)
{
	const struct columns own = {.names = k->from_columns, .n = k->n_columns};
	const struct columns others = {.names = k->to_columns, .n = k->n_columns};

	return columns_pairs_are_among(from, to, &own, &others);
}

bool catalog_link_covers(const struct catalog *catalog, const struct table *t,
			 const struct foreign_key *k)
{
	if (!t->of || catalog->relations[t->index].oid != k->from_oid ||
	    catalog->relations[t->of->index].oid != k->to_oid)
		return false;
	return catalog_key_pairs(k, t->by, model_parent_columns(t));
}

bool catalog_is_detached(const struct table *t, const struct relation *relation, const char *name)
{
	const struct column *column = catalog_column(relation, name);

	if (path_is(name))
		return false;
	return t->by->n == 1 ||
	       (!column->not_null && !column->generated && !columns_have(t->key, name));
}

bool catalog_is_not_null(const struct relation *relation, const struct columns *columns)
{
	for (size_t i = 0; i < columns->n; i++)
		if (!catalog_column(relation, columns->names[i])->not_null)
			return false;
	return true;
}

bool catalog_identifies(const struct relation *relation, const struct columns *columns)
{
	if (columns->n == 1)
		return catalog_column(relation, columns->names[0])->identifies;
	for (size_t i = 0; i < relation->n_uniques; i++)
		if (relation->uniques[i].n == columns->n &&
		    columns_are_among(columns, &relation->uniques[i]))
			return true;
	return false;
}

const struct foreign_key *catalog_next_key(const struct catalog *catalog,
					   const struct foreign_key *after, unsigned int from,
					   unsigned int to)
{
	for (size_t i = after ? (size_t)(after - catalog->keys) + 1 : 0; i < catalog->n_keys; i++)
		if ((from == 0 || catalog->keys[i].from_oid == from) &&
		    (to == 0 || catalog->keys[i].to_oid == to))
			return &catalog->keys[i];
	return NULL;
}

bool catalog_key_is_silent(const struct foreign_key *k)
{
	return k->on_delete != 'a' && k->on_delete != 'r';
}

bool catalog_key_is_guarded(const struct catalog *catalog, const struct table *t,
			    const struct foreign_key *k)
{
	return k->on_delete == 'c' && t->on_delete == ON_DELETE_KEEP && t->of && !t->of->of &&
	       t->of->where && !t->where && !t->match && catalog_link_covers(catalog, t, k);
}

bool catalog_attaches_silently(const struct catalog *catalog, const struct table *t)
{
	const unsigned int oid = catalog->relations[t->index].oid;

	for (const struct foreign_key *k = NULL; (k = catalog_next_key(catalog, k, 0, oid));)
		if (catalog_key_is_silent(k))
			return true;
	return false;
}

bool catalog_key_is_use(const struct model *model, const struct catalog *catalog,
			const struct table *t, const struct foreign_key *k)
{
	if (!t->shared || t->match)
		return false;
	/* All else that points at a request is mapped, or refused: it does not outlive its contacts. */
	if (t == model->request)
		return k->from_oid == catalog->relations[t->of->index].oid &&
		       catalog_key_pairs(k, t->from, t->by);
	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].of == t && !model->tables[i].where &&
		    catalog_link_covers(catalog, &model->tables[i], k))
			return false;
	return true;
}

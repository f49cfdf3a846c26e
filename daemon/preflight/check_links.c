/*
 * A row is found by a value, which must name rows of one subject only.  The ways in which a model does so, and
 * why each of them is safe:
 *
 *   key      needs a unique index over the column alone (identifies, see model/catalog_sql.h).
 *   from     needs the same of the parent's column, because a row of another parent with the same
 *            value would go too.  shared and match need none: they leave alone a value that another
 *            row has too (plan/shared.c).
 *   by       must keep the parent's values apart when they are cast to its type: '007' and '7' are
 *            two texts and one number.
 *   where    only chooses among rows that were found in these ways.
 *   file     is safe, because the outbox asks whether another row names the same file
 *            (job/outbox.c).
 */
#include "preflight/check_model.h"

#include "base/mem.h"
#include "base/sql.h"

/* The way out where equal values can be spelt differently. */
#define ONE_SPELLING                                                                               \
	"make both columns text with a deterministic collation, or add columns that hold one "     \
	"spelling, index them and name them instead: ALTER TABLE %s.%s ADD COLUMN \"%s_lower\" "   \
	"text GENERATED ALWAYS AS (lower(\"%s\"::text)) STORED"

static bool is_key_column(const struct column *column)
{
	return column->plain && catalog_is_key_type(column->base);
}

/*
 * A unique index over the key and other columns, as a cure: "its unique index is over ..."; NULL: there is none.  The
 * key's columns go last, because the others are the tenant's by custom.
 */
static const char *wider_key(void *ctx, const struct table *t, const struct relation *r)
{
	for (size_t i = 0; i < r->n_uniques; i++) {
		const struct columns *unique = &r->uniques[i];
		const char **names = t_array(ctx, const char *, unique->n);
		const struct columns proposed = {.names = names, .n = unique->n};
		bool fits = columns_are_among(t->key, unique);
		size_t n = 0;

		for (int own = 0; own < 2; own++)
			for (size_t k = 0; k < unique->n; k++)
				if (columns_have(t->key, unique->names[k]) == (own == 1))
					names[n++] = unique->names[k];
		for (size_t k = 0; k < n; k++)
			fits = fits && is_key_column(catalog_column(r, names[k]));
		if (fits)
			return t_printf(ctx, "its unique index is over %s: key = %s",
					columns_text(ctx, &proposed),
					columns_setting(ctx, &proposed));
	}
	return NULL;
}

static void check_key(const struct table *t, const struct relation *r, struct complaints *c)
{
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));
	const char *wider;

	for (size_t i = 0; i < t->key->n; i++) {
		const struct column *key = catalog_column(r, t->key->names[i]);

		if (is_key_column(key))
			continue;
		complain(c, &t->place,
			 "table \"%s\": key \"%s\" is %s: a key is a whole number, a uuid or a "
			 "text, and no two spellings of it are equal; name another column that "
			 "is unique, or ALTER TABLE %s.%s ADD COLUMN row_number bigint GENERATED "
			 "ALWAYS AS IDENTITY UNIQUE",
			 t->name, key->name, key->type, t->schema, t->table);
		return;
	}
	if (catalog_identifies(r, t->key))
		return;
	wider = wider_key(ctx, t, r);
	complain(c, &t->place,
		 "table \"%s\": no unique index on %s.%s says that \"%s\" is its key: %s; %s",
		 t->name, t->schema, t->table, columns_text(ctx, t->key),
		 r->partitioned
			 ? "the same value can be in two partitions, and rows of others could "
			   "go with it"
			 : "rows of others could go with it",
		 wider ? wider
		 : r->partitioned
			 ? "name the columns of a unique index of the whole table, or leave "
			   "key out if nothing needs it"
			 : "name the right column, or CREATE UNIQUE INDEX CONCURRENTLY");
}

/* A row belongs to the parent that has the value, so only one parent may have it. */
static void check_from(const struct model *model, const struct catalog *catalog,
		       const struct table *t, struct complaints *c)
{
	const struct table *of = t->of;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!t->from || t->shared || columns_equal(t->from, of->key) ||
	    catalog_identifies(&catalog->relations[of->index], t->from))
		return;
	complain(
		c, &t->place,
		"table \"%s\": no unique index on %s.%s says that a value of \"%s\" belongs to one "
		"row: rows of others could go with it; CREATE UNIQUE INDEX %sON %s (%s)%s",
		t->name, of->schema, of->table, columns_text(ctx, t->from),
		catalog->relations[of->index].partitioned ? "" : "CONCURRENTLY ",
		sql_table(ctx, of->schema, of->table), sql_idents(ctx, t->from->names, t->from->n),
		t == model->request ? ""
				    : ", or shared = true or match, which leave alone a value that "
				      "another row has too");
}

/* Do two different values of the parent stay different when they are cast to the type of by? */
static bool stay_apart(const struct column *by, const struct column *parent)
{
	static const char *const integers[] = {"int2", "int4", "int8", NULL};
	static const char *const numbers[] = {"int2", "int4", "int8", "numeric", NULL};
	static const char *const texts[] = {"text", "varchar", NULL};

	if (strcmp(by->base, parent->base) == 0 || catalog_is_among(by->base, texts))
		return true;
	if (strcmp(by->base, "bpchar") == 0)
		return catalog_is_among(parent->base, integers) ||
		       strcmp(parent->base, "uuid") == 0;
	return catalog_is_among(by->base, numbers) && catalog_is_among(parent->base, numbers);
}

/*
 * The values of a link are compared as bytes.  Where 'ABC' and 'abc' are equal to the application
 * (citext, a collation), a row would be missed.  A contact whose request is missed is erased in
 * spite of it, so for a request the two columns have to be of one kind.
 */
static void check_pair(const struct catalog *catalog, const struct model *model,
		       const struct table *t, size_t i, struct complaints *c)
{
	const struct column *by = catalog_column(&catalog->relations[t->index], t->by->names[i]);
	const struct column *parent = catalog_column(&catalog->relations[t->of->index],
						     model_parent_columns(t)->names[i]);
	const struct table *odd = by->plain ? t->of : t;
	const char *odd_column = by->plain ? parent->name : by->name;

	if (by->category == 'A')
		complain(
			c, &t->place,
			"table \"%s\": its link by \"%s\" (%s) is an array, and no link follows the values "
			"in it: one of them could not be taken out and put back; map a table that has a row "
			"for each of them",
			t->name, by->name, by->type);
	else if (!by->plain || !parent->plain)
		complain(
			c, &t->place,
			"table \"%s\": the link by \"%s\" (%s) to \"%s\" (%s) goes over a type or a "
			"collation to which different values are equal: rows would be missed; " ONE_SPELLING,
			t->name, by->name, by->type, parent->name, parent->type, odd->schema,
			odd->table, odd_column, odd_column);
	else if (t->match && by->category != parent->category)
		complain(
			c, &t->place,
			"table \"%s\": match compares \"%s\" (%s) with \"%s\" (%s): a copy is of the "
			"same kind as what was copied",
			t->name, by->name, by->type, parent->name, parent->type);
	else if (!stay_apart(by, parent))
		complain(
			c, &t->place,
			"table \"%s\": its link by \"%s\" (%s) to \"%s\" (%s): different values of "
			"\"%s\" can become one of \"%s\", and rows of others could go with it; ALTER "
			"TABLE %s.%s ALTER COLUMN \"%s\" TYPE %s",
			t->name, by->name, by->type, parent->name, parent->type, parent->name,
			by->name, t->schema, t->table, by->name, parent->type);
	else if (t->by->n > 1 &&
		 (!is_key_column(by) || !is_key_column(parent) || by->category != parent->category))
		complain(
			c, &t->place,
			"table \"%s\": its link by \"%s\" (%s) to \"%s\" (%s): each pair of a link "
			"over several columns holds whole numbers, uuids or texts, and both the "
			"same; ALTER TABLE %s.%s ALTER COLUMN \"%s\" TYPE %s",
			t->name, by->name, by->type, parent->name, parent->type, t->schema,
			t->table, by->name, parent->type);
	else if (t == model->request && strcmp(by->base, parent->base) != 0 &&
		 by->category != parent->category)
		complain(
			c, &t->place,
			"table \"%s\": \"%s\" is %s, and the contact's \"%s\" is %s: a request whose "
			"link is spelt in another way would be missed, and its contact erased; "
			"ALTER TABLE %s.%s ALTER COLUMN \"%s\" TYPE %s",
			t->name, by->name, by->type, parent->name, parent->type, t->schema,
			t->table, by->name, parent->type);
}

/* A foreign key that has the pairs of t's link, or else one that has its columns in other pairs; NULL: none. */
static const struct foreign_key *key_of(const struct catalog *catalog, const struct table *t)
{
	const struct foreign_key *found = NULL;

	for (const struct foreign_key *k = NULL;
	     (k = catalog_next_key(catalog, k, catalog->relations[t->index].oid,
				   catalog->relations[t->of->index].oid));) {
		const struct columns from = {.names = k->from_columns, .n = k->n_columns};
		const struct columns to = {.names = k->to_columns, .n = k->n_columns};

		if (catalog_link_covers(catalog, t, k))
			return k;
		if (columns_are_among(t->by, &from) &&
		    columns_are_among(model_parent_columns(t), &to))
			found = k;
	}
	return found;
}

/* The columns of the foreign key that equal the parent's, as a setting. */
static const char *right_order(void *ctx, const struct columns *parent, const struct foreign_key *k)
{
	const char **names = t_array(ctx, const char *, parent->n);

	for (size_t i = 0; i < parent->n; i++)
		for (size_t j = 0; j < k->n_columns; j++)
			if (strcmp(k->to_columns[j], parent->names[i]) == 0)
				names[i] = k->from_columns[j];
	return columns_setting(ctx, &(struct columns){names, parent->n});
}

/* A name in both that does not stand for itself; NULL: there is none.  Every table has an "id" of its own. */
static const char *displaced_of(const struct columns *by, const struct columns *parent)
{
	for (size_t i = 0; i < by->n; i++)
		if (columns_have(parent, by->names[i]) && strcasecmp(by->names[i], "id") != 0 &&
		    strcmp(by->names[i], parent->names[i]) != 0)
			return by->names[i];
	return NULL;
}

/*
 * The pairs of a link follow from the order in which its columns are written.  In the wrong order contact 7 of account
 * 1 is taken for contact 1 of account 7, and all types are right.
 */
static void check_order(const struct catalog *catalog, const struct table *t, struct complaints *c)
{
	const struct columns *parent = model_parent_columns(t);
	const struct foreign_key *k = key_of(catalog, t);
	const char *displaced = k ? NULL : displaced_of(t->by, parent);
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (k && !catalog_link_covers(catalog, t, k))
		complain(
			c, &t->place,
			"table \"%s\": its link puts %s in pairs with %s of \"%s\", and foreign key "
			"\"%s\" has other pairs: rows of others could go with it; by = %s",
			t->name, columns_text(ctx, t->by), columns_text(ctx, parent), t->of->name,
			k->name, right_order(ctx, parent, k));
	else if (displaced)
		complain(
			c, &t->place,
			"table \"%s\": its link puts %s in pairs with %s of \"%s\", so that \"%s\" "
			"stands for another column than its namesake: rows of others could go with "
			"it; write the columns in the order of the parent's",
			t->name, columns_text(ctx, t->by), columns_text(ctx, parent), t->of->name,
			displaced);
}

/* Has the key some of the pairs from[i] and to[i], and no others? */
static bool is_narrower(const struct foreign_key *k, const struct columns *from,
			const struct columns *to)
{
	const struct columns own = {.names = k->from_columns, .n = k->n_columns};
	const struct columns others = {.names = k->to_columns, .n = k->n_columns};

	return k->n_columns < from->n && columns_pairs_are_among(&own, &others, from, to);
}

/* Can no row with the narrow key's columns be without the further ones of the wide key? */
static bool is_held_by(const struct relation *r, const struct foreign_key *wide,
		       const struct foreign_key *narrow)
{
	const struct columns known = {.names = narrow->from_columns, .n = narrow->n_columns};

	for (size_t i = 0; i < wide->n_columns; i++)
		if (!columns_have(&known, wide->from_columns[i]) &&
		    !catalog_column(r, wide->from_columns[i])->no_nulls)
			return false;
	return !wide->doubt;
}

/*
 * A foreign key from table a to table b that has some of the link's pairs alone, where none proves the others: the
 * database lets a row point at another account's, which the link would not find.  NULL: there is none.
 */
static const struct foreign_key *narrow_key(const struct catalog *catalog, const struct table *a,
					    const struct table *b, const struct columns *from,
					    const struct columns *to)
{
	const struct relation *ra = &catalog->relations[a->index];
	const unsigned int a_oid = ra->oid, b_oid = catalog->relations[b->index].oid;
	const struct foreign_key *narrow = NULL;

	while ((narrow = catalog_next_key(catalog, narrow, a_oid, b_oid))) {
		bool held = !is_narrower(narrow, from, to);

		for (const struct foreign_key *k = NULL;
		     !held && (k = catalog_next_key(catalog, k, a_oid, b_oid));)
			held = catalog_key_pairs(k, from, to) && is_held_by(ra, k, narrow);
		if (!held)
			return narrow;
	}
	return NULL;
}

/* A link over more columns than the foreign key has: rows would be missed. */
static void check_width(const struct catalog *catalog, const struct table *t, struct complaints *c)
{
	const struct columns *to = model_parent_columns(t);
	const struct foreign_key *down = narrow_key(catalog, t, t->of, t->by, to);
	const struct foreign_key *k = down ? down : narrow_key(catalog, t->of, t, to, t->by);
	const struct table *from = down ? t : t->of, *of = down ? t->of : t;
	const struct columns *own = down ? t->by : to, *others = down ? to : t->by;
	AUTO(talloc) void *ctx = must_alloc(talloc_new(NULL));

	if (!k)
		return;
	complain(
		c, &t->place,
		"table \"%s\": its link has %s, and foreign key \"%s\" %s alone: a row that differs in the rest "
		"would not be found; ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s), with columns that are "
		"NOT NULL, or name the columns of \"%s\" in by and from",
		t->name, columns_text(ctx, own), k->name,
		columns_text(ctx, &(struct columns){k->from_columns, k->n_columns}),
		sql_table(ctx, from->schema, from->table), sql_idents(ctx, own->names, own->n),
		sql_table(ctx, of->schema, of->table), sql_idents(ctx, others->names, others->n),
		k->name);
}

void check_links(const struct model *model, const struct catalog *catalog, struct complaints *c)
{
	for (size_t i = 0; i < model->n_tables; i++) {
		const struct table *t = &model->tables[i];

		if (t->key)
			check_key(t, &catalog->relations[i], c);
		if (!t->of)
			continue;
		check_from(model, catalog, t, c);
		if (t->by->n > 1) {
			check_order(catalog, t, c);
			check_width(catalog, t, c);
		}
		for (size_t k = 0; k < t->by->n; k++)
			check_pair(catalog, model, t, k, c);
	}
}

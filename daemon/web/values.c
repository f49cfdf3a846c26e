#include "web/values.h"

#define TYPE_BOOLEAN 16 /* pg_type.oid of boolean, which never changes */

struct value {
	char *name, *text;
};

struct list {
	char *name;
	struct values **rows; /* each a talloc child of the values that hold the list */
	size_t n;
};

struct values {
	const struct values *around; /* the values that hold this row; NULL: those of the page */
	struct value *texts;
	size_t n_texts;
	struct list *lists;
	size_t n_lists;
};

struct values *values_new(void *ctx)
{
	return t_zero(ctx, struct values);
}

void values_set(struct values *v, const char *name, const char *text)
{
	size_t i = 0;

	while (i < v->n_texts && strcmp(v->texts[i].name, name) != 0)
		i++;
	if (i == v->n_texts) {
		v->texts = t_grow(v, v->texts, struct value, ++v->n_texts);
		v->texts[i] = (struct value){.name = t_strdup(v, name)};
	}
	t_replace(v, &v->texts[i].text, text);
}

void values_setf(struct values *v, const char *name, const char *fmt, ...)
{
	AUTO(char_p) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvprintf(fmt, args);
	va_end(args);
	values_set(v, name, text);
}

void values_flag(struct values *v, const char *name, bool is)
{
	values_set(v, name, is ? "true" : NULL);
}

static struct list *find_list(const struct values *v, const char *name)
{
	for (size_t i = 0; i < v->n_lists; i++)
		if (strcmp(v->lists[i].name, name) == 0)
			return &v->lists[i];
	return NULL;
}

void values_list(struct values *v, const char *list)
{
	if (find_list(v, list))
		return;
	v->lists = t_grow(v, v->lists, struct list, v->n_lists + 1);
	v->lists[v->n_lists++] = (struct list){.name = t_strdup(v, list)};
}

struct values *values_add(struct values *v, const char *list)
{
	struct values *row = values_new(v);
	struct list *l;

	values_list(v, list);
	l = find_list(v, list);
	row->around = v;
	l->rows = t_grow(v, l->rows, struct values *, l->n + 1);
	l->rows[l->n++] = row;
	return row;
}

const char *values_column(const PGresult *res, int row, const char *name)
{
	const int n = PQfnumber(res, name);

	return n < 0 || PQgetisnull(res, row, n) ? NULL : PQgetvalue(res, row, n);
}

void values_row(struct values *v, const PGresult *res, int row)
{
	for (int c = 0; c < PQnfields(res); c++) {
		const char *const name = PQfname(res, c);

		if (PQgetisnull(res, row, c))
			values_set(v, name, NULL);
		else if (PQftype(res, c) == TYPE_BOOLEAN)
			values_flag(v, name, *PQgetvalue(res, row, c) == 't');
		else
			values_set(v, name, PQgetvalue(res, row, c));
	}
}

void values_rows(struct values *v, const char *list, const PGresult *res)
{
	values_list(v, list);
	for (int i = 0; i < PQntuples(res); i++)
		values_row(values_add(v, list), res, i);
}

const char *values_get(const struct values *v, const char *name, bool *ret_known)
{
	const struct value *found = NULL;

	for (; v && !found; v = v->around)
		for (size_t i = 0; i < v->n_texts && !found; i++)
			if (strcmp(v->texts[i].name, name) == 0)
				found = &v->texts[i];
	if (ret_known)
		*ret_known = found != NULL;
	return found ? found->text : NULL;
}

/* The list of that name, here or around; NULL: there is none. */
static const struct list *list_of(const struct values *v, const char *name)
{
	const struct list *l = NULL;

	for (; v && !l; v = v->around)
		l = find_list(v, name);
	return l;
}

int values_count(const struct values *v, const char *list)
{
	const struct list *l = list_of(v, list);

	return l ? (int)l->n : -1;
}

const struct values *values_at(const struct values *v, const char *list, int i)
{
	const struct list *l = list_of(v, list);

	return l && i >= 0 && (size_t)i < l->n ? l->rows[i] : NULL;
}

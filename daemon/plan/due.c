/*
 * The statements on the subjects themselves: which are due, whether they still are, which are held.
 *
 * A contact is due when the date of its last request lies before the cutoff, all its requests
 * satisfy due_when (an open case keeps its contact), no hold covers it, and there is still
 * something to erase.  What is unknown keeps the contact: a request without a date, a due_when that
 * is NULL.
 *
 * Predicates of the model stand alone in a subquery over their own table, so that a name in them
 * can only mean a column of that table.
 */

#include "plan/build.h"

#include "base/mem.h"
#include "base/sql.h"

#include <assert.h>
#include <string.h>

/*
 * Knows the row above, whose alias is arg, and the contact in a query of contacts.  Other rows of
 * the subject are not known before its batch.
 */
static char *dirty_own(const struct plan *p, const struct table *t, const struct table *x,
		       const char *u, void *arg)
{
	const bool contact = x == p->model->contact && x == p->subject;
	const char *alias = x == t->of ? arg : contact ? "c" : NULL;

	return alias && x->key
		       ? t_printf(p, "%s = %s", plan_key(p, u, x->key), plan_key(p, alias, x->key))
		       : NULL;
}

/* A shared row counts only where nobody else uses it, and a copy only where it holds a value. */
static const char *dirty_shared(const struct plan *p, const struct table *t, const char *name,
				const char *parent)
{
	return t_printf(p, " AND %s%s AND %s", plan_key(p, name, t->by),
			t->match ? "::text <> ''" : " IS NOT NULL",
			plan_unused(p, t, name, dirty_own, t_strdup(p, parent)));
}

/*
 * Clean rows are left out of lists and updates: a contact that was anonymized is not due again,
 * unless something personal has come to it since.
 */
static char *dirty(const struct plan *p, const struct table *subject, const char *alias)
{
	return plan_dirty_tree(p, subject, alias, dirty_shared);
}

/* The key of the contact called alias, as a hold has it (migrations/0005_holds.sql). */
static char *hold_key(const struct plan *p, const char *alias)
{
	const struct columns *key = p->model->contact->key;
	char *list = t_strdup(p, "");

	if (key->n == 1)
		return t_printf(p, "retention.trimmed_key(%s)", plan_key_text(p, alias, key));
	for (size_t i = 0; i < key->n; i++)
		t_list(&list, ", ", "btrim(%s::text, " PLAN_BLANKS ")",
		       plan_column(p, alias, key->names[i]));
	return t_printf(p, "ROW(%s)::text", list);
}

/* A hold is in force for contact c.  Citus has no correlated subquery on a table of the coordinator. */
static char *held(const struct plan *p)
{
	if (plan_relation(p, p->model->contact)->spread == SPREAD_ROWS)
		return t_printf(p,
				"%s IN (SELECT h.contact_key FROM retention.holds_in_force AS h)",
				hold_key(p, "c"));
	return t_printf(p,
			"EXISTS (SELECT FROM retention.holds_in_force AS h\n"
			"   WHERE h.contact_key = %s)",
			hold_key(p, "c"));
}

/* For an action on chosen keys: no date after $2, but perhaps none at all.  One that cannot be read may be after it. */
static char *quiet_since(const struct plan *p, const char *date, const struct table *t)
{
	const char *blank = t->date_unit == DATE_UNIT_NONE  ? ""
			    : t->date_unit == DATE_UNIT_ISO ? t_printf(p, " OR %s = ''", date)
							    : t_printf(p, " OR %s = 0", date);

	return t_printf(p, "(%s IS NULL%s OR %s)", date, blank, plan_date_between(p, t, date));
}

/* The same of the last date of a contact's requests r. */
static char *requests_quiet(const struct plan *p)
{
	const struct table *r = p->model->request;

	return t_printf(p, "(r.last IS NULL OR %s)%s", plan_date_last_between(p, r, "r.last"),
			r->date_unit ? " AND coalesce(r.odd, 0) = 0" : "");
}

/*
 * The requests of each contact, or of contact c alone: how many, the last one's date, and how many
 * of them keep their contact whatever their date.
 */
static const char requests_sql[] =
	"SELECT {links}, count(*) AS n, {last} AS last,{odd}\n"
	"        count(*) FILTER (WHERE {unknown} OR ({due_when}\n) IS NOT TRUE) AS keeping\n"
	"   FROM {requests} AS q\n"
	"  WHERE {by} IS NOT NULL{where} AND {of_contact}{shards}\n"
	"  GROUP BY {numbers}";

/* The same by the rows j of the join table.  Predicates stand in the subquery, over the requests alone. */
static const char through_sql[] =
	"SELECT {links}, count(*) AS n, {last} AS last,{odd}\n"
	"        count(*) FILTER (WHERE {unknown} OR q.over IS NOT TRUE) AS keeping\n"
	"   FROM {joins} AS j JOIN (\n"
	"     SELECT {keys}, {date} AS at, ({due_when}\n) AS over FROM {requests} AS q WHERE true{where}) AS q\n"
	"     ON {of_request}\n"
	"  WHERE {by} IS NOT NULL AND {of_contact}\n"
	"  GROUP BY {numbers}";

/* A cast would hide from Citus that both are in one shard. */
char *plan_requests_link(const struct plan *p)
{
	const struct table *r = model_linked(p->model);
	const struct columns *from = model_parent_columns(r);
	const struct relation *contact = plan_relation(p, p->model->contact);
	char *list = t_strdup(p, "");

	for (size_t i = 0; i < from->n; i++) {
		const char *value = plan_column(p, "c", from->names[i]);
		const struct column *by = catalog_column(plan_relation(p, r), r->by->names[i]);
		const bool same =
			strcmp(catalog_column(contact, from->names[i])->type, by->type) == 0;

		if (contact->spread == SPREAD_ROWS && same)
			t_list(&list, ", ", "%s", value);
		else
			t_list(&list, ", ", "%s::%s", value,
			       plan_type(p->catalog, r, r->by->names[i]));
	}
	return from->n == 1 ? list : t_printf(p, "ROW(%s)", list);
}

char *plan_requests(const struct plan *p, bool of_contact)
{
	const struct table *r = p->model->request, *linked = model_linked(p->model);
	const char *alias = linked == r ? "q" : "j", *by = plan_key(p, alias, linked->by);
	const struct columns *names = plan_names(p, "r", r->key->n);
	const char *at = linked == r ? plan_column(p, "q", r->date) : "q.at";
	char *numbers = t_strdup(p, "");

	for (size_t i = 1; i <= linked->by->n; i++)
		t_list(&numbers, ", ", "%zu", i);
	return sql_fill(
		p, linked == r ? requests_sql : through_sql, {"by", by},
		{"links", plan_named(p, alias, linked->by, "link")}, {"numbers", numbers},
		{"joins", plan_table(p, linked)}, {"keys", plan_named(p, "q", r->key, "r")},
		{"of_request", linked == r ? ""
					   : t_printf(p, "%s = %s", plan_key(p, "j", r->from),
						      plan_key(p, "q", names))},
		{"date", plan_column(p, "q", r->date)}, {"last", plan_date_last(p, r, at)},
		{"odd", r->date_unit ? t_printf(p, "\n        count(*) FILTER (WHERE %s) AS odd,",
						plan_date_odd(p, r, at))
				     : ""},
		{"unknown", r->date_unit
				    ? t_printf(p, "(%s) IS NOT TRUE", plan_date_known(p, r, at))
				    : t_printf(p, "%s IS NULL", at)},
		{"due_when", r->due_when ? r->due_when : "true"}, {"requests", plan_table(p, r)},
		{"where", plan_and(p, r->where)},
		{"of_contact",
		 of_contact ? t_printf(p, "%s = %s", by, plan_requests_link(p)) : "true"},
		{"shards", plan_in_shards(p, r, "q")});
}

/* By the dates of contact c and of its requests r. */
static char *old_enough(const struct plan *p)
{
	const struct table *c = p->model->contact, *r = p->model->request;
	const char *at = c->created ? plan_column(p, "c", c->created) : NULL;

	/*
	 * A number may have been given a second time since a backup was restored.  Where nothing
	 * says when the contact was created, one without requests may be another, so nothing is
	 * replayed upon it.
	 */
	if (p->opts.by_key)
		return t_printf(p, "%s AND %s", requests_quiet(p),
				at ? quiet_since(p, at, c)
				   : "(r.link IS NOT NULL OR $2::timestamptz = 'infinity')");
	if (!p->opts.without_requests)
		return t_printf(p, "r.keeping = 0 AND %s", plan_date_last_between(p, r, "r.last"));
	return t_printf(p, "((r.keeping = 0 AND %s) OR (r.link IS NULL AND %s))",
			plan_date_last_between(p, r, "r.last"), plan_date_between(p, c, at));
}

/*
 * The contacts that are due.  {requests} has a row for each contact with requests: LEFT JOIN keeps
 * a contact without any, for policies that treat those as well.
 *
 * Among chosen keys it is LATERAL: contact by contact, each by an index.  A join of both arrays'
 * rows is planned for arrays of ten, and then compares each key with each.
 */
static const char due_contacts_sql[] = "SELECT {key}, 1 + coalesce(r.n, 0) AS weight,\n"
				       "       {last} AS last{listed}\n"
				       "  FROM {contacts} AS c\n"
				       "  {join} ({requests}) AS r\n"
				       "    ON {of_requests} = {link}\n"
				       " WHERE {old_enough}\n"
				       "   AND {not_held}\n"
				       "   AND {among_keys}{shards}{paired}\n"
				       "   AND ({dirty})";

/* The subject's rows that the predicates let through, with their partition where the list wants it. */
static char *subjects(const struct plan *p, const char *a, const char *b)
{
	char *from = plan_filtered(p, p->subject, a, b);

	return p->listing && plan_relation(p, p->subject)->shard_parts
		       ? t_printf(p, "(SELECT tableoid::bigint AS part, %s",
				  from + strlen("(SELECT "))
		       : from;
}

static char *due_contacts(const struct plan *p, const char *keys)
{
	const struct table *c = p->model->contact;
	const bool all = p->opts.without_requests || p->opts.by_key;
	const char *last = plan_date_last_instant(p, p->model->request, "r.last");

	return sql_fill(
		p, due_contacts_sql, {"key", plan_named(p, "c", c->key, "k")},
		{"last",
		 all && c->created
			 ? t_printf(p, "coalesce(%s, %s)", last,
				    plan_date_instant(p, c, plan_column(p, "c", c->created)))
			 : last},
		{"listed", plan_listed_shard(p, "c")}, {"shards", plan_in_shards(p, c, "c")},
		{"contacts", subjects(p, c->where, p->opts.scope)},
		{"join", t_printf(p, "%sJOIN%s", all ? "LEFT " : "", keys ? " LATERAL" : "")},
		{"requests", plan_requests(p, keys != NULL)}, {"link", plan_requests_link(p)},
		{"of_requests",
		 plan_key(p, "r", plan_names(p, "link", model_linked(p->model)->by->n))},
		{"old_enough", old_enough(p)},
		{"not_held", p->opts.despite_holds ? "true" : t_printf(p, "NOT %s", held(p))},
		{"among_keys", keys ? plan_among(p, c, "c", c->key, keys) : "true"},
		{"paired", plan_and(p, plan_paired(p))},
		{"dirty", p->opts.action == ACTION_ANONYMIZE_CONTACTS ? dirty(p, c, "c") : "true"});
}

/* The requests that are due, of contacts in scope that no hold covers. */
static const char due_requests_sql[] = "SELECT {key}, 1 AS weight, {last} AS last{listed}\n"
				       "  FROM {requests} AS r\n"
				       " WHERE {old_enough}\n"
				       "   AND {not_held}\n"
				       "   AND {in_scope}\n"
				       "   AND {among_keys}{shards}\n"
				       "   AND ({dirty})";

/* An item of FROM: the contacts c, out of contacts, of requests; *ret_link says "of the row alias". */
static char *contacts_of(const struct plan *p, const char *contacts, const char *alias,
			 const char **ret_link)
{
	const struct table *join = p->model->through;

	*ret_link = plan_link(p, p->model->request, alias, join ? "j" : "c");
	return join ? t_printf(p, "%s AS j JOIN %s AS c ON %s", plan_table(p, join), contacts,
			       plan_link(p, join, "j", "c"))
		    : t_printf(p, "%s AS c", contacts);
}

/*
 * A contact of the request called alias is in scope.  Where a request has several, none of them is outside: its content is
 * that one's as well.
 */
static char *in_scope(const struct plan *p, const char *alias)
{
	const struct table *c = p->model->contact;
	const char *scope = p->opts.scope, *link;
	const char *inside = contacts_of(p, plan_filtered(p, c, c->where, scope), alias, &link);
	char *sql;

	if (!scope && !c->where)
		return t_strdup(p, "true");
	sql = t_printf(p, "EXISTS (SELECT FROM %s WHERE %s)", inside, link);
	if (scope && p->model->through)
		t_append(&sql, "\n   AND NOT EXISTS (SELECT FROM %s WHERE %s)",
			 contacts_of(p,
				     plan_filtered(p, c, c->where,
						   t_printf(p, "(%s\n) IS NOT TRUE", scope)),
				     alias, &link),
			 link);
	return sql;
}

static char *due_requests(const struct plan *p, const char *keys)
{
	const struct table *r = p->model->request;
	const char *at = plan_column(p, "r", r->date), *link;
	const char *contacts = contacts_of(p, plan_table(p, p->model->contact), "r", &link);

	return sql_fill(
		p, due_requests_sql, {"key", plan_named(p, "r", r->key, "k")},
		{"last", plan_date_instant(p, r, at)}, {"listed", plan_listed_shard(p, "r")},
		{"shards", plan_in_shards(p, r, "r")},
		{"requests", subjects(p, r->where, p->opts.by_key ? NULL : r->due_when)},
		{"old_enough",
		 p->opts.by_key ? quiet_since(p, at, r) : plan_date_between(p, r, at)},
		{"not_held", p->opts.despite_holds
				     ? "true"
				     : t_printf(p, "NOT EXISTS (SELECT FROM %s WHERE %s AND %s)",
						contacts, link, held(p))},
		{"in_scope", in_scope(p, "r")},
		{"among_keys", keys ? plan_among(p, r, "r", r->key, keys) : "true"},
		{"dirty", dirty(p, r, "r")});
}

static char *due_query(const struct plan *p, const char *keys)
{
	return p->opts.action == ACTION_ANONYMIZE_REQUESTS ? due_requests(p, keys)
							   : due_contacts(p, keys);
}

char *plan_due_query(void *ctx, const struct model *model, const struct catalog *catalog,
		     const struct plan_opts *opts, const char *keys)
{
	return due_query(plan_new(ctx, model, catalog, opts), keys);
}

/* The subject's contacts c, behind the subject's table t; nothing where the contact is the subject. */
static const char *join_contact(const struct plan *p)
{
	const char *link, *contacts = contacts_of(p, plan_table(p, p->model->contact), "t", &link);

	return p->subject == p->model->contact
		       ? ""
		       : t_printf(p, p->model->through ? " JOIN (%s) ON %s" : " JOIN %s ON %s",
				  contacts, link);
}

/*
 * Out of how many subjects the due ones are a share: those that the model's predicates and the policy's scope let
 * through.  Staff, or the other clients of a narrow policy, would make a share of everything look small.
 */
static char *total_statement(const struct plan *p)
{
	const struct table *t = p->subject, *c = p->model->contact;
	const char *scope = t == c ? p->opts.scope : NULL;

	return t_printf(p, "SELECT count(*) AS n FROM %s AS t%s",
			t->where || scope ? plan_filtered(p, t, t->where, scope) : plan_table(p, t),
			t != c && (c->where || p->opts.scope)
				? t_printf(p, " WHERE %s", in_scope(p, "t"))
				: "");
}

static const char selected_sql[] =
	"ARRAY(SELECT s.key::{type} FROM retention.selection AS s WHERE s.job = $3::int)";

static char *selected(const struct plan *p)
{
	return sql_fill(p, selected_sql,
			{"type", plan_key_type(p->catalog, p->subject, p->subject->key)});
}

static const char held_keys_sql[] =
	"ARRAY(SELECT {key} FROM {table} AS t{contact}\n"
	"  WHERE {contact_key} IN (SELECT h.contact_key FROM retention.holds_in_force AS h)\n"
	"    AND {chosen})";

char *plan_held_query(void *ctx, const struct model *model, const struct catalog *catalog,
		      const struct plan_opts *opts)
{
	struct plan_opts despite_holds = *opts;
	struct plan *p;
	const struct columns *key;

	despite_holds.despite_holds = true;
	p = plan_new(ctx, model, catalog, &despite_holds);
	key = p->subject->key;
	return due_query(
		p,
		sql_fill(p, held_keys_sql,
			 {"key", key->n == 1 ? plan_key(p, "t", key) : plan_key_text(p, "t", key)},
			 {"table", plan_table(p, p->subject)}, {"contact", join_contact(p)},
			 {"contact_key", hold_key(p, p->subject == model->contact ? "t" : "c")},
			 {"chosen", opts->by_key ? plan_among(p, p->subject, "t", key, selected(p))
						 : "true"}));
}

/*
 * Keys come back as one array.  Each key is cast to text by itself, because a char(8) in an array would
 * bring its padding along.
 */
#define KEYS "coalesce(array_agg({text}), '{}')::text AS keys, count(*) AS n"

static const char list_sql[] =
	"INSERT INTO retention.candidate (job, n, key, weight, shard, shard_group)\n"
	"SELECT $3::int, row_number() OVER (ORDER BY {order}), {text}, x.weight, {shard}\n"
	"  FROM ({due}) AS x";

static const char recheck_sql[] = "SELECT " KEYS " FROM ({due}) AS x";

static const char present_sql[] =
	"SELECT " KEYS " FROM (SELECT {key} FROM {table} AS t WHERE {selection}) AS x";

/* SKIP LOCKED: a row that somebody works on is left for a later sweep, never waited for. */
static const char lock_sql[] =
	"SELECT " KEYS " FROM (SELECT {key} FROM {table} AS t WHERE {selection}\n"
	" ORDER BY {order} FOR UPDATE SKIP LOCKED) AS x";

static const char held_sql[] =
	"SELECT " KEYS " FROM (SELECT DISTINCT {key} FROM {table} AS t{contact}\n"
	"  JOIN retention.holds_in_force AS h ON h.contact_key = {contact_key}\n"
	" WHERE {selection}) AS x";

void plan_list(struct plan *p)
{
	const struct table *t = p->subject;
	const struct columns *names = plan_names(p, "k", t->key->n);
	const char *group = plan_listed_group(p, "x");
	const char *order = plan_columns(p, "x", names->names, names->n);

	p->listing = true;
	p->list_sql = sql_fill(
		p, list_sql, {"due", due_query(p, p->opts.by_key ? selected(p) : NULL)},
		{"order", group ? t_printf(p, "%s, x.shard, %s", group, order) : order},
		{"text", plan_key_text(p, "x", names)},
		{"shard", group ? t_printf(p, "x.shard::text, %s || (%s)::text",
					   sql_literal(p, t_printf(p, "%s ", plan_shard(p))), group)
				: "'', ''"});
	p->listing = false;
	p->present_sql =
		sql_fill(p, present_sql, {"text", plan_key_text(p, "x", names)},
			 {"key", plan_named(p, "t", t->key, "k")}, {"table", plan_table(p, t)},
			 {"selection", plan_selection(p, t, "$1", true)});
	p->total_sql = total_statement(p);
}

void plan_due_statements(struct plan *p)
{
	const struct table *t = p->subject, *c = p->model->contact;
	const struct columns *names = plan_names(p, "k", t->key->n);
	const char *text = plan_key_text(p, "x", names);
	const struct sql_part parts[] = {
		{"key", plan_named(p, "t", t->key, "k")},
		{"text", text},
		{"order", plan_columns(p, "t", t->key->names, t->key->n)},
		{"table", plan_table(p, t)},
		{"selection", plan_selection(p, t, "$1", true)},
		{"contact", join_contact(p)},
		{"contact_key", hold_key(p, t == c ? "t" : "c")},
		{NULL, NULL},
	};

	p->recheck_sql = sql_fill(p, recheck_sql, {"text", text},
				  {"due", due_query(p, plan_array(p, t, t->key, "$3"))});
	p->lock_sql =
		sql_fill_parts(p, p->opts.action == ACTION_EXPORT ? present_sql : lock_sql, parts);
	p->held_sql = sql_fill_parts(p, held_sql, parts);
}

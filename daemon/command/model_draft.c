/*
 * model draft: prints a model to start from, made from the database's catalog.  Writes
 * nothing to the database.
 */
#include "command/command.h"

#include "discover/dates.h"
#include "discover/draft.h"
#include "discover/joins.h"
#include "discover/keys.h"
#include "discover/numbered_types.h"

static bool find_table(const struct schema *schema, const char *name, size_t *ret,
		       struct error *err)
{
	size_t n;
	const struct schema_table *t = schema_table(schema, name, &n);

	if (!t && n > 1)
		return fail(
			err, ERR_CONFIG,
			_("%zu tables have the name \"%s\": give the schema too, as schema.table"),
			n, name);
	if (!t)
		return fail(
			err, ERR_CONFIG,
			_("there is no table \"%s\": upper and lower case must be as in the catalog"),
			name);
	if (!t->key)
		return fail(
			err, ERR_CONFIG,
			_("table %s.%s has no key: add a unique index over NOT NULL columns that are "
			  "whole numbers, uuids or texts"),
			t->schema, t->name);
	*ret = (size_t)(t - schema->tables);
	return true;
}

static bool find_date(const struct schema_table *request, const char *wanted, const char **ret,
		      struct error *err)
{
	if (wanted && !schema_column(request, wanted))
		return fail(err, ERR_CONFIG, _("table %s.%s has no column \"%s\""), request->schema,
			    request->name, wanted);
	*ret = wanted ? wanted : decide_date(request);
	return *ret ? true
		    : fail(err, ERR_CONFIG,
			   _("table %s.%s has no date column to count ages from: give a column with "
			     "--date"),
			   request->schema, request->name);
}

/*
 * The request's columns that reference contact: by the option, or by what links_request_by() finds.  Where none does, a
 * join table has them, and *ret is the request's key.
 */
static bool find_by(struct command *cmd, const struct schema *schema, const size_t roots[2],
		    const struct columns **ret, const struct join **ret_join, struct error *err)
{
	const size_t contact = roots[0], request = roots[1];
	const struct schema_table *r = &schema->tables[request], *c = &schema->tables[contact];
	const char *name = cmd->options.request_by;

	*ret = NULL;
	if (!name) {
		*ret = links_request_by(cmd->ctx, schema, contact, request);
		if (!*ret)
			*ret_join = joins_find(cmd->ctx, schema, contact, request);
		if (*ret_join)
			*ret = r->key;
		return *ret ? true
			    : fail(err, ERR_CONFIG,
				   _("no column of %s references %s: there is no foreign key, and no "
				     "name like contact_id, nor has a join table foreign keys onto both; "
				     "give the column with --request-by"),
				   cmd->options.request, cmd->options.contact);
	}
	if (!schema_column(r, name))
		return fail(err, ERR_CONFIG, _("table %s.%s has no column \"%s\""), r->schema,
			    r->name, name);
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct schema_key *k = &schema->keys[i];

		if (k->from == request && k->to == contact && !k->unfit &&
		    columns_have(k->columns, name))
			*ret = k->columns;
	}
	if (!*ret)
		*ret = keys_by(cmd->ctx, r, c, name);
	return *ret ? true
		    : fail(err, ERR_CONFIG,
			   _("column \"%s\" of %s.%s cannot reference %s.%s, whose key is %s: they are "
			     "of different types, or the table lacks a part of the key"),
			   name, r->schema, r->name, c->schema, c->name,
			   columns_text(cmd->ctx, c->key));
}

static bool find_closed(struct command *cmd, const struct schema *schema, size_t request,
			struct closed *ret, struct error *err)
{
	const struct closed_search search = {.db = cmd->db,
					     .schema = schema,
					     .request = &schema->tables[request],
					     .samples = cmd->options.samples};

	return closed_find(cmd->ctx, &search, ret, err);
}

bool command_model_draft(struct command *cmd, struct error *err)
{
	const struct command_options *options = &cmd->options;
	struct draft draft = {
		.ctx = cmd->ctx, .database = PQdb(db_conn(cmd->db)), .samples = options->samples};
	struct schema *schema;
	size_t contact = 0, request = 0;
	const struct columns *by;
	const struct join *join = NULL;

	if (!schema_read(cmd->db, options->samples, cmd->ctx, &schema, err))
		return false;
	keys_settle(cmd->ctx, schema);
	if (options->samples && !numbered_types_read(cmd->db, cmd->ctx, schema, err))
		return false;
	if (!find_table(schema, options->contact, &contact, err) ||
	    !find_table(schema, options->request, &request, err) ||
	    !dates_find(cmd->db, options->samples, &schema->tables[contact], NULL, err) ||
	    !dates_find(cmd->db, options->samples, &schema->tables[request], options->date, err) ||
	    !find_date(&schema->tables[request], options->date, &draft.date, err) ||
	    !find_closed(cmd, schema, request, &draft.closed, err))
		return false;
	if (contact == request)
		return fail(err, ERR_CONFIG,
			    _("contact and request are two tables, and %s was given for both"),
			    options->contact);
	if (!find_by(cmd, schema, (const size_t[]){contact, request}, &by, &join, err))
		return false;
	draft.schema = schema;
	draft.links = links_walk(cmd->ctx, schema, contact, request, by, join);
	fputs(draft_text(&draft), stdout);
	return true;
}

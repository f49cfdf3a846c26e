#include "preflight/passed.h"

#include "base/mem.h"

const struct passed_kind *passed_like(const struct passed *p, const struct plan_opts *opts)
{
	for (size_t i = 0; p && i < p->n_kinds; i++) {
		const struct passed_kind *k = &p->kinds[i];

		if (k->action == opts->action && k->archive == opts->archive &&
		    k->without_requests == opts->without_requests)
			return k;
	}
	return NULL;
}

void passed_add_kind(struct passed *p, const struct plan_opts *opts, const char *integrity)
{
	p->kinds = t_grow(p, p->kinds, struct passed_kind, p->n_kinds + 1);
	p->kinds[p->n_kinds++] = (struct passed_kind){
		opts->action, opts->archive, opts->without_requests, opts->by_set, integrity};
}

bool passed_has(const struct passed *p, const char *sql)
{
	for (size_t i = 0; p && i < p->n_statements; i++)
		if (strcmp(p->statements[i], sql) == 0)
			return true;
	return false;
}

void passed_add(struct passed *p, const char *sql)
{
	p->statements = t_grow(p, p->statements, const char *, p->n_statements + 1);
	p->statements[p->n_statements++] = sql;
}

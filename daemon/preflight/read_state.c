/* Asks once, when the catalog is read, what each batch compares with. */
#include "preflight/read_state.h"

#include "plan/plan.h"

bool read_state(struct db *db, const struct model *model, void *ctx, struct catalog *catalog,
		struct error *err)
{
	const size_t n_tables = model->n_tables;
	AUTO(result) PGresult *res = NULL;

	if (!db_query(db, plan_state_sql(ctx, model), 0, NULL, &res, err))
		return false;
	catalog->n_partitions = (size_t)PQntuples(res) - n_tables;
	catalog->partitions = t_array(ctx, struct partition_state, catalog->n_partitions);
	for (size_t i = 0; i < (size_t)PQntuples(res); i++) {
		const char *state = t_strdup(ctx, db_value(res, (int)i, "state"));
		const char *keys = t_strdup(ctx, db_value(res, (int)i, "keys"));

		if (i < n_tables) {
			catalog->relations[i].state = state;
			catalog->relations[i].loud_keys = keys;
		} else {
			catalog->partitions[i - n_tables] = (struct partition_state){
				.oid = (unsigned int)db_int(res, (int)i, "oid"),
				.state = state,
				.loud_keys = keys};
		}
	}
	return true;
}

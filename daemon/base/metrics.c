#include "base/metrics.h"

#include "base/mem.h"
#include "base/text.h"

/* All names, in the order of the text. */
static const struct {
	const char *name;
	const char *type;
	const char *help;
} known[] = {
	{"retentiond_up", "gauge", "1 while the daemon runs."},
	{"retentiond_database_up", "gauge", "1 while the daemon is connected to the database."},
	{"retentiond_model_good", "gauge", "1 when the model held against the database."},
	{"retentiond_config_loaded_timestamp_seconds", "gauge",
	 "When the configuration in force was loaded."},
	{"retentiond_policy_last_success_timestamp_seconds", "gauge",
	 "When the policy's last pass ended as done."},
	{"retentiond_policy_next_timestamp_seconds", "gauge", "The policy's next occurrence."},
	{"retentiond_policy_overdue", "gauge",
	 "Subjects that the policy's last occurrence should have treated and that are still there."},
	{"retentiond_policy_overdue_oldest_seconds", "gauge",
	 "For how long the oldest of them has been due."},
	{"retentiond_job_due", "gauge", "Subjects that the running job has listed."},
	{"retentiond_job_done", "gauge", "Subjects that the running job has finished with."},
	{"retentiond_job_eta_seconds", "gauge", "What the running job has still to go."},
	{"retentiond_jobs", "gauge", "Actions of the journal, by status."},
	{"retentiond_job_seconds_total", "counter", "How long jobs have run, by action."},
	{"retentiond_job_last_seconds", "gauge", "How long the last job has run, by action."},
	{"retentiond_subjects_total", "counter", "Subjects that were treated, by action."},
	{"retentiond_keys_failed_total", "counter", "Subjects that could not be treated."},
	{"retentiond_batch_seconds", "histogram", "Batches, from BEGIN to COMMIT, by action."},
	{"retentiond_batch_rows_total", "counter",
	 "Rows that batches erased or changed, by action."},
	{"retentiond_batch_size_rows", "gauge",
	 "Rows that a worker's next batch aims at, by action; the last that was told."},
	{"retentiond_batch_size_limit_rows", "gauge", "limits.batch_rows of the last batch."},
	{"retentiond_batches_blocking_total", "counter",
	 "Batches that another session waited for, by action: the next one is smaller."},
	{"retentiond_paused", "gauge", "1 while everything is paused."},
	{"retentiond_jobs_paused", "gauge", "Actions that could run if they were not paused."},
	{"retentiond_jobs_refused", "gauge",
	 "Jobs that a person has to look at: refused, and tried again after a reload or in an hour."},
	{"retentiond_notify_failures", "gauge",
	 "How often in a row notify.command has failed; 0: the last event was told."},
	{"retentiond_job_waiting", "gauge", "1 while the running job waits, by what for."},
	{"retentiond_wait_seconds_total", "counter",
	 "How long jobs have waited: for standbys, or for anything else."},
	{"retentiond_archive_bytes", "gauge", "Archives that are kept."},
	{"retentiond_files_left", "gauge", "Files of erased rows that are still to be removed."},
	{"retentiond_holds", "gauge", "Legal holds in force."},
	{"retentiond_ledger_rows", "gauge", "Lines of the ledger."},
	{"retentiond_ledger_forgotten", "gauge",
	 "Erasures that the ledger's file knows and a restored database has forgotten."},
	{"retentiond_survey_timestamp_seconds", "gauge",
	 "When what stands in the database was measured."},
};

/* Seconds; +Inf is the last. */
static const double bounds[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
#define BOUNDS LENGTH(bounds)

struct samples {
	char **lines; /* n, talloc'd under the array */
	size_t n;
};

/* What is known of batches besides the histogram. */
enum { BATCH_ROWS, BATCH_NEXT, BATCH_MOST, BATCH_BLOCKING };

static const char *const batch_names[] = {
	[BATCH_ROWS] = "retentiond_batch_rows_total",
	[BATCH_NEXT] = "retentiond_batch_size_rows",
	[BATCH_MOST] = "retentiond_batch_size_limit_rows",
	[BATCH_BLOCKING] = "retentiond_batches_blocking_total",
};

struct histogram {
	const char *action;
	int64_t counts[BOUNDS + 1];
	double sum;
	int64_t values[LENGTH(batch_names)];
};

struct metrics {
	const char *label; /* of each sample; NULL: none */
	struct samples survey, pending, own;
	struct histogram *histograms;
	size_t n_histograms;
	double waited[2];
};

struct metrics *metrics_new(const char *instance)
{
	struct metrics *m = t_zero(NULL, struct metrics);

	if (instance)
		m->label = t_printf(m, "daemon=\"%s\"", instance);
	return m;
}

static void clear(struct samples *s)
{
	(void)talloc_free(s->lines); /* refuses NULL, which is fine */
	*s = (struct samples){0};
}

static void add(struct metrics *m, struct samples *s, const char *line)
{
	s->lines = t_grow(m, s->lines, char *, s->n + 1);
	s->lines[s->n++] = t_strdup(s->lines, line);
}

/* line is a sample of name, or of a part of it, as a histogram has them. */
static int is_of(const char *line, const char *name)
{
	const size_t n = strlen(name);

	return strncmp(line, name, n) == 0 && (line[n] == '{' || line[n] == ' ');
}

void metrics_sample(struct metrics *m, const char *line)
{
	for (size_t i = 0; i < LENGTH(known); i++)
		if (is_of(line, known[i].name))
			add(m, &m->pending, line);
}

void metrics_survey_ended(struct metrics *m, int good)
{
	if (good) {
		clear(&m->survey);
		m->survey = m->pending;
	} else {
		clear(&m->pending);
	}
	m->pending = (struct samples){0};
}

void metrics_batch(struct metrics *m, const char *action, const struct metrics_batch *batch)
{
	const double seconds = (double)batch->ms / 1000;
	struct histogram *h;
	size_t i = 0, bucket = 0;

	while (i < m->n_histograms && strcmp(m->histograms[i].action, action) != 0)
		i++;
	if (i == m->n_histograms) {
		m->histograms = t_grow(m, m->histograms, struct histogram, i + 1);
		m->histograms[i] = (struct histogram){.action = t_strdup(m, action)};
		m->n_histograms++;
	}
	while (bucket < BOUNDS && seconds > bounds[bucket])
		bucket++;
	h = &m->histograms[i];
	h->counts[bucket]++;
	h->sum += seconds;
	h->values[BATCH_ROWS] += batch->rows;
	h->values[BATCH_NEXT] = batch->next_rows;
	h->values[BATCH_MOST] = batch->most_rows;
	h->values[BATCH_BLOCKING] += batch->blocked > 0 ? 1 : 0;
}

void metrics_waited(struct metrics *m, int for_replica, double seconds)
{
	m->waited[for_replica ? 1 : 0] += seconds;
}

char *metrics_line(const char *name, const char *label, const char *value, const char *number)
{
	char *text = t_strdup(NULL, name);

	if (label && value) {
		t_append(&text, "{%s=\"", label);
		for (; *value; value++)
			if (*value == '\n')
				t_append(&text, "\\n");
			else
				t_append(&text, "%s%c", *value == '\\' || *value == '"' ? "\\" : "",
					 *value);
		t_append(&text, "\"}");
	}
	return t_append(&text, " %s", number);
}

void metrics_clear_own(struct metrics *m)
{
	clear(&m->own);
}

void metrics_put(struct metrics *m, const char *name, const char *label, const char *value,
		 double number)
{
	AUTO(char_p) char *text = xprintf("%.17g", number);
	AUTO(talloc) char *line = metrics_line(name, label, value, text);

	add(m, &m->own, line);
}

static void append_samples(char **text, const struct samples *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_of(s->lines[i], name))
			t_append(text, "%s\n", s->lines[i]);
}

static void append_histogram(char **text, const char *name, const struct histogram *h)
{
	int64_t n = 0;

	for (size_t i = 0; i <= BOUNDS; i++) {
		char bound[32] = "+Inf";

		n += h->counts[i];
		if (i < BOUNDS)
			(void)snprintf(bound, sizeof(bound), "%g", bounds[i]); /* short */
		t_append(text, "%s_bucket{action=\"%s\",le=\"%s\"} %lld\n", name, h->action, bound,
			 (long long)n);
	}
	t_append(text, "%s_sum{action=\"%s\"} %g\n%s_count{action=\"%s\"} %lld\n", name, h->action,
		 h->sum, name, h->action, (long long)n);
}

static void append_batches(char **text, const struct metrics *m, const char *name, int histogram)
{
	const size_t value = text_index(name, batch_names, LENGTH(batch_names));

	for (size_t i = 0; i < m->n_histograms; i++) {
		const struct histogram *h = &m->histograms[i];

		if (histogram)
			append_histogram(text, name, h);
		else if (value < LENGTH(batch_names))
			t_append(text, "%s{action=\"%s\"} %lld\n", name, h->action,
				 (long long)h->values[value]);
	}
}

/* Appends lines of samples, each with the label before its own. */
static void append_labelled(char **text, const char *samples, const char *label)
{
	for (const char *line = samples, *end; *line; line = end) {
		const char *rest = line + strcspn(line, "{ ");
		const bool has_labels = *rest == '{';

		end = strchr(line, '\n') + 1; /* each line has one */
		t_append(text, "%.*s{%s%s", (int)(rest - line), line, label,
			 has_labels ? "," : "}");
		rest += has_labels ? 1 : 0;
		t_append(text, "%.*s", (int)(end - rest), rest);
	}
}

char *metrics_text(const struct metrics *m)
{
	char *text = t_strdup(NULL, "");

	for (size_t i = 0; i < LENGTH(known); i++) {
		const char *name = known[i].name, *type = known[i].type;
		AUTO(talloc) char *values = t_strdup(NULL, "");

		append_samples(&values, &m->own, name);
		append_samples(&values, &m->survey, name);
		append_batches(&values, m, name, strcmp(type, "histogram") == 0);
		if (strcmp(name, "retentiond_wait_seconds_total") == 0)
			t_append(&values, "%s{for=\"replica\"} %g\n%s{for=\"other\"} %g\n", name,
				 m->waited[1], name, m->waited[0]);
		if (!*values)
			continue;
		t_append(&text, "# HELP %s %s\n# TYPE %s %s\n%s", name, known[i].help, name, type,
			 m->label ? "" : values);
		if (m->label)
			append_labelled(&text, values, m->label);
	}
	return text;
}

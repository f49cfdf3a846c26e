#include "config/groups.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <string.h>

static const struct setting_spec metrics_specs[] = {
	{.key = "textfile",
	 .kind = VALUE_NAME,
	 .offset = offsetof(struct config, metrics_textfile)},
	{.key = "listen", .kind = VALUE_NAME, .offset = offsetof(struct config, metrics_listen)},
	{.key = "interval",
	 .kind = VALUE_DURATION,
	 .offset = offsetof(struct config, metrics_interval_ms),
	 .min = 10 * 1000,
	 .max = 24 * 3600 * 1000},
};
static const struct setting_spec backups_specs[] = {
	{.key = "keep",
	 .kind = VALUE_PERIOD,
	 .offset = offsetof(struct config, backups_keep),
	 .given = offsetof(struct config, has_backups_keep),
	 .required = true},
};

/* An address that only this host can reach, with a port: the figures are nobody else's business. */
static bool is_loopback(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	AUTO(char_p) char *host = colon ? strndup(listen, (size_t)(colon - listen)) : NULL;
	const size_t n = host ? strlen(host) : 0;
	struct in6_addr six;
	struct in_addr four;
	int64_t port;

	if (!host || !number_parse(colon + 1, 1, 65535, &port))
		return false;
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		return inet_pton(AF_INET6, host + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
	}
	return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

void config_read_metrics(struct reader *r, const config_setting_t *group, struct config *config)
{
	const char *file, *dot;

	settings_read(r, group, "metrics", metrics_specs,
		      sizeof(metrics_specs) / sizeof(metrics_specs[0]), config);
	file = config->metrics_textfile;
	dot = file ? strrchr(file, '.') : NULL;
	if (file && (file[0] != '/' || !dot || strcmp(dot, ".prom") != 0))
		reader_complain(r, config_setting_get_member(group, "textfile"),
				"metrics: textfile \"%s\" must begin with / and end in .prom, as "
				"node_exporter wants it",
				file);
	if (config->metrics_listen && !is_loopback(config->metrics_listen))
		reader_complain(r, config_setting_get_member(group, "listen"),
				"metrics: listen \"%s\" is no loopback address with a port: "
				"\"127.0.0.1:9187\" or \"[::1]:9187\"",
				config->metrics_listen);
}

void config_read_backups(struct reader *r, const config_setting_t *group, struct config *config)
{
	settings_read(r, group, "backups", backups_specs,
		      sizeof(backups_specs) / sizeof(backups_specs[0]), config);
}

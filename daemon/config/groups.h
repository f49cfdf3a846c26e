/* The groups metrics and backups: what is told, and what a pass cannot reach. */
#ifndef RETENTION_CONFIG_GROUPS_H
#define RETENTION_CONFIG_GROUPS_H

#include "config/config.h"
#include "config/setting.h"

void config_read_metrics(struct reader *r, const config_setting_t *group, struct config *config);
void config_read_backups(struct reader *r, const config_setting_t *group, struct config *config);

#endif

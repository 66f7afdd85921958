/* experiments/config_set.h - values put into a config's tree: by the command line, and by sweeps.
 */
#ifndef MB_EXPERIMENTS_CONFIG_SET_H
#define MB_EXPERIMENTS_CONFIG_SET_H

#include "balancer/status.h"
#include "experiments/yaml.h"

/**
 * As mb_yaml_set(), but that a generator which is a name alone becomes {use: NAME} where a
 * parameter of it is set.
 */
MB_NODISCARD mb_status mb_config_set(mb_yaml *root, const char *key, mb_yaml *value);

/**
 * Does what `--set KEY=VALUE` asks for. A key that is swept is no longer; "sweep.KEY" is the list
 * of a swept key, "sweep.zip.KEY" of one that is zipped; an empty `sweep` leaves all out.
 *
 * @return MB_OK; MB_ERR_PARAM, MB_ERR_FORMAT (not YAML) with "--set: ..."; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_config_apply_setting(mb_yaml *root, const char *setting);

#endif

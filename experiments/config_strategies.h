/* experiments/config_strategies.h - the part of a config that says which strategies run, and the
 * reading of parameter tables that others declare. Only config.c includes this. */
#ifndef MB_EXPERIMENTS_CONFIG_STRATEGIES_H
#define MB_EXPERIMENTS_CONFIG_STRATEGIES_H

#include "experiments/config.h"

/** That a node is a single value fit for that parameter's type; `key` names it in messages. */
MB_NODISCARD mb_status mb_config_check_scalar(const mb_yaml *node, const mb_param *param,
                                              const char *key);

/**
 * Sets a struct from a mapping's children.
 * @param key     what messages call the mapping, "trace.generate".
 * @param has_use the mapping has a key `use`, which is no parameter.
 */
MB_NODISCARD mb_status mb_config_set_params(const mb_yaml *mapping, const char *key, bool has_use,
                                            const mb_param *table, void *values);

/** That each parameter without a default is in one of the mappings, which may be NULL. */
MB_NODISCARD mb_status mb_config_check_params_given(const mb_yaml *node, const char *key,
                                                    const mb_param *table, const mb_yaml *first,
                                                    const mb_yaml *second);

/** Refuses `name` as a `what` ("strategy"): with the nearest of the names there are, or all. */
mb_status mb_config_fail_name(const mb_yaml *node, const char *key, const char *what,
                              const char *name, const mb_param *names);

/** Fills n_strategies and strategies from the tree; what is there on failure, mb_config_destroy()
 * frees. */
MB_NODISCARD mb_status mb_config_read_strategies(mb_config *config);

#endif

/* experiments/config_strategies.h - the part of a config that says which strategies run, and the
 * reading of parameter tables that others declare. Only config.c and config_text.c include this. */
#ifndef MB_EXPERIMENTS_CONFIG_STRATEGIES_H
#define MB_EXPERIMENTS_CONFIG_STRATEGIES_H

#include "experiments/config.h"

/** That a node is a single value fit for that parameter's type; `key` names it in messages. */
MB_NODISCARD mb_status mb_config_check_scalar(const mb_yaml *node, const mb_param *param,
                                              const char *key);

/**
 * Sets a struct from a mapping's children, but for paths.
 * @param key    what messages call the mapping, "trace.generate".
 * @param others keys that it may have besides, which are passed over; NULL-terminated, or NULL.
 */
MB_NODISCARD mb_status mb_config_set_params(const mb_yaml *mapping, const char *key,
                                            const char *const *others, const mb_param *table,
                                            void *values);

/** That each parameter without a default is in one of the mappings, which may be NULL. */
MB_NODISCARD mb_status mb_config_check_params_given(const mb_yaml *node, const char *key,
                                                    const mb_param *table, const mb_yaml *first,
                                                    const mb_yaml *second);

/** Refuses `name` as a `what` ("strategy"): with the nearest of the names there are, or all. */
mb_status mb_config_fail_name(const mb_yaml *node, const char *key, const char *what,
                              const char *name, const mb_param *names);

/** A path as the config of that path means it: relative to its folder, or to the current directory
 * where the command line says it. NULL without memory; else free() it. */
char *mb_config_resolve_path(const char *config_path, const mb_yaml *node);

/** mb_params_init(), but for paths, which are left as they are. */
void mb_config_params_init(const mb_param *table, void *values);

/** Fills n_strategies and strategies from the tree; what is there on failure, mb_config_destroy()
 * frees. */
MB_NODISCARD mb_status mb_config_read_strategies(mb_config *config);

/** Frees what add and read made of one. */
void mb_config_strategy_fini(mb_replay_strategy *strategy);

/** Where a program runs that names no folder: where the config lies, or the current folder where
 * the command line says all. NULL: no memory. @return Transferred: free() it. */
char *mb_config_folder(const char *config_path, const mb_yaml *entry);

/** Writes what every strategy can be given, "key: value" for each, in flow style. */
void mb_config_write_options(FILE *stream, const char *separator,
                             const mb_replay_strategy *strategy);

/** Writes ": {use: ..." of a strategy that is none of the registry; false: it is one. */
bool mb_config_write_outside(FILE *stream, const mb_replay_strategy *strategy);

/** "key: value" for every parameter but paths, in flow style; `separator` goes before the first. */
void mb_config_write_params(FILE *stream, const char *separator, const mb_param *table,
                            const void *values);

#endif

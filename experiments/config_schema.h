/* experiments/config_schema.h - the declared keys of a config: what `moebal run` accepts. */
#ifndef MB_EXPERIMENTS_CONFIG_SCHEMA_H
#define MB_EXPERIMENTS_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "balancer/param.h"

/** The unit of a text that is a path; its value is a `char *`, of any length. */
#define MB_CONFIG_PATH_UNIT "path"

/** A key that holds other keys, or a list of them. */
typedef struct mb_config_branch {
  const char *key;
  const char *help;
  bool is_section; /* its keys are those of mb_config_values() that begin with "<key>." */
} mb_config_branch;

/**
 * All keys with a single value, over struct mb_config. Keys are written with dots: "cluster.gpus".
 * Ended by an entry whose key is NULL. Static.
 */
const mb_param *mb_config_values(void);

/** All keys with more below them, ended by an entry whose key is NULL. Static. */
const mb_config_branch *mb_config_branches(void);

/** Whether the value is a path, resolved by the rule that the schema states. */
bool mb_config_is_path(const mb_param *param);

/** The declared key, beside the one given, that it is probably a slip of; or NULL. Static. */
const char *mb_config_nearest(const char *key);

/** The strategies that run where a config does not say. NULL-terminated. Static. */
const char *const *mb_config_default_strategies(void);

/** Prints one parameter table: a line a key with type, unit, default, range and help. */
void mb_config_print_params(FILE *stream, const mb_param *table, const char *indent);

/** Prints what `use` takes beside the registry's names: maps and command, with their keys. */
void mb_config_print_outside(FILE *stream, const char *indent);

/** Prints the whole schema, with those of the strategies and generators, and an example. */
void mb_config_print_schema(FILE *stream);

/** The generators with their parameters; those that all have are printed once, at the end. */
void mb_config_print_generators(FILE *stream, const char *indent);

#endif

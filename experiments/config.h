/* experiments/config.h - a run as its config file and the command line describe it. */
#ifndef MB_EXPERIMENTS_CONFIG_H
#define MB_EXPERIMENTS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/status.h"
#include "experiments/yaml.h"
#include "sim/replay.h"
#include "workloads/generator.h"
#include "workloads/source.h"

/** What the words stand for: cluster.groups: trace, summary.from: auto. */
enum {
  MB_CONFIG_GROUPS_OF_TRACE = 0,
  MB_CONFIG_FROM_AUTO = -1,
  MB_CONFIG_LIFETIME_AUTO = -1,
  MB_CONFIG_BYTES_AUTO = 0
};

/** Longest label of a strategy, and longest name of a run. */
enum { MB_CONFIG_LABEL_MAX = 64 };

/** A config, every value in its range. config_schema.c says what each is. */
typedef struct mb_config {
  char name[MB_PARAM_TEXT_SIZE];
  char *trace_file;                   /* NULL: generated */
  const mb_generator_type *generator; /* NULL: from the file */
  void *generator_params;
  int64_t nodes, gpus, slots, groups;
  int64_t expert_bytes; /* or auto; mb_config_expert_bytes() */
  int64_t interval, window, delay, summary_from;
  int64_t summary_from_auto; /* what auto stands for in a sweep; 0: interval + delay */
  int64_t merge;             /* steps of the trace summed into one */
  int64_t relabel;          /* which relabelling of groups and experts the balancers see; 0: none */
  int64_t request_lifetime; /* mean, in steps before `merge`; 0: not known; auto is resolved */
  mb_cost_params cost;      /* gpu: off: nothing is said of time */
  char tune_objective[MB_PARAM_TEXT_SIZE]; /* one of mb_tune_objective_words */
  double tune_split;                       /* share of the steps that tuning chooses on */
  int64_t max_expert_bytes_per_gpu;        /* that tuning keeps to; 0: not given */
  bool attribution;                        /* whether intervals are put down to causes */
  int64_t seed;
  int64_t loads_seed;               /* that the generator gets: trace.generate.seed, or seed */
  char backend[MB_PARAM_TEXT_SIZE]; /* one of mb_backend_words */
  char *output;
  size_t n_strategies;
  mb_replay_strategy *strategies; /* with `none` and `hindsight` */
  char *path;                     /* of the file; the tree refers to it */
  mb_yaml *root;                  /* what was read, for messages */
} mb_config;

/**
 * Reads a config, applies the settings of the command line, each "key.path=value", in their order,
 * and holds all against the schema. A config with a `sweep` is refused: mb_sweep_read() reads it.
 *
 * @param settings [n_settings] borrowed for the call.
 * @param config   Transferred: mb_config_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO; MB_ERR_FORMAT (not YAML); MB_ERR_PARAM with FILE:LINE (or --set), the
 *         key, and what would be right; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_config_read(const char *path, size_t n_settings,
                                      const char *const *settings, mb_config **config);
void mb_config_destroy(mb_config *config); /* NULL is fine */

/**
 * The tree that mb_config_read() holds against the schema: of the file, with the settings.
 * @param path borrowed as long as the tree lives. @param root Transferred: mb_yaml_destroy() it.
 * @return what mb_config_read() returns of these steps.
 */
MB_NODISCARD mb_status mb_config_read_tree(const char *path, size_t n_settings,
                                           const char *const *settings, mb_yaml **root);

/**
 * A config of a tree in which some keys have other values. It may have no `sweep`.
 *
 * @param path of the file that the tree was read from. Copied, as are the tree and the values.
 * @param key, value [n_values] set one after the other.
 * @return what mb_config_read() returns.
 */
MB_NODISCARD mb_status mb_config_make(const char *path, const mb_yaml *root, size_t n_values,
                                      const char *const *key, const mb_yaml *const *value,
                                      mb_config **config);

/**
 * What trace.generate says, `node`: a generator, and its parameters.
 * @param params Transferred: free() it. Written only on MB_OK, as is `type`.
 * @param seed   trace.generate.seed; written only where there is one.
 * @return MB_OK; MB_ERR_PARAM with FILE:LINE, the key, and what would be right; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_config_read_generator(const mb_yaml *node, const mb_generator_type **type,
                                                void **params, int64_t *seed);

/** Opens the trace, or starts the generator; steps as trace.merge says. @param source Transferred.
 */
MB_NODISCARD mb_status mb_config_open_source(const mb_config *config, mb_source **source);

/** The same before trace.merge: the steps as they were recorded, which other cells may share. */
MB_NODISCARD mb_status mb_config_open_recorded(const mb_config *config, mb_source **source);

/** The other half: those steps, as trace.merge says. @param recorded Transferred, also on failure.
 */
MB_NODISCARD mb_status mb_config_merge_steps(const mb_config *config, mb_source *recorded,
                                             mb_source **source);

/** Whether two configs name the same trace, or generator with the same parameters but the seed. */
bool mb_config_have_same_trace(const mb_config *a, const mb_config *b);

/** Whether two configs' loads are the same, before trace.merge. */
bool mb_config_have_same_loads(const mb_config *a, const mb_config *b);

/** Whether there are costs: cost.gpu is not off. */
bool mb_config_has_cost(const mb_config *config);

/**
 * The config's model of costs.
 * @param cost Transferred: mb_cost_destroy() it. NULL where it has none. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM with FILE:LINE and what it needs; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_config_make_cost(const mb_config *config, const mb_trace_info *info,
                                           const mb_shape *shape, mb_cost **cost);

/**
 * Bytes of one expert's weights in a layer: cluster.expert_bytes, or, where that is auto, those of
 * the model preset that the trace names, at 16 bits a weight, or as cost.dtype says where there are
 * costs. 0: not known.
 */
int64_t mb_config_expert_bytes(const mb_config *config, const mb_trace_info *info);

/**
 * Holds the config against the trace, and makes the replay of both.
 *
 * @param replay Borrows the config's strategies, and has no costs yet. Written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE or MB_ERR_PARAM with FILE:LINE, the key, and the numbers that do not
 *         fit each other.
 */
MB_NODISCARD mb_status mb_config_fit(const mb_config *config, const mb_trace_info *info,
                                     mb_replay_config *replay);

/**
 * The config with all defaults filled in, as YAML that mb_config_read() reads back to the same run.
 * It names no output.
 * @param text Transferred: free() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_config_format(const mb_config *config, const mb_replay_config *replay,
                                        char **text);

#endif

/* experiments/config.h - a run as its config file and the command line describe it. */
#ifndef MB_EXPERIMENTS_CONFIG_H
#define MB_EXPERIMENTS_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/status.h"
#include "experiments/yaml.h"
#include "sim/replay.h"
#include "workloads/generator.h"
#include "workloads/source.h"

/** What the words stand for: cluster.groups: trace, summary.from: auto. */
enum { MB_CONFIG_GROUPS_OF_TRACE = 0, MB_CONFIG_FROM_AUTO = -1 };

/** Longest label of a strategy, and longest name of a run. */
enum { MB_CONFIG_LABEL_MAX = 64 };

/** A config, every value in its range. config_schema.c says what each is. */
typedef struct mb_config {
  char name[MB_PARAM_TEXT_SIZE];
  char *trace_file;                   /* NULL: generated */
  const mb_generator_type *generator; /* NULL: from the file */
  void *generator_params;
  int64_t nodes, gpus, slots, groups;
  int64_t interval, window, delay, summary_from;
  int64_t seed;
  char backend[MB_PARAM_TEXT_SIZE]; /* one of mb_backend_words */
  char *output;
  size_t n_strategies;
  mb_replay_strategy *strategies; /* with `none` and `hindsight` */
  char *path;                     /* of the file; the tree refers to it */
  mb_yaml *root;                  /* what was read, for messages */
} mb_config;

/**
 * Reads a config, applies the settings of the command line, each "key.path=value", in their order,
 * and holds all against the schema.
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
 * What trace.generate says, `node`: a generator, and its parameters.
 * @param params Transferred: free() it. Written only on MB_OK, as is `type`.
 * @return MB_OK; MB_ERR_PARAM with FILE:LINE, the key, and what would be right; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_config_read_generator(const mb_yaml *node, const mb_generator_type **type,
                                                void **params);

/** Opens the trace, or starts the generator. @param source Transferred. */
MB_NODISCARD mb_status mb_config_open_source(const mb_config *config, mb_source **source);

/**
 * Holds the config against the trace, and makes the replay of both.
 *
 * @param replay Borrows the config's strategies. Written only on MB_OK.
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

/* experiments/config.c - from the tree of a config file to a run. The reading of strategies is in
 * config_strategies.c. */
#include "experiments/config.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/config_schema.h"
#include "experiments/config_set.h"
#include "experiments/config_strategies.h"
#include "experiments/recorded_maps.h"
#include "workloads/model.h"
#include "workloads/requests.h"

enum { KEY_SIZE = 256 };

static mb_status no_memory(const mb_config *config) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
}

/* --- single values --- */

char *mb_config_resolve_path(const char *config_path, const mb_yaml *node) {
  const char *slash = strrchr(config_path, '/');
  size_t folder = slash != NULL ? (size_t)(slash - config_path) + 1 : 0;

  if (node->line == 0 || node->text[0] == '/') {
    folder = 0;
  }
  size_t length = strlen(node->text);
  char *path = malloc(folder + length + 1);
  if (path != NULL) {
    memcpy(path, config_path, folder);
    memcpy(path + folder, node->text, length + 1);
  }
  return path;
}

static mb_status set_path(mb_config *config, const mb_param *param, const mb_yaml *node) {
  char **value = (char **)((char *)config + param->offset);

  if (node->text[0] == '\0') {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s is empty: give a path", param->key);
  }
  *value = mb_config_resolve_path(config->path, node);
  return *value != NULL ? MB_OK : no_memory(config);
}

static mb_status set_value(mb_config *config, const mb_param *param, const mb_yaml *node) {
  MB_TRY(mb_config_check_scalar(node, param, param->key));
  if (mb_config_is_path(param)) {
    return set_path(config, param, node);
  }
  mb_status status = mb_params_set(mb_config_values(), param->key, node->text, config);
  return status == MB_OK ? MB_OK : mb_yaml_fail(node, status, "%s", mb_error_message());
}

/* --- sections --- */

static const mb_config_branch *find_branch(const char *key) {
  for (const mb_config_branch *branch = mb_config_branches(); branch->key != NULL; branch++) {
    if (strcmp(branch->key, key) == 0) {
      return branch;
    }
  }
  return NULL;
}

static mb_status fail_unknown(const mb_yaml *node, const char *key) {
  const char *nearest = mb_config_nearest(key);

  if (nearest == NULL) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "unknown key '%.64s'; `moebal help config` lists what there is", key);
  }
  return mb_yaml_fail(node, MB_ERR_PARAM, "unknown key '%.64s'; did you mean '%s'?", key, nearest);
}

/* "cluster.gpus" is a way to name the key of a key, in messages and for --set. As a key of a file
   it would be a second way to say the same, past the check for duplicates. */
static mb_status fail_dotted(const mb_yaml *node) {
  int length = (int)strcspn(node->key, ".");

  return mb_yaml_fail(node, MB_ERR_PARAM,
                      "the key '%.64s' has a dot in it; write it as %.*s: {%.64s: ...}", node->key,
                      length < 64 ? length : 64, node->key, node->key + length + 1);
}

static mb_status read_section(mb_config *config, const mb_yaml *section, const char *prefix);

static mb_status read_child(mb_config *config, const mb_yaml *node, const char *key) {
  const mb_param *param = mb_param_find(mb_config_values(), key);
  const mb_config_branch *branch = find_branch(key);

  if (param != NULL) {
    return set_value(config, param, node);
  }
  if (branch == NULL) {
    return fail_unknown(node, key);
  }
  if (!branch->is_section) {
    return MB_OK; /* read by a function of its own */
  }
  if (node->kind != MB_YAML_MAPPING) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s is %s, but has to be a mapping: %s", key,
                        mb_yaml_kind_name(node), branch->help);
  }
  return read_section(config, node, key);
}

static mb_status read_section(mb_config *config, const mb_yaml *section, const char *prefix) {
  char key[KEY_SIZE];

  for (size_t i = 0; i < section->n_children; i++) {
    const mb_yaml *child = section->children[i];
    if (strchr(child->key, '.') != NULL) {
      return fail_dotted(child);
    }
    (void)snprintf(key, sizeof key, "%s%s%.128s", prefix, prefix[0] != '\0' ? "." : "", child->key);
    MB_TRY(read_child(config, child, key));
  }
  return MB_OK;
}

static mb_status check_given(const mb_config *config) {
  for (const mb_param *param = mb_config_values(); param->key != NULL; param++) {
    if (param->initial == NULL && mb_yaml_find(config->root, param->key) == NULL) {
      return mb_yaml_fail(mb_yaml_find_nearest(config->root, param->key), MB_ERR_PARAM,
                          "%s is missing: %s", param->key, param->help);
    }
  }
  return MB_OK;
}

/* The name becomes a group of the results file and, by default, the file's own. */
static mb_status check_name(const mb_config *config) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  size_t length = strlen(config->name);

  if (length == 0 || length > MB_CONFIG_LABEL_MAX || config->name[strspn(config->name, letters)] ||
      config->name[0] == '.') {
    return mb_yaml_fail(mb_yaml_get(config->root, "name"), MB_ERR_PARAM,
                        "name is '%.80s', but has to be 1 to %d letters, digits or _ . -, without "
                        "a dot in front",
                        config->name, MB_CONFIG_LABEL_MAX);
  }
  return MB_OK;
}

/* --- the trace --- */

static const mb_generator_type *find_generator(const mb_yaml *name) {
  return name != NULL && name->kind == MB_YAML_SCALAR ? mb_generator_find(name->text) : NULL;
}

static mb_status fail_generator(const mb_yaml *node, const mb_yaml *name) {
  enum { MANY = 128 };
  mb_param names[MANY] = {{0}};
  size_t n = 0;

  for (const mb_generator_type *const *type = mb_generators(); *type != NULL && n + 1 < MANY;
       type++) {
    names[n++].key = (*type)->name;
  }
  if (name == NULL || name->kind != MB_YAML_SCALAR) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "trace.generate has to be a generator's name (`moebal list generators`), "
                        "or {use: NAME, ...}");
  }
  return mb_config_fail_name(name, "trace.generate", "generator", name->text, names);
}

/* trace.generate.seed is to a generator what `seed` is to all. */
static mb_status read_seed(const mb_yaml *node, int64_t *seed) {
  const mb_yaml *child = mb_yaml_get(node, "seed");
  const mb_param *param = mb_param_find(mb_config_values(), "seed");
  mb_config scratch;

  if (child == NULL) {
    return MB_OK;
  }
  MB_TRY(mb_config_check_scalar(child, param, "trace.generate.seed"));
  mb_status status = mb_params_set(mb_config_values(), param->key, child->text, &scratch);
  if (status != MB_OK) {
    return mb_yaml_fail(child, status, "trace.generate.%s", mb_error_message());
  }
  *seed = scratch.seed;
  return MB_OK;
}

mb_status mb_config_read_generator(const mb_yaml *node, const mb_generator_type **type,
                                   void **params, int64_t *seed) {
  static const char *const others[] = {"use", "seed", NULL};
  const mb_yaml *name = node->kind == MB_YAML_MAPPING ? mb_yaml_get(node, "use") : node;
  const mb_generator_type *found = find_generator(name);

  if (found == NULL) {
    return fail_generator(node, name);
  }
  void *made = calloc(1, found->params_size > 0 ? found->params_size : 1);
  if (made == NULL) {
    return mb_yaml_fail(node, MB_ERR_MEMORY, "out of memory");
  }
  mb_params_init(found->params, made);
  mb_status status = MB_OK;
  if (node->kind == MB_YAML_MAPPING) {
    status = mb_config_set_params(node, "trace.generate", others, found->params, made);
  }
  if (status == MB_OK) {
    status = mb_config_check_params_given(node, "trace.generate", found->params, node, NULL);
  }
  if (status == MB_OK) {
    status = read_seed(node, seed);
  }
  if (status != MB_OK) {
    free(made);
    return status;
  }
  *type = found;
  *params = made;
  return MB_OK;
}

/* Only one generator has requests that come and go. */
static int64_t find_lifetime(const mb_config *config) {
  return config->generator == &mb_generator_requests
             ? (int64_t)ceil(mb_requests_lifetime(config->generator_params))
             : 0;
}

static mb_status read_trace(mb_config *config) {
  const mb_yaml *file = mb_yaml_find(config->root, "trace.file");
  const mb_yaml *generate = mb_yaml_find(config->root, "trace.generate");

  if (file != NULL && generate != NULL) {
    return mb_yaml_fail(generate, MB_ERR_PARAM,
                        "trace.generate and trace.file are both given: leave one out");
  }
  if (file == NULL && generate == NULL) {
    return mb_yaml_fail(mb_yaml_find_nearest(config->root, "trace.file"), MB_ERR_PARAM,
                        "trace is missing: give trace.file, a recorded trace, or trace.generate");
  }
  config->loads_seed = config->seed;
  if (generate != NULL) {
    MB_TRY(mb_config_read_generator(generate, &config->generator, &config->generator_params,
                                    &config->loads_seed));
  }
  if (config->request_lifetime == MB_CONFIG_LIFETIME_AUTO) {
    config->request_lifetime = find_lifetime(config);
  }
  return MB_OK;
}

/* --- the whole --- */

void mb_config_params_init(const mb_param *table, void *values) {
  for (const mb_param *param = table; param->key != NULL; param++) {
    if (!mb_config_is_path(param)) {
      const mb_param one[] = {*param, {0}};
      mb_params_init(one, values);
    }
  }
}

static mb_status set_default_output(mb_config *config) {
  if (config->output == NULL) {
    size_t size = strlen(config->name) + sizeof ".h5";
    config->output = malloc(size);
    if (config->output == NULL) {
      return no_memory(config);
    }
    (void)snprintf(config->output, size, "%s.h5", config->name);
  }
  return MB_OK;
}

mb_status mb_config_read_tree(const char *path, size_t n_settings, const char *const *settings,
                              mb_yaml **root) {
  mb_yaml *made = NULL;
  mb_status status = mb_yaml_read(path, &made);

  if (status == MB_OK && made->kind != MB_YAML_MAPPING) {
    status = mb_yaml_fail(made, MB_ERR_PARAM, "a config is a mapping of keys, not %s",
                          mb_yaml_kind_name(made));
  }
  for (size_t i = 0; i < n_settings && status == MB_OK; i++) {
    status = mb_config_apply_setting(made, settings[i]);
  }
  if (status != MB_OK) {
    mb_yaml_destroy(made);
    return status;
  }
  *root = made;
  return MB_OK;
}

static mb_status set_values(mb_config *config, size_t n_values, const char *const *key,
                            const mb_yaml *const *value) {
  for (size_t i = 0; i < n_values; i++) {
    mb_yaml *copy = mb_yaml_copy(value[i], config->path);
    if (copy == NULL) {
      return no_memory(config);
    }
    mb_status status = mb_config_set(config->root, key[i], copy);
    if (status != MB_OK) {
      mb_yaml_destroy(copy);
      return status;
    }
  }
  return MB_OK;
}

/* What is given in vain is rather a slip. */
static mb_status check_cost_given(const mb_config *config) {
  const mb_yaml *cost = mb_yaml_get(config->root, "cost");

  for (size_t i = 0; cost != NULL && !mb_config_has_cost(config) && i < cost->n_children; i++) {
    if (strcmp(cost->children[i]->key, "gpu") != 0) {
      return mb_yaml_fail(cost->children[i], MB_ERR_PARAM,
                          "cost.%.64s is given, but cost.gpu is off: say which GPU, or leave both "
                          "out",
                          cost->children[i]->key);
    }
  }
  return MB_OK;
}

static mb_status read_all(mb_config *config) {
  mb_config_params_init(mb_config_values(), config);
  MB_TRY(read_section(config, config->root, ""));
  MB_TRY(check_given(config));
  MB_TRY(check_cost_given(config));
  MB_TRY(check_name(config));
  MB_TRY(read_trace(config));
  MB_TRY(mb_config_read_strategies(config));
  return set_default_output(config);
}

mb_status mb_config_make(const char *path, const mb_yaml *root, size_t n_values,
                         const char *const *key, const mb_yaml *const *value, mb_config **config) {
  mb_config *made = calloc(1, sizeof *made);

  if (made == NULL || (made->path = strdup(path)) == NULL ||
      (made->root = mb_yaml_copy(root, made->path)) == NULL) {
    mb_config_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", path);
  }
  mb_status status = set_values(made, n_values, key, value);
  if (status == MB_OK) {
    status = read_all(made);
  }
  if (status != MB_OK) {
    mb_config_destroy(made);
    return status;
  }
  *config = made;
  return MB_OK;
}

mb_status mb_config_read(const char *path, size_t n_settings, const char *const *settings,
                         mb_config **config) {
  mb_yaml *root = NULL;

  MB_TRY(mb_config_read_tree(path, n_settings, settings, &root));
  const mb_yaml *sweep = mb_yaml_get(root, "sweep");
  mb_status status = sweep == NULL
                         ? mb_config_make(path, root, 0, NULL, NULL, config)
                         : mb_yaml_fail(sweep, MB_ERR_PARAM,
                                        "a sweep is many runs, and this takes one: leave it out "
                                        "(--set sweep=null); `moebal run` runs sweeps");
  mb_yaml_destroy(root);
  return status;
}

void mb_config_destroy(mb_config *config) {
  if (config == NULL) {
    return;
  }
  for (size_t i = 0; i < config->n_strategies; i++) {
    mb_config_strategy_fini(&config->strategies[i]);
  }
  free(config->strategies);
  free(config->generator_params);
  free(config->trace_file);
  free(config->output);
  mb_yaml_destroy(config->root);
  free(config->path);
  free(config);
}

static mb_status fail_misfit(const mb_config *config, const char *key, mb_status status) {
  return mb_yaml_fail(mb_yaml_find_nearest(config->root, key), status, "%s: %s", key,
                      mb_error_message());
}

mb_status mb_config_open_source(const mb_config *config, mb_source **source) {
  mb_source *recorded = NULL;

  MB_TRY(mb_config_open_recorded(config, &recorded));
  return mb_config_merge_steps(config, recorded, source);
}

mb_status mb_config_merge_steps(const mb_config *config, mb_source *recorded, mb_source **source) {
  if (config->merge == 1) {
    *source = recorded;
    return MB_OK;
  }
  mb_status status = mb_source_open_merged(recorded, (size_t)config->merge, source);
  return status == MB_OK ? MB_OK : fail_misfit(config, "trace.merge", status);
}

mb_status mb_config_open_recorded(const mb_config *config, mb_source **source) {
  if (config->trace_file != NULL) {
    return mb_source_open_trace(config->trace_file, source);
  }
  mb_status status = mb_source_open_generator(config->generator, config->generator_params,
                                              (uint64_t)config->loads_seed, source);
  if (status == MB_OK) {
    return MB_OK;
  }
  return mb_yaml_fail(mb_yaml_find(config->root, "trace.generate"), status, "trace.generate: %s",
                      mb_error_message());
}

bool mb_config_have_same_trace(const mb_config *a, const mb_config *b) {
  if (a->trace_file != NULL || b->trace_file != NULL) {
    return a->trace_file != NULL && b->trace_file != NULL &&
           strcmp(a->trace_file, b->trace_file) == 0;
  }
  return a->generator == b->generator &&
         memcmp(a->generator_params, b->generator_params, a->generator->params_size) == 0;
}

bool mb_config_have_same_loads(const mb_config *a, const mb_config *b) {
  return (a->trace_file != NULL || a->loads_seed == b->loads_seed) &&
         mb_config_have_same_trace(a, b);
}

/* --- against the trace --- */

int64_t mb_config_expert_bytes(const mb_config *config, const mb_trace_info *info) {
  const mb_model *model = mb_model_find_title(info->model);

  if (config->expert_bytes != MB_CONFIG_BYTES_AUTO) {
    return config->expert_bytes;
  }
  double bits = mb_config_has_cost(config) ? mb_dtype_bits(config->cost.dtype) : 16.0;
  return model != NULL ? llround(mb_model_expert_bytes(model, bits)) : 0;
}

bool mb_config_has_cost(const mb_config *config) {
  return mb_gpu_find(config->cost.gpu) != NULL;
}

mb_status mb_config_make_cost(const mb_config *config, const mb_trace_info *info,
                              const mb_shape *shape, mb_cost **cost) {
  const mb_model *model = mb_model_find_title(info->model);
  const mb_cost_facts facts = {.expert_bytes = (double)mb_config_expert_bytes(config, info),
                               .hidden = model != NULL ? (double)model->hidden : 0.0,
                               .top_k = (double)info->top_k};

  if (!mb_config_has_cost(config)) {
    *cost = NULL;
    return MB_OK;
  }
  mb_status status = mb_cost_create(shape, &config->cost, &facts, cost);
  return status == MB_OK ? MB_OK
                         : mb_yaml_fail(mb_yaml_find_nearest(config->root, "cost"), status, "%s",
                                        mb_error_message());
}

/* That costs can be had, before anything long begins. */
static mb_status check_cost(const mb_config *config, const mb_trace_info *info,
                            const mb_shape *shape) {
  mb_cost *cost = NULL;

  MB_TRY(mb_config_make_cost(config, info, shape, &cost));
  mb_cost_destroy(cost);
  return MB_OK;
}

/* The key to change where mb_shape_check() refuses: its checks, in its order. */
static const char *misfit_of_shape(const mb_shape *shape) {
  if (shape->n_slots < shape->n_experts || shape->n_slots % shape->n_gpus != 0) {
    return "cluster.slots";
  }
  return shape->n_gpus % shape->n_nodes != 0 ? "cluster.gpus" : "cluster.groups";
}

/* Placements from files are for this cluster and these loads, or wrong. */
static mb_status load_recorded(const mb_config *config, const mb_shape *shape,
                               const mb_trace_info *info) {
  for (size_t i = 0; i < config->n_strategies; i++) {
    if (config->strategies[i].role == MB_REPLAY_RECORDED) {
      mb_recorded_maps *maps = (mb_recorded_maps *)config->strategies[i].params;
      mb_status status = mb_recorded_maps_load(maps, shape, info);
      if (status != MB_OK) {
        return mb_yaml_fail(maps->node, status, "strategies: %s: %s", config->strategies[i].label,
                            mb_error_message());
      }
    }
  }
  return MB_OK;
}

mb_status mb_config_fit(const mb_config *config, const mb_trace_info *info,
                        mb_replay_config *replay) {
  bool auto_from = config->summary_from == MB_CONFIG_FROM_AUTO;
  int64_t own_from = config->interval + config->delay;
  int64_t swept_from = config->summary_from_auto;
  int64_t from = !auto_from ? config->summary_from : swept_from > 0 ? swept_from : own_from;
  int64_t groups = config->groups == MB_CONFIG_GROUPS_OF_TRACE ? info->n_groups : config->groups;
  mb_replay_config made = {.shape = {.n_layers = info->n_layers,
                                     .n_experts = info->n_experts,
                                     .n_slots = (size_t)config->slots,
                                     .n_groups = (size_t)groups,
                                     .n_nodes = (size_t)config->nodes,
                                     .n_gpus = (size_t)config->gpus},
                           .interval = (size_t)config->interval,
                           .window = (size_t)config->window,
                           .delay = (size_t)config->delay,
                           .summary_from = (size_t)from,
                           .relabel = (size_t)config->relabel,
                           .n_strategies = config->n_strategies,
                           .strategies = config->strategies};

  mb_status status = mb_shape_check(&made.shape);
  if (status != MB_OK) {
    return fail_misfit(config, misfit_of_shape(&made.shape), status);
  }
  MB_TRY(check_cost(config, info, &made.shape));
  MB_TRY(load_recorded(config, &made.shape, info));
  status = mb_replay_check(&made, info);
  if (status != MB_OK) {
    if (made.delay >= made.interval) {
      return fail_misfit(config, "schedule.delay", status);
    }
    if (made.summary_from < info->n_steps) {
      return fail_misfit(config, "strategies", status);
    }
    if (auto_from) {
      (void)MB_FAIL(status, "%s; summary.from says where, by default %s", mb_error_message(),
                    swept_from > 0 ? "the largest interval + delay of all cells of the sweep"
                                   : "interval + delay");
    }
    return fail_misfit(config, auto_from ? "schedule.interval" : "summary.from", status);
  }
  *replay = made;
  return MB_OK;
}

/* --- written out --- */

void mb_config_write_params(FILE *stream, const char *separator, const mb_param *table,
                            const void *values) {
  char text[MB_PARAM_TEXT_SIZE];

  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    if (mb_config_is_path(param)) {
      continue;
    }
    (void)fprintf(stream, "%s%s: ", separator, param->key);
    separator = ", ";
    (void)mb_param_format(param, values, text, sizeof text);
    if (param->type == MB_PARAM_TEXT) {
      mb_yaml_write_text(stream, text);
    } else {
      (void)fputs(text, stream);
    }
  }
}

static void write_trace(FILE *stream, const mb_config *config) {
  (void)fputs("trace:\n", stream);
  if (config->trace_file != NULL) {
    char *absolute = realpath(config->trace_file, NULL);
    (void)fputs("  file: ", stream);
    mb_yaml_write_text(stream, absolute != NULL ? absolute : config->trace_file);
    (void)fputc('\n', stream);
    free(absolute);
  } else {
    (void)fprintf(stream, "  generate: {use: %s, seed: %lld", config->generator->name,
                  (long long)config->loads_seed);
    mb_config_write_params(stream, ", ", config->generator->params, config->generator_params);
    (void)fputs("}\n", stream);
  }
  (void)fprintf(stream, "  merge: %lld\n  request_lifetime: %lld\n", (long long)config->merge,
                (long long)config->request_lifetime);
}

/* The references' entry is their name alone: what they are given stands under `parameters`. */
static void write_references(FILE *stream, const mb_config *config) {
  (void)fputs("parameters:\n", stream);
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_replay_strategy *one = &config->strategies[i];
    if (one->role == MB_REPLAY_NONE) {
      (void)fputs("  none: {", stream);
      mb_config_write_options(stream, "", one);
      (void)fputs("}\n", stream);
    } else if (one->role == MB_REPLAY_HINDSIGHT) {
      (void)fputs("  hindsight: {", stream);
      mb_config_write_params(stream, "", one->strategy->params, one->params);
      mb_config_write_options(stream, ", ", one);
      (void)fputs("}\n", stream);
    }
  }
}

static void write_strategies(FILE *stream, const mb_config *config) {

  (void)fputs("strategies:\n", stream);
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_replay_strategy *strategy = &config->strategies[i];
    (void)fputs("  - ", stream);
    mb_yaml_write_text(stream, strategy->label);
    if (mb_config_write_outside(stream, strategy)) {
      mb_config_write_options(stream, ", ", strategy);
      (void)fputc('}', stream);
    } else if (strategy->role == MB_REPLAY_ONLINE) {
      (void)fprintf(stream, ": {use: %s", strategy->strategy->name);
      mb_config_write_params(stream, ", ", strategy->strategy->params, strategy->params);
      mb_config_write_options(stream, ", ", strategy);
      (void)fputc('}', stream);
    }
    (void)fputc('\n', stream);
  }
  write_references(stream, config);
}

static void write_tune(FILE *stream, const mb_config *config) {
  static const char *const keys[] = {"objective", "split", "max_expert_bytes_per_gpu"};

  (void)fputs("tune: {", stream);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char key[64];
    char text[MB_PARAM_TEXT_SIZE];
    (void)snprintf(key, sizeof key, "tune.%s", keys[i]);
    mb_param_format(mb_param_find(mb_config_values(), key), config, text, sizeof text);
    (void)fprintf(stream, "%s%s: %s", i > 0 ? ", " : "", keys[i], text);
  }
  (void)fputs("}\n", stream);
}

mb_status mb_config_format(const mb_config *config, const mb_replay_config *replay, char **text) {
  char bytes[MB_PARAM_TEXT_SIZE];
  char *made = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&made, &size);

  if (stream == NULL) {
    return no_memory(config);
  }
  (void)fputs("name: ", stream);
  mb_yaml_write_text(stream, config->name);
  (void)fputc('\n', stream);
  write_trace(stream, config);
  (void)fprintf(stream, "cluster: {nodes: %zu, gpus: %zu, slots: %zu, groups: %zu, ",
                replay->shape.n_nodes, replay->shape.n_gpus, replay->shape.n_slots,
                replay->shape.n_groups);
  mb_param_format(mb_param_find(mb_config_values(), "cluster.expert_bytes"), config, bytes,
                  sizeof bytes);
  (void)fprintf(stream, "expert_bytes: %s}\n", bytes);
  (void)fprintf(stream, "schedule: {interval: %zu, window: %zu, delay: %zu}\n", replay->interval,
                replay->window, replay->delay);
  (void)fprintf(stream, "summary: {from: %zu}\n", replay->summary_from);
  if (mb_config_has_cost(config)) {
    (void)fputs("cost: {", stream);
    mb_config_write_params(stream, "", mb_cost_params_table(), &config->cost);
    (void)fputs("}\n", stream);
  }
  write_strategies(stream, config);
  write_tune(stream, config);
  (void)fprintf(stream, "attribution: %s\nseed: %lld\nrelabel: %lld\n",
                config->attribution ? "true" : "false", (long long)config->seed,
                (long long)config->relabel);
  bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) {
    free(made);
    return no_memory(config);
  }
  *text = made;
  return MB_OK;
}

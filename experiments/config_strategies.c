/* experiments/config_strategies.c */
#include "experiments/config_strategies.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/config_schema.h"
#include "experiments/external_planner.h"
#include "experiments/recorded_maps.h"

/* Holds "parameters." and any strategy's name; longer ones are cut off. */
enum { KEY_SIZE = 128 };

static const char NONE[] = "none";
static const char HINDSIGHT[] = "hindsight";
static const char MAPS[] = "maps";
static const char COMMAND[] = "command";

/* The strategy that hindsight plans with. */
static const char HINDSIGHT_USES[] = "l2";

/* --- parameters --- */

mb_status mb_config_check_scalar(const mb_yaml *node, const mb_param *param, const char *key) {
  if (node->kind != MB_YAML_SCALAR) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s is %s, but has to be a single value: %s", key,
                        mb_yaml_kind_name(node), param->help);
  }
  if (mb_yaml_is_empty(node)) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s has no value: %s", key, param->help);
  }
  if (node->quoted && param->type != MB_PARAM_TEXT) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s is the text \"%.64s\": leave the quotes out", key,
                        node->text);
  }
  return MB_OK;
}

static bool is_one_of(const char *key, const char *const *others) {
  while (others != NULL && *others != NULL && strcmp(*others, key) != 0) {
    others++;
  }
  return others != NULL && *others != NULL;
}

/* The one of these keys that `key` is probably a slip of, or NULL. */
static const char *nearest_of(const char *key, const char *const *others) {
  enum { MANY = 64 };
  mb_param names[MANY] = {{0}};

  for (size_t i = 0; others[i] != NULL && i + 1 < MANY; i++) {
    names[i].key = others[i];
  }
  return mb_param_nearest(names, key);
}

mb_status mb_config_set_params(const mb_yaml *mapping, const char *key, const char *const *others,
                               const mb_param *table, void *values) {
  for (size_t i = 0; i < mapping->n_children; i++) {
    const mb_yaml *child = mapping->children[i];
    const mb_param *param = mb_param_find(table, child->key);
    if (is_one_of(child->key, others)) {
      continue;
    }
    if (param != NULL) {
      MB_TRY(mb_config_check_scalar(child, param, child->key));
      if (mb_config_is_path(param)) {
        continue;
      }
    }
    /* An unknown key has a message of its own, whatever its value. */
    mb_status status = mb_params_set(table, child->key, param != NULL ? child->text : "", values);
    if (status != MB_OK && param == NULL && mb_param_nearest(table, child->key) == NULL &&
        others != NULL && nearest_of(child->key, others) != NULL) {
      return mb_yaml_fail(child, status, "%s: unknown parameter '%.64s'; did you mean '%s'?", key,
                          child->key, nearest_of(child->key, others));
    }
    if (status != MB_OK) {
      return mb_yaml_fail(child, status, "%s: %s", key, mb_error_message());
    }
  }
  return MB_OK;
}

mb_status mb_config_check_params_given(const mb_yaml *node, const char *key, const mb_param *table,
                                       const mb_yaml *first, const mb_yaml *second) {
  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    if (param->initial == NULL && mb_yaml_get(first, param->key) == NULL &&
        mb_yaml_get(second, param->key) == NULL) {
      return mb_yaml_fail(node, MB_ERR_PARAM, "%s.%s is missing: %s", key, param->key, param->help);
    }
  }
  return MB_OK;
}

mb_status mb_config_fail_name(const mb_yaml *node, const char *key, const char *what,
                              const char *name, const mb_param *names) {
  const char *nearest = mb_param_nearest(names, name);
  char known[512] = "";

  if (nearest != NULL) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s: there is no %s '%.64s'; did you mean '%s'?", key,
                        what, name, nearest);
  }
  for (const mb_param *one = names; one->key != NULL; one++) {
    size_t used = strlen(known);
    (void)snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "", one->key);
  }
  return mb_yaml_fail(node, MB_ERR_PARAM, "%s: there is no %s '%.64s'; there is %s", key, what,
                      name, known);
}

/* --- strategies --- */

static mb_status fail_strategy(const mb_yaml *node, const char *key, const char *name) {
  enum { MANY = 128 };
  mb_param names[MANY] = {{.key = NONE}, {.key = HINDSIGHT}};
  size_t n = 2;

  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL && n + 3 < MANY;
       strategy++) {
    names[n++].key = strategy->name;
  }
  if (strcmp(key, "strategies") == 0) {
    names[n++].key = MAPS;
    names[n++].key = COMMAND;
  }
  return mb_config_fail_name(node, key, "strategy", name, names);
}

/* Sets what the mapping, which may be NULL, has of the table; its other children are not this
   table's affair, nor are strategies' mappings under `parameters`. */
static mb_status set_known_params(const mb_yaml *mapping, const mb_param *table, void *values) {
  for (size_t i = 0; mapping != NULL && i < mapping->n_children; i++) {
    const mb_yaml *child = mapping->children[i];
    const mb_param *param = mb_param_find(table, child->key);
    if (param == NULL || mb_strategy_find(child->key) != NULL) {
      continue;
    }
    MB_TRY(mb_config_check_scalar(child, param, child->key));
    mb_status status = mb_params_set(table, child->key, child->text, values);
    if (status != MB_OK) {
      return mb_yaml_fail(child, status, "%s: %s", mapping->key, mb_error_message());
    }
  }
  return MB_OK;
}

/* Options of a lane: the defaults, then those of all strategies, then parameters.<shared>, then the
   entry's own. @param plans whether it plans. */
static mb_status make_options(const mb_config *config, const char *shared, const mb_yaml *own,
                              bool plans, mb_lane_options **options) {
  const mb_yaml *parameters = mb_yaml_get(config->root, "parameters");
  const mb_yaml *of_one = shared != NULL ? mb_yaml_get(parameters, shared) : NULL;
  const mb_yaml *given[] = {parameters, of_one, own};
  mb_lane_options *made = malloc(sizeof *made);
  mb_status status = MB_OK;

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  mb_lane_options_init(made);
  for (size_t i = 0; i < sizeof given / sizeof given[0] && status == MB_OK; i++) {
    status = set_known_params(given[i], mb_lane_dispatch_params(), made);
    if (status == MB_OK && plans) {
      status = set_known_params(given[i], mb_lane_plan_params(), made);
    }
  }
  if (status != MB_OK) {
    free(made);
    return status;
  }
  *options = made;
  return MB_OK;
}

/* The keys of an entry that are none of its strategy's parameters: `use`, which comes first, and
   options of lanes. */
static const char *const *keys_of_options(bool plans) {
  enum { MANY = 64 };
  static const char *keys[2][MANY];
  const mb_param *tables[] = {mb_lane_dispatch_params(), plans ? mb_lane_plan_params() : NULL};
  size_t n = 0;

  keys[plans][n++] = "use";
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    for (const mb_param *param = tables[i]; param != NULL && param->key != NULL; param++) {
      assert(n + 1 < MANY);
      keys[plans][n++] = param->key;
    }
  }
  keys[plans][n] = NULL;
  return keys[plans];
}

/* A struct of parameters: the defaults, then those of all strategies, then parameters.<shared>,
   then the entry's own. */
static mb_status make_params(const mb_config *config, const mb_strategy *type, const char *shared,
                             const mb_yaml *own, void **params) {
  const mb_yaml *parameters = mb_yaml_get(config->root, "parameters");
  const mb_yaml *common = mb_yaml_get(parameters, shared);
  void *made = calloc(1, type->params_size > 0 ? type->params_size : 1);
  char key[KEY_SIZE];

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  (void)snprintf(key, sizeof key, "parameters.%s", shared);
  mb_strategy_params_init(type, made);
  mb_status status = set_known_params(parameters, type->params, made);
  if (status == MB_OK && common != NULL) {
    status = mb_config_set_params(common, key, keys_of_options(true) + 1, type->params, made);
  }
  if (status == MB_OK && own != NULL) {
    status = mb_config_set_params(own, own->key, keys_of_options(true), type->params, made);
  }
  if (status == MB_OK) {
    status = mb_config_check_params_given(own != NULL ? own : config->root, type->name,
                                          type->params, own, common);
  }
  if (status != MB_OK) {
    free(made);
    return status;
  }
  *params = made;
  return MB_OK;
}

static bool has_label(const mb_config *config, const char *label) {
  for (size_t i = 0; i < config->n_strategies; i++) {
    if (strcmp(config->strategies[i].label, label) == 0) {
      return true;
    }
  }
  return false;
}

void mb_config_strategy_fini(mb_replay_strategy *strategy) {
  if (strategy->role == MB_REPLAY_RECORDED) {
    mb_recorded_maps_destroy((mb_recorded_maps *)strategy->params);
  } else {
    if (strategy->strategy == &mb_strategy_command) {
      free(((mb_command_params *)strategy->params)->folder);
    }
    free((void *)strategy->params);
  }
  free((void *)strategy->options);
  free((void *)strategy->label);
}

/* The key under `parameters` that an entry heeds; NULL: none. */
static const char *shared_key(mb_replay_role role, const mb_strategy *type) {
  switch (role) {
  case MB_REPLAY_NONE:
    return NONE;
  case MB_REPLAY_HINDSIGHT:
    return HINDSIGHT;
  case MB_REPLAY_ONLINE:
    return type != &mb_strategy_command ? type->name : NULL;
  case MB_REPLAY_RECORDED:
    return NULL;
  }
  return NULL;
}

/* @param own the entry, or NULL. @param params transferred, even on failure. */
static mb_status append(mb_config *config, const char *label, mb_replay_role role,
                        const mb_strategy *type, const mb_yaml *own, void *params) {
  char *copy = strdup(label);
  mb_replay_strategy *grown =
      realloc(config->strategies, (config->n_strategies + 1) * sizeof *grown);
  if (grown != NULL) {
    config->strategies = grown;
  }
  mb_lane_options *options = NULL;
  bool plans = role == MB_REPLAY_ONLINE || role == MB_REPLAY_HINDSIGHT;
  mb_status status = copy != NULL && grown != NULL
                         ? make_options(config, shared_key(role, type), own, plans, &options)
                         : MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  mb_replay_strategy made = {
      .label = copy, .role = role, .strategy = type, .params = params, .options = options};
  if (status != MB_OK) {
    mb_config_strategy_fini(&made);
    return status;
  }
  grown[config->n_strategies++] = made;
  return MB_OK;
}

/* Appends a strategy of the registry; `own` is the mapping of its own parameters, or NULL. */
static mb_status add(mb_config *config, const char *label, mb_replay_role role,
                     const mb_strategy *type, const mb_yaml *own) {
  void *params = NULL;

  if (type != NULL) {
    const char *shared = role == MB_REPLAY_HINDSIGHT ? HINDSIGHT : type->name;
    MB_TRY(make_params(config, type, shared, own, &params));
  }
  return append(config, label, role, type, own, params);
}

/* --- strategies from outside: maps and programs --- */

static mb_status set_path(const mb_config *config, const mb_yaml *node, const mb_param *param,
                          char **path) {
  MB_TRY(mb_config_check_scalar(node, param, param->key));
  if (node->text[0] == '\0') {
    return mb_yaml_fail(node, MB_ERR_PARAM, "%s is empty: give a path", param->key);
  }
  free(*path);
  *path = mb_config_resolve_path(config->path, node);
  return *path != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
}

static mb_status set_step(const mb_yaml *node, int64_t *step) {
  static const mb_param param[] = {{.key = "effect_step",
                                    .type = MB_PARAM_INT,
                                    .unit = "steps",
                                    .max = 1 << 30,
                                    .help = "a step, a list of steps, or an .npy file"},
                                   {0}};

  MB_TRY(mb_config_check_scalar(node, param, param->key));
  mb_status status = mb_params_set(param, param->key, node->text, step);
  return status == MB_OK ? MB_OK : mb_yaml_fail(node, status, "%s", mb_error_message());
}

/* A step, a list of them, or the path of a file. */
static mb_status set_effect_step(const mb_config *config, const mb_yaml *node,
                                 const mb_param *param, mb_recorded_maps *maps) {
  bool list = node->kind == MB_YAML_SEQUENCE;

  if (node->kind == MB_YAML_SCALAR && (node->quoted || node->text[0] == '\0' ||
                                       node->text[strspn(node->text, "0123456789")] != '\0')) {
    return set_path(config, node, param, &maps->steps_file);
  }
  if (list && node->n_children == 0) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "effect_step is an empty list: give a step for each "
                        "placement");
  }
  maps->n_steps = list ? node->n_children : 1;
  maps->steps = calloc(maps->n_steps, sizeof *maps->steps);
  if (maps->steps == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  for (size_t i = 0; i < maps->n_steps; i++) {
    MB_TRY(set_step(list ? node->children[i] : node, &maps->steps[i]));
  }
  return MB_OK;
}

static mb_status read_maps(const mb_config *config, const mb_yaml *entry, mb_recorded_maps *maps) {
  const mb_param *table = mb_recorded_maps_params();
  char unused[MB_PARAM_TEXT_SIZE];

  for (size_t i = 0; i < entry->n_children; i++) {
    const mb_yaml *child = entry->children[i];
    const mb_param *param = mb_param_find(table, child->key);
    if (param != NULL && mb_config_is_path(param)) {
      MB_TRY(set_path(config, child, param, &maps->file));
    } else if (param != NULL) {
      MB_TRY(set_effect_step(config, child, param, maps));
    } else if (!is_one_of(child->key, keys_of_options(false))) {
      mb_status status = mb_params_set(table, child->key, "", unused); /* has the message */
      return mb_yaml_fail(child, status, "%s: %s", entry->key, mb_error_message());
    }
  }
  return mb_config_check_params_given(entry, entry->key, table, entry, NULL);
}

static mb_status add_maps(mb_config *config, const mb_yaml *entry) {
  mb_recorded_maps *maps = calloc(1, sizeof *maps);

  if (maps == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  maps->node = entry;
  mb_status status = read_maps(config, entry, maps);
  if (status != MB_OK) {
    mb_recorded_maps_destroy(maps);
    return status;
  }
  return append(config, entry->key, MB_REPLAY_RECORDED, NULL, entry, maps);
}

char *mb_config_folder(const char *config_path, const mb_yaml *entry) {
  const char *slash = strrchr(config_path, '/');

  if (slash == NULL || entry->line == 0) {
    return strdup(".");
  }
  return slash == config_path ? strdup("/") : strndup(config_path, (size_t)(slash - config_path));
}

static mb_status read_command(const mb_config *config, const mb_yaml *entry,
                              mb_command_params *params) {
  const mb_param *table = mb_strategy_command.params;
  const mb_yaml *folder = mb_yaml_get(entry, "folder");

  mb_config_params_init(table, params);
  params->startup_seconds = &params->startup;
  MB_TRY(mb_config_set_params(entry, entry->key, keys_of_options(true), table, params));
  MB_TRY(mb_config_check_params_given(entry, entry->key, table, entry, NULL));
  if (params->command[0] == '\0') {
    return mb_yaml_fail(entry, MB_ERR_PARAM, "%s: command is empty: give a shell command",
                        entry->key);
  }
  if (folder != NULL) {
    return set_path(config, folder, mb_param_find(table, "folder"), &params->folder);
  }
  params->folder = mb_config_folder(config->path, entry);
  return params->folder != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
}

static mb_status add_command(mb_config *config, const mb_yaml *entry) {
  mb_command_params *params = calloc(1, sizeof *params);

  if (params == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  mb_status status = read_command(config, entry, params);
  if (status != MB_OK) {
    free(params->folder);
    free(params);
    return status;
  }
  return append(config, entry->key, MB_REPLAY_ONLINE, &mb_strategy_command, entry, params);
}

void mb_config_write_options(FILE *stream, const char *separator,
                             const mb_replay_strategy *strategy) {
  mb_config_write_params(stream, separator, mb_lane_dispatch_params(), strategy->options);
  if (strategy->strategy != NULL) {
    mb_config_write_params(stream, ", ", mb_lane_plan_params(), strategy->options);
  }
}

bool mb_config_write_outside(FILE *stream, const mb_replay_strategy *strategy) {
  if (strategy->role == MB_REPLAY_RECORDED) {
    (void)fputs(": ", stream);
    mb_recorded_maps_write(stream, (const mb_recorded_maps *)strategy->params);
    return true;
  }
  if (strategy->strategy != &mb_strategy_command) {
    return false;
  }
  const mb_command_params *params = strategy->params;
  char *folder = realpath(params->folder, NULL);
  (void)fprintf(stream, ": {use: %s", COMMAND);
  mb_config_write_params(stream, ", ", mb_strategy_command.params, params);
  (void)fputs(", folder: ", stream);
  mb_yaml_write_text(stream, folder != NULL ? folder : params->folder);
  free(folder);
  return true;
}

/* --- the list --- */

static mb_status add_none(mb_config *config) {
  return add(config, NONE, MB_REPLAY_NONE, NULL, NULL);
}

static mb_status add_hindsight(mb_config *config) {
  return add(config, HINDSIGHT, MB_REPLAY_HINDSIGHT, mb_strategy_find(HINDSIGHT_USES), NULL);
}

static mb_status add_by_name(mb_config *config, const mb_yaml *node, const char *name) {
  if (strcmp(name, NONE) == 0) {
    return add_none(config);
  }
  if (strcmp(name, HINDSIGHT) == 0) {
    return add_hindsight(config);
  }
  if (strcmp(name, MAPS) == 0 || strcmp(name, COMMAND) == 0) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "strategies: '%s' does not say which: write LABEL: {use: %s, ...}", name,
                        name);
  }
  const mb_strategy *type = mb_strategy_find(name);
  return type != NULL ? add(config, name, MB_REPLAY_ONLINE, type, NULL)
                      : fail_strategy(node, "strategies", name);
}

/* A label names a group of the results file, and a column of tables. */
static mb_status check_label(const mb_config *config, const mb_yaml *node, const char *label) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
  size_t length = strlen(label);

  if (length == 0 || length > MB_CONFIG_LABEL_MAX || label[strspn(label, letters)] != '\0' ||
      label[0] == '.') {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "strategies: the label '%.80s' has to be 1 to %d letters a-z, digits or "
                        "_ . -, without a dot in front",
                        label, MB_CONFIG_LABEL_MAX);
  }
  if (strcmp(label, "step_load") == 0) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "strategies: '%s' is what results files call the load of each step; give "
                        "it another label: {other-name: {use: ...}}",
                        label);
  }
  if (has_label(config, label)) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "strategies: '%s' is here a second time; give one of them a label: "
                        "{other-name: {use: %s}}",
                        label, label);
  }
  return MB_OK;
}

/* label: {use: NAME, PARAMETER: VALUE, ...} */
static mb_status add_labelled(mb_config *config, const mb_yaml *entry) {
  const mb_yaml *use = mb_yaml_get(entry, "use");

  if (strcmp(entry->key, NONE) == 0 || strcmp(entry->key, HINDSIGHT) == 0) {
    return mb_yaml_fail(entry, MB_ERR_PARAM,
                        "strategies: '%s' always is the reference of that name: take another label",
                        entry->key);
  }
  if (use == NULL || use->kind != MB_YAML_SCALAR) {
    return mb_yaml_fail(entry, MB_ERR_PARAM,
                        "strategies: '%.64s' has to be a mapping that says which strategy it is: "
                        "{use: l2, ...}",
                        entry->key);
  }
  const mb_strategy *type = mb_strategy_find(use->text);
  bool maps = strcmp(use->text, MAPS) == 0;
  bool command = strcmp(use->text, COMMAND) == 0;
  if (type == NULL && !maps && !command) {
    return fail_strategy(use, "strategies", use->text);
  }
  MB_TRY(check_label(config, entry, entry->key));
  if (strcmp(entry->key, use->text) != 0 && mb_strategy_find(entry->key) != NULL) {
    return mb_yaml_fail(entry, MB_ERR_PARAM,
                        "strategies: '%s' is a strategy of its own, but stands for %s here: take "
                        "another label",
                        entry->key, use->text);
  }
  if (maps || command) {
    return maps ? add_maps(config, entry) : add_command(config, entry);
  }
  return add(config, entry->key, MB_REPLAY_ONLINE, type, entry);
}

static mb_status add_entry(mb_config *config, const mb_yaml *entry) {
  switch (entry->kind) {
  case MB_YAML_SCALAR:
    if (mb_strategy_find(entry->text) != NULL || strcmp(entry->text, NONE) == 0 ||
        strcmp(entry->text, HINDSIGHT) == 0) {
      MB_TRY(check_label(config, entry, entry->text));
    }
    return add_by_name(config, entry, entry->text);
  case MB_YAML_MAPPING:
    if (entry->n_children == 1) {
      return add_labelled(config, entry->children[0]);
    }
    break;
  case MB_YAML_SEQUENCE:
    break;
  }
  return mb_yaml_fail(entry, MB_ERR_PARAM,
                      "strategies: an entry is a name, or one label: {use: NAME, ...}");
}

static mb_status add_listed(mb_config *config, const mb_yaml *list) {
  if (list->kind != MB_YAML_SEQUENCE) {
    return mb_yaml_fail(list, MB_ERR_PARAM, "strategies is %s, but has to be a list: [lpt, l2]",
                        mb_yaml_kind_name(list));
  }
  for (size_t i = 0; i < list->n_children; i++) {
    MB_TRY(add_entry(config, list->children[i]));
  }
  return MB_OK;
}

static bool is_listed(const mb_yaml *list, const char *name) {
  for (size_t i = 0; list != NULL && i < list->n_children; i++) {
    if (list->children[i]->kind == MB_YAML_SCALAR && strcmp(list->children[i]->text, name) == 0) {
      return true;
    }
  }
  return false;
}

/* The first strategy that has that parameter, or NULL. */
static const mb_strategy *find_owner(const char *parameter) {
  const mb_strategy *strategy = mb_strategies();

  while (strategy->name != NULL && mb_param_find(strategy->params, parameter) == NULL) {
    strategy++;
  }
  return strategy->name != NULL ? strategy : NULL;
}

/* A key of `parameters` that is neither a strategy nor a parameter. */
static mb_status fail_parameter(const mb_yaml *node) {
  const mb_param *of_lanes[] = {mb_lane_dispatch_params(), mb_lane_plan_params()};
  const char *nearest = NULL;

  for (size_t i = 0; i < sizeof of_lanes / sizeof of_lanes[0] && nearest == NULL; i++) {
    nearest = mb_param_nearest(of_lanes[i], node->key);
  }
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    nearest = nearest != NULL ? nearest : mb_param_nearest(strategy->params, node->key);
    if (nearest != NULL) {
      return mb_yaml_fail(node, MB_ERR_PARAM,
                          "parameters: unknown parameter '%.64s'; did you mean '%s'?", node->key,
                          nearest);
    }
  }
  return fail_strategy(node, "parameters", node->key);
}

/* parameters.none: it plans nothing, but tokens are dispatched under it too. */
static mb_status check_none_parameters(const mb_yaml *node) {
  mb_lane_options options;

  if (node->kind != MB_YAML_MAPPING) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "parameters.none is %s, but has to be a mapping",
                        mb_yaml_kind_name(node));
  }
  mb_lane_options_init(&options);
  return mb_config_set_params(node, "parameters.none", NULL, mb_lane_dispatch_params(), &options);
}

/* A child of `parameters`: a strategy's mapping, or a parameter of all that have it. */
static mb_status check_parameter(const mb_config *config, const mb_yaml *node) {
  bool hindsight = strcmp(node->key, HINDSIGHT) == 0;
  const mb_strategy *type = mb_strategy_find(hindsight ? HINDSIGHT_USES : node->key);
  const mb_strategy *owner = find_owner(node->key);
  void *params = NULL;

  if (strcmp(node->key, NONE) == 0) {
    return check_none_parameters(node);
  }
  if (mb_param_find(mb_lane_dispatch_params(), node->key) != NULL ||
      mb_param_find(mb_lane_plan_params(), node->key) != NULL) {
    return MB_OK; /* make_options() reads it for each */
  }
  if (type == NULL && owner == NULL) {
    return fail_parameter(node);
  }
  if (type != NULL && node->kind != MB_YAML_MAPPING) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "parameters.%s is %s, but has to be a mapping",
                        node->key, mb_yaml_kind_name(node));
  }
  if (type != NULL) {
    mb_lane_options *options = NULL;
    MB_TRY(make_options(config, node->key, NULL, true, &options));
    free(options);
  }
  MB_TRY(type != NULL ? make_params(config, type, node->key, NULL, &params)
                      : make_params(config, owner, owner->name, NULL, &params));
  free(params);
  return MB_OK;
}

/* Everything under `parameters` has to be right, whether an entry uses it or not. */
static mb_status check_parameters(const mb_config *config) {
  const mb_yaml *parameters = mb_yaml_get(config->root, "parameters");

  if (parameters != NULL && parameters->kind != MB_YAML_MAPPING) {
    return mb_yaml_fail(parameters, MB_ERR_PARAM,
                        "parameters is %s, but has to be a mapping: {STRATEGY: {...}}",
                        mb_yaml_kind_name(parameters));
  }
  for (size_t i = 0; parameters != NULL && i < parameters->n_children; i++) {
    MB_TRY(check_parameter(config, parameters->children[i]));
  }
  return MB_OK;
}

mb_status mb_config_read_strategies(mb_config *config) {
  const mb_yaml *list = mb_yaml_get(config->root, "strategies");

  MB_TRY(check_parameters(config));
  if (!is_listed(list, NONE)) {
    MB_TRY(add_none(config));
  }
  if (list != NULL) {
    MB_TRY(add_listed(config, list));
  }
  for (const char *const *name = mb_config_default_strategies(); list == NULL && *name != NULL;
       name++) {
    MB_TRY(add_by_name(config, config->root, *name));
  }
  return has_label(config, HINDSIGHT) ? MB_OK : add_hindsight(config);
}

/* experiments/sweep.c */
#include "experiments/sweep.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/config_schema.h"
#include "experiments/config_set.h"
#include "experiments/config_text.h"
#include "experiments/sweep_axes.h"

/* How much of a cell's values a message shows. */
enum { VALUES_SIZE = 256 };

/* More steps than a trace has; a multiple of all `merge` beyond it is as good as this one. */
#define STEPS_MANY (INT64_C(1) << 31)

static mb_status no_memory(const char *path) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", path);
}

static const char *last_part(const char *key) {
  const char *dot = strrchr(key, '.');

  return dot != NULL ? dot + 1 : key;
}

/* --- names --- */

static const char *value_text(const mb_sweep_axes *axes, size_t cell, size_t key) {
  return axes->key[key].text[mb_sweep_axes_index(axes, cell, key)];
}

/* Appends a text, of which runs of other letters become one '_', and none at its ends. */
static void append_plain(char *name, size_t size, const char *text) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  size_t length = strlen(name);
  bool gap = false;
  size_t start = length;

  for (; *text != '\0' && length + 2 < size; text++) {
    if (strchr(letters, *text) == NULL) {
      gap = length > start;
      continue;
    }
    if (gap) {
      name[length++] = '_';
      gap = false;
    }
    name[length++] = *text;
  }
  name[length] = '\0';
}

/* Of a path only the file's name. */
static const char *name_text(const char *key, const char *text) {
  const mb_param *param = mb_param_find(mb_config_values(), key);
  const char *slash = strrchr(text, '/');

  return param != NULL && mb_config_is_path(param) && slash != NULL ? slash + 1 : text;
}

static int count_digits(size_t n) {
  return snprintf(NULL, 0, "%zu", n);
}

/* "07.interval-50.seed-2"; where it is cut off, the number still tells it from others. */
static void make_name(const mb_sweep_axes *axes, size_t cell, char *name, size_t size) {
  enum { LONGEST = MB_CONFIG_LABEL_MAX + 2 }; /* append_plain() has room for a '_' more */
  char made[LONGEST];

  (void)snprintf(made, sizeof made, "%0*zu", count_digits(axes->n_cells), cell);
  for (size_t k = 0; k < axes->n_keys; k++) {
    const char *key = axes->key[k].key;
    size_t length = strlen(made);
    (void)snprintf(made + length, sizeof made - length, ".%s-", last_part(key));
    append_plain(made, sizeof made, name_text(key, value_text(axes, cell, k)));
  }
  made[MB_CONFIG_LABEL_MAX] = '\0';
  (void)snprintf(name, size, "%s", made);
}

/* --- cells --- */

/* To the message that is there, which cell it is about. */
static mb_status fail_cell(mb_status status, const mb_sweep_axes *axes, size_t cell) {
  char values[VALUES_SIZE] = "";

  for (size_t k = 0; k < axes->n_keys; k++) {
    size_t length = strlen(values);
    (void)snprintf(values + length, sizeof values - length, "%s%s %s", k > 0 ? ", " : "",
                   axes->key[k].key, value_text(axes, cell, k));
  }
  return MB_FAIL(status, "%s (cell %zu of %zu: %s)", mb_error_message(), cell, axes->n_cells,
                 values);
}

static size_t count_dots(const char *key) {
  size_t n = 0;

  for (; *key != '\0'; key++) {
    n += *key == '.';
  }
  return n;
}

/* A cell's keys and values, what is for a whole section before what is for a key of it. */
static size_t list_values(const mb_sweep_axes *axes, size_t cell, const char **key,
                          const mb_yaml **value) {
  size_t n = 0;

  for (size_t depth = 0; n < axes->n_keys; depth++) {
    for (size_t k = 0; k < axes->n_keys; k++) {
      if (count_dots(axes->key[k].key) == depth) {
        key[n] = axes->key[k].key;
        value[n++] = axes->key[k].value[mb_sweep_axes_index(axes, cell, k)];
      }
    }
  }
  return n;
}

static mb_status copy_texts(const mb_sweep_axes *axes, size_t cell, const char *path,
                            mb_sweep_cell *made) {
  made->value = calloc(axes->n_keys + 1, sizeof(char *));
  for (size_t k = 0; k < axes->n_keys; k++) {
    if (made->value == NULL || (made->value[k] = strdup(value_text(axes, cell, k))) == NULL) {
      return no_memory(path);
    }
  }
  return MB_OK;
}

/* Scratch for the keys and values of a cell: [n_keys] each. */
typedef struct cell_values {
  const char **key;
  const mb_yaml **value;
} cell_values;

static mb_status read_cell(const mb_sweep_axes *axes, size_t cell, const char *path,
                           const mb_yaml *root, const cell_values *scratch, mb_sweep_cell *made) {
  size_t n = list_values(axes, cell, scratch->key, scratch->value);
  mb_status status = mb_config_make(path, root, n, scratch->key, scratch->value, &made->config);

  if (status != MB_OK) {
    return axes->n_keys > 0 ? fail_cell(status, axes, cell) : status;
  }
  if (axes->n_keys > 0) {
    make_name(axes, cell, made->config->name, sizeof made->config->name);
  }
  return copy_texts(axes, cell, path, made);
}

static mb_status read_cells(const mb_sweep_axes *axes, const char *path, const mb_yaml *root,
                            mb_sweep *sweep) {
  cell_values scratch = {.key = calloc(axes->n_keys + 1, sizeof(char *)),
                         .value = calloc(axes->n_keys + 1, sizeof(mb_yaml *))};
  mb_status status = MB_OK;

  sweep->cell = calloc(axes->n_cells, sizeof *sweep->cell);
  if (scratch.key == NULL || scratch.value == NULL || sweep->cell == NULL) {
    status = no_memory(path);
  }
  for (size_t i = 0; i < axes->n_cells && status == MB_OK; i++) {
    sweep->n_cells = i + 1; /* also what is half made is to be destroyed */
    sweep->n_keys = axes->n_keys;
    status = read_cell(axes, i, path, root, &scratch, &sweep->cell[i]);
  }
  free(scratch.key);
  free(scratch.value);
  return status;
}

static mb_status copy_keys(const mb_sweep_axes *axes, const char *path, mb_sweep *sweep) {
  sweep->key = calloc(axes->n_keys + 1, sizeof(char *));
  for (size_t k = 0; k < axes->n_keys; k++) {
    if (sweep->key == NULL || (sweep->key[k] = strdup(axes->key[k].key)) == NULL) {
      return no_memory(path);
    }
  }
  return MB_OK;
}

/* --- the steps that count --- */

static int64_t find_gcd(int64_t a, int64_t b) {
  while (b != 0) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* The first step, of the trace as it was recorded, that every cell can be scored from: where all
   have had time for a plan, and a step of each begins. */
static int64_t find_from(const mb_sweep *sweep) {
  int64_t from = 0;
  int64_t multiple = 1;

  for (size_t i = 0; i < sweep->n_cells; i++) {
    const mb_config *config = sweep->cell[i].config;
    int64_t own = (config->interval + config->delay) * config->merge;
    from = own > from ? own : from;
    if (multiple < STEPS_MANY) {
      multiple = multiple / find_gcd(multiple, config->merge) * config->merge;
    }
  }
  return (from + multiple - 1) / multiple * multiple;
}

static void set_from(mb_sweep *sweep) {
  int64_t from = find_from(sweep);

  for (size_t i = 0; i < sweep->n_cells; i++) {
    mb_config *config = sweep->cell[i].config;
    config->summary_from_auto = (from + config->merge - 1) / config->merge;
  }
}

/* --- seeds --- */

static bool is_seed(const char *key) {
  return strcmp(key, "seed") == 0 || strcmp(key, "trace.generate.seed") == 0;
}

static bool is_seeds_axis(const mb_sweep_axes *axes, size_t axis) {
  for (size_t k = 0; k < axes->n_keys; k++) {
    if (axes->key[k].axis == axis && !is_seed(axes->key[k].key)) {
      return false;
    }
  }
  return true;
}

/* A file's table of summaries has columns of costs in all its rows, or in none. */
static mb_status check_costs(const mb_sweep *sweep) {
  for (size_t i = 1; i < sweep->n_cells; i++) {
    const mb_config *config = sweep->cell[i].config;
    if (mb_config_has_cost(config) != mb_config_has_cost(sweep->cell[0].config)) {
      return mb_yaml_fail(
          mb_yaml_find_nearest(config->root, "cost.gpu"), MB_ERR_PARAM,
          "cost.gpu is off in some cells and not in others: run them as two sweeps");
    }
  }
  return MB_OK;
}

/* Of loads from a file a seed changes nothing: cells would be alike, and count as several. */
static mb_status check_seeds(const mb_sweep_axes *axes, const mb_sweep *sweep) {
  bool of_file = false;

  for (size_t i = 0; i < sweep->n_cells; i++) {
    of_file = of_file || sweep->cell[i].config->trace_file != NULL;
  }
  for (size_t k = 0; of_file && k < axes->n_keys; k++) {
    const mb_sweep_key *key = &axes->key[k];
    if (key->n_values > 1 && is_seeds_axis(axes, key->axis)) {
      return mb_yaml_fail(key->node, MB_ERR_PARAM,
                          "sweep: %s: the loads of a trace file are the same for every seed; sweep "
                          "relabel for what ties do, or trace.file for several traces",
                          key->key);
    }
  }
  return MB_OK;
}

/* --- the whole --- */

/* `sweep.relabel: 1..R` as the last axis, in place of what the config says of it. */
static mb_status add_relabellings(mb_yaml *root, size_t n_relabellings) {
  char setting[64];

  MB_TRY(mb_config_apply_setting(root, "relabel=0")); /* takes it out of the sweep */
  mb_yaml_destroy(mb_yaml_take(root, "relabel"));
  (void)snprintf(setting, sizeof setting, "sweep.relabel=1..%zu", n_relabellings);
  return mb_config_apply_setting(root, setting);
}

static mb_status read_tree(const mb_yaml *root, const char *path, const mb_yaml *sweep_node,
                           mb_sweep *sweep) {
  mb_sweep_axes axes = {.n_keys = 0};

  MB_TRY(mb_sweep_axes_read(sweep_node, &axes));
  mb_status status = copy_keys(&axes, path, sweep);
  if (status == MB_OK) {
    status = read_cells(&axes, path, root, sweep);
  }
  if (status == MB_OK) {
    status = check_seeds(&axes, sweep);
    status = status == MB_OK ? check_costs(sweep) : status;
  }
  if (status == MB_OK && sweep_node != NULL) {
    sweep->swept = true;
    set_from(sweep);
  }
  mb_sweep_axes_fini(&axes);
  return status;
}

static mb_status take_names(const mb_yaml *root, const char *path, mb_sweep *sweep) {
  sweep->name = strdup(mb_yaml_get(root, "name")->text);
  sweep->output = strdup(sweep->cell[0].config->output);
  return sweep->name != NULL && sweep->output != NULL ? MB_OK : no_memory(path);
}

static mb_status read_all(const char *path, mb_yaml *root, size_t n_relabellings, mb_sweep *sweep) {
  if (n_relabellings > 0) {
    MB_TRY(add_relabellings(root, n_relabellings));
  }
  MB_TRY(mb_config_tree_format(root, path, &sweep->text));
  mb_yaml *node = mb_yaml_take(root, "sweep");
  mb_status status = read_tree(root, path, node, sweep);
  mb_yaml_destroy(node);
  return status == MB_OK ? take_names(root, path, sweep) : status;
}

mb_status mb_sweep_read(const char *path, size_t n_settings, const char *const *settings,
                        size_t n_relabellings, mb_sweep **sweep) {
  mb_yaml *root = NULL;
  mb_sweep *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return no_memory(path);
  }
  mb_status status = mb_config_read_tree(path, n_settings, settings, &root);
  if (status == MB_OK) {
    status = read_all(path, root, n_relabellings, made);
  }
  mb_yaml_destroy(root);
  if (status != MB_OK) {
    mb_sweep_destroy(made);
    return status;
  }
  *sweep = made;
  return MB_OK;
}

void mb_sweep_destroy(mb_sweep *sweep) {
  if (sweep == NULL) {
    return;
  }
  for (size_t i = 0; i < sweep->n_cells; i++) {
    mb_sweep_cell *cell = &sweep->cell[i];
    for (size_t k = 0; cell->value != NULL && k < sweep->n_keys; k++) {
      free(cell->value[k]);
    }
    free(cell->value);
    mb_config_destroy(cell->config);
  }
  for (size_t k = 0; sweep->key != NULL && k < sweep->n_keys; k++) {
    free(sweep->key[k]);
  }
  free(sweep->cell);
  free(sweep->key);
  free(sweep->name);
  free(sweep->output);
  free(sweep->text);
  free(sweep);
}

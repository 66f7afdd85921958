/* experiments/sweep_axes.c */
#include "experiments/sweep_axes.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/sweep.h"

static mb_status no_memory(const mb_yaml *node) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", node->file);
}

/* --- values --- */

/* "3..17", digits on both sides of the dots. */
static bool is_range(const mb_yaml *node) {
  if (node->kind != MB_YAML_SCALAR || node->quoted) {
    return false;
  }
  size_t first = strspn(node->text, "0123456789");
  const char *rest = node->text + first;
  return first > 0 && strncmp(rest, "..", 2) == 0 && rest[2] != '\0' &&
         rest[2 + strspn(rest + 2, "0123456789")] == '\0';
}

static mb_status fail_many(const mb_yaml *node, const char *key) {
  return mb_yaml_fail(node, MB_ERR_PARAM, "sweep: %.128s has more than %d values", key,
                      MB_SWEEP_CELLS_MAX);
}

/* @param value transferred, also on failure; NULL: there was no memory for it. */
static mb_status add_value(mb_sweep_key *key, mb_yaml *value) {
  mb_yaml **grown = realloc(key->value, (key->n_values + 1) * sizeof(mb_yaml *));

  if (grown != NULL) {
    key->value = grown;
  }
  if (grown == NULL || value == NULL || key->n_values >= MB_SWEEP_CELLS_MAX) {
    mb_yaml_destroy(value);
    return grown == NULL || value == NULL ? no_memory(key->node) : fail_many(key->node, key->key);
  }
  key->value[key->n_values++] = value;
  return MB_OK;
}

static mb_status add_range(mb_sweep_key *key, const mb_yaml *node) {
  char *rest = NULL;
  char text[32];
  /* Where a number is too large for the type, both are the largest, or the range is too long. */
  unsigned long long first = strtoull(node->text, &rest, 10);
  unsigned long long last = strtoull(rest + 2, NULL, 10);

  if (last < first) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "sweep: %.128s: the range %.64s ends before it starts",
                        key->key, node->text);
  }
  if (last - first >= MB_SWEEP_CELLS_MAX || last >= UINT64_C(1) << 53) {
    return fail_many(node, key->key);
  }
  for (unsigned long long i = first; i <= last; i++) {
    (void)snprintf(text, sizeof text, "%llu", i);
    MB_TRY(add_value(key, mb_yaml_make(MB_YAML_SCALAR, text, node)));
  }
  return MB_OK;
}

static mb_status add_values(mb_sweep_key *key) {
  const mb_yaml *node = key->node;

  if (is_range(node)) {
    return add_range(key, node);
  }
  if (node->kind != MB_YAML_SEQUENCE) {
    return mb_yaml_fail(node, MB_ERR_PARAM,
                        "sweep: %.128s is %s, but has to be a list of values, or a range 1..8%s",
                        key->key, mb_yaml_kind_name(node),
                        node->kind == MB_YAML_MAPPING
                            ? "; keys below it are written with dots, as in cluster.gpus: [8, 16]"
                            : "");
  }
  if (node->n_children == 0) {
    return mb_yaml_fail(node, MB_ERR_PARAM, "sweep: %.128s is an empty list: give it values",
                        key->key);
  }
  for (size_t i = 0; i < node->n_children; i++) {
    const mb_yaml *child = node->children[i];
    MB_TRY(is_range(child) ? add_range(key, child)
                           : add_value(key, mb_yaml_copy(child, node->file)));
  }
  return MB_OK;
}

static char *make_text(const mb_yaml *value) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  if (stream == NULL) {
    return NULL;
  }
  mb_yaml_write(stream, value);
  bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) {
    free(text);
    return NULL;
  }
  return text;
}

static mb_status make_texts(mb_sweep_key *key) {
  assert(key->n_values > 0);
  key->text = calloc(key->n_values, sizeof(char *));
  for (size_t i = 0; i < key->n_values; i++) {
    if (key->text == NULL || (key->text[i] = make_text(key->value[i])) == NULL) {
      return no_memory(key->node);
    }
  }
  return MB_OK;
}

/* --- keys --- */

/* What all cells have in common, and what is no key of a config. */
static mb_status check_key(const mb_sweep_axes *axes, const mb_yaml *node) {
  static const char *const fixed[] = {"name", "output", "sweep"};

  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
    if (strcmp(node->key, fixed[i]) == 0) {
      return mb_yaml_fail(node, MB_ERR_PARAM, "sweep: %s is the same for all cells", node->key);
    }
  }
  for (size_t i = 0; i < axes->n_keys; i++) {
    if (strcmp(axes->key[i].key, node->key) == 0) {
      return mb_yaml_fail(node, MB_ERR_PARAM, "sweep: %.128s is swept a second time", node->key);
    }
  }
  return MB_OK;
}

static mb_status add_key(mb_sweep_axes *axes, const mb_yaml *node, size_t axis) {
  MB_TRY(check_key(axes, node));
  mb_sweep_key *grown = realloc(axes->key, (axes->n_keys + 1) * sizeof *grown);
  if (grown == NULL) {
    return no_memory(node);
  }
  axes->key = grown;
  mb_sweep_key *key = &grown[axes->n_keys++];
  *key = (mb_sweep_key){.key = node->key, .node = node, .axis = axis};
  MB_TRY(add_values(key));
  return make_texts(key);
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Numbers by their value: 010 and 1e1 are both 10. */
static void put_value(FILE *stream, const mb_sweep_key *key, size_t i) {
  const mb_yaml *value = key->value[i];
  char *end = NULL;
  double number = 0;

  if (value->kind == MB_YAML_SCALAR && !value->quoted && value->text[0] != '\0') {
    number = strtod(value->text, &end);
  }
  if (end != NULL && *end == '\0') {
    (void)fprintf(stream, "%.17g", number);
  } else {
    (void)fputs(key->text[i], stream);
  }
}

/* The values of an axis' keys, one after the other: what a cell gets from that axis. */
static char *join_texts(const mb_sweep_axes *axes, size_t first, size_t i) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  if (stream == NULL) {
    return NULL;
  }
  for (size_t k = first; k < axes->n_keys; k++) {
    (void)fprintf(stream, "%s%s ", k > first ? ", " : "", axes->key[k].key);
    put_value(stream, &axes->key[k], i);
  }
  bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) {
    free(text);
    return NULL;
  }
  return text;
}

/* Two cells that are alike would count as two observations of one thing. */
static mb_status check_alike(const mb_sweep_axes *axes, size_t first) {
  const mb_sweep_key *key = &axes->key[first];
  char **text = calloc(key->n_values, sizeof(char *));
  mb_status status = text != NULL ? MB_OK : no_memory(key->node);

  for (size_t i = 0; i < key->n_values && status == MB_OK; i++) {
    text[i] = join_texts(axes, first, i);
    status = text[i] != NULL ? MB_OK : no_memory(key->node);
  }
  if (status == MB_OK) {
    qsort(text, key->n_values, sizeof(char *), compare_texts);
  }
  for (size_t i = 1; i < key->n_values && status == MB_OK; i++) {
    if (strcmp(text[i - 1], text[i]) == 0) {
      status =
          mb_yaml_fail(key->node, MB_ERR_PARAM,
                       "sweep: %.256s is in the list twice: two cells would be the same", text[i]);
    }
  }
  for (size_t i = 0; text != NULL && i < key->n_values; i++) {
    free(text[i]);
  }
  free(text);
  return status;
}

/* --- axes --- */

static mb_status check_lengths(const mb_sweep_axes *axes, size_t first) {
  for (size_t k = first + 1; k < axes->n_keys; k++) {
    const mb_sweep_key *one = &axes->key[first];
    const mb_sweep_key *other = &axes->key[k];
    if (one->n_values != other->n_values) {
      return mb_yaml_fail(other->node, MB_ERR_PARAM,
                          "sweep: zip: %.128s has %zu values, but %.128s has %zu: lists that go "
                          "together are equally long",
                          other->key, other->n_values, one->key, one->n_values);
    }
  }
  return MB_OK;
}

/* The last axis, whose keys start at `first`, is there. */
static mb_status finish_axis(mb_sweep_axes *axes, size_t first, const mb_yaml *sweep) {
  size_t n_values = axes->key[first].n_values;

  MB_TRY(check_lengths(axes, first));
  MB_TRY(check_alike(axes, first));
  if (axes->n_cells > MB_SWEEP_CELLS_MAX / n_values) {
    return mb_yaml_fail(sweep, MB_ERR_PARAM, "sweep: these lists make more than %d cells",
                        MB_SWEEP_CELLS_MAX);
  }
  axes->n_cells *= n_values;
  axes->n_axes++;
  return MB_OK;
}

/* An empty list or mapping is just "empty". */
static const char *kind_name(const mb_yaml *node) {
  return node->kind != MB_YAML_SCALAR && node->n_children == 0 ? "empty" : mb_yaml_kind_name(node);
}

static mb_status add_group(mb_sweep_axes *axes, const mb_yaml *group, const mb_yaml *sweep) {
  size_t first = axes->n_keys;

  if (group->kind != MB_YAML_MAPPING || group->n_children == 0) {
    return mb_yaml_fail(group, MB_ERR_PARAM,
                        "sweep: zip is %s, but has to be a mapping of lists that go together, "
                        "{KEY: [...], KEY: [...]}, or a list of such mappings",
                        kind_name(group));
  }
  for (size_t i = 0; i < group->n_children; i++) {
    MB_TRY(add_key(axes, group->children[i], axes->n_axes));
  }
  return finish_axis(axes, first, sweep);
}

static mb_status add_zip(mb_sweep_axes *axes, const mb_yaml *zip, const mb_yaml *sweep) {
  if (zip->kind != MB_YAML_SEQUENCE || zip->n_children == 0) {
    return add_group(axes, zip, sweep);
  }
  for (size_t i = 0; i < zip->n_children; i++) {
    MB_TRY(add_group(axes, zip->children[i], sweep));
  }
  return MB_OK;
}

static mb_status read_axes(const mb_yaml *sweep, mb_sweep_axes *axes) {
  if (sweep->kind != MB_YAML_MAPPING || sweep->n_children == 0) {
    return mb_yaml_fail(sweep, MB_ERR_PARAM,
                        "sweep is %s, but has to be a mapping of lists: {KEY: [VALUE, ...]}",
                        kind_name(sweep));
  }
  for (size_t i = 0; i < sweep->n_children; i++) {
    const mb_yaml *child = sweep->children[i];
    if (strcmp(child->key, "zip") == 0) {
      MB_TRY(add_zip(axes, child, sweep));
    } else {
      size_t first = axes->n_keys;
      MB_TRY(add_key(axes, child, axes->n_axes));
      MB_TRY(finish_axis(axes, first, sweep));
    }
  }
  return MB_OK;
}

mb_status mb_sweep_axes_read(const mb_yaml *sweep, mb_sweep_axes *axes) {
  mb_sweep_axes made = {.n_cells = 1};
  mb_status status = sweep != NULL ? read_axes(sweep, &made) : MB_OK;

  if (status != MB_OK) {
    mb_sweep_axes_fini(&made);
    return status;
  }
  *axes = made;
  return MB_OK;
}

void mb_sweep_axes_fini(mb_sweep_axes *axes) {
  for (size_t k = 0; k < axes->n_keys; k++) {
    mb_sweep_key *key = &axes->key[k];
    for (size_t i = 0; i < key->n_values; i++) {
      mb_yaml_destroy(key->value[i]);
      free(key->text != NULL ? key->text[i] : NULL);
    }
    free(key->value);
    free(key->text);
  }
  free(axes->key);
}

size_t mb_sweep_axes_index(const mb_sweep_axes *axes, size_t cell, size_t key) {
  size_t axis = axes->key[key].axis;
  size_t stride = 1;

  assert(cell < axes->n_cells && key < axes->n_keys);
  for (size_t k = key + 1; k < axes->n_keys; k++) {
    if (axes->key[k].axis != axis) {
      stride *= axes->key[k].n_values;
      axis = axes->key[k].axis;
    }
  }
  return cell / stride % axes->key[key].n_values;
}

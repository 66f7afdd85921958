/* experiments/config_text.c - only here is it known which values of a tree are paths. */
#include "experiments/config_text.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/config_strategies.h"

static mb_status no_memory(const char *path) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", path);
}

/* --- paths --- */

/* Makes a scalar the absolute path that it stands for, if there is such a file. */
static mb_status make_absolute(mb_yaml *node, const char *path) {
  if (node == NULL || node->kind != MB_YAML_SCALAR || mb_yaml_is_empty(node) ||
      node->text[0] == '\0') {
    return MB_OK;
  }
  char *resolved = mb_config_resolve_path(path, node);
  if (resolved == NULL) {
    return no_memory(path);
  }
  char *absolute = realpath(resolved, NULL);
  free(node->text);
  node->text = absolute != NULL ? absolute : resolved;
  node->quoted = true;
  if (absolute != NULL) {
    free(resolved);
  }
  return MB_OK;
}

/* The child of that key, or NULL. */
static mb_yaml *child_of(mb_yaml *mapping, const char *key) {
  for (size_t i = 0; mapping->kind == MB_YAML_MAPPING && i < mapping->n_children; i++) {
    if (strcmp(mapping->children[i]->key, key) == 0) {
      return mapping->children[i];
    }
  }
  return NULL;
}

static bool is_step(const mb_yaml *node) {
  return node != NULL && !node->quoted && node->kind == MB_YAML_SCALAR &&
         node->text[strspn(node->text, "0123456789")] == '\0';
}

/* A program's folder is the config's where it does not say. */
static mb_status give_folder(mb_yaml *entry, const char *path) {
  if (child_of(entry, "folder") != NULL) {
    return make_absolute(child_of(entry, "folder"), path);
  }
  char *folder = mb_config_folder(path, entry);
  mb_yaml *node = folder != NULL ? mb_yaml_make(MB_YAML_SCALAR, folder, entry) : NULL;
  free(folder);
  if (node == NULL) {
    return no_memory(path);
  }
  node->line = 0; /* as it stands, wherever the config lies */
  mb_status status = make_absolute(node, path);
  if (status == MB_OK) {
    status = mb_yaml_put(entry, "folder", node);
  }
  if (status != MB_OK) {
    mb_yaml_destroy(node);
  }
  return status;
}

static mb_status resolve_strategies(mb_yaml *list, const char *path) {
  for (size_t i = 0; list->kind == MB_YAML_SEQUENCE && i < list->n_children; i++) {
    mb_yaml *entry = list->children[i];
    if (entry->kind != MB_YAML_MAPPING || entry->n_children != 1) {
      continue;
    }
    entry = entry->children[0];
    const mb_yaml *use = child_of(entry, "use");
    if (use == NULL || use->kind != MB_YAML_SCALAR) {
      continue;
    }
    if (strcmp(use->text, "maps") == 0) {
      mb_yaml *step = child_of(entry, "effect_step");
      MB_TRY(make_absolute(child_of(entry, "file"), path));
      MB_TRY(is_step(step) ? MB_OK : make_absolute(step, path));
    } else if (strcmp(use->text, "command") == 0) {
      MB_TRY(give_folder(entry, path));
    }
  }
  return MB_OK;
}

/* The value of a key, with dots. */
static mb_status resolve(mb_yaml *value, const char *key, const char *path) {
  if (strcmp(key, "trace.file") == 0) {
    return make_absolute(value, path);
  }
  if (strcmp(key, "trace") == 0) {
    return make_absolute(child_of(value, "file"), path);
  }
  return strcmp(key, "strategies") == 0 ? resolve_strategies(value, path) : MB_OK;
}

/* The lists of a sweep, or of what is zipped in it. */
static mb_status resolve_lists(mb_yaml *lists, const char *path) {
  for (size_t i = 0; i < lists->n_children; i++) {
    mb_yaml *list = lists->children[i];
    if (list->key == NULL || strcmp(list->key, "zip") == 0) {
      MB_TRY(resolve_lists(list, path));
      continue;
    }
    for (size_t k = 0; list->kind == MB_YAML_SEQUENCE && k < list->n_children; k++) {
      MB_TRY(resolve(list->children[k], list->key, path));
    }
  }
  return MB_OK;
}

static mb_status resolve_all(mb_yaml *root, const char *path) {
  for (size_t i = 0; i < root->n_children; i++) {
    mb_yaml *child = root->children[i];
    bool sweep = strcmp(child->key, "sweep") == 0;
    MB_TRY(sweep ? resolve_lists(child, path) : resolve(child, child->key, path));
  }
  return MB_OK;
}

/* --- the text --- */

static void write_line(FILE *stream, const char *indent, const mb_yaml *child) {
  (void)fputs(indent, stream);
  mb_yaml_write_text(stream, child->key);
  (void)fputs(": ", stream);
  mb_yaml_write(stream, child);
  (void)fputc('\n', stream);
}

/* A line a key, and a line an axis of the sweep. */
static void write_tree(FILE *stream, const mb_yaml *root) {
  for (size_t i = 0; i < root->n_children; i++) {
    const mb_yaml *child = root->children[i];
    bool sweep = strcmp(child->key, "sweep") == 0;
    if (sweep && child->kind == MB_YAML_MAPPING && child->n_children > 0) {
      (void)fputs("sweep:\n", stream);
      for (size_t k = 0; k < child->n_children; k++) {
        write_line(stream, "  ", child->children[k]);
      }
    } else if (strcmp(child->key, "output") != 0) {
      write_line(stream, "", child);
    }
  }
}

mb_status mb_config_tree_format(const mb_yaml *root, const char *path, char **text) {
  char *made = NULL;
  size_t size = 0;
  mb_yaml *copy = mb_yaml_copy(root, path);

  if (copy == NULL) {
    return no_memory(path);
  }
  mb_status status = resolve_all(copy, path);
  FILE *stream = status == MB_OK ? open_memstream(&made, &size) : NULL;
  if (stream == NULL) {
    mb_yaml_destroy(copy);
    return status != MB_OK ? status : no_memory(path);
  }
  write_tree(stream, copy);
  mb_yaml_destroy(copy);
  bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) {
    free(made);
    return no_memory(path);
  }
  *text = made;
  return MB_OK;
}

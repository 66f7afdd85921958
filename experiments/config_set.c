/* experiments/config_set.c */
#include "experiments/config_set.h"

#include <stdlib.h>
#include <string.h>

static const char GENERATOR[] = "trace.generate";

static mb_status no_memory(const mb_yaml *node) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", node->file);
}

/* Whether `key` is below `section`: what follows the dot, or NULL. */
static const char *below(const char *key, const char *section) {
  size_t length = strlen(section);

  return strncmp(key, section, length) == 0 && key[length] == '.' ? key + length + 1 : NULL;
}

/* NAME becomes {use: NAME}. */
static mb_status open_generator(mb_yaml *root, const mb_yaml *name) {
  mb_yaml *mapping = mb_yaml_make(MB_YAML_MAPPING, NULL, name);
  mb_yaml *use = mb_yaml_copy(name, name->file);
  mb_status status = MB_OK;

  if (mapping == NULL || use == NULL) {
    status = no_memory(name);
  }
  if (status == MB_OK) {
    status = mb_yaml_put(mapping, "use", use);
  }
  if (status == MB_OK) {
    use = NULL; /* the mapping's now */
    status = mb_yaml_set(root, GENERATOR, mapping);
  }
  if (status != MB_OK) {
    mb_yaml_destroy(use);
    mb_yaml_destroy(mapping);
  }
  return status;
}

mb_status mb_config_set(mb_yaml *root, const char *key, mb_yaml *value) {
  const mb_yaml *generator = mb_yaml_find(root, GENERATOR);

  if (below(key, GENERATOR) != NULL && generator != NULL && generator->kind == MB_YAML_SCALAR &&
      !mb_yaml_is_empty(generator)) {
    MB_TRY(open_generator(root, generator));
  }
  return mb_yaml_set(root, key, value);
}

/* --- what a setting does to a sweep --- */

static mb_yaml *get_child(mb_yaml *mapping, const char *key) {
  for (size_t i = 0; mapping->kind == MB_YAML_MAPPING && i < mapping->n_children; i++) {
    if (strcmp(mapping->children[i]->key, key) == 0) {
      return mapping->children[i];
    }
  }
  return NULL;
}

/* Takes the swept keys out that the setting gives a value. */
static mb_status drop_from(mb_yaml *swept, const char *key, const mb_yaml *value) {
  for (size_t i = swept->kind == MB_YAML_MAPPING ? swept->n_children : 0; i-- > 0;) {
    const char *axis = swept->children[i]->key;
    const char *rest = below(axis, key);
    if (below(key, axis) != NULL) {
      return mb_yaml_fail(value, MB_ERR_PARAM,
                          "%s: %s is swept, and its values would take this one's place; set "
                          "sweep.%s, or %s itself",
                          key, axis, axis, axis);
    }
    if (strcmp(axis, key) == 0 || (rest != NULL && mb_yaml_find(value, rest) != NULL)) {
      mb_yaml_destroy(mb_yaml_take(swept, axis));
    }
  }
  return MB_OK;
}

static mb_status drop_from_zip(mb_yaml *zip, const char *key, const mb_yaml *value) {
  MB_TRY(drop_from(zip, key, value));
  for (size_t i = zip->kind == MB_YAML_SEQUENCE ? zip->n_children : 0; i-- > 0;) {
    mb_yaml *group = zip->children[i];
    bool was_empty = group->n_children == 0;
    MB_TRY(drop_from(group, key, value));
    if (group->n_children == 0 && !was_empty) {
      mb_yaml_destroy(group);
      zip->n_children--;
      memmove(&zip->children[i], &zip->children[i + 1], (zip->n_children - i) * sizeof(mb_yaml *));
    }
  }
  return MB_OK;
}

/* What is empty before is left for whoever reads the sweep to refuse. */
static mb_status drop_swept(mb_yaml *root, const char *key, const mb_yaml *value) {
  mb_yaml *sweep = get_child(root, "sweep");
  mb_yaml *zip = sweep != NULL ? get_child(sweep, "zip") : NULL;

  if (sweep == NULL || sweep->n_children == 0) {
    return MB_OK;
  }
  if (zip != NULL && zip->n_children > 0) {
    MB_TRY(drop_from_zip(zip, key, value));
    if (zip->n_children == 0) {
      mb_yaml_destroy(mb_yaml_take(sweep, "zip"));
    }
  }
  MB_TRY(drop_from(sweep, key, value));
  if (sweep->n_children == 0) {
    mb_yaml_destroy(mb_yaml_take(root, "sweep"));
  }
  return MB_OK;
}

/* The mapping of that key, made where there is none. */
static mb_status get_mapping(mb_yaml *parent, const char *key, const mb_yaml *like,
                             mb_yaml **mapping) {
  mb_yaml *found = get_child(parent, key);

  if (found == NULL) {
    found = mb_yaml_make(MB_YAML_MAPPING, NULL, like);
    if (found == NULL) {
      return no_memory(like);
    }
    mb_status status = mb_yaml_put(parent, key, found);
    if (status != MB_OK) {
      mb_yaml_destroy(found);
      return status;
    }
  }
  if (found->kind != MB_YAML_MAPPING) {
    return mb_yaml_fail(like, MB_ERR_PARAM, "%s is %s, which has no keys: set it as a whole", key,
                        mb_yaml_kind_name(found));
  }
  *mapping = found;
  return MB_OK;
}

static mb_status set_swept(mb_yaml *root, const char *key, mb_yaml *value) {
  const char *zipped = below(key, "zip");
  mb_yaml *mapping = NULL;

  MB_TRY(get_mapping(root, "sweep", value, &mapping));
  if (zipped != NULL) {
    MB_TRY(get_mapping(mapping, "zip", value, &mapping));
    key = zipped;
  }
  return mb_yaml_put(mapping, key, value);
}

/* --- --set --- */

/* @param value transferred on MB_OK. */
static mb_status set(mb_yaml *root, const char *key, mb_yaml *value) {
  const char *swept = below(key, "sweep");

  if (swept != NULL) {
    return set_swept(root, swept, value);
  }
  if (strcmp(key, "sweep") == 0 && mb_yaml_is_empty(value)) {
    mb_yaml_destroy(mb_yaml_take(root, key));
    mb_yaml_destroy(value);
    return MB_OK;
  }
  MB_TRY(drop_swept(root, key, value));
  return mb_config_set(root, key, value);
}

mb_status mb_config_apply_setting(mb_yaml *root, const char *setting) {
  const char *equals = strchr(setting, '=');
  mb_yaml *value = NULL;

  if (equals == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "--set: '%.128s' has no '='; it is --set KEY=VALUE", setting);
  }
  char *key = strndup(setting, (size_t)(equals - setting));
  if (key == NULL) {
    return no_memory(root);
  }
  mb_status status = mb_yaml_parse("--set", equals + 1, &value);
  if (status != MB_OK) {
    status = MB_FAIL(status, "%s (in '%.128s')", mb_error_message(), setting);
  } else {
    status = set(root, key, value);
    if (status != MB_OK) {
      mb_yaml_destroy(value);
    }
  }
  free(key);
  return status;
}

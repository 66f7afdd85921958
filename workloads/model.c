/* workloads/model.c */
#include "workloads/model.h"

#include <string.h>
#include <strings.h>

#define MB_MODEL(name, ...) name,
const char *const mb_model_names[] = {
#include "workloads/models.def"
    NULL};
#undef MB_MODEL

const mb_model *mb_models(void) {
#define MB_MODEL(...) {__VA_ARGS__},
  static const mb_model models[] = {
#include "workloads/models.def"
      {.name = NULL}};
#undef MB_MODEL
  return models;
}

const mb_model *mb_model_find(const char *name) {
  for (const mb_model *model = mb_models(); model->name != NULL; model++) {
    if (strcmp(model->name, name) == 0) {
      return model;
    }
  }
  return NULL;
}

const mb_model *mb_model_find_title(const char *title) {
  const char *slash = strrchr(title, '/');
  const char *text = slash != NULL ? slash + 1 : title;

  for (const mb_model *model = mb_models(); model->name != NULL; model++) {
    if (strcasecmp(model->name, text) == 0 || strcasecmp(model->title, text) == 0) {
      return model;
    }
  }
  return NULL;
}

double mb_model_expert_bytes(const mb_model *model, double bits) {
  return 3.0 * (double)model->hidden * (double)model->intermediate * bits / 8.0;
}

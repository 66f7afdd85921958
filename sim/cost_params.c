/* sim/cost_params.c */
#include "sim/cost_params.h"

#include <string.h>

const char *const mb_gpu_words[] = {"off",
#define MB_GPU(name, ...) #name,
#include "sim/gpu_presets.def"
#undef MB_GPU
                                    NULL};

const char *const mb_dtype_words[] = {"bf16", "fp8", "nvfp4", "mxfp4", NULL};
const char *const mb_movement_words[] = {"sync", "async", NULL};

const mb_gpu_preset *mb_gpu_presets(void) {
  static const mb_gpu_preset presets[] = {
#define MB_GPU(name, ...) {#name, __VA_ARGS__},
#include "sim/gpu_presets.def"
#undef MB_GPU
      {.name = NULL}};

  return presets;
}

const mb_gpu_preset *mb_gpu_find(const char *name) {
  for (const mb_gpu_preset *preset = mb_gpu_presets(); preset->name != NULL; preset++) {
    if (strcmp(preset->name, name) == 0) {
      return preset;
    }
  }
  return NULL;
}

double mb_dtype_bits(const char *dtype) {
  static const double bits[] = {16.0, 8.0, 4.5, 4.25};
  size_t i = 0;

  while (mb_dtype_words[i + 1] != NULL && strcmp(mb_dtype_words[i], dtype) != 0) {
    i++;
  }
  return bits[i];
}

const mb_param *mb_cost_params_table(void) {
#define MB_COST_KEY(name) #name
#define MB_COST_OFFSET(name) offsetof(mb_cost_params, name)
  static const mb_param params[] = {
#include "sim/cost_table.def"
      {.key = NULL}};
#undef MB_COST_KEY
#undef MB_COST_OFFSET

  return params;
}

/* sim/cost_params.h - what a config says of time: hardware, links, and how weights move. */
#ifndef MB_SIM_COST_PARAMS_H
#define MB_SIM_COST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A GPU as its makers describe it; gpu_presets.def has them. Bandwidths are of one direction. */
typedef struct mb_gpu_preset {
  const char *name, *title;
  double hbm_gb, tflops_16, tflops_8, tflops_4, nvlink_gb, network_gb;
  const char *source;
} mb_gpu_preset;

/** All, ended by an entry whose name is NULL. Static. */
const mb_gpu_preset *mb_gpu_presets(void);
const mb_gpu_preset *mb_gpu_find(const char *name); /* or NULL, also of "off" */

/** Choices of parameters, NULL-terminated. */
extern const char *const mb_gpu_words[]; /* "off", then the presets */
extern const char *const mb_dtype_words[];
extern const char *const mb_movement_words[];

/** Bits of a weight of that dtype, one of mb_dtype_words. */
double mb_dtype_bits(const char *dtype);

/** As they are given; cost_params.def says what each is. mb_cost_create() makes sense of them. */
typedef struct mb_cost_params {
#define MB_COST_TEXT(name, ...) char name[MB_PARAM_TEXT_SIZE];
#define MB_COST_INT(name, ...) int64_t name;
#define MB_COST_REAL(name, ...) double name;
#define MB_COST_BOOL(name, ...) bool name;
#include "sim/cost_params.def"
#undef MB_COST_TEXT
#undef MB_COST_INT
#undef MB_COST_REAL
#undef MB_COST_BOOL
} mb_cost_params;

/** Their table over mb_cost_params, keys without "cost.". Static. */
const mb_param *mb_cost_params_table(void);

#ifdef __cplusplus
}
#endif

#endif

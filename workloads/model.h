/* workloads/model.h - published MoE models: their shapes, for generators and for `moebal list
 * models`. */
#ifndef MB_WORKLOADS_MODEL_H
#define MB_WORKLOADS_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_model {
  const char *name;   /* as in configs: "deepseek-v3" */
  const char *title;  /* as its makers write it */
  size_t n_layers;    /* MoE layers */
  size_t first_layer; /* number of the first MoE layer in the model */
  size_t layer_step;  /* from one MoE layer's number to the next's */
  size_t n_experts, top_k, n_groups;
  size_t group_limit;          /* a token's experts come from at most this many groups */
  size_t hidden, intermediate; /* an expert is 3 x hidden x intermediate weights (SwiGLU) */
  const char *deployment;      /* on how many GPUs it is run, or "" */
  const char *source;          /* where the figures are published */
} mb_model;

/** The model of that name, or NULL. */
const mb_model *mb_model_find(const char *name);

/** The model that a trace's `model` means: its name, or its makers' name, with or without an
 * owner in front ("Qwen/Qwen3-30B-A3B"), capitals or not; or NULL. */
const mb_model *mb_model_find_title(const char *title);

/** All models in the order of models.def, ended by an entry whose name is NULL. Static. */
const mb_model *mb_models(void);

/** Their names, NULL-terminated. Static. */
extern const char *const mb_model_names[];

/** Bytes of one expert's weights at that many bits a weight (16, 8, 4.5, 4.25), without scales. */
double mb_model_expert_bytes(const mb_model *model, double bits);

#ifdef __cplusplus
}
#endif

#endif

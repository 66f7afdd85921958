/* workloads/trace_info.c */
#include "workloads/trace_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const phase_names[] = {"prefill", "decode", "mixed", "train"};
enum { N_PHASES = 4 };

const char *mb_phase_name(mb_phase phase) {
  return phase_names[phase];
}

bool mb_phase_find(const char *name, mb_phase *phase) {
  for (int p = 0; p < N_PHASES; p++) {
    if (strcmp(phase_names[p], name) == 0) {
      *phase = (mb_phase)p;
      return true;
    }
  }
  return false;
}

mb_status mb_trace_sizes_check(const char *what, size_t n_layers, size_t n_experts) {
  if (n_layers < 1 || n_experts < 1 || n_layers > MB_TRACE_SIZE_MAX ||
      n_experts > MB_TRACE_SIZE_MAX || n_layers * n_experts > MB_TRACE_STEP_SIZE_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /load: has %zu layers of %zu experts, but both should be at least 1, and "
                   "their product at most 2^26",
                   what, n_layers, n_experts);
  }
  return MB_OK;
}

mb_status mb_trace_info_check(const char *what, const mb_trace_info *info) {
  MB_TRY(mb_trace_sizes_check(what, info->n_layers, info->n_experts));
  if (info->top_k < 1 || (size_t)info->top_k > info->n_experts) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute top_k: is %" PRId32 ", but should be 1 to %zu",
                   what, info->top_k, info->n_experts);
  }
  if (info->n_groups < 1 || info->n_experts % (size_t)info->n_groups != 0) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: attribute num_groups: is %" PRId32 ", which does not divide %zu experts",
                   what, info->n_groups, info->n_experts);
  }
  for (size_t l = 0; l < info->n_layers; l++) {
    if (info->layer_ids[l] < 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: attribute layer_ids: [%zu] is %" PRId32 ", but should be 0 or more", what,
                     l, info->layer_ids[l]);
    }
  }
  return MB_OK;
}

static char *copy_text(const char *text) {
  return strdup(text != NULL ? text : "");
}

mb_status mb_trace_info_copy(const mb_trace_info *info, mb_trace_info *copy) {
  int32_t *layer_ids = malloc((info->n_layers > 0 ? info->n_layers : 1) * sizeof *layer_ids);

  *copy = *info;
  copy->layer_ids = layer_ids;
  copy->model = copy_text(info->model);
  copy->source = copy_text(info->source);
  copy->created_by = copy_text(info->created_by);
  copy->padding = copy_text(info->padding);
  copy->counts = copy_text(info->counts);
  copy->source_semantics = copy_text(info->source_semantics);
  if (layer_ids == NULL || copy->model == NULL || copy->source == NULL ||
      copy->created_by == NULL || copy->padding == NULL || copy->counts == NULL ||
      copy->source_semantics == NULL) {
    mb_trace_info_fini(copy);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for what a trace says of itself");
  }
  memcpy(layer_ids, info->layer_ids, info->n_layers * sizeof *layer_ids);
  return MB_OK;
}

void mb_trace_info_fini(mb_trace_info *info) {
  free((void *)info->layer_ids);
  free((void *)info->model);
  free((void *)info->source);
  free((void *)info->created_by);
  free((void *)info->padding);
  free((void *)info->counts);
  free((void *)info->source_semantics);
  *info = (mb_trace_info){0};
}

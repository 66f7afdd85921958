/* sim/relabel.c */
#include "sim/relabel.h"

#include <gsl/gsl_randist.h>
#include <stdlib.h>

#include "workloads/stream.h"

/* @param group, member scratch: [G] and [E]. */
static void draw_layer(const mb_shape *shape, gsl_rng *rng, int32_t *group, int32_t *member,
                       int32_t *label_of, int32_t *expert_of) {
  size_t n_members = shape->n_experts / shape->n_groups;

  for (size_t g = 0; g < shape->n_groups; g++) {
    group[g] = (int32_t)g;
  }
  gsl_ran_shuffle(rng, group, shape->n_groups, sizeof *group);
  for (size_t g = 0; g < shape->n_groups; g++) {
    for (size_t m = 0; m < n_members; m++) {
      member[m] = (int32_t)m;
    }
    gsl_ran_shuffle(rng, member, n_members, sizeof *member);
    for (size_t m = 0; m < n_members; m++) {
      size_t expert = g * n_members + m;
      int32_t label = group[g] * (int32_t)n_members + member[m];
      label_of[expert] = label;
      expert_of[label] = (int32_t)expert;
    }
  }
}

static mb_status draw(mb_relabel *relabel, const mb_shape *shape, size_t number) {
  int32_t *group = calloc(shape->n_groups, sizeof *group);
  int32_t *member = calloc(shape->n_experts, sizeof *member);
  mb_status status = MB_OK;

  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    gsl_rng *rng = mb_stream_create(number, "relabel", l);
    if (rng == NULL || group == NULL || member == NULL) {
      status = MB_FAIL(MB_ERR_MEMORY, "out of memory: relabelling %zu experts", shape->n_experts);
    } else {
      draw_layer(shape, rng, group, member, relabel->label_of + l * shape->n_experts,
                 relabel->expert_of + l * shape->n_experts);
    }
    gsl_rng_free(rng);
  }
  free(group);
  free(member);
  return status;
}

mb_status mb_relabel_init(mb_relabel *relabel, const mb_shape *shape, size_t number) {
  mb_relabel made = {
      .n_layers = shape->n_layers, .n_experts = shape->n_experts, .n_slots = shape->n_slots};

  made.label_of = calloc(shape->n_layers * shape->n_experts, sizeof *made.label_of);
  made.expert_of = calloc(shape->n_layers * shape->n_experts, sizeof *made.expert_of);
  mb_status status =
      made.label_of != NULL && made.expert_of != NULL
          ? draw(&made, shape, number)
          : MB_FAIL(MB_ERR_MEMORY, "out of memory: relabelling %zu experts", shape->n_experts);
  if (status != MB_OK) {
    mb_relabel_fini(&made);
    return status;
  }
  *relabel = made;
  return MB_OK;
}

void mb_relabel_fini(mb_relabel *relabel) {
  free(relabel->label_of);
  free(relabel->expert_of);
  *relabel = (mb_relabel){.label_of = NULL};
}

void mb_relabel_loads(const mb_relabel *relabel, size_t n_slices, const double *by_expert,
                      double *by_label) {
  size_t row = relabel->n_layers * relabel->n_experts;

  for (size_t s = 0; s < n_slices; s++) {
    for (size_t l = 0; l < relabel->n_layers; l++) {
      const int32_t *expert_of = relabel->expert_of + l * relabel->n_experts;
      const double *from = by_expert + s * row + l * relabel->n_experts;
      double *to = by_label + s * row + l * relabel->n_experts;
      for (size_t i = 0; i < relabel->n_experts; i++) {
        to[i] = from[expert_of[i]];
      }
    }
  }
}

void mb_relabel_to_labels(const mb_relabel *relabel, size_t layer, const int32_t *experts,
                          int32_t *labels) {
  const int32_t *label_of = relabel->label_of + layer * relabel->n_experts;

  for (size_t p = 0; p < relabel->n_slots; p++) {
    labels[p] = label_of[experts[p]];
  }
}

void mb_relabel_to_experts(const mb_relabel *relabel, size_t layer, const int32_t *labels,
                           int32_t *experts) {
  const int32_t *expert_of = relabel->expert_of + layer * relabel->n_experts;

  for (size_t p = 0; p < relabel->n_slots; p++) {
    experts[p] = expert_of[labels[p]];
  }
}

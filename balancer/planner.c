/* balancer/planner.c - a planner with its parameters and state, and the check of its answers. */
#include "balancer/planner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct mb_planner {
  const mb_planner_type *type;
  mb_shape shape;
  size_t n_slices;
  void *params;
  void *state;
  int32_t *expert_count; /* [E] scratch of the check */
};

/* At least one byte, so that NULL always means that there is no memory. */
static void *allocate(size_t size) {
  return calloc(1, size > 0 ? size : 1);
}

static void planner_free(mb_planner *planner) {
  if (planner != NULL) {
    free(planner->params);
    free(planner->state);
    free(planner->expert_count);
    free(planner);
  }
}

static mb_planner *planner_allocate(const mb_planner_type *type, const mb_shape *shape) {
  mb_planner *planner = allocate(sizeof *planner);

  if (planner == NULL) {
    return NULL;
  }
  *planner = (mb_planner){.type = type,
                          .shape = *shape,
                          .params = allocate(type->params_size),
                          .state = allocate(type->state_size),
                          .expert_count = allocate(shape->n_experts * sizeof(int32_t))};
  if (planner->params == NULL || planner->state == NULL || planner->expert_count == NULL) {
    planner_free(planner);
    return NULL;
  }
  return planner;
}

static mb_status planner_init(mb_planner *planner, const mb_backend *backend) {
  const mb_planner_type *type = planner->type;

  planner->n_slices = type->n_slices != NULL ? type->n_slices(planner->params) : 1;
  if (planner->n_slices < 1) {
    return MB_FAIL(MB_ERR_PARAM, "planner %s wants 0 slices of the window, but 1 is the least",
                   type->name);
  }
  if (type->init == NULL) {
    return MB_OK;
  }
  return type->init(planner->state, &planner->shape, planner->params,
                    backend != NULL ? backend : &mb_backend_cpu);
}

mb_status mb_planner_create(const mb_strategy *strategy, const mb_shape *shape, const void *params,
                            const mb_backend *backend, mb_planner **planner) {
  assert(strategy != NULL && shape != NULL && planner != NULL);
  MB_TRY(mb_shape_check(shape));
  mb_planner *made = planner_allocate(strategy->planner, shape);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the strategy %s", strategy->name);
  }
  if (params != NULL) {
    memcpy(made->params, params, strategy->params_size);
  } else {
    mb_strategy_params_init(strategy, made->params);
  }
  mb_status status = planner_init(made, backend);
  if (status != MB_OK) {
    planner_free(made);
    return status;
  }
  *planner = made;
  return MB_OK;
}

size_t mb_planner_n_slices(const mb_planner *planner) {
  return planner->n_slices;
}

static bool shapes_equal(const mb_shape *a, const mb_shape *b) {
  return a->n_layers == b->n_layers && a->n_experts == b->n_experts && a->n_slots == b->n_slots &&
         a->n_groups == b->n_groups && a->n_nodes == b->n_nodes && a->n_gpus == b->n_gpus;
}

static mb_status check_input(const mb_planner *planner, const mb_plan_input *input) {
  if (!shapes_equal(&planner->shape, &input->shape)) {
    return MB_FAIL(MB_ERR_SHAPE, "planner %s was made for another shape than it is asked about",
                   planner->type->name);
  }
  if (input->n_slices != planner->n_slices) {
    return MB_FAIL(MB_ERR_SHAPE, "planner %s got %zu slices of the window, but wants %zu",
                   planner->type->name, input->n_slices, planner->n_slices);
  }
  return MB_OK;
}

static mb_status check_output(mb_planner *planner, const mb_plan_output *output) {
  for (size_t l = 0; l < planner->shape.n_layers; l++) {
    if (!output->replaced[l]) {
      continue;
    }
    const int32_t *map = output->physical_to_logical_map + l * planner->shape.n_slots;
    mb_status status = mb_placement_count(&planner->shape, map, planner->expert_count);
    if (status != MB_OK) {
      return MB_FAIL(status, "planner %s gave a wrong placement for layer %zu: %s",
                     planner->type->name, l, mb_error_message());
    }
  }
  return MB_OK;
}

mb_status mb_planner_plan(mb_planner *planner, const mb_plan_input *input, mb_plan_output *output) {
  MB_TRY(check_input(planner, input));
  memset(output->replaced, 0, planner->shape.n_layers * sizeof *output->replaced);
  MB_TRY(planner->type->plan(planner->state, planner->params, input, output));
  return check_output(planner, output);
}

void mb_planner_destroy(mb_planner *planner) {
  if (planner != NULL && planner->type->fini != NULL) {
    planner->type->fini(planner->state);
  }
  planner_free(planner);
}

/* balancer/vec.c - replicas by the hottest expert of every moment, dealt out in zigzag rows.
 *
 *   replicas: each copy goes where it lowers, most of all, the sum over the window's slices of the
 *             largest load a replica (balancer/replicate_slices.h)
 *   packing:  slots sorted by the window's sum, dealt in zigzag rows (balancer/snake.c)
 *
 * Hierarchical where the shape is: groups to nodes by LPT on the window's sum. An expert that is
 * hot now and then gets copies that the window's sum would give to one that is always warm; but the
 * packing sees sums alone.
 *
 * Source: SGLang, python/sglang/srt/eplb/eplb_algorithms/deepseek_vec.py, which has one slice a
 * step (1000 by default): `slices` of the window's steps or more is the same. It tells equal loads
 * apart by adding 1e-4 tokens times the expert's number, by which the last of equals is the
 * hottest; here the first. Complexity: a layer takes that of mb_replicate_slices() and O(P log P).
 */
#include "balancer/anew.h"
#include "balancer/layerwise.h"
#include "balancer/nodes.h"
#include "balancer/replicate_slices.h"
#include "balancer/snake.h"

typedef struct vec_params {
  int64_t slices;
} vec_params;

static const mb_param vec_table[] = {
    {.key = "slices",
     .type = MB_PARAM_INT,
     .unit = "1",
     .initial = "100",
     .min = 1,
     .max = 1e6,
     .help = "parts that the window is cut into; its steps or more: one a step",
     .offset = offsetof(vec_params, slices)},
    {0},
};

typedef struct vec_state {
  mb_layerwise *layerwise;
} vec_state;

/* One thread's memory for a node. */
typedef struct vec_scratch {
  mb_slice_memory slices;
  int32_t *count;      /* [n_experts] */
  int32_t *item;       /* [n_slots] */
  double *weight;      /* [n_slots] */
  int32_t *gpu, *rank; /* [n_slots] */
} vec_scratch;

static vec_scratch scratch_take(mb_arena *arena, size_t n, size_t n_slots, size_t n_slices) {
  vec_scratch w;

  w.slices = mb_slice_memory_take(arena, n_slices, n);
  w.count = mb_arena_take(arena, n, sizeof *w.count);
  w.item = mb_arena_take(arena, n_slots, sizeof *w.item);
  w.weight = mb_arena_take(arena, n_slots, sizeof *w.weight);
  w.gpu = mb_arena_take(arena, n_slots, sizeof *w.gpu);
  w.rank = mb_arena_take(arena, n_slots, sizeof *w.rank);
  return w;
}

static void place_node(const mb_node_task *task, const void *context, void *scratch,
                       int32_t *placed) {
  const mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  const mb_slice_rule rule = {.weight = NULL, .tie_gain = 0};
  const size_t gpu_slots = task->n_slots / task->n_gpus;
  mb_arena arena = {scratch, 0};
  vec_scratch w = scratch_take(&arena, task->n_experts, task->n_slots, task->n_slices);

  (void)context;
  mb_replicate_slices(task->n_experts, task->n_slots, task->n_slices, task->load, task->total,
                      &rule, &w.slices, w.count, w.item);
  for (size_t s = 0; s < task->n_slots; s++) {
    w.weight[s] = task->total[w.item[s]] / w.count[w.item[s]];
  }
  (void)mb_pack_checked(task->n_slots, task->n_gpus, w.weight, &mb_packing_snake, &options,
                        task->pack, w.gpu, w.rank);
  for (size_t s = 0; s < task->n_slots; s++) {
    placed[(size_t)w.gpu[s] * gpu_slots + (size_t)w.rank[s]] = w.item[s];
  }
}

static size_t vec_n_slices(const void *params) {
  return (size_t)((const vec_params *)params)->slices;
}

static void vec_fini(void *state) {
  vec_state *s = state;

  mb_layerwise_destroy(s->layerwise);
}

static mb_status vec_init(void *state, const mb_shape *shape, const void *params,
                          const mb_backend *backend) {
  const mb_nodes nodes = mb_nodes_of(shape);
  vec_state *s = state;
  mb_arena size = {NULL, 0};

  (void)scratch_take(&size, nodes.node_experts, nodes.node_slots, vec_n_slices(params));
  return mb_layerwise_create(shape, vec_n_slices(params), mb_threads_of(backend), size.used,
                             &s->layerwise);
}

static mb_status vec_plan(void *state, const void *params, const mb_plan_input *input,
                          mb_plan_output *output) {
  vec_state *s = state;

  (void)params;
  for (size_t l = 0; l < input->shape.n_layers; l++) {
    output->replaced[l] = true;
  }
  return mb_layerwise_place(s->layerwise, input->load, place_node, NULL, output->replaced,
                            output->physical_to_logical_map);
}

const mb_planner_type mb_planner_vec = {
    .name = "vec",
    .summary = "replicas by the hottest expert of every slice of the window, dealt in zigzag rows",
    .params = vec_table,
    .params_size = sizeof(vec_params),
    .keeps_groups = true,
    .state_size = sizeof(vec_state),
    .n_slices = vec_n_slices,
    .init = vec_init,
    .plan = vec_plan,
    .fini = vec_fini,
};

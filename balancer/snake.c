/* balancer/snake.c - EPLB's replicas, dealt to the GPUs in zigzag rows.
 *
 *   item t of the sorted order, heaviest first, is in row r = t / m at column c = t % m;
 *   pack = c in even rows, m - 1 - c in odd ones
 *
 * A pack's load is never looked at, so heavy tails stay where they fall: the pack of the heaviest
 * item gets the lightest of the next row and no more relief than that. All else as the planner
 * eplb: groups to nodes (by the same dealing), replicas, slots to GPUs; one item a pack isn't
 * sorted.
 *
 * Source: the packing of SGLang's deepseek_vec, python/sglang/srt/eplb/eplb_algorithms/
 * deepseek_vec.py; also what OpenEvolve found for ADRS (arXiv 2510.06189). Complexity: O(n log n).
 */
#include "balancer/snake.h"

#include <assert.h>

#include "balancer/anew.h"
#include "balancer/options.h"

static void snake_deal(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  const size_t m = packing->n_packs;

  (void)options;
  (void)scratch;
  assert(m > 0);
  for (size_t pack = 0; pack < m; pack++) {
    packing->pack_load[pack] = 0;
  }
  for (size_t t = 0; t < packing->n_items; t++) {
    size_t column = t % m;
    size_t pack = t / m % 2 == 0 ? column : m - 1 - column;
    packing->pack_of[t] = (int32_t)pack;
    packing->pack_load[pack] += packing->weight[t];
  }
}

const mb_refinement_type mb_packing_snake = {
    .name = "snake",
    .summary = "sorted slots dealt to the GPUs in zigzag rows",
    .refine = snake_deal,
};

static const mb_param snake_params[] = {MB_OPTION_REFERENCE_QUIRKS, {0}};

static mb_status snake_init(void *state, const mb_shape *shape, const void *params,
                            const mb_backend *backend) {
  (void)params;
  return mb_anew_init(state, shape, &mb_packing_snake, backend);
}

static mb_status snake_plan(void *state, const void *params, const mb_plan_input *input,
                            mb_plan_output *output) {
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  options.reference_quirks = ((const mb_balance_options *)params)->reference_quirks;
  return mb_anew_plan(state, &mb_packing_snake, &options, input, output);
}

const mb_planner_type mb_planner_snake = {
    .name = "snake",
    .summary = "sorted slots dealt to the GPUs in zigzag rows, as SGLang's vec packs",
    .params = snake_params,
    .params_size = sizeof(mb_balance_options),
    .keeps_groups = true,
    .state_size = sizeof(mb_anew),
    .init = snake_init,
    .plan = snake_plan,
    .fini = mb_anew_fini,
};

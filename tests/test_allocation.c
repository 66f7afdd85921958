/* tests/test_allocation.c - a workspace allocates when it is made, and never after; no memory is an
 * error like another.
 *
 * Linked with --wrap, so that every allocation of the library is counted here, or refused. What
 * OpenMP takes for its threads is its own and not seen.
 */
#include <stdint.h>

#include "balancer/post_pass.h"
#include "tests/balance.h"

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier) */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): names of the linker. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static size_t n_allocations;           /* so far */
static size_t refused_from = SIZE_MAX; /* the allocation that fails, and those after */

static bool is_refused(void) {
  size_t number = 0;

#pragma omp atomic capture
  number = n_allocations++;
  return number >= refused_from;
}

void *__wrap_malloc(size_t size) {
  return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return is_refused() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return is_refused() ? NULL : __real_aligned_alloc(alignment, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* NOLINTEND(bugprone-reserved-identifier) */

/* Hierarchical with replicas, global with replicas, many GPUs, one item a pack. */
static const mb_shape shapes[] = {
    {4, 64, 72, 8, 4, 8}, {3, 60, 72, 1, 1, 6}, {2, 256, 512, 1, 1, 128}, {2, 12, 16, 1, 1, 16}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0], LOADS_MAX = 512 };

static void fill_loads(const mb_shape *s, double *load) {
  uint32_t state = 12;

  for (size_t x = 0; x < s->n_layers * s->n_experts; x++) {
    state = state * 1664525u + 1013904223u;
    load[x] = (double)(state >> 8) / (1 + state % 37);
  }
}

static void rebalance_thrice(const mb_shape *s, size_t n_threads,
                             const mb_refinement_type *refinement) {
  const mb_balance_options options = {MB_ROUNDS_UNLIMITED, 0, false};
  static double load[LOADS_MAX];
  mb_placement placement = placement_alloc(s);
  mb_workspace *workspace = NULL;
  mb_pack_stats stats;

  fill_loads(s, load);
  CHECK_OK(mb_workspace_create(s, n_threads, &workspace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(workspace);
  size_t before = n_allocations;
  for (size_t x = 0; x < 3; x++) {
    CHECK_OK(mb_workspace_rebalance(workspace, load, refinement, &options, &placement, &stats));
  }
  CU_ASSERT_EQUAL(n_allocations, before);
  mb_workspace_destroy(workspace);
  placement_free(&placement);
}

static void test_none_inside(void) {
  for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
    for (size_t x = 0; x < N_SHAPES; x++) {
      rebalance_thrice(&shapes[x], 1, *type);
      rebalance_thrice(&shapes[x], 3, *type);
    }
  }
}

static void refine_with_malloc(mb_packing *packing, const mb_balance_options *options,
                               void *scratch) {
  (void)options;
  (void)scratch;
  packing->rounds++;
  void *volatile kept = malloc(packing->n_items); /* volatile: compilers may drop the pair */
  free(kept);
}

/* The count does see an allocation: one a packing. */
static void test_count(void) {
  const mb_refinement_type planted = {.name = "planted", .refine = refine_with_malloc};
  mb_placement placement = placement_alloc(&shapes[1]);
  mb_workspace *workspace = NULL;
  mb_pack_stats stats;
  double load[180];

  fill_loads(&shapes[1], load);
  CHECK_OK(mb_workspace_create(&shapes[1], 1, &workspace));
  size_t before = n_allocations;
  CHECK_OK(mb_workspace_rebalance(workspace, load, &planted, NULL, &placement, &stats));
  CU_ASSERT_EQUAL(n_allocations, before + 3);
  CU_ASSERT_EQUAL(stats.rounds, 3);
  mb_workspace_destroy(workspace);
  placement_free(&placement);
}

/* Refuses the first allocation, then the second and so on, until the call needs no more. */
static void test_rebalance_refused(void) {
  const mb_shape *s = &shapes[0];
  static double load[LOADS_MAX];
  mb_status status = MB_ERR_MEMORY;
  size_t n_refused = 0;

  fill_loads(s, load);
  for (; status != MB_OK && n_refused < 1000; n_refused++) {
    mb_placement placement = placement_alloc(s);
    mb_placement untouched = placement_alloc(s);
    refused_from = n_allocations + n_refused;
    status = mb_rebalance(s, load, mb_refinement_find("l2"), NULL, &placement);
    refused_from = SIZE_MAX;
    CU_ASSERT(status == MB_OK || status == MB_ERR_MEMORY);
    CU_ASSERT(status == MB_OK || placement_equal(s, &placement, &untouched));
    CU_ASSERT(status == MB_OK ||
              strcmp(mb_error_message(), "no memory to place 64 experts in 72 slots") == 0);
    placement_free(&placement);
    placement_free(&untouched);
  }
  CU_ASSERT_EQUAL(status, MB_OK);
  CU_ASSERT(n_refused > 3);
}

static void test_pack_refused(void) {
  const double weight[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  mb_status status = MB_ERR_MEMORY;
  size_t n_refused = 0;

  for (; status != MB_OK && n_refused < 1000; n_refused++) {
    int32_t index[8] = {-7};
    int32_t rank[8] = {-7};
    refused_from = n_allocations + n_refused;
    status = mb_pack(8, 2, weight, mb_refinement_find("l2"), NULL, index, rank, NULL, NULL);
    refused_from = SIZE_MAX;
    CU_ASSERT(status == MB_OK || (status == MB_ERR_MEMORY && index[0] == -7 && rank[0] == -7));
    CU_ASSERT(status == MB_OK ||
              strcmp(mb_error_message(), "no memory to pack 8 items into 2 packs") == 0);
  }
  CU_ASSERT_EQUAL(status, MB_OK);
  CU_ASSERT(n_refused > 3);
}

/* A post-pass allocates when it is made, and never after. */
static void test_post_pass(void) {
  const mb_shape *s = &shapes[0];
  static const mb_post_pass_options options = {.assign = "gpus", .keep_slots = true};
  static const bool replaced[4] = {true, true, true, true};
  int32_t before[4 * 72];
  int32_t after[4 * 72];
  mb_post_pass *made = NULL;
  mb_status status = MB_ERR_MEMORY;
  size_t n_refused = 0;

  for (; status != MB_OK && n_refused < 1000; n_refused++) {
    refused_from = n_allocations + n_refused;
    status = mb_post_pass_create(s, &options, &made);
    refused_from = SIZE_MAX;
    CU_ASSERT(status == MB_OK || (status == MB_ERR_MEMORY && made == NULL));
    CU_ASSERT(status == MB_OK ||
              strcmp(mb_error_message(), "no memory to assign 8 GPUs of 72 slots") == 0);
  }
  CU_ASSERT_EQUAL_FATAL(status, MB_OK);
  CU_ASSERT(n_refused > 3);
  for (size_t l = 0; l < s->n_layers; l++) {
    mb_placement_linear(s, before + l * s->n_slots);
  }
  memcpy(after, before, sizeof after);
  size_t so_far = n_allocations;
  mb_post_pass_run(made, before, replaced, after);
  CU_ASSERT_EQUAL(n_allocations, so_far);
  CU_ASSERT(memcmp(after, before, sizeof after) == 0);
  mb_post_pass_destroy(made);
}

static size_t large_scratch_size(size_t n_items, size_t n_packs) {
  return 100000 + n_items + n_packs;
}

static void refine_large(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  (void)options;
  memset(scratch, 1, large_scratch_size(packing->n_items, packing->n_packs));
}

/* A refinement of the caller's own may want more than those listed: a workspace says so. */
static void test_own_refinement(void) {
  const mb_refinement_type own = {
      .name = "own", .scratch_size = large_scratch_size, .refine = refine_large};
  const mb_shape *s = &shapes[0];
  static double load[LOADS_MAX];
  mb_placement placement = placement_alloc(s);
  mb_placement untouched = placement_alloc(s);
  mb_workspace *workspace = NULL;

  fill_loads(s, load);
  CHECK_OK(mb_workspace_create(s, 1, &workspace));
  CHECK_FAILS(mb_workspace_rebalance(workspace, load, &own, NULL, &placement, NULL), MB_ERR_PARAM,
              "own wants 100020 bytes to refine in, but the workspace has");
  CU_ASSERT(placement_equal(s, &placement, &untouched));
  CHECK_OK(mb_rebalance(s, load, &own, NULL, &placement));
  mb_workspace_destroy(workspace);
  placement_free(&placement);
  placement_free(&untouched);
}

int main(void) {
  CU_TestInfo tests[] = {{"none in mb_workspace_rebalance()", test_none_inside},
                         {"one that is planted is seen", test_count},
                         {"each of mb_rebalance() refused in turn", test_rebalance_refused},
                         {"each of mb_pack() refused in turn", test_pack_refused},
                         {"post-passes", test_post_pass},
                         {"a refinement that wants more", test_own_refinement},
                         CU_TEST_INFO_NULL};
  return run_suite("allocation", tests);
}

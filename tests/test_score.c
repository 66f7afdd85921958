/* tests/test_score.c - the fused score is dispatch and then metrics, bit for bit. */
#include "sim/score.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "sim/dispatch.h"
#include "tests/test.h"

enum { E_MOST = 1024, P_MOST = 2048 };

static int32_t map[P_MOST], count[E_MOST], replicated[E_MOST];
static uint32_t load[E_MOST];
static double share[E_MOST], slot_load[P_MOST];

/* Every expert once, the other slots at random, all shuffled. */
static void place_at_random(gsl_rng *random, const mb_shape *shape) {
  for (size_t p = 0; p < shape->n_slots; p++) {
    map[p] = (int32_t)(p < shape->n_experts ? p : gsl_rng_uniform_int(random, shape->n_experts));
  }
  gsl_ran_shuffle(random, map, shape->n_slots, sizeof *map);
}

/* Loads of very different sizes, some or all of them zero. */
static void load_at_random(gsl_rng *random, size_t n_experts, size_t round) {
  double zeroes = (double)(round % 5) / 4.0;

  for (size_t e = 0; e < n_experts; e++) {
    uint32_t bits = (uint32_t)gsl_rng_get(random) >> gsl_rng_uniform_int(random, 32);
    load[e] = gsl_rng_uniform(random) < zeroes ? 0 : bits;
  }
}

static void compare(const mb_shape *shape, const mb_score_layer *layer) {
  mb_layer_score fused;
  mb_layer_score plain;

  mb_score_even(shape, layer, load, share, &fused);
  mb_dispatch_even_split(shape, load, map, count, slot_load);
  mb_metrics_layer(shape, slot_load, &plain);
  CU_ASSERT(memcmp(&fused.load_max, &plain.load_max, sizeof fused.load_max) == 0);
  CU_ASSERT(memcmp(&fused.load_mean, &plain.load_mean, sizeof fused.load_mean) == 0);
  CU_ASSERT_EQUAL(fused.active_experts, plain.active_experts);
  CU_ASSERT_EQUAL(fused.active_slots, plain.active_slots);
}

static void fused_is_plain(void) {
  static const mb_shape shapes[] = {
      {1, 256, 288, 1, 1, 32}, {1, 32, 40, 1, 1, 8},      {1, 64, 80, 8, 2, 16},
      {1, 1, 1, 1, 1, 1},      {1, 1, 12, 1, 1, 4},       {1, 7, 7, 1, 1, 7},
      {1, 7, 35, 1, 1, 5},     {1, 1024, 2048, 1, 1, 64}, {1, 5, 15, 1, 1, 1},
  };
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  CU_ASSERT_PTR_NOT_NULL_FATAL(random);

  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (size_t round = 0; round < 100; round++) {
      mb_score_layer layer = {map, count, replicated, 0};
      place_at_random(random, &shapes[i]);
      CHECK_OK(mb_score_prepare(&shapes[i], &layer));
      load_at_random(random, shapes[i].n_experts, round);
      compare(&shapes[i], &layer);
    }
  }
  gsl_rng_free(random);
}

/* Three replicas of 10 tokens on one GPU, so that the order of rounding shows. */
static void by_hand(void) {
  mb_shape shape = {1, 2, 4, 1, 1, 2};
  int32_t placed[] = {0, 0, 0, 1};
  uint32_t tokens[] = {10, 0};
  mb_score_layer layer = {placed, count, replicated, 0};
  mb_layer_score score;

  CHECK_OK(mb_score_prepare(&shape, &layer));
  CU_ASSERT_EQUAL(layer.n_replicated, 1);
  CU_ASSERT_EQUAL(replicated[0], 0);
  mb_score_even(&shape, &layer, tokens, share, &score);
  CU_ASSERT_EQUAL(score.load_max, 10.0 / 3.0 + 10.0 / 3.0);
  CU_ASSERT_EQUAL(score.load_mean, (10.0 / 3.0 + 10.0 / 3.0 + 10.0 / 3.0) / 2.0);
  CU_ASSERT_EQUAL(score.active_experts, 2);
  CU_ASSERT_EQUAL(score.active_slots, 3);
}

static void wrong_placement(void) {
  mb_shape shape = {1, 3, 3, 1, 1, 1};
  int32_t placed[] = {0, 2, 2};
  mb_score_layer layer = {placed, count, replicated, 0};

  CHECK_FAILS(mb_score_prepare(&shape, &layer), MB_ERR_RANGE, "expert 1");
}

int main(void) {
  CU_TestInfo tests[] = {{"fused is dispatch, then metrics", fused_is_plain},
                         {"by hand", by_hand},
                         {"a placement without some expert", wrong_placement},
                         CU_TEST_INFO_NULL};
  return run_suite("score", tests);
}

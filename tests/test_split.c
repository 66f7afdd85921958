/* tests/test_split.c - the best splits, against brute force over sets of GPUs and by hand. */
#include "balancer/split.h"

#include <math.h>

#include "tests/split_instance.h"
#include "tests/test.h"

enum { N_INSTANCES = 20000, SEED = 4711 };

/* What only the GPUs of the set can take, over their speed. */
static double set_ratio(const split_instance *s, unsigned long set) {
  size_t slots_per_gpu = s->slots_per_gpu;
  bool outside[SPLIT_MAX_SLOTS] = {0};
  double tokens = 0;
  double speed = 0;

  for (size_t p = 0; p < s->shape.n_slots; p++) {
    outside[s->map[p]] |= (set >> (p / slots_per_gpu) & 1) == 0;
  }
  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    if ((set >> g & 1) != 0) {
      tokens += s->has_base ? s->base[g] : 0;
      speed += s->has_speed ? s->speed[g] : 1;
    }
  }
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    tokens += outside[e] ? 0 : s->load[e];
  }
  return tokens / speed;
}

static double brute_force(const split_instance *s) {
  double best = 0;

  for (unsigned long set = 1; set < 1UL << s->shape.n_gpus; set++) {
    best = fmax(best, set_ratio(s, set));
  }
  return best;
}

/* Slots are >= 0, experts' slots add up, no GPU is above load_max. */
static void check_feasible(const split_instance *s, const double *slot_load, double load_max) {
  size_t slots_per_gpu = s->slots_per_gpu;
  double expert[SPLIT_MAX_SLOTS] = {0};
  double gpu[SPLIT_MAX_GPUS] = {0};

  for (size_t p = 0; p < s->shape.n_slots; p++) {
    CU_ASSERT(slot_load[p] >= 0);
    expert[s->map[p]] += slot_load[p];
    gpu[p / slots_per_gpu] += slot_load[p];
  }
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    CU_ASSERT(fabs(expert[e] - s->load[e]) <= 1e-14 * s->load[e]);
  }
  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    double tokens = gpu[g] + (s->has_base ? s->base[g] : 0);
    CU_ASSERT(tokens / (s->has_speed ? s->speed[g] : 1) <= load_max * (1 + 1e-12));
  }
}

static void check_proof(const split_instance *s, const mb_split_result *result) {
  unsigned long set = 0;
  size_t n = 0;

  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    set |= (unsigned long)result->gpus[g] << g;
    n += result->gpus[g];
  }
  CU_ASSERT_EQUAL(n, result->n_gpus);
  CU_ASSERT_EQUAL(n == 0, result->load_max == 0);
  if (n > 0) {
    CU_ASSERT(fabs(set_ratio(s, set) - result->load_max) <= 1e-14 * result->load_max);
  }
}

/* With the split used for what came before, and again for the same. */
static void random_instances(void) {
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double slot_load[SPLIT_MAX_SLOTS], again[SPLIT_MAX_SLOTS];

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < N_INSTANCES; i++) {
    split_instance s;
    mb_split *split = NULL;
    mb_split_result result = {0};
    split_random(random, &s);
    const double *base = s.has_base ? s.base : NULL;
    CHECK_OK(mb_split_create(&s.shape, &split));
    CU_ASSERT_PTR_NOT_NULL_FATAL(split);
    CHECK_OK(mb_split_prepare(split, s.map, s.has_speed ? s.speed : NULL));
    CHECK_OK(mb_split_solve(split, s.load, base, slot_load, &result));
    double expected = brute_force(&s);
    CU_ASSERT(fabs(result.load_max - expected) <= 1e-14 * expected);
    check_feasible(&s, slot_load, result.load_max);
    check_proof(&s, &result);
    double first = result.load_max;
    CHECK_OK(mb_split_solve(split, s.load, base, again, &result));
    CU_ASSERT_EQUAL(memcmp(again, slot_load, s.shape.n_slots * sizeof *again), 0);
    CU_ASSERT_EQUAL(first, result.load_max);
    mb_split_destroy(split);
  }
  gsl_rng_free(random);
}

typedef struct solved {
  double slot_load[8];
  double load_max;
  size_t n_gpus;
} solved;

static solved solve(mb_shape shape, const int32_t *map, const double *speed, const double *load,
                    const double *base) {
  solved answer = {.load_max = -1};
  mb_split *split = NULL;
  mb_split_result result = {0};

  CHECK_OK(mb_split_create(&shape, &split));
  CU_ASSERT_PTR_NOT_NULL_FATAL(split);
  CHECK_OK(mb_split_prepare(split, map, speed));
  CHECK_OK(mb_split_solve(split, load, base, answer.slot_load, &result));
  answer.load_max = result.load_max;
  answer.n_gpus = result.n_gpus;
  mb_split_destroy(split);
  return answer;
}

/* Expert 0 is on GPUs 0 and 1, 1 on 1 and 2, 2 and 3 have one place: 12 + 6 + 3 + 0 over 3 GPUs. */
static void by_hand(void) {
  int32_t map[] = {0, 3, 0, 1, 1, 2};
  double load[] = {12, 6, 3, 0};
  double expected[] = {7, 0, 5, 2, 4, 3};
  solved a = solve((mb_shape){1, 4, 6, 1, 1, 3}, map, NULL, load, NULL);

  CU_ASSERT_EQUAL(a.load_max, 7);
  CU_ASSERT_EQUAL(a.n_gpus, 3);
  for (size_t p = 0; p < 6; p++) {
    CU_ASSERT_DOUBLE_EQUAL(a.slot_load[p], expected[p], 1e-12);
  }
}

/* GPUs 0 and 1 share expert 0 alone and cannot give to GPU 2, whatever it has room for. */
static void cut(void) {
  int32_t map[] = {0, 1, 0, 2, 3, 4};
  double load[] = {10, 4, 0, 1, 1};
  solved a = solve((mb_shape){1, 5, 6, 1, 1, 3}, map, NULL, load, NULL);

  CU_ASSERT_EQUAL(a.load_max, 7);
  CU_ASSERT_EQUAL(a.n_gpus, 2);
  CU_ASSERT_EQUAL(a.slot_load[0], 3);
  CU_ASSERT_EQUAL(a.slot_load[2], 7);
}

/* A GPU three times as fast takes three times as much, less what it has already. */
static void speeds_and_base(void) {
  int32_t map[] = {0, 0};
  double load[] = {16};
  double speed[] = {1, 3};
  double base[] = {0, 4};
  solved a = solve((mb_shape){1, 1, 2, 1, 1, 2}, map, speed, load, base);

  CU_ASSERT_EQUAL(a.load_max, 5);
  CU_ASSERT_EQUAL(a.slot_load[0], 5);
  CU_ASSERT_EQUAL(a.slot_load[1], 11);
}

/* GPU 0's 9 are the optimum; the others are level all the same, as pouring leaves them: expert 1
 * all onto GPU 1, then expert 2 onto that 4 and the 3 of GPU 2, both up to 4.5. */
static void poured(void) {
  int32_t map[] = {0, 1, 1, 2, 2, 3, 4, 5};
  double load[] = {9, 4, 2, 3, 0, 0};
  solved a = solve((mb_shape){1, 6, 8, 1, 1, 4}, map, NULL, load, NULL);
  double expected[] = {9, 0, 4, 0.5, 1.5, 3, 0, 0};

  CU_ASSERT_EQUAL(a.load_max, 9);
  for (size_t p = 0; p < 8; p++) {
    CU_ASSERT_DOUBLE_EQUAL(a.slot_load[p], expected[p], 1e-12);
  }
}

/* A second slot of the same GPU is no second place; it gets nothing. */
static void duplicates(void) {
  int32_t map[] = {0, 0, 1, 2};
  double load[] = {9, 1, 1};
  solved a = solve((mb_shape){1, 3, 4, 1, 1, 2}, map, NULL, load, NULL);
  int32_t shared[] = {0, 0, 0, 1};
  double loads[] = {9, 1};
  solved b = solve((mb_shape){1, 2, 4, 1, 1, 2}, shared, NULL, loads, NULL);

  CU_ASSERT_EQUAL(a.load_max, 9);
  CU_ASSERT_EQUAL(a.slot_load[0], 9);
  CU_ASSERT_EQUAL(a.slot_load[1], 0);
  CU_ASSERT_EQUAL(b.load_max, 5);
  CU_ASSERT_EQUAL(b.slot_load[0], 5);
  CU_ASSERT_EQUAL(b.slot_load[1], 0);
  CU_ASSERT_EQUAL(b.slot_load[2], 4);
}

static void without_load(void) {
  int32_t map[] = {0, 1, 1, 0};
  double load[] = {0, 0};
  solved a = solve((mb_shape){1, 2, 4, 1, 1, 2}, map, NULL, load, NULL);

  CU_ASSERT_EQUAL(a.load_max, 0);
  CU_ASSERT_EQUAL(a.n_gpus, 0);
  for (size_t p = 0; p < 4; p++) {
    CU_ASSERT_EQUAL(a.slot_load[p], 0);
  }
}

/* A smallest number beside 2^53 is neither lost nor doubled. */
static void extremes(void) {
  int32_t map[] = {0, 1, 1, 2};
  double load[] = {9007199254740992.0, 1, 9007199254740992.0};
  double denormal[] = {9007199254740992.0, 4.9e-324, 9007199254740992.0};
  solved a = solve((mb_shape){1, 3, 4, 1, 1, 2}, map, NULL, load, NULL);
  solved b = solve((mb_shape){1, 3, 4, 1, 1, 2}, map, NULL, denormal, NULL);

  CU_ASSERT_EQUAL(a.slot_load[1] + a.slot_load[2], 1);
  CU_ASSERT_EQUAL(b.slot_load[1] + b.slot_load[2], denormal[1]);
}

/* A chain of n GPUs, of which each shares an expert with the next, and all load is on the first
 * expert: what fills one pair has to be handed on through all. Then a ring, rotated. */
static void long_ways(void) {
  enum { N = 64, P = 2 * N, HALF = N / 2 };
  mb_shape shape = {1, N, P, 1, 1, N};
  int32_t map[P];
  double load[N] = {0}, slot_load[P];
  mb_split *split = NULL;
  mb_split_result result;

  for (int32_t g = 0; g < N; g++) {
    map[(size_t)2 * (size_t)g] = g;
    map[(size_t)2 * (size_t)g + 1] = (g + 1) % N;
    load[g] = 1 + g % 3;
  }
  load[0] = P;
  double total = 0;
  for (size_t e = 0; e < N; e++) {
    total += load[e];
  }
  CHECK_OK(mb_split_create(&shape, &split));
  CU_ASSERT_PTR_NOT_NULL_FATAL(split);
  CHECK_OK(mb_split_prepare(split, map, NULL));
  CHECK_OK(mb_split_solve(split, load, NULL, slot_load, &result));
  /* Expert 0 is on two GPUs only, and what else is there, 3 and 1, can go elsewhere. */
  CU_ASSERT_EQUAL(result.load_max, N);
  load[0] = 3;
  load[1] = total - P - load[1] + 1;
  load[2] = 0;
  total = 0;
  for (size_t e = 0; e < N; e++) {
    total += load[e];
  }
  CHECK_OK(mb_split_solve(split, load, NULL, slot_load, &result));
  CU_ASSERT_EQUAL(result.load_max, load[1] / 2);
  for (size_t e = 0; e < N; e++) {
    load[e] = e < HALF ? 4 : 0; /* half a ring hands on to the other half through none */
  }
  CHECK_OK(mb_split_solve(split, load, NULL, slot_load, &result));
  CU_ASSERT_DOUBLE_EQUAL(result.load_max, 4.0 * HALF / (HALF + 1), 1e-12);
  mb_split_destroy(split);
}

static void refusals(void) {
  mb_shape shape = {1, 2, 4, 1, 1, 2};
  mb_shape odd = {1, 2, 5, 1, 1, 2};
  int32_t map[] = {0, 1, 1, 0};
  int32_t missing[] = {0, 0, 0, 0};
  double load[] = {1, NAN}, good[] = {1, 2}, base[] = {0, -1}, speed[] = {1, 0};
  double slot_load[4] = {-1, -1, -1, -1};
  mb_split *split = NULL;
  mb_split_result result = {.load_max = -1};

  CHECK_FAILS(mb_split_create(&odd, &split), MB_ERR_SHAPE, "5");
  CHECK_OK(mb_split_create(&shape, &split));
  CU_ASSERT_PTR_NOT_NULL_FATAL(split);
  CHECK_FAILS(mb_split_prepare(split, missing, NULL), MB_ERR_RANGE, "expert 1");
  CHECK_FAILS(mb_split_prepare(split, map, speed), MB_ERR_RANGE, "GPU 1 is 0");
  CHECK_OK(mb_split_prepare(split, map, NULL));
  CHECK_FAILS(mb_split_solve(split, load, NULL, slot_load, &result), MB_ERR_RANGE, "expert 1");
  CHECK_FAILS(mb_split_solve(split, good, base, slot_load, &result), MB_ERR_RANGE, "GPU 1 is -1");
  CU_ASSERT_EQUAL(slot_load[0], -1);
  CU_ASSERT_EQUAL(result.load_max, -1);
  mb_split_destroy(split);
  mb_split_destroy(NULL);
}

int main(void) {
  CU_TestInfo tests[] = {{"random instances, by all sets of GPUs", random_instances},
                         {"a split by hand", by_hand},
                         {"GPUs that cannot give", cut},
                         {"speeds and base loads", speeds_and_base},
                         {"level where nothing asks for it", poured},
                         {"duplicates on a GPU", duplicates},
                         {"no load at all", without_load},
                         {"loads of very different size", extremes},
                         {"ways through many GPUs", long_ways},
                         {"what is refused", refusals},
                         CU_TEST_INFO_NULL};
  return run_suite("split", tests);
}

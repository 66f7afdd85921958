/* tests/test_dispatch_models.c - what every dispatch model keeps to, and examples worked out by
 * hand. The answers of lp are proved by trying all sets of GPUs. */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <omp.h>

#include "sim/dispatch.h"
#include "sim/draw.h"
#include "sim/lane_options.h"
#include "sim/replay.h"
#include "tests/test.h"

enum { MAX_SLOTS = 64, MAX_SOURCES = 8, N_LAYERS = 3, N_STEPS = 4, N_RANDOM = 40 };

/* A problem of a few layers and steps. */
typedef struct problem {
  mb_shape shape;
  size_t n_sources;
  int32_t map[N_LAYERS * MAX_SLOTS], count[N_LAYERS * MAX_SLOTS];
  uint32_t load[(size_t)N_STEPS * N_LAYERS * MAX_SLOTS];
  uint32_t by_source[(size_t)N_STEPS * N_LAYERS * MAX_SOURCES * MAX_SLOTS];
} problem;

static mb_dispatch_options options_of(const char *dispatch) {
  mb_lane_options options;

  mb_lane_options_init(&options);
  (void)snprintf(options.dispatch.dispatch, sizeof options.dispatch.dispatch, "%s", dispatch);
  return options.dispatch;
}

static void fill_placement(problem *p, gsl_rng *rng, size_t l) {
  int32_t *map = p->map + l * p->shape.n_slots;

  for (size_t s = 0; s < p->shape.n_slots; s++) {
    map[s] = (int32_t)(s < p->shape.n_experts ? s : gsl_rng_uniform_int(rng, p->shape.n_experts));
  }
  gsl_ran_shuffle(rng, map, p->shape.n_slots, sizeof *map);
  CHECK_OK(mb_placement_count(&p->shape, map, p->count + l * p->shape.n_experts));
}

static void fill_loads(problem *p, gsl_rng *rng, double mean) {
  size_t n_experts = p->shape.n_experts;

  for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
    for (size_t e = 0; e < n_experts; e++) {
      p->load[row * n_experts + e] = 0;
      double popularity = mean * gsl_ran_lognormal(rng, 0.0, 1.5);
      for (size_t s = 0; s < p->n_sources; s++) {
        uint32_t *own = &p->by_source[(row * p->n_sources + s) * n_experts + e];
        *own = gsl_ran_poisson(rng, popularity / (double)p->n_sources);
        p->load[row * n_experts + e] += *own;
      }
    }
  }
}

static void fill_problem(problem *p, gsl_rng *rng) {
  size_t n_gpus = 1 + gsl_rng_uniform_int(rng, 8);
  size_t per_gpu = 1 + gsl_rng_uniform_int(rng, MAX_SLOTS / n_gpus);
  size_t n_experts = 1 + gsl_rng_uniform_int(rng, n_gpus * per_gpu);
  double mean[] = {0.3, 5.0, 200.0, 2e4};

  p->shape = (mb_shape){N_LAYERS, n_experts, n_gpus * per_gpu, 1, 1, n_gpus};
  p->n_sources = 1 + gsl_rng_uniform_int(rng, MAX_SOURCES);
  for (size_t l = 0; l < N_LAYERS; l++) {
    fill_placement(p, rng, l);
  }
  fill_loads(p, rng, mean[gsl_rng_uniform_int(rng, 4)]);
}

static mb_dispatcher *start(const problem *p, const mb_dispatch_options *options, bool sources) {
  mb_dispatcher *dispatcher = NULL;
  mb_dispatch_origin origin = {sources ? p->n_sources : 0, 2};

  CHECK_OK(mb_dispatcher_create_for(&p->shape, options, &origin, &dispatcher));
  CU_ASSERT_PTR_NOT_NULL_FATAL(dispatcher);
  for (size_t l = 0; l < p->shape.n_layers; l++) {
    mb_dispatch_placement one = {p->map + l * p->shape.n_slots, p->count + l * p->shape.n_experts};
    mb_dispatcher_place(dispatcher, l, &one);
  }
  return dispatcher;
}

static void split(const problem *p, mb_dispatcher *dispatcher, size_t t, size_t l, bool sources,
                  double *slot_load) {
  size_t row = t * p->shape.n_layers + l;
  size_t n_experts = p->shape.n_experts;
  mb_dispatch_load load = {t, p->load + row * n_experts,
                           sources ? p->by_source + row * p->n_sources * n_experts : NULL};

  mb_dispatcher_split(dispatcher, l, &load, slot_load);
}

/* All steps and layers into slot_load [T,L,P]. */
static void split_all(const problem *p, const mb_dispatch_options *options, bool sources,
                      double *slot_load) {
  mb_dispatcher *dispatcher = start(p, options, sources);

  for (size_t t = 0; t < N_STEPS; t++) {
    for (size_t l = 0; l < p->shape.n_layers; l++) {
      split(p, dispatcher, t, l, sources,
            slot_load + (t * p->shape.n_layers + l) * p->shape.n_slots);
    }
  }
  mb_dispatcher_destroy(dispatcher);
}

static double gpu_max(const mb_shape *shape, const double *slot_load) {
  size_t per_gpu = shape->n_slots / shape->n_gpus;
  double most = 0.0;

  for (size_t d = 0; d < shape->n_gpus; d++) {
    double load = 0.0;
    for (size_t i = 0; i < per_gpu; i++) {
      load += slot_load[d * per_gpu + i];
    }
    most = load > most ? load : most;
  }
  return most;
}

static int32_t active_slots(const mb_shape *shape, const double *slot_load, int32_t *most) {
  size_t per_gpu = shape->n_slots / shape->n_gpus;
  int32_t total = 0;

  *most = 0;
  for (size_t d = 0; d < shape->n_gpus; d++) {
    int32_t active = 0;
    for (size_t i = 0; i < per_gpu; i++) {
      active += slot_load[d * per_gpu + i] > 0.0;
    }
    *most = active > *most ? active : *most;
    total += active;
  }
  return total;
}

/* --- conformance --- */

static void check_sums(const problem *p, const mb_dispatch_type *type, const double *slot_load) {
  size_t n_experts = p->shape.n_experts;

  for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
    const int32_t *map = p->map + row % N_LAYERS * p->shape.n_slots;
    const double *slots = slot_load + row * p->shape.n_slots;
    double sum[MAX_SLOTS] = {0};
    bool sound = true;
    for (size_t s = 0; s < p->shape.n_slots; s++) {
      sound = sound && slots[s] >= 0.0 && (!type->whole || slots[s] == floor(slots[s]));
      sum[map[s]] += slots[s];
    }
    for (size_t e = 0; e < n_experts; e++) {
      double load = p->load[row * n_experts + e];
      sound = sound &&
              (type->whole || load == 0.0 ? sum[e] == load : fabs(sum[e] - load) <= 1e-9 * load);
    }
    CU_ASSERT(sound);
    if (!sound) {
      (void)printf("\n    %s: a sum, a sign or a fraction\n", type->name);
    }
  }
}

/* Layers in the other order, and all at once, give the same bytes. */
static void check_order(const problem *p, const mb_dispatch_options *options, bool sources,
                        const double *expected) {
  size_t row = p->shape.n_slots;
  double *found = calloc((size_t)N_STEPS * N_LAYERS * MAX_SLOTS, sizeof *found);
  mb_dispatcher *dispatcher = start(p, options, sources);

  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  for (size_t l = N_LAYERS; l-- > 0;) {
    for (size_t t = 0; t < N_STEPS; t++) {
      split(p, dispatcher, t, l, sources, found + (t * N_LAYERS + l) * row);
    }
  }
  CU_ASSERT_EQUAL(memcmp(found, expected, (size_t)N_STEPS * N_LAYERS * row * sizeof *found), 0);
  mb_dispatcher_destroy(dispatcher);

  dispatcher = start(p, options, sources);
#pragma omp parallel for num_threads(3)
  for (size_t l = 0; l < N_LAYERS; l++) {
    for (size_t t = 0; t < N_STEPS; t++) {
      split(p, dispatcher, t, l, sources, found + (t * N_LAYERS + l) * row);
    }
  }
  CU_ASSERT_EQUAL(memcmp(found, expected, (size_t)N_STEPS * N_LAYERS * row * sizeof *found), 0);
  mb_dispatcher_destroy(dispatcher);
  free(found);
}

/* Every model, with every value of what it heeds that changes its code. */
static void conformance(void) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  problem *p = calloc(1, sizeof *p);
  double *slot_load = calloc((size_t)N_STEPS * N_LAYERS * MAX_SLOTS, sizeof *slot_load);

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(slot_load);
  for (size_t i = 0; i < N_RANDOM; i++) {
    fill_problem(p, rng);
    for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
      mb_dispatch_options options = options_of((*type)->name);
      bool sources = i % 2 == 0;
      options.dispatch_lag = i / 2 % 2 == 0;
      options.dispatch_tile = i / 4 % 2 == 0 ? 1 : 16;
      options.dispatch_block = i / 2 % 2 == 0 ? 1024 : 7;
      (void)snprintf(options.dispatch_hash, sizeof options.dispatch_hash, "%s",
                     i / 4 % 2 == 0 ? "knuth" : "position");
      split_all(p, &options, sources, slot_load);
      check_sums(p, *type, slot_load);
      check_order(p, &options, sources, slot_load);
    }
  }
  free(slot_load);
  free(p);
  gsl_rng_free(rng);
}

/* One replica each: nothing to choose. No load: nothing to give. The largest load that there is. */
static void nothing_to_choose(void) {
  problem *p = calloc(1, sizeof *p);
  double slot_load[(size_t)N_STEPS * N_LAYERS * 4];

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  p->shape = (mb_shape){N_LAYERS, 4, 4, 1, 1, 2};
  p->n_sources = 1;
  for (size_t i = 0; i < (size_t)N_LAYERS * 4; i++) {
    p->map[i] = (int32_t)(3 - i % 4);
    p->count[i] = 1;
    p->load[i] = p->by_source[i] = (uint32_t)(i % 5 * 1000); /* the other steps idle */
  }
  p->load[0] = p->by_source[0] = UINT32_MAX;
  for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
    mb_dispatch_options options = options_of((*type)->name);
    for (size_t i = 0; i < 4; i++) {
      options.dispatch_lag = i % 2 == 0;
      split_all(p, &options, i / 2 == 0, slot_load);
      for (size_t s = 0; s < (size_t)N_STEPS * N_LAYERS * 4; s++) {
        size_t mirrored = s / 4 * 4 + 3 - s % 4;
        CU_ASSERT_EQUAL(slot_load[s], p->load[mirrored]);
      }
    }
  }
  free(p);
}

/* Loads of 2^32 - 1 on experts with replicas end, and add up. */
static void largest_loads(void) {
  problem *p = calloc(1, sizeof *p);
  double slot_load[(size_t)N_STEPS * N_LAYERS * 6];
  int32_t map[] = {0, 1, 0, 1, 0, 2};
  int32_t count[] = {3, 2, 1};

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  p->shape = (mb_shape){N_LAYERS, 3, 6, 1, 1, 3};
  p->n_sources = 1;
  for (size_t l = 0; l < N_LAYERS; l++) {
    memcpy(p->map + l * 6, map, sizeof map);
    memcpy(p->count + l * 3, count, sizeof count);
  }
  for (size_t i = 0; i < (size_t)N_STEPS * N_LAYERS * 3; i++) {
    p->load[i] = p->by_source[i] = UINT32_MAX;
  }
  for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
    mb_dispatch_options options = options_of((*type)->name);
    split_all(p, &options, false, slot_load);
    check_sums(p, *type, slot_load);
    split_all(p, &options, true, slot_load);
    check_sums(p, *type, slot_load);
  }
  free(p);
}

/* --- optima and bounds --- */

/* max over sets of GPUs of the load that only they can take, a GPU of it. */
static double best_load_max(const problem *p, size_t t, size_t l) {
  size_t n_gpus = p->shape.n_gpus;
  size_t per_gpu = p->shape.n_slots / n_gpus;
  unsigned holders[MAX_SLOTS] = {0};
  double best = 0.0;

  for (size_t s = 0; s < p->shape.n_slots; s++) {
    holders[p->map[l * p->shape.n_slots + s]] |= 1u << s / per_gpu;
  }
  for (unsigned set = 1; set < 1u << n_gpus; set++) {
    double load = 0.0;
    for (size_t e = 0; e < p->shape.n_experts; e++) {
      bool inside = (holders[e] & ~set) == 0;
      load += inside ? p->load[(t * N_LAYERS + l) * p->shape.n_experts + e] : 0.0;
    }
    double ratio = load / __builtin_popcount(set);
    best = ratio > best ? ratio : best;
  }
  return best;
}

/* The largest GPU load where an expert's GPUs have equal shares, however many slots. */
static double even_load_max(const problem *p, size_t t, size_t l) {
  size_t per_gpu = p->shape.n_slots / p->shape.n_gpus;
  unsigned holders[MAX_SLOTS] = {0};
  double gpu_load[MAX_SLOTS] = {0};
  double most = 0.0;

  for (size_t s = 0; s < p->shape.n_slots; s++) {
    holders[p->map[l * p->shape.n_slots + s]] |= 1u << s / per_gpu;
  }
  for (size_t e = 0; e < p->shape.n_experts; e++) {
    for (size_t d = 0; d < p->shape.n_gpus; d++) {
      double load = p->load[(t * N_LAYERS + l) * p->shape.n_experts + e];
      gpu_load[d] += (holders[e] >> d & 1) != 0 ? load / __builtin_popcount(holders[e]) : 0.0;
    }
  }
  for (size_t d = 0; d < p->shape.n_gpus; d++) {
    most = gpu_load[d] > most ? gpu_load[d] : most;
  }
  return most;
}

static void lp_is_best(void) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  problem *p = calloc(1, sizeof *p);
  double *slot_load = calloc((size_t)N_STEPS * N_LAYERS * MAX_SLOTS, sizeof *slot_load);

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(slot_load);
  for (size_t i = 0; i < N_RANDOM; i++) {
    fill_problem(p, rng);
    for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
      mb_dispatch_options options = options_of((*type)->name);
      split_all(p, &options, i % 2 == 0, slot_load);
      for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
        double best = best_load_max(p, row / N_LAYERS, row % N_LAYERS);
        double found = gpu_max(&p->shape, slot_load + row * p->shape.n_slots);
        CU_ASSERT(found >= best * (1.0 - 1e-9));
        if (strcmp((*type)->name, "lp") == 0) {
          CU_ASSERT(found <= best * (1.0 + 1e-9));
        }
        if (strcmp((*type)->name, "lp_rounded") == 0) {
          size_t slots_per_gpu = p->shape.n_slots / p->shape.n_gpus;
          CU_ASSERT(found <= best + (double)slots_per_gpu);
        }
        if (strcmp((*type)->name, "waterfill") == 0) { /* no worse than even on these GPUs */
          double even = even_load_max(p, row / N_LAYERS, row % N_LAYERS);
          size_t slots_per_gpu = p->shape.n_slots / p->shape.n_gpus;
          CU_ASSERT(found <= even + (double)slots_per_gpu);
        }
      }
    }
  }
  free(slot_load);
  free(p);
  gsl_rng_free(rng);
}

/* The least that the most active slots of a GPU can be, by max over sets of GPUs as above. */
static int32_t best_active(const problem *p, size_t t, size_t l) {
  problem *ones = malloc(sizeof *ones);

  CU_ASSERT_PTR_NOT_NULL_FATAL(ones);
  *ones = *p;
  for (size_t e = 0; e < p->shape.n_experts; e++) {
    uint32_t *load = &ones->load[(t * N_LAYERS + l) * p->shape.n_experts + e];
    *load = *load > 0;
  }
  double best = best_load_max(ones, t, l);
  free(ones);
  return (int32_t)ceil(best - 1e-9);
}

static void metro_is_fewest(void) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  problem *p = calloc(1, sizeof *p);
  double *slot_load = calloc((size_t)N_STEPS * N_LAYERS * MAX_SLOTS, sizeof *slot_load);
  mb_dispatch_options options = options_of("metro");

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(slot_load);
  for (size_t i = 0; i < N_RANDOM; i++) {
    fill_problem(p, rng);
    split_all(p, &options, false, slot_load);
    for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
      const double *slots = slot_load + row * p->shape.n_slots;
      int32_t most;
      int32_t expected = 0;
      int32_t total = active_slots(&p->shape, slots, &most);
      for (size_t e = 0; e < p->shape.n_experts; e++) {
        expected += p->load[row * p->shape.n_experts + e] > 0;
      }
      CU_ASSERT_EQUAL(total, expected);
      CU_ASSERT_EQUAL(most, best_active(p, row / N_LAYERS, row % N_LAYERS));
    }
  }
  free(slot_load);
  free(p);
  gsl_rng_free(rng);
}

/* --- by hand --- */

/* One layer, one step. */
static void split_one(const mb_dispatch_options *options, const mb_shape *shape, size_t n_sources,
                      const int32_t *map, const uint32_t *load, const uint32_t *by_source,
                      double *slot_load) {
  mb_dispatcher *dispatcher = NULL;
  mb_dispatch_origin origin = {by_source != NULL ? n_sources : 0, 1};
  int32_t count[MAX_SLOTS];
  mb_dispatch_placement placement = {map, count};
  mb_dispatch_load one = {0, load, by_source};

  CHECK_OK(mb_placement_count(shape, map, count));
  CHECK_OK(mb_dispatcher_create_for(shape, options, &origin, &dispatcher));
  mb_dispatcher_place(dispatcher, 0, &placement);
  mb_dispatcher_split(dispatcher, 0, &one, slot_load);
  mb_dispatcher_destroy(dispatcher);
}

static void check_slots(size_t n, const double *found, const double *expected) {
  for (size_t i = 0; i < n; i++) {
    CU_ASSERT_DOUBLE_EQUAL(found[i], expected[i], 1e-9);
  }
}

/* One expert takes all tokens, so that which go to it is no draw. */
static void hash_by_hand(void) {
  mb_shape shape = {1, 1, 3, 1, 1, 3};
  int32_t map[] = {0, 0, 0};
  uint32_t load[] = {10};
  mb_dispatch_options options = options_of("hash");
  double slot_load[3];
  double expected[3] = {0};

  options.dispatch_sources = 2; /* 5 tokens each: indices 0..4 twice */
  for (uint64_t i = 0; i < 5; i++) {
    expected[(i * 2654435769u % 4294967296u) % 3] += 2.0;
  }
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(3, slot_load, expected);

  uint32_t by_source[] = {7, 3};
  memset(expected, 0, sizeof expected);
  for (uint64_t i = 0; i < 10; i++) {
    uint64_t index = i < 7 ? i : i - 7;
    expected[(index * 2654435769u % 4294967296u) % 3] += 1.0;
  }
  split_one(&options, &shape, 2, map, load, by_source, slot_load);
  check_slots(3, slot_load, expected);

  /* By position: 0..6 and 0..2, so 3 + 1, 2 + 1, 2 + 1. */
  (void)strcpy(options.dispatch_hash, "position");
  split_one(&options, &shape, 2, map, load, by_source, slot_load);
  check_slots(3, slot_load, (double[]){4, 3, 3});
}

/* Ranks 0 and 2 have a replica of their own; rank 1 draws one of both. */
static void static_by_hand(void) {
  mb_shape shape = {1, 2, 3, 1, 1, 3};
  int32_t map[] = {0, 1, 0};
  uint32_t load[] = {111, 6};
  uint32_t by_source[] = {100, 1, 10, 2, 1, 3};
  mb_dispatch_options options = options_of("static");
  double slot_load[3];

  split_one(&options, &shape, 3, map, load, by_source, slot_load);
  CU_ASSERT_EQUAL(slot_load[1], 6);
  CU_ASSERT(slot_load[0] == 100 || slot_load[0] == 110);
  CU_ASSERT_EQUAL(slot_load[0] + slot_load[2], 111);
}

/* Six ranks have no replica on their GPU: three draw each of both, and not always the same. */
static void static_is_fair(void) {
  mb_shape shape = {1, 2, 8, 1, 1, 8};
  int32_t map[] = {0, 0, 1, 1, 1, 1, 1, 1};
  uint32_t load[] = {63, 0};
  uint32_t by_source[] = {0, 0, 0, 0, 1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0};
  mb_dispatch_options options = options_of("static");
  double slot_load[8];
  unsigned ever = 0;

  for (int64_t seed = 0; seed < 50; seed++) {
    options.dispatch_seed = seed;
    split_one(&options, &shape, 8, map, load, by_source, slot_load);
    unsigned ranks = (unsigned)slot_load[0];
    CU_ASSERT_EQUAL(__builtin_popcount(ranks), 3);
    CU_ASSERT_EQUAL(slot_load[0] + slot_load[1], 63);
    ever |= ranks;
  }
  CU_ASSERT_EQUAL(ever, 63);
}

/* Blocks of 4 items, one expert, two replicas. Rank 0 has 4 + 3 items: block 0 gives 2 and 2,
   block 1 begins with replica 1 and gives it 2, the other 1. Rank 1 has one item: replica 1, or 0
   where ranks count not. */
static void round_robin_by_hand(void) {
  mb_shape shape = {1, 1, 2, 1, 1, 2};
  int32_t map[] = {0, 0};
  uint32_t load[] = {8};
  uint32_t by_source[] = {7, 1};
  mb_dispatch_options options = options_of("round_robin");
  double slot_load[2];

  options.dispatch_block = 4;
  split_one(&options, &shape, 2, map, load, by_source, slot_load);
  check_slots(2, slot_load, (double[]){3, 5});
  options.dispatch_offset_rank = false;
  split_one(&options, &shape, 2, map, load, by_source, slot_load);
  check_slots(2, slot_load, (double[]){4, 4});
  /* Dealt to two ranks, 4 each: 2 and 2 of each. */
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(2, slot_load, (double[]){4, 4});
  /* And to 8 ranks: all odd, and all to the first. */
  options.dispatch_sources = 8;
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(2, slot_load, (double[]){8, 0});
}

/* Two GPUs of two slots; expert 0 on both. 10 tokens, and the other GPU has 4 already: 7 and 3. In
   tiles of 4 that is one whole tile; of equal remainders the first gets the other one, the second
   the odd 2. Poured, the second tile finds both GPUs at 4, and the odd ones the second lower. */
static void lp_by_hand(void) {
  mb_shape shape = {1, 3, 4, 1, 1, 2};
  int32_t map[] = {0, 1, 0, 2};
  uint32_t load[] = {10, 0, 4};
  mb_dispatch_options options = options_of("lp");
  double slot_load[4];

  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){7, 0, 3, 4});
  options = options_of("lp_rounded");
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){7, 0, 3, 4});
  options.dispatch_tile = 4;
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){8, 0, 2, 4});
  options = options_of("waterfill");
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){7, 0, 3, 4});
  options.dispatch_tile = 4;
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){8, 0, 2, 4});
  options = options_of("metro");
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(4, slot_load, (double[]){10, 0, 0, 4});
}

/* Three GPUs hold expert 0, and the second has a token already: shares 11/3, 8/3 and 11/3. The two
   whole tiles of 4 go to the larger ones, the odd 2 tokens to the second. */
static void remainders_by_hand(void) {
  mb_shape shape = {1, 4, 6, 1, 1, 3};
  int32_t map[] = {0, 1, 2, 0, 3, 0};
  uint32_t load[] = {10, 0, 1, 0};
  mb_dispatch_options options = options_of("lp_rounded");
  double slot_load[6];

  options.dispatch_tile = 4;
  split_one(&options, &shape, 0, map, load, NULL, slot_load);
  check_slots(6, slot_load, (double[]){4, 0, 1, 2, 0, 4});
}

/* Only the replicas of an expert but one have anything but whole tiles. */
static void tiles(void) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  problem *p = calloc(1, sizeof *p);
  double *slot_load = calloc((size_t)N_STEPS * N_LAYERS * MAX_SLOTS, sizeof *slot_load);
  const char *const names[] = {"lp_rounded", "waterfill"};

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(slot_load);
  for (size_t i = 0; i < N_RANDOM; i++) {
    mb_dispatch_options options = options_of(names[i % 2]);
    options.dispatch_tile = 16;
    fill_problem(p, rng);
    split_all(p, &options, false, slot_load);
    for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
      int odd[MAX_SLOTS] = {0};
      for (size_t s = 0; s < p->shape.n_slots; s++) {
        double load = slot_load[row * p->shape.n_slots + s];
        odd[p->map[row % N_LAYERS * p->shape.n_slots + s]] += fmod(load, 16.0) > 0.0;
      }
      for (size_t e = 0; e < p->shape.n_experts; e++) {
        CU_ASSERT(odd[e] <= 1);
      }
    }
  }
  free(slot_load);
  free(p);
  gsl_rng_free(rng);
}

/* Shares of the step before, by hand. Step 0: even. Its loads 10, 0, 4 would have been split 7 and
   3, so 20 tokens are 14 and 6 in step 1. In step 2, whose step before had 20, 0, 0: 10 and 10. */
static void lag_by_hand(void) {
  mb_shape shape = {1, 3, 4, 1, 1, 2};
  int32_t map[] = {0, 1, 0, 2};
  int32_t count[] = {2, 1, 1};
  uint32_t load[][3] = {{10, 0, 4}, {20, 0, 0}, {6, 0, 0}};
  double expected[][4] = {{5, 0, 5, 4}, {14, 0, 6, 0}, {3, 0, 3, 0}};
  mb_dispatch_options options = options_of("lp");
  mb_dispatch_placement placement = {map, count};
  mb_dispatcher *dispatcher = NULL;
  double slot_load[4];

  options.dispatch_lag = 1;
  CHECK_OK(mb_dispatcher_create(&shape, &options, &dispatcher));
  CU_ASSERT_EQUAL(mb_dispatcher_layer_us(dispatcher), 0.0);
  mb_dispatcher_place(dispatcher, 0, &placement);
  for (size_t t = 0; t < 3; t++) {
    mb_dispatcher_split(dispatcher, 0, &(mb_dispatch_load){t, load[t], NULL}, slot_load);
    check_slots(4, slot_load, expected[t]);
  }
  mb_dispatcher_destroy(dispatcher);
}

/* What was best under another placement is not kept: the first step under one is even. Step 1 would
   have 14 and 6 as above, and has them if the same placement is taken in once more. */
static void lag_of_a_placement(void) {
  mb_shape shape = {1, 3, 4, 1, 1, 2};
  int32_t maps[][4] = {{0, 1, 0, 2}, {0, 2, 0, 1}};
  int32_t count[] = {2, 1, 1};
  uint32_t load[][3] = {{10, 0, 4}, {20, 0, 0}};
  mb_dispatch_options options = options_of("lp");
  double slot_load[4];

  options.dispatch_lag = 1;
  for (size_t i = 0; i < 2; i++) {
    mb_dispatcher *dispatcher = NULL;
    CHECK_OK(mb_dispatcher_create(&shape, &options, &dispatcher));
    for (size_t t = 0; t < 2; t++) {
      mb_dispatch_placement placement = {maps[t * i], count};
      mb_dispatcher_place(dispatcher, 0, &placement);
      mb_dispatcher_split(dispatcher, 0, &(mb_dispatch_load){t, load[t], NULL}, slot_load);
    }
    check_slots(4, slot_load, i == 0 ? (double[]){14, 0, 6, 0} : (double[]){10, 0, 10, 0});
    mb_dispatcher_destroy(dispatcher);
  }
}

/* The same with ranks. Step 0's 10 tokens: 2 of rank 0, 8 of rank 1. Of 7 and 3, rank 0 keeps its 2
   on its GPU, rank 1 its 3 there, and sends 5 of its 8 away: in step 1, with 10 of rank 0 and 8 of
   rank 1, that is 10 + 5 and 3. A loads-only share, 7 / 10 of 18, would be 12.6. */
static void lag_by_source(void) {
  mb_shape shape = {1, 3, 4, 1, 1, 2};
  int32_t map[] = {0, 1, 0, 2};
  int32_t count[] = {2, 1, 1};
  uint32_t load[][3] = {{10, 0, 4}, {18, 0, 0}};
  uint32_t by_source[][6] = {{2, 0, 4, 8, 0, 0}, {10, 0, 0, 8, 0, 0}};
  mb_dispatch_options options = options_of("lp");
  mb_dispatch_placement placement = {map, count};
  mb_dispatch_origin origin = {2, 1};
  mb_dispatcher *dispatcher = NULL;
  double slot_load[4];

  options.dispatch_lag = 1;
  CHECK_OK(mb_dispatcher_create_for(&shape, &options, &origin, &dispatcher));
  mb_dispatcher_place(dispatcher, 0, &placement);
  for (size_t t = 0; t < 2; t++) {
    mb_dispatcher_split(dispatcher, 0, &(mb_dispatch_load){t, load[t], by_source[t]}, slot_load);
  }
  check_slots(4, slot_load, (double[]){15, 0, 3, 0});
  mb_dispatcher_destroy(dispatcher);
}

/* --- in a replay --- */

/* The problem's loads as a trace. */
/* GPU 3 is full with expert 4, so that expert 0's best shares are thirds, of the other GPUs; what
   rounding makes of them activates no slot on GPU 3. */
static void lag_activates_nothing(void) {
  enum { RANKS = 5, E = 5, MANY = 2000 };
  mb_shape shape = {1, E, 8, 1, 1, 4};
  int32_t map[] = {0, 1, 0, 2, 0, 3, 0, 4};
  int32_t count[E] = {4, 1, 1, 1, 1};
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  mb_dispatch_options options = options_of("lp");
  mb_dispatch_placement placement = {map, count};
  mb_dispatch_origin origin = {RANKS, 1};
  mb_dispatcher *dispatcher = NULL;
  size_t n_active = 0;

  options.dispatch_lag = 1;
  CHECK_OK(mb_dispatcher_create_for(&shape, &options, &origin, &dispatcher));
  mb_dispatcher_place(dispatcher, 0, &placement);
  for (size_t t = 0; t < MANY; t++) {
    uint32_t by_source[RANKS * E] = {0}, load[E] = {0};
    double slot_load[8];
    for (size_t i = 0; i < (size_t)RANKS * E; i++) {
      by_source[i] = i % E == 4 ? 500 : 1 + (uint32_t)gsl_rng_uniform_int(rng, i % E == 0 ? 99 : 9);
      load[i % E] += by_source[i];
    }
    mb_dispatcher_split(dispatcher, 0, &(mb_dispatch_load){t, load, by_source}, slot_load);
    n_active += t > 0 && slot_load[6] > 0.0;
  }
  CU_ASSERT_EQUAL(n_active, 0);
  mb_dispatcher_destroy(dispatcher);
  gsl_rng_free(rng);
}

static void write_trace(const char *path, const problem *p) {
  int32_t layer_ids[N_LAYERS] = {0, 1, 2};
  mb_trace_info info = {.n_layers = N_LAYERS,
                        .n_experts = p->shape.n_experts,
                        .top_k = 1,
                        .n_groups = 1,
                        .layer_ids = layer_ids,
                        .model = "test",
                        .source = "test",
                        .created_by = "test",
                        .phase = MB_PHASE_DECODE,
                        .padding = "",
                        .counts = "",
                        .source_semantics = "",
                        .n_sources = p->n_sources,
                        .objects = MB_TRACE_LOAD_BY_SOURCE};
  mb_trace_writer *writer = NULL;
  mb_trace_steps steps = {.load = p->load, .load_by_source = p->by_source};

  CHECK_OK(mb_trace_writer_create(path, &info, &writer));
  CHECK_OK(mb_trace_writer_append_steps(writer, N_STEPS, &steps));
  CHECK_OK(mb_trace_writer_finish(writer));
}

static mb_status keep_steps(void *context, size_t strategy, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active_experts) {
  double *kept = context;

  (void)imbalance;
  (void)active_experts;
  memcpy(kept + strategy * N_STEPS + first, step_imbalance, n * sizeof *kept);
  return MB_OK;
}

static mb_status ignore_plan(void *context, const mb_plan_record *record) {
  (void)context;
  (void)record;
  return MB_OK;
}

/* sum over layers of max / of mean, for each step of slot_load [T,L,P]. */
static void fill_expected(const problem *p, const double *slot_load, double *expected) {
  for (size_t t = 0; t < N_STEPS; t++) {
    double most = 0.0;
    double total = 0.0;
    for (size_t l = 0; l < N_LAYERS; l++) {
      const double *slots = slot_load + (t * N_LAYERS + l) * p->shape.n_slots;
      most += gpu_max(&p->shape, slots);
      for (size_t s = 0; s < p->shape.n_slots; s++) {
        total += slots[s];
      }
    }
    expected[t] = most * (double)p->shape.n_gpus / total;
  }
}

/* A linear placement, whose loads by source are read from a file, over several intervals, beside
   one that would go by them a step late. */
static void replay_by_source(void) {
  static const char path[] = "dispatch_by_source.h5";
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  problem *p = calloc(1, sizeof *p);
  mb_lane_options options[2];
  mb_replay_strategy strategies[] = {
      {.label = "static", .role = MB_REPLAY_NONE, .options = &options[0]},
      {.label = "lp", .role = MB_REPLAY_NONE, .options = &options[1]}};
  double slot_load[(size_t)N_STEPS * N_LAYERS * 12], expected[N_STEPS], found[2 * N_STEPS];
  mb_replay_sink sink = {.context = found, .steps = keep_steps, .plan = ignore_plan};
  mb_replay_summary summary[2];
  mb_source *source = NULL;

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  p->shape = (mb_shape){N_LAYERS, 8, 12, 1, 1, 4};
  p->n_sources = 4;
  for (size_t l = 0; l < N_LAYERS; l++) {
    mb_placement_linear(&p->shape, p->map + l * 12);
    CHECK_OK(mb_placement_count(&p->shape, p->map + l * 12, p->count + l * 8));
  }
  fill_loads(p, rng, 30.0);
  write_trace(path, p);
  for (size_t i = 0; i < 2; i++) {
    mb_lane_options_init(&options[i]);
    options[i].dispatch = options_of(strategies[i].label);
    options[i].dispatch.dispatch_lag = 1;
  }
  mb_replay_config config = {
      .shape = p->shape, .interval = 3, .window = 1, .n_strategies = 2, .strategies = strategies};
  CHECK_OK(mb_source_open_trace(path, &source));
  CHECK_OK(mb_replay(&config, source, &sink, summary));
  mb_source_destroy(source);
  for (size_t i = 0; i < 2; i++) {
    split_all(p, &options[i].dispatch, true, slot_load);
    fill_expected(p, slot_load, expected);
    for (size_t t = 0; t < N_STEPS; t++) {
      CU_ASSERT_DOUBLE_EQUAL(found[i * N_STEPS + t], expected[t], 1e-12);
    }
  }

  p->by_source[5]++;
  write_trace(path, p);
  CHECK_OK(mb_source_open_trace(path, &source));
  CHECK_FAILS(mb_replay(&config, source, &sink, summary), MB_ERR_FORMAT,
              "/load_by_source: step 0, layer 0, expert 5: the ranks' loads add up to");
  mb_source_destroy(source);
  (void)remove(path);
  free(p);
  gsl_rng_free(rng);
}

/* --- random numbers --- */

/* Mean and variance over many keys, within 5 standard errors of what they should be. */
static void check_moments(uint64_t (*one)(mb_draw *), double mean, double variance) {
  enum { N = 20000 };
  double sum = 0.0;
  double squares = 0.0;

  for (uint64_t i = 0; i < N; i++) {
    mb_draw draw = mb_draw_start(1, &i);
    double x = (double)one(&draw) - mean;
    sum += x;
    squares += x * x;
  }
  CU_ASSERT(fabs(sum / N) < 5.0 * sqrt(variance / N));
  CU_ASSERT(fabs(squares / N / variance - 1.0) < 0.08);
}

static uint64_t binomial_small(mb_draw *draw) {
  return mb_draw_binomial(draw, 10, 0.3);
}
static uint64_t binomial_large(mb_draw *draw) {
  return mb_draw_binomial(draw, 100000, 0.999);
}
static uint64_t hypergeometric_small(mb_draw *draw) {
  return mb_draw_hypergeometric(draw, 6, 20, 9);
}
static uint64_t hypergeometric_large(mb_draw *draw) {
  return mb_draw_hypergeometric(draw, 300, 100000, 50000);
}

static void moments(void) {
  check_moments(binomial_small, 3.0, 2.1);
  check_moments(binomial_large, 99900.0, 99.9);
  check_moments(hypergeometric_small, 2.7, 9.0 * 0.3 * 0.7 * 11.0 / 19.0);
  check_moments(hypergeometric_large, 150.0, 150.0 * 0.5 * 99700.0 / 99999.0);
}

/* What is drawn differs between steps, layers, experts and seeds, though the loads are the same. */
static void draws_differ(void) {
  problem *p = calloc(1, sizeof *p);
  double slot_load[(size_t)N_STEPS * N_LAYERS * 8], other[(size_t)N_STEPS * N_LAYERS * 8];
  const char *const names[] = {"random", "hash", "static", "round_robin"};

  CU_ASSERT_PTR_NOT_NULL_FATAL(p);
  p->shape = (mb_shape){N_LAYERS, 4, 8, 1, 1, 2};
  p->n_sources = 1;
  for (size_t l = 0; l < N_LAYERS; l++) {
    mb_placement_linear(&p->shape, p->map + l * 8);
    CHECK_OK(mb_placement_count(&p->shape, p->map + l * 8, p->count + l * 4));
  }
  for (size_t i = 0; i < (size_t)N_STEPS * N_LAYERS * 4; i++) {
    p->load[i] = 1000000;
  }
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    mb_dispatch_options options = options_of(names[i]);
    options.dispatch_sources = 2;
    options.dispatch_block = 3;
    split_all(p, &options, false, slot_load);
    options.dispatch_seed++;
    split_all(p, &options, false, other);
    for (size_t row = 0; row < (size_t)N_STEPS * N_LAYERS; row++) {
      /* Of blocks of 3, the odd item of hundreds of thousands leaves no two alike. */
      CU_ASSERT_NOT_EQUAL(memcmp(slot_load + row * 8, other + row * 8, 8 * sizeof(double)), 0);
      CU_ASSERT_NOT_EQUAL(slot_load[row * 8], slot_load[row * 8 + 1]); /* another expert */
      for (size_t before = 0; before < row; before++) {
        CU_ASSERT_NOT_EQUAL(memcmp(slot_load + row * 8, slot_load + before * 8, 8 * sizeof(double)),
                            0);
      }
    }
  }
  free(p);
}

/* Draws leave nothing to chance where there is nothing to choose. */
static void certain_draws(void) {
  mb_draw draw = mb_draw_start(0, NULL);
  uint64_t size[] = {3, 0, 4};
  uint64_t count[3];

  CU_ASSERT_EQUAL(mb_draw_binomial(&draw, 7, 1.0), 7);
  CU_ASSERT_EQUAL(mb_draw_binomial(&draw, 7, 0.0), 0);
  CU_ASSERT_EQUAL(mb_draw_hypergeometric(&draw, 5, 5, 4), 4);
  CU_ASSERT_EQUAL(mb_draw_hypergeometric(&draw, 3, 5, 5), 3);
  mb_draw_cells(&draw, 3, size, 7, count);
  CU_ASSERT(count[0] == 3 && count[1] == 0 && count[2] == 4);
}

int main(void) {
  CU_TestInfo tests[] = {{"every model: sums, signs, whole tokens, any order", conformance},
                         {"one replica each, or no load", nothing_to_choose},
                         {"the largest loads", largest_loads},
                         {"lp is the optimum, and others within their bounds", lp_is_best},
                         {"metro has the fewest active slots", metro_is_fewest},
                         {"hash by hand", hash_by_hand},
                         {"static by hand", static_by_hand},
                         {"static draws fairly", static_is_fair},
                         {"round robin by hand", round_robin_by_hand},
                         {"lp, rounded, waterfill and metro by hand", lp_by_hand},
                         {"the largest remainders by hand", remainders_by_hand},
                         {"tiles", tiles},
                         {"lp of the step before", lag_by_hand},
                         {"lp of the step before, under another placement", lag_of_a_placement},
                         {"lp of the step before, by source", lag_by_source},
                         {"lp of the step before activates nothing else", lag_activates_nothing},
                         {"a replay of loads by source", replay_by_source},
                         {"moments of draws", moments},
                         {"draws differ", draws_differ},
                         {"certain draws", certain_draws},
                         CU_TEST_INFO_NULL};
  return run_suite("dispatch models", tests);
}

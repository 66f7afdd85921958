/* sim/score_bench.c - what scoring a step costs, split evenly (fused and plain) and best:
 * moebal-score-bench. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>

#include "balancer/split.h"
#include "sim/dispatch.h"
#include "sim/lane_options.h"
#include "sim/metrics.h"
#include "sim/score.h"

/* A model of DeepSeek-V3's size on 32 GPUs; some hundred tokens a step, so that experts idle. */
enum { N_LAYERS = 58, N_EXPERTS = 256, N_SLOTS = 288, N_GPUS = 32 };
enum { N_STEPS = 32, N_REPEATS = 401, N_DISPATCH_REPEATS = 21, N_TOKENS = 128 * 8 };

typedef struct bench {
  mb_shape shape;
  uint32_t *load;        /* [T,L,E] */
  int32_t *map;          /* [L,P] */
  int32_t *expert_count; /* [L,E] */
  int32_t *replicated;   /* [L,E] */
  mb_score_layer *layer; /* [L] */
  mb_split **split;      /* [L] */
  double *tokens;        /* [T,L,E] load, as a split takes it */
  mb_layer_score *score; /* [T,L] */
  double *share;         /* [E] */
  double *slot_load;     /* [P] */
  mb_dispatcher *dispatcher;
} bench;

static void *allocate(size_t n, size_t size) {
  void *memory = calloc(n, size);
  if (memory == NULL) {
    (void)fprintf(stderr, "moebal-score-bench: out of memory\n");
    exit(EXIT_FAILURE);
  }
  return memory;
}

/* Skewed loads, and a placement with the popular experts replicated and all slots shuffled. */
static void bench_fill_layer(bench *b, gsl_rng *random, size_t l) {
  unsigned draw[N_EXPERTS];
  double popularity[N_EXPERTS];
  int32_t *map = b->map + l * N_SLOTS;

  for (size_t e = 0; e < N_EXPERTS; e++) {
    popularity[e] = gsl_ran_lognormal(random, 0.0, 1.0);
  }
  for (size_t t = 0; t < N_STEPS; t++) {
    gsl_ran_multinomial(random, N_EXPERTS, N_TOKENS, popularity, draw);
    for (size_t e = 0; e < N_EXPERTS; e++) {
      b->load[(t * N_LAYERS + l) * N_EXPERTS + e] = draw[e];
    }
  }
  for (size_t p = 0; p < N_SLOTS; p++) {
    map[p] = (int32_t)(p < N_EXPERTS ? p : gsl_rng_uniform_int(random, N_EXPERTS));
  }
  gsl_ran_shuffle(random, map, N_SLOTS, sizeof *map);
}

static void bench_init(bench *b) {
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);

  *b = (bench){.shape = {N_LAYERS, N_EXPERTS, N_SLOTS, 1, 1, N_GPUS}};
  b->load = allocate((size_t)N_STEPS * N_LAYERS * N_EXPERTS, sizeof *b->load);
  b->map = allocate((size_t)N_LAYERS * N_SLOTS, sizeof *b->map);
  b->expert_count = allocate((size_t)N_LAYERS * N_EXPERTS, sizeof *b->expert_count);
  b->replicated = allocate((size_t)N_LAYERS * N_EXPERTS, sizeof *b->replicated);
  b->layer = allocate(N_LAYERS, sizeof *b->layer);
  b->score = allocate((size_t)N_STEPS * N_LAYERS, sizeof *b->score);
  b->split = allocate(N_LAYERS, sizeof(mb_split *));
  b->tokens = allocate((size_t)N_STEPS * N_LAYERS * N_EXPERTS, sizeof *b->tokens);
  b->share = allocate(N_EXPERTS, sizeof *b->share);
  b->slot_load = allocate(N_SLOTS, sizeof *b->slot_load);
  for (size_t l = 0; l < N_LAYERS && random != NULL; l++) {
    bench_fill_layer(b, random, l);
    b->layer[l] = (mb_score_layer){.physical_to_logical_map = b->map + l * N_SLOTS,
                                   .expert_count = b->expert_count + l * N_EXPERTS,
                                   .replicated = b->replicated + l * N_EXPERTS};
    if (mb_score_prepare(&b->shape, &b->layer[l]) != MB_OK ||
        mb_split_create(&b->shape, &b->split[l]) != MB_OK ||
        mb_split_prepare(b->split[l], b->layer[l].physical_to_logical_map, NULL) != MB_OK) {
      (void)fprintf(stderr, "moebal-score-bench: %s\n", mb_error_message());
      exit(EXIT_FAILURE);
    }
  }
  gsl_rng_free(random);
  for (size_t i = 0; i < (size_t)N_STEPS * N_LAYERS * N_EXPERTS; i++) {
    b->tokens[i] = (double)b->load[i];
  }
}

static void bench_fini(bench *b) {
  for (size_t l = 0; l < N_LAYERS; l++) {
    mb_split_destroy(b->split[l]);
  }
  free(b->split);
  free(b->tokens);
  free(b->load);
  free(b->map);
  free(b->expert_count);
  free(b->replicated);
  free(b->layer);
  free(b->score);
  free(b->share);
  free(b->slot_load);
}

static void score_fused(bench *b, size_t l, const uint32_t *load, mb_layer_score *score) {
  mb_score_even(&b->shape, &b->layer[l], load, b->share, score);
}

static void score_plain(bench *b, size_t l, const uint32_t *load, mb_layer_score *score) {
  mb_dispatch_even_split(&b->shape, load, b->layer[l].physical_to_logical_map,
                         b->layer[l].expert_count, b->slot_load);
  mb_metrics_layer(&b->shape, b->slot_load, score);
}

static void score_split(bench *b, size_t l, const uint32_t *load, mb_layer_score *score) {
  mb_split_result result;

  if (mb_split_solve(b->split[l], b->tokens + (load - b->load), NULL, b->slot_load, &result) ==
      MB_OK) {
    mb_metrics_layer(&b->shape, b->slot_load, score);
  }
}

static void bench_start(bench *b, const char *dispatch) {
  mb_lane_options options;

  mb_lane_options_init(&options);
  (void)snprintf(options.dispatch.dispatch, sizeof options.dispatch.dispatch, "%s", dispatch);
  if (mb_dispatcher_create(&b->shape, &options.dispatch, &b->dispatcher) != MB_OK) {
    (void)fprintf(stderr, "moebal-score-bench: %s\n", mb_error_message());
    exit(EXIT_FAILURE);
  }
  for (size_t l = 0; l < N_LAYERS; l++) {
    mb_dispatch_placement placement = {b->map + l * N_SLOTS, b->expert_count + l * N_EXPERTS};
    mb_dispatcher_place(b->dispatcher, l, &placement);
  }
}

static void score_dispatched(bench *b, size_t l, const uint32_t *load, mb_layer_score *score) {
  mb_dispatcher_split(b->dispatcher, l, &(mb_dispatch_load){.load = load}, b->slot_load);
  mb_metrics_layer(&b->shape, b->slot_load, score);
}

/* Layers outside, steps inside, as the replay does. Returns microseconds a step. */
static double time_once(bench *b,
                        void (*score)(bench *, size_t, const uint32_t *, mb_layer_score *)) {
  struct timespec start, end;

  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  for (size_t l = 0; l < N_LAYERS; l++) {
    for (size_t t = 0; t < N_STEPS; t++) {
      size_t row = t * N_LAYERS + l;
      score(b, l, b->load + row * N_EXPERTS, &b->score[row]);
    }
  }
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  return ((double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3) /
         N_STEPS;
}

/* Every dispatch model, with scoring. */
static void bench_dispatch(bench *b) {
  double times[N_DISPATCH_REPEATS];

  for (const char *const *name = mb_dispatch_words; *name != NULL; name++) {
    bench_start(b, *name);
    for (size_t i = 0; i < N_DISPATCH_REPEATS; i++) {
      times[i] = time_once(b, score_dispatched);
    }
    mb_dispatcher_destroy(b->dispatcher);
    gsl_sort(times, 1, N_DISPATCH_REPEATS);
    (void)printf("dispatch %-12s best %8.2f  median %8.2f\n", *name, times[0],
                 times[N_DISPATCH_REPEATS / 2]);
  }
}

int main(void) {
  bench b;
  double fused[N_REPEATS], plain[N_REPEATS], split[N_REPEATS];
  mb_layer_score *kept = allocate((size_t)N_STEPS * N_LAYERS, sizeof *kept);

  bench_init(&b);
  for (size_t i = 0; i < N_REPEATS; i++) {
    fused[i] = time_once(&b, score_fused);
    memcpy(kept, b.score, (size_t)N_STEPS * N_LAYERS * sizeof *kept);
    plain[i] = time_once(&b, score_plain);
  }
  int same = memcmp(kept, b.score, (size_t)N_STEPS * N_LAYERS * sizeof *kept) == 0;
  for (size_t i = 0; i < N_REPEATS; i++) {
    split[i] = time_once(&b, score_split);
  }
  gsl_sort(fused, 1, N_REPEATS);
  gsl_sort(plain, 1, N_REPEATS);
  gsl_sort(split, 1, N_REPEATS);
  (void)printf("%d layers, %d experts, %d slots, %d GPUs; microseconds of one core a step\n",
               N_LAYERS, N_EXPERTS, N_SLOTS, N_GPUS);
  (void)printf("fused  best %7.2f  median %7.2f\n", fused[0], fused[N_REPEATS / 2]);
  (void)printf("plain  best %7.2f  median %7.2f\n", plain[0], plain[N_REPEATS / 2]);
  (void)printf("split  best %7.2f  median %7.2f\n", split[0], split[N_REPEATS / 2]);
  (void)printf("split / plain  %.1f\n", split[N_REPEATS / 2] / plain[N_REPEATS / 2]);
  (void)printf("plain / fused  %.2f; scores %s\n", plain[N_REPEATS / 2] / fused[N_REPEATS / 2],
               same ? "equal bit for bit" : "DIFFER");
  bench_dispatch(&b);
  free(kept);
  bench_fini(&b);
  return same ? EXIT_SUCCESS : EXIT_FAILURE;
}

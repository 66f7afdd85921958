/* sim/trace_bench.c - what reading and writing a trace costs, beside scoring it:
 * moebal-trace-bench.
 *
 * Loads of DeepSeek-V3's shape go through chunks of several lengths and levels of deflate, in
 * memory; then through a trace in the folder TMPDIR (or /tmp), by HDF5's own filters and by ours.
 * Every time is the shortest of several, taken in turns; ratios hold on other machines too.
 */
#include <inttypes.h>
#include <libdeflate.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/clock.h"
#include "sim/score.h"
#include "workloads/domains.h"
#include "workloads/shuffle.h"
#include "workloads/source.h"

/* As many steps are made, N_ROUNDS times as many written; a replay reads in such pieces. */
enum { N_STEPS = 464, N_ROUNDS = 4, PIECE = 58, N_SLOTS = 288, N_GPUS = 32, N_REPEATS = 5 };

static void check(bool good, const char *what) {
  if (!good) {
    (void)fprintf(stderr, "moebal-trace-bench: %s\n", what);
    exit(EXIT_FAILURE);
  }
}

static void *allocate(size_t n, size_t size) {
  void *memory = calloc(n, size);

  check(memory != NULL, "out of memory");
  return memory;
}

typedef struct bench {
  mb_generator *generator;
  mb_trace_info info; /* borrowed from it */
  size_t step_size;
  uint32_t *load;  /* [T,L,E] */
  uint32_t *again; /* [T,L,E] as read */
  char path[4096];
} bench;

static double smaller(double a, double b) {
  return a < b ? a : b;
}

/* ---- chunks in memory ---- */

typedef struct chunk_cost {
  double bytes_a_load, pack_us, unpack_us; /* times of a step */
} chunk_cost;

/* Packs and unpacks all whole chunks of so many steps, once. */
static chunk_cost run_chunks(const bench *b, size_t chunk_steps, int level) {
  size_t size = chunk_steps * b->step_size;
  size_t bytes = size * sizeof *b->load;
  struct libdeflate_compressor *deflater = libdeflate_alloc_compressor(level);
  struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
  unsigned char *planes = allocate(bytes, 1);
  unsigned char *packed = allocate(bytes, 1);
  double packing = 0.0;
  double unpacking = 0.0;
  size_t packed_bytes = 0;
  size_t n_steps = N_STEPS / chunk_steps * chunk_steps;

  check(deflater != NULL && inflater != NULL, "out of memory");
  for (size_t t = 0; t < n_steps; t += chunk_steps) {
    double start = mb_clock_seconds();
    mb_shuffle(size, b->load + t * b->step_size, size, 0, planes);
    size_t n = libdeflate_zlib_compress(deflater, planes, bytes, packed, bytes);
    double middle = mb_clock_seconds();
    check(n > 0 && libdeflate_zlib_decompress(inflater, packed, n, planes, bytes, NULL) == 0,
          "a chunk cannot be unpacked");
    mb_unshuffle(size, planes, size, 0, b->again + t * b->step_size);
    unpacking += mb_clock_seconds() - middle;
    packing += middle - start;
    packed_bytes += n;
  }
  check(memcmp(b->load, b->again, n_steps * b->step_size * sizeof *b->load) == 0, "loads differ");
  free(packed);
  free(planes);
  libdeflate_free_decompressor(inflater);
  libdeflate_free_compressor(deflater);
  return (chunk_cost){(double)packed_bytes / (double)(n_steps * b->step_size),
                      1e6 * packing / (double)n_steps, 1e6 * unpacking / (double)n_steps};
}

static void bench_chunks(const bench *b) {
  static const size_t chunk_steps[] = {1, 4, 17, 64};
  static const int levels[] = {1, 2, 4, 6};
  enum { N_SIZES = 4, N_LEVELS = 4 };
  chunk_cost best[N_SIZES][N_LEVELS];

  for (int r = 0; r < N_REPEATS; r++) {
    for (int i = 0; i < N_SIZES; i++) {
      for (int j = 0; j < N_LEVELS; j++) {
        chunk_cost cost = run_chunks(b, chunk_steps[i], levels[j]);
        if (r > 0) {
          cost.pack_us = smaller(cost.pack_us, best[i][j].pack_us);
          cost.unpack_us = smaller(cost.unpack_us, best[i][j].unpack_us);
        }
        best[i][j] = cost;
      }
    }
  }
  (void)printf("Chunks of loads, shuffled and deflated; microseconds of one core a step\n"
               "%12s  %6s  %10s  %8s  %8s\n",
               "steps/chunk", "level", "bytes/load", "pack", "unpack");
  for (int i = 0; i < N_SIZES; i++) {
    for (int j = 0; j < N_LEVELS; j++) {
      (void)printf("%12zu  %6d  %10.3f  %8.1f  %8.1f\n", chunk_steps[i], levels[j],
                   best[i][j].bytes_a_load, best[i][j].pack_us, best[i][j].unpack_us);
    }
  }
}

/* ---- a trace on the disk ---- */

/* The loads several times over, so that what is begun once does not count. */
static void write_trace(bench *b) {
  mb_trace_writer *writer = NULL;

  check(mb_trace_writer_create(b->path, &b->info, &writer) == MB_OK, mb_error_message());
  for (int i = 0; i < N_ROUNDS; i++) {
    check(mb_trace_writer_append(writer, N_STEPS, b->load) == MB_OK, mb_error_message());
  }
  check(mb_trace_writer_finish(writer) == MB_OK, mb_error_message());
}

/* Microseconds a step. */
static double time_writing(bench *b, int n_threads) {
  omp_set_num_threads(n_threads);
  double start = mb_clock_seconds();
  write_trace(b);
  return 1e6 * (mb_clock_seconds() - start) / (N_ROUNDS * N_STEPS);
}

/* In pieces, each compared with what was written. */
static double time_reading(bench *b, int n_threads,
                           mb_status (*read)(mb_trace *trace, size_t first, size_t n,
                                             uint32_t *load)) {
  size_t piece_bytes = PIECE * b->step_size * sizeof *b->load;
  mb_trace *trace = NULL;

  omp_set_num_threads(n_threads);
  check(mb_trace_open(b->path, &trace) == MB_OK, mb_error_message());
  double start = mb_clock_seconds();
  for (size_t t = 0; t < (size_t)N_ROUNDS * N_STEPS; t += PIECE) {
    check(read(trace, t, PIECE, b->again) == MB_OK, mb_error_message());
    check(memcmp(b->load + t % N_STEPS * b->step_size, b->again, piece_bytes) == 0, "loads differ");
  }
  double seconds = mb_clock_seconds() - start;
  mb_trace_destroy(trace);
  return 1e6 * seconds / (N_ROUNDS * N_STEPS);
}

/* A placement that has some experts twice, under which all steps are scored. */
static double time_scoring(const bench *b) {
  mb_shape shape = {b->info.n_layers, b->info.n_experts, N_SLOTS, 1, 1, N_GPUS};
  int32_t *map = allocate(N_SLOTS, sizeof *map);
  int32_t *expert_count = allocate(shape.n_experts, sizeof *expert_count);
  int32_t *replicated = allocate(shape.n_experts, sizeof *replicated);
  double *share = allocate(shape.n_experts, sizeof *share);
  mb_layer_score score;
  mb_score_layer layer = {
      .physical_to_logical_map = map, .expert_count = expert_count, .replicated = replicated};

  for (size_t p = 0; p < N_SLOTS; p++) {
    map[p] = (int32_t)(p * 7 % shape.n_experts);
  }
  check(mb_score_prepare(&shape, &layer) == MB_OK, mb_error_message());
  double start = mb_clock_seconds();
  for (size_t i = 0; i < N_STEPS * shape.n_layers; i++) {
    mb_score_even(&shape, &layer, b->load + i * shape.n_experts, share, &score);
  }
  double seconds = mb_clock_seconds() - start;
  free(share);
  free(replicated);
  free(expert_count);
  free(map);
  return 1e6 * seconds / N_STEPS;
}

static void bench_trace(bench *b, int n_threads) {
  enum { PLAIN, OURS, OURS_ALL, WRITE, WRITE_ALL, SCORE, N_WORKS };
  static const char *const names[N_WORKS] = {
      "read, HDF5's filters", "read, ours, 1 thread", "read, ours, all threads",
      "write, 1 thread",      "write, all threads",   "score 1 strategy, 1 thread"};
  double best[N_WORKS];

  for (int r = 0; r < N_REPEATS; r++) {
    double now[N_WORKS];
    now[WRITE] = time_writing(b, 1);
    now[WRITE_ALL] = time_writing(b, n_threads);
    now[PLAIN] = time_reading(b, 1, mb_trace_read_plainly);
    now[OURS] = time_reading(b, 1, mb_trace_read);
    now[OURS_ALL] = time_reading(b, n_threads, mb_trace_read);
    now[SCORE] = time_scoring(b);
    for (int i = 0; i < N_WORKS; i++) {
      best[i] = r > 0 ? smaller(now[i], best[i]) : now[i];
    }
  }
  (void)printf("\nA trace on the disk, %d threads in all; microseconds a step by the clock\n",
               n_threads);
  for (int i = 0; i < N_WORKS; i++) {
    (void)printf("%-28s  %8.1f  %6.2f x HDF5's reading\n", names[i], best[i],
                 best[i] / best[PLAIN]);
  }
}

/* ---- all of it ---- */

/* As many tokens a step as the command line says. */
static void make_loads(bench *b, const char *tokens) {
  const mb_generator_type *type = mb_generator_find("domains");
  void *params = allocate(1, type->params_size);

  mb_params_init(type->params, params);
  check(mb_params_set(type->params, "tokens", tokens, params) == MB_OK &&
            mb_generator_create(type, params, 1, &b->generator) == MB_OK,
        mb_error_message());
  free(params);
  b->info = *mb_generator_get_info(b->generator);
  b->step_size = b->info.n_layers * b->info.n_experts;
  b->load = allocate(N_STEPS * b->step_size, sizeof *b->load);
  b->again = allocate(N_STEPS * b->step_size, sizeof *b->again);
  check(mb_generator_next(b->generator, N_STEPS, b->load) == MB_OK, mb_error_message());
  const char *folder = getenv("TMPDIR");
  (void)snprintf(b->path, sizeof b->path, "%s/moebal-trace-bench-%ld.h5",
                 folder != NULL ? folder : "/tmp", (long)getpid());
}

/* moebal-trace-bench [TOKENS] */
int main(int argc, char **argv) {
  const char *tokens = argc > 1 ? argv[1] : "4096";
  int n_threads = omp_get_max_threads();
  bench b = {0};

  make_loads(&b, tokens);
  (void)printf("%d steps of %zu layers and %zu experts, %s tokens a step\n\n", N_STEPS,
               b.info.n_layers, b.info.n_experts, tokens);
  bench_chunks(&b);
  bench_trace(&b, n_threads);
  (void)unlink(b.path);
  mb_generator_destroy(b.generator);
  free(b.again);
  free(b.load);
  return EXIT_SUCCESS;
}

/* tests/planted_planner.c - a planner for `use: command` that plans as l2 does, but for one fault:
 *
 *   planted_planner FAULT
 *
 *   faithful     no fault: the very placements of l2
 *   copy-short   replication gives one copy too few; the least loaded expert gets it
 *   early        the window ends one interval early: the loads are those of the request before
 *   hot-pair     two replicas of the hottest expert share a GPU
 *   ties         no fault, but ties are broken the other way: the last of equal experts goes first,
 *                and to the last of equal GPUs
 */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/pack.h"
#include "balancer/rebalance.h"
#include "workloads/npy.h"
#include "workloads/npy_write.h"

enum { LINE_SIZE = 4096 };

typedef struct planner {
  const char *fault;
  mb_shape shape;
  double *load, *last; /* [L,E] of this request, and of the one before */
  bool has_last;
  int64_t *ints;  /* room for an array as it is read */
  int32_t *map;   /* [L,P] */
  int32_t *index; /* [6 P] scratch */
  double *weight; /* [P + G] scratch */
} planner;

static void *allocate(size_t n, size_t size) {
  void *memory = calloc(n, size);

  if (memory == NULL) {
    (void)fputs("no memory\n", stderr);
    exit(EXIT_FAILURE);
  }
  return memory;
}

static void expect(mb_status status) {
  if (status != MB_OK) {
    (void)fprintf(stderr, "%s\n", mb_error_message());
    exit(EXIT_FAILURE);
  }
}

/* --- arrays --- */

static void read_ints(const char *path, size_t n_rows, int64_t *ints) {
  mb_input input;
  mb_array *array = NULL;

  expect(mb_input_open(path, &input));
  expect(mb_npy_open(&input, &array));
  expect(mb_array_read_ints(array, 0, n_rows, ints));
  mb_array_destroy(array);
  mb_input_close(&input);
}

static void write_map(const planner *p, const char *path) {
  const uint64_t dims[] = {p->shape.n_layers, p->shape.n_slots};
  FILE *stream = fopen(path, "wb");

  if (stream == NULL) {
    (void)fprintf(stderr, "%s cannot be written\n", path);
    exit(EXIT_FAILURE);
  }
  mb_npy_write_header(stream, MB_DTYPE_I32, 2, dims);
  mb_npy_write_values(stream, MB_DTYPE_I32, (size_t)(dims[0] * dims[1]), p->map);
  if (fclose(stream) != 0) {
    (void)fprintf(stderr, "%s cannot be written\n", path);
    exit(EXIT_FAILURE);
  }
}

/* --- a faithful plan, and plans that need no more than one --- */

static void rebalance(planner *p, const double *load) {
  mb_placement placement = {.physical_to_logical_map = p->map};

  expect(mb_rebalance(&p->shape, load, mb_refinement_find("l2"), NULL, &placement));
}

/* Turns the GPUs of a layer's placement [P] round; the nodes turn with them. */
static void reverse_gpus(const planner *p, int32_t *map) {
  const size_t n_slots = p->shape.n_slots;
  const size_t per_gpu = n_slots / p->shape.n_gpus;

  memcpy(p->index, map, n_slots * sizeof *map);
  for (size_t slot = 0; slot < n_slots; slot += per_gpu) {
    memcpy(map + n_slots - per_gpu - slot, p->index + slot, per_gpu * sizeof *map);
  }
}

/* Reversing all experts reverses the groups, and the experts in each. */
static void plan_ties(planner *p) {
  const size_t n_experts = p->shape.n_experts;

  for (size_t l = 0; l < p->shape.n_layers; l++) {
    for (size_t e = 0; e < n_experts; e++) {
      p->last[l * n_experts + e] = p->load[l * n_experts + n_experts - 1 - e];
    }
  }
  rebalance(p, p->last);
  for (size_t i = 0; i < p->shape.n_layers * p->shape.n_slots; i++) {
    p->map[i] = (int32_t)n_experts - 1 - p->map[i];
  }
  for (size_t l = 0; l < p->shape.n_layers; l++) {
    reverse_gpus(p, p->map + l * p->shape.n_slots);
  }
}

/* There is nothing before the first request: the placement stays as it is. */
static void plan_early(planner *p, const char *current) {
  if (p->has_last) {
    rebalance(p, p->last);
  } else {
    read_ints(current, p->shape.n_layers, p->ints);
    for (size_t i = 0; i < p->shape.n_layers * p->shape.n_slots; i++) {
      p->map[i] = (int32_t)p->ints[i];
    }
  }
  memcpy(p->last, p->load, p->shape.n_layers * p->shape.n_experts * sizeof *p->load);
  p->has_last = true;
}

/* --- the hot pair --- */

/* The slot of an expert at or after `from`, or P. */
static size_t find_slot(const planner *p, const int32_t *map, size_t from, size_t expert) {
  size_t slot = from;

  while (slot < p->shape.n_slots && (size_t)map[slot] != expert) {
    slot++;
  }
  return slot;
}

/* The hottest expert's second replica changes places with the heaviest other item of its first's
   GPU: packs are in descending order. Nothing is done to an expert with a single replica. */
static void pair_hottest(const planner *p, const double *load, int32_t *map) {
  const size_t per_gpu = p->shape.n_slots / p->shape.n_gpus;
  size_t hottest = 0;

  assert(per_gpu > 0);

  for (size_t e = 1; e < p->shape.n_experts; e++) {
    hottest = load[e] > load[hottest] ? e : hottest;
  }
  size_t first = find_slot(p, map, 0, hottest);
  size_t second = find_slot(p, map, first / per_gpu * per_gpu + per_gpu, hottest);
  size_t other = first / per_gpu * per_gpu;
  while ((size_t)map[other] == hottest) {
    other++;
  }
  if (second < p->shape.n_slots && other / per_gpu == first / per_gpu) {
    int32_t moved = map[other];
    map[other] = map[second];
    map[second] = moved;
  }
}

/* --- one copy short --- */

/* The sizes of a node; in global mode all is one node, and one group. */
typedef struct node_sizes {
  size_t n_groups, n_nodes, group_size, n_experts, n_slots, n_gpus;
} node_sizes;

static node_sizes sizes_of(const mb_shape *shape) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  size_t n_groups = hierarchical ? shape->n_groups : 1;
  size_t n_nodes = hierarchical ? shape->n_nodes : 1;

  return (node_sizes){.n_groups = n_groups,
                      .n_nodes = n_nodes,
                      .group_size = shape->n_experts / n_groups,
                      .n_experts = shape->n_experts / n_nodes,
                      .n_slots = shape->n_slots / n_nodes,
                      .n_gpus = shape->n_gpus / n_nodes};
}

/* As the reference replicates, but the last copy goes astray. item [slots] is a place in the list.
 */
static void replicate_short(const node_sizes *s, const double *load, const int32_t *list,
                            int32_t *count, int32_t *item) {
  for (size_t slot = 0; slot < s->n_slots; slot++) {
    size_t best = slot;
    if (slot >= s->n_experts) {
      bool astray = slot + 1 == s->n_slots;
      best = 0;
      for (size_t x = 1; x < s->n_experts; x++) {
        double mine = load[list[x]] / count[x];
        double its = load[list[best]] / count[best];
        best = (astray ? mine < its : mine > its) ? x : best;
      }
    } else {
      count[slot] = 0;
    }
    item[slot] = (int32_t)best;
    count[best]++;
  }
}

static void place_node(planner *p, const node_sizes *s, const double *load, const int32_t *list,
                       int32_t *map) {
  const size_t per_gpu = s->n_slots / s->n_gpus;
  int32_t *count = p->index + 3 * p->shape.n_slots;
  int32_t *item = count + p->shape.n_slots;
  int32_t *gpu = item + p->shape.n_slots;
  int32_t *rank = p->index + 2 * p->shape.n_slots;

  replicate_short(s, load, list, count, item);
  for (size_t i = 0; i < s->n_slots; i++) {
    p->weight[i] = load[list[item[i]]] / count[item[i]];
  }
  expect(mb_pack(s->n_slots, s->n_gpus, p->weight, mb_refinement_find("l2"), NULL, gpu, rank, NULL,
                 NULL));
  for (size_t i = 0; i < s->n_slots; i++) {
    map[(size_t)gpu[i] * per_gpu + (size_t)rank[i]] = list[item[i]];
  }
}

static void place_layer_short(planner *p, const double *load, int32_t *map) {
  const node_sizes s = sizes_of(&p->shape);
  double *group_load = p->weight + p->shape.n_slots;
  int32_t *list = p->index;                /* [E] all nodes' lists */
  int32_t *node = list + p->shape.n_slots; /* [G] */
  int32_t *rank = node + p->shape.n_slots; /* [G] */

  assert(s.group_size > 0);
  for (size_t g = 0; g < s.n_groups; g++) {
    group_load[g] = 0;
    for (size_t e = g * s.group_size; e < (g + 1) * s.group_size; e++) {
      group_load[g] += load[e];
    }
  }
  expect(mb_pack(s.n_groups, s.n_nodes, group_load, mb_refinement_find("l2"), NULL, node, rank,
                 NULL, NULL));
  for (size_t e = 0; e < p->shape.n_experts; e++) {
    size_t g = e / s.group_size;
    list[(size_t)node[g] * s.n_experts + (size_t)rank[g] * s.group_size + e % s.group_size] =
        (int32_t)e;
  }
  for (size_t n = 0; n < s.n_nodes; n++) {
    place_node(p, &s, load, list + n * s.n_experts, map + n * s.n_slots);
  }
}

/* --- the protocol --- */

static void plan(planner *p, const char *loads, const char *current, const char *out) {
  const mb_shape *shape = &p->shape;

  read_ints(loads, 1, p->ints);
  for (size_t i = 0; i < shape->n_layers * shape->n_experts; i++) {
    p->load[i] = (double)p->ints[i];
  }
  if (strcmp(p->fault, "early") == 0) {
    plan_early(p, current);
  } else if (strcmp(p->fault, "ties") == 0) {
    plan_ties(p);
  } else {
    rebalance(p, p->load);
  }
  for (size_t l = 0; l < shape->n_layers; l++) {
    const double *load = p->load + l * shape->n_experts;
    int32_t *map = p->map + l * shape->n_slots;
    if (strcmp(p->fault, "hot-pair") == 0) {
      pair_hottest(p, load, map);
    } else if (strcmp(p->fault, "copy-short") == 0) {
      place_layer_short(p, load, map);
    }
  }
  write_map(p, out);
}

static void planner_init(planner *p) {
  const mb_shape *shape = &p->shape;
  size_t n_loads = shape->n_layers * shape->n_experts;
  size_t n_slots = shape->n_layers * shape->n_slots;

  expect(mb_shape_check(shape));
  p->load = allocate(n_loads, sizeof *p->load);
  p->last = allocate(n_loads, sizeof *p->last);
  p->ints = allocate(n_slots, sizeof *p->ints); /* P >= E */
  p->map = allocate(n_slots, sizeof *p->map);
  p->index = allocate(6 * shape->n_slots, sizeof *p->index);
  p->weight = allocate(shape->n_slots + shape->n_groups, sizeof *p->weight);
}

static void planner_fini(planner *p) {
  free(p->load);
  free(p->last);
  free(p->ints);
  free(p->map);
  free(p->index);
  free(p->weight);
}

static void answer(const char *word) {
  (void)puts(word);
  (void)fflush(stdout);
}

static int serve(planner *p) {
  char line[LINE_SIZE];
  char loads[LINE_SIZE];
  char current[LINE_SIZE];
  char out[LINE_SIZE];

  answer("ready");
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "plan %*u %4095s %4095s %4095s", loads, current, out) != 3) {
      (void)fputs("no request\n", stderr);
      return EXIT_FAILURE;
    }
    plan(p, loads, current, out);
    answer("done");
  }
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  static planner p;
  char line[LINE_SIZE];

  p.fault = argc == 2 ? argv[1] : "";
  if (argc != 2 || strstr(" faithful copy-short early hot-pair ties ", p.fault) == NULL) {
    (void)fputs("usage: planted_planner faithful|copy-short|early|hot-pair|ties\n", stderr);
    return 2;
  }
  if (fgets(line, sizeof line, stdin) == NULL ||
      sscanf(line,
             "moebal-planner 1 layers=%zu experts=%zu slots=%zu groups=%zu nodes=%zu gpus=%zu",
             &p.shape.n_layers, &p.shape.n_experts, &p.shape.n_slots, &p.shape.n_groups,
             &p.shape.n_nodes, &p.shape.n_gpus) != 6) {
    (void)fputs("no greeting\n", stderr);
    return EXIT_FAILURE;
  }
  planner_init(&p);
  int status = serve(&p);
  planner_fini(&p);
  return status;
}

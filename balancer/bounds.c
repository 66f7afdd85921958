/* balancer/bounds.c */
#include "balancer/bounds.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/nodes.h"

enum {
  ON_STACK = 512, /* numbers that need no allocation */
  TERMS = 256     /* of a bound of packing, so that large packs don't take their square */
};

static double larger(double a, double b) {
  return a > b ? a : b;
}

static double sum_of(size_t n, const double *value) {
  double sum = 0;

  for (size_t i = 0; i < n; i++) {
    sum += value[i];
  }
  return sum;
}

static double largest_of(size_t n, const double *value) {
  double largest = 0;

  for (size_t i = 0; i < n; i++) {
    largest = larger(largest, value[i]);
  }
  return largest;
}

/* n numbers: the caller's [ON_STACK] where they fit, else allocated; NULL: no memory. */
static double *numbers(size_t n, double *on_stack) {
  return n <= ON_STACK ? on_stack : malloc(n * sizeof(double));
}

static void numbers_free(double *number, const double *on_stack) {
  if (number != on_stack) {
    free(number);
  }
}

/* Descending. Shell's sort with steps of about 4/9 (Tokuda): short, in place, and never far from
   the best for the few hundred numbers there are. */
static void sort(size_t n, double *value) {
  for (size_t step = n; step > 1;) {
    step = step < 3 ? 1 : step * 4 / 9;
    for (size_t i = step; i < n; i++) {
      double x = value[i];
      size_t at = i;
      for (; at >= step && value[at - step] < x; at -= step) {
        value[at] = value[at - step];
      }
      value[at] = x;
    }
  }
}

/* The j+1 smallest among the j m + 1 largest stand at j (m - 1) .. j m of the sorted order. */
static double cardinality_of_sorted(size_t n, size_t m, const double *weight) {
  size_t k = n / m;
  double bound = sum_of(n, weight) / (double)m;

  for (size_t j = 0; j < k && j < TERMS; j++) {
    double sum = sum_of(j + 1, weight + j * (m - 1)) + sum_of(k - j - 1, weight + n - (k - j - 1));
    bound = larger(bound, sum);
  }
  return bound;
}

/* @param scratch [n], or NULL: without sorting, the weaker bound. */
static double cardinality(size_t n, size_t m, const double *weight, double *scratch) {
  if (scratch == NULL) {
    return larger(sum_of(n, weight) / (double)m, largest_of(n, weight));
  }
  memcpy(scratch, weight, n * sizeof *scratch);
  sort(n, scratch);
  return cardinality_of_sorted(n, m, scratch);
}

double mb_bound_cardinality(size_t n_items, size_t n_packs, const double *weight) {
  double on_stack[ON_STACK];
  double *scratch = numbers(n_items, on_stack);

  assert(n_packs > 0 && n_items > 0 && n_items % n_packs == 0);
  double bound = cardinality(n_items, n_packs, weight, scratch);
  numbers_free(scratch, on_stack);
  return bound;
}

/* The least number of replicas with load / number <= v, by the quotients that doubles have: the
   search below ends on one of them. */
static double replicas_for(double load, double v) {
  if (load <= v) {
    return 1;
  }
  double count = ceil(load / v);
  while (count > 1 && load / (count - 1) <= v) {
    count--;
  }
  while (load / count > v) {
    count++;
  }
  return count;
}

/* What each group needs for a largest replica of v. Returns the next larger v at which a need
   falls; INFINITY where none can.  @param need [G] */
static double needs_for(const mb_nodes *nodes, const double *load, double v, double *need) {
  double next = INFINITY;

  for (size_t g = 0; g < nodes->n_groups; g++) {
    double sum = 0;
    for (size_t e = g * nodes->group_size; e < (g + 1) * nodes->group_size; e++) {
      double count = replicas_for(load[e], v);
      sum += count;
      if (count > 1) {
        double at = load[e] / (count - 1);
        next = at < next ? at : next;
      }
    }
    need[g] = sum;
  }
  return next;
}

/* The least largest replica >= v, by the needs of whole nodes. Below `low` nothing fits, at `high`
   all does; both close in by halves, and low steps from need to need, so that the last step is an
   exact one.  @param need, scratch [G] */
static double least_replica(const mb_nodes *nodes, const double *load, double v, double *need,
                            double *scratch) {
  double high = larger(v, largest_of(nodes->n_experts, load));

  for (;;) {
    double next = needs_for(nodes, load, v, need);
    if (cardinality(nodes->n_groups, nodes->n_nodes, need, scratch) <= (double)nodes->node_slots) {
      return v;
    }
    v = next;
    double middle = v + (high - v) / 2;
    if (middle > v) {
      (void)needs_for(nodes, load, middle, need);
      bool fits =
          cardinality(nodes->n_groups, nodes->n_nodes, need, scratch) <= (double)nodes->node_slots;
      high = fits ? middle : high;
      v = fits ? v : middle;
    }
  }
}

double mb_bound_replication(const mb_shape *shape, const double *load) {
  mb_shape one = *shape;
  double mean = sum_of(shape->n_experts, load) / (double)shape->n_gpus;
  double need;
  double scratch;

  one.n_groups = 1;
  one.n_nodes = 1;
  mb_nodes nodes = mb_nodes_of(&one);
  return mean > 0 ? least_replica(&nodes, load, mean, &need, &scratch) : 0;
}

double mb_bound_hierarchy(const mb_shape *shape, const double *load) {
  double on_stack[2][ON_STACK];
  double bound = mb_bound_replication(shape, load);

  if (shape->n_nodes == 1 || !mb_shape_is_hierarchical(shape) || !(bound > 0)) {
    return bound;
  }
  mb_nodes nodes = mb_nodes_of(shape);
  double *group = numbers(nodes.n_groups, on_stack[0]);
  double *scratch = numbers(nodes.n_groups, on_stack[1]);
  if (group != NULL) {
    mb_nodes_group_load(&nodes, load, group);
    double node = cardinality(nodes.n_groups, nodes.n_nodes, group, scratch);
    bound = larger(bound, node / (double)nodes.node_gpus);
    bound = least_replica(&nodes, load, bound, group, scratch);
  }
  numbers_free(group, on_stack[0]);
  numbers_free(scratch, on_stack[1]);
  return bound;
}

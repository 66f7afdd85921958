/* balancer/split_flow.c */
#include "balancer/split_flow.h"

static bool is_above(const mb_split_flow *f, int32_t gpu) {
  return f->load[gpu] - f->cap[gpu] > f->slack[gpu];
}

static bool is_below(const mb_split_flow *f, int32_t gpu) {
  return f->load[gpu] < f->cap[gpu];
}

/* All GPUs above their caps are where ways begin. */
static void find_levels_start(mb_split_flow *f) {
  f->n_starts = 0;
  for (size_t i = 0; i < f->n_shared; i++) {
    f->shared_level[i] = -1;
    f->shared_next[i] = f->shared_first[i];
  }
  for (size_t g = 0; g < f->n_gpus; g++) {
    bool above = is_above(f, (int32_t)g);
    f->gpu_level[g] = above ? 0 : -1;
    f->gpu_next[g] = f->gpu_first[g];
    if (above) {
      f->queue[f->n_starts++] = (int32_t)g;
    }
  }
}

/* Levels by breadth; behind the first level that has room, none are wanted. Returns whether a GPU
 * with room was found. */
static bool find_levels(mb_split_flow *f) {
  int32_t last = INT32_MAX;

  find_levels_start(f);
  size_t n = f->n_starts;
  for (size_t i = 0; i < n && f->gpu_level[f->queue[i]] < last; i++) {
    int32_t g = f->queue[i];
    for (int32_t j = f->gpu_first[g]; j < f->gpu_first[g + 1]; j++) {
      int32_t s = f->arc_shared[f->gpu_arc[j]];
      if (f->shared_level[s] >= 0 || !(f->flow[f->gpu_arc[j]] > 0)) {
        continue;
      }
      f->shared_level[s] = f->gpu_level[g];
      for (int32_t a = f->shared_first[s]; a < f->shared_first[s + 1]; a++) {
        int32_t h = f->arc_gpu[a];
        if (f->gpu_level[h] < 0) {
          f->gpu_level[h] = f->gpu_level[g] + 1;
          f->queue[n++] = h;
          last = is_below(f, h) ? f->gpu_level[h] : last;
        }
      }
    }
  }
  return last != INT32_MAX;
}

/* The next arc, of the expert, to a GPU one level further; -1: none. */
static int32_t arc_in(mb_split_flow *f, int32_t s) {
  for (; f->shared_next[s] < f->shared_first[s + 1]; f->shared_next[s]++) {
    int32_t a = f->shared_next[s];
    if (f->gpu_level[f->arc_gpu[a]] == f->shared_level[s] + 1) {
      return a;
    }
  }
  return -1;
}

/* One step on from GPU g: writes the arc out of it and the arc into the next. */
static bool step_on(mb_split_flow *f, int32_t g, int32_t *step) {
  for (; f->gpu_next[g] < f->gpu_first[g + 1]; f->gpu_next[g]++) {
    int32_t a = f->gpu_arc[f->gpu_next[g]];
    int32_t s = f->arc_shared[a];
    if (f->flow[a] > 0 && f->shared_level[s] == f->gpu_level[g]) {
      step[0] = a;
      step[1] = arc_in(f, s);
      if (step[1] >= 0) {
        return true;
      }
    }
  }
  return false;
}

/* A way of the current levels from `start` to a GPU with room. Returns its arcs; 0: none. */
static size_t find_way(mb_split_flow *f, int32_t start) {
  size_t n = 0;
  int32_t g = start;

  while (n == 0 || !is_below(f, g)) {
    if (step_on(f, g, f->way + n)) {
      g = f->arc_gpu[f->way[n + 1]];
      n += 2;
    } else if (n == 0) {
      return 0;
    } else {
      f->gpu_level[g] = -2; /* a dead end, as all that asks for its level will see */
      n -= 2;
      g = f->arc_gpu[f->way[n]];
    }
  }
  return n;
}

/* Moves what fits along the way, whose n arcs lead from `start`. */
static void push_along(mb_split_flow *f, int32_t start, size_t n) {
  int32_t end = f->arc_gpu[f->way[n - 1]];
  double excess = f->load[start] - f->cap[start];
  double room = f->cap[end] - f->load[end];
  double moved = excess < room ? excess : room;

  for (size_t i = 0; i < n; i += 2) {
    moved = f->flow[f->way[i]] < moved ? f->flow[f->way[i]] : moved;
  }
  for (size_t i = 0; i < n; i += 2) {
    f->flow[f->way[i]] -= moved;
    f->flow[f->way[i + 1]] += moved;
  }
  /* What is used up has to be so exactly. */
  f->load[start] = moved < excess ? f->load[start] - moved : f->cap[start];
  f->load[end] = moved < room ? f->load[end] + moved : f->cap[end];
}

/* All ways of the current levels. */
static void push_level(mb_split_flow *f) {
  for (size_t i = 0; i < f->n_starts; i++) {
    int32_t start = f->queue[i];
    size_t n = 1;
    while (is_above(f, start) && (n = find_way(f, start)) > 0) {
      push_along(f, start, n);
    }
  }
}

bool mb_split_flow_push(mb_split_flow *flow) {
  while (find_levels(flow)) {
    push_level(flow);
  }
  for (size_t g = 0; g < flow->n_gpus; g++) {
    if (is_above(flow, (int32_t)g)) {
      return false;
    }
  }
  return true;
}

/* balancer/post_pass.c */
#include "balancer/post_pass.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/assign.h"
#include "balancer/keep_slots.h"

const char *const mb_assign_words[] = {"none", "gpus", NULL};

/* What one thread needs. */
typedef struct scratch {
  mb_assign assign;
  int32_t *kept; /* [E + P/D] */
} scratch;

struct mb_post_pass {
  mb_shape shape;
  bool assigns, keeps_slots;
  size_t n_threads;
  scratch *scratch; /* [n_threads] */
};

static bool scratch_init(const mb_post_pass *p, scratch *s) {
  size_t n_kept = p->shape.n_experts + p->shape.n_slots / p->shape.n_gpus;

  s->kept = calloc(n_kept, sizeof *s->kept);
  return s->kept != NULL && (!p->assigns || mb_assign_init(&s->assign, &p->shape));
}

mb_status mb_post_pass_create(const mb_shape *shape, const mb_post_pass_options *options,
                              mb_post_pass **post_pass) {
  bool assigns = strcmp(options->assign, "none") != 0;
  size_t n_threads = (size_t)omp_get_max_threads();

  if (!assigns && !options->keep_slots) {
    *post_pass = NULL;
    return MB_OK;
  }
  mb_post_pass *made = calloc(1, sizeof *made);
  bool complete = made != NULL;
  if (complete) {
    made->shape = *shape;
    made->assigns = assigns;
    made->keeps_slots = options->keep_slots;
    made->n_threads = n_threads < shape->n_layers ? n_threads : shape->n_layers;
    made->scratch = calloc(made->n_threads, sizeof *made->scratch);
    complete = made->scratch != NULL;
  }
  for (size_t i = 0; complete && i < made->n_threads; i++) {
    complete = scratch_init(made, &made->scratch[i]);
  }
  if (!complete) {
    mb_post_pass_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to assign %zu GPUs of %zu slots", shape->n_gpus,
                   shape->n_slots);
  }
  *post_pass = made;
  return MB_OK;
}

void mb_post_pass_destroy(mb_post_pass *post_pass) {
  if (post_pass == NULL) {
    return;
  }
  for (size_t i = 0; post_pass->scratch != NULL && i < post_pass->n_threads; i++) {
    mb_assign_fini(&post_pass->scratch[i].assign);
    free(post_pass->scratch[i].kept);
  }
  free(post_pass->scratch);
  free(post_pass);
}

static void run_layer(const mb_post_pass *p, scratch *s, const int32_t *before, int32_t *after) {
  if (p->assigns) {
    mb_assign_layer(&s->assign, &p->shape, before, after);
  }
  if (p->keeps_slots) {
    mb_keep_slots(&p->shape, before, after, s->kept);
  }
}

void mb_post_pass_run(mb_post_pass *post_pass, const int32_t *before, const bool *replaced,
                      int32_t *after) {
  size_t n_slots = post_pass->shape.n_slots;

#pragma omp parallel for schedule(dynamic) num_threads((int)post_pass->n_threads)
  for (size_t l = 0; l < post_pass->shape.n_layers; l++) {
    if (replaced[l]) {
      run_layer(post_pass, &post_pass->scratch[omp_get_thread_num()], before + l * n_slots,
                after + l * n_slots);
    }
  }
}

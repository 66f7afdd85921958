/* tests/test_split_glpk.c - splits against the linear program, solved by GLPK. */
#include <math.h>

#include "balancer/split.h"
#include "tests/split_instance.h"
#include "tests/test.h"

#ifndef MB_TEST_GLPK

int main(void) {
  (void)printf("skipped: built without GLPK (Debian's libglpk-dev)\n");
  return MB_TEST_SKIPPED;
}

#else

#include <glpk.h>

enum { N_INSTANCES = 10000, SEED = 20260 };

static double sum_of(size_t n, const double *value) {
  double sum = 0;

  for (size_t i = 0; i < n; i++) {
    sum += value[i];
  }
  return sum;
}

/* Rows: a GPU's tokens - speed M <= -base; an expert's slots = its load. Columns: slots, then M. */
static void add_rows(glp_prob *lp, const split_instance *s, double scale) {
  int n_gpus = (int)s->shape.n_gpus;

  glp_add_rows(lp, n_gpus + (int)s->shape.n_experts);
  for (int g = 0; g < n_gpus; g++) {
    glp_set_row_bnds(lp, g + 1, GLP_UP, 0, s->has_base ? -s->base[g] / scale : 0);
  }
  for (int e = 0; e < (int)s->shape.n_experts; e++) {
    glp_set_row_bnds(lp, n_gpus + e + 1, GLP_FX, s->load[e] / scale, s->load[e] / scale);
  }
}

static void add_columns(glp_prob *lp, const split_instance *s) {
  int n_gpus = (int)s->shape.n_gpus;
  int n_slots = (int)s->shape.n_slots;
  int row[SPLIT_MAX_GPUS + 1];
  double value[SPLIT_MAX_GPUS + 1];

  glp_add_cols(lp, n_slots + 1);
  for (int p = 0; p < n_slots; p++) {
    row[1] = p / (n_slots / n_gpus) + 1;
    row[2] = n_gpus + s->map[p] + 1;
    value[1] = value[2] = 1;
    glp_set_col_bnds(lp, p + 1, GLP_LO, 0, 0);
    glp_set_mat_col(lp, p + 1, 2, row, value);
  }
  for (int g = 0; g < n_gpus; g++) {
    row[g + 1] = g + 1;
    value[g + 1] = s->has_speed ? -s->speed[g] : -1;
  }
  glp_set_col_bnds(lp, n_slots + 1, GLP_FR, 0, 0);
  glp_set_mat_col(lp, n_slots + 1, n_gpus, row, value);
  glp_set_obj_coef(lp, n_slots + 1, 1);
}

/* Loads are scaled to a mean of 1, since GLPK's tolerances are absolute. */
static double optimum(const split_instance *s) {
  double total =
      sum_of(s->shape.n_experts, s->load) + (s->has_base ? sum_of(s->shape.n_gpus, s->base) : 0);
  double scale = total > 0 ? total / (double)s->shape.n_gpus : 1;
  glp_prob *lp = glp_create_prob();
  glp_smcp options;

  glp_init_smcp(&options);
  options.msg_lev = GLP_MSG_OFF;
  options.tol_bnd = options.tol_dj = 1e-12;
  add_rows(lp, s, scale);
  add_columns(lp, s);
  CU_ASSERT_EQUAL(glp_simplex(lp, &options), 0);
  CU_ASSERT_EQUAL(glp_get_status(lp), GLP_OPT);
  double found = glp_get_obj_val(lp) * scale;
  glp_delete_prob(lp);
  return found;
}

static void optima(void) {
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double slot_load[SPLIT_MAX_SLOTS];
  double worst = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < N_INSTANCES; i++) {
    split_instance s;
    mb_split *split = NULL;
    mb_split_result result = {0};
    split_random(random, &s);
    CHECK_OK(mb_split_create(&s.shape, &split));
    CU_ASSERT_PTR_NOT_NULL_FATAL(split);
    CHECK_OK(mb_split_prepare(split, s.map, s.has_speed ? s.speed : NULL));
    CHECK_OK(mb_split_solve(split, s.load, s.has_base ? s.base : NULL, slot_load, &result));
    double expected = optimum(&s);
    double error = fabs(result.load_max - expected) / (expected > 0 ? expected : 1);
    worst = error > worst ? error : worst;
    if (error > 1e-9) {
      (void)printf("\n    instance %d of seed %d: %.17g, GLPK says %.17g\n", i, SEED,
                   result.load_max, expected);
    }
    CU_ASSERT(error <= 1e-9);
    mb_split_destroy(split);
  }
  gsl_rng_free(random);
  (void)printf("\n    %d instances of seed %d; largest relative difference %.1e\n    ", N_INSTANCES,
               SEED, worst);
}

int main(void) {
  CU_TestInfo tests[] = {{"random instances have the LP's optimum", optima}, CU_TEST_INFO_NULL};
  return run_suite("split_glpk", tests);
}

#endif

/* tests/exact_glpk.c */
#include "tests/exact_glpk.h"

#include <glpk.h>
#include <stdlib.h>
#include <string.h>

/* The program in the making: minimise column 1, M; entries of the matrix one by one, from 1. */
typedef struct program {
  glp_prob *lp;
  int n_entries;
  int *row, *column;
  double *value;
} program;

static void program_init(program *p, size_t n_rows, size_t max_entries) {
  p->lp = glp_create_prob();
  p->n_entries = 0;
  p->row = calloc(max_entries + 1, sizeof *p->row);
  p->column = calloc(max_entries + 1, sizeof *p->column);
  p->value = calloc(max_entries + 1, sizeof *p->value);
  if (p->row == NULL || p->column == NULL || p->value == NULL) {
    abort();
  }
  glp_add_rows(p->lp, (int)n_rows);
  glp_add_cols(p->lp, 1);
  glp_set_col_bnds(p->lp, 1, GLP_LO, 0, 0);
  glp_set_obj_coef(p->lp, 1, 1);
}

static int add_integer(program *p, int most) {
  int column = glp_add_cols(p->lp, 1);

  glp_set_col_kind(p->lp, column, most == 1 ? GLP_BV : GLP_IV);
  if (most > 1) {
    glp_set_col_bnds(p->lp, column, GLP_DB, 0, most);
  }
  return column;
}

static void add_entry(program *p, size_t row, int column, double value) {
  p->n_entries++;
  p->row[p->n_entries] = (int)row + 1;
  p->column[p->n_entries] = column;
  p->value[p->n_entries] = value;
}

static void fix_row(program *p, size_t row, double value) {
  glp_set_row_bnds(p->lp, (int)row + 1, GLP_FX, value, value);
}

/* Loads of packs are at most M: row pack has -M, and bound 0. */
static void bound_pack(program *p, size_t row) {
  glp_set_row_bnds(p->lp, (int)row + 1, GLP_UP, 0, 0);
  add_entry(p, row, 1, -1);
}

/* Solves and frees it. */
static double program_solve(program *p) {
  glp_iocp options;

  glp_load_matrix(p->lp, p->n_entries, p->row, p->column, p->value);
  glp_init_iocp(&options);
  options.presolve = GLP_ON;
  options.msg_lev = GLP_MSG_OFF;
  options.tm_lim = 20000;
  glp_term_out(GLP_OFF);
  int failed = glp_intopt(p->lp, &options);
  double found = failed == 0 && glp_mip_status(p->lp) == GLP_OPT ? glp_mip_obj_val(p->lp) : -1;
  glp_delete_prob(p->lp);
  free(p->row);
  free(p->column);
  free(p->value);
  return found;
}

static double mean_of(size_t n, const double *value, size_t parts) {
  double sum = 0;

  for (size_t i = 0; i < n; i++) {
    sum += value[i];
  }
  return sum > 0 ? sum / (double)parts : 1;
}

static int descending(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;

  return (x < y) - (x > y);
}

/* Rows: m loads, m sizes, n items. Loads are scaled to a mean of 1 a pack. Packs are alike, so that
 * item i, by weight, need not go beyond pack i: all would else be tried m! times. */
double exact_packing(size_t n_items, size_t n_packs, const double *weight) {
  const size_t pack_size = n_items / n_packs;
  double scale = mean_of(n_items, weight, n_packs);
  double *sorted = calloc(n_items, sizeof *sorted);
  program p;

  if (sorted == NULL) {
    abort();
  }
  memcpy(sorted, weight, n_items * sizeof *sorted);
  qsort(sorted, n_items, sizeof *sorted, descending);
  program_init(&p, 2 * n_packs + n_items, n_packs + 3 * n_items * n_packs);
  for (size_t g = 0; g < n_packs; g++) {
    bound_pack(&p, g);
    fix_row(&p, n_packs + g, (double)pack_size);
  }
  for (size_t i = 0; i < n_items; i++) {
    fix_row(&p, 2 * n_packs + i, 1);
    for (size_t g = 0; g < n_packs && g <= i; g++) {
      int column = add_integer(&p, 1);
      add_entry(&p, g, column, sorted[i] / scale);
      add_entry(&p, n_packs + g, column, 1);
      add_entry(&p, 2 * n_packs + i, column, 1);
    }
  }
  double found = program_solve(&p);
  free(sorted);
  return found < 0 ? found : found * scale;
}

/* Rows: D loads, D sizes, E choices of a count, E X that counts are kept. A column for each expert
 * e and count c says whether e has c replicas, one more for each GPU how many of these it holds. */
double exact_placement(const mb_shape *shape, const double *load) {
  const size_t n_gpus = shape->n_gpus;
  const size_t max_count = mb_shape_max_replicas(shape);
  const size_t slots_per_gpu = shape->n_slots / n_gpus;
  const size_t counts = 2 * n_gpus + shape->n_experts;
  double scale = mean_of(shape->n_experts, load, n_gpus);
  program p;

  program_init(&p, counts + shape->n_experts * max_count,
               n_gpus + shape->n_experts * max_count * (2 + 3 * n_gpus));
  for (size_t g = 0; g < n_gpus; g++) {
    bound_pack(&p, g);
    fix_row(&p, n_gpus + g, (double)slots_per_gpu);
  }
  for (size_t e = 0; e < shape->n_experts; e++) {
    fix_row(&p, 2 * n_gpus + e, 1);
    for (size_t c = 1; c <= max_count; c++) {
      size_t kept = counts + e * max_count + c - 1;
      int chosen = add_integer(&p, 1);
      fix_row(&p, kept, 0);
      add_entry(&p, 2 * n_gpus + e, chosen, 1);
      add_entry(&p, kept, chosen, -(double)c);
      for (size_t g = 0; g < n_gpus; g++) {
        int held = add_integer(&p, (int)c);
        add_entry(&p, g, held, load[e] / scale / (double)c);
        add_entry(&p, n_gpus + g, held, 1);
        add_entry(&p, kept, held, 1);
      }
    }
  }
  double found = program_solve(&p);
  return found < 0 ? found : found * scale;
}

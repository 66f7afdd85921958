/* experiments/compare_conditions.c */
#include "experiments/compare_conditions.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_KEY "trace.file"

/* A cell that ran. */
typedef struct entry {
  size_t cell;
  char *condition;
  int64_t seed;
  const char *trace; /* NULL unless traces are averaged over */
  size_t relabel;
  bool placed; /* in a condition */
} entry;

typedef struct entries {
  size_t n;
  entry *entry;
} entries;

static void entries_fini(entries *all) {
  for (size_t i = 0; i < all->n; i++) {
    free(all->entry[i].condition);
  }
  free(all->entry);
}

static bool is_averaged(const char *key, bool traces) {
  return strcmp(key, "seed") == 0 || strcmp(key, "trace.generate.seed") == 0 ||
         strcmp(key, "relabel") == 0 || (traces && strcmp(key, TRACE_KEY) == 0);
}

/* Runs of which no sweep says how they differ are not averaged. NULL without memory. */
static char *name_condition(const mb_results_cells *cells, const mb_results_cell *cell,
                            bool traces) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  if (stream == NULL) {
    return NULL;
  }
  if (cells->n_keys == 0 && cells->n_cells > 1) {
    (void)fprintf(stream, "run=%s", cell->run);
  }
  for (size_t i = 0; i < cells->n_keys; i++) {
    if (!is_averaged(cells->key[i], traces)) {
      (void)fprintf(stream, "%s%s=%s", ftell(stream) > 0 ? " " : "", cells->key[i], cell->value[i]);
    }
  }
  if (fclose(stream) != 0) {
    free(text);
    return NULL;
  }
  return text;
}

static mb_status read_entry(const mb_results_file *file, bool traces, size_t cell, entry *one) {
  const mb_results_cells *cells = mb_results_file_cells(file);
  mb_results *results = NULL;

  MB_TRY(mb_results_file_open_run(file, cell, &results));
  *one = (entry){.cell = cell,
                 .condition = name_condition(cells, &cells->cell[cell], traces),
                 .seed = mb_results_get_run(results)->seed,
                 .trace = traces ? mb_results_file_value(file, cell, TRACE_KEY) : NULL,
                 .relabel = mb_results_get_run(results)->relabel};
  mb_results_destroy(results);
  return one->condition != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory to compare cells");
}

static mb_status read_entries(const mb_results_file *file, bool traces, entries *all) {
  const mb_results_cells *cells = mb_results_file_cells(file);

  if (traces && mb_results_file_value(file, 0, TRACE_KEY) == NULL) {
    return MB_FAIL(MB_ERR_PARAM,
                   "no sweep over " TRACE_KEY ": there are no traces to average over");
  }
  *all = (entries){.entry = calloc(cells->n_cells, sizeof *all->entry)};
  if (all->entry == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu cells", cells->n_cells);
  }
  for (size_t i = 0; i < cells->n_cells; i++) {
    if (cells->cell[i].error[0] != '\0') {
      continue;
    }
    mb_status status = read_entry(file, traces, i, &all->entry[all->n]);
    if (status != MB_OK) {
      entries_fini(all);
      return status;
    }
    all->n++;
  }
  if (all->n == 0) {
    entries_fini(all);
    return MB_FAIL(MB_ERR_PARAM, "no cell of the sweep has run: there is nothing to compare");
  }
  return MB_OK;
}

/* --- the table of one condition --- */

/* All seeds by all relabellings that any of its cells has. */
typedef struct table {
  size_t n_seeds, n_relabellings;
  int64_t *seed;      /* [n_seeds] */
  const char **trace; /* [n_seeds] */
  size_t *relabel;    /* [n_relabellings] */
  const entry **at;   /* [n_relabellings,n_seeds] NULL: missing */
  bool *seed_out;     /* [n_seeds] left out */
  bool *relabel_out;  /* [n_relabellings] */
} table;

static void table_fini(table *t) {
  free(t->seed);
  free(t->trace);
  free(t->relabel);
  free(t->at);
  free(t->seed_out);
  free(t->relabel_out);
}

/* Where the entry's seed, and trace, stand; n_seeds where they are new. */
static size_t find_seed(const table *t, const entry *one) {
  for (size_t i = 0; i < t->n_seeds; i++) {
    if (t->seed[i] == one->seed && (one->trace == NULL || strcmp(t->trace[i], one->trace) == 0)) {
      return i;
    }
  }
  return t->n_seeds;
}

static size_t find_relabel(const table *t, size_t relabel) {
  size_t i = 0;

  while (i < t->n_relabellings && t->relabel[i] != relabel) {
    i++;
  }
  return i;
}

static mb_status table_init(table *t, size_t n_members, entry *const *member) {
  *t = (table){.seed = calloc(n_members, sizeof *t->seed),
               .trace = calloc(n_members, sizeof *t->trace),
               .relabel = calloc(n_members, sizeof *t->relabel)};
  bool room = t->seed != NULL && t->trace != NULL && t->relabel != NULL;
  for (size_t i = 0; room && i < n_members; i++) {
    if (find_seed(t, member[i]) == t->n_seeds) {
      t->trace[t->n_seeds] = member[i]->trace;
      t->seed[t->n_seeds++] = member[i]->seed;
    }
    if (find_relabel(t, member[i]->relabel) == t->n_relabellings) {
      t->relabel[t->n_relabellings++] = member[i]->relabel;
    }
  }
  t->at = calloc(t->n_seeds * t->n_relabellings + 1, sizeof(entry *));
  t->seed_out = calloc(t->n_seeds + 1, sizeof *t->seed_out);
  t->relabel_out = calloc(t->n_relabellings + 1, sizeof *t->relabel_out);
  if (!room || t->at == NULL || t->seed_out == NULL || t->relabel_out == NULL) {
    table_fini(t);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu cells", n_members);
  }
  return MB_OK;
}

static mb_status table_fill(table *t, size_t n_members, entry *const *member,
                            const mb_results_cells *cells) {
  for (size_t i = 0; i < n_members; i++) {
    const entry **at =
        &t->at[find_relabel(t, member[i]->relabel) * t->n_seeds + find_seed(t, member[i])];
    if (*at != NULL) {
      const char *one = cells->cell[(*at)->cell].run;
      const char *other = cells->cell[member[i]->cell].run;
      return member[i]->seed < 0
                 ? MB_FAIL(MB_ERR_PARAM,
                           "runs %s and %s have the same loads, those of a trace file: a seed "
                           "changes generated loads only, so take it out of the sweep",
                           one, other)
                 : MB_FAIL(MB_ERR_PARAM,
                           "runs %s and %s have the same loads, those of seed %" PRId64
                           ", and the same relabelling: nothing tells them apart",
                           one, other, member[i]->seed);
    }
    *at = member[i];
  }
  return MB_OK;
}

/* The part of a seed's cells that is missing, among relabellings that are not left out. */
static double seed_missing(const table *t, size_t s) {
  size_t missing = 0;
  size_t count = 0;

  for (size_t r = 0; r < t->n_relabellings; r++) {
    missing += !t->relabel_out[r] && t->at[r * t->n_seeds + s] == NULL;
    count += !t->relabel_out[r];
  }
  return t->seed_out[s] ? 0 : (double)missing / (double)count;
}

static double relabel_missing(const table *t, size_t r) {
  size_t missing = 0;
  size_t count = 0;

  for (size_t s = 0; s < t->n_seeds; s++) {
    missing += !t->seed_out[s] && t->at[r * t->n_seeds + s] == NULL;
    count += !t->seed_out[s];
  }
  return t->relabel_out[r] ? 0 : (double)missing / (double)count;
}

/* Leaves out what misses most. @return whether anything was missing. */
static bool trim_once(table *t) {
  double most = 0;
  bool *out = NULL;

  for (size_t s = 0; s < t->n_seeds; s++) {
    double missing = seed_missing(t, s);
    if (missing > most) {
      most = missing;
      out = &t->seed_out[s];
    }
  }
  for (size_t r = 0; r < t->n_relabellings; r++) {
    double missing = relabel_missing(t, r);
    if (missing > most) {
      most = missing;
      out = &t->relabel_out[r];
    }
  }
  if (out != NULL) {
    *out = true;
  }
  return out != NULL;
}

/* What is left of the table, as a condition; its text is transferred. */
static mb_status take_condition(const table *t, entry *first, mb_compare_condition *made) {
  mb_compare_condition one = {.seed = calloc(t->n_seeds, sizeof *one.seed),
                              .trace = calloc(t->n_seeds, sizeof *one.trace),
                              .cell = calloc(t->n_seeds * t->n_relabellings, sizeof *one.cell)};
  size_t n_cells = 0;

  if (one.seed == NULL || one.trace == NULL || one.cell == NULL) {
    free(one.seed);
    free(one.trace);
    free(one.cell);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare cells");
  }
  for (size_t s = 0; s < t->n_seeds; s++) {
    if (!t->seed_out[s]) {
      one.trace[one.n_seeds] = t->trace[s];
      one.seed[one.n_seeds++] = t->seed[s];
    }
  }
  for (size_t r = 0; r < t->n_relabellings; r++) {
    one.n_relabellings += !t->relabel_out[r];
    for (size_t s = 0; s < t->n_seeds; s++) {
      const entry *at = t->at[r * t->n_seeds + s];
      if (at != NULL && !t->relabel_out[r] && !t->seed_out[s]) {
        one.cell[n_cells++] = at->cell;
      }
    }
  }
  one.text = first->condition;
  first->condition = NULL;
  *made = one;
  return MB_OK;
}

static mb_status make_condition(size_t n_members, entry **member, const mb_results_cells *cells,
                                mb_compare_condition *made) {
  table t;

  MB_TRY(table_init(&t, n_members, member));
  mb_status status = table_fill(&t, n_members, member, cells);
  if (status == MB_OK) {
    /* Ends with a cell at least: what is left out misses some of its cells, never the last one. */
    while (trim_once(&t)) {
    }
    status = take_condition(&t, member[0], made);
  }
  table_fini(&t);
  return status;
}

/* --- all conditions --- */

static mb_status group(const entries *all, const mb_results_cells *cells,
                       mb_compare_conditions *made) {
  entry **member = calloc(all->n, sizeof(entry *));

  made->condition = calloc(all->n, sizeof *made->condition);
  if (member == NULL || made->condition == NULL) {
    free(member);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu cells", all->n);
  }
  mb_status status = MB_OK;
  for (size_t i = 0; status == MB_OK && i < all->n; i++) {
    size_t n_members = 0;
    for (size_t j = i; !all->entry[i].placed && j < all->n; j++) {
      if (!all->entry[j].placed &&
          (j == i || strcmp(all->entry[i].condition, all->entry[j].condition) == 0)) {
        member[n_members++] = &all->entry[j];
      }
    }
    for (size_t j = 0; j < n_members; j++) {
      member[j]->placed = true;
    }
    if (n_members > 0) {
      mb_compare_condition *condition = &made->condition[made->n_conditions];
      status = make_condition(n_members, member, cells, condition);
      made->n_conditions += status == MB_OK;
      made->n_spare +=
          status == MB_OK ? n_members - condition->n_seeds * condition->n_relabellings : 0;
    }
  }
  free(member);
  return status;
}

mb_status mb_compare_conditions_find(const mb_results_file *file, bool traces,
                                     mb_compare_conditions *conditions) {
  const mb_results_cells *cells = mb_results_file_cells(file);
  mb_compare_conditions made = {.n_conditions = 0};
  entries all;

  MB_TRY(read_entries(file, traces, &all));
  made.n_failed = cells->n_cells - all.n;
  mb_status status = group(&all, cells, &made);
  entries_fini(&all);
  if (status != MB_OK) {
    mb_compare_conditions_fini(&made);
    return status;
  }
  *conditions = made;
  return MB_OK;
}

void mb_compare_conditions_fini(mb_compare_conditions *conditions) {
  for (size_t i = 0; i < conditions->n_conditions; i++) {
    free(conditions->condition[i].text);
    free(conditions->condition[i].seed);
    free(conditions->condition[i].trace);
    free(conditions->condition[i].cell);
  }
  free(conditions->condition);
  *conditions = (mb_compare_conditions){.n_conditions = 0};
}

/* experiments/results_summary.c */
#include "experiments/results_summary.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/attribute.h"
#include "experiments/results_object.h"
#include "sim/metrics.h"

enum { MAX_COLUMNS = 64, ROWS_MAX = 1 << 24, COLUMNS_MAX = 256 };

typedef enum column_type { COLUMN_TEXT, COLUMN_REAL, COLUMN_INT } column_type;

typedef struct column {
  const char *name, *unit, *better, *help;
  column_type type;
  size_t source; /* offset in mb_replay_summary; of a REAL or INT */
  size_t offset; /* in the row */
  size_t size;
} column;

typedef struct layout {
  column columns[MAX_COLUMNS];
  size_t n_columns;
  size_t row_size;
} layout;

#define RATIO(name) \
  { #name, offsetof(mb_replay_summary, name), 1.0, COLUMN_REAL, false }
#define REAL(name) \
  { #name, offsetof(mb_replay_summary, name), 0.0, COLUMN_REAL, false }
#define INT(name) \
  { #name, offsetof(mb_replay_summary, name), 0.0, COLUMN_INT, false }
#define LATER_INT(name) \
  { #name, offsetof(mb_replay_summary, name), 0.0, COLUMN_INT, true }

/* Where the replay keeps the metrics that are single numbers. */
static const struct metric_field {
  const char *name;
  size_t source;
  double least;
  column_type type;
  bool later; /* files may be older than the column: 0 */
} fields[] = {
    RATIO(run_imbalance),
    RATIO(step_imbalance_mean),
    RATIO(step_imbalance_p50),
    RATIO(step_imbalance_p95),
    RATIO(step_imbalance_p99),
    RATIO(imbalance_p99),
    INT(plans),
    REAL(tokens_per_active_slot),
    INT(skipped_plans),
    LATER_INT(untriggered_plans),
    INT(moved_experts),
    INT(steps_scored),
    INT(empty_layer_steps),
};

#define COST(name) \
  { #name, offsetof(mb_replay_summary, cost.name), 0.0, COLUMN_REAL, true }

/* Likewise of a run with costs. These may be NaN or infinite. */
static const struct metric_field cost_fields[] = {
    COST(step_latency_mean),
    COST(run_time_imbalance),
    COST(experts_share),
    COST(memory_bound_slots),
    COST(break_even_tokens),
    COST(gpu_time_lost_total),
    COST(rebalance_stall_total),
    COST(speedup_over_none),
    COST(break_even_interval),
    COST(same_gpu_bytes_total),
    COST(intra_node_bytes_total),
    COST(inter_node_bytes_total),
    COST(gpu_hours),
};

enum { N_COST_FIELDS = sizeof cost_fields / sizeof *cost_fields };

/* Beside the metrics. */
static const struct metric_field worst_layer_imbalance = RATIO(worst_layer_imbalance);

static const struct metric_field *find_field(const char *name) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (strcmp(fields[i].name, name) == 0) {
      return &fields[i];
    }
  }
  for (size_t i = 0; i < N_COST_FIELDS; i++) {
    if (strcmp(cost_fields[i].name, name) == 0) {
      return &cost_fields[i];
    }
  }
  return NULL;
}

static void add_column(layout *made, column added) {
  assert(made->n_columns < MAX_COLUMNS);
  added.offset = made->row_size;
  made->row_size += added.size;
  made->columns[made->n_columns++] = added;
}

static size_t longest(size_t n, const char *const *texts) {
  size_t most = 1;

  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(texts[i]);
    most = length > most ? length : most;
  }
  return most;
}

static void add_metrics(layout *made, bool costs) {
  for (const mb_metric *metric = mb_metrics(); metric->name != NULL; metric++) {
    if (metric->dims[0] != '\0' || (metric->of_cost && !costs)) {
      continue;
    }
    const struct metric_field *field = find_field(metric->name);
    assert(field != NULL); /* a metric of metrics.def that the replay does not keep */
    add_column(made, (column){metric->name, metric->unit, metric->better, metric->formula,
                              field->type, field->source, 0, 8});
  }
}

static void make_table(layout *made, const char *run, size_t n, const char *const *labels,
                       bool costs) {
  *made = (layout){.n_columns = 0};
  add_column(made,
             (column){"run", "", "none", "the run's name", COLUMN_TEXT, 0, 0, longest(1, &run)});
  add_column(made, (column){"strategy", "", "none", "the strategy's label", COLUMN_TEXT, 0, 0,
                            longest(n, labels)});
  add_metrics(made, costs);
  add_column(made, (column){"worst_layer", "", "none",
                            "number, in the model, of the layer with the largest run_imbalance of "
                            "its own",
                            COLUMN_INT, offsetof(mb_replay_summary, worst_layer), 0, 8});
  add_column(made, (column){"worst_layer_imbalance", "1", "lower", "that layer's run_imbalance",
                            COLUMN_REAL, offsetof(mb_replay_summary, worst_layer_imbalance), 0, 8});
}

static void fill_row(const layout *made, const char *run, const char *label,
                     const int32_t *layer_ids, const mb_replay_summary *summary, char *row) {
  int64_t worst_layer = layer_ids[summary->worst_layer];

  for (size_t i = 0; i < made->n_columns; i++) {
    const column *cell = &made->columns[i];
    const void *from = (const char *)summary + cell->source;
    if (cell->type == COLUMN_TEXT) {
      const char *text = i == 0 ? run : label;
      /* Filled up with NULs; the longest text has none. */
      for (size_t j = 0; text[j] != '\0'; j++) {
        row[cell->offset + j] = text[j];
      }
      continue;
    }
    if (strcmp(cell->name, "worst_layer") == 0) {
      from = &worst_layer;
    }
    memcpy(row + cell->offset, from, cell->size);
  }
}

static hid_t column_hdf5_type(const column *cell) {
  if (cell->type != COLUMN_TEXT) {
    return H5Tcopy(cell->type == COLUMN_REAL ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64);
  }
  hid_t type = H5Tcopy(H5T_C_S1);
  (void)H5Tset_size(type, cell->size);
  (void)H5Tset_strpad(type, H5T_STR_NULLPAD);
  return type;
}

static hid_t row_type(const layout *made) {
  hid_t row = H5Tcreate(H5T_COMPOUND, made->row_size);

  for (size_t i = 0; i < made->n_columns; i++) {
    hid_t type = column_hdf5_type(&made->columns[i]);
    (void)H5Tinsert(row, made->columns[i].name, made->columns[i].offset, type);
    (void)H5Tclose(type);
  }
  return row;
}

static mb_status describe(const layout *made, hid_t dataset) {
  const char *unit[MAX_COLUMNS];
  const char *better[MAX_COLUMNS];
  const char *help[MAX_COLUMNS];

  for (size_t i = 0; i < made->n_columns; i++) {
    unit[i] = made->columns[i].unit;
    better[i] = made->columns[i].better;
    help[i] = made->columns[i].help;
  }
  MB_TRY(mb_attribute_put_texts(dataset, "unit", made->n_columns, unit));
  MB_TRY(mb_attribute_put_text(dataset, "dims", "run and strategy"));
  MB_TRY(mb_attribute_put_texts(dataset, "better", made->n_columns, better));
  return mb_attribute_put_texts(dataset, "help", made->n_columns, help);
}

static mb_status write_rows(const layout *made, hid_t file, size_t n, const char *rows) {
  char why[256];
  hsize_t size = n;
  hid_t type = row_type(made);
  hid_t space = H5Screate_simple(1, &size, NULL);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);

  (void)H5Pset_obj_track_times(properties, false);
  hid_t dataset = H5Dcreate2(file, "/summary", type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  mb_status status = MB_OK;
  if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
    status = MB_FAIL(MB_ERR_IO, "cannot be written: %s", mb_hdf5_reason(why, sizeof why));
  } else {
    status = describe(made, dataset);
  }
  if (dataset >= 0) {
    (void)H5Dclose(dataset);
  }
  (void)H5Pclose(properties);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  return status;
}

mb_status mb_results_summary_write(hid_t file, const char *run, size_t n, const char *const *labels,
                                   const int32_t *layer_ids, const mb_replay_summary *summary,
                                   bool costs) {
  layout made;

  make_table(&made, run, n, labels, costs);
  char *rows = calloc(n, made.row_size);
  if (rows == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu rows", n);
  }
  for (size_t i = 0; i < n; i++) {
    fill_row(&made, run, labels[i], layer_ids, &summary[i], rows + i * made.row_size);
  }
  mb_status status = write_rows(&made, file, n, rows);
  free(rows);
  return status;
}

/* --- reading --- */

/* Puts a column of single numbers where the summaries have it. @param values [n_rows] scratch of 8
 * bytes each. */
static mb_status read_field(const mb_results_table *table, const struct metric_field *field,
                            mb_results_summary *rows, void *values) {
  bool real = field->type == COLUMN_REAL;

  if (field->later && !mb_results_table_has(table, field->name)) {
    return MB_OK; /* rows are zeroes */
  }
  MB_TRY(mb_results_table_numbers(table, field->name, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64,
                                  values));
  for (size_t i = 0; i < table->n_rows; i++) {
    if (real && ((const double *)values)[i] < field->least - 1e-6) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: column %s, row %zu has %g; should be at least %g",
                     table->path, table->name, field->name, i, ((const double *)values)[i],
                     field->least);
    }
    memcpy((char *)&rows[i].summary + field->source, (const char *)values + i * sizeof(double),
           sizeof(double));
  }
  return MB_OK;
}

static mb_status read_cost(const mb_results_table *table, const struct metric_field *field,
                           mb_results_summary *rows, double *values) {
  MB_TRY(mb_results_table_reals(table, field->name, values));
  for (size_t i = 0; i < table->n_rows; i++) {
    memcpy((char *)&rows[i].summary + field->source, &values[i], sizeof values[i]);
  }
  return MB_OK;
}

/* Files of runs without costs have no columns of them. */
static mb_status read_costs(const mb_results_table *table, mb_results_summary *rows, bool *costs) {
  *costs = mb_results_table_has(table, cost_fields[0].name);
  if (!*costs) {
    return MB_OK;
  }
  double *values = calloc(table->n_rows, sizeof *values);
  mb_status status = values != NULL ? MB_OK
                                    : MB_FAIL(MB_ERR_MEMORY, "%s: %s: no memory for %zu rows",
                                              table->path, table->name, table->n_rows);
  for (size_t i = 0; i < N_COST_FIELDS && status == MB_OK; i++) {
    status = read_cost(table, &cost_fields[i], rows, values);
  }
  free(values);
  return status;
}

static mb_status read_numbers(const mb_results_table *table, mb_results_summary *rows) {
  int64_t *values = calloc(table->n_rows, sizeof *values);
  mb_status status = values != NULL ? MB_OK
                                    : MB_FAIL(MB_ERR_MEMORY, "%s: %s: no memory for %zu rows",
                                              table->path, table->name, table->n_rows);

  for (size_t i = 0; i < sizeof fields / sizeof *fields && status == MB_OK; i++) {
    status = read_field(table, &fields[i], rows, values);
  }
  if (status == MB_OK) {
    status = read_field(table, &worst_layer_imbalance, rows, values);
  }
  if (status == MB_OK) {
    status = mb_results_table_numbers(table, "worst_layer", H5T_NATIVE_INT64, values);
  }
  for (size_t i = 0; i < table->n_rows && status == MB_OK; i++) {
    rows[i].worst_layer = values[i];
  }
  free(values);
  return status;
}

static mb_status read_names(const mb_results_table *table, mb_results_summary *rows) {
  char **runs = NULL;
  char **strategies = NULL;

  MB_TRY(mb_results_table_texts(table, "run", &runs));
  for (size_t i = 0; i < table->n_rows; i++) {
    rows[i].run = runs[i];
  }
  free(runs);
  MB_TRY(mb_results_table_texts(table, "strategy", &strategies));
  for (size_t i = 0; i < table->n_rows; i++) {
    rows[i].strategy = strategies[i];
  }
  free(strategies);
  return MB_OK;
}

static int compare_rows(const void *a, const void *b) {
  const mb_results_summary *first = a;
  const mb_results_summary *second = b;
  int order = strcmp(first->run, second->run);

  return order != 0 ? order : strcmp(first->strategy, second->strategy);
}

static mb_status read_rows(const mb_results_table *table, mb_results_summaries *made) {
  mb_results_summary *rows = made->row;

  MB_TRY(read_names(table, rows));
  MB_TRY(read_numbers(table, rows));
  MB_TRY(read_costs(table, rows, &made->costs));
  qsort(rows, table->n_rows, sizeof *rows, compare_rows);
  for (size_t i = 0; i + 1 < table->n_rows; i++) {
    if (compare_rows(&rows[i], &rows[i + 1]) == 0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: run '%.128s' and strategy '%.128s' have two rows",
                     table->path, table->name, rows[i].run, rows[i].strategy);
    }
  }
  return MB_OK;
}

mb_status mb_results_summaries_read(const char *path, hid_t file, mb_results_summaries *summaries) {
  mb_results_table table;

  if (H5Lexists(file, "/summary", H5P_DEFAULT) <= 0) {
    *summaries = (mb_results_summaries){.n_rows = 0};
    return MB_OK;
  }
  MB_TRY(mb_results_table_open(path, file, "/summary", ROWS_MAX, COLUMNS_MAX, &table));
  mb_results_summaries made = {.n_rows = table.n_rows,
                               .row = calloc(table.n_rows, sizeof *made.row)};
  mb_status status =
      made.row != NULL
          ? read_rows(&table, &made)
          : MB_FAIL(MB_ERR_MEMORY, "%s: /summary: no memory for %zu rows", path, table.n_rows);
  mb_results_table_close(&table);
  if (status != MB_OK) {
    mb_results_summaries_fini(&made);
    return status;
  }
  *summaries = made;
  return MB_OK;
}

void mb_results_summaries_fini(mb_results_summaries *summaries) {
  for (size_t i = 0; summaries->row != NULL && i < summaries->n_rows; i++) {
    free(summaries->row[i].run);
    free(summaries->row[i].strategy);
  }
  free(summaries->row);
  *summaries = (mb_results_summaries){.n_rows = 0};
}

const mb_results_summary *mb_results_summaries_find(const mb_results_summaries *summaries,
                                                    const char *run, const char *strategy) {
  size_t low = 0;
  size_t high = summaries->n_rows;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const mb_results_summary *row = &summaries->row[middle];
    int order = strcmp(row->run, run);
    order = order != 0 ? order : strcmp(row->strategy, strategy);
    if (order == 0) {
      return row;
    }
    low = order < 0 ? middle + 1 : low;
    high = order < 0 ? high : middle;
  }
  return NULL;
}

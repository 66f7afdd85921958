/* experiments/results_run.h - opening results files and their runs: what the readers share. Only
 * results_*.c and sweep_table.c use this. */
#ifndef MB_EXPERIMENTS_RESULTS_RUN_H
#define MB_EXPERIMENTS_RESULTS_RUN_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/results_object.h"
#include "experiments/results_read.h"
#include "experiments/results_summary.h"

enum { MB_RESULTS_RUNS_MAX = 100000 };

struct mb_results {
  char *path;
  hid_t file; /* a reference of its own */
  char name[MB_RESULTS_NAME_SIZE];
  int32_t *layer_ids;
  char **labels;
  char *trace, *model, *phase;
  mb_results_summaries own;              /* of a run that was opened by itself */
  const mb_results_summaries *summaries; /* of all runs; may be empty */
  mb_results_run run;
};

/** Opens the file and holds format and version against what this program reads.
 * @param file Transferred: H5Fclose() it. Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_open_hdf5(const char *path, hid_t *file);

/** The names of all runs, in the order of the alphabet.
 * @param names Transferred: mb_results_texts_free() them. Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_list_runs(const char *path, hid_t file, size_t *count,
                                            char ***names);

/**
 * Opens a run that is there: reads its attributes, and checks that its main datasets are there.
 * @param summaries of the file, borrowed; NULL: the run reads them itself.
 * @param results   Transferred: mb_results_destroy() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_results_open_run(const char *path, hid_t file, const char *run,
                                           const mb_results_summaries *summaries,
                                           mb_results **results);

/** Reads all there is of the open run, and forgets it. @param maps whether the plans' as well. */
MB_NODISCARD mb_status mb_results_check_run(const mb_results *results, bool maps);

/** Runs work(data), which opens the file at `path`, in a child process, with limits that suit the
 * file's size. @return as mb_probe(); MB_ERR_IO where it is no file. */
MB_NODISCARD mb_status mb_results_probe(const char *path, mb_status (*work)(void *data),
                                        void *data);

/** /runs/RUN/LABEL/leaf. */
void mb_results_leaf(const mb_results *results, size_t strategy, const char *leaf,
                     char object[MB_RESULTS_OBJECT_SIZE]);

/** Whether the file has that object, and all groups above it. */
bool mb_results_has_object(const mb_results *results, const char *object);

/** Largest over mean: NaN, or finite and at least 1 but for float32's rounding. */
bool mb_results_is_ratio(double value);

/** All plans of a strategy, as mb_results_read_plans(), where whatever is missing is left out.
 * @param maps whether to read them as well. */
MB_NODISCARD mb_status mb_results_check_plans(const mb_results *results, size_t strategy,
                                              bool maps);

/** What a strategy's plans took in all; NaN where the file does not say. */
MB_NODISCARD mb_status mb_results_planner_seconds(const mb_results *results, size_t strategy,
                                                  double *seconds);

#endif

/* experiments/sweep_run.c - begin, work, and what is left at the end: errors and the merging. */
#include "experiments/sweep_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "experiments/apart.h"
#include "experiments/cell.h"
#include "experiments/interrupt.h"
#include "experiments/manifest.h"
#include "experiments/part.h"
#include "experiments/parts.h"
#include "experiments/results_file.h"
#include "experiments/results_merge.h"
#include "experiments/workers.h"
#include "moebal_version.h"

/* --- a config without a sweep --- */

static mb_status run_single(const mb_sweep *sweep, const char *output) {
  mb_cell cell = {.config = NULL};

  mb_status status = mb_cell_prepare(sweep->cell[0].config, output, NULL, &cell);
  if (status == MB_OK) {
    status = mb_cell_run(&cell, NULL, NULL);
  }
  mb_cell_fini(&cell);
  return status;
}

/* --- before --- */

/* Names of cells that failed, as long as there is room for them. */
static void note_failed(mb_sweep_outcome *outcome, const char *run) {
  size_t length = strlen(outcome->failed);
  size_t room = sizeof outcome->failed - length;
  enum { MORE_SIZE = 8 }; /* ", ..." */

  outcome->n_failed++;
  if (strlen(run) + MORE_SIZE < room) {
    (void)snprintf(outcome->failed + length, room, "%s%s", length > 0 ? ", " : "", run);
  } else if (length < 3 || strcmp(outcome->failed + length - 3, "...") != 0) {
    (void)snprintf(outcome->failed + length, room, ", ...");
  }
}

/* Refused before any work is done: results replace no trace. */
static mb_status check_output(const mb_sweep *sweep, const char *output) {
  const char *checked = NULL;

  MB_TRY(mb_results_check_path(output, NULL));
  for (size_t i = 0; i < sweep->n_cells; i++) {
    const char *trace = sweep->cell[i].config->trace_file;
    if (trace != NULL && (checked == NULL || strcmp(trace, checked) != 0)) {
      MB_TRY(mb_results_check_path(output, trace));
      checked = trace;
    }
  }
  return MB_OK;
}

static bool provenance_is(const mb_results_file *file, const char *name, const char *expected) {
  char *text = NULL;
  bool same = mb_results_file_provenance(file, name, &text) == MB_OK && strcmp(text, expected) == 0;

  free(text);
  return same;
}

/* Whether the output is of this very sweep, made by this very code of what its inputs still are;
 * then what failed is noted. */
static bool is_complete(const mb_sweep *sweep, const char *output, mb_sweep_outcome *outcome) {
  mb_results_file *file = NULL;

  if (!mb_file_has_format(output, "moebal-results") ||
      mb_results_file_open(output, &file) != MB_OK) {
    return false;
  }
  bool complete = provenance_is(file, "config", sweep->text) &&
                  provenance_is(file, "version", MOEBAL_VERSION) &&
                  provenance_is(file, "git", MOEBAL_GIT_VERSION) &&
                  mb_manifest_is_older(sweep, output);
  const mb_results_cells *cells = mb_results_file_cells(file);
  for (size_t i = 0; i < cells->n_cells && complete; i++) {
    if (cells->cell[i].error[0] != '\0') {
      note_failed(outcome, cells->cell[i].run);
    }
  }
  outcome->complete_already = complete;
  mb_results_file_close(file);
  return complete;
}

/* @param parts Transferred; NULL on MB_OK where there is nothing to do. */
static mb_status begin(const mb_sweep *sweep, const mb_sweep_options *options, const char *output,
                       mb_parts **parts, mb_sweep_outcome *outcome) {
  MB_TRY(check_output(sweep, output));
  mb_parts_clean(output);
  if (options->resume && !mb_parts_are_there(output) && is_complete(sweep, output, outcome)) {
    return MB_OK;
  }
  return mb_parts_open(sweep, output, options->resume, parts);
}

/* --- the cells --- */

/* Of a crew, every process does a cell at a time. */
static mb_status do_cells(const mb_sweep *sweep, const mb_parts *parts,
                          const mb_sweep_options *options) {
  return options->crew != NULL ? mb_workers_run(sweep, parts, options->crew, 1, true)
                               : mb_workers_run(sweep, parts, NULL, options->jobs, options->quiet);
}

/* Whether nobody works on a cell. */
static mb_status find_free(const mb_parts *parts, size_t cell, bool *is_free) {
  MB_TRY(mb_parts_claim(parts, cell, is_free));
  if (*is_free) {
    mb_parts_release(parts, cell);
  }
  return MB_OK;
}

/* What others work on still is waited for; what they left undone is done here. */
static mb_status do_rest(const mb_sweep *sweep, const mb_parts *parts) {
  enum { PAUSE_MS = 20 };
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

  for (size_t i = 0; i < sweep->n_cells; i++) {
    while (!mb_parts_is_done(parts, i)) {
      bool is_free = false;
      MB_TRY(mb_interrupt_check());
      MB_TRY(find_free(parts, i, &is_free));
      if (is_free) {
        MB_TRY(mb_workers_run(sweep, parts, NULL, 1, true));
      } else if (!mb_parts_are_in_place(parts)) {
        return MB_FAIL(MB_ERR_IO, "the folder of finished cells has gone while they were made");
      } else {
        (void)nanosleep(&pause, NULL);
      }
    }
  }
  return MB_OK;
}

/* --- afterwards --- */

typedef struct gathered {
  mb_merge_cell *cell; /* [n_cells]; their parts and errors are to be freed */
  size_t n_cells;
} gathered;

static void gathered_fini(gathered *g) {
  for (size_t i = 0; g->cell != NULL && i < g->n_cells; i++) {
    free((char *)g->cell[i].part);
    if (g->cell[i].part == NULL) {
      free((char *)g->cell[i].error);
    }
  }
  free(g->cell);
}

static mb_status gather(const mb_sweep *sweep, const mb_parts *parts, gathered *g,
                        mb_sweep_outcome *outcome) {
  g->n_cells = sweep->n_cells;
  g->cell = calloc(sweep->n_cells, sizeof *g->cell);
  if (g->cell == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", sweep->n_cells);
  }
  for (size_t i = 0; i < sweep->n_cells; i++) {
    const char *run = sweep->cell[i].config->name;
    char *error = NULL;
    g->cell[i] = (mb_merge_cell){.run = run, .value = sweep->cell[i].value, .error = NULL};
    if (mb_parts_is_finished(parts, i)) {
      g->cell[i].part = mb_parts_path(parts, run, ".h5");
      g->cell[i].error = "";
      if (g->cell[i].part == NULL) {
        g->cell[i].error = NULL;
        return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", sweep->n_cells);
      }
    } else {
      MB_TRY(mb_parts_get_error(parts, i, &error));
      g->cell[i].error = error;
      note_failed(outcome, run);
    }
  }
  return MB_OK;
}

/* What a process of its own merges: where it finds a full disk in copying, libhdf5 1.10 crashes. */
typedef struct merging {
  mb_merge all;
  const char *path;
} merging;

static mb_status merge_all(const void *context) {
  const merging *m = context;

  return mb_results_merge(&m->all, m->path);
}

static mb_status merge(const mb_sweep *sweep, const mb_parts *parts, mb_sweep_outcome *outcome) {
  gathered g = {NULL, 0};

  mb_status status = gather(sweep, parts, &g, outcome);
  if (status == MB_OK && outcome->n_failed == sweep->n_cells) {
    status = MB_FAIL(MB_ERR_PARAM, "all %zu cells failed, %s with: %s", sweep->n_cells,
                     g.cell[0].run, g.cell[0].error);
  } else if (status == MB_OK) {
    const merging m = {.all = {.config = sweep->text,
                               .n_keys = sweep->n_keys,
                               .key = sweep->key,
                               .n_cells = sweep->n_cells,
                               .cell = g.cell},
                       .path = mb_parts_merged(parts)};
    status = mb_apart_run("merging", merge_all, &m);
    if (status != MB_OK) {
      mb_parts_tidy(parts);
    }
  }
  gathered_fini(&g);
  return status;
}

/* Stopped, people want to know what they still have. */
static mb_status describe_stop(const mb_sweep *sweep, const mb_parts *parts, const char *output,
                               mb_status status) {
  size_t n_done = 0;

  for (size_t i = 0; i < sweep->n_cells; i++) {
    n_done += mb_parts_is_finished(parts, i);
  }
  if (status == MB_ERR_CANCELLED) {
    return MB_FAIL(status,
                   "stopped on request; %s was not written: %zu of %zu cells are done, --resume "
                   "goes on",
                   output, n_done, sweep->n_cells);
  }
  return MB_FAIL(status, "%s; %zu of %zu cells are done, --resume goes on", mb_error_message(),
                 n_done, sweep->n_cells);
}

/* --- the whole --- */

static mb_status lead(const mb_sweep *sweep, const mb_sweep_options *options, const char *output,
                      mb_parts *parts, mb_sweep_outcome *outcome) {
  mb_status status = do_cells(sweep, parts, options);

  if (status == MB_OK) {
    status = do_rest(sweep, parts);
  }
  if (status == MB_OK) {
    status = merge(sweep, parts, outcome);
    if (status == MB_OK) {
      return mb_parts_finish(parts);
    }
    if (outcome->n_failed == sweep->n_cells) {
      mb_parts_discard(parts); /* there is nothing in them to go on with */
      return status;
    }
  }
  status = describe_stop(sweep, parts, output, status);
  mb_parts_close(parts);
  return status;
}

static mb_status follow(const mb_sweep *sweep, const mb_sweep_options *options,
                        const char *output) {
  mb_parts *parts = NULL;

  MB_TRY(options->crew->begin(options->crew->context, MB_OK));
  MB_TRY(mb_parts_join(sweep, output, &parts));
  if (parts == NULL) {
    return MB_OK;
  }
  mb_status status = do_cells(sweep, parts, options);
  mb_parts_close(parts);
  return status;
}

mb_status mb_sweep_run(const mb_sweep *sweep, const mb_sweep_options *options,
                       mb_sweep_outcome *outcome) {
  const char *output = options->output != NULL ? options->output : sweep->output;
  const mb_crew *crew = options->crew;
  mb_sweep_outcome made = {.n_failed = 0};
  mb_parts *parts = NULL;
  mb_status status = MB_OK;

  if (!sweep->swept) {
    status = crew == NULL || crew->leads ? run_single(sweep, output) : MB_OK;
  } else if (crew != NULL && !crew->leads) {
    status = follow(sweep, options, output);
  } else {
    status = begin(sweep, options, output, &parts, &made);
    if (crew != NULL) {
      status = crew->begin(crew->context, status);
    }
    if (status == MB_OK && parts != NULL) {
      status = lead(sweep, options, output, parts, &made);
    }
  }
  if (status == MB_OK) {
    *outcome = made;
  }
  return status;
}

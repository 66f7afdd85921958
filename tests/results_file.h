/* tests/results_file.h - writes small results files by hand, as `moebal run` lays them out. */
#ifndef MB_TESTS_RESULTS_FILE_H
#define MB_TESTS_RESULTS_FILE_H

#include <hdf5.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/test.h"

enum { RESULTS_LAYERS = 2, RESULTS_STRATEGIES = 2, RESULTS_STEPS_MAX = 1024 };

/** A results file's content: one run, the strategies none and l2_x, the layers 3 and 7. */
typedef struct results_file {
  const char *run;
  hsize_t n_steps;
  int64_t summary_from;
  double step_imbalance[RESULTS_STRATEGIES][RESULTS_STEPS_MAX];
  float imbalance[RESULTS_STRATEGIES][RESULTS_STEPS_MAX * RESULTS_LAYERS];
  hsize_t n_plans;      /* of l2_x */
  hsize_t n_plans_none; /* of none: mostly none */
  int64_t effect_step[8 * RESULTS_LAYERS];
} results_file;

static inline void results_check(int64_t outcome) {
  if (outcome < 0) {
    (void)fprintf(stderr, "the test's own HDF5 call failed\n");
    exit(EXIT_FAILURE);
  }
}

/** Writes an attribute, replacing an older one. */
static inline void results_put_text(hid_t object, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1);
  hid_t space = H5Screate(H5S_SCALAR);
  (void)H5Adelete(object, name);
  results_check(H5Tset_size(type, strlen(text) + 1));
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  results_check(H5Awrite(attribute, type, text));
  results_check(H5Aclose(attribute));
  results_check(H5Sclose(space));
  results_check(H5Tclose(type));
}

static inline void results_put_texts(hid_t object, const char *name, hsize_t count,
                                     const char *const *texts) {
  hid_t type = H5Tcopy(H5T_C_S1);
  hid_t space = H5Screate_simple(1, &count, NULL);
  (void)H5Adelete(object, name);
  results_check(H5Tset_size(type, H5T_VARIABLE));
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  results_check(H5Awrite(attribute, type, texts));
  results_check(H5Aclose(attribute));
  results_check(H5Sclose(space));
  results_check(H5Tclose(type));
}

static inline void results_put_number(hid_t object, const char *name, int64_t number) {
  hid_t space = H5Screate(H5S_SCALAR);
  (void)H5Adelete(object, name);
  hid_t attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  results_check(H5Awrite(attribute, H5T_NATIVE_INT64, &number));
  results_check(H5Aclose(attribute));
  results_check(H5Sclose(space));
}

static inline void results_put_dataset(hid_t group, const char *name, hid_t type, int rank,
                                       const hsize_t *dims, const void *values) {
  hid_t space = H5Screate_simple(rank, dims, NULL);
  hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  results_check(dataset);
  if (dims[0] > 0) {
    results_check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  }
  results_check(H5Dclose(dataset));
  results_check(H5Sclose(space));
}

static inline void results_put_strategy(hid_t run, const char *label, const results_file *content,
                                        size_t strategy) {
  hsize_t steps[2] = {content->n_steps, RESULTS_LAYERS};
  hsize_t plans[2] = {strategy == 0 ? content->n_plans_none : content->n_plans, RESULTS_LAYERS};
  hid_t group = H5Gcreate2(run, label, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  hid_t inner = H5Gcreate2(group, "plans", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  results_put_dataset(group, "step_imbalance", H5T_NATIVE_DOUBLE, 1, steps,
                      content->step_imbalance[strategy]);
  results_put_dataset(group, "imbalance", H5T_NATIVE_FLOAT, 2, steps, content->imbalance[strategy]);
  results_put_dataset(inner, "effect_step", H5T_NATIVE_INT64, 2, plans, content->effect_step);
  results_check(H5Gclose(inner));
  results_check(H5Gclose(group));
}

static inline void results_put_run(hid_t file, const results_file *content) {
  static const char *const labels[] = {"none", "l2_x"};
  static const int32_t layer_ids[] = {3, 7};
  hsize_t n_layers = RESULTS_LAYERS;
  hid_t runs = H5Lexists(file, "/runs", H5P_DEFAULT) > 0
                   ? H5Gopen2(file, "/runs", H5P_DEFAULT)
                   : H5Gcreate2(file, "/runs", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  hid_t run = H5Gcreate2(runs, content->run, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  results_check(run);
  results_put_texts(run, "strategies", RESULTS_STRATEGIES, labels);
  results_put_number(run, "n_steps", (int64_t)content->n_steps);
  results_put_number(run, "n_layers", RESULTS_LAYERS);
  results_put_number(run, "summary_from", content->summary_from);
  results_put_number(run, "interval", 2);
  results_put_number(run, "window", 2);
  results_put_number(run, "delay", 0);
  results_put_text(run, "trace", "hand");
  results_put_text(run, "model", "tiny-2");
  results_put_text(run, "phase", "prefill");
  hid_t space = H5Screate_simple(1, &n_layers, NULL);
  hid_t attribute = H5Acreate2(run, "layer_ids", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
  results_check(H5Awrite(attribute, H5T_NATIVE_INT32, layer_ids));
  results_check(H5Aclose(attribute));
  results_check(H5Sclose(space));
  for (size_t i = 0; i < RESULTS_STRATEGIES; i++) {
    results_put_strategy(run, labels[i], content, i);
  }
  results_check(H5Gclose(run));
  results_check(H5Gclose(runs));
}

static inline void results_write(const char *path, const results_file *content) {
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

  results_check(file);
  results_put_text(file, "format", "moebal-results");
  results_put_number(file, "version", 1);
  results_put_run(file, content);
  results_check(H5Fclose(file));
}

/** Six steps, of which the last four are scored; what is expected of them was worked out by hand.
 */
static inline results_file results_small(void) {
  static const double steps[RESULTS_STRATEGIES][6] = {{2.0, NAN, 1.5, 1.75, 1.25, 2.0},
                                                      {2.0, 1.5, 1.25, NAN, 1.5, 1.125}};
  results_file content = {.run = "tiny", .n_steps = 6, .summary_from = 2, .n_plans = 1};

  for (size_t i = 0; i < RESULTS_STRATEGIES; i++) {
    for (size_t t = 0; t < 6; t++) {
      content.step_imbalance[i][t] = steps[i][t];
      content.imbalance[i][2 * t] = (float)steps[i][t];
      content.imbalance[i][2 * t + 1] = 1.0F;
    }
  }
  content.effect_step[0] = 2;
  content.effect_step[1] = 2;
  return content;
}

static inline void results_clean(void);

/** A folder of the test's own in $TMPDIR, in a static buffer; it goes when the test ends. */
static inline const char *results_folder(void) {
  static char folder[4096];
  const char *root = getenv("TMPDIR");

  if (folder[0] == '\0') {
    (void)snprintf(folder, sizeof folder, "%s/moebal-test-XXXXXX", root != NULL ? root : "/tmp");
    if (mkdtemp(folder) == NULL) {
      perror(folder);
      exit(EXIT_FAILURE);
    }
    (void)atexit(results_clean);
  }
  return folder;
}

static inline void results_clean(void) {
  char command[4400];

  (void)snprintf(command, sizeof command, "rm -rf '%s'", results_folder());
  if (system(command) != 0) {
    (void)fprintf(stderr, "%s is left behind\n", results_folder());
  }
}

/** FOLDER/name, in one of 64 static buffers. */
static inline const char *results_path(const char *name) {
  static char paths[64][4400];
  static size_t turn;
  char *path = paths[turn++ % 64];

  (void)snprintf(path, sizeof paths[0], "%s/%s", results_folder(), name);
  return path;
}

/** A whole file as text, to be freed; NULL where it isn't there. */
static inline char *results_slurp(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  char *text = file != NULL ? calloc(1, 1 << 20) : NULL;

  if (text != NULL) {
    *size = fread(text, 1, (1 << 20) - 1, file);
  }
  if (file != NULL) {
    (void)fclose(file);
  }
  return text;
}

#endif

/* workloads/import_mcore.c - Megatron-Core's dumps of expert loads (mcore_ep_load_dump_v1).
 *
 * A file mcore_ep_loads_rankR_DATE_TIME_pidN.npz each rank of an expert-parallel group, which holds
 * the loads of that rank's own tokens: loads [L,F,P] of F forward passes, forward_counts [L] of
 * which so many are filled, layer_numbers [L] from 1, ep_group_ranks [ep_size], ep_rank, ep_size,
 * global_rank, num_global_physical_experts P, num_local_physical_experts, capture_id, dump_version.
 *
 * Each group is balanced on its own, so one group is one trace.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/folder.h"
#include "workloads/importer.h"
#include "workloads/npy.h"
#include "workloads/trace_info.h"

/* Loads that are held at a time: dumps go layer by layer, and traces step by step. */
static const size_t BLOCK_LOADS = (size_t)16 << 20;

/* Ranks of one run begin to record at about the same time. */
enum { CAPTURE_APART_MAX = 3600 };

/* Groups, layers and ranks are few. */
enum { VALUES_MAX = 1 << 14 };

typedef struct dump {
  char *path;
  mb_input input;
  mb_npz *npz;
  mb_array *loads;
  char *capture;
  int64_t *layers, *forwards, *group;
  size_t n_layers, n_group;
  int64_t ep_rank, global_rank, n_slots, n_local;
} dump;

typedef struct recording {
  dump *dumps; /* [R] */
  size_t n_dumps, n_max;
  size_t *ranks; /* [R] which dump is of each ep_rank */
  size_t n_layers, n_slots, n_steps;
  int32_t *layer_ids;
} recording;

/* --- one dump */

static mb_status fail_array(const dump *d, const char *name, const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: array %s: should be %s", d->path, name, what);
}

/* Whole numbers of an array of one dimension, or of a single number. */
static mb_status read_values(const dump *d, const char *name, size_t rank, int64_t **values,
                             size_t *n) {
  mb_array *array = NULL;
  int64_t *made = NULL;

  MB_TRY(mb_npz_array(d->npz, name, &array));
  const mb_array_info *info = mb_array_get_info(array);
  uint64_t size = info->rank == 0 ? 1 : info->dims[0];
  mb_status status = MB_OK;
  if (info->rank != rank || size < 1 || size > VALUES_MAX) {
    status = fail_array(d, name, rank == 0 ? "a single number" : "a list of 1 to 16384 numbers");
  } else if ((made = malloc((size_t)size * sizeof *made)) == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: no memory for array %s", d->path, name);
  } else {
    status = mb_array_read_ints(array, 0, (size_t)size, made);
  }
  mb_array_destroy(array);
  if (status != MB_OK) {
    free(made);
    return status;
  }
  *values = made;
  *n = (size_t)size;
  return MB_OK;
}

static mb_status read_number(const dump *d, const char *name, int64_t least, int64_t *number) {
  int64_t *value = NULL;
  size_t n = 0;

  MB_TRY(read_values(d, name, 0, &value, &n));
  *number = *value;
  free(value);
  if (*number < least || *number > (int64_t)MB_TRACE_SIZE_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: array %s: is %" PRId64 ", and should be %" PRId64 " to %zu",
                   d->path, name, *number, least, MB_TRACE_SIZE_MAX);
  }
  return MB_OK;
}

static mb_status check_version(const dump *d) {
  static const char wanted[] = "mcore_ep_load_dump_v1";
  char *version = NULL;

  MB_TRY(mb_npz_text(d->npz, "dump_version", &version));
  mb_status status = MB_OK;
  if (strcmp(version, wanted) != 0) {
    status =
        MB_FAIL(MB_ERR_UNSUPPORTED, "%s: array dump_version: is \"%.64s\", and should be \"%s\"",
                d->path, version, wanted);
  }
  free(version);
  return status;
}

/* The group has ep_size ranks, each once, and this one is where it says. */
static mb_status check_group(const dump *d) {
  if (d->ep_rank >= (int64_t)d->n_group || d->group[d->ep_rank] != d->global_rank) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: is global rank %" PRId64 " and rank %" PRId64
                   " of its group, but ep_group_ranks does not have it there",
                   d->path, d->global_rank, d->ep_rank);
  }
  for (size_t i = 1; i < d->n_group; i++) {
    for (size_t j = 0; j < i; j++) {
      if (d->group[i] == d->group[j]) {
        return MB_FAIL(MB_ERR_FORMAT, "%s: array ep_group_ranks: has rank %" PRId64 " twice",
                       d->path, d->group[i]);
      }
    }
  }
  return MB_OK;
}

static mb_status check_loads(const dump *d, size_t n_forwards) {
  const mb_array_info *info = mb_array_get_info(d->loads);

  if (info->rank != 3 || info->dims[0] != d->n_layers || info->dims[2] != (uint64_t)d->n_slots) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: array loads: should have dimensions [layers,forwards,experts], of %zu "
                   "layers and %" PRId64 " experts as the other arrays",
                   d->path, d->n_layers, d->n_slots);
  }
  if (n_forwards != d->n_layers) {
    return fail_array(d, "forward_counts", "as long as layer_numbers");
  }
  for (size_t l = 0; l < d->n_layers; l++) {
    if (d->forwards[l] < 0 || (uint64_t)d->forwards[l] > info->dims[1]) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: array forward_counts: [%zu] is %" PRId64 ", and should be 0 to %" PRIu64
                     ", the forward passes of loads",
                     d->path, l, d->forwards[l], info->dims[1]);
    }
    if (d->layers[l] < 1 || d->layers[l] > (int64_t)MB_TRACE_SIZE_MAX ||
        (l > 0 && d->layers[l] <= d->layers[l - 1])) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: array layer_numbers: [%zu] is %" PRId64 ", and should be from 1 on and "
                     "ascend",
                     d->path, l, d->layers[l]);
    }
  }
  return MB_OK;
}

static mb_status read_dump(dump *d) {
  size_t n_forwards = 0;
  int64_t ep_size = 0;

  MB_TRY(mb_npz_open(&d->input, &d->npz));
  MB_TRY(check_version(d));
  MB_TRY(mb_npz_text(d->npz, "capture_id", &d->capture));
  MB_TRY(read_number(d, "ep_rank", 0, &d->ep_rank));
  MB_TRY(read_number(d, "ep_size", 1, &ep_size));
  MB_TRY(read_number(d, "global_rank", 0, &d->global_rank));
  MB_TRY(read_number(d, "num_global_physical_experts", 1, &d->n_slots));
  MB_TRY(read_number(d, "num_local_physical_experts", 1, &d->n_local));
  MB_TRY(read_values(d, "ep_group_ranks", 1, &d->group, &d->n_group));
  MB_TRY(read_values(d, "layer_numbers", 1, &d->layers, &d->n_layers));
  MB_TRY(read_values(d, "forward_counts", 1, &d->forwards, &n_forwards));
  MB_TRY(mb_npz_array(d->npz, "loads", &d->loads));
  if (ep_size != (int64_t)d->n_group) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: ep_size is %" PRId64 ", but ep_group_ranks has %zu ranks",
                   d->path, ep_size, d->n_group);
  }
  if (d->n_local * ep_size != d->n_slots) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: num_global_physical_experts is %" PRId64 ", and should be %" PRId64
                   " times num_local_physical_experts %" PRId64,
                   d->path, d->n_slots, ep_size, d->n_local);
  }
  MB_TRY(check_group(d));
  return check_loads(d, n_forwards);
}

static void close_dump(dump *d) {
  mb_array_destroy(d->loads);
  mb_npz_destroy(d->npz);
  mb_input_close(&d->input);
  free(d->path);
  free(d->capture);
  free(d->layers);
  free(d->forwards);
  free(d->group);
}

/* --- the dumps of a group */

/* @param path Transferred, also on failure. */
static mb_status add_dump(recording *r, char *path) {
  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the names of dumps");
  }
  if (r->n_dumps == r->n_max) {
    size_t n_max = r->n_max == 0 ? 8 : 2 * r->n_max;
    dump *grown = realloc(r->dumps, n_max * sizeof *grown);
    if (grown == NULL) {
      free(path);
      return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu dumps", n_max);
    }
    r->dumps = grown;
    r->n_max = n_max;
  }
  r->dumps[r->n_dumps++] = (dump){.path = path, .input.fd = -1};
  return MB_OK;
}

static bool is_dump_name(const char *name) {
  static const char prefix[] = "mcore_ep_loads_rank";
  static const char suffix[] = ".npz";
  size_t n = strlen(name);

  return n >= sizeof prefix + sizeof suffix - 2 && strncmp(name, prefix, sizeof prefix - 1) == 0 &&
         strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
}

static mb_status add_folder(recording *r, const char *path) {
  mb_folder files = {0};

  MB_TRY(mb_folder_list(path, is_dump_name, &files));
  mb_status status = MB_OK;
  if (files.n == 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: has no file mcore_ep_loads_rank*.npz", path);
  }
  for (size_t i = 0; status == MB_OK && i < files.n; i++) {
    status = add_dump(r, mb_folder_join(path, files.names[i]));
  }
  mb_folder_fini(&files);
  return status;
}

static mb_status open_dumps(recording *r, size_t n_inputs, const mb_input *inputs,
                            mb_import *import) {
  for (size_t i = 0; i < n_inputs; i++) {
    MB_TRY(inputs[i].is_folder ? add_folder(r, inputs[i].path)
                               : add_dump(r, strdup(inputs[i].path)));
  }
  /* Only now: what is open keeps pointers into the array. */
  for (size_t i = 0; i < r->n_dumps; i++) {
    MB_TRY(mb_input_open(r->dumps[i].path, &r->dumps[i].input));
    MB_TRY(mb_import_poll(import));
    MB_TRY(read_dump(&r->dumps[i]));
  }
  return MB_OK;
}

/* "0,1,2,3", or with dots where there are too many. */
static const char *group_format(const dump *d, char text[96]) {
  size_t at = 0;

  for (size_t i = 0; i < d->n_group; i++) {
    if (at > 64) {
      (void)snprintf(text + at, 96 - at, ",...");
      break;
    }
    at += (size_t)snprintf(text + at, 96 - at, "%s%" PRId64, i > 0 ? "," : "", d->group[i]);
  }
  return text;
}

static mb_status check_same_group(const dump *a, const dump *b) {
  char mine[96];
  char other[96];

  if (a->n_group == b->n_group && memcmp(a->group, b->group, a->n_group * sizeof *a->group) == 0) {
    return MB_OK;
  }
  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: is of the expert-parallel group of ranks %s, and %s of %s: each group is "
                 "balanced on its own, so give the files of one group's ranks",
                 b->path, group_format(b, mine), a->path, group_format(a, other));
}

static mb_status check_same_layers(const dump *a, const dump *b) {
  if (a->n_slots != b->n_slots) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %" PRId64 " experts, and should have %" PRId64 " as %s",
                   b->path, b->n_slots, a->n_slots, a->path);
  }
  if (a->n_layers != b->n_layers) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %zu layers, and should have %zu as %s", b->path,
                   b->n_layers, a->n_layers, a->path);
  }
  for (size_t l = 0; l < a->n_layers; l++) {
    if (a->layers[l] != b->layers[l]) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: layer_numbers[%zu] is %" PRId64 ", and should be %" PRId64 " as in %s",
                     b->path, l, b->layers[l], a->layers[l], a->path);
    }
  }
  return MB_OK;
}

/* Days since 1970 of a date of the Gregorian calendar, March being the first month. */
static int64_t days_since_epoch(int year, int month, int day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t m = month <= 2 ? month + 9 : month - 3;

  return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* "20251124_135959_pid17": when that rank began. @return whether it is one of those. */
static bool capture_time(const char *capture, int64_t *seconds) {
  int value[6];
  static const size_t digits[6] = {4, 2, 2, 2, 2, 2};

  for (size_t i = 0; i < 6; i++) {
    if (i == 3 && *capture++ != '_') {
      return false;
    }
    value[i] = 0;
    for (size_t j = 0; j < digits[i]; j++, capture++) {
      if (*capture < '0' || *capture > '9') {
        return false;
      }
      value[i] = 10 * value[i] + (*capture - '0');
    }
  }
  *seconds = days_since_epoch(value[0], value[1], value[2]) * 86400 + (int64_t)value[3] * 3600 +
             (int64_t)value[4] * 60 + value[5];
  return *capture == '_';
}

/* A capture_id has the time and the process, which differ from rank to rank also within one run. */
static mb_status check_same_run(const dump *a, const dump *b) {
  int64_t began = 0;
  int64_t other = 0;

  if (!capture_time(a->capture, &other) || !capture_time(b->capture, &began) ||
      llabs(began - other) <= CAPTURE_APART_MAX) {
    return MB_OK;
  }
  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: is capture %.48s, and %s is %.48s: they began %lld s apart, so they are not "
                 "of one run",
                 b->path, b->capture, a->path, a->capture, llabs(began - other));
}

/* Every rank of one group, once. */
static mb_status arrange_dumps(recording *r) {
  const dump *first = r->dumps;

  if (r->n_dumps == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "there is no dump to be read");
  }
  r->ranks = calloc(first->n_group, sizeof *r->ranks);
  if (r->ranks == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu ranks", first->n_group);
  }
  for (size_t i = 1; i < r->n_dumps; i++) {
    MB_TRY(check_same_group(first, &r->dumps[i]));
  }
  for (size_t i = 0; i < first->n_group; i++) {
    const dump *found = NULL;
    for (size_t j = 0; j < r->n_dumps; j++) {
      const dump *d = &r->dumps[j];
      if (d->ep_rank == (int64_t)i && found != NULL) {
        return MB_FAIL(MB_ERR_FORMAT,
                       "%s: is of rank %" PRId64 ", and so is %s (captures %.48s and %.48s): give "
                       "the files of one run",
                       d->path, d->global_rank, found->path, d->capture, found->capture);
      }
      found = d->ep_rank == (int64_t)i ? d : found;
    }
    if (found == NULL) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: is of an expert-parallel group of %zu ranks, and rank %" PRId64
                     " of it is missing: give the files of all",
                     first->path, first->n_group, first->group[i]);
    }
    MB_TRY(check_same_layers(first, found));
    MB_TRY(check_same_run(first, found));
    r->ranks[i] = (size_t)(found - r->dumps);
  }
  return MB_OK;
}

/* As many steps as every layer of every rank has. */
static mb_status count_steps(recording *r, mb_import *import) {
  int64_t least = INT64_MAX;
  int64_t most = 0;
  const dump *shortest = NULL;

  for (size_t i = 0; i < r->n_dumps; i++) {
    for (size_t l = 0; l < r->n_layers; l++) {
      int64_t n = r->dumps[i].forwards[l];
      shortest = n < least ? &r->dumps[i] : shortest;
      least = n < least ? n : least;
      most = n > most ? n : most;
    }
  }
  if (least == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has a layer without any forward pass", shortest->path);
  }
  if (least < most) {
    mb_import_note(import,
                   "%" PRId64 " to %" PRId64
                   " forward passes were recorded, by rank and layer: the "
                   "first %" PRId64 " are taken, which all have (%s has the fewest)",
                   least, most, least, shortest->path);
  }
  r->n_steps = (size_t)least;
  return MB_OK;
}

static mb_status plan_steps(recording *r, mb_import *import) {
  const dump *first = &r->dumps[0];
  size_t n_partial = 0;

  r->n_layers = first->n_layers;
  r->n_slots = (size_t)first->n_slots;
  MB_TRY(mb_trace_sizes_check(first->path, r->n_layers, r->n_slots));
  MB_TRY(mb_trace_sizes_check(first->path, r->n_layers * r->n_dumps, r->n_slots));
  r->layer_ids = calloc(r->n_layers, sizeof *r->layer_ids);
  if (r->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the ids of %zu layers", first->path,
                   r->n_layers);
  }
  for (size_t l = 0; l < r->n_layers; l++) {
    r->layer_ids[l] = (int32_t)(first->layers[l] - 1);
  }
  for (size_t i = 0; i < r->n_dumps; i++) {
    n_partial += strstr(r->dumps[i].path, "_partial.npz") != NULL ? 1 : 0;
  }
  if (n_partial > 0) {
    mb_import_note(
        import,
        "%zu of %zu dumps are partial: the run ended before all forward passes that were "
        "asked for",
        n_partial, r->n_dumps);
  }
  return count_steps(r, import);
}

/* --- steps */

/* Steps [first, first + n) of all ranks and layers. @param block [R,L,n,P] */
static mb_status read_block(const recording *r, size_t first, size_t n, uint32_t *block) {
  size_t size = n * r->n_slots;

  for (size_t i = 0; i < r->n_dumps; i++) {
    for (size_t l = 0; l < r->n_layers; l++) {
      MB_TRY(mb_array_read_part(r->dumps[r->ranks[i]].loads, l, first * r->n_slots, size,
                                block + (i * r->n_layers + l) * size));
    }
  }
  return MB_OK;
}

/* @param load [L,R,P] */
static void take_step(const recording *r, const uint32_t *block, size_t n, size_t t,
                      uint64_t *load) {
  for (size_t l = 0; l < r->n_layers; l++) {
    for (size_t i = 0; i < r->n_dumps; i++) {
      const uint32_t *from = block + ((i * r->n_layers + l) * n + t) * r->n_slots;
      for (size_t p = 0; p < r->n_slots; p++) {
        *load++ = from[p];
      }
    }
  }
}

static mb_status read_steps(const recording *r, mb_import *import) {
  size_t step_size = r->n_dumps * r->n_layers * r->n_slots;
  size_t n_max = BLOCK_LOADS / step_size > 0 ? BLOCK_LOADS / step_size : 1;

  n_max = n_max < r->n_steps ? n_max : r->n_steps;
  uint32_t *block = malloc(n_max * step_size * sizeof *block);
  uint64_t *load = malloc(step_size * sizeof *load);
  mb_status status = block != NULL && load != NULL
                         ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for a step", r->dumps[0].path);
  for (size_t first = 0; status == MB_OK && first < r->n_steps; first += n_max) {
    size_t n = r->n_steps - first < n_max ? r->n_steps - first : n_max;
    status = read_block(r, first, n, block);
    for (size_t t = 0; status == MB_OK && t < n; t++) {
      take_step(r, block, n, t, load);
      status = mb_import_step(import, load, NULL);
    }
  }
  free(block);
  free(load);
  return status;
}

static mb_status read_recording(recording *r, size_t n_inputs, const mb_input *inputs,
                                mb_import *import) {
  MB_TRY(open_dumps(r, n_inputs, inputs, import));
  MB_TRY(arrange_dumps(r));
  MB_TRY(plan_steps(r, import));
  const mb_import_facts facts = {.n_layers = r->n_layers,
                                 .n_experts = r->n_slots,
                                 .n_sources = r->n_dumps,
                                 .layer_ids = r->layer_ids,
                                 .phase = "train",
                                 .counts = "from_physical",
                                 .semantics = MB_SEMANTICS_ATTENTION_DP,
                                 .steps_per_record = 1};
  MB_TRY(mb_import_begin(import, &inputs[0], &facts));
  mb_import_note(import, "the dumps count slots (physical experts) and hold no map: each slot is "
                         "taken for an expert of its own");
  mb_import_note(import, "Megatron numbers layers from 1, the trace from 0");
  return read_steps(r, import);
}

static mb_status read_inputs(size_t n_inputs, const mb_input *inputs,
                             const mb_import_options *options, mb_import *import) {
  recording r = {0};

  (void)options;
  assert(n_inputs >= 1);
  mb_status status = read_recording(&r, n_inputs, inputs, import);
  for (size_t i = 0; i < r.n_dumps; i++) {
    close_dump(&r.dumps[i]);
  }
  free(r.dumps);
  free(r.ranks);
  free(r.layer_ids);
  return status;
}

static bool recognise(const mb_input *input) {
  mb_folder files = {0};
  mb_npz *npz = NULL;

  if (input->is_folder) {
    bool some = mb_folder_list(input->path, is_dump_name, &files) == MB_OK && files.n > 0;
    mb_folder_fini(&files);
    return some;
  }
  if (mb_npz_open(input, &npz) != MB_OK) {
    return false;
  }
  bool has = mb_npz_has(npz, "dump_version") && mb_npz_has(npz, "ep_group_ranks");
  mb_npz_destroy(npz);
  return has;
}

const mb_importer mb_importer_mcore = {
    .name = "mcore",
    .summary = "Megatron-Core's dumps of expert loads in training: mcore_ep_loads_rank*.npz of an "
               "expert-parallel group, or their folder",
    .recognise = recognise,
    .joint = true,
    .read = read_inputs,
};

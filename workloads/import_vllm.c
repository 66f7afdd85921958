/* workloads/import_vllm.c - what vLLM's balancer dumps: snapshots of the loads of its physical
 * experts, as one JSON object with "snapshots" or as JSON Lines, each line a snapshot that may also
 * say what the object says. Loads are those of slots; the snapshot's physical_to_logical_map makes
 * them loads of experts. The other kind of input, recorded requests, is in vllm_requests.c.
 *
 * Which of its two loads is a step: latest_expert_load is one forward pass, and was counted under
 * the very map that stands beside it. window_expert_load is a sum over window_size passes, has less
 * noise, but smooths what a pass really has, counts passes twice where snapshots are close, and may
 * reach back beyond a rebalance, to loads under another map. So the first is the default.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/importer.h"
#include "workloads/json_stream.h"
#include "workloads/vllm_requests.h"

enum { LAYERS_MAX = 4096, SLOTS_MAX = 65536, NAME_SIZE = 256 };

static const mb_json_bounds loads = {.what = "the load of a slot",
                                     .min = 0,
                                     .max = UINT32_MAX,
                                     .rows_max = LAYERS_MAX,
                                     .row_max = SLOTS_MAX};
static const mb_json_bounds maps = {.what = "an expert, or -1 for none",
                                    .min = -1,
                                    .max = SLOTS_MAX - 1,
                                    .rows_max = LAYERS_MAX,
                                    .row_max = SLOTS_MAX,
                                    .row_too = true};

/* All the fields that are looked at, of the file and of a snapshot. */
enum {
  N_LAYERS,
  N_SLOTS,
  N_EXPERTS,
  WINDOW_SIZE,
  MODEL_NAME,
  SNAPSHOTS,
  STEP,
  WINDOW,
  LATEST,
  MAP,
  N_FIELDS
};
static const char *const fields[N_FIELDS] = {
    [N_LAYERS] = "num_moe_layers",
    [N_SLOTS] = "num_physical_experts",
    [N_EXPERTS] = "num_logical_experts",
    [WINDOW_SIZE] = "window_size",
    [MODEL_NAME] = "model_name",
    [SNAPSHOTS] = "snapshots",
    [STEP] = "step",
    [WINDOW] = "window_expert_load",
    [LATEST] = "latest_expert_load",
    [MAP] = "physical_to_logical_map",
};

static bool has(uint64_t seen, size_t field) {
  return (seen >> field & 1) != 0;
}

/* What the file says of all its snapshots; 0 and "" where it doesn't. */
typedef struct header {
  int64_t counts[WINDOW_SIZE + 1]; /* by field */
  char model[NAME_SIZE];
} header;

typedef struct reader {
  mb_json *json;
  const mb_input *input;
  mb_import *import;
  header header;
  bool is_header; /* the header alone is read: snapshots are passed over */

  int chosen;                        /* WINDOW or LATEST; -1: whichever the first snapshot has */
  mb_json_table window, latest, map; /* [L,P] of the snapshot, map: or of one before */
  int64_t step;
  uint64_t *load; /* [L,E] */
  size_t n_layers, n_slots, n_experts;

  size_t n_snapshots;
  int64_t step_before, apart_min, apart_max; /* steps between snapshots */
} reader;

/* --- the header */

static mb_status read_header_count(reader *r, size_t field) {
  int64_t most = field == N_LAYERS ? LAYERS_MAX : field == WINDOW_SIZE ? INT32_MAX : SLOTS_MAX;
  int64_t count;

  MB_TRY(mb_json_whole(r->json, fields[field], 1, most, &count));
  int64_t *known = &r->header.counts[field];
  if (*known != 0 && *known != count) {
    return MB_JSON_FAIL(r->json, "is %" PRId64 ", and should be %" PRId64 ", as before", count,
                        *known);
  }
  *known = count;
  return MB_OK;
}

static mb_status read_header_model(reader *r) {
  char name[NAME_SIZE];

  MB_TRY(mb_json_text(r->json, "the model", false, sizeof name, name));
  if (r->header.model[0] != '\0' && strcmp(name, r->header.model) != 0) {
    return MB_JSON_FAIL(r->json, "is %s, and should be %s, as before", name, r->header.model);
  }
  memcpy(r->header.model, name, sizeof name);
  return MB_OK;
}

/* --- from slots to experts */

static mb_status begin(reader *r) {
  int64_t said = r->header.counts[N_EXPERTS];
  int64_t most = -1;

  for (size_t i = 0; i < r->map.n_rows * r->map.n_columns; i++) {
    most = r->map.values[i] > most ? r->map.values[i] : most;
  }
  if (most < 0) {
    return MB_JSON_FAIL(r->json, "has no expert in its physical_to_logical_map");
  }
  r->n_experts = (size_t)(said != 0 ? said : most + 1);
  if (r->n_experts > r->n_slots) {
    return MB_JSON_FAIL(r->json,
                        "has %zu experts, and should have at most %zu, as many as slots: every "
                        "expert has one",
                        r->n_experts, r->n_slots);
  }
  if (said == 0) {
    mb_import_note(r->import, "%zu experts: as many as the maps of %s name", r->n_experts,
                   r->input->path);
  }
  mb_import_facts facts = {
      .n_layers = r->n_layers,
      .n_experts = r->n_experts,
      .n_sources = 1,
      .model = r->header.model[0] != '\0' ? r->header.model : NULL,
      .counts = "from_physical",
      .steps_per_record = r->chosen == WINDOW ? r->header.counts[WINDOW_SIZE] : 1,
  };
  MB_TRY(mb_import_begin(r->import, r->input, &facts));
  r->load = malloc(r->n_layers * r->n_experts * sizeof *r->load);
  return r->load != NULL ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts of %s",
                                   r->n_layers, r->n_experts, r->input->path);
}

static mb_status add_layer(const reader *r, size_t l, const int64_t *load) {
  const int64_t *map = r->map.values + (r->map.n_rows == 1 ? 0 : l * r->n_slots);
  uint64_t *out = r->load + l * r->n_experts;

  memset(out, 0, r->n_experts * sizeof *out);
  for (size_t p = 0; p < r->n_slots; p++) {
    if (map[p] >= (int64_t)r->n_experts) {
      return MB_JSON_FAIL(r->json,
                          "physical_to_logical_map[%zu][%zu] is %" PRId64
                          ", and should be -1 to %zu: there are %zu experts",
                          l, p, map[p], r->n_experts - 1, r->n_experts);
    }
    if (map[p] < 0 && load[p] != 0) {
      return MB_JSON_FAIL(r->json,
                          "layer %zu's slot %zu holds no expert (-1), but has a load of %" PRId64
                          ", and should have 0",
                          l, p, load[p]);
    }
    if (map[p] >= 0) {
      out[map[p]] += (uint64_t)load[p];
    }
  }
  return MB_OK;
}

static mb_status check_shape(const reader *r, const char *name, const mb_json_table *table,
                             bool row_too) {
  bool fits = table->n_columns == r->n_slots &&
              (table->n_rows == r->n_layers || (row_too && table->n_rows == 1));

  return fits ? MB_OK
              : MB_JSON_FAIL(r->json,
                             "%s has %zu layers of %zu slots, and should have %zu of %zu, as %s",
                             name, table->n_rows, table->n_columns, r->n_layers, r->n_slots,
                             r->n_snapshots == 0 ? "the loads" : "the first snapshot's loads");
}

/* What the file says of its sizes may stand on any line. */
static mb_status check_header(const reader *r) {
  const struct {
    size_t field, found;
  } sizes[] = {{N_LAYERS, r->n_layers}, {N_SLOTS, r->n_slots}, {N_EXPERTS, r->n_experts}};

  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int64_t said = r->header.counts[sizes[i].field];
    if (said != 0 && sizes[i].found != 0 && said != (int64_t)sizes[i].found) {
      return MB_JSON_FAIL(r->json, "%s is %" PRId64 ", and should be %zu, as the loads have it",
                          fields[sizes[i].field], said, sizes[i].found);
    }
  }
  return MB_OK;
}

/* --- snapshots */

static mb_status check_step(reader *r) {
  int64_t apart = r->step - r->step_before;

  if (r->n_snapshots > 0 && apart <= 0) {
    return MB_JSON_FAIL(r->json,
                        "is of step %" PRId64 " and comes after step %" PRId64
                        ": steps should ascend; where a restarted server went on with the file, "
                        "split it there",
                        r->step, r->step_before);
  }
  if (r->n_snapshots > 0) {
    r->apart_min = r->n_snapshots == 1 || apart < r->apart_min ? apart : r->apart_min;
    r->apart_max = apart > r->apart_max ? apart : r->apart_max;
  }
  r->step_before = r->step;
  return MB_OK;
}

/* An object of the file has ended that brought loads. */
static mb_status take_snapshot(reader *r, uint64_t seen) {
  if (!has(seen, STEP)) {
    return MB_JSON_FAIL(r->json, "has no step, and should have one: the number of a forward pass");
  }
  MB_TRY(check_step(r));
  if (r->chosen < 0) {
    r->chosen = has(seen, LATEST) ? LATEST : WINDOW;
  }
  if (!has(seen, (size_t)r->chosen)) {
    return MB_JSON_FAIL(r->json, "has no %s, and should have one: [L][P] loads", fields[r->chosen]);
  }
  if (r->map.n_rows == 0) {
    return MB_JSON_FAIL(r->json, "has no physical_to_logical_map, and none came before: nobody "
                                 "says which experts its slots hold");
  }
  const mb_json_table *load = r->chosen == WINDOW ? &r->window : &r->latest;
  if (r->n_snapshots == 0) {
    r->n_layers = load->n_rows;
    r->n_slots = load->n_columns;
  }
  MB_TRY(check_header(r));
  MB_TRY(check_shape(r, fields[r->chosen], load, false));
  MB_TRY(check_shape(r, fields[MAP], &r->map, true));
  if (r->n_snapshots == 0) {
    MB_TRY(begin(r));
  }
  for (size_t l = 0; l < r->n_layers; l++) {
    MB_TRY(add_layer(r, l, load->values + l * r->n_slots));
  }
  r->n_snapshots++;
  return mb_import_step(r->import, r->load, NULL);
}

static mb_status read_object(reader *r, bool at_top);

static mb_status read_snapshots(reader *r) {
  bool more;

  if (r->is_header) {
    return mb_json_skip(r->json);
  }
  MB_TRY(mb_json_array(r->json));
  for (;;) {
    MB_TRY(mb_json_item(r->json, &more));
    if (!more) {
      return MB_OK;
    }
    MB_TRY(read_object(r, false));
  }
}

static mb_status read_load(reader *r, size_t field) {
  if (r->is_header || (r->chosen >= 0 && r->chosen != (int)field)) {
    return mb_json_skip(r->json);
  }
  return mb_json_table_read(r->json, &loads, field == WINDOW ? &r->window : &r->latest);
}

static mb_status read_field(reader *r, size_t field, bool at_top) {
  switch (field) {
  case MODEL_NAME:
    return read_header_model(r);
  case SNAPSHOTS:
    return at_top ? read_snapshots(r) : mb_json_skip(r->json);
  case STEP:
    return mb_json_whole(r->json, "the number of a forward pass", 0, INT64_MAX, &r->step);
  case WINDOW:
  case LATEST:
    return read_load(r, field);
  case MAP:
    return r->is_header ? mb_json_skip(r->json) : mb_json_table_read(r->json, &maps, &r->map);
  default:
    return read_header_count(r, field);
  }
}

/* The file's object, a line, or an element of "snapshots". */
static mb_status read_object(reader *r, bool at_top) {
  uint64_t seen = 0;
  size_t field;

  MB_TRY(mb_json_object(r->json));
  for (;;) {
    MB_TRY(mb_json_field(r->json, N_FIELDS, fields, &seen, &field));
    if (field == N_FIELDS) {
      break;
    }
    MB_TRY(read_field(r, field, at_top));
  }
  if (r->is_header) {
    return MB_OK;
  }
  bool has_load = has(seen, WINDOW) || has(seen, LATEST);
  if (has_load && has(seen, SNAPSHOTS)) {
    return MB_JSON_FAIL(r->json, "has snapshots and loads of its own, and should have one of them");
  }
  return has_load || !at_top ? take_snapshot(r, seen) : MB_OK;
}

/* Headers may stand behind their snapshots, so the first object is read for its header alone before
   all are read for their loads. Files of one object are parsed twice, which is cheaper than to keep
   it. */
static mb_status read_pass(reader *r, bool is_header) {
  bool more;

  r->is_header = is_header;
  MB_TRY(mb_json_open(r->input, &r->json));
  for (;;) {
    MB_TRY(mb_json_more(r->json, &more));
    if (!more) {
      return MB_OK;
    }
    MB_TRY(read_object(r, true));
    if (is_header) {
      return MB_OK;
    }
  }
}

/* --- the whole */

static void tell(const reader *r) {
  const char *path = r->input->path;
  int64_t window = r->header.counts[WINDOW_SIZE];

  mb_import_note(r->import, "slots' loads were added up to experts' by each snapshot's "
                            "physical_to_logical_map, as the placement that they were counted in");
  if (r->chosen == LATEST) {
    mb_import_note(r->import,
                   "%s: a step is a snapshot's latest_expert_load, one forward pass; "
                   "--dataset window takes the sums over its window instead",
                   path);
  } else {
    mb_import_note(r->import,
                   "%s: a step is a snapshot's window_expert_load, a sum over up to "
                   "window_size forward passes, which is %" PRId64 "%s",
                   path, window, window == 0 ? ": not said" : "");
  }
  if (r->n_snapshots > 1 && r->apart_max > 1) {
    char apart[64];
    int n = snprintf(apart, sizeof apart, "%" PRId64, r->apart_min);
    if (r->apart_min < r->apart_max && n > 0) {
      (void)snprintf(apart + n, sizeof apart - (size_t)n, " to %" PRId64, r->apart_max);
    }
    mb_import_note(r->import,
                   "%s: snapshots are %s forward passes apart; what lies between is not in the "
                   "file",
                   path, apart);
  }
  if (r->chosen == WINDOW && r->n_snapshots > 1 && r->apart_min < window) {
    mb_import_note(r->import,
                   "%s: windows of %" PRId64 " passes overlap where snapshots are %" PRId64
                   " apart: those passes count twice",
                   path, window, r->apart_min);
  }
}

static mb_status read_snapshot_file(const mb_input *input, int chosen, mb_import *import) {
  reader r = {.input = input, .import = import, .chosen = chosen};

  mb_status status = read_pass(&r, true);
  mb_json_destroy(r.json);
  r.json = NULL;
  if (status == MB_OK) {
    status = read_pass(&r, false);
  }
  if (status == MB_OK && r.n_snapshots == 0) {
    status = MB_FAIL(MB_ERR_FORMAT,
                     "%s: has no snapshot, and should have some, each with window_expert_load or "
                     "latest_expert_load",
                     input->path);
  }
  if (status == MB_OK) {
    tell(&r);
  }
  mb_json_table_free(&r.window);
  mb_json_table_free(&r.latest);
  mb_json_table_free(&r.map);
  free(r.load);
  mb_json_destroy(r.json);
  return status;
}

static mb_status choose(const char *dataset, int *chosen) {
  *chosen = -1;
  if (dataset == NULL) {
    return MB_OK;
  }
  *chosen = strcmp(dataset, "latest") == 0 ? LATEST : strcmp(dataset, "window") == 0 ? WINDOW : -1;
  return *chosen >= 0 ? MB_OK
                      : MB_FAIL(MB_ERR_PARAM,
                                "--dataset %s is none of vLLM's loads, which are latest and window",
                                dataset);
}

static const char zip_magic[] = "PK\003\004";

/* A folder can be nothing else. */
static bool is_requests(const mb_input *input) {
  return input->is_folder || mb_input_begins(input, zip_magic, 4);
}

static mb_status read_vllm(size_t n_inputs, const mb_input *inputs,
                           const mb_import_options *options, mb_import *import) {
  size_t n_zips = 0;
  int chosen;

  for (size_t i = 0; i < n_inputs; i++) {
    n_zips += is_requests(&inputs[i]);
    if (n_zips != 0 && n_zips != i + 1) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s and %s: recorded requests (.npz) and snapshots (JSON) don't fit together",
                     inputs[0].path, inputs[i].path);
    }
  }
  if (n_zips > 0 && options->dataset != NULL) {
    return MB_FAIL(MB_ERR_PARAM, "%s: --dataset %s is for snapshots, and these are requests",
                   inputs[0].path, options->dataset);
  }
  if (n_zips > 0) {
    return mb_vllm_requests_read(n_inputs, inputs, options, import);
  }
  if (options->serving_option != NULL) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: %s holds snapshots of loads, not requests that could be served together",
                   options->serving_option, inputs[0].path);
  }
  MB_TRY(choose(options->dataset, &chosen));
  for (size_t i = 0; i < n_inputs; i++) {
    MB_TRY(read_snapshot_file(&inputs[i], chosen, import));
  }
  return MB_OK;
}

static bool recognise_vllm(const mb_input *input) {
  static const char *const names[] = {"window_expert_load", "latest_expert_load",
                                      "num_physical_experts", "num_redundant_experts"};

  return is_requests(input) ? mb_vllm_requests_recognise(input)
                            : mb_json_begins_with(input, sizeof names / sizeof *names, names);
}

const mb_importer mb_importer_vllm = {
    .name = "vllm",
    .summary = "expert load dumps of vLLM's balancer (JSON, JSON Lines), and routed_experts of "
               "requests (.npz, or a folder of them)",
    .recognise = recognise_vllm,
    .joint = true,
    .takes_dataset = true,
    .takes_serving = true,
    .read = read_vllm,
};

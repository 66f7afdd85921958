/* workloads/import_adrs.c - expert-load.json of the ADRS benchmark of expert placement
 * (OpenEvolve): {"load_history": [{"logical_expert_load": [[..E..], ..L..], ...}, ...], ...}. All
 * other fields are passed over. Memory: one record.
 */
#include <stdlib.h>

#include "workloads/importer.h"
#include "workloads/json_stream.h"

static const mb_json_bounds loads = {.what = "the load of an expert",
                                     .min = 0,
                                     .max = UINT32_MAX,
                                     .rows_max = 4096,
                                     .row_max = 65536};

typedef struct reader {
  mb_json *json;
  const mb_input *input;
  mb_import *import;
  mb_json_table load; /* [L,E] of the record */
  uint64_t *step;     /* [L,E] */
  size_t n_records, n_layers, n_experts;
} reader;

static mb_status begin(reader *r) {
  r->n_layers = r->load.n_rows;
  r->n_experts = r->load.n_columns;
  r->step = malloc(r->n_layers * r->n_experts * sizeof *r->step);
  if (r->step == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts of %s", r->n_layers,
                   r->n_experts, r->input->path);
  }
  mb_import_facts facts = {.n_layers = r->n_layers, .n_experts = r->n_experts, .n_sources = 1};
  return mb_import_begin(r->import, r->input, &facts);
}

static mb_status read_load(reader *r) {
  MB_TRY(mb_json_table_read(r->json, &loads, &r->load));
  if (r->n_records == 0) {
    MB_TRY(begin(r));
  }
  if (r->load.n_rows != r->n_layers || r->load.n_columns != r->n_experts) {
    return MB_JSON_FAIL(r->json,
                        "has %zu layers of %zu experts, and should have %zu of %zu, as the records "
                        "before it",
                        r->load.n_rows, r->load.n_columns, r->n_layers, r->n_experts);
  }
  for (size_t i = 0; i < r->n_layers * r->n_experts; i++) {
    r->step[i] = (uint64_t)r->load.values[i];
  }
  r->n_records++;
  return mb_import_step(r->import, r->step, NULL);
}

static mb_status read_record(reader *r) {
  static const char *const names[] = {"logical_expert_load"};
  uint64_t seen = 0;
  size_t which;

  MB_TRY(mb_json_object(r->json));
  for (;;) {
    MB_TRY(mb_json_field(r->json, 1, names, &seen, &which));
    if (which == 1) {
      break;
    }
    MB_TRY(read_load(r));
  }
  if (seen == 0) {
    return MB_JSON_FAIL(r->json, "has no logical_expert_load, and should have one: [L][E] loads");
  }
  return MB_OK;
}

static mb_status read_history(reader *r) {
  bool more;

  MB_TRY(mb_json_array(r->json));
  for (;;) {
    MB_TRY(mb_json_item(r->json, &more));
    if (!more) {
      break;
    }
    MB_TRY(read_record(r));
  }
  if (r->n_records == 0) {
    return MB_JSON_FAIL(r->json, "load_history is empty, and should have a record a step");
  }
  return MB_OK;
}

static const char *const top_names[] = {"load_history"};

static mb_status read_file(reader *r) {
  uint64_t seen = 0;
  size_t which;
  bool more;

  MB_TRY(mb_json_object(r->json));
  for (;;) {
    MB_TRY(mb_json_field(r->json, 1, top_names, &seen, &which));
    if (which == 1) {
      break;
    }
    MB_TRY(read_history(r));
  }
  if (seen == 0) {
    return MB_JSON_FAIL(r->json, "has no load_history, and should have one: an array of records");
  }
  MB_TRY(mb_json_more(r->json, &more));
  return more ? MB_JSON_FAIL(r->json, "something follows after the end of the object") : MB_OK;
}

static mb_status read_adrs(size_t n_inputs, const mb_input *inputs,
                           const mb_import_options *options, mb_import *import) {
  (void)options;
  for (size_t i = 0; i < n_inputs; i++) {
    reader r = {.input = &inputs[i], .import = import};
    MB_TRY(mb_json_open(r.input, &r.json));
    mb_status status = read_file(&r);
    mb_json_table_free(&r.load);
    free(r.step);
    mb_json_destroy(r.json);
    MB_TRY(status);
  }
  return MB_OK;
}

static bool recognise_adrs(const mb_input *input) {
  return mb_json_begins_with(input, 1, top_names);
}

const mb_importer mb_importer_adrs = {
    .name = "adrs",
    .summary = "expert-load.json of the ADRS / OpenEvolve benchmark: load_history",
    .recognise = recognise_adrs,
    .read = read_adrs,
};

/* workloads/import_tokens.c - JSON Lines of routing decisions, of two recorders:
 *
 * moe-balance, a line a batch and layer: {"layer": 3, "batch_id": 12, "topk_experts": [[..k..],
 * ..T..]}, with origin_rows, topk_weights, request_id and source_file passed over. What its
 * converter makes a batch is a request, its tokens in order; so they are served together anew.
 *
 * vLLM-MoE-Logger, a line a token and layer behind a line "type": "meta": {"type": "route",
 * "req_id": "r1", "token_idx": 0, "layer": 3, "topk_ids": [..k..]}. Where token_idx ascends within
 * a req_id, that is a request. But as vLLM knows of no request where that logger sits, its files
 * have one req_id, and token_idx is the place in a forward pass, from 0 in each: then the passes
 * are the steps, and there is nothing to be served.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/importer.h"
#include "workloads/json_stream.h"
#include "workloads/routed.h"
#include "workloads/serving.h"

enum { NAME_SIZE = 256, PASS_NAME_SIZE = NAME_SIZE + 32 };

static const mb_json_bounds chosen = {.what = "an expert",
                                      .min = 0,
                                      .max = MB_ROUTED_EXPERTS_MAX - 1,
                                      .rows_max = 1 << 24,
                                      .row_max = MB_ROUTED_TOP_K_MAX};

enum {
  TYPE,
  MODEL_ID,
  TOP_K,
  N_EXPERTS,
  REQ_ID,
  TOKEN_IDX,
  LAYER,
  TOPK_IDS,
  BATCH_ID,
  TOPK_EXPERTS,
  N_FIELDS
};
static const char *const fields[N_FIELDS] = {
    [TYPE] = "type",         [MODEL_ID] = "model_id",
    [TOP_K] = "top_k",       [N_EXPERTS] = "num_experts",
    [REQ_ID] = "req_id",     [TOKEN_IDX] = "token_idx",
    [LAYER] = "layer",       [TOPK_IDS] = "topk_ids",
    [BATCH_ID] = "batch_id", [TOPK_EXPERTS] = "topk_experts",
};

static uint64_t bit(size_t field) {
  return (uint64_t)1 << field;
}

/* What a line says. */
typedef struct line {
  uint64_t seen;
  char type[16], id[NAME_SIZE];
  int64_t token, layer, top_k, n_experts;
  mb_json_table experts; /* [T,k]; of a route [1,k] */
} line;

typedef struct reader {
  mb_json *json;
  mb_import *import;
  mb_routed *routed;
  char model[NAME_SIZE];
  int64_t top_k; /* as a meta line says; 0: none did */
  line line;
  bool has_batches;
  char req_id[NAME_SIZE];            /* the first; "" before it */
  bool has_req_ids;                  /* more than that one */
  bool has_passes;                   /* token_idx began anew, so requests here are passes */
  size_t pass[MB_ROUTED_LAYERS_MAX]; /* [L] the pass that a layer is in, as layers came */
} reader;

static mb_status read_field(reader *r, size_t field) {
  line *at = &r->line;

  switch (field) {
  case TYPE:
    return mb_json_text(r->json, "\"meta\" or \"route\"", false, sizeof at->type, at->type);
  case MODEL_ID:
    return mb_json_text(r->json, "the model", false, sizeof r->model, r->model);
  case TOP_K:
    return mb_json_whole(r->json, "experts a token", 1, MB_ROUTED_TOP_K_MAX, &at->top_k);
  case N_EXPERTS:
    return mb_json_whole(r->json, "the number of experts", 1, MB_ROUTED_EXPERTS_MAX,
                         &at->n_experts);
  case REQ_ID:
  case BATCH_ID:
    return mb_json_text(r->json, "a request's name", true, sizeof at->id, at->id);
  case TOKEN_IDX:
    return mb_json_whole(r->json, "a token's place", 0, INT64_MAX - 1, &at->token);
  case LAYER:
    return mb_json_whole(r->json, "a layer's number", 0, INT32_MAX, &at->layer);
  case TOPK_IDS:
    return mb_json_row_read(r->json, &chosen, &at->experts);
  default:
    return mb_json_table_read(r->json, &chosen, &at->experts);
  }
}

static mb_status read_fields(reader *r) {
  line *at = &r->line;
  size_t field;

  at->seen = 0;
  MB_TRY(mb_json_object(r->json));
  for (;;) {
    MB_TRY(mb_json_field(r->json, N_FIELDS, fields, &at->seen, &field));
    if (field == N_FIELDS) {
      return MB_OK;
    }
    if ((field == TOPK_EXPERTS && (at->seen & bit(TOPK_IDS)) != 0) ||
        (field == TOPK_IDS && (at->seen & bit(TOPK_EXPERTS)) != 0)) {
      return MB_JSON_FAIL(r->json, "has topk_ids and topk_experts, and should have one of them");
    }
    MB_TRY(read_field(r, field));
  }
}

static mb_status require(const reader *r, size_t field) {
  return (r->line.seen & bit(field)) != 0
             ? MB_OK
             : MB_JSON_FAIL(r->json, "has no %s, and should have one", fields[field]);
}

/* What the recording of decisions complained of, with the place in the file before it. */
static mb_status append(reader *r, size_t request, const int64_t *experts) {
  mb_status status =
      mb_routed_append(r->routed, request, r->line.layer, r->line.experts.n_columns, experts);

  if (status == MB_OK || status == MB_ERR_MEMORY) {
    return status;
  }
  char what[512];
  (void)snprintf(what, sizeof what, "%s", mb_error_message());
  return MB_JSON_FAIL(r->json, "layer %" PRId64 ": %s", r->line.layer, what);
}

/* --- moe-balance */

static mb_status take_batch(reader *r) {
  const line *at = &r->line;
  size_t request = 0;

  MB_TRY(require(r, BATCH_ID));
  MB_TRY(require(r, LAYER));
  MB_TRY(mb_routed_request(r->routed, at->id, &request));
  if (mb_routed_n_tokens(r->routed, request, at->layer) > 0) {
    return MB_JSON_FAIL(r->json, "batch %s comes twice in layer %" PRId64 ", and should come once",
                        at->id, at->layer);
  }
  for (size_t t = 0; t < at->experts.n_rows; t++) {
    MB_TRY(append(r, request, at->experts.values + t * at->experts.n_columns));
  }
  r->has_batches = true;
  return MB_OK;
}

/* --- vLLM-MoE-Logger */

static mb_status take_meta(reader *r) {
  const line *at = &r->line;

  if ((at->seen & bit(TOP_K)) != 0) {
    if (r->top_k != 0 && r->top_k != at->top_k) {
      return MB_JSON_FAIL(r->json, "top_k is %" PRId64 ", and should be %" PRId64 ", as before",
                          at->top_k, r->top_k);
    }
    r->top_k = at->top_k;
  }
  if ((at->seen & bit(N_EXPERTS)) != 0 &&
      mb_routed_set_experts(r->routed, (size_t)at->n_experts) != MB_OK) {
    return MB_JSON_FAIL(r->json,
                        "num_experts is %" PRId64 ", which does not fit the model or the "
                        "lines before",
                        at->n_experts);
  }
  return MB_OK;
}

/* The request that a route belongs to: its req_id, or a pass of it. */
static mb_status find_request(reader *r, size_t layer, size_t *request) {
  char name[PASS_NAME_SIZE];

  if (r->pass[layer] == 0) {
    return mb_routed_request(r->routed, r->line.id, request);
  }
  (void)snprintf(name, sizeof name, "%s, pass %zu", r->line.id, r->pass[layer]);
  return mb_routed_request(r->routed, name, request);
}

static mb_status check_req_id(reader *r) {
  if (r->req_id[0] == '\0') {
    memcpy(r->req_id, r->line.id, sizeof r->req_id);
  }
  r->has_req_ids = r->has_req_ids || strcmp(r->req_id, r->line.id) != 0;
  if (r->has_req_ids && r->has_passes) {
    return MB_JSON_FAIL(r->json,
                        "token_idx begins anew within a req_id, as in files of forward passes, and "
                        "there are several req_ids, as in files of requests: it should be one of "
                        "both");
  }
  return MB_OK;
}

static mb_status take_route(reader *r) {
  const line *at = &r->line;
  size_t layer = mb_routed_layer(r->routed, at->layer);
  size_t request = 0;

  MB_TRY(require(r, REQ_ID));
  MB_TRY(require(r, TOKEN_IDX));
  MB_TRY(require(r, LAYER));
  MB_TRY(check_req_id(r));
  if (layer == MB_ROUTED_LAYERS_MAX) {
    return MB_JSON_FAIL(r->json, "is the %zuth layer, and should be among %d at most", layer + 1,
                        MB_ROUTED_LAYERS_MAX);
  }
  MB_TRY(find_request(r, layer, &request));
  size_t n = mb_routed_n_tokens(r->routed, request, at->layer);
  if (at->token == 0 && n > 0) {
    r->has_passes = true;
    r->pass[layer]++;
    MB_TRY(check_req_id(r));
    MB_TRY(find_request(r, layer, &request));
    n = 0;
  }
  if (at->token != (int64_t)n) {
    return MB_JSON_FAIL(r->json,
                        "token_idx is %" PRId64 " for req_id %s in layer %" PRId64
                        ", and should be %zu, the next%s",
                        at->token, at->id, at->layer, n, n > 0 ? ", or 0 in a new pass" : "");
  }
  return append(r, request, at->experts.values);
}

/* --- files */

static mb_status take_line(reader *r) {
  const line *at = &r->line;
  bool has_type = (at->seen & bit(TYPE)) != 0;

  if ((at->seen & bit(TOPK_EXPERTS)) != 0) {
    return take_batch(r);
  }
  if (has_type && strcmp(at->type, "meta") == 0) {
    return take_meta(r);
  }
  if ((at->seen & bit(TOPK_IDS)) != 0) {
    return take_route(r);
  }
  return MB_JSON_FAIL(r->json,
                      "has neither topk_experts nor topk_ids, and should have one of them, "
                      "or be of type \"meta\"");
}

static mb_status check_top_k(const reader *r) {
  size_t k = r->line.experts.n_columns;

  return r->top_k == 0 || (r->line.seen & (bit(TOPK_IDS) | bit(TOPK_EXPERTS))) == 0 ||
                 k == (size_t)r->top_k
             ? MB_OK
             : MB_JSON_FAIL(r->json,
                            "%zu experts are chosen, and should be %" PRId64 ", as top_k says", k,
                            r->top_k);
}

static mb_status read_lines(reader *r) {
  bool more;

  for (;;) {
    MB_TRY(mb_json_more(r->json, &more));
    if (!more) {
      return MB_OK;
    }
    MB_TRY(mb_import_poll(r->import));
    MB_TRY(read_fields(r));
    MB_TRY(check_top_k(r));
    MB_TRY(take_line(r));
  }
}

/* --- forward passes */

static mb_status replay_passes(const reader *r, const mb_routed_view *view, const mb_input *input) {
  size_t n = view->n_layers * view->n_experts;
  uint64_t *load = malloc(n * sizeof *load);
  mb_status status = MB_OK;

  if (load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts", view->n_layers,
                   view->n_experts);
  }
  for (size_t i = 0; i < view->n_requests && status == MB_OK; i++) {
    size_t length = mb_routed_length(view, i);
    uint32_t tokens = (uint32_t)length;
    memset(load, 0, n * sizeof *load);
    mb_routed_count(view, i, 0, length, 1, 0, load);
    status = mb_import_step(r->import, load, &tokens);
  }
  free(load);
  if (status == MB_OK) {
    mb_routed_note_experts(view, r->import);
    mb_import_note(r->import,
                   "%s: token_idx begins anew %zu times, so these are forward passes as they were "
                   "run, and a step each; nothing was served anew",
                   input->path, view->n_requests - 1);
  }
  return status;
}

static mb_status begin_passes(const reader *r, const mb_routed_view *view, const mb_input *input) {
  mb_import_facts facts = {
      .n_layers = view->n_layers,
      .n_experts = view->n_experts,
      .n_sources = 1,
      .layer_ids = view->layer_ids,
      .top_k = (int64_t)view->top_k,
      .model = r->model[0] != '\0' ? r->model : NULL,
      .counts = "logical",
      .steps_per_record = 1,
      .has_tokens = true,
  };

  MB_TRY(mb_import_begin(r->import, input, &facts));
  return replay_passes(r, view, input);
}

/* --- the whole */

static mb_status read_all(reader *r, size_t n_inputs, const mb_input *inputs,
                          const mb_import_options *options) {
  mb_routed_view view;

  for (size_t i = 0; i < n_inputs; i++) {
    MB_TRY(mb_json_open(&inputs[i], &r->json));
    mb_status status = read_lines(r);
    mb_json_destroy(r->json);
    MB_TRY(status);
  }
  MB_TRY(mb_routed_complete(r->routed, inputs[0].path, &view));
  if (r->has_passes && r->has_batches) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: forward passes (topk_ids) and batches (topk_experts) don't fit together",
                   inputs[0].path);
  }
  if (r->has_batches) {
    mb_import_note(r->import, "each batch_id is taken for a request, with its tokens in order");
  }
  return r->has_passes ? begin_passes(r, &view, &inputs[0])
                       : mb_serving_replay(&view, options, r->model[0] != '\0' ? r->model : NULL,
                                           &inputs[0], r->import);
}

static mb_status read_tokens(size_t n_inputs, const mb_input *inputs,
                             const mb_import_options *options, mb_import *import) {
  reader *r = calloc(1, sizeof *r);

  if (r == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", inputs[0].path);
  }
  r->import = import;
  mb_status status =
      mb_routed_create(options->model != NULL ? options->model->n_experts : 0, &r->routed);
  if (status == MB_OK) {
    status = read_all(r, n_inputs, inputs, options);
  }
  mb_routed_destroy(r->routed);
  mb_json_table_free(&r->line.experts);
  free(r);
  return status;
}

static bool recognise_tokens(const mb_input *input) {
  static const char *const names[] = {"topk_experts", "topk_ids", "layers_logged"};

  return mb_json_begins_with(input, sizeof names / sizeof *names, names);
}

const mb_importer mb_importer_tokens = {
    .name = "tokens",
    .summary = "routing decisions token by token (JSON Lines of moe-balance, vLLM-MoE-Logger), "
               "served anew",
    .recognise = recognise_tokens,
    .joint = true,
    .takes_serving = true,
    .read = read_tokens,
};

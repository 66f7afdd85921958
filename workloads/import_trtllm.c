/* workloads/import_trtllm.c - the folder of TensorRT-LLM's expert statistics.
 *
 * meta_info.json       {"num_experts", "num_experts_per_token"}, and of some versions "ep_size"
 *
 * rankR.safetensors    a tensor "ITERATION_LAYER" for every MoE layer of every iteration: int64
 *                      [E], how many of the rank's tokens were routed to each expert
 *
 * rankR_numtokens.json of some versions: {"ITERATION_LAYER": tokens of the rank}
 *
 * Layers are numbered as in the model. Other files, such as cooccurrence_*, are passed over.
 */
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/folder.h"
#include "workloads/importer.h"
#include "workloads/safetensors.h"
#include "workloads/trace_info.h"

enum { JSON_SIZE_MAX = 256 << 20 };

/* A tensor: which it is, and where its loads are in the file. */
typedef struct key {
  int64_t iteration, layer;
  uint64_t begin;
} key;

typedef struct rank {
  char *path;
  mb_input input;
  uint64_t *begin;  /* [T,L] */
  uint32_t *tokens; /* [T] NULL: not told */
} rank;

typedef struct recording {
  const mb_input *folder;
  int64_t n_experts, top_k, ep_size; /* 0: not told */
  rank *ranks;
  size_t n_ranks;
  int64_t first; /* iteration */
  size_t n_steps, n_layers;
  int32_t *layer_ids;
  bool has_tokens;
} recording;

/* --- names of files and tensors */

/* A number without leading zeros. @return what is behind it, or NULL. */
static const char *scan_number(const char *text, int64_t most, int64_t *number) {
  if (text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
    return NULL;
  }
  *number = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (*number > (most - (*at - '0')) / 10) {
      return NULL;
    }
    *number = 10 * *number + (*at - '0');
  }
  return at != text ? at : NULL;
}

static bool rank_of_name(const char *name, int64_t *number) {
  static const char prefix[] = "rank";
  const size_t n = sizeof prefix - 1;

  if (strncmp(name, prefix, n) != 0) {
    return false;
  }
  const char *rest = scan_number(name + n, INT32_MAX, number);
  return rest != NULL && strcmp(rest, ".safetensors") == 0;
}

static bool is_rank_name(const char *name) {
  int64_t number = 0;

  return rank_of_name(name, &number);
}

static bool parse_key(const char *name, key *parsed) {
  const char *rest = scan_number(name, INT64_MAX / 16, &parsed->iteration);

  if (rest == NULL || *rest != '_') {
    return false;
  }
  rest = scan_number(rest + 1, INT32_MAX, &parsed->layer);
  return rest != NULL && *rest == '\0';
}

static mb_status open_in(const recording *r, const char *name, char **path, mb_input *input) {
  *path = mb_folder_join(r->folder->path, name);
  if (*path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the names in it", r->folder->path);
  }
  return mb_input_open(*path, input);
}

/* --- meta_info.json and rankR_numtokens.json */

static mb_status load_json(const mb_input *input, json_t **object) {
  char *text = NULL;
  size_t length = 0;
  json_error_t error;

  MB_TRY(mb_input_text(input, JSON_SIZE_MAX, &text, &length));
  json_t *made = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (!json_is_object(made)) {
    json_decref(made);
    return MB_FAIL(MB_ERR_FORMAT, "%s: is no JSON object: %s", input->path,
                   made == NULL ? error.text : "it is of another kind");
  }
  *object = made;
  return MB_OK;
}

/* A whole number from 1; or 0 where there is none and none is needed. */
static mb_status get_number(const char *path, const json_t *object, const char *name, bool needed,
                            int64_t *number) {
  const json_t *value = json_object_get(object, name);

  if (value == NULL && !needed) {
    *number = 0;
    return MB_OK;
  }
  if (!json_is_integer(value) || json_integer_value(value) < 1 ||
      json_integer_value(value) > (int64_t)MB_TRACE_SIZE_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s should be a whole number from 1 to %zu", path, name,
                   MB_TRACE_SIZE_MAX);
  }
  *number = json_integer_value(value);
  return MB_OK;
}

static mb_status read_meta_input(const mb_input *input, recording *r) {
  json_t *meta = NULL;

  MB_TRY(load_json(input, &meta));
  mb_status status = get_number(input->path, meta, "num_experts", true, &r->n_experts);
  if (status == MB_OK) {
    status = get_number(input->path, meta, "num_experts_per_token", true, &r->top_k);
  }
  if (status == MB_OK) {
    status = get_number(input->path, meta, "ep_size", false, &r->ep_size);
  }
  json_decref(meta);
  return status;
}

static mb_status read_meta(recording *r) {
  char *path = NULL;
  mb_input input = {.fd = -1};

  mb_status status = open_in(r, "meta_info.json", &path, &input);
  if (status == MB_OK) {
    status = read_meta_input(&input, r);
  }
  mb_input_close(&input);
  free(path);
  return status;
}

/* Tokens of one iteration, which all layers tell alike. */
static mb_status read_step_tokens(const recording *r, const char *path, const json_t *object,
                                  size_t t, uint32_t *tokens) {
  char name[64];

  for (size_t l = 0; l < r->n_layers; l++) {
    (void)snprintf(name, sizeof name, "%" PRId64 "_%" PRId32, r->first + (int64_t)t,
                   r->layer_ids[l]);
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > UINT32_MAX) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: \"%s\" should be a number of tokens, a whole number from 0 to 4294967295",
                     path, name);
    }
    uint32_t n = (uint32_t)json_integer_value(value);
    if (l > 0 && n != *tokens) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: \"%s\" is %" PRIu32 " tokens, and layer %" PRId32
                     " of that iteration had %" PRIu32,
                     path, name, n, r->layer_ids[0], *tokens);
    }
    *tokens = n;
  }
  return MB_OK;
}

static mb_status read_tokens_input(const recording *r, const mb_input *input, rank *of) {
  json_t *object = NULL;
  mb_status status = MB_OK;

  of->tokens = calloc(r->n_steps, sizeof *of->tokens);
  if (of->tokens == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for tokens of its steps", r->folder->path);
  }
  MB_TRY(load_json(input, &object));
  if (json_object_size(object) != r->n_steps * r->n_layers) {
    status = MB_FAIL(MB_ERR_FORMAT,
                     "%s: has %zu numbers of tokens, and should have one each for "
                     "%zu iterations of %zu layers",
                     input->path, json_object_size(object), r->n_steps, r->n_layers);
  }
  for (size_t t = 0; status == MB_OK && t < r->n_steps; t++) {
    status = read_step_tokens(r, input->path, object, t, &of->tokens[t]);
  }
  json_decref(object);
  return status;
}

static bool is_tokens_name(const char *name) {
  static const char prefix[] = "rank";
  const size_t n = sizeof prefix - 1;
  int64_t number = 0;

  if (strncmp(name, prefix, n) != 0) {
    return false;
  }
  const char *rest = scan_number(name + n, INT32_MAX, &number);
  return rest != NULL && strcmp(rest, "_numtokens.json") == 0;
}

/* Either all ranks have told their tokens, or it is as if none had. */
static mb_status read_tokens(recording *r, mb_import *import) {
  mb_folder files = {0};

  MB_TRY(mb_folder_list(r->folder->path, is_tokens_name, &files));
  size_t n = files.n;
  mb_folder_fini(&files);
  if (n != r->n_ranks) {
    if (n > 0) {
      mb_import_note(import, "%s: %zu of %zu ranks have a _numtokens.json: tokens are left out",
                     r->folder->path, n, r->n_ranks);
    }
    return MB_OK;
  }
  for (size_t i = 0; i < r->n_ranks; i++) {
    char name[64];
    char *path = NULL;
    mb_input input = {.fd = -1};
    (void)snprintf(name, sizeof name, "rank%zu_numtokens.json", i);
    mb_status status = open_in(r, name, &path, &input);
    if (status == MB_OK) {
      status = read_tokens_input(r, &input, &r->ranks[i]);
    }
    mb_input_close(&input);
    free(path);
    MB_TRY(status);
  }
  r->has_tokens = true;
  return MB_OK;
}

/* --- a rank's tensors */

static int compare_keys(const void *a, const void *b) {
  const key *x = a;
  const key *y = b;

  if (x->iteration != y->iteration) {
    return x->iteration < y->iteration ? -1 : 1;
  }
  return x->layer < y->layer ? -1 : x->layer > y->layer;
}

static mb_status list_keys(const recording *r, const char *path, const mb_safetensors *tensors,
                           key *keys) {
  for (size_t i = 0; i < mb_safetensors_count(tensors); i++) {
    const mb_safetensor *tensor = mb_safetensors_get(tensors, i);
    if (!parse_key(tensor->name, &keys[i])) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: tensor \"%.64s\": should be named ITERATION_LAYER, such as 100_3", path,
                     tensor->name);
    }
    if (tensor->dtype != MB_DTYPE_I64 || tensor->rank != 1 ||
        tensor->dims[0] != (uint64_t)r->n_experts) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: tensor \"%s\": is %s of %zu dimensions with %" PRIu64
                     " bytes, and should be int64 [%" PRId64 "], as num_experts of meta_info.json",
                     path, tensor->name, mb_dtype_name(tensor->dtype), tensor->rank, tensor->size,
                     r->n_experts);
    }
    keys[i].begin = tensor->begin;
  }
  qsort(keys, mb_safetensors_count(tensors), sizeof *keys, compare_keys);
  return MB_OK;
}

/* The first rank's first iteration tells which layers there are, and its number of tensors how many
 * iterations. */
static mb_status find_shape(recording *r, const char *path, const key *keys, size_t n) {
  size_t n_layers = 0;

  while (n_layers < n && keys[n_layers].iteration == keys[0].iteration) {
    n_layers++;
  }
  MB_TRY(mb_trace_sizes_check(path, n_layers, (size_t)r->n_experts));
  r->layer_ids = calloc(n_layers, sizeof *r->layer_ids);
  if (r->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the ids of %zu layers", path, n_layers);
  }
  for (size_t l = 0; l < n_layers; l++) {
    r->layer_ids[l] = (int32_t)keys[l].layer;
  }
  r->first = keys[0].iteration;
  r->n_layers = n_layers;
  r->n_steps = (n + n_layers - 1) / n_layers;
  return MB_OK;
}

/* `expected` isn't there; the next one that is, is `found` (NULL: none). */
static mb_status fail_key(const recording *r, const char *path, const key *expected,
                          const key *found) {
  const char *other = path == r->ranks[0].path ? "the iteration before has" : "rank 0 has";

  if (found == NULL || compare_keys(found, expected) > 0) {
    bool whole = (found == NULL || found->iteration > expected->iteration) &&
                 expected->layer == r->layer_ids[0];
    if (whole && found != NULL) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: iteration %" PRId64 " is missing, and the next one is %" PRId64
                     ": iterations should follow each other",
                     path, expected->iteration, found->iteration);
    }
    return MB_FAIL(MB_ERR_FORMAT, "%s: iteration %" PRId64 " has no layer %" PRId64 ", which %s",
                   path, expected->iteration, expected->layer, other);
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: iteration %" PRId64 " has layer %" PRId64 ", which %s not",
                 path, found->iteration, found->layer, other);
}

/* Every iteration from the first to the last has every layer, and every rank has the same. */
static mb_status check_keys(const recording *r, const char *path, const key *keys, size_t n) {
  size_t n_expected = r->n_steps * r->n_layers;

  for (size_t i = 0; i < n_expected || i < n; i++) {
    const key expected = {.iteration = r->first + (int64_t)(i / r->n_layers),
                          .layer = r->layer_ids[i % r->n_layers]};
    if (i == n_expected) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: has iteration %" PRId64 ", and rank 0 ends with %" PRId64
                     ": all ranks should have the same",
                     path, keys[i].iteration, expected.iteration - 1);
    }
    if (i >= n || compare_keys(&keys[i], &expected) != 0) {
      return fail_key(r, path, &expected, i < n ? &keys[i] : NULL);
    }
  }
  return MB_OK;
}

static mb_status index_tensors(recording *r, rank *of, const mb_safetensors *tensors) {
  size_t n = mb_safetensors_count(tensors);

  if (n == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has no tensors, so no iterations", of->path);
  }
  key *keys = malloc(n * sizeof *keys);
  of->begin = malloc(n * sizeof *of->begin);
  mb_status status = keys != NULL && of->begin != NULL
                         ? list_keys(r, of->path, tensors, keys)
                         : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its tensors", of->path);
  if (status == MB_OK && r->layer_ids == NULL) {
    status = find_shape(r, of->path, keys, n);
  }
  if (status == MB_OK) {
    status = check_keys(r, of->path, keys, n);
  }
  for (size_t i = 0; status == MB_OK && i < n; i++) {
    of->begin[i] = keys[i].begin;
  }
  free(keys);
  return status;
}

static mb_status open_rank(recording *r, size_t i, const char *name) {
  rank *of = &r->ranks[i];
  mb_safetensors *tensors = NULL;

  MB_TRY(open_in(r, name, &of->path, &of->input));
  MB_TRY(mb_safetensors_read(&of->input, &tensors));
  mb_status status = index_tensors(r, of, tensors);
  mb_safetensors_destroy(tensors);
  return status;
}

/* --- all ranks */

/* Which numbers there are has been told by the names: each below n_ranks has to be there. */
static mb_status open_ranks(recording *r, const mb_folder *files, mb_import *import) {
  r->ranks = calloc(files->n, sizeof *r->ranks);
  if (r->ranks == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu ranks", r->folder->path, files->n);
  }
  for (size_t i = 0; i < files->n; i++) {
    r->ranks[i].input.fd = -1;
  }
  r->n_ranks = files->n;
  for (size_t i = 0; i < r->n_ranks; i++) {
    char name[64];
    bool there = false;
    (void)snprintf(name, sizeof name, "rank%zu.safetensors", i);
    for (size_t j = 0; !there && j < files->n; j++) {
      there = strcmp(files->names[j], name) == 0;
    }
    if (!there) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: %s is missing, and %zu files of ranks are there: they should be 0 to %zu",
                     r->folder->path, name, files->n, files->n - 1);
    }
    MB_TRY(mb_import_poll(import));
    MB_TRY(open_rank(r, i, name));
  }
  return MB_OK;
}

static mb_status open_recording(recording *r, mb_import *import) {
  mb_folder files = {0};

  if (!r->folder->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: is a file, and should be the folder with meta_info.json and "
                   "rank*.safetensors",
                   r->folder->path);
  }
  MB_TRY(read_meta(r));
  MB_TRY(mb_folder_list(r->folder->path, is_rank_name, &files));
  mb_status status = MB_OK;
  if (files.n == 0 || (int64_t)files.n < r->ep_size) {
    status = MB_FAIL(MB_ERR_FORMAT,
                     "%s: has %zu files rank*.safetensors, and should have %" PRId64 " or more",
                     r->folder->path, files.n, r->ep_size > 0 ? r->ep_size : 1);
  } else {
    status = open_ranks(r, &files, import);
  }
  mb_folder_fini(&files);
  MB_TRY(status);
  return read_tokens(r, import);
}

static void close_recording(recording *r) {
  for (size_t i = 0; i < r->n_ranks; i++) {
    mb_input_close(&r->ranks[i].input);
    free(r->ranks[i].path);
    free(r->ranks[i].begin);
    free(r->ranks[i].tokens);
  }
  free(r->ranks);
  free(r->layer_ids);
}

/* --- steps */

static mb_status check_pairs(const recording *r, const rank *of, size_t t, size_t l, uint64_t sum) {
  uint64_t expected = (uint64_t)of->tokens[t] * (uint64_t)r->top_k;

  if (sum != expected) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%" PRId64 "_%" PRId32 "\": has %" PRIu64
                   " (token, expert) pairs, and should have %" PRIu64 " for %" PRIu32
                   " tokens to %" PRId64 " experts each",
                   of->path, r->first + (int64_t)t, r->layer_ids[l], sum, expected, of->tokens[t],
                   r->top_k);
  }
  return MB_OK;
}

/* @param counts [E] scratch, raw and as numbers. @param load [E] */
static mb_status read_layer(const recording *r, const rank *of, size_t t, size_t l, int64_t *raw,
                            uint32_t *counts, uint64_t *load) {
  size_t n = (size_t)r->n_experts;
  uint64_t sum = 0;

  MB_TRY(
      mb_input_read(&of->input, "loads", of->begin[t * r->n_layers + l], n * sizeof(int64_t), raw));
  size_t good = mb_numbers_to_counts(MB_DTYPE_I64, false, n, raw, counts);
  if (good < n) {
    char value[MB_NUMBER_TEXT_SIZE];
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%" PRId64 "_%" PRId32
                   "\"[%zu]: is %s, and should be a number of tokens from 0 to 4294967295",
                   of->path, r->first + (int64_t)t, r->layer_ids[l], good,
                   mb_number_format(MB_DTYPE_I64, false, raw + good, value));
  }
  for (size_t e = 0; e < n; e++) {
    load[e] = counts[e];
    sum += counts[e];
  }
  return r->has_tokens ? check_pairs(r, of, t, l, sum) : MB_OK;
}

static mb_status read_steps(const recording *r, mb_import *import) {
  assert(r->n_ranks > 0 && r->n_layers > 0 && r->n_experts > 0);
  size_t n_experts = (size_t)r->n_experts;
  size_t n_rows = r->n_layers * r->n_ranks;
  int64_t *raw = malloc(n_experts * sizeof *raw);
  uint32_t *counts = malloc(n_experts * sizeof *counts);
  uint64_t *load = calloc(n_rows * n_experts, sizeof *load);
  uint32_t *tokens = calloc(r->n_ranks, sizeof *tokens);
  mb_status status = MB_OK;

  if (raw == NULL || counts == NULL || load == NULL || tokens == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: no memory for a step", r->folder->path);
  }
  for (size_t t = 0; status == MB_OK && t < r->n_steps; t++) {
    for (size_t i = 0; status == MB_OK && i < n_rows; i++) {
      status = read_layer(r, &r->ranks[i % r->n_ranks], t, i / r->n_ranks, raw, counts,
                          load + i * n_experts);
    }
    for (size_t i = 0; r->has_tokens && i < r->n_ranks; i++) {
      tokens[i] = r->ranks[i].tokens[t];
    }
    if (status == MB_OK) {
      status = mb_import_step(import, load, r->has_tokens ? tokens : NULL);
    }
  }
  free(raw);
  free(counts);
  free(load);
  free(tokens);
  return status;
}

static mb_status read_folder(const mb_input *folder, mb_import *import) {
  recording r = {.folder = folder};
  mb_status status = open_recording(&r, import);

  if (status == MB_OK) {
    const mb_import_facts facts = {.n_layers = r.n_layers,
                                   .n_experts = (size_t)r.n_experts,
                                   .n_sources = r.n_ranks,
                                   .layer_ids = r.layer_ids,
                                   .top_k = r.top_k,
                                   .counts = "logical",
                                   .has_tokens = r.has_tokens};
    status = mb_import_begin(import, folder, &facts);
  }
  if (status == MB_OK) {
    mb_import_note(import, "%s: iterations %" PRId64 " to %" PRId64, folder->path, r.first,
                   r.first + (int64_t)r.n_steps - 1);
    status = read_steps(&r, import);
  }
  close_recording(&r);
  return status;
}

static mb_status read_inputs(size_t n_inputs, const mb_input *inputs,
                             const mb_import_options *options, mb_import *import) {
  (void)options;
  for (size_t i = 0; i < n_inputs; i++) {
    MB_TRY(read_folder(&inputs[i], import));
  }
  return MB_OK;
}

static bool is_ours(const char *name) {
  return strcmp(name, "meta_info.json") == 0 || strcmp(name, "rank0.safetensors") == 0;
}

static bool recognise(const mb_input *input) {
  mb_folder files = {0};

  if (!input->is_folder || mb_folder_list(input->path, is_ours, &files) != MB_OK) {
    return false;
  }
  bool both = files.n == 2;
  mb_folder_fini(&files);
  return both;
}

const mb_importer mb_importer_trtllm = {
    .name = "trtllm",
    .summary = "TensorRT-LLM's expert statistics: the folder of meta_info.json and "
               "rank*.safetensors",
    .recognise = recognise,
    .read = read_inputs,
};

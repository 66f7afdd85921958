/* workloads/vllm_requests.c - the rows of routed_experts are the prompt's tokens and then the
 * output's, but for the last of the output, which is never routed. Layers without experts have
 * zeros in them; those are left out.
 */
#include "workloads/vllm_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/folder.h"
#include "workloads/npy.h"
#include "workloads/routed.h"
#include "workloads/serving.h"

enum { ROWS = 256 }; /* tokens that are read at a time */

typedef struct reader {
  const mb_input *input;
  mb_import *import;
  mb_routed *routed;
  size_t n_layers, top_k; /* of the first request */
  bool *is_dense;         /* [n_layers] without experts */
  size_t n_dense;
  int64_t *rows; /* [ROWS,n_layers,top_k] */
  size_t index;  /* of the request */
} reader;

static mb_status check_shape(reader *r, const mb_array_info *info) {
  if (info->rank != 3 || info->dims[0] == 0 || info->dims[1] == 0 || info->dims[2] == 0) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %zu dimensions, and should have 3, none empty: "
                   "[tokens, layers, k]",
                   info->name, info->rank);
  }
  if (info->dims[1] > MB_ROUTED_LAYERS_MAX || info->dims[2] > MB_ROUTED_TOP_K_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %" PRIu64 " layers and %" PRIu64
                   " experts a token, and should have at most %d and %d",
                   info->name, info->dims[1], info->dims[2], MB_ROUTED_LAYERS_MAX,
                   MB_ROUTED_TOP_K_MAX);
  }
  if (r->index > 0 && (info->dims[1] != r->n_layers || info->dims[2] != r->top_k)) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%s: has %" PRIu64 " layers and %" PRIu64
                   " experts a token, and should have %zu and %zu, as the requests before",
                   info->name, info->dims[1], info->dims[2], r->n_layers, r->top_k);
  }
  return MB_OK;
}

static mb_status prepare(reader *r, const mb_array_info *info) {
  r->n_layers = (size_t)info->dims[1];
  r->top_k = (size_t)info->dims[2];
  r->is_dense = malloc(r->n_layers * sizeof *r->is_dense);
  r->rows = malloc(ROWS * r->n_layers * r->top_k * sizeof *r->rows);
  if (r->is_dense == NULL || r->rows == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %d tokens of %zu layers", ROWS, r->n_layers);
  }
  for (size_t l = 0; l < r->n_layers; l++) {
    r->is_dense[l] = true;
  }
  return MB_OK;
}

static bool is_zero(size_t k, const int64_t *experts) {
  for (size_t i = 0; i < k; i++) {
    if (experts[i] != 0) {
      return false;
    }
  }
  return true;
}

/* One expert can't be chosen twice, so a layer that has nothing but expert 0 routes nothing. */
static void find_dense(reader *r, size_t n) {
  for (size_t i = 0; i < n * r->n_layers; i++) {
    size_t l = i % r->n_layers;
    r->is_dense[l] = r->is_dense[l] && is_zero(r->top_k, r->rows + i * r->top_k);
  }
}

/* Where a token goes to one expert, expert 0 alone is a choice, too. */
static void keep_zeros(reader *r) {
  size_t n = 0;

  for (size_t l = 0; l < r->n_layers; l++) {
    n += r->is_dense[l];
    r->is_dense[l] = false;
  }
  if (n > 0) {
    mb_import_note(r->import,
                   "in %zu of %zu layers the first request goes to expert 0 only, as it looks also "
                   "where a layer has no experts: kept; `moebal trace slice` takes layers out",
                   n, r->n_layers);
  }
}

static mb_status append_rows(reader *r, const char *name, size_t request, uint64_t first,
                             size_t n) {
  for (size_t i = 0; i < n * r->n_layers; i++) {
    size_t l = i % r->n_layers;
    const int64_t *experts = r->rows + i * r->top_k;
    if (r->is_dense[l]) {
      if (!is_zero(r->top_k, experts)) {
        return MB_FAIL(MB_ERR_FORMAT,
                       "%s: token %" PRIu64 " is routed in layer %zu, where the first request has "
                       "only zeros",
                       name, first + i / r->n_layers, l);
      }
      continue;
    }
    mb_status status = mb_routed_append(r->routed, request, (int64_t)l, r->top_k, experts);
    if (status != MB_OK) {
      char what[512];
      (void)snprintf(what, sizeof what, "%s", mb_error_message());
      (void)mb_fail(status, "%s: token %" PRIu64 ", layer %zu: %s", name, first + i / r->n_layers,
                    l, what);
      return status;
    }
  }
  return MB_OK;
}

/* Goes over all rows, either to find the layers without experts or to take the decisions. */
static mb_status read_rows(reader *r, mb_array *array, bool finding, size_t request) {
  const mb_array_info *info = mb_array_get_info(array);

  for (uint64_t at = 0; at < info->dims[0]; at += ROWS) {
    size_t n = info->dims[0] - at < ROWS ? (size_t)(info->dims[0] - at) : ROWS;
    MB_TRY(mb_import_poll(r->import));
    MB_TRY(mb_array_read_ints(array, at, n, r->rows));
    if (finding) {
      find_dense(r, n);
    } else {
      MB_TRY(append_rows(r, info->name, request, at, n));
    }
  }
  return MB_OK;
}

/* The length of an array that may be missing; UINT64_MAX: it is. */
static mb_status array_length(mb_npz *npz, const char *name, uint64_t *length) {
  mb_array *array = NULL;

  *length = UINT64_MAX;
  if (!mb_npz_has(npz, name)) {
    return MB_OK;
  }
  MB_TRY(mb_npz_array(npz, name, &array));
  const mb_array_info *info = mb_array_get_info(array);
  mb_status status = MB_OK;
  if (info->rank != 1) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: has %zu dimensions, and should have 1, the tokens",
                     info->name, info->rank);
  } else {
    *length = info->dims[0];
  }
  mb_array_destroy(array);
  return status;
}

/* The last token of an output is drawn and never routed; some dumps have a row for it all the
   same. */
static mb_status read_prompt(mb_npz *npz, const mb_array_info *info, uint64_t *n_prompt) {
  uint64_t n_output;

  MB_TRY(array_length(npz, "prompt_token_ids", n_prompt));
  MB_TRY(array_length(npz, "output_token_ids", &n_output));
  if (*n_prompt == UINT64_MAX) {
    *n_prompt = 0;
    return MB_OK;
  }
  uint64_t n = info->dims[0];
  bool fits = n_output == UINT64_MAX
                  ? *n_prompt <= n
                  : n == *n_prompt + n_output || (n_output > 0 && n == *n_prompt + n_output - 1);
  return fits ? MB_OK
              : MB_FAIL(MB_ERR_FORMAT,
                        "%s: has %" PRIu64 " tokens, and should have those of the prompt, %" PRIu64
                        ", and of the output, with or without its last",
                        info->name, n, *n_prompt);
}

static mb_status read_array(reader *r, mb_npz *npz, mb_array *array) {
  const mb_array_info *info = mb_array_get_info(array);
  uint64_t n_prompt = 0;
  size_t request = 0;

  MB_TRY(check_shape(r, info));
  MB_TRY(read_prompt(npz, info, &n_prompt));
  if (r->index == 0) {
    MB_TRY(prepare(r, info));
    MB_TRY(read_rows(r, array, true, 0));
    if (r->top_k == 1) {
      keep_zeros(r);
    }
  }
  MB_TRY(mb_routed_request(r->routed, r->input->path, &request));
  mb_routed_set_prompt(r->routed, request, (size_t)n_prompt);
  if (request != r->index) {
    return MB_FAIL(MB_ERR_PARAM, "%s: is given twice", r->input->path);
  }
  return read_rows(r, array, false, request);
}

static mb_status read_request(reader *r) {
  mb_npz *npz = NULL;
  mb_array *array = NULL;

  MB_TRY(mb_npz_open(r->input, &npz));
  mb_status status = mb_npz_array(npz, "routed_experts", &array);
  if (status == MB_OK) {
    status = read_array(r, npz, array);
  }
  mb_array_destroy(array);
  mb_npz_destroy(npz);
  r->index++;
  return status;
}

/* --- folders, for recordings of more requests than files can be open at once */

static bool is_npz(const char *name) {
  size_t n = strlen(name);

  return n > 4 && strcmp(name + n - 4, ".npz") == 0;
}

static mb_status read_file(reader *r, const char *folder, const char *name) {
  char *path = mb_folder_join(folder, name);
  mb_input input;

  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the name of %s in %s", name, folder);
  }
  mb_status status = mb_input_open(path, &input);
  if (status == MB_OK) {
    r->input = &input;
    status = read_request(r);
    r->input = NULL;
    mb_input_close(&input);
  }
  free(path);
  return status;
}

static mb_status read_folder(reader *r, const char *path) {
  mb_folder files;
  mb_status status = MB_OK;

  MB_TRY(mb_folder_list(path, is_npz, &files));
  if (files.n == 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: has no .npz file, and should have one a request", path);
  }
  for (size_t i = 0; i < files.n && status == MB_OK; i++) {
    status = read_file(r, path, files.names[i]);
  }
  mb_folder_fini(&files);
  return status;
}

static bool folder_recognise(const char *path) {
  mb_folder files = {0};
  mb_input input;
  bool found = false;

  if (mb_folder_list(path, is_npz, &files) == MB_OK && files.n > 0) {
    char *first = mb_folder_join(path, files.names[0]);
    if (first != NULL && mb_input_open(first, &input) == MB_OK) {
      found = !input.is_folder && mb_vllm_requests_recognise(&input);
      mb_input_close(&input);
    }
    free(first);
  }
  mb_folder_fini(&files);
  return found;
}

/* --- the whole */

static void tell_dense(const reader *r) {
  size_t n = 0;

  for (size_t l = 0; l < r->n_layers; l++) {
    n += r->is_dense[l];
  }
  if (n > 0) {
    mb_import_note(r->import,
                   "%zu of %zu layers have zeros only, as layers without experts have: "
                   "left out",
                   n, r->n_layers);
  }
}

static mb_status read_all(reader *r, size_t n_inputs, const mb_input *inputs,
                          const mb_import_options *options) {
  mb_routed_view view;

  for (size_t i = 0; i < n_inputs; i++) {
    r->input = &inputs[i];
    MB_TRY(inputs[i].is_folder ? read_folder(r, inputs[i].path) : read_request(r));
  }
  MB_TRY(mb_routed_complete(r->routed, inputs[0].path, &view));
  tell_dense(r);
  return mb_serving_replay(&view, options, NULL, &inputs[0], r->import);
}

mb_status mb_vllm_requests_read(size_t n_inputs, const mb_input *inputs,
                                const mb_import_options *options, mb_import *import) {
  reader r = {.import = import};

  MB_TRY(mb_routed_create(options->model != NULL ? options->model->n_experts : 0, &r.routed));
  mb_status status = read_all(&r, n_inputs, inputs, options);
  mb_routed_destroy(r.routed);
  free(r.is_dense);
  free(r.rows);
  return status;
}

bool mb_vllm_requests_recognise(const mb_input *input) {
  mb_npz *npz = NULL;

  if (input->is_folder) {
    return folder_recognise(input->path);
  }
  if (mb_npz_open(input, &npz) != MB_OK) {
    return false;
  }
  bool found = mb_npz_has(npz, "routed_experts");
  mb_npz_destroy(npz);
  return found;
}
